//! State resolution: two forks of large rooms, as snapshots and as plain maps, against ruma-state-res.

use std::{collections::HashMap, hint::black_box};

use freehold_event::{EventSource, EventView, MemberSummary, RoomVersion};
use freehold_state_map::{Entry, NoStore, StateMap};
use freehold_state_res::{PlainForks, Resolution, ResolveBudget, SnapshotForks, generation_above, resolve};
use freehold_testkit::{BenchRoom, RoomEvent, bench_room};
use ruma_common::EventId;
use ruma_state_res::utils::{event_id_map::EventIdMap, event_id_set::EventIdSet};

use crate::{
    measure::{self, Pair},
    ruma_event::{RumaEvent, ruma_event},
    table::{Table, Target},
};

const VERSION: &RoomVersion = RoomVersion::V11;

/// Where the time goes that is left in small resolutions from snapshots.
const SNAPSHOTS_LIMIT: &str = "the time is flat in the size of the room, the peer's is not; the 208,000 instructions \
    of 58 events (callgrind) are spread: 37 % checking with reasons, 20 % reading events, 12 % comparing auth \
    events, 8 % comparing snapshots, no function above 7 %";

/// Where the time goes that is left in resolutions from plain maps.
const PLAIN_MAPS_LIMIT: &str = "both hash maps are gone through once, and two thirds of the samples (perf) wait for \
    the memory of their entries and event ids, which are more than the second-level cache holds";

/// A room's size, the number of conflicted keys, and what must be reached with snapshots and with plain maps.
struct Case {
    members: usize,
    conflicted: usize,
    snapshots: Target,
    plain_maps: Target,
}

pub(crate) fn rows(table: &mut Table) {
    let times = Target::TimesFaster;
    let case =
        |members, conflicted, snapshots, plain_maps| Case { members, conflicted, snapshots, plain_maps };
    let mut flat = Vec::new();
    for case in [
        case(1_000, 29, times(100.0), Target::None),
        case(10_000, 29, times(1_000.0), times(30.0)),
        case(100_000, 29, Target::None, Target::None),
        case(100_000, 10_000, times(50.0), Target::None),
    ] {
        let name = format!("2 forks, {} members, {} keys in conflict", case.members, case.conflicted);
        if table.wants(&name) {
            flat.push(measure_case(table, &name, &case));
        }
    }
    if let [small, _, large, ..] = flat.as_slice() {
        table.figure("snapshots: time at 100,000 members ÷ at 1,000", Target::AtMost(2.0), large / small);
    }
}

/// Adds the rows of a case and returns our time with snapshots.
fn measure_case(table: &mut Table, name: &str, case: &Case) -> f64 {
    let made = bench_room(VERSION, case.members, case.conflicted);
    let server = Server::new(&made);
    let peer = Peer::new(&made);
    let theirs = peer.resolve(peer.prepare());
    assert_eq!(server.resolve_snapshots(), theirs, "{name}: snapshots");
    assert_eq!(peer.resolve_plain_maps(), theirs, "{name}: plain maps");
    let prepare = || peer.prepare();
    let pair = measure::prepared_pair(
        table.effort(),
        || server.changes(),
        prepare,
        |input| peer.resolve_only(input),
    );
    table.add_pair_with_limit(&format!("{name}, snapshots"), (case.snapshots, SNAPSHOTS_LIMIT), pair);
    if case.conflicted < 30 {
        let limit = Target::Seconds(0.05e-3);
        table.add_single(&format!("{name}, snapshots: time"), limit, pair.ours);
    }
    let plain: Pair = measure::prepared_pair(
        table.effort(),
        || peer.plain_changes(),
        prepare,
        |input| peer.resolve_only(input),
    );
    table.add_pair_with_limit(&format!("{name}, plain maps"), (case.plain_maps, PLAIN_MAPS_LIMIT), plain);
    pair.ours
}

/// The heap that resolving a room of which a tenth is in conflict takes, forks as snapshots, in bytes.
pub fn heap_of_our_resolution(members: usize, peak_of: impl Fn(&mut dyn FnMut()) -> usize) -> usize {
    let made = bench_room(VERSION, members, members / 10);
    let server = Server::new(&made);
    peak_of(&mut || {
        black_box(server.changes());
    })
}

/// The same for ruma-state-res, without the auth chains that it is given.
pub fn heap_of_peer_resolution(members: usize, peak_of: impl Fn(&mut dyn FnMut()) -> usize) -> usize {
    let made = bench_room(VERSION, members, members / 10);
    let peer = Peer::new(&made);
    let mut input = Some(peer.prepare());
    peak_of(&mut || {
        black_box(input.take().map(|input| peer.resolve_only(input)));
    })
}

type Resolved = Vec<(String, String, String)>;

/// A server that has interned everything, as ours does.
struct Server<'a> {
    events: Vec<Stored<'a>>,
    keys: HashMap<&'a str, HashMap<&'a str, u64>>,
    forks: [StateMap; 2],
}

struct Stored<'a> {
    number: u64,
    event: &'a RoomEvent,
    auth_events: Vec<u64>,
    generation: u64,
    key: u64,
    member: Option<MemberSummary>,
}

impl EventSource for Server<'_> {
    type Id = u64;

    fn event(&self, id: &u64) -> Option<EventView<'_, u64>> {
        let stored = self.events.get(usize::try_from(*id).ok()?)?;
        let event = stored.event;
        Some(EventView {
            id: &stored.number,
            event_id: &event.event_id,
            room_id: event.room_id.as_deref(),
            event_type: &event.event_type,
            state_key: event.state_key.as_deref(),
            sender: &event.sender,
            content: &event.content,
            origin_server_ts: event.origin_server_ts,
            depth: event.depth,
            prev_events: &[],
            auth_events: &stored.auth_events,
            redacts: event.redacts.as_deref(),
            rejected: event.rejected,
        })
    }

    fn generation(&self, id: &u64) -> Option<u64> {
        Some(self.events.get(usize::try_from(*id).ok()?)?.generation)
    }

    fn key_number(&self, id: &u64) -> Option<u64> {
        Some(self.events.get(usize::try_from(*id).ok()?)?.key)
    }

    fn member_summary(&self, id: &u64) -> Option<MemberSummary> {
        self.events.get(usize::try_from(*id).ok()?)?.member
    }
}

impl<'a> Server<'a> {
    fn new(room: &'a BenchRoom) -> Self {
        let mut server =
            Self { events: Vec::new(), keys: HashMap::new(), forks: [StateMap::new(), StateMap::new()] };
        let mut numbers: HashMap<&str, u64> = HashMap::new();
        for event in &room.events {
            let number = server.events.len() as u64;
            let auth_events: Vec<u64> = event.auth_events.iter().map(|id| numbers[id.as_str()]).collect();
            let generation =
                generation_above(auth_events.iter().map(|id| server.events[*id as usize].generation));
            numbers.insert(&event.event_id, number);
            let (key, member) = (server.key_of(event), MemberSummary::of(&event.view()));
            server.events.push(Stored { number, event, auth_events, generation, key, member });
        }
        let mut common = StateMap::new();
        server.fill(&mut common, &room.common);
        common.root_id();
        server.forks = [0, 1].map(|fork| {
            let mut state = common.clone();
            server.fill(&mut state, &room.forks[fork]);
            state
        });
        server
    }

    fn fill(&self, state: &mut StateMap, positions: &[usize]) {
        for position in positions {
            let stored = &self.events[*position];
            let entry = Entry { event: stored.number, generation: stored.generation };
            state.insert(stored.key, entry, &NoStore).expect("in memory");
        }
    }

    fn key_of(&mut self, event: &'a RoomEvent) -> u64 {
        let next = self.keys.values().map(HashMap::len).sum::<usize>() as u64;
        let state_key = event.state_key.as_deref().expect("a state event");
        *self.keys.entry(&event.event_type).or_default().entry(state_key).or_insert(next)
    }

    /// What resolution is asked for: the conflict found, resolved and explained.
    fn resolution(&self) -> Resolution<'_, u64> {
        let keys = |event_type: &str, state_key: &str| self.keys.get(event_type)?.get(state_key).copied();
        let [first, second] = &self.forks;
        let maps = [first, second];
        let forks = SnapshotForks::new(&maps, &keys, &NoStore).expect("in memory");
        resolve(VERSION, &forks, self, &ResolveBudget::default()).expect("resolved")
    }

    fn changes(&self) -> usize {
        self.resolution().resolved.len()
    }

    fn resolve_snapshots(&self) -> Resolved {
        let keys = |event_type: &str, state_key: &str| self.keys.get(event_type)?.get(state_key).copied();
        let [first, second] = &self.forks;
        let maps = [first, second];
        let forks = SnapshotForks::new(&maps, &keys, &NoStore).expect("in memory");
        let state = forks.state(&self.resolution(), |_, _| u64::MAX).expect("in memory");
        let entries = state.iter(&NoStore).map(|entry| {
            let (_, entry) = entry.expect("in memory");
            let event = self.events[entry.event as usize].event;
            (event.event_type.clone(), event.state_key.clone().unwrap_or_default(), event.event_id.clone())
        });
        sorted(entries.collect())
    }
}

/// Another homeserver: events by id, states as hash maps; it resolves with ruma-state-res, or with ours.
struct Peer<'a> {
    events: HashMap<&'a str, &'a RoomEvent>,
    ruma_events: EventIdMap<&'a EventId, RumaEvent<'a>>,
    states: Vec<HashMap<(String, String), String>>,
    ruma_states: Vec<ruma_state_res::StateMap<&'a EventId>>,
    auth_chains: Vec<EventIdSet<&'a EventId>>,
}

impl EventSource for Peer<'_> {
    type Id = String;

    fn event(&self, id: &String) -> Option<EventView<'_, String>> {
        self.events.get(id.as_str()).map(|event| event.view())
    }
}

impl<'a> Peer<'a> {
    fn new(room: &'a BenchRoom) -> Self {
        let events: HashMap<&str, &RoomEvent> =
            room.events.iter().map(|event| (event.event_id.as_str(), event)).collect();
        let ruma_events: EventIdMap<_, _> = room
            .events
            .iter()
            .map(|event| ruma_event(&event.view()))
            .map(|event| (event.id(), event))
            .collect();
        let states = [0, 1].map(|fork| room.fork_state(fork).into_iter().collect::<HashMap<_, _>>());
        let by_id = |id: &str| events[id];
        let ruma_states = states.each_ref().map(|state| {
            let entry = |((event_type, state_key), id): (&(String, String), &String)| {
                ((event_type.as_str().into(), state_key.clone()), ruma_event(&by_id(id).view()).id())
            };
            state.iter().map(entry).collect()
        });
        let auth_chains =
            states.each_ref().map(|state| auth_chain(state.values().map(|id| by_id(id)), &events));
        Self {
            ruma_events,
            ruma_states: ruma_states.into(),
            auth_chains: auth_chains.into(),
            states: states.into(),
            events,
        }
    }

    /// The input that ruma consumes.
    fn prepare(&self) -> Vec<EventIdSet<&'a EventId>> {
        self.auth_chains.clone()
    }

    fn resolve_only(
        &self,
        auth_chains: Vec<EventIdSet<&'a EventId>>,
    ) -> ruma_state_res::StateMap<&'a EventId> {
        let rules = VERSION.rules();
        ruma_state_res::resolve(
            &rules.authorization,
            rules.state_res.v2_rules().expect("version 2 of the algorithm"),
            &self.ruma_states,
            auth_chains,
            |id| self.ruma_events.get(id),
            |_| None,
        )
        .expect("resolved by ruma")
    }

    fn resolve(&self, auth_chains: Vec<EventIdSet<&'a EventId>>) -> Resolved {
        let state = self.resolve_only(auth_chains);
        let entries = state
            .into_iter()
            .map(|((event_type, state_key), id)| (event_type.to_string(), state_key, id.to_string()));
        sorted(entries.collect())
    }

    fn forks(&self) -> PlainForks<'_, String> {
        PlainForks::new(self.states.iter().map(|state| {
            state.iter().map(|((event_type, state_key), id)| ((event_type.as_str(), state_key.as_str()), id))
        }))
    }

    fn plain_changes(&self) -> usize {
        resolve(VERSION, &self.forks(), self, &ResolveBudget::default()).expect("resolved").resolved.len()
    }

    fn resolve_plain_maps(&self) -> Resolved {
        let forks = self.forks();
        let resolution = resolve(VERSION, &forks, self, &ResolveBudget::default()).expect("resolved");
        let entries = forks.state(&resolution).into_iter();
        sorted(
            entries
                .map(|((event_type, state_key), id)| {
                    (event_type.to_owned(), state_key.to_owned(), id.clone())
                })
                .collect(),
        )
    }
}

fn auth_chain<'a>(
    state: impl Iterator<Item = &'a RoomEvent>,
    events: &HashMap<&'a str, &'a RoomEvent>,
) -> EventIdSet<&'a EventId> {
    let mut chain = EventIdSet::new();
    let mut waiting: Vec<&RoomEvent> = state.collect();
    while let Some(event) = waiting.pop() {
        if chain.insert(<&EventId>::try_from(event.event_id.as_str()).expect("an event id")) {
            waiting.extend(event.auth_events.iter().map(|id| events[id.as_str()]));
        }
    }
    chain
}

fn sorted(mut entries: Resolved) -> Resolved {
    entries.sort();
    entries
}
