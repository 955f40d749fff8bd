//! What no room needs any more, forgotten in steps of bounded size while the server works.

mod messages;
mod sent;
mod states;
mod waiting;
mod writes;

pub use messages::MessageGarbage;
pub use sent::SentCursor;
pub use states::{CollectedStates, StateGarbage};
pub(crate) use writes::NodeWrites;
