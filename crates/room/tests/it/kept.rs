//! A store for one room in plain maps, from which the machine is given only what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_room::{Coming, Event, Numbers, Receipt, ReceiveError, Received, Room, Shelf, Stop};
use freehold_signing::{KeyId, KeySource, KeyValidity, PublishedKey, SignedPdu, SigningKey, VerifyingKey};
use freehold_state_map::{NodeId, StateMap};
use freehold_testkit::ServerKeys;
use ruma_common::{OwnedEventId, ServerName};

/// Keys that every server of a made-up room publishes for ever.
pub(crate) struct Keys(BTreeMap<String, VerifyingKey>);

impl Keys {
    pub(crate) fn of(keys: &ServerKeys) -> Self {
        let key = |seed| SigningKey::from_seed(seed).verifying_key().clone();
        Keys(keys.iter().map(|(server, seed)| (server.clone(), key(seed))).collect())
    }
}

impl KeySource for Keys {
    fn key(&self, server: &ServerName, _: &KeyId) -> Option<PublishedKey<'_>> {
        let validity = KeyValidity::Current { valid_until_ts: i64::MAX };
        Some(PublishedKey { key: self.0.get(server.as_str())?, validity })
    }
}

/// A room and everything that is kept of it.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) room: Option<Room>,
    pub(crate) events: BTreeMap<u64, Arc<Event>>,
    numbers: BTreeMap<OwnedEventId, u64>,
    state_keys: BTreeMap<(String, String), u64>,
    nodes: BTreeMap<NodeId, Vec<u8>>,
    /// How often the machine asked for more.
    pub(crate) asked: usize,
}

impl Kept {
    fn numbers_for(&mut self, event: &SignedPdu) -> Numbers {
        let pdu = event.pdu();
        let next = self.numbers.len() as u64 + 1;
        let number = *self.numbers.entry(pdu.event_id().to_owned()).or_insert(next);
        let next = self.state_keys.len() as u64 + 1;
        let state_key = pdu.state_key().map(|state_key| {
            *self.state_keys.entry((pdu.event_type().to_owned(), state_key.to_owned())).or_insert(next)
        });
        Numbers { event: number, state_key }
    }

    pub(crate) fn create(&mut self, create: SignedPdu) {
        let numbers = self.numbers_for(&create);
        let receipt = Room::create_from(create, numbers).unwrap();
        self.keep(receipt);
    }

    /// Receives an event, with an empty shelf to begin with. `None` when events must be fetched first.
    pub(crate) fn receive(&mut self, event: SignedPdu) -> Option<Arc<Event>> {
        let before = self.numbers.clone();
        let numbers = self.numbers_for(&event);
        let room = self.room.clone().unwrap();
        let mut shelf = Shelf::new();
        loop {
            match room.receive(event.clone(), numbers, Coming::NEW, &shelf) {
                Ok(Received::Receipt(receipt)) => {
                    let event = Arc::clone(&receipt.event);
                    self.keep(*receipt);
                    return Some(event);
                }
                Ok(Received::Unsettled(refusal)) => panic!("{refusal}"),
                Ok(Received::Fetch(_)) => {
                    self.numbers = before;
                    return None;
                }
                Err(ReceiveError::Stop(stop)) => self.fulfil(&mut shelf, stop),
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn fulfil(&mut self, shelf: &mut Shelf, stop: Stop) {
        let Stop::Needs(needs) = stop else { panic!("{stop}") };
        self.asked += 1;
        for number in &needs.events {
            shelf.put_event(Arc::clone(&self.events[number]));
        }
        for id in &needs.event_ids {
            let known = self.numbers.get(id).filter(|number| self.events.contains_key(number));
            shelf.put_number(id.clone(), known.copied());
        }
        for key in &needs.state_keys {
            shelf.put_state_key(key.clone(), self.state_keys.get(key).copied());
        }
        for node in &needs.nodes {
            shelf.put_node(*node, self.nodes[node].clone());
        }
    }

    pub(crate) fn keep(&mut self, receipt: Receipt) {
        self.nodes.extend(receipt.nodes);
        self.events.insert(receipt.event.number, receipt.event);
        self.room = Some(receipt.room);
    }

    /// The state with this root, in the words of the specification.
    pub(crate) fn state(&self, root: NodeId) -> freehold_testkit::StateMap {
        let mut shelf = Shelf::new();
        self.nodes.iter().for_each(|(id, bytes)| shelf.put_node(*id, bytes.clone()));
        let nodes = shelf.nodes();
        let map = StateMap::open(root, &nodes).unwrap();
        let keys: BTreeMap<u64, &(String, String)> =
            self.state_keys.iter().map(|(key, number)| (*number, key)).collect();
        let entries = map.iter(&nodes).map(Result::unwrap);
        entries
            .map(|(key, entry)| {
                let event = &self.events[&entry.event];
                (keys[&key].clone(), event.pdu.event_id().to_string())
            })
            .collect()
    }

    /// The ids of the forward extremities.
    pub(crate) fn extremities(&self) -> BTreeSet<String> {
        let numbers = self.room.as_ref().unwrap().forward_extremities();
        numbers.iter().map(|number| self.events[number].pdu.event_id().to_string()).collect()
    }
}
