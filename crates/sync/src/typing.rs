//! Who is typing where: held in memory only, and for as long as they said
//! (<https://spec.matrix.org/v1.19/client-server-api/#typing-notifications>).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_store::{RoomNumber, TenantNumber};
use ruma_common::{OwnedUserId, UserId};

/// For how long somebody types at most without saying so again, in milliseconds.
pub const TYPING_MS_MAX: i64 = 120_000;
/// Of how many users in a room it is known that they type.
const TYPING_USERS_MAX: usize = 100;

/// A room, and who in it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The room.
    pub room: RoomNumber,
    /// The tenant whose users are told, because a server said it to that one; `None` if everybody here is.
    pub told: Option<TenantNumber>,
}

impl Place {
    /// What a user of a tenant is told of a room.
    fn shown_to(room: RoomNumber, tenant: TenantNumber) -> [Place; 2] {
        [None, Some(tenant)].map(|told| Place { room, told })
    }
}

/// Who is typing, in all rooms.
#[derive(Debug, Default)]
pub struct Typing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts the changes.
    serial: u64,
    places: HashMap<Place, RoomTyping>,
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
    pub fn start(&self, place: Place, user: &UserId, until_ts: i64) -> bool {
        let mut state = self.lock();
        let next = state.serial + 1;
        let typing = state.places.entry(place).or_default();
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
    pub fn stop(&self, place: Place, user: &UserId) -> bool {
        self.remove(place, |typing, _| typing == user)
    }

    /// Whoever said to type until `now_ts` or earlier does not any more. Says whether others have to be told.
    pub fn expire(&self, place: Place, now_ts: i64) -> bool {
        self.remove(place, |_, until_ts| until_ts <= now_ts)
    }

    fn remove(&self, place: Place, ends: impl Fn(&UserId, i64) -> bool) -> bool {
        let mut state = self.lock();
        let next = state.serial + 1;
        let Some(typing) = state.places.get_mut(&place) else { return false };
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

    /// The rooms in which who types, as users of a tenant are told, changed after the change with number `since`.
    pub fn rooms_changed(&self, tenant: TenantNumber, since: u64) -> Vec<RoomNumber> {
        let state = self.lock();
        if state.serial <= since {
            return Vec::new();
        }
        let mut rooms: Vec<RoomNumber> = state.changed_after(tenant, since);
        rooms.sort_unstable();
        rooms.dedup();
        rooms
    }

    /// Whether who types in a room, as users of a tenant are told, changed after the change with number `since`.
    pub fn has_changed(&self, (room, tenant): (RoomNumber, TenantNumber), since: u64) -> bool {
        let state = self.lock();
        let mut shown =
            Place::shown_to(room, tenant).into_iter().filter_map(|place| state.places.get(&place));
        shown.any(|typing| typing.changed > since)
    }

    /// Who types in a room, as users of a tenant are told.
    pub fn users(&self, room: RoomNumber, tenant: TenantNumber) -> Vec<OwnedUserId> {
        let state = self.lock();
        let shown = Place::shown_to(room, tenant).into_iter().filter_map(|place| state.places.get(&place));
        let users: BTreeSet<&OwnedUserId> = shown.flat_map(|typing| typing.until_ts.keys()).collect();
        users.into_iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    #[expect(clippy::iter_over_hash_type, reason = "the caller sorts what is found")]
    fn changed_after(&self, tenant: TenantNumber, since: u64) -> Vec<RoomNumber> {
        let mut rooms = Vec::new();
        for (place, typing) in &self.places {
            if typing.changed > since && place.told.is_none_or(|told| told == tenant) {
                rooms.push(place.room);
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
    const TENANT: TenantNumber = TenantNumber(1);
    const OTHER: TenantNumber = TenantNumber(2);

    fn place(room: u64) -> Place {
        Place { room: RoomNumber(room), told: None }
    }

    #[test]
    fn others_are_told_when_somebody_begins_and_ends_but_not_when_they_go_on() {
        let typing = Typing::default();
        let user = user_id!("@one:a.example");
        assert!(typing.start(place(1), user, 1_000));
        assert!(!typing.start(place(1), user, 2_000));
        assert_eq!(typing.users(ROOM, TENANT), [user]);
        assert!(!typing.expire(place(1), 1_999));
        assert!(typing.expire(place(1), 2_000));
        assert!(typing.users(ROOM, TENANT).is_empty());
        assert!(!typing.stop(place(1), user));
    }

    #[test]
    fn rooms_that_changed_since_are_named() {
        let typing = Typing::default();
        typing.start(place(1), user_id!("@one:a.example"), 1_000);
        let since = typing.serial();
        assert_eq!(typing.rooms_changed(TENANT, 0), [ROOM]);
        assert!(typing.has_changed((ROOM, TENANT), 0) && !typing.has_changed((ROOM, TENANT), since));
        assert!(typing.rooms_changed(TENANT, since).is_empty());
        typing.start(place(2), user_id!("@one:a.example"), 1_000);
        typing.stop(place(1), user_id!("@one:a.example"));
        assert_eq!(typing.rooms_changed(TENANT, since), [ROOM, RoomNumber(2)]);
    }

    #[test]
    fn what_one_tenant_was_told_nobody_else_is() {
        let typing = Typing::default();
        let (near, far) = (user_id!("@near:a.example"), user_id!("@far:b.example"));
        let told = Place { room: ROOM, told: Some(TENANT) };
        assert!(typing.start(told, far, 1_000));
        assert!(typing.has_changed((ROOM, TENANT), 0) && !typing.has_changed((ROOM, OTHER), 0));
        assert!(typing.rooms_changed(OTHER, 0).is_empty());
        assert!(typing.start(place(1), near, 1_000));
        assert_eq!(typing.users(ROOM, TENANT), [far, near]);
        assert_eq!(typing.users(ROOM, OTHER), [near]);
        assert_eq!(typing.rooms_changed(TENANT, 0), [ROOM]);
        assert!(!typing.expire(Place { told: Some(OTHER), ..told }, 2_000) && typing.expire(told, 2_000));
        assert_eq!(typing.users(ROOM, TENANT), [near]);
    }

    #[test]
    fn a_crowd_that_types_is_bounded() {
        let typing = Typing::default();
        for number in 0..200 {
            typing.start(place(1), &UserId::parse(format!("@user{number}:a.example")).unwrap(), 1_000);
        }
        assert_eq!(typing.users(ROOM, TENANT).len(), TYPING_USERS_MAX);
    }
}
