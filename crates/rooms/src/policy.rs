//! What tenants have settled about rooms, and what their users are not shown because of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_canonical_json::member;
use freehold_event::RoomVersion;
use freehold_store::RoomNumber;
use ruma_common::{OwnedServerName, UserId};

use crate::read::{Reader, StoredEvent, Unreadable, Viewer};

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
    /// For how long it keeps messages.
    pub retention: Retention,
}

/// For how long a tenant keeps messages: shows them to its users, and has a part in that they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// For how many milliseconds; without a number, for ever.
    pub messages_ms: Option<u64>,
    /// Whether it keeps the messages of a room no longer than the room says with `m.room.retention`
    /// ([MSC1763](https://github.com/matrix-org/matrix-spec-proposals/pull/1763)).
    pub follows_rooms: bool,
}

impl Retention {
    /// Everything is kept.
    pub const FOREVER: Self = Retention { messages_ms: None, follows_rooms: false };

    /// For how many milliseconds messages of a room are kept that says `lifetime_ms` of itself.
    pub(crate) fn in_room(self, lifetime_ms: Option<u64>) -> Option<u64> {
        let of_room = lifetime_ms.filter(|_| self.follows_rooms);
        [self.messages_ms, of_room].into_iter().flatten().min()
    }
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
            retention: Retention::FOREVER,
        }
    }
}

/// The time, in milliseconds since the Unix epoch, of the oldest messages that are kept at `now_ts`.
pub(crate) fn kept_from_ts(kept_ms: Option<u64>, now_ts: i64) -> i64 {
    let kept = kept_ms.map(|kept| i64::try_from(kept).unwrap_or(i64::MAX));
    kept.map_or(i64::MIN, |kept| now_ts.saturating_sub(kept))
}

impl Reader {
    /// Which of some events a viewer's tenant withholds from its users, whatever the room allows: messages that are
    /// older than it keeps any or forgotten, and messages of servers with which it does not speak. State is shown: it is what the
    /// room is, and clients cannot show the room without it.
    ///
    /// The age of a message is what its `origin_server_ts` says.
    pub async fn withheld(&self, viewer: &Viewer, events: &[Arc<StoredEvent>]) -> Vec<bool> {
        let identities = &self.rooms.0.outside.identities;
        let policy = identities.policy(&viewer.tenant).await;
        let shown_from_ts = self.shown_from_ts(policy.retention, events).await;
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
            let room = event.row.room;
            let is_old =
                shown_from_ts.get(&room).is_some_and(|from_ts| event.row.origin_server_ts < *from_ts);
            is_old || event.is_forgotten || !(is_own || spoken_with())
        };
        events.iter().map(|event| is_withheld(event)).collect()
    }

    /// From when on messages are shown, for each room of some events of which any are withheld for their age.
    async fn shown_from_ts(
        &self,
        retention: Retention,
        events: &[Arc<StoredEvent>],
    ) -> BTreeMap<RoomNumber, i64> {
        let mut shown = BTreeMap::new();
        if retention == Retention::FOREVER {
            return shown;
        }
        let now_ts = self.rooms.now_ts();
        for room in events.iter().map(|event| event.row.room).collect::<BTreeSet<_>>() {
            // If it cannot be read, nothing is shown that the room might want to be gone.
            let lifetime_ms = match retention.follows_rooms {
                true => self.lifetime_ms(room).await.unwrap_or(Some(0)),
                false => None,
            };
            shown.insert(room, kept_from_ts(retention.in_room(lifetime_ms), now_ts));
        }
        shown
    }

    /// For how many milliseconds a room wants its messages to be kept: `max_lifetime` of its `m.room.retention`, if that is a
    /// positive integer.
    pub(crate) async fn lifetime_ms(&self, room: RoomNumber) -> Result<Option<u64>, Unreadable> {
        let event = self.current_state(room).await?.get("m.room.retention", "").await?;
        let lifetime = |event: &StoredEvent| {
            let lifetime = member(event.pdu.content(), "max_lifetime").ok().flatten()?.as_i64()?;
            u64::try_from(lifetime).ok().filter(|lifetime| *lifetime > 0)
        };
        Ok(event.and_then(|event| lifetime(&event)))
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
    fn messages_are_kept_for_as_long_as_the_tenant_says_and_the_room_if_it_is_asked() {
        for (messages_ms, follows_rooms, lifetime_ms, kept) in [
            (None, false, None, None),
            (None, false, Some(5), None),
            (Some(9), false, Some(5), Some(9)),
            (None, true, Some(5), Some(5)),
            (Some(9), true, Some(5), Some(5)),
            (Some(4), true, Some(5), Some(4)),
            (Some(4), true, None, Some(4)),
        ] {
            let retention = Retention { messages_ms, follows_rooms };
            assert_eq!(retention.in_room(lifetime_ms), kept, "{retention:?} {lifetime_ms:?}");
        }
        assert_eq!(kept_from_ts(None, 1_000), i64::MIN);
        assert_eq!(kept_from_ts(Some(400), 1_000), 600);
        assert_eq!(kept_from_ts(Some(u64::MAX), 1_000), 1_000 - i64::MAX);
    }
}
