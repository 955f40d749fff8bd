//! Who is online (<https://spec.matrix.org/v1.19/client-server-api/#presence>): held in memory only.
//!
//! What users do is noted at once and told in rounds, so that of whatever happens between two of them only the end is told,
//! and who waits wakes once. It is told to those who are online themselves and share a room that is not too large: who is
//! online in a crowd is nobody's news.

mod answer;
mod known;
mod limits;
mod requests;
mod round;
mod shown;
mod somebody;

pub use requests::PresenceError;
pub use shown::{PresenceState, Shown, ToldPresence};

pub(crate) use known::Presence;

use freehold_store::{BoxFuture, Tenant};

/// Which tenants let be known who is online.
pub trait PresencePolicies: Send + Sync + 'static {
    /// Whether it is known of a tenant's users whether they are online, and whether those are shown who else is.
    fn shows_presence<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, bool>;
}

/// All tenants let it be known.
#[derive(Clone, Copy, Debug, Default)]
pub struct PresenceForAll;

impl PresencePolicies for PresenceForAll {
    fn shows_presence<'a>(&'a self, _: &'a Tenant) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(true))
    }
}
