//! What is known of somebody, and what others are to see of it.

use std::collections::{BTreeMap, BTreeSet};

use freehold_store::{DeviceNumber, RoomNumber, Tenant, TenantNumber, UserNumber};
use ruma_common::OwnedUserId;

use super::limits::{DEVICES_MAX, IDLE_MS, REPEATED_MS};
use super::shown::{PresenceState, Shown, ToldPresence};

/// What is known of somebody.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) user_id: OwnedUserId,
    pub(super) whose: Whose,
    /// What they, or their server, said last of themselves.
    pub(super) status_msg: Option<String>,
    /// What each of their devices says; of a user of another server, what that says, without a device. Few: looked
    /// through.
    connections: Vec<(Option<DeviceNumber>, Connection)>,
    /// When they were last active, with whichever device.
    pub(super) active_ts: i64,
    /// Until when they are connected, or their server is believed.
    pub(super) until_ts: i64,
    /// What was told last, and when.
    pub(super) told: Shown,
    pub(super) told_ts: i64,
    /// The rooms in which it was told.
    pub(super) rooms: BTreeSet<RoomNumber>,
    pub(super) due_ts: Option<i64>,
}

/// What is known of a device.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection {
    pub(super) state: PresenceState,
    pub(super) active_ts: i64,
    /// Until when it is connected.
    pub(super) until_ts: i64,
}

impl Connection {
    /// "Any activity […] will cause the server to automatically set their presence to `online`."
    fn acts(&mut self, now_ts: i64) {
        self.active_ts = now_ts;
        if self.state == PresenceState::Unavailable {
            self.state = PresenceState::Online;
        }
    }

    fn idle_ts(&self) -> i64 {
        self.active_ts.saturating_add(IDLE_MS)
    }
}

/// Whose user it is.
#[derive(Debug)]
pub(super) enum Whose {
    /// A user of a tenant, with who changed since a moment, while the user is online.
    Own(Tenant, Option<News>),
    /// A user of another server, with the tenants to whom that spoke.
    Foreign(BTreeSet<TenantNumber>),
}

/// Who changed since a moment.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) from: u64,
    pub(super) users: BTreeMap<UserNumber, u64>,
}

impl Known {
    pub(super) fn new(user_id: OwnedUserId, whose: Whose) -> Self {
        Known {
            user_id,
            whose,
            status_msg: None,
            connections: Vec::new(),
            active_ts: 0,
            until_ts: 0,
            told: Shown::default(),
            told_ts: i64::MIN,
            rooms: BTreeSet::new(),
            due_ts: None,
        }
    }

    /// Something becomes known of a device.
    pub(super) fn connect(
        &mut self,
        device: Option<DeviceNumber>,
        now_ts: i64,
        change: impl FnOnce(&mut Connection),
    ) {
        self.connections.retain(|(known, connection)| *known == device || now_ts < connection.until_ts);
        let place = self.connections.iter().position(|(known, _)| *known == device);
        let mut connection = place.map(|place| self.connections.swap_remove(place).1).unwrap_or_default();
        change(&mut connection);
        if self.connections.len() >= DEVICES_MAX {
            let soonest = (0..).zip(&self.connections).min_by_key(|(_, (_, other))| other.until_ts);
            let soonest = soonest.map(|(place, _)| place);
            soonest.map(|place: usize| self.connections.swap_remove(place));
        }
        self.active_ts = self.active_ts.max(connection.active_ts);
        self.until_ts = self.until_ts.max(connection.until_ts);
        // Most have one device.
        self.connections.reserve_exact(1);
        self.connections.push((device, connection));
    }

    /// The user does something with a device. Without one that is connected, it is not known with which.
    pub(super) fn act(&mut self, device: Option<DeviceNumber>, now_ts: i64) {
        self.active_ts = now_ts;
        let is_known = self.connections.iter().any(|(known, _)| *known == device);
        for (known, connection) in &mut self.connections {
            if *known == device || !is_known {
                connection.acts(now_ts);
            }
        }
    }

    /// The server of the user says how they are.
    pub(super) fn hear(&mut self, said: Shown, active_ts: i64, until_ts: i64) {
        self.status_msg = said.status_msg;
        self.connections = vec![(None, Connection { state: said.state, active_ts, until_ts })];
        (self.active_ts, self.until_ts) = (active_ts, until_ts);
    }

    /// Of how many devices something is known.
    #[cfg(test)]
    pub(super) fn devices(&self) -> usize {
        self.connections.len()
    }

    /// What others are to see. "This information is collated from both per-device […] and per-user (status) data": of
    /// several devices, the one that is most present.
    pub(super) fn shown(&self, now_ts: i64) -> Shown {
        let is_own = matches!(self.whose, Whose::Own(..));
        let states = self.connections.iter().map(|(_, connection)| match connection.state {
            _ if now_ts >= connection.until_ts => PresenceState::Offline,
            PresenceState::Online if is_own && now_ts >= connection.idle_ts() => PresenceState::Unavailable,
            state => state,
        });
        Shown { state: states.min().unwrap_or_default(), status_msg: self.status_msg.clone() }
    }

    /// When something changes by itself; `None` if nothing does.
    pub(super) fn next_ts(&self, now_ts: i64) -> Option<i64> {
        let is_offline = self.shown(now_ts).state == PresenceState::Offline;
        let repeated = matches!(self.whose, Whose::Own(..)).then(|| self.told_ts.saturating_add(REPEATED_MS));
        let of_devices = self.connections.iter().flat_map(|(_, one)| [one.until_ts, one.idle_ts()]);
        of_devices.chain(repeated).filter(|ts| *ts > now_ts && !is_offline).min()
    }

    /// Whether there is something to tell.
    pub(super) fn is_news(&self, now_ts: i64) -> bool {
        let shown = self.shown(now_ts);
        let is_repeated = shown.state != PresenceState::Offline
            && matches!(self.whose, Whose::Own(..))
            && now_ts.saturating_sub(self.told_ts) >= REPEATED_MS;
        shown != self.told || is_repeated
    }

    pub(super) fn told(&self, now_ts: i64) -> ToldPresence {
        let last_active_ago_ms = now_ts.saturating_sub(self.active_ts).max(0);
        ToldPresence { shown: self.shown(now_ts), last_active_ago_ms }
    }

    /// Whether a user of a tenant, in some rooms, may see it.
    pub(super) fn is_shown_to(&self, tenant: TenantNumber, rooms: &BTreeSet<RoomNumber>) -> bool {
        let speaks = match &self.whose {
            Whose::Own(..) => true,
            Whose::Foreign(tenants) => tenants.contains(&tenant),
        };
        speaks && !self.rooms.is_disjoint(rooms)
    }
}
