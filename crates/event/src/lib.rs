//! The Matrix PDU of every room version: format, hashes, ids, redaction.

mod room_version;
mod view;

pub use room_version::RoomVersion;
pub use view::{EventSource, EventView, server_name_of};
