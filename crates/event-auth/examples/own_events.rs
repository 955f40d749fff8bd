//! A server with an event type of its own and an asynchronous store, and these crates unchanged:
//! ask what is needed, fetch it, then decide without waiting.
//!
//! `cargo run -p freehold-event-auth --example own_events`
#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use std::{
    collections::BTreeMap,
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use freehold_event::{EventView, RoomVersion};
use freehold_event_auth::{Denial, PreparedState, auth_types_needed, check};

/// An event as this server keeps it: numbered, with its content as text.
struct Row {
    number: u64,
    event_id: String,
    event_type: String,
    state_key: Option<String>,
    sender: String,
    content: String,
    prev_events: Vec<u64>,
    auth_events: Vec<u64>,
}

impl Row {
    /// What the crates see of it: references, nothing copied.
    fn view(&self) -> EventView<'_, u64> {
        EventView {
            id: &self.number,
            event_id: &self.event_id,
            room_id: Some("!garden:example.org"),
            event_type: &self.event_type,
            state_key: self.state_key.as_deref(),
            sender: &self.sender,
            content: &self.content,
            origin_server_ts: 0,
            depth: 1,
            prev_events: &self.prev_events,
            auth_events: &self.auth_events,
            redacts: None,
            rejected: false,
        }
    }
}

/// A store that answers later; a real one would ask a database.
#[derive(Default)]
struct Store {
    state: BTreeMap<(String, String), Row>,
}

impl Store {
    fn fetch(&self, event_type: &str, state_key: &str) -> impl Future<Output = Option<&Row>> {
        ready(self.state.get(&(event_type.to_owned(), state_key.to_owned())))
    }
}

/// The whole use of the crate: needed, fetch, decide.
async fn authorise(store: &Store, event: &Row, version: &'static RoomVersion) -> Result<(), Denial> {
    let view = event.view();
    let mut state = PreparedState::new(version);
    // Room version 12 leaves the create event out of `auth_events`; the rules need it all the same.
    let needed = auth_types_needed(&view, version);
    for (event_type, state_key) in needed.iter().chain([("m.room.create", "")]) {
        if let Some(row) = store.fetch(event_type, state_key).await {
            state.insert(&row.view());
        }
    }
    check(&view, &state, version)
}

fn main() {
    let row = |number: u64, event_type: &str, state_key: Option<&str>, sender: &str, content: &str| Row {
        number,
        event_id: format!("${number}"),
        event_type: event_type.to_owned(),
        state_key: state_key.map(str::to_owned),
        sender: sender.to_owned(),
        content: content.to_owned(),
        prev_events: Vec::new(),
        auth_events: Vec::new(),
    };
    let (alice, bob) = ("@alice:example.org", "@bob:example.org");
    let mut store = Store::default();
    for state in [
        row(1, "m.room.create", Some(""), alice, r#"{"room_version":"11"}"#),
        row(2, "m.room.member", Some(alice), alice, r#"{"membership":"join"}"#),
        row(3, "m.room.power_levels", Some(""), alice, r#"{"users":{"@alice:example.org":100}}"#),
        row(4, "m.room.join_rules", Some(""), alice, r#"{"join_rule":"invite"}"#),
    ] {
        store.state.insert((state.event_type.clone(), state.state_key.clone().unwrap_or_default()), state);
    }
    for event in [
        row(5, "m.room.topic", Some(""), alice, r#"{"topic":"beans"}"#),
        row(6, "m.room.member", Some(bob), bob, r#"{"membership":"join"}"#),
        row(7, "m.room.member", Some(bob), alice, r#"{"membership":"invite"}"#),
    ] {
        match run(authorise(&store, &event, RoomVersion::V11)) {
            Ok(()) => println!("{} of {} is allowed", event.event_type, event.sender),
            Err(denial) => {
                let against = denial.against.as_deref().unwrap_or("nothing");
                println!("{} of {}: {denial}; looked at {against}", event.event_type, event.sender);
            }
        }
    }
}

/// The smallest executor there is; a server has a better one.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
