//! Rooms of other servers, made at random, as they are delivered to ours.

use std::collections::BTreeMap;

use freehold_event::RoomVersion;
use freehold_rooms::{Delivery, Incoming, PastEvent};
use freehold_signing::{KeyId, KeySource, KeyValidity, PublishedKey, SigningKey, VerifyingKey};
use freehold_testkit::{GenerateConfig, Recipe, Room, Sealing, StateMap, generate, twin};
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, RoomId, ServerName};

use crate::hosted::World;

/// A room that others made.
pub(crate) struct Elsewhere {
    pub(crate) room: Room,
    pub(crate) keys: Keys,
    pub(crate) room_id: OwnedRoomId,
}

/// The keys of its servers.
pub(crate) struct Keys(pub(crate) BTreeMap<String, VerifyingKey>);

impl KeySource for Keys {
    fn key(&self, server: &ServerName, _: &KeyId) -> Option<PublishedKey<'_>> {
        let validity = KeyValidity::Current { valid_until_ts: i64::MAX };
        Some(PublishedKey { key: self.0.get(server.as_str())?, validity })
    }
}

impl Elsewhere {
    pub(crate) fn made(seed: u64, version: &'static RoomVersion) -> Self {
        // A redacted third-party invite authorises nothing any more before version 11 (MSC3821), which the twin, who forgets nothing,
        // does not see.
        let keeps_invites = version.rules().redaction.keep_room_member_third_party_invite_signed;
        let is_fair = |recipe: &Recipe| keeps_invites || *recipe != Recipe::ThirdPartyInvite;
        let config = GenerateConfig {
            version: Some(version),
            sealing: Sealing::Signed,
            recipes: Recipe::ALL.iter().copied().filter(is_fair).collect(),
            ..GenerateConfig::default()
        };
        Self::of(generate(seed, &config))
    }

    pub(crate) fn of(room: Room) -> Self {
        let key = |seed| SigningKey::from_seed(seed).verifying_key().clone();
        let keys = Keys(room.keys.iter().map(|(server, seed)| (server.clone(), key(seed))).collect());
        let room_id = RoomId::parse(room.room_id.as_str()).unwrap();
        Elsewhere { room, keys, room_id }
    }

    pub(crate) fn json(&self, event_id: &str) -> &[u8] {
        self.room.events[event_id].pdu.as_ref().unwrap().as_bytes()
    }

    /// The ids of the events after the create event, in the order in which they were made.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.room.order.iter().filter(|id| **id != self.room.create_event_id).cloned().collect()
    }

    pub(crate) async fn begin(&self, world: &World) {
        let create = self.json(&self.room.create_event_id);
        let begun = world.rooms.begin_room(self.room.version, create, &self.keys).await.unwrap();
        assert!(matches!(begun, Incoming::Kept(None)), "{begun:?}");
    }

    pub(crate) async fn deliver(&self, world: &World, event_id: &str) -> Incoming {
        world.rooms.receive(&self.room_id, self.json(event_id), &self.keys).await.unwrap()
    }

    /// Delivers an event with the state before it, as a truthful server gives it.
    pub(crate) async fn deliver_with_state(&self, world: &World, event_id: &str) -> Incoming {
        let state = self.state_before(event_id);
        self.deliver_outliers(world, &state).await;
        let state = ids(state.values());
        let delivery = Delivery { json: self.json(event_id), state: Some(&state), policy: None };
        world.rooms.deliver(&self.room_id, delivery, &self.keys).await.unwrap()
    }

    /// Delivers the events of a state and their auth chains.
    pub(crate) async fn deliver_outliers(&self, world: &World, state: &StateMap) {
        let outliers = self.with_chain(state.values().cloned().collect());
        let texts: Vec<&[u8]> = outliers.iter().map(|id| self.json(id)).collect();
        let answers = world.rooms.receive_outliers(&self.room_id, &texts, &self.keys).await.unwrap();
        for (id, answer) in outliers.iter().zip(answers) {
            assert!(answer.is_here(), "{id}: {answer:?}");
        }
    }

    /// Some events and their auth chains, in no good order.
    pub(crate) fn with_chain(&self, mut next: Vec<String>) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(id) = next.pop() {
            if !all.contains(&id) {
                next.extend(self.room.events[&id].auth_events.iter().cloned());
                all.push(id);
            }
        }
        all
    }

    pub(crate) fn state_before(&self, event_id: &str) -> StateMap {
        self.state_after(&self.room.events[event_id].prev_events)
    }

    pub(crate) fn state_after(&self, event_ids: &[String]) -> StateMap {
        let differences = twin::Differences::of(self.room.version.id()).unwrap();
        let states: Vec<StateMap> = event_ids.iter().map(|id| self.room.states[id].clone()).collect();
        twin::resolve(&differences, &states, &self.room.events).state
    }

    /// Delivers history, in any order.
    pub(crate) async fn deliver_past(&self, world: &World, event_ids: &[String]) -> Vec<Incoming> {
        let past: Vec<PastEvent<'_>> =
            event_ids.iter().map(|id| PastEvent { json: self.json(id), state: None }).collect();
        world.rooms.receive_backfilled(&self.room_id, &past, &self.keys).await.unwrap()
    }

    /// The forward extremities that ours has.
    pub(crate) async fn heads(&self, world: &World) -> Vec<String> {
        let reader = world.reader();
        let number = world.number(&self.room_id).await;
        let row = reader.current(number).await.unwrap().unwrap();
        let events = reader.events(&row.forward_extremities).await.unwrap();
        events.iter().map(|event| event.pdu.event_id().to_string()).collect()
    }

    /// Whether an event that we accepted follows another.
    pub(crate) async fn is_followed(&self, world: &World, event_id: &str) -> bool {
        let (reader, number) = (world.reader(), world.number(&self.room_id).await);
        for event in self.room.events_in_order() {
            let follows = event.prev_events.iter().any(|prev| prev == event_id);
            let id = EventId::parse(event.event_id.as_str()).unwrap();
            if follows && reader.event_of_room(number, &id).await.unwrap().is_some() {
                return true;
            }
        }
        false
    }

    /// The state of ours is what the naive twin says, and so is who is in the room.
    pub(crate) async fn assert_state(&self, world: &World, about: &str) {
        let expected = self.state_after(&self.heads(world).await);
        let reader = world.reader();
        let number = world.number(&self.room_id).await;
        let events = reader.current_state(number).await.unwrap().events().await.unwrap();
        let ours = events.iter().map(|event| {
            let key = (event.pdu.event_type().to_owned(), event.pdu.state_key().unwrap().to_owned());
            (key, event.pdu.event_id().to_string())
        });
        assert_eq!(ours.collect::<StateMap>(), expected, "{about}");
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for event in events
            .iter()
            .filter(|event| event.row.membership == Some(freehold_store::tables::rooms::Membership::Join))
        {
            let server = event.pdu.state_key().unwrap().split_once(':').unwrap().1;
            *counted.entry(server.to_owned()).or_default() += 1;
        }
        let servers = reader.servers_in(number).await.unwrap();
        let servers = servers.into_iter().map(|(server, row)| (server.to_string(), row.joined));
        assert_eq!(servers.collect::<BTreeMap<_, _>>(), counted, "{about}");
    }
}

pub(crate) fn ids<'a>(ids: impl IntoIterator<Item = &'a String>) -> Vec<OwnedEventId> {
    ids.into_iter().map(|id| EventId::parse(id.as_str()).unwrap()).collect()
}
