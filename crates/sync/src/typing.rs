//! Who is typing where: held in memory only, and for as long as they said
//! (<https://spec.matrix.org/v1.19/client-server-api/#typing-notifications>).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_store::RoomNumber;
use ruma_common::{OwnedUserId, UserId};

/// For how long somebody types at most without saying so again, in milliseconds.
pub const TYPING_MS_MAX: i64 = 120_000;
/// Of how many users in a room it is known that they type.
const TYPING_USERS_MAX: usize = 100;

/// Who is typing, in all rooms.
#[derive(Debug, Default)]
pub struct Typing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts the changes.
    serial: u64,
    rooms: HashMap<RoomNumber, RoomTyping>,
}

#[derive(Debug, Default)]
struct RoomTyping {
    /// The last change of the room.
    changed: u64,
    /// Until when each user types, in milliseconds since the Unix epoch.
    until_ts: BTreeMap<OwnedUserId, i64>,
}

impl Typing {
    /// A user types until `until_ts`. Says whether others have to be told.
    pub fn start(&self, room: RoomNumber, user: &UserId, until_ts: i64) -> bool {
        let mut state = self.lock();
        let next = state.serial + 1;
        let typing = state.rooms.entry(room).or_default();
        let known = typing.until_ts.contains_key(user);
        if !known && typing.until_ts.len() >= TYPING_USERS_MAX {
            return false;
        }
        typing.until_ts.insert(user.to_owned(), until_ts);
        if !known {
            typing.changed = next;
            state.serial = next;
        }
        !known
    }

    /// A user does not type any more. Says whether others have to be told.
    pub fn stop(&self, room: RoomNumber, user: &UserId) -> bool {
        self.remove(room, |typing, _| typing == user)
    }

    /// Whoever said to type until `now_ts` or earlier does not any more. Says whether others have to be told.
    pub fn expire(&self, room: RoomNumber, now_ts: i64) -> bool {
        self.remove(room, |_, until_ts| until_ts <= now_ts)
    }

    fn remove(&self, room: RoomNumber, ends: impl Fn(&UserId, i64) -> bool) -> bool {
        let mut state = self.lock();
        let next = state.serial + 1;
        let Some(typing) = state.rooms.get_mut(&room) else { return false };
        let before = typing.until_ts.len();
        typing.until_ts.retain(|user, until_ts| !ends(user, *until_ts));
        if typing.until_ts.len() == before {
            return false;
        }
        typing.changed = next;
        state.serial = next;
        true
    }

    /// The number of the last change.
    pub fn serial(&self) -> u64 {
        self.lock().serial
    }

    /// The rooms in which who types changed after the change with number `since`.
    pub fn rooms_changed(&self, since: u64) -> Vec<RoomNumber> {
        let state = self.lock();
        if state.serial <= since {
            return Vec::new();
        }
        let mut rooms: Vec<RoomNumber> = state.changed_after(since);
        rooms.sort_unstable();
        rooms
    }

    /// Whether who types in a room changed after the change with number `since`.
    pub fn has_changed(&self, room: RoomNumber, since: u64) -> bool {
        self.lock().rooms.get(&room).is_some_and(|typing| typing.changed > since)
    }

    /// Who types in a room.
    pub fn users(&self, room: RoomNumber) -> Vec<OwnedUserId> {
        let state = self.lock();
        state.rooms.get(&room).map(|typing| typing.until_ts.keys().cloned().collect()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    #[expect(clippy::iter_over_hash_type, reason = "the caller sorts what is found")]
    fn changed_after(&self, since: u64) -> Vec<RoomNumber> {
        let mut rooms = Vec::new();
        for (room, typing) in &self.rooms {
            if typing.changed > since {
                rooms.push(*room);
            }
        }
        rooms
    }
}

#[cfg(test)]
mod tests {
    use ruma_common::user_id;

    use super::*;

    const ROOM: RoomNumber = RoomNumber(1);

    #[test]
    fn others_are_told_when_somebody_begins_and_ends_but_not_when_they_go_on() {
        let typing = Typing::default();
        let user = user_id!("@one:a.example");
        assert!(typing.start(ROOM, user, 1_000));
        assert!(!typing.start(ROOM, user, 2_000));
        assert_eq!(typing.users(ROOM), [user]);
        assert!(!typing.expire(ROOM, 1_999));
        assert!(typing.expire(ROOM, 2_000));
        assert!(typing.users(ROOM).is_empty());
        assert!(!typing.stop(ROOM, user));
    }

    #[test]
    fn rooms_that_changed_since_are_named() {
        let typing = Typing::default();
        typing.start(ROOM, user_id!("@one:a.example"), 1_000);
        let since = typing.serial();
        assert_eq!(typing.rooms_changed(0), [ROOM]);
        assert!(typing.has_changed(ROOM, 0) && !typing.has_changed(ROOM, since));
        assert!(typing.rooms_changed(since).is_empty());
        typing.start(RoomNumber(2), user_id!("@one:a.example"), 1_000);
        typing.stop(ROOM, user_id!("@one:a.example"));
        assert_eq!(typing.rooms_changed(since), [ROOM, RoomNumber(2)]);
    }

    #[test]
    fn a_crowd_that_types_is_bounded() {
        let typing = Typing::default();
        for number in 0..200 {
            typing.start(ROOM, &UserId::parse(format!("@user{number}:a.example")).unwrap(), 1_000);
        }
        assert_eq!(typing.users(ROOM).len(), TYPING_USERS_MAX);
    }
}
