//! What rooms ask of other servers, asked over the network.

mod answers;
mod path;
mod servers;

pub use servers::Remote;
