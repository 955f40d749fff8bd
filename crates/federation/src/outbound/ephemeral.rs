//! What is told and forgotten: typing, receipts and presence. Of several of one kind only the last counts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::{Map, Value, json};

use crate::limits::EPHEMERAL_MAX;

/// Up to where a user read a thread of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldReceipt {
    /// The event.
    pub event_id: OwnedEventId,
    /// The thread; without one, the receipt is for the whole room.
    pub thread: Option<String>,
    /// When, in milliseconds since the Unix epoch.
    pub ts: i64,
}

/// Whether a user is online, and since when they do nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldPresence {
    /// `online`, `unavailable` or `offline`.
    pub presence: &'static str,
    /// What they say of it.
    pub status_msg: Option<String>,
    /// For how long they have not been active, in milliseconds.
    pub last_active_ago_ms: i64,
    /// Whether they are to be taken for active until something else is said.
    pub currently_active: bool,
}

/// What waits to be told to one server.
#[derive(Clone, Debug, Default)]
pub(super) struct Ephemeral {
    typing: BTreeMap<(OwnedRoomId, OwnedUserId), bool>,
    receipts: BTreeMap<(OwnedRoomId, OwnedUserId, Option<String>), ToldReceipt>,
    presence: BTreeMap<OwnedUserId, ToldPresence>,
}

/// How many users one `m.presence` tells of.
const PRESENCES_TOGETHER: usize = 50;

impl Ephemeral {
    pub(super) fn type_in(&mut self, room_id: OwnedRoomId, user_id: OwnedUserId, typing: bool) {
        let place = (room_id, user_id);
        if self.len() < EPHEMERAL_MAX || self.typing.contains_key(&place) {
            self.typing.insert(place, typing);
        }
    }

    pub(super) fn read_in(&mut self, room_id: OwnedRoomId, user_id: OwnedUserId, receipt: ToldReceipt) {
        let place = (room_id, user_id, receipt.thread.clone());
        if self.len() < EPHEMERAL_MAX || self.receipts.contains_key(&place) {
            self.receipts.insert(place, receipt);
        }
    }

    pub(super) fn be(&mut self, user_id: OwnedUserId, presence: ToldPresence) {
        if self.len() < EPHEMERAL_MAX || self.presence.contains_key(&user_id) {
            self.presence.insert(user_id, presence);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn clear(&mut self) {
        *self = Ephemeral::default();
    }

    fn len(&self) -> usize {
        self.typing.len() + self.receipts.len() + self.presence.len()
    }

    /// Takes up to `limit` data units.
    pub(super) fn take(&mut self, limit: usize) -> Vec<Value> {
        let mut edus = Vec::new();
        while edus.len() < limit {
            match self.take_receipts() {
                Some(receipts) => edus.push(receipts),
                None => break,
            }
        }
        while edus.len() < limit {
            let Some(((room_id, user_id), typing)) = self.typing.pop_first() else { break };
            let content = json!({ "room_id": room_id, "user_id": user_id, "typing": typing });
            edus.push(json!({ "edu_type": "m.typing", "content": content }));
        }
        while edus.len() < limit && !self.presence.is_empty() {
            edus.push(self.take_presence());
        }
        edus
    }

    /// One `m.presence` for several users (<https://spec.matrix.org/v1.19/server-server-api/#mpresence-schema>).
    fn take_presence(&mut self) -> Value {
        let mut push = Vec::new();
        while push.len() < PRESENCES_TOGETHER
            && let Some((user_id, told)) = self.presence.pop_first()
        {
            let mut update = json!({
                "user_id": user_id, "presence": told.presence,
                "last_active_ago": told.last_active_ago_ms, "currently_active": told.currently_active,
            });
            if let (Some(members), Some(status_msg)) = (update.as_object_mut(), told.status_msg) {
                members.insert("status_msg".to_owned(), status_msg.into());
            }
            push.push(update);
        }
        json!({ "edu_type": "m.presence", "content": { "push": push } })
    }

    /// One `m.receipt` for as many receipts as fit: it has room for one of each user in each room.
    fn take_receipts(&mut self) -> Option<Value> {
        let mut rooms: BTreeMap<OwnedRoomId, BTreeMap<OwnedUserId, Value>> = BTreeMap::new();
        let mut later = BTreeMap::new();
        for ((room_id, user_id, thread), receipt) in std::mem::take(&mut self.receipts) {
            match rooms.entry(room_id.clone()).or_default().entry(user_id) {
                Entry::Occupied(taken) => {
                    later.insert((room_id, taken.key().clone(), thread), receipt);
                }
                Entry::Vacant(free) => {
                    free.insert(as_json(&receipt));
                }
            }
        }
        self.receipts = later;
        if rooms.is_empty() {
            return None;
        }
        let content: Map<String, Value> = rooms
            .into_iter()
            .map(|(room_id, users)| (room_id.to_string(), json!({ "m.read": users })))
            .collect();
        Some(json!({ "edu_type": "m.receipt", "content": content }))
    }
}

/// A receipt (<https://spec.matrix.org/v1.19/server-server-api/#receipts>).
fn as_json(receipt: &ToldReceipt) -> Value {
    let data = match &receipt.thread {
        None => json!({ "ts": receipt.ts }),
        Some(thread) => json!({ "ts": receipt.ts, "thread_id": thread }),
    };
    json!({ "data": data, "event_ids": [receipt.event_id] })
}

#[cfg(test)]
mod tests {
    use ruma_common::{event_id, room_id, user_id};

    use super::*;

    fn receipt(event_id: &ruma_common::EventId, thread: Option<&str>) -> ToldReceipt {
        ToldReceipt { event_id: event_id.to_owned(), thread: thread.map(str::to_owned), ts: 7 }
    }

    #[test]
    fn only_the_last_of_a_kind_is_told() {
        let mut waiting = Ephemeral::default();
        let (room, user) = (room_id!("!r:x").to_owned(), user_id!("@u:x").to_owned());
        waiting.type_in(room.clone(), user.clone(), true);
        waiting.type_in(room.clone(), user.clone(), false);
        waiting.read_in(room.clone(), user.clone(), receipt(event_id!("$old"), None));
        waiting.read_in(room, user, receipt(event_id!("$new"), None));
        let edus = waiting.take(100);
        assert_eq!(edus.len(), 2);
        assert_eq!(edus[0]["content"]["!r:x"]["m.read"]["@u:x"]["event_ids"], json!(["$new"]));
        assert_eq!(edus[1]["content"]["typing"], json!(false));
        assert!(waiting.is_empty());
    }

    #[test]
    fn who_came_and_went_is_told_together_and_only_how_they_are_last() {
        let mut waiting = Ephemeral::default();
        let told = |presence, status_msg: Option<&str>| ToldPresence {
            presence,
            status_msg: status_msg.map(str::to_owned),
            last_active_ago_ms: 9,
            currently_active: presence == "online",
        };
        waiting.be(user_id!("@u:x").to_owned(), told("online", None));
        waiting.be(user_id!("@u:x").to_owned(), told("unavailable", Some("away")));
        waiting.be(user_id!("@v:x").to_owned(), told("online", None));
        let edus = waiting.take(100);
        let push = json!([
            {"user_id": "@u:x", "presence": "unavailable", "last_active_ago": 9, "currently_active": false,
                "status_msg": "away"},
            {"user_id": "@v:x", "presence": "online", "last_active_ago": 9, "currently_active": true},
        ]);
        assert_eq!(edus, [json!({ "edu_type": "m.presence", "content": { "push": push } })]);
        for number in 0..120 {
            let user_id = ruma_common::UserId::parse(format!("@u{number}:x")).unwrap();
            waiting.be(user_id, told("online", None));
        }
        assert_eq!((waiting.take(1).len(), waiting.take(100).len()), (1, 2));
        assert!(waiting.is_empty());
    }

    #[test]
    fn receipts_of_several_threads_take_several_units() {
        let mut waiting = Ephemeral::default();
        let (room, user) = (room_id!("!r:x").to_owned(), user_id!("@u:x").to_owned());
        waiting.read_in(room.clone(), user.clone(), receipt(event_id!("$a"), None));
        waiting.read_in(room, user, receipt(event_id!("$b"), Some("main")));
        assert_eq!(waiting.clone().take(1).len(), 1);
        let edus = waiting.take(100);
        assert_eq!(edus.len(), 2);
        assert_eq!(edus[1]["content"]["!r:x"]["m.read"]["@u:x"]["data"]["thread_id"], json!("main"));
    }
}
