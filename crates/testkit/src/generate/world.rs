//! The servers in a generated room and what each of them has heard.

use std::collections::BTreeSet;

use freehold_event::RoomVersion;
use serde_json::{Map, Value, json};

use super::{GenerateConfig, Recipe};
use crate::{
    builder::{Draft, RoomBuilder},
    event::StateMap,
    rng::Rng,
    seal::server_of,
    twin::Verdict,
};

/// A server: the events it knows, and those it would put the next one after.
struct Server {
    name: String,
    known: BTreeSet<String>,
    heads: Vec<String>,
}

/// A room in the making, with everybody in it.
pub(super) struct World {
    pub(super) room: RoomBuilder,
    pub(super) rng: Rng,
    pub(super) users: Vec<String>,
    servers: Vec<Server>,
    /// The timestamp that all events claim for the time being.
    pub(super) frozen_ts: Option<i64>,
    /// Whether levels are written as floats now and then, where the room version accepts that.
    pub(super) floats: bool,
}

impl World {
    /// A room with a few events in it that everybody knows.
    pub(super) fn new(version: &'static RoomVersion, rng: &mut Rng, config: &GenerateConfig) -> Self {
        let user_count = config.users.max(2);
        // A server is in the room by its users.
        let server_count = config.servers.clamp(1, user_count);
        let names: Vec<String> = (0..server_count).map(|n| format!("s{n}.example")).collect();
        let name_of = |n: usize| names.get(n % names.len()).map_or("", String::as_str);
        let users = (0..user_count).map(|n| format!("@u{n}:{}", name_of(n))).collect();
        let servers =
            names.iter().map(|name| Server { name: name.clone(), known: BTreeSet::new(), heads: Vec::new() });
        let mut world = Self {
            room: RoomBuilder::with_sealing(version, rng.next_u64(), config.sealing),
            users,
            servers: servers.collect(),
            floats: rng.chance(20),
            rng: rng.fork("world"),
            frozen_ts: None,
        };
        world.found();
        world
    }

    /// The first events: creation, the creator's join, power levels, a join rule, and the joins of
    /// most of the others.
    fn found(&mut self) {
        let users = self.users.clone();
        let Some((creator, others)) = users.split_first() else { return };
        let mut content = json!({});
        if let Value::Object(content) = &mut content {
            if self.room.differences().creators_rule && self.rng.chance(40) {
                let additional: Vec<&String> = others.iter().take(1 + self.rng.below(2)).collect();
                content.insert("additional_creators".to_owned(), json!(additional));
            }
            if self.rng.chance(3) {
                content.insert("m.federate".to_owned(), json!(false));
            }
        }
        self.room.create(creator, content);
        self.room.send(Draft::member(creator, creator, "join"));
        if self.rng.chance(90) {
            let levels = self.first_power_levels();
            self.room.send(Draft::state(creator, "m.room.power_levels", "", levels));
        }
        if self.rng.chance(95) {
            let rule = if self.rng.chance(75) { "public" } else { "invite" };
            let content = json!({ "join_rule": rule });
            self.room.send(Draft::state(creator, "m.room.join_rules", "", content));
        }
        for user in others {
            if self.rng.chance(85) {
                self.room.send(Draft::member(creator, user, "invite"));
                self.room.send(Draft::member(user, user, "join"));
            }
        }
        let everything: BTreeSet<String> = self.room.order().iter().cloned().collect();
        for index in 0..self.servers.len() {
            self.learn(index, &everything);
        }
    }

    fn first_power_levels(&mut self) -> Value {
        let mut levels = Map::new();
        let mut users = Map::new();
        let creators_rule = self.room.differences().creators_rule;
        for (number, user) in self.users.clone().into_iter().enumerate() {
            let level = [100, 100, 50, 50, 10, 0].get(number).copied().unwrap_or(0);
            let creator = creators_rule && number < 3;
            if !creator && (level > 0 || self.rng.chance(20)) {
                users.insert(user, json!(level));
            }
        }
        levels.insert("users".to_owned(), Value::Object(users));
        for (name, level) in [("kick", 50), ("ban", 50), ("state_default", 25), ("invite", 10)] {
            if self.rng.chance(50) {
                levels.insert(name.to_owned(), json!(level));
            }
        }
        levels.insert("events".to_owned(), json!({ "m.room.topic": 10, "m.room.power_levels": 50 }));
        Value::Object(levels)
    }

    /// The number of any server.
    pub(super) fn some_server(&mut self) -> usize {
        self.rng.below(self.servers.len())
    }

    /// Two servers, different ones when there are two.
    pub(super) fn two_servers(&mut self) -> (usize, usize) {
        let first = self.some_server();
        let step = 1 + self.rng.below(self.servers.len().saturating_sub(1));
        (first, (first + step) % self.servers.len().max(1))
    }

    /// The number of a user's server.
    pub(super) fn server_of_user(&self, user: &str) -> usize {
        self.servers.iter().position(|server| server.name == server_of(user)).unwrap_or(0)
    }

    /// The room state as a server has it.
    pub(super) fn state_at(&mut self, server: usize) -> StateMap {
        let heads = self.heads_at(server);
        self.room.state_before(&heads)
    }

    pub(super) fn heads_at(&self, server: usize) -> Vec<String> {
        self.servers.get(server).map(|server| server.heads.clone()).unwrap_or_default()
    }

    /// An event that a server knows.
    pub(super) fn some_known(&mut self, server: usize) -> Option<String> {
        let known: Vec<String> = self.servers.get(server)?.known.iter().cloned().collect();
        self.rng.pick(&known).cloned()
    }

    /// The content of an entry of a state.
    pub(super) fn content_in(
        &self,
        state: &StateMap,
        event_type: &str,
        state_key: &str,
    ) -> Map<String, Value> {
        let id = state.get(&(event_type.to_owned(), state_key.to_owned()));
        id.and_then(|id| self.room.events().get(id)).map(|event| event.content_object()).unwrap_or_default()
    }

    pub(super) fn membership_in(&self, state: &StateMap, user: &str) -> String {
        let content = self.content_in(state, "m.room.member", user);
        content.get("membership").and_then(Value::as_str).unwrap_or("leave").to_owned()
    }

    /// A user of a server, preferably one who is joined.
    pub(super) fn some_user_of(&mut self, server: usize) -> String {
        let name = self.servers.get(server).map(|server| server.name.clone()).unwrap_or_default();
        let state = self.state_at(server);
        let own: Vec<String> = self.users.iter().filter(|user| server_of(user) == name).cloned().collect();
        let joined: Vec<String> =
            own.iter().filter(|user| self.membership_in(&state, user) == "join").cloned().collect();
        let choice = if joined.is_empty() || self.rng.chance(10) { &own } else { &joined };
        self.rng.pick(choice).cloned().unwrap_or_default()
    }

    /// Anybody.
    pub(super) fn some_user(&mut self) -> String {
        self.rng.pick(&self.users).cloned().unwrap_or_default()
    }

    /// A user who may change much, on whatever server: one of the first few.
    pub(super) fn some_powerful_user(&mut self) -> String {
        let few = self.users.len().min(3);
        let number = self.rng.below(few);
        self.users.get(number).cloned().unwrap_or_default()
    }

    /// Sends an event from the server of its sender, with what that server knows.
    pub(super) fn send(&mut self, draft: Draft) -> (String, Verdict) {
        let server = self.server_of_user(&draft.sender);
        self.send_from(server, draft)
    }

    /// Sends an event into the part of the graph that a server knows.
    pub(super) fn send_from(&mut self, server: usize, mut draft: Draft) -> (String, Verdict) {
        let heads = self.heads_at(server);
        draft.prev_events.get_or_insert(heads);
        if draft.origin_server_ts.is_none() {
            draft.origin_server_ts = self.frozen_ts;
        }
        let (event_id, verdict) = self.room.send(draft);
        self.learn(server, &BTreeSet::from([event_id.clone()]));
        (event_id, verdict)
    }

    /// Some server hears of some events: everything another one knows, or one event and what is
    /// behind it, or nothing.
    pub(super) fn deliver_something(&mut self) {
        let (from, to) = self.two_servers();
        if self.rng.chance(35) {
            return;
        }
        let known = self.servers.get(from).map(|server| server.known.clone()).unwrap_or_default();
        if self.rng.chance(60) {
            self.learn(to, &known);
        } else if let Some(event_id) = self.some_known(from) {
            let news = self.with_everything_behind(&event_id);
            self.learn(to, &news);
        }
    }

    fn with_everything_behind(&self, event_id: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::from([event_id.to_owned()]);
        let mut to_visit = vec![event_id.to_owned()];
        while let Some(event) = to_visit.pop().and_then(|id| self.room.events().get(&id)) {
            for id in event.prev_events.iter().chain(&event.auth_events) {
                if found.insert(id.clone()) {
                    to_visit.push(id.clone());
                }
            }
        }
        found
    }

    /// A server adds events to what it knows. "Rejected events are not included as a prev event in
    /// new events", so they are no heads.
    fn learn(&mut self, server: usize, news: &BTreeSet<String>) {
        let events = self.room.events();
        let Some(server) = self.servers.get_mut(server) else { return };
        server.known.extend(news.iter().cloned());
        let accepted = || server.known.iter().filter_map(|id| events.get(id)).filter(|event| !event.rejected);
        let parents: BTreeSet<&String> = accepted().flat_map(|event| &event.prev_events).collect();
        let heads = accepted().map(|event| &event.event_id).filter(|id| !parents.contains(id));
        server.heads = heads.cloned().collect();
    }

    /// The events after which to take the states to be resolved: what has no children, and when
    /// that is too few, any others.
    pub(super) fn fork_heads(&mut self, count: usize) -> Vec<String> {
        let mut heads: Vec<String> = self.servers.iter().flat_map(|server| server.heads.clone()).collect();
        heads.sort();
        heads.dedup();
        self.rng.shuffle(&mut heads);
        let order = self.room.order().to_vec();
        let count = count.max(2);
        for _ in 0..4 * count {
            if heads.len() < count
                && let Some(event_id) = self.rng.pick(&order)
                && !heads.contains(event_id)
            {
                heads.push(event_id.clone());
            }
        }
        heads.truncate(count);
        heads
    }

    /// Does what a recipe says.
    pub(super) fn cook(&mut self, recipe: Recipe) {
        match recipe {
            Recipe::Traffic => self.traffic(),
            Recipe::PowerChange => self.power_change(),
            Recipe::PowerStruggle => self.power_struggle(),
            Recipe::DemotionWar => self.demotion_war(),
            Recipe::PowerChain => self.power_chain(),
            Recipe::BanRace => self.ban_race(),
            Recipe::KickRejoin => self.kick_rejoin(),
            Recipe::Membership => self.membership(),
            Recipe::JoinRuleFlip => self.join_rule_flip(),
            Recipe::RestrictedJoin => self.restricted_join(),
            Recipe::ThirdPartyInvite => self.third_party_invite(),
            Recipe::Invitation => self.invitation(),
            Recipe::Creators => self.creators(),
            Recipe::EqualTimestamps => self.equal_timestamps(),
            Recipe::StaleBranch => self.stale_branch(),
            Recipe::StaleAuth => self.stale_auth(),
            Recipe::Rejected => self.rejected(),
            Recipe::ProblemA => self.problem_a(),
            Recipe::ProblemB => self.problem_b(),
        }
    }
}
