//! The router, driven without sockets. Areas add a file each; [`server`] is what they drive.

mod framework;
mod server;
