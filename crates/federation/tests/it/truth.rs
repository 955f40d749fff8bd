//! What happened in a room, as those say who tell the truth.

use std::collections::{BTreeMap, BTreeSet};

use freehold_event::RoomVersion;
use freehold_signing::{KeyId, KeySource, KeyValidity, PublishedKey, SigningKey, VerifyingKey};
use freehold_testkit::{GenerateConfig, Recipe, Room, Sealing, StateMap, generate, twin};
use ruma_common::{OwnedEventId, OwnedRoomId, RoomId, ServerName};

/// A room that others made and the tenant is in.
pub(crate) struct Truth {
    pub(crate) room: Room,
    pub(crate) room_id: OwnedRoomId,
    pub(crate) keys: Keys,
}

/// The keys of all servers.
#[derive(Clone)]
pub(crate) struct Keys(BTreeMap<String, VerifyingKey>);

impl KeySource for Keys {
    fn key(&self, server: &ServerName, _: &KeyId) -> Option<PublishedKey<'_>> {
        let validity = KeyValidity::Current { valid_until_ts: i64::MAX };
        Some(PublishedKey { key: self.0.get(server.as_str())?, validity })
    }
}

impl Truth {
    pub(crate) fn made(seed: u64, version: &'static RoomVersion) -> Self {
        let keeps_invites = version.rules().redaction.keep_room_member_third_party_invite_signed;
        let is_fair = |recipe: &Recipe| keeps_invites || *recipe != Recipe::ThirdPartyInvite;
        let room = generate(
            seed,
            &GenerateConfig {
                version: Some(version),
                sealing: Sealing::Signed,
                recipes: Recipe::ALL.iter().copied().filter(is_fair).collect(),
                ..GenerateConfig::default()
            },
        );
        let key = |seed| SigningKey::from_seed(seed).verifying_key().clone();
        let keys = Keys(room.keys.iter().map(|(server, seed)| (server.clone(), key(seed))).collect());
        let room_id = RoomId::parse(room.room_id.as_str()).unwrap();
        Truth { room, room_id, keys }
    }

    pub(crate) fn json(&self, event_id: &str) -> String {
        self.room.events[event_id].pdu.clone().unwrap()
    }

    pub(crate) fn state_after(&self, event_ids: &[String]) -> StateMap {
        let differences = twin::Differences::of(self.room.version.id()).unwrap();
        let states: Vec<StateMap> = event_ids.iter().map(|id| self.room.states[id].clone()).collect();
        twin::resolve(&differences, &states, &self.room.events).state
    }

    pub(crate) fn chain(&self, of: impl IntoIterator<Item = String>) -> BTreeSet<String> {
        let mut next: Vec<String> = of.into_iter().collect();
        let mut chain = BTreeSet::new();
        while let Some(id) = next.pop() {
            let auth_events = self.room.events[&id].auth_events.iter().cloned();
            next.extend(auth_events.filter(|auth| chain.insert(auth.clone())));
        }
        chain
    }

    /// The events after an event's predecessors, walked back.
    pub(crate) fn before(&self, latest: &[OwnedEventId], stop: &[OwnedEventId], limit: usize) -> Vec<String> {
        let mut next: Vec<String> =
            latest.iter().flat_map(|id| self.room.events[id.as_str()].prev_events.clone()).collect();
        let mut found: Vec<String> = Vec::new();
        let mut place = 0;
        while place < next.len() && found.len() < limit {
            let id = next[place].clone();
            place += 1;
            if stop.iter().any(|stop| stop.as_str() == id) || found.contains(&id) {
                continue;
            }
            next.extend(self.room.events[&id].prev_events.clone());
            found.push(id);
        }
        found
    }
}
