//! What rooms ask of other servers, asked over the network.

mod answers;
mod path;
mod servers;

pub(crate) use path::path;
pub use servers::Remote;
