//! What tenants have settled about rooms, and what their users are not shown because of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use freehold_event::RoomVersion;
use ruma_common::{OwnedServerName, UserId};

use crate::read::{Reader, StoredEvent, Viewer};

/// What a tenant has settled about rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomPolicy {
    /// Whether its users may create rooms, also by upgrading one.
    pub may_create: bool,
    /// Whether its users may switch on encryption in rooms.
    pub may_encrypt: bool,
    /// Whether it has a directory of rooms.
    pub has_directory: bool,
    /// How many rooms its users may create, all together.
    pub rooms_max: Option<u64>,
    /// The version of rooms for which nobody asked for another; without one, the server's.
    pub default_version: Option<&'static RoomVersion>,
    /// For how many milliseconds messages are shown to its users; without a number, for ever.
    pub messages_ms: Option<u64>,
}

impl Default for RoomPolicy {
    /// Everything is allowed, and nothing is forgotten.
    fn default() -> Self {
        RoomPolicy {
            may_create: true,
            may_encrypt: true,
            has_directory: true,
            rooms_max: None,
            default_version: None,
            messages_ms: None,
        }
    }
}

impl RoomPolicy {
    /// The time, in milliseconds since the Unix epoch, of the oldest messages that are shown at `now_ts`.
    fn shown_from_ts(&self, now_ts: i64) -> i64 {
        let kept = self.messages_ms.map(|kept| i64::try_from(kept).unwrap_or(i64::MAX));
        kept.map_or(i64::MIN, |kept| now_ts.saturating_sub(kept))
    }
}

impl Reader {
    /// Which of some events a viewer's tenant withholds from its users, whatever the room allows: messages that are
    /// older than it keeps any, and messages of servers with which it does not speak. State is shown: it is what the room
    /// is, and clients cannot show the room without it.
    ///
    /// The age of a message is what its `origin_server_ts` says.
    pub async fn withheld(&self, viewer: &Viewer, events: &[Arc<StoredEvent>]) -> Vec<bool> {
        let identities = &self.rooms.0.outside.identities;
        let policy = identities.policy(&viewer.tenant).await;
        let shown_from_ts = policy.shown_from_ts(self.rooms.now_ts());
        let mut speaks: BTreeMap<OwnedServerName, bool> = BTreeMap::new();
        let mut is_withheld = |event: &StoredEvent| {
            if event.row.state_key.is_some() {
                return false;
            }
            let server = event.pdu.sender().server_name();
            let mut spoken_with = || match speaks.get(server) {
                Some(speaks) => *speaks,
                None => {
                    let answer = identities.speak(&viewer.tenant, server);
                    speaks.insert(server.to_owned(), answer);
                    answer
                }
            };
            let is_own = server == viewer.tenant.server_name();
            event.row.origin_server_ts < shown_from_ts || !(is_own || spoken_with())
        };
        events.iter().map(|event| is_withheld(event)).collect()
    }

    /// Whether a viewer is told what a user does beside the room's events: reads, types.
    pub fn is_told_of(&self, viewer: &Viewer, user: &UserId) -> bool {
        let own = viewer.tenant.owns(user);
        own || self.rooms.0.outside.identities.speak(&viewer.tenant, user.server_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_shown_for_as_long_as_they_are_kept() {
        let kept = |messages_ms| RoomPolicy { messages_ms, ..RoomPolicy::default() }.shown_from_ts(1_000);
        assert_eq!(kept(None), i64::MIN);
        assert_eq!(kept(Some(400)), 600);
        assert_eq!(kept(Some(u64::MAX)), 1_000 - i64::MAX);
    }
}
