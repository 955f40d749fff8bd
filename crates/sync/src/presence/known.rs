//! What is known of everybody: changes are noted here, and taken from here to be told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_store::{Actor, RoomNumber, Tenant, TenantNumber, UserNumber};
use ruma_common::{OwnedServerName, OwnedUserId};

use super::limits::{
    BELIEVED_MS, HEARD_OF_SERVER, HEARD_TOGETHER, NEWS_MAX, PAUSE_MS, ROOMS_SEARCHED, SAID_MS,
    STATUS_BYTES_MAX, TOLD_TOGETHER, USERS_MAX,
};
use super::shown::{PresenceState, Shown, ToldPresence};
use super::somebody::{Known, News, Whose};

/// What is known of everybody who is, or was lately, online.
#[derive(Debug, Default)]
pub(crate) struct Presence(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts what is told.
    serial: u64,
    users: BTreeMap<UserNumber, Known>,
    /// The users of tenants that are online, by their rooms.
    rooms: BTreeMap<RoomNumber, BTreeSet<UserNumber>>,
    /// When it is looked again at whom: once for each user at most.
    due: BTreeSet<(i64, UserNumber)>,
    /// Of whom there is something to tell.
    changed: BTreeSet<UserNumber>,
    /// How many changes each server told of since the last round.
    heard: BTreeMap<OwnedServerName, usize>,
}

/// Somebody of whom there is something to tell.
#[derive(Clone, Debug)]
pub(super) struct ToTell {
    pub(super) user: UserNumber,
    pub(super) user_id: OwnedUserId,
    pub(super) whom: Whom,
    pub(super) told: ToldPresence,
}

/// Where it is to be told.
#[derive(Clone, Debug)]
pub(super) enum Whom {
    /// Where a tenant's user is.
    OfTenant(Tenant),
    /// In those of these rooms where the user is.
    OfServer(Vec<RoomNumber>),
}

/// A user with what is told of them.
pub(super) type Told = (OwnedUserId, ToldPresence);

impl Presence {
    /// A device of a user of a tenant is connected up to a time. One that wants to be `offline` is not.
    pub(crate) fn connected(&self, actor: &Actor, state: PresenceState, (now_ts, until_ts): (i64, i64)) {
        if state == PresenceState::Offline {
            return;
        }
        self.change_own(actor, now_ts, |known| {
            known.connect(actor.device, now_ts, |connection| {
                let comes_back = now_ts >= connection.until_ts || connection.state == PresenceState::Offline;
                connection.until_ts = connection.until_ts.max(until_ts);
                if comes_back {
                    connection.active_ts = now_ts;
                }
                if comes_back || state == PresenceState::Unavailable {
                    connection.state = state;
                }
            });
        });
    }

    /// A user of a tenant says with a device how they want to be seen.
    pub(crate) fn said(&self, actor: &Actor, shown: Shown, now_ts: i64) {
        self.change_own(actor, now_ts, |known| {
            known.status_msg = shown.status_msg;
            known.connect(actor.device, now_ts, |connection| {
                connection.state = shown.state;
                connection.active_ts = now_ts;
                connection.until_ts = connection.until_ts.max(now_ts.saturating_add(SAID_MS));
            });
        });
    }

    /// A user of a tenant does something.
    pub(crate) fn active(&self, actor: &Actor, now_ts: i64) {
        let mut state = self.lock();
        let Some(known) = state.users.get_mut(&actor.user) else { return };
        known.act(actor.device, now_ts);
        state.note(actor.user, now_ts);
    }

    /// The rooms of a user of a tenant are to be looked at anew.
    pub(crate) fn moved(&self, user: UserNumber) {
        let mut state = self.lock();
        if state.users.get(&user).is_some_and(|known| known.told.state != PresenceState::Offline) {
            state.changed.insert(user);
        }
    }

    /// A server tells a tenant of one of its users.
    pub(crate) fn heard(
        &self,
        tenant: TenantNumber,
        (user, user_id): (UserNumber, OwnedUserId),
        told: ToldPresence,
        now_ts: i64,
    ) {
        let mut state = self.lock();
        let count = state.heard.entry(user_id.server_name().to_owned()).or_default();
        if *count >= HEARD_OF_SERVER {
            return;
        }
        *count += 1;
        let new = || Known::new(user_id, Whose::Foreign(BTreeSet::new()));
        let known = state.users.entry(user).or_insert_with(new);
        let Whose::Foreign(tenants) = &mut known.whose else { return };
        tenants.insert(tenant);
        let said = Shown { status_msg: bounded(told.shown.status_msg), ..told.shown };
        let active_ts = now_ts.saturating_sub(told.last_active_ago_ms.max(0));
        known.hear(said, active_ts, now_ts.saturating_add(BELIEVED_MS));
        state.note(user, now_ts);
        state.forget_some();
    }

    fn change_own(&self, actor: &Actor, now_ts: i64, change: impl FnOnce(&mut Known)) {
        let mut state = self.lock();
        let new = || Known::new(actor.user_id.clone(), Whose::Own(actor.tenant.clone(), None));
        change(state.users.entry(actor.user).or_insert_with(new));
        state.note(actor.user, now_ts);
        state.forget_some();
    }

    /// The users of tenants who are online in a room, with what was told of them; at most so many.
    pub(super) fn online_in(&self, room: RoomNumber, (now_ts, most): (i64, usize)) -> Vec<(Tenant, Told)> {
        let state = self.lock();
        let known = state.rooms.get(&room).into_iter().flatten().filter_map(|user| state.users.get(user));
        let online = known.filter(|known| known.told.state != PresenceState::Offline);
        let told = online.filter_map(|known| match &known.whose {
            Whose::Own(tenant, _) => Some((tenant.clone(), (known.user_id.clone(), known.told(now_ts)))),
            Whose::Foreign(_) => None,
        });
        told.take(most).collect()
    }

    /// Of whom there is something to tell in this round.
    pub(super) fn to_tell(&self, now_ts: i64) -> Vec<ToTell> {
        let mut state = self.lock();
        state.heard.clear();
        while let Some((ts, user)) = state.due.first().copied().filter(|(ts, _)| *ts <= now_ts) {
            state.due.remove(&(ts, user));
            if let Some(known) = state.users.get_mut(&user) {
                known.due_ts = None;
            }
            state.note(user, now_ts);
        }
        let mut spare = HEARD_TOGETHER;
        let mut found = Vec::new();
        for user in &state.changed {
            let Some(known) = state.users.get(user) else { continue };
            let is_foreign = matches!(known.whose, Whose::Foreign(_));
            if found.len() >= TOLD_TOGETHER || (is_foreign && spare == 0) {
                continue;
            }
            if known.told_ts.saturating_add(PAUSE_MS) <= now_ts {
                spare -= usize::from(is_foreign);
                found.push(*user);
            }
        }
        for user in &found {
            state.changed.remove(user);
        }
        found.into_iter().filter_map(|user| state.telling(user, now_ts)).collect()
    }

    /// Somebody is told of in rooms; gives who hears it.
    pub(super) fn told(
        &self,
        (user, told): (UserNumber, &Shown),
        rooms: BTreeSet<RoomNumber>,
        now_ts: i64,
    ) -> BTreeSet<UserNumber> {
        let mut state = self.lock();
        state.serial += 1;
        let serial = state.serial;
        let Some(known) = state.users.get_mut(&user) else { return BTreeSet::new() };
        let before = std::mem::replace(&mut known.rooms, rooms.clone());
        (known.told, known.told_ts) = (told.clone(), now_ts);
        let is_online = told.state != PresenceState::Offline;
        if let Whose::Own(_, news) = &mut known.whose {
            match is_online {
                true if news.is_none() || before != rooms => {
                    *news = Some(News { from: serial, users: BTreeMap::new() });
                }
                true => {}
                false => *news = None,
            }
            state.set_rooms(user, &before, if is_online { &rooms } else { &NO_ROOMS });
        }
        state.note(user, now_ts);
        state.spread((user, serial), &rooms)
    }

    /// The number of the last thing told.
    pub(crate) fn serial(&self) -> u64 {
        self.lock().serial
    }

    /// What a user of a tenant was not told after the one with number `since`: at most so many.
    pub(super) fn news(&self, user: UserNumber, since: u64, (now_ts, most): (i64, usize)) -> Vec<Told> {
        let state = self.lock();
        let Some(Known { whose: Whose::Own(tenant, Some(news)), rooms, .. }) = state.users.get(&user) else {
            return Vec::new();
        };
        let told = |known: &Known| (known.user_id.clone(), known.told(now_ts));
        if since < news.from {
            let seen = state.users.values().filter(|known| {
                known.told.state != PresenceState::Offline && known.is_shown_to(tenant.number(), rooms)
            });
            return seen.take(most).map(told).collect();
        }
        let new = news.users.iter().filter(|(_, serial)| **serial > since);
        new.filter_map(|(user, _)| state.users.get(user)).take(most).map(told).collect()
    }

    /// What is known of a user, as a tenant may see it.
    pub(super) fn of(&self, user: UserNumber, asker: TenantNumber, now_ts: i64) -> Option<ToldPresence> {
        let state = self.lock();
        let known = state.users.get(&user)?;
        let speaks = match &known.whose {
            Whose::Own(..) => true,
            Whose::Foreign(tenants) => tenants.contains(&asker),
        };
        speaks.then(|| known.told(now_ts))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static NO_ROOMS: BTreeSet<RoomNumber> = BTreeSet::new();

impl State {
    /// Notes whether there is something to tell of a user, and when it is to be looked again.
    fn note(&mut self, user: UserNumber, now_ts: i64) {
        let Some(known) = self.users.get_mut(&user) else { return };
        if known.is_news(now_ts) {
            self.changed.insert(user);
        }
        let Some(next) = known.next_ts(now_ts) else { return };
        // What comes later than it seemed is looked at then, and noted again.
        if known.due_ts.is_none_or(|due| next < due) {
            if let Some(due) = known.due_ts.replace(next) {
                self.due.remove(&(due, user));
            }
            self.due.insert((next, user));
        }
    }

    fn telling(&self, user: UserNumber, now_ts: i64) -> Option<ToTell> {
        let known = self.users.get(&user)?;
        let whom = match &known.whose {
            Whose::Own(tenant, _) => Whom::OfTenant(tenant.clone()),
            Whose::Foreign(tenants) => Whom::OfServer(self.rooms_of_tenants(tenants)),
        };
        Some(ToTell { user, user_id: known.user_id.clone(), whom, told: known.told(now_ts) })
    }

    /// The rooms in which users of some tenants are online.
    fn rooms_of_tenants(&self, tenants: &BTreeSet<TenantNumber>) -> Vec<RoomNumber> {
        let is_of = |user: &UserNumber| self.tenant_of(*user).is_some_and(|tenant| tenants.contains(&tenant));
        let rooms = self.rooms.iter().filter(|(_, users)| users.iter().any(is_of));
        rooms.map(|(room, _)| *room).take(ROOMS_SEARCHED).collect()
    }

    fn tenant_of(&self, user: UserNumber) -> Option<TenantNumber> {
        match &self.users.get(&user)?.whose {
            Whose::Own(tenant, _) => Some(tenant.number()),
            Whose::Foreign(_) => None,
        }
    }

    fn set_rooms(&mut self, user: UserNumber, before: &BTreeSet<RoomNumber>, now: &BTreeSet<RoomNumber>) {
        for room in before.difference(now) {
            if let Some(users) = self.rooms.get_mut(room) {
                users.remove(&user);
                if users.is_empty() {
                    self.rooms.remove(room);
                }
            }
        }
        for room in now {
            self.rooms.entry(*room).or_default().insert(user);
        }
    }

    /// Gives what is told of a user to all who may see it; gives who they are.
    fn spread(
        &mut self,
        (of, serial): (UserNumber, u64),
        rooms: &BTreeSet<RoomNumber>,
    ) -> BTreeSet<UserNumber> {
        let near = rooms.iter().filter_map(|room| self.rooms.get(room)).flatten().copied();
        let mut hearers: BTreeSet<UserNumber> = near.collect();
        let speaks_to = match self.users.get(&of).map(|known| &known.whose) {
            Some(Whose::Foreign(tenants)) => Some(tenants.clone()),
            _ => None,
        };
        hearers.retain(|hearer| {
            let tenant = self.tenant_of(*hearer);
            speaks_to.as_ref().is_none_or(|tenants| tenant.is_some_and(|tenant| tenants.contains(&tenant)))
        });
        for hearer in &hearers {
            let Some(Known { whose: Whose::Own(_, Some(news)), .. }) = self.users.get_mut(hearer) else {
                continue;
            };
            news.users.insert(of, serial);
            if news.users.len() > NEWS_MAX {
                *news = News { from: serial, users: BTreeMap::new() };
            }
        }
        hearers
    }

    /// Forgets whoever was not connected for the longest time, if too many are known.
    fn forget_some(&mut self) {
        if self.users.len() <= USERS_MAX {
            return;
        }
        // Some more than needed, so that this is not done for each change.
        let spare = USERS_MAX / 16;
        let mut by_age: Vec<(i64, UserNumber)> =
            self.users.iter().map(|(user, known)| (known.until_ts, *user)).collect();
        by_age.sort_unstable();
        for (_, user) in by_age.into_iter().take(spare) {
            let Some(known) = self.users.remove(&user) else { continue };
            self.changed.remove(&user);
            if let Some(due) = known.due_ts {
                self.due.remove(&(due, user));
            }
            self.set_rooms(user, &known.rooms, &NO_ROOMS);
        }
    }
}

/// A status message that is not too long.
pub(super) fn bounded(status_msg: Option<String>) -> Option<String> {
    status_msg.filter(|text| !text.is_empty() && text.len() <= STATUS_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use freehold_store::DeviceNumber;
    use ruma_common::{ServerName, UserId};

    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const ROOM: RoomNumber = RoomNumber(7);

    fn tenant(number: u32) -> Tenant {
        let name = ServerName::parse(format!("tenant{number}.example")).unwrap();
        Tenant::new(TenantNumber(number), name)
    }

    fn user_id(number: u64, server: &str) -> OwnedUserId {
        UserId::parse(format!("@u{number}:{server}")).unwrap()
    }

    fn actor(user: u64, of: u32, device: u64) -> Actor {
        let tenant = tenant(of);
        let user_id = user_id(user, tenant.server_name().as_str());
        Actor { tenant, user_id, user: UserNumber(user), device: Some(DeviceNumber(device)) }
    }

    fn connect(presence: &Presence, user: u64, of: u32, times: (i64, i64)) {
        presence.connected(&actor(user, of, 1), PresenceState::Online, times);
    }

    fn heard(presence: &Presence, by: u32, user: u64, state: PresenceState, now_ts: i64) {
        let shown = Shown { state, status_msg: None };
        let told = ToldPresence { shown, last_active_ago_ms: 1_000 };
        let id = user_id(user, "far.example");
        presence.heard(TenantNumber(by), (UserNumber(user), id), told, now_ts);
    }

    /// Tells of everybody of whom there is something to tell, all in one room; gives who was told of.
    fn round(presence: &Presence, now_ts: i64) -> Vec<(u64, PresenceState)> {
        let to_tell = presence.to_tell(now_ts);
        let tell = |one: ToTell| {
            presence.told((one.user, &one.told.shown), BTreeSet::from([ROOM]), now_ts);
            (one.user.0, one.told.shown.state)
        };
        to_tell.into_iter().map(tell).collect()
    }

    fn news(presence: &Presence, user: u64, since: u64, now_ts: i64) -> Vec<(String, PresenceState)> {
        let news = presence.news(UserNumber(user), since, (now_ts, 100));
        news.into_iter().map(|(id, told)| (id.localpart().to_owned(), told.shown.state)).collect()
    }

    #[test]
    fn somebody_is_online_idle_active_and_gone() {
        use PresenceState::{Offline, Online, Unavailable};
        let (presence, user) = (Presence::default(), actor(1, 1, 1));
        let minute = 60_000;
        connect(&presence, 1, 1, (NOW, NOW + 10 * minute));
        assert_eq!(round(&presence, NOW), [(1, Online)]);
        assert_eq!(round(&presence, NOW + 4 * minute), [], "nothing changed");
        assert_eq!(round(&presence, NOW + 5 * minute), [(1, Unavailable)]);
        connect(&presence, 1, 1, (NOW + 6 * minute, NOW + 12 * minute));
        assert_eq!(round(&presence, NOW + 6 * minute), [], "who waits for news does nothing");
        presence.active(&user, NOW + 7 * minute);
        assert_eq!(round(&presence, NOW + 7 * minute), [(1, Online)]);
        assert_eq!(round(&presence, NOW + 12 * minute), [(1, Offline)]);
        connect(&presence, 1, 1, (NOW + 20 * minute, NOW + 21 * minute));
        assert_eq!(round(&presence, NOW + 20 * minute), [(1, Online)], "who comes back does something");
    }

    #[test]
    fn who_says_to_be_offline_is_not_shown_until_they_connect_otherwise() {
        use PresenceState::{Offline, Online};
        let presence = Presence::default();
        connect(&presence, 1, 1, (NOW, NOW + 60_000));
        round(&presence, NOW);
        let hidden = actor(1, 1, 1);
        presence.said(&hidden, Shown::default(), NOW + 1_000);
        assert_eq!(round(&presence, NOW + 1_000), [], "it is not told at once again");
        assert_eq!(round(&presence, NOW + PAUSE_MS), [(1, Offline)]);
        presence.connected(&hidden, Offline, (NOW + PAUSE_MS, NOW + 90_000));
        assert_eq!(round(&presence, NOW + 2 * PAUSE_MS), []);
        presence.connected(&hidden, Online, (NOW + PAUSE_MS, NOW + 90_000));
        assert_eq!(round(&presence, NOW + 2 * PAUSE_MS), [(1, Online)]);
    }

    #[test]
    fn of_several_devices_the_most_present_counts() {
        use PresenceState::{Offline, Online, Unavailable};
        let presence = Presence::default();
        let (phone, desk, bot) = (actor(1, 1, 1), actor(1, 1, 2), actor(1, 1, 3));
        let minute = 60_000;
        presence.connected(&phone, Unavailable, (NOW, NOW + 20 * minute));
        assert_eq!(round(&presence, NOW), [(1, Unavailable)]);
        presence.connected(&desk, Online, (NOW + minute, NOW + 4 * minute));
        assert_eq!(round(&presence, NOW + minute), [(1, Online)]);
        presence.connected(&phone, Unavailable, (NOW + 2 * minute, NOW + 22 * minute));
        assert_eq!(round(&presence, NOW + 2 * minute), [], "the desk is still there");
        assert_eq!(round(&presence, NOW + 4 * minute), [(1, Unavailable)], "and now it is not");
        presence.said(&phone, Shown::default(), NOW + 5 * minute);
        assert_eq!(round(&presence, NOW + 5 * minute), [(1, Offline)]);
        let away = Shown { state: Unavailable, status_msg: Some("away".to_owned()) };
        presence.said(&phone, away, NOW + 6 * minute);
        assert_eq!(round(&presence, NOW + 6 * minute), [(1, Unavailable)]);
        presence.active(&bot, NOW + 7 * minute);
        assert_eq!(round(&presence, NOW + 7 * minute), [(1, Online)], "whichever device it was");
        presence.connected(&desk, Online, (NOW + 8 * minute, NOW + 9 * minute));
        let told = presence.of(UserNumber(1), TenantNumber(1), NOW + 8 * minute).unwrap();
        assert_eq!(
            told.shown.status_msg.as_deref(),
            Some("away"),
            "the message is the user's, not the device's"
        );
        for device in 10..200 {
            presence.connected(&actor(1, 1, device), Online, (NOW + 9 * minute, NOW + 10 * minute));
        }
        assert_eq!(presence.lock().users[&UserNumber(1)].devices(), super::super::limits::DEVICES_MAX);
    }

    #[test]
    fn who_is_online_in_a_room_is_told_to_servers_that_come_into_it() {
        let presence = Presence::default();
        connect(&presence, 1, 1, (NOW, NOW + 60_000));
        connect(&presence, 2, 1, (NOW, NOW + 1_000));
        round(&presence, NOW);
        heard(&presence, 1, 9, PresenceState::Online, NOW);
        round(&presence, NOW + 1_000);
        let online = |most| -> Vec<String> {
            let online = presence.online_in(ROOM, (NOW + 1_000, most)).into_iter();
            online.map(|(_, (user_id, _))| user_id.to_string()).collect()
        };
        assert_eq!(online(9), ["@u1:tenant1.example", "@u2:tenant1.example"], "not told yet to be gone");
        assert_eq!(online(1).len(), 1);
        round(&presence, NOW + PAUSE_MS);
        assert_eq!(online(9), ["@u1:tenant1.example"]);
        assert!(presence.online_in(RoomNumber(8), (NOW, 9)).is_empty());
    }

    #[test]
    fn who_comes_online_is_told_of_everybody_and_then_of_what_changes() {
        use PresenceState::{Offline, Online};
        let presence = Presence::default();
        connect(&presence, 1, 1, (NOW, NOW + 600_000));
        round(&presence, NOW);
        let before = presence.serial();
        connect(&presence, 2, 1, (NOW, NOW + 60_000));
        round(&presence, NOW);
        assert_eq!(news(&presence, 1, before, NOW), [("u2".to_owned(), Online)]);
        let all = [("u1".to_owned(), Online), ("u2".to_owned(), Online)];
        assert_eq!(news(&presence, 2, 0, NOW), all);
        let since = presence.serial();
        assert_eq!(news(&presence, 2, since, NOW), []);
        round(&presence, NOW + 60_000);
        assert_eq!(news(&presence, 1, since, NOW + 60_000), [("u2".to_owned(), Offline)]);
        assert_eq!(news(&presence, 2, 0, NOW + 60_000), [], "who is gone is told nothing");
    }

    #[test]
    fn users_of_other_servers_are_shown_to_those_tenants_that_were_told() {
        use PresenceState::{Offline, Online};
        let presence = Presence::default();
        for (user, tenant) in [(1, 1), (2, 2)] {
            connect(&presence, user, tenant, (NOW, NOW + 10_000_000));
        }
        round(&presence, NOW);
        heard(&presence, 1, 9, Online, NOW);
        let to_tell = presence.to_tell(NOW);
        assert!(matches!(&to_tell[0].whom, Whom::OfServer(rooms) if *rooms == [ROOM]), "{to_tell:?}");
        let hearers = presence.told((UserNumber(9), &to_tell[0].told.shown), BTreeSet::from([ROOM]), NOW);
        assert_eq!(hearers, BTreeSet::from([UserNumber(1)]));
        assert!(news(&presence, 1, 0, NOW).contains(&("u9".to_owned(), Online)));
        assert!(!news(&presence, 2, 0, NOW).iter().any(|(user, _)| user == "u9"));
        assert!(presence.of(UserNumber(9), TenantNumber(2), NOW).is_none());
        assert_eq!(presence.of(UserNumber(9), TenantNumber(1), NOW).unwrap().last_active_ago_ms, 1_000);
        // A server that says nothing any more is not believed for ever.
        let later = NOW + BELIEVED_MS;
        assert!(round(&presence, later).contains(&(9, Offline)));
    }

    #[test]
    fn a_server_is_heard_only_so_often_and_memory_is_bounded() {
        let presence = Presence::default();
        connect(&presence, 1, 1, (NOW, NOW + 60_000));
        round(&presence, NOW);
        for user in 100..100 + 2 * HEARD_OF_SERVER as u64 {
            heard(&presence, 1, user, PresenceState::Online, NOW);
        }
        assert_eq!(presence.lock().users.len(), 1 + HEARD_OF_SERVER);
        assert_eq!(
            round(&presence, NOW).len(),
            HEARD_TOGETHER,
            "the others have their turn in the next round"
        );
        assert_eq!(round(&presence, NOW).len(), HEARD_TOGETHER);
        for user in 0..USERS_MAX as u64 + 10 {
            connect(&presence, 1_000 + user, 1, (NOW + 60_000, NOW + 120_000));
        }
        let state = presence.lock();
        assert!(state.users.len() <= USERS_MAX);
        assert!(state.changed.iter().all(|user| state.users.contains_key(user)));
        assert!(state.due.iter().all(|(_, user)| state.users.contains_key(user)));
        assert!(state.rooms.values().flatten().all(|user| state.users.contains_key(user)));
    }
}
