//! Rooms and other servers: their users in our rooms, our users in theirs.
//!
//! | who asks | file |
//! |---|---|
//! | another server, for a template | `template.rs` |
//! | another server, to take a membership event | `accept.rs`, `answer.rs` |
//! | another server, to take an invite | `take_invite.rs` |
//! | another server, to redeem a third-party invite | `third_party.rs`, `key_validity.rs` |
//! | a user, to invite somebody of another server | `invite.rs` |
//! | a user, to knock, or to refuse an invite | `leave.rs`, `pending.rs` |
//! | a user, who somebody of another server is | `profiles.rs` |
//! | a user, to enter a room of others | `join.rs`, `answer_parts.rs`, `hearing.rs`, `heard.rs`, `ahead.rs`, `import.rs`, `own_event.rs` |

mod accept;
mod ahead;
mod answer;
mod answer_parts;
mod error;
mod heard;
mod hearing;
mod import;
mod invite;
mod join;
mod key_validity;
mod keys;
mod leave;
mod own_event;
mod pending;
mod profiles;
mod residents;
mod take_invite;
mod template;
mod third_party;

pub use accept::{Accepted, SentMembership};
pub use answer::JoinAnswer;
pub use error::{BadAnswer, NotServed};
pub(crate) use heard::{Heard, Lacking};
pub(crate) use import::NotTaken;
pub(crate) use profiles::{RemoteProfiles, remote_profiles};
pub use take_invite::SentInvite;
pub use template::AskedTemplate;
