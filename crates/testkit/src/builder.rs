//! Rooms built event by event.

use freehold_event::RoomVersion;
use serde_json::{Value, json};

use crate::{
    clock::Clock,
    event::{Events, RoomEvent, StateMap},
    rng::Rng,
    room::Room,
    seal::{Sealer, Sealing, plain_id, server_of},
    twin::{self, Differences, History, Verdict, selection},
};

/// An event that somebody wants to send.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The user id of the sender.
    pub sender: String,
    /// The event type.
    pub event_type: String,
    /// The state key of a state event.
    pub state_key: Option<String>,
    /// The content.
    pub content: Value,
    /// The target of a redaction.
    pub redacts: Option<String>,
    /// The events to put this one after; the current heads of the room when `None`.
    pub prev_events: Option<Vec<String>>,
    /// The state to select the auth events from; the state before the event when `None`.
    pub auth_state: Option<StateMap>,
    /// The timestamp to claim, in milliseconds since the Unix epoch; the time of the room's clock
    /// when `None`.
    pub origin_server_ts: Option<i64>,
}

impl Draft {
    /// A message event.
    pub fn message(sender: &str, event_type: &str, content: Value) -> Self {
        Self {
            sender: sender.to_owned(),
            event_type: event_type.to_owned(),
            state_key: None,
            content,
            redacts: None,
            prev_events: None,
            auth_state: None,
            origin_server_ts: None,
        }
    }

    /// A state event.
    pub fn state(sender: &str, event_type: &str, state_key: &str, content: Value) -> Self {
        Self { state_key: Some(state_key.to_owned()), ..Self::message(sender, event_type, content) }
    }

    /// A change of a membership.
    pub fn member(sender: &str, target: &str, membership: &str) -> Self {
        Self::state(sender, "m.room.member", target, json!({ "membership": membership }))
    }

    /// Puts the event after the given ones.
    #[must_use]
    pub fn after(mut self, prev_events: &[String]) -> Self {
        self.prev_events = Some(prev_events.to_vec());
        self
    }

    /// Claims a timestamp.
    #[must_use]
    pub fn at_ms(mut self, origin_server_ts: i64) -> Self {
        self.origin_server_ts = Some(origin_server_ts);
        self
    }

    /// Selects the auth events from the given state instead of the state before the event.
    #[must_use]
    pub fn authorised_by(mut self, auth_state: StateMap) -> Self {
        self.auth_state = Some(auth_state);
        self
    }
}

/// Builds a room event by event, and keeps the state after each with the naive twin.
///
/// Every event that is sent gets the `auth_events` that the specification selects, is judged as on
/// receipt, and is kept even when it is rejected: that is what its sender's server would see
/// others do with it.
///
/// ```
/// use freehold_event::RoomVersion;
/// use freehold_testkit::{Draft, RoomBuilder};
/// use serde_json::json;
///
/// let alice = "@alice:one.example";
/// let mut room = RoomBuilder::new(RoomVersion::V11, 1);
/// room.create(alice, json!({}));
/// room.send(Draft::member(alice, alice, "join"));
/// let topic = Draft::state(alice, "m.room.topic", "", json!({ "topic": "gardening" }));
/// let (event_id, verdict) = room.send(topic);
/// assert_eq!(verdict, freehold_testkit::twin::Verdict::Accepted);
/// assert_eq!(room.state()[&("m.room.topic".to_owned(), String::new())], event_id);
/// ```
#[derive(Clone, Debug)]
pub struct RoomBuilder {
    version: &'static RoomVersion,
    differences: Differences,
    sealing: Sealing,
    room_id: Option<String>,
    create_event_id: String,
    events: Events,
    order: Vec<String>,
    heads: Vec<String>,
    history: History,
    sealer: Sealer,
    rng: Rng,
    clock: Clock,
}

impl RoomBuilder {
    /// An empty room of plain events.
    pub fn new(version: &'static RoomVersion, seed: u64) -> Self {
        Self::with_sealing(version, seed, Sealing::Plain)
    }

    /// An empty room whose events are hashed and signed with keys made from the seed.
    pub fn signed(version: &'static RoomVersion, seed: u64) -> Self {
        Self::with_sealing(version, seed, Sealing::Signed)
    }

    /// An empty room.
    pub fn with_sealing(version: &'static RoomVersion, seed: u64, sealing: Sealing) -> Self {
        // A version of one's own is judged by the rules of the newest one.
        let differences = Differences::of(version.id()).unwrap_or_else(Differences::newest);
        Self {
            version,
            differences,
            sealing,
            room_id: None,
            create_event_id: String::new(),
            events: Events::new(),
            order: Vec::new(),
            heads: Vec::new(),
            history: History::new(differences),
            sealer: Sealer::new(version, Rng::new(seed).fork("server keys")),
            rng: Rng::new(seed),
            clock: Clock::new(),
        }
    }

    /// Makes the create event, with the version and the creator filled in, and returns its id.
    pub fn create(&mut self, creator: &str, mut content: Value) -> String {
        if let Value::Object(content) = &mut content {
            content.entry("room_version").or_insert_with(|| json!(self.version.id()));
            if self.differences.creator_in_content {
                content.entry("creator").or_insert_with(|| json!(creator));
            }
        }
        if !self.differences.creators_rule {
            let number = self.rng.clone().next_u64();
            self.room_id = Some(format!("!{number:x}:{}", server_of(creator)));
        }
        let (event_id, _) = self.send(Draft::state(creator, "m.room.create", "", content));
        if self.differences.creators_rule {
            self.room_id = Some(event_id.replacen('$', "!", 1));
        }
        self.create_event_id.clone_from(&event_id);
        event_id
    }

    /// Sends an event: completes, seals, judges and keeps it.
    pub fn send(&mut self, draft: Draft) -> (String, Verdict) {
        self.clock.advance_ms(1000);
        let prev_events = draft.prev_events.clone().unwrap_or_else(|| self.heads.clone());
        let before = self.history.state_before(&prev_events, &self.events);
        let mut event = self.complete(draft, prev_events, &before);
        self.seal(&mut event);
        let verdict = twin::receive(&event, &before, &self.events, &self.differences);
        event.rejected = verdict != Verdict::Accepted;
        self.keep(event, &before);
        let event_id = self.order.last().cloned().unwrap_or_default();
        (event_id, verdict)
    }

    fn complete(&self, draft: Draft, prev_events: Vec<String>, before: &StateMap) -> RoomEvent {
        let is_create = draft.event_type == "m.room.create";
        let depth = prev_events.iter().filter_map(|id| self.events.get(id)).map(|event| event.depth).max();
        let room_id = self.room_id.clone().filter(|_| !(is_create && self.differences.creators_rule));
        let auth_state = draft.auth_state.unwrap_or_else(|| before.clone());
        let mut event = RoomEvent {
            event_id: String::new(),
            room_id,
            event_type: draft.event_type,
            state_key: draft.state_key,
            sender: draft.sender,
            content: draft.content.to_string(),
            origin_server_ts: draft.origin_server_ts.unwrap_or(self.clock.now_ms()),
            depth: depth.unwrap_or(0) + 1,
            prev_events,
            auth_events: Vec::new(),
            redacts: draft.redacts,
            rejected: false,
            pdu: None,
        };
        let keys = selection(&event, &self.differences);
        event.auth_events = keys.iter().filter_map(|key| auth_state.get(key)).cloned().collect();
        event
    }

    /// Gives an event its id, and in a signed room its hashes and signatures. What cannot be a
    /// well-formed event, such as one that cites an event that is none, gets a plain id.
    fn seal(&mut self, event: &mut RoomEvent) {
        let ids_in_events = self.version.rules().event_format.require_event_id;
        let plain_id = plain_id(event, ids_in_events, self.order.len());
        if ids_in_events {
            event.event_id.clone_from(&plain_id);
        }
        if self.sealing == Sealing::Plain || self.sealer.seal(event).is_none() {
            event.event_id = plain_id;
        }
    }

    fn keep(&mut self, event: RoomEvent, before: &StateMap) {
        self.history.record(&event, before);
        self.heads.retain(|head| !event.prev_events.contains(head));
        self.heads.push(event.event_id.clone());
        self.order.push(event.event_id.clone());
        self.events.insert(event.event_id.clone(), event);
    }

    /// The room version.
    pub fn version(&self) -> &'static RoomVersion {
        self.version
    }

    /// What the twin knows of the room version.
    pub fn differences(&self) -> &Differences {
        &self.differences
    }

    /// The room id; empty before the create event.
    pub fn room_id(&self) -> &str {
        self.room_id.as_deref().unwrap_or_default()
    }

    /// The events so far.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// The ids of the events so far, oldest first.
    pub fn order(&self) -> &[String] {
        &self.order
    }

    /// The ids of the events that have no children.
    pub fn heads(&self) -> &[String] {
        &self.heads
    }

    /// The state that the next event comes after.
    pub fn state(&mut self) -> StateMap {
        let heads = self.heads.clone();
        self.state_before(&heads)
    }

    /// The state that an event after the given ones comes after.
    pub fn state_before(&mut self, prev_events: &[String]) -> StateMap {
        self.history.state_before(prev_events, &self.events)
    }

    /// The state after an event.
    pub fn state_after(&self, event_id: &str) -> StateMap {
        self.history.after(event_id).cloned().unwrap_or_default()
    }

    /// The clock of the room, to be moved at will.
    pub fn clock_mut(&mut self) -> &mut Clock {
        &mut self.clock
    }

    /// The finished room, with the states after the given events as its forks.
    pub fn into_room(self, fork_heads: Vec<String>) -> Room {
        Room {
            version: self.version,
            room_id: self.room_id.clone().unwrap_or_default(),
            create_event_id: self.create_event_id.clone(),
            forks: fork_heads.iter().map(|head| self.state_after(head)).collect(),
            fork_heads,
            states: self.order.iter().map(|id| (id.clone(), self.state_after(id))).collect(),
            events: self.events,
            order: self.order,
            keys: self.sealer.keys,
        }
    }
}
