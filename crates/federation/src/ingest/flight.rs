//! One search for what is missing in a room: one at a time in each room, within bounds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_event::Pdu;
use freehold_rooms::{ActionError, Delivery, Incoming, Look, RoomFacts, Rooms};
use freehold_signing::{KeySource, WantedKey};
use freehold_store::{Tenant, TenantNumber};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, RoomId, ServerName};
use tokio::time::timeout;

use super::driver::Inner;
use super::fetching::{Asking, NoAnswer};
use crate::limits::{
    FLIGHT_BACKOFF_MAX_MS, FLIGHT_BACKOFF_MIN_MS, FLIGHT_BLAMES_MAX, FLIGHT_LINE_MS, FLIGHT_PATIENCE_MS,
    FLIGHT_TIME_MS, FLIGHT_WAITING_MAX, LOOKED_AT_ONCE,
};

/// The searches that go on, and who began one in vain.
#[derive(Default)]
pub(super) struct Flights(Mutex<Going>);

#[derive(Default)]
struct Going {
    rooms: BTreeMap<(OwnedRoomId, Kin), Line>,
    origins: BTreeMap<(TenantNumber, OwnedRoomId, OwnedServerName), Line>,
    blames: BTreeMap<(TenantNumber, OwnedRoomId, OwnedServerName), Blame>,
}

/// Those who wait for one search after the other.
type Line = Arc<tokio::sync::Mutex<()>>;

/// A place in line.
#[derive(Debug)]
pub(super) struct Place {
    /// All who have events of the same room, one after the other: what one finds, the next one need not look for.
    room: Line,
    /// Those of the same server.
    origin: Line,
}

/// One's turn in a line.
pub(super) type Turn = tokio::sync::OwnedMutexGuard<()>;

impl Place {
    /// The turn for a search. Whoever has waited for others for a while goes ahead beside them, so that a server that answers slowly
    /// keeps nobody waiting but itself. `None` when searches of the same server take too long.
    pub(super) async fn turn(&self) -> Option<(Turn, Option<Turn>)> {
        let own = Arc::clone(&self.origin).lock_owned();
        let own = timeout(Duration::from_millis(FLIGHT_TIME_MS), own).await.ok()?;
        let after_others = Arc::clone(&self.room).lock_owned();
        let after_others = timeout(Duration::from_millis(FLIGHT_LINE_MS), after_others).await;
        Some((own, after_others.ok()))
    }
}

/// On what occasion a search begins.
#[derive(Clone, Copy)]
pub(super) struct Occasion<'a> {
    /// For whom. What was in vain for one tenant says nothing about others: they share no process as far as anybody can see.
    pub(super) tenant: TenantNumber,
    pub(super) room_id: &'a RoomId,
    /// Who brought the event.
    pub(super) origin: &'a ServerName,
    pub(super) kin: Kin,
}

/// What a server that brings events has to do with their room, as far as is known here. Each kind has a line of its own, so
/// that strangers, of whom there can be any number, keep nobody waiting who is in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kin {
    /// It is in the room.
    Member,
    /// It is not; it may have come in with an event that is missing.
    Stranger,
}

/// A server that brought an event for which nobody could give what was missing.
#[derive(Clone, Copy)]
struct Blame {
    wait_ms: i64,
    until_ts: i64,
    found: Found,
}

/// Why no search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSearch {
    /// The last one was in vain.
    Vain,
    /// There are too many; or in the last one the server itself could not be asked, which may be so for a moment only.
    Later,
}

impl Flights {
    /// The place in line for the search in a room, unless too many wait, or the server's last one was in vain.
    pub(super) fn enter(&self, occasion: Occasion<'_>, now_ts: i64) -> Result<Place, NoSearch> {
        let mut going = self.lock();
        let blame = going.blames.get(&occasion.blamed());
        if let Some(blame) = blame.filter(|blame| now_ts < blame.until_ts) {
            return Err(if blame.is_young() { NoSearch::Later } else { NoSearch::Vain });
        }
        going.rooms.retain(|_, line| Arc::strong_count(line) > 1);
        let line = going.rooms.entry((occasion.room_id.to_owned(), occasion.kin)).or_default();
        if Arc::strong_count(line) > FLIGHT_WAITING_MAX {
            return Err(NoSearch::Later);
        }
        let room = Arc::clone(line);
        going.origins.retain(|_, line| Arc::strong_count(line) > 1);
        let origin = Arc::clone(going.origins.entry(occasion.blamed()).or_default());
        Ok(Place { room, origin })
    }

    /// Notes how a search ended that a server was the reason for. Tells whether the server is to bring the same again: it could not
    /// be asked itself, and that is so since a short time.
    pub(super) fn end(&self, occasion: Occasion<'_>, (found, now_ts): (Found, i64)) -> bool {
        let mut going = self.lock();
        let key = occasion.blamed();
        if found == Found::All {
            going.blames.remove(&key);
            return false;
        }
        if going.blames.len() >= FLIGHT_BLAMES_MAX {
            going.blames.retain(|_, blame| now_ts < blame.until_ts);
        }
        let last = going.blames.get(&key).map_or(0, |blame| blame.wait_ms);
        let wait_ms = last.saturating_mul(2).clamp(FLIGHT_BACKOFF_MIN_MS, FLIGHT_BACKOFF_MAX_MS);
        let blame = Blame { wait_ms, until_ts: now_ts.saturating_add(wait_ms), found };
        if going.blames.len() < FLIGHT_BLAMES_MAX {
            going.blames.insert(key, blame);
        }
        blame.is_young()
    }

    fn lock(&self) -> MutexGuard<'_, Going> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blame {
    /// Whether the server itself could not be asked, since a short time.
    fn is_young(self) -> bool {
        self.found == Found::Unreached && self.wait_ms <= FLIGHT_PATIENCE_MS
    }
}

impl Occasion<'_> {
    fn blamed(&self) -> (TenantNumber, OwnedRoomId, OwnedServerName) {
        (self.tenant, self.room_id.to_owned(), self.origin.to_owned())
    }
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// What was missing came.
    All,
    /// It did not.
    NotAll,
    /// It did not, and who was the reason for it could not be asked.
    Unreached,
}

/// A search for what is missing.
pub(super) struct Flight<'a> {
    pub(super) inner: &'a Inner,
    pub(super) tenant: &'a Tenant,
    pub(super) room: Arc<RoomFacts>,
    /// Who brought the event for which something is missing, if somebody did.
    pub(super) origin: Option<&'a ServerName>,
    /// Whom to ask, in this order.
    pub(super) servers: Vec<OwnedServerName>,
    /// How many more events may be fetched.
    pub(super) left: AtomicUsize,
}

/// An event that came, not looked at any further than its format.
pub(super) struct Piece {
    pub(super) pdu: Box<Pdu>,
    pub(super) json: String,
}

impl<'a> Flight<'a> {
    pub(super) fn asking(&'a self, at: &'a ServerName) -> Asking<'a> {
        let has_spoken = self.origin == Some(at);
        Asking { tenant: self.tenant, at, room_id: &self.room.room_id, has_spoken }
    }

    pub(super) fn rooms(&self) -> &Rooms {
        &self.inner.parts.rooms
    }

    pub(super) fn room_id(&self) -> &RoomId {
        &self.room.room_id
    }

    /// Takes some events off what may still be fetched.
    pub(super) fn spend(&self, events: usize) -> Result<(), NoAnswer> {
        let spend = |left: usize| left.checked_sub(events);
        let spent = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
        spent.map(|_| ()).map_err(|_| NoAnswer::TooMuch)
    }

    /// The events of an answer that are well-formed and not known, by id. What is neither is passed over.
    pub(super) async fn look(&self, texts: Vec<String>) -> Result<BTreeMap<OwnedEventId, Piece>, NoAnswer> {
        self.spend(texts.len())?;
        self.look_unspent(texts).await
    }

    /// The same for an answer that has a bound of its own.
    pub(super) async fn look_unspent(
        &self,
        texts: Vec<String>,
    ) -> Result<BTreeMap<OwnedEventId, Piece>, NoAnswer> {
        let mut pieces = BTreeMap::new();
        for (place, json) in texts.into_iter().enumerate() {
            if place % LOOKED_AT_ONCE == LOOKED_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let look = self.rooms().look_at(self.room_id(), json.as_bytes()).await.map_err(here)?;
            if let Ok(Look::New(pdu)) = look {
                pieces.insert(pdu.event_id().to_owned(), Piece { pdu, json });
            }
        }
        Ok(pieces)
    }

    /// The keys for some events.
    pub(super) async fn keys(&self, wanted: Vec<WantedKey>) -> Box<dyn KeySource + Send + Sync> {
        self.inner.parts.fetching.keys(&wanted).await
    }

    /// Receives an event, once its room's policy server was asked about it if it has to be.
    pub(super) async fn receive(
        &self,
        piece: &Piece,
        state: Option<&[OwnedEventId]>,
        keys: &(dyn KeySource + Sync),
    ) -> Result<Incoming, NoAnswer> {
        let policy =
            self.inner.policy(self.asking(self.tenant.server_name()), &piece.pdu).await.map_err(here)?;
        let policy = policy.as_ref().map(|(server, signature)| (&**server, signature));
        let delivery = Delivery { json: piece.json.as_bytes(), state, policy };
        self.rooms().deliver(self.room_id(), delivery, keys).await.map_err(here)
    }
}

/// A fault of ours.
pub(super) fn here(error: impl Into<ActionError>) -> NoAnswer {
    NoAnswer::Here(Box::new(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occasion(tenant: u32, origin: &str, kin: Kin) -> Occasion<'_> {
        let room_id = <&RoomId>::try_from("!room:one.example").unwrap();
        let origin = <&ServerName>::try_from(origin).unwrap();
        Occasion { tenant: TenantNumber(tenant), room_id, origin, kin }
    }

    #[test]
    fn strangers_in_line_keep_nobody_waiting_who_is_in_the_room() {
        let flights = Flights::default();
        let names: Vec<String> =
            (0..FLIGHT_WAITING_MAX + 5).map(|number| format!("s{number}.example")).collect();
        let strangers: Vec<_> =
            names.iter().filter_map(|name| flights.enter(occasion(1, name, Kin::Stranger), 0).ok()).collect();
        assert_eq!(strangers.len(), FLIGHT_WAITING_MAX);
        let _search = strangers[0].room.try_lock().unwrap();
        let member = flights.enter(occasion(1, "member.example", Kin::Member), 0).unwrap();
        assert!(member.room.try_lock().is_ok());
    }

    /// Whoever is told that an event cannot be taken now brings it again, and is not to do so for ever: it may be we who
    /// reach nobody.
    #[test]
    fn what_could_not_be_asked_for_is_worth_being_brought_again_for_a_while() {
        let flights = Flights::default();
        let (mut now_ts, mut again) = (0, 0);
        while flights.end(occasion(1, "far.example", Kin::Member), (Found::Unreached, now_ts)) {
            let refused = flights.enter(occasion(1, "far.example", Kin::Member), now_ts).unwrap_err();
            assert_eq!(refused, NoSearch::Later);
            now_ts += FLIGHT_PATIENCE_MS;
            again += 1;
        }
        assert!((2..6).contains(&again), "{again}");
        let refused = flights.enter(occasion(1, "far.example", Kin::Member), now_ts).unwrap_err();
        assert_eq!(refused, NoSearch::Vain);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_waited_for_others_goes_ahead_and_waits_for_itself_alone() {
        let flights = Flights::default();
        let place = |origin| flights.enter(occasion(1, origin, Kin::Member), 0).unwrap();
        let slow = place("slow.example").turn().await.unwrap();
        assert!(slow.1.is_some());
        for origin in ["one.example", "other.example"] {
            let (_, after_others) = place(origin).turn().await.unwrap();
            assert!(after_others.is_none(), "{origin}");
        }
        assert!(place("slow.example").turn().await.is_none());
        drop(slow);
        assert!(place("slow.example").turn().await.is_some_and(|(_, after_others)| after_others.is_some()));
        assert!(flights.lock().origins.len() <= 1, "nothing is left of those who went");
    }

    /// Otherwise whoever brings the same event to two tenants would see that they share a process.
    #[test]
    fn a_search_in_vain_for_one_tenant_is_nothing_to_another() {
        let flights = Flights::default();
        flights.end(occasion(1, "far.example", Kin::Member), (Found::NotAll, 0));
        assert_eq!(flights.enter(occasion(1, "far.example", Kin::Member), 1).unwrap_err(), NoSearch::Vain);
        assert!(flights.enter(occasion(2, "far.example", Kin::Member), 1).is_ok());
        assert!(flights.enter(occasion(1, "other.example", Kin::Member), 1).is_ok());
        assert!(flights.enter(occasion(1, "far.example", Kin::Member), FLIGHT_BACKOFF_MIN_MS).is_ok());
    }
}
