//! What rooms ask of other servers, asked over the network.

pub(crate) mod answers;
mod key_validity;
pub(crate) mod path;
mod servers;

pub(crate) use path::path;
pub use servers::Remote;
