//! The program as its users meet it: started, asked, stopped.

mod commands;
mod readme;
mod running;
mod server;
