//! The authorisation rules: a message and a change of power levels, in rooms that name many users.

use freehold_event::{EventView, RoomVersion};
use freehold_event_auth::{PreparedState, check};
use serde_json::json;

use crate::{
    ruma_event::{RumaEvent, ruma_check, ruma_event},
    table::{Table, Target},
};

const ALICE: &str = "@alice:example.org";

/// An event of a small room, in the form that every implementation reads its own from.
struct Source {
    id: String,
    event_type: &'static str,
    state_key: Option<&'static str>,
    content: String,
}

pub(crate) fn rows(table: &mut Table) {
    for (users, message) in
        [(10, Target::None), (100, Target::TimesFaster(40.0)), (1_000, Target::TimesFaster(400.0))]
    {
        let room = room(users);
        let hello = Source::new(
            "$hello",
            "m.room.message",
            None,
            json!({"body": "hello", "msgtype": "m.text"}).to_string(),
        );
        let levels = Source::new("$new", "m.room.power_levels", Some(""), levels(users, 51));
        row(
            table,
            &format!("message, levels name {users} users, state as before"),
            message,
            (&room, &hello),
            Fresh::Never,
        );
        let first = if users == 10 { Target::None } else { Target::TimesFaster(3.0) };
        row(
            table,
            &format!("message, levels name {users} users, just changed"),
            first,
            (&room, &hello),
            Fresh::Levels,
        );
        row(
            table,
            &format!("change of levels that name {users} users"),
            Target::None,
            (&room, &levels),
            Fresh::Never,
        );
    }
}

/// What has to be read anew before a check.
enum Fresh {
    Never,
    Levels,
}

fn row(table: &mut Table, name: &str, target: Target, (room, event): (&[Source], &Source), fresh: Fresh) {
    let version = RoomVersion::V11;
    let ours = event.view();
    let mut state = PreparedState::from_events(version, room.iter().map(Source::view));
    let levels = room.iter().find(|source| source.event_type == "m.room.power_levels").map(Source::view);
    let peers: Vec<RumaEvent<'_>> = room.iter().map(|source| ruma_event(&source.view())).collect();
    let peer = ruma_event(&ours);
    assert!(check(&ours, &state, version).is_ok() && ruma_check(&peer, &peers, version), "{name}");
    table.against(
        name,
        target,
        || {
            if let (Fresh::Levels, Some(levels)) = (&fresh, &levels) {
                state.insert(levels);
            }
            check(&ours, &state, version)
        },
        || ruma_check(&peer, &peers, version),
    );
}

fn room(users: usize) -> Vec<Source> {
    let text = |content: serde_json::Value| content.to_string();
    vec![
        Source::new("$create", "m.room.create", Some(""), text(json!({"room_version": "11"}))),
        Source::new("$alice", "m.room.member", Some(ALICE), text(json!({"membership": "join"}))),
        Source::new("$levels", "m.room.power_levels", Some(""), levels(users, 50)),
        Source::new("$rules", "m.room.join_rules", Some(""), text(json!({"join_rule": "public"}))),
    ]
}

fn levels(users: usize, kick: i64) -> String {
    let mut levels: serde_json::Map<String, serde_json::Value> =
        (1..users).map(|number| (format!("@user-{number:04}:example.org"), json!(number % 50))).collect();
    levels.insert(ALICE.to_owned(), json!(100));
    json!({"users": levels, "kick": kick, "events": {"m.room.name": 50, "m.room.topic": 50}}).to_string()
}

impl Source {
    fn new(id: &str, event_type: &'static str, state_key: Option<&'static str>, content: String) -> Self {
        Self { id: id.to_owned(), event_type, state_key, content }
    }

    fn view(&self) -> EventView<'_, String> {
        EventView {
            id: &self.id,
            event_id: &self.id,
            room_id: Some("!room:example.org"),
            event_type: self.event_type,
            state_key: self.state_key,
            sender: ALICE,
            content: &self.content,
            origin_server_ts: 1_700_000_000_000,
            depth: 5,
            prev_events: &[],
            auth_events: &[],
            redacts: None,
            rejected: false,
        }
    }
}
