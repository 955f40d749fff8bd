//! A tenant in a room of others, and those others: honest ones, silent ones, liars.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use freehold_event::RoomVersion;
use freehold_federation::{
    Asking, Fetching, Ingest, IngestParts, MissingQuery, NoAnswer, StateIds, WholeState,
};
use freehold_keyring::Purpose;
use freehold_rooms::{
    Between, Delivery, Identities, Incoming, NoProfiles, NoRemoteServers, Outside, ResolveBudget, Rooms,
    RoomsSettings, SigningError,
};
use freehold_signing::{
    KeyId, KeySource, KeyValidity, ServerSigner, Signature, Signer, SigningKey, VerifyingKey, WantedKey,
};
use freehold_store::{BoxFuture, Clock, Interner, Order, RoomNumber, Store, Tenant, TenantNumber};
use freehold_testkit::StateMap;
use ruma_common::{EventId, OwnedEventId, OwnedServerName, ServerName};

use crate::disk::Disk;
use crate::truth::Truth;

/// The server of the generated rooms that is a tenant of ours.
pub(crate) const OURS: &str = "s2.example";

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It says what it knows.
    Honest,
    /// It never answers.
    Silent,
    /// It says no.
    Refuses,
    /// It has no events between, but knows states.
    Forgetful,
    /// It knows of nothing that happened after the beginning of the room.
    Behind,
    /// It gives auth chains of more events than are fetched in one search, most of which are known.
    Verbose,
    /// It has no events between, and gives states with very many events that nobody ever heard of.
    Swells,
    /// It gives events of another room, events that were not asked for, forgeries, and states that never were.
    Lies,
}

/// What others answer.
pub(crate) struct Others {
    pub(crate) truth: Arc<Truth>,
    /// Another room, whose events liars give.
    pub(crate) other: Truth,
    pub(crate) manners: Mutex<BTreeMap<String, Manner>>,
    /// What was asked, in order: server and question.
    pub(crate) asked: Mutex<Vec<(String, &'static str)>>,
}

impl Others {
    pub(crate) fn asked(&self, question: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(_, asked)| *asked == question).count()
    }

    pub(crate) fn behave(&self, server: &str, manner: Manner) {
        self.manners.lock().unwrap().insert(server.to_owned(), manner);
    }

    /// The manner of a server that was asked something; silent ones stay so for ever.
    async fn manner(&self, asking: Asking<'_>, question: &'static str) -> Result<Manner, NoAnswer> {
        assert_ne!(asking.at.as_str(), OURS, "a tenant is asked over the network");
        self.asked.lock().unwrap().push((asking.at.to_string(), question));
        let manner = self.manners.lock().unwrap().get(asking.at.as_str()).copied().unwrap_or(Manner::Honest);
        match manner {
            Manner::Silent => std::future::pending().await,
            Manner::Refuses => Err(NoAnswer::Useless("no")),
            manner => Ok(manner),
        }
    }

    fn lies(&self) -> Vec<String> {
        let foreign = self.other.room.order.iter().take(5).map(|id| self.other.json(id));
        let forged = self
            .truth
            .room
            .order
            .iter()
            .take(5)
            .map(|id| self.truth.json(id).replace("depth\":", "depth\":7"));
        let nonsense = ["{}".to_owned(), "[]".to_owned(), "x".repeat(100_000)];
        foreign.chain(forged).chain(nonsense).collect()
    }

    fn texts(&self, ids: impl IntoIterator<Item = String>) -> Vec<String> {
        ids.into_iter().map(|id| self.truth.json(&id)).collect()
    }
}

fn parsed<'a>(ids: impl IntoIterator<Item = &'a String>) -> Vec<OwnedEventId> {
    ids.into_iter().map(|id| EventId::parse(id.as_str()).unwrap()).collect()
}

impl Fetching for Others {
    fn keys<'a>(&'a self, _: &'a [WantedKey]) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        let keys: Box<dyn KeySource + Send + Sync> = Box::new(self.truth.keys.clone());
        Box::pin(std::future::ready(keys))
    }

    fn missing_events<'a>(
        &'a self,
        asking: Asking<'a>,
        query: &'a MissingQuery,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>> {
        Box::pin(async move {
            match self.manner(asking, "missing_events").await? {
                Manner::Forgetful | Manner::Swells => Ok(Vec::new()),
                Manner::Lies => Ok(self.lies()),
                _ => {
                    let limit = query.limit;
                    Ok(self.texts(self.truth.before(&query.latest_events, &query.earliest_events, limit)))
                }
            }
        })
    }

    fn event<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<String, NoAnswer>> {
        Box::pin(async move {
            match self.manner(asking, "event").await? {
                Manner::Lies => Ok(self.lies().remove(0)),
                _ => {
                    let event = self.truth.room.events.get(event_id.as_str());
                    event.and_then(|event| event.pdu.clone()).ok_or(NoAnswer::Useless("no such event"))
                }
            }
        })
    }

    fn event_auth<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>> {
        Box::pin(async move {
            match self.manner(asking, "event_auth").await? {
                Manner::Lies => Ok(self.lies()),
                manner => {
                    let known = self.truth.json(&self.truth.room.create_event_id);
                    let padding = if manner == Manner::Verbose { 6_000 } else { 0 };
                    let mut texts = vec![known; padding];
                    texts.extend(self.texts(self.truth.chain([event_id.to_string()])));
                    Ok(texts)
                }
            }
        })
    }

    fn state_ids<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<StateIds, NoAnswer>> {
        Box::pin(async move {
            let manner = self.manner(asking, "state_ids").await?;
            if manner == Manner::Lies {
                let pdu_ids = parsed(self.other.room.order.iter().take(10));
                return Ok(StateIds { pdu_ids, auth_chain_ids: Vec::new() });
            }
            let state = self.truth.state_after(&self.truth.room.events[event_id.as_str()].prev_events);
            let chain = self.truth.chain(state.values().cloned());
            let mut pdu_ids = parsed(state.values());
            if manner == Manner::Swells {
                let unheard_of = (0..10_000).map(|number| format!("${number:0>43}"));
                pdu_ids.extend(parsed(&unheard_of.collect::<Vec<_>>()));
            }
            Ok(StateIds { pdu_ids, auth_chain_ids: parsed(&chain) })
        })
    }

    fn state<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<WholeState, NoAnswer>> {
        Box::pin(async move {
            self.manner(asking, "state").await?;
            let state = self.truth.state_after(&self.truth.room.events[event_id.as_str()].prev_events);
            let chain = self.truth.chain(state.values().cloned());
            Ok(WholeState { pdus: self.texts(state.into_values()), auth_chain: self.texts(chain) })
        })
    }

    fn backfill<'a>(
        &'a self,
        asking: Asking<'a>,
        from: &'a [OwnedEventId],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>> {
        Box::pin(async move {
            match self.manner(asking, "backfill").await? {
                Manner::Lies => Ok(self.lies()),
                Manner::Forgetful => Ok(Vec::new()),
                _ => {
                    let is_known = |id: &&OwnedEventId| self.truth.room.events.contains_key(id.as_str());
                    let from: Vec<OwnedEventId> = from.iter().filter(is_known).cloned().collect();
                    let before = self.truth.before(&from, &[], limit.min(8));
                    Ok(self.texts(from.iter().map(ToString::to_string).chain(before)))
                }
            }
        })
    }

    fn last_event<'a>(&'a self, asking: Asking<'a>, _: i64) -> BoxFuture<'a, Result<OwnedEventId, NoAnswer>> {
        Box::pin(async move {
            if self.manner(asking, "last_event").await? == Manner::Behind {
                return Ok(EventId::parse(self.truth.room.create_event_id.as_str()).unwrap());
            }
            let accepted = self.truth.room.events_in_order().filter(|event| !event.rejected);
            Ok(EventId::parse(accepted.last().unwrap().event_id.as_str()).unwrap())
        })
    }

    fn policy_signature<'a>(
        &'a self,
        asking: Asking<'a>,
        _: &'a freehold_event::Pdu,
    ) -> BoxFuture<'a, Result<Signature, NoAnswer>> {
        Box::pin(async move {
            self.manner(asking, "policy_signature").await?;
            Err(NoAnswer::Useless("no policy server"))
        })
    }
}

/// Our process: one tenant, which has been in the room for a while.
pub(crate) struct Ours {
    pub(crate) rooms: Rooms,
    pub(crate) ingest: Ingest,
    pub(crate) others: Arc<Others>,
    pub(crate) tenant: Tenant,
    pub(crate) store: Store,
    clock: Arc<Ticking>,
    /// Whether nothing can be written.
    pub(crate) is_full: Arc<AtomicBool>,
    /// How many of the room's events, in their order, are here from the beginning.
    pub(crate) begun: usize,
}

struct Hosted(Tenant, [u8; 32]);

impl Identities for Hosted {
    fn tenant(&self, server_name: &ServerName) -> Option<Tenant> {
        (server_name == self.0.server_name()).then(|| self.0.clone())
    }

    fn signer(
        &self,
        tenant: &Tenant,
        _: Purpose<'_>,
        _: i64,
    ) -> Result<Box<dyn Signer + Send + Sync>, SigningError> {
        let key_id = KeyId::parse("ed25519:1").unwrap();
        Ok(Box::new(ServerSigner::new(
            tenant.server_name().to_owned(),
            key_id,
            SigningKey::from_seed(&self.1),
        )))
    }

    fn published_key(&self, _: &Tenant, _: &KeyId, now_ts: i64) -> Option<(VerifyingKey, KeyValidity)> {
        let validity = KeyValidity::Current { valid_until_ts: now_ts + 3_600_000 };
        Some((SigningKey::from_seed(&self.1).verifying_key().clone(), validity))
    }
}

pub(crate) struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now_ts(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

fn ingest(rooms: &Rooms, (identities, others): (Arc<Hosted>, &Arc<Others>), clock: &Arc<Ticking>) -> Ingest {
    Ingest::new(IngestParts {
        rooms: rooms.clone(),
        identities,
        fetching: Arc::clone(others) as Arc<dyn Fetching>,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
    })
}

impl Ours {
    /// The tenant has been in the room from when its first user joined, and some events longer.
    pub(crate) async fn in_room(seed: u64, version: &'static RoomVersion, more: usize) -> Self {
        let mut ours = Self::outside(seed, version).await;
        ours.begin(more).await;
        ours
    }

    /// The tenant came into the room with its last join, and knows nothing of before but the state.
    pub(crate) async fn late(seed: u64, version: &'static RoomVersion) -> Self {
        let ours = Self::outside(seed, version).await;
        let truth = Arc::clone(&ours.others.truth);
        let is_in = |id: &&String| {
            truth.room.states[*id].iter().any(|((event_type, user), member)| {
                event_type == "m.room.member"
                    && user.ends_with(OURS)
                    && truth.room.events[member].content.contains("\"join\"")
            })
        };
        let id =
            truth.room.order.iter().rev().filter(|id| !truth.room.events[*id].rejected).find(is_in).unwrap();
        let create = truth.json(&truth.room.create_event_id);
        ours.rooms.begin_room(truth.room.version, create.as_bytes(), &truth.keys).await.unwrap();
        let state = truth.state_after(&truth.room.events[id].prev_events);
        let outliers = ours
            .others
            .texts(truth.chain(state.values().cloned()).into_iter().chain(state.values().cloned()));
        let texts: Vec<&[u8]> = outliers.iter().map(String::as_bytes).collect();
        ours.rooms.receive_outliers(&truth.room_id, &texts, &truth.keys).await.unwrap();
        let state = parsed(state.values());
        let json = truth.json(id);
        let delivery = Delivery { json: json.as_bytes(), state: Some(&state), policy: None };
        let kept = ours.rooms.deliver(&truth.room_id, delivery, &truth.keys).await.unwrap();
        assert!(matches!(kept, Incoming::Kept(None)), "{kept:?}");
        ours
    }

    async fn outside(seed: u64, version: &'static RoomVersion) -> Self {
        let truth = Arc::new(Truth::made(seed, version));
        let others = Arc::new(Others {
            truth: Arc::clone(&truth),
            // In version 12, rooms that begin alike would be one.
            other: Truth::made(
                seed + 1_000,
                if version == RoomVersion::V12 { RoomVersion::V11 } else { version },
            ),
            manners: Mutex::default(),
            asked: Mutex::default(),
        });
        let tenant = Tenant::new(TenantNumber(1), ServerName::parse(OURS).unwrap());
        let identities = Arc::new(Hosted(tenant.clone(), truth.room.keys[OURS]));
        let is_full = Arc::new(AtomicBool::new(false));
        let disk = Disk::new(Arc::clone(&is_full));
        let store = Store::open(Arc::new(disk)).await.unwrap();
        let clock = Arc::new(Ticking(AtomicI64::new(1_767_312_000_000)));
        let outside = Outside {
            identities: Arc::clone(&identities) as Arc<dyn Identities>,
            profiles: Arc::new(NoProfiles),
            remote: Arc::new(NoRemoteServers),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        };
        let rooms = Rooms::new(store.clone(), Interner::new(&store), outside, RoomsSettings::default());
        let ingest = ingest(&rooms, (identities, &others), &clock);
        Ours { rooms, ingest, others, tenant, store, clock, is_full, begun: 0 }
    }

    /// The process starts anew, and lets the forks of a room take that much work.
    pub(crate) fn start_again(&mut self, resolve_budget: ResolveBudget) {
        let identities = Arc::new(Hosted(self.tenant.clone(), self.others.truth.room.keys[OURS]));
        let outside = Outside {
            identities: Arc::clone(&identities) as Arc<dyn Identities>,
            profiles: Arc::new(NoProfiles),
            remote: Arc::new(NoRemoteServers),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
        };
        let settings = RoomsSettings { resolve_budget, ..RoomsSettings::default() };
        self.rooms = Rooms::new(self.store.clone(), Interner::new(&self.store), outside, settings);
        self.ingest = ingest(&self.rooms, (identities, &self.others), &self.clock);
    }

    async fn begin(&mut self, more: usize) {
        let truth = Arc::clone(&self.others.truth);
        let create = truth.json(&truth.room.create_event_id);
        self.rooms.begin_room(truth.room.version, create.as_bytes(), &truth.keys).await.unwrap();
        let is_in = |id: &String| {
            let event = &truth.room.events[id];
            let is_user = event.state_key.as_ref().is_some_and(|key| key.ends_with(OURS));
            is_user && event.content.contains("\"join\"") && !event.rejected
        };
        let joined = truth.room.order.iter().position(is_in).unwrap();
        self.begun = (joined + 1 + more).min(truth.room.order.len());
        for id in &truth.room.order[..self.begun] {
            let kept =
                self.rooms.receive(&truth.room_id, truth.json(id).as_bytes(), &truth.keys).await.unwrap();
            assert!(matches!(kept, Incoming::Kept(_)), "{kept:?}");
        }
    }

    /// The ids of the events that are not here from the beginning.
    pub(crate) fn rest(&self) -> Vec<String> {
        self.others.truth.room.order[self.begun..].to_vec()
    }

    /// Time passes, in milliseconds.
    pub(crate) fn pass(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// A server brings events.
    pub(crate) async fn take(&self, origin: &str, ids: &[String]) -> freehold_federation::TakenEvents {
        let texts = ids.iter().map(|id| self.others.truth.json(id)).collect();
        self.take_texts(origin, texts).await
    }

    pub(crate) async fn take_texts(
        &self,
        origin: &str,
        texts: Vec<String>,
    ) -> freehold_federation::TakenEvents {
        let origin: OwnedServerName = ServerName::parse(origin).unwrap();
        self.ingest.take(&self.tenant, &origin, &self.others.truth.room_id, texts).await
    }

    pub(crate) async fn number(&self) -> RoomNumber {
        let reader = self.rooms.reader().unwrap();
        reader.room_number(&self.others.truth.room_id).await.unwrap().unwrap()
    }

    pub(crate) async fn heads(&self) -> Vec<String> {
        let reader = self.rooms.reader().unwrap();
        let heads = reader.forward_extremities(self.number().await).await.unwrap();
        heads.iter().map(ToString::to_string).collect()
    }

    /// The state is what the naive twin says.
    pub(crate) async fn assert_state(&self, about: &str) {
        let expected = self.others.truth.state_after(&self.heads().await);
        let reader = self.rooms.reader().unwrap();
        let events = reader.current_state(self.number().await).await.unwrap().events().await.unwrap();
        let ours = events.iter().map(|event| {
            let key = (event.pdu.event_type().to_owned(), event.pdu.state_key().unwrap().to_owned());
            (key, event.pdu.event_id().to_string())
        });
        assert_eq!(ours.collect::<StateMap>(), expected, "{about}");
    }

    /// The ids of what is shown, oldest first.
    pub(crate) async fn timeline(&self) -> Vec<String> {
        let reader = self.rooms.reader().unwrap();
        let rows =
            reader.timeline(self.number().await, Between::ALL, Order::Ascending, usize::MAX).await.unwrap();
        let numbers: Vec<_> = rows.into_iter().map(|(_, number)| number).collect();
        let events = reader.events(&numbers).await.unwrap();
        events.iter().map(|event| event.pdu.event_id().to_string()).collect()
    }
}
