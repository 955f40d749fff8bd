//! Rooms as large as one likes, with members of many servers, each event really hashed and signed by its own.

use std::collections::BTreeMap;

use freehold_event::RoomVersion;
use serde_json::{Value, json};

use crate::{
    clock::Clock,
    event::RoomEvent,
    rng::Rng,
    seal::{Sealer, ServerKeys},
    twin::{Differences, selection},
};

/// A room with many members. Its history is a chain: the state, event by event, each member's join once.
///
/// ```
/// use freehold_event::RoomVersion;
/// use freehold_testkit::LargeRoom;
///
/// let servers: Vec<String> = (0..3).map(|number| format!("s{number}.example")).collect();
/// let room = LargeRoom::make(RoomVersion::V11, &servers, 4);
/// assert_eq!(room.members().len(), 12);
/// assert_eq!(room.keys.len(), 3);
/// ```
#[derive(Clone, Debug)]
pub struct LargeRoom {
    /// The room version.
    pub version: &'static RoomVersion,
    /// The room id.
    pub room_id: String,
    /// All events, which are all of the state, too, in the order in which they were made.
    pub events: Vec<RoomEvent>,
    /// The signing keys of the servers.
    pub keys: ServerKeys,
}

/// What is in the room before its members are: types and contents, with the creator as the sender.
fn beginning() -> [(&'static str, Value); 6] {
    let levels = json!({
        "users_default": 0, "events_default": 0, "state_default": 50, "ban": 50, "kick": 50, "redact": 50,
        "invite": 0, "events": {"m.room.name": 50, "m.room.power_levels": 100, "m.room.server_acl": 100},
    });
    [
        ("m.room.power_levels", levels),
        ("m.room.join_rules", json!({"join_rule": "public"})),
        ("m.room.history_visibility", json!({"history_visibility": "shared"})),
        ("m.room.guest_access", json!({"guest_access": "forbidden"})),
        ("m.room.name", json!({"name": "A large room"})),
        ("m.room.topic", json!({"topic": "Everybody is here"})),
    ]
}

impl LargeRoom {
    /// A room made by the first of the servers, in which there are then so many users of each.
    ///
    /// # Panics
    /// With server names that are none, or without any: a measurement whose input is wrong must stop.
    #[expect(clippy::expect_used, reason = "a measurement whose input is wrong must stop")]
    pub fn make(version: &'static RoomVersion, servers: &[String], members_of_each: usize) -> Self {
        let creator = format!("@creator:{}", servers.first().expect("a server"));
        let mut making = Making::new(version);
        making.create(&creator);
        making.join(&creator, "Creator");
        for (event_type, mut content) in beginning() {
            let names_creator = event_type == "m.room.power_levels" && !making.differences.creators_rule;
            if let (true, Some(levels)) = (names_creator, content.as_object_mut()) {
                levels.insert("users".to_owned(), json!({ creator.clone(): 100 }));
            }
            making.state((&creator, event_type, ""), content);
        }
        // The creator is the first member of the first server.
        let places =
            (0..members_of_each).flat_map(|member| servers.iter().map(move |server| (member, server)));
        for (member, server) in places.skip(1) {
            making.join(&format!("@member{member}:{server}"), &format!("Member {member} of {server}"));
        }
        LargeRoom {
            version,
            room_id: making.room_id.expect("a room id"),
            events: making.events,
            keys: making.sealer.keys,
        }
    }

    /// The events that are memberships, oldest first.
    pub fn members(&self) -> Vec<&RoomEvent> {
        self.events.iter().filter(|event| event.event_type == "m.room.member").collect()
    }
}

struct Making {
    version: &'static RoomVersion,
    differences: Differences,
    sealer: Sealer,
    clock: Clock,
    room_id: Option<String>,
    events: Vec<RoomEvent>,
    /// What authorises events, by type and state key.
    state: BTreeMap<(String, String), String>,
}

impl Making {
    fn new(version: &'static RoomVersion) -> Self {
        Making {
            version,
            differences: Differences::of(version.id()).unwrap_or_else(Differences::newest),
            sealer: Sealer::new(version, Rng::new(1).fork("server keys")),
            clock: Clock::new(),
            room_id: None,
            events: Vec::new(),
            state: BTreeMap::new(),
        }
    }

    fn create(&mut self, creator: &str) {
        let mut content = json!({"room_version": self.version.id()});
        if let (true, Some(content)) = (self.differences.creator_in_content, content.as_object_mut()) {
            content.insert("creator".to_owned(), json!(creator));
        }
        let is_derived = self.differences.creators_rule;
        if !is_derived {
            self.room_id = Some(format!("!large:{}", crate::seal::server_of(creator)));
        }
        self.state((creator, "m.room.create", ""), content);
        if let (true, Some(create)) = (is_derived, self.events.first()) {
            self.room_id = Some(create.event_id.replacen('$', "!", 1));
        }
    }

    fn join(&mut self, user_id: &str, name: &str) {
        let content = json!({
            "membership": "join", "displayname": name,
            "avatar_url": format!("mxc://{}/abcdefghijklmnopqrstuvwx", crate::seal::server_of(user_id)),
        });
        self.state((user_id, "m.room.member", user_id), content);
    }

    #[expect(clippy::expect_used, reason = "a measurement whose input is wrong must stop")]
    fn state(&mut self, (sender, event_type, state_key): (&str, &str, &str), content: Value) {
        self.clock.advance_ms(1000);
        let last = self.events.last();
        let mut event = RoomEvent {
            event_id: String::new(),
            room_id: self.room_id.clone(),
            event_type: event_type.to_owned(),
            state_key: Some(state_key.to_owned()),
            sender: sender.to_owned(),
            content: content.to_string(),
            origin_server_ts: self.clock.now_ms(),
            depth: last.map_or(1, |last| last.depth + 1),
            prev_events: last.map(|last| last.event_id.clone()).into_iter().collect(),
            auth_events: Vec::new(),
            redacts: None,
            rejected: false,
            pdu: None,
        };
        let keys = selection(&event, &self.differences);
        event.auth_events = keys.iter().filter_map(|key| self.state.get(key)).cloned().collect();
        self.sealer.seal(&mut event).expect("a well-formed event");
        self.state.extend(event.state_map_key().map(|key| (key, event.event_id.clone())));
        self.events.push(event);
    }
}
