//! Large rooms for measurements.

use std::collections::BTreeSet;

use freehold_event::RoomVersion;
use serde_json::{Value, json};

use crate::{
    event::{Events, RoomEvent, StateMap},
    seal::plain_id,
};

/// A large room with two forks, made in one go: no signatures, no judgement by the twin.
///
/// Its events are in a list, and everything else are positions in that list, so that a bench turns
/// it into whatever form it measures.
#[derive(Clone, Debug)]
pub struct BenchRoom {
    /// The room version.
    pub version: &'static RoomVersion,
    /// The room id.
    pub room_id: String,
    /// The events; what an event cites comes before it.
    pub events: Vec<RoomEvent>,
    /// The events that are in the state of both forks.
    pub common: Vec<usize>,
    /// The events that are in the state of one fork only; both have the same keys.
    pub forks: [Vec<usize>; 2],
}

impl BenchRoom {
    /// The state of a fork, 0 or 1, as a plain map.
    pub fn fork_state(&self, fork: usize) -> StateMap {
        let own = self.forks.get(fork).into_iter().flatten();
        let events = self.common.iter().chain(own).filter_map(|position| self.events.get(*position));
        events.filter_map(|event| Some((event.state_map_key()?, event.event_id.clone()))).collect()
    }

    /// The events by event id.
    pub fn events_by_id(&self) -> Events {
        self.events.iter().map(|event| (event.event_id.clone(), event.clone())).collect()
    }
}

/// Makes a room of `members` joined members whose two forks differ in `conflicted` keys.
///
/// The first conflict is between two changes of the power levels, the second between a ban and a
/// change of the banned member's profile, the others between two profiles of one member. All
/// events are allowed where they stand.
///
/// ```
/// use freehold_event::RoomVersion;
/// use freehold_testkit::bench_room;
///
/// let room = bench_room(RoomVersion::V11, 1_000, 30);
/// assert_eq!(room.fork_state(0).len(), 1_003);
/// assert_eq!(room.forks[0].len(), 30);
/// ```
pub fn bench_room(version: &'static RoomVersion, members: usize, conflicted: usize) -> BenchRoom {
    let mut maker = Maker::new(version);
    let users: Vec<String> = (0..members).map(|n| format!("@user{n}:s{}.example", n % 50)).collect();
    let mut common = maker.found(&users);
    let mut replaced = BTreeSet::new();
    for number in 0..conflicted.min(members.saturating_sub(1)) {
        let (position, events) = maker.conflict(number, &users);
        replaced.insert(position);
        for (fork, event) in maker.forks.iter_mut().zip(events) {
            fork.push(event);
        }
    }
    common.retain(|position| !replaced.contains(position));
    BenchRoom { version, room_id: maker.room_id, events: maker.events, common, forks: maker.forks }
}

struct Maker {
    version: &'static RoomVersion,
    room_id: String,
    events: Vec<RoomEvent>,
    create: usize,
    first_join: usize,
    power_levels: usize,
    join_rules: usize,
    forks: [Vec<usize>; 2],
}

impl Maker {
    fn new(version: &'static RoomVersion) -> Self {
        Self {
            version,
            room_id: "!bench:s0.example".to_owned(),
            events: Vec::new(),
            create: 0,
            first_join: 1,
            power_levels: 2,
            join_rules: 3,
            forks: [Vec::new(), Vec::new()],
        }
    }

    /// Creation, power levels, join rule, and everybody's join: the common state.
    fn found(&mut self, users: &[String]) -> Vec<usize> {
        let Some((creator, others)) = users.split_first() else { return Vec::new() };
        let content = json!({ "room_version": self.version.id(), "creator": creator });
        self.create = self.push(creator, ("m.room.create", ""), content, &[]);
        if self.version.rules().authorization.room_create_event_id_as_room_id
            && let Some(create) = self.events.get(self.create)
        {
            self.room_id = create.event_id.replacen('$', "!", 1);
        }
        let create = self.create;
        self.first_join =
            self.push(creator, ("m.room.member", creator), json!({ "membership": "join" }), &[create]);
        self.power_levels = self.levels(0, None);
        let (levels, join) = (self.power_levels, self.first_join);
        let rule = json!({ "join_rule": "public" });
        self.join_rules = self.push(creator, ("m.room.join_rules", ""), rule, &[create, join, levels]);
        for user in others {
            let cited = [create, levels, self.join_rules];
            self.push(user, ("m.room.member", user), json!({ "membership": "join" }), &cited);
        }
        (0..self.events.len()).collect()
    }

    /// One conflict: what it replaces in the common state, and the two events.
    fn conflict(&mut self, number: usize, users: &[String]) -> (usize, [usize; 2]) {
        let levels = self.power_levels;
        if number == 0 {
            return (levels, [self.levels(1, Some(levels)), self.levels(2, Some(levels))]);
        }
        let user = users.get(number).cloned().unwrap_or_default();
        // The members after the creator joined one by one after the join rule was set.
        let join = self.join_rules + number;
        let first = if number == 1 { self.ban(&user, join) } else { self.profile(&user, join, "one") };
        (join, [first, self.profile(&user, join, "two")])
    }

    fn creator(&self) -> String {
        self.events.get(self.create).map(|create| create.sender.clone()).unwrap_or_default()
    }

    fn levels(&mut self, variant: usize, previous: Option<usize>) -> usize {
        let creator = self.creator();
        let creators_rule = self.version.rules().authorization.explicitly_privilege_room_creators;
        let mut users = json!({ "@user1:s1.example": variant });
        if let Value::Object(users) = &mut users
            && !creators_rule
        {
            users.insert(creator.clone(), json!(100));
        }
        let mut cited = vec![self.create, self.first_join];
        cited.extend(previous);
        self.push(&creator, ("m.room.power_levels", ""), json!({ "users": users }), &cited)
    }

    fn ban(&mut self, user: &str, join: usize) -> usize {
        let creator = self.creator();
        let cited = [self.create, self.first_join, self.power_levels, join];
        self.push(&creator, ("m.room.member", user), json!({ "membership": "ban" }), &cited)
    }

    fn profile(&mut self, user: &str, join: usize, name: &str) -> usize {
        let content = json!({ "membership": "join", "displayname": name });
        let cited = [self.create, self.power_levels, self.join_rules, join];
        self.push(user, ("m.room.member", user), content, &cited)
    }

    fn push(
        &mut self,
        sender: &str,
        (event_type, state_key): (&str, &str),
        content: Value,
        cited: &[usize],
    ) -> usize {
        let position = self.events.len();
        let create_in_auth = !self.version.rules().authorization.room_create_event_id_as_room_id;
        let cited = cited.iter().filter(|cited| create_in_auth || **cited != self.create || position == 0);
        let auth_events =
            cited.filter_map(|cited| self.events.get(*cited)).map(|event| event.event_id.clone());
        let number = i64::try_from(position).unwrap_or(0);
        let without_room_id = position == 0 && !create_in_auth;
        let mut event = RoomEvent {
            event_id: String::new(),
            room_id: (!without_room_id).then(|| self.room_id.clone()),
            event_type: event_type.to_owned(),
            state_key: Some(state_key.to_owned()),
            sender: sender.to_owned(),
            content: content.to_string(),
            origin_server_ts: 1_767_225_600_000 + number,
            depth: number + 1,
            prev_events: self.events.last().map(|event| event.event_id.clone()).into_iter().collect(),
            auth_events: auth_events.collect(),
            redacts: None,
            rejected: false,
            pdu: None,
        };
        let ids_in_events = self.version.rules().event_format.require_event_id;
        event.event_id = plain_id(&event, ids_in_events, position);
        self.events.push(event);
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::{self, Differences, Verdict};

    #[test]
    fn forks_differ_in_the_conflicted_keys_and_nothing_else() {
        for version in RoomVersion::ALL {
            for (members, conflicted) in [(10, 0), (10, 1), (10, 2), (10, 5), (40, 39)] {
                let room = bench_room(version, members, conflicted);
                let (one, two) = (room.fork_state(0), room.fork_state(1));
                assert!(one.keys().eq(two.keys()), "{version}");
                assert_eq!(one.len(), members + 3);
                let different = one.iter().filter(|(key, id)| two.get(*key) != Some(*id)).count();
                assert_eq!(different, conflicted, "{version}: {members} members");
            }
        }
    }

    #[test]
    fn events_are_allowed_by_their_auth_events() {
        for version in RoomVersion::ALL {
            let room = bench_room(version, 20, 6);
            let differences = Differences::of(version.id()).unwrap();
            let events = room.events_by_id();
            for event in &room.events {
                let by_id =
                    |id: &String| events.get(id).and_then(|event| Some((event.state_map_key()?, id.clone())));
                let mut state: StateMap = event.auth_events.iter().filter_map(by_id).collect();
                state.extend(by_id(&room.events[0].event_id));
                let verdict = twin::receive(event, &state, &events, &differences);
                assert_eq!(verdict, Verdict::Accepted, "{version}: {event:?}");
            }
        }
    }
}
