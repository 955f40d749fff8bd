//! What is known of somebody, and what others are to see of it.

use std::collections::{BTreeMap, BTreeSet};

use freehold_store::{RoomNumber, Tenant, TenantNumber, UserNumber};
use ruma_common::OwnedUserId;

use super::limits::{IDLE_MS, REPEATED_MS};
use super::shown::{PresenceState, Shown, ToldPresence};

/// What is known of somebody.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) user_id: OwnedUserId,
    pub(super) whose: Whose,
    /// What they, or their server, said last.
    pub(super) said: Shown,
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
            said: Shown::default(),
            active_ts: 0,
            until_ts: 0,
            told: Shown::default(),
            told_ts: i64::MIN,
            rooms: BTreeSet::new(),
            due_ts: None,
        }
    }

    /// What others are to see.
    pub(super) fn shown(&self, now_ts: i64) -> Shown {
        let status_msg = self.said.status_msg.clone();
        let is_own = matches!(self.whose, Whose::Own(..));
        let state = match self.said.state {
            _ if now_ts >= self.until_ts => PresenceState::Offline,
            PresenceState::Online if is_own && now_ts >= self.idle_ts() => PresenceState::Unavailable,
            state => state,
        };
        Shown { state, status_msg }
    }

    fn idle_ts(&self) -> i64 {
        self.active_ts.saturating_add(IDLE_MS)
    }

    /// When something changes by itself; `None` if nothing does.
    pub(super) fn next_ts(&self, now_ts: i64) -> Option<i64> {
        let is_offline = self.shown(now_ts).state == PresenceState::Offline;
        let repeated = matches!(self.whose, Whose::Own(..)).then(|| self.told_ts.saturating_add(REPEATED_MS));
        let all = [Some(self.until_ts), Some(self.idle_ts()), repeated];
        all.into_iter().flatten().filter(|ts| *ts > now_ts && !is_offline).min()
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
