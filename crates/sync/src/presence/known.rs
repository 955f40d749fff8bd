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
mod tests;
