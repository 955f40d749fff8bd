//! Makes a small room whose history forks, as a page would be given it, and resolves it.
//!
//! `cargo run -p freehold-browser-example`
#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use std::error::Error;

use freehold_browser_example::resolve_room;
use freehold_event::{EventReference, Pdu, ProtoEvent, RoomVersion};
use ruma_common::{OwnedRoomId, OwnedUserId, owned_room_id, owned_user_id};

const VERSION: &RoomVersion = RoomVersion::V11;

/// The events of a room, made here without signatures, which resolution does not look at.
struct Author {
    room_id: OwnedRoomId,
    events: Vec<Pdu>,
}

impl Author {
    /// Adds a state event that cites the events with these numbers, and returns its own number.
    fn send(
        &mut self,
        sender: &OwnedUserId,
        (event_type, state_key): (&str, &str),
        (field, value): (&str, impl Into<freehold_canonical_json::Value<'static>>),
        cited: &[usize],
    ) -> Result<usize, Box<dyn Error>> {
        let references = cited.iter().filter_map(|number| self.events.get(*number)).map(EventReference::from);
        let mut event = ProtoEvent::new(sender.clone(), event_type);
        event.room_id = Some(self.room_id.clone());
        event.state_key = Some(state_key.to_owned());
        event.content.insert(field.to_owned(), value.into());
        event.origin_server_ts = 1_700_000_000_000 + i64::try_from(self.events.len())?;
        event.auth_events = references.collect();
        event.prev_events = event.auth_events.last().cloned().into_iter().collect();
        self.events.push(event.build(VERSION)?.pdu().clone());
        Ok(self.events.len() - 1)
    }

    fn lines(&self) -> String {
        self.events.iter().map(|pdu| format!("{}\n", pdu.canonical_json())).collect()
    }

    fn ids(&self, numbers: &[usize]) -> String {
        let events = numbers.iter().filter_map(|number| self.events.get(*number));
        events.map(|pdu| pdu.event_id().as_str()).collect::<Vec<_>>().join(" ")
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (alice, bob) = (owned_user_id!("@alice:example.org"), owned_user_id!("@bob:example.net"));
    let mut room = Author { room_id: owned_room_id!("!room:example.org"), events: Vec::new() };
    let member = |user: &OwnedUserId| ("m.room.member", user.to_string());
    let create = room.send(&alice, ("m.room.create", ""), ("room_version", VERSION.id()), &[])?;
    let (kind, key) = member(&alice);
    let joined = room.send(&alice, (kind, &key), ("membership", "join"), &[create])?;
    let rules = room.send(&alice, ("m.room.join_rules", ""), ("join_rule", "public"), &[create, joined])?;
    let (kind, key) = member(&bob);
    let bobs = room.send(&bob, (kind, &key), ("membership", "join"), &[create, rules])?;
    // Here the room forks: Alice bans Bob, who has not heard of it and sets a topic.
    let ban = room.send(&alice, (kind, &key), ("membership", "ban"), &[create, joined, bobs])?;
    let topic = room.send(&bob, ("m.room.topic", ""), ("topic", "Bob was here"), &[create, bobs])?;

    let forks =
        [room.ids(&[create, joined, rules, ban]), room.ids(&[create, joined, rules, bobs, topic])].join("\n");
    let answer = resolve_room(&room.lines(), &forks)?;
    println!("{answer}");
    assert!(answer.contains(&room.ids(&[ban])), "the ban holds");
    Ok(())
}
