//! A server with an event struct of its own, integers for events, and an asynchronous store.
//!
//! Resolution is synchronous and does no I/O: the server asks, fetches what comes back as missing,
//! and asks again, until there is an answer. Nothing of the algorithm is copied or wrapped, and any
//! runtime will do; this example drives its futures with ten lines of `std`.
#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use freehold_event::{EventSource, EventView, MemberSummary, RoomVersion};
use freehold_state_res::{Outcome, PlainForks, ResolveBudget, ResolveError, generation_above, resolve};

/// This server's event: short names, integers for other events.
struct Event {
    number: u64,
    event_id: String,
    room: String,
    kind: String,
    state_key: Option<String>,
    sender: String,
    content: String,
    ts: i64,
    depth: i64,
    parents: Vec<u64>,
    authorisers: Vec<u64>,
    /// Computed once, when the event came in, with [`generation_above`].
    generation: u64,
    /// Read once, when the event came in.
    member: Option<MemberSummary>,
    was_rejected: bool,
}

/// What this server has in memory during one resolution.
#[derive(Default)]
struct Fetched(BTreeMap<u64, Event>);

impl Event {
    fn view(&self) -> EventView<'_, u64> {
        EventView {
            id: &self.number,
            event_id: &self.event_id,
            room_id: Some(&self.room),
            event_type: &self.kind,
            state_key: self.state_key.as_deref(),
            sender: &self.sender,
            content: &self.content,
            origin_server_ts: self.ts,
            depth: self.depth,
            prev_events: &self.parents,
            auth_events: &self.authorisers,
            redacts: None,
            rejected: self.was_rejected,
        }
    }
}

impl EventSource for Fetched {
    type Id = u64;

    fn event(&self, number: &u64) -> Option<EventView<'_, u64>> {
        self.0.get(number).map(Event::view)
    }

    // These are optional: resolution computes or reads what a source does not keep.

    fn generation(&self, number: &u64) -> Option<u64> {
        self.0.get(number).map(|event| event.generation)
    }

    fn member_summary(&self, number: &u64) -> Option<MemberSummary> {
        self.0.get(number)?.member
    }
}

/// The store, somewhere behind a network.
struct Database(Vec<Row>);

/// A row: sender, type, state key, content, and the events that authorise it.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static [u64]);

impl Database {
    async fn load(&self, numbers: &[u64]) -> Vec<Event> {
        std::future::ready(()).await;
        numbers.iter().filter_map(|number| self.row(*number)).collect()
    }

    fn row(&self, number: u64) -> Option<Event> {
        let (sender, kind, state_key, content, authorisers) = self.0.get(usize::try_from(number).ok()?)?;
        let below = authorisers.iter().filter_map(|number| self.row(*number));
        let mut event = Event {
            number,
            event_id: format!("${number}"),
            room: "!room:example.org".to_owned(),
            kind: (*kind).to_owned(),
            state_key: Some((*state_key).to_owned()),
            sender: (*sender).to_owned(),
            content: (*content).to_owned(),
            ts: i64::try_from(number).ok()?,
            depth: i64::try_from(number).ok()?,
            parents: if number == 0 { Vec::new() } else { vec![number - 1] },
            authorisers: authorisers.to_vec(),
            generation: generation_above(below.map(|event| event.generation)),
            member: None,
            was_rejected: false,
        };
        event.member = MemberSummary::of(&event.view());
        Some(event)
    }
}

type State = BTreeMap<(String, String), u64>;

/// The whole of what a server has to write: ask, fetch, ask again.
async fn resolve_forks(database: &Database, forks: &[State]) -> Result<State, ResolveError<u64>> {
    let forks = PlainForks::new(forks);
    let mut fetched = Fetched::default();
    loop {
        let missing = match resolve(RoomVersion::V11, &forks, &fetched, &ResolveBudget::default()) {
            Ok(resolution) => {
                for step in resolution.dropped() {
                    if let Outcome::Denied(denial) = &step.outcome {
                        println!("{} is not in the state: {denial}", step.event_id);
                    }
                }
                let state = forks.state(&resolution).into_iter();
                return Ok(state
                    .map(|((kind, state_key), number)| ((kind.to_owned(), state_key.to_owned()), *number))
                    .collect());
            }
            Err(ResolveError::MissingEvents { events }) => events,
            Err(error) => return Err(error),
        };
        println!("fetching {missing:?}");
        let events = database.load(&missing).await;
        if events.len() < missing.len() {
            // The store cannot help: the caller has to ask other servers for these events first.
            return Err(ResolveError::MissingEvents { events: missing });
        }
        fetched.0.extend(events.into_iter().map(|event| (event.number, event)));
    }
}

const ALICE: &str = "@alice:example.org";
const BOB: &str = "@bob:example.net";

fn main() -> Result<(), ResolveError<u64>> {
    let database = Database(vec![
        (ALICE, "m.room.create", "", r#"{"room_version":"11"}"#, &[]),
        (ALICE, "m.room.member", ALICE, r#"{"membership":"join"}"#, &[0]),
        (
            ALICE,
            "m.room.power_levels",
            "",
            r#"{"users":{"@alice:example.org":100,"@bob:example.net":50}}"#,
            &[0, 1],
        ),
        (ALICE, "m.room.join_rules", "", r#"{"join_rule":"public"}"#, &[0, 1, 2]),
        (BOB, "m.room.member", BOB, r#"{"membership":"join"}"#, &[0, 2, 3]),
        // Here the room forks: Alice bans Bob, and Bob, who has not heard of it, sets a topic.
        (ALICE, "m.room.member", BOB, r#"{"membership":"ban"}"#, &[0, 1, 2, 4]),
        (BOB, "m.room.topic", "", r#"{"topic":"Bob was here"}"#, &[0, 2, 4]),
    ]);
    let state = |numbers: &[u64]| -> State {
        let events = numbers.iter().filter_map(|number| database.row(*number));
        events.filter_map(|event| Some(((event.kind, event.state_key?), event.number))).collect()
    };
    let (ours, theirs) = (state(&[0, 1, 2, 3, 5]), state(&[0, 1, 2, 3, 4, 6]));

    let resolved = block_on(resolve_forks(&database, &[ours.clone(), theirs]))?;
    println!("resolved: {resolved:?}");
    assert_eq!(resolved, ours, "the ban holds, and the topic of a banned user does not");
    Ok(())
}

/// The smallest executor there is: every future of this example is ready when it is asked.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
