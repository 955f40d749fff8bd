//! State resolution of room version 1.

use std::cmp::Reverse;

use freehold_event::{EventSource, RoomVersion};
use freehold_event_auth::Denial;
use sha1::{Digest, Sha1};

use crate::{
    Algorithm, Order, Outcome, Part, Pass, Resolution, Step,
    budget::BudgetLine,
    conflict::{Conflict, Entry},
    error::Failure,
    forks::Forks,
    graph::Graph,
    lookup::{Base, Lookup},
    node_map::Node,
    standing::{Facts, check_in_state},
};

/// Resolves by the algorithm of
/// [room version 1](https://spec.matrix.org/v1.19/rooms/v1/#state-resolution).
///
/// > The resolved state is built up in a number of passes; here we use R to refer to the results
/// > of the resolution so far.
///
/// Two things that the text leaves open are done as by the reference implementation: in a pass,
/// each key is resolved by itself against R as it was before the pass, so that the outcome for one
/// user does not depend on when another is looked at; and among other conflicts, when no event
/// passes, the last one tried is taken.
pub(crate) fn resolve<'a, S: EventSource, F: Forks<S::Id>>(
    version: &'static RoomVersion,
    forks: &F,
    mut graph: Graph<'a, S>,
) -> Result<Resolution<'a, S::Id>, Failure<S::Id>> {
    let conflict = Conflict::read(&mut graph, forks)?;
    let mut keys = Vec::new();
    let mut agreed = Vec::new();
    for entries in conflict.entries.chunk_by(|a, b| a.key == b.key) {
        match Key::new(&mut graph, entries)? {
            Some(key) => keys.push(key),
            None => agreed.extend(entries.first().map(|entry| entry.node)),
        }
    }
    keys.sort_by(|a, b| (a.pass, a.name).cmp(&(b.pass, b.name)));
    let mut lookup = Lookup::new(graph, forks, &conflict, (Base::Unconflicted, version))?;
    // "Start by setting R to the union of the states to be resolved, excluding any conflicting
    // events." A key that some states lack is no conflict here.
    for node in agreed {
        lookup.put(node);
    }
    let mut run = Run { lookup, facts: Facts::new(version), steps: Vec::new() };
    // "First we resolve conflicts between `m.room.power_levels` events." "Repeat the above process
    // for conflicts between `m.room.join_rules` events." "Repeat the above process for conflicts
    // between `m.room.member` events." "No other events affect the authorisation rules".
    for pass in keys.chunk_by(|a, b| a.pass == b.pass) {
        run.pass(pass)?;
    }
    run.lookup.graph.complete()?;
    let resolved = conflict.first_of_keys().filter_map(|entry| run.lookup.resolved(entry.node)).collect();
    let spent = run.lookup.graph.spent();
    Ok(Resolution { algorithm: Algorithm::V1, resolved, steps: run.steps, spent })
}

/// A key for which the states have different events.
///
/// > A conflict occurs between states where those states have different event_ids for the same
/// > (event_type, state_key). The events thus affected are said to be conflicting events.
struct Key<'a> {
    pass: Pass,
    name: (&'a str, &'a str),
    /// > Sort the list by ascending depth then descending sha1(event_id).
    list: Vec<Node>,
}

impl<'a> Key<'a> {
    /// `None` when all states that have the key agree on it.
    fn new<S: EventSource>(
        graph: &mut Graph<'a, S>,
        entries: &[Entry],
    ) -> Result<Option<Self>, Failure<S::Id>> {
        let mut nodes: Vec<Node> = entries.iter().map(|entry| entry.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let name = nodes.first().and_then(|node| graph.view(*node));
        let name = name.map(|event| (event.event_type, event.state_key.unwrap_or_default()));
        let (Some(name), true) = (name, nodes.len() > 1) else { return Ok(None) };
        graph.spend(BudgetLine::SortSteps, nodes.len())?;
        nodes.sort_by_cached_key(|node| {
            let (depth, event_id) = graph.view(*node).map_or((0, ""), |event| (event.depth, event.event_id));
            (depth, Reverse(Sha1::digest(event_id)))
        });
        Ok(Some(Self { pass: pass_of(name), name, list: nodes }))
    }
}

fn pass_of(name: (&str, &str)) -> Pass {
    match name {
        ("m.room.power_levels", "") => Pass::PowerLevels,
        ("m.room.join_rules", _) => Pass::JoinRules,
        ("m.room.member", _) => Pass::Members,
        _ => Pass::Others,
    }
}

struct Run<'r, 'a, S: EventSource, F> {
    lookup: Lookup<'r, 'a, S, F>,
    facts: Facts<'a>,
    steps: Vec<Step<'a, S::Id>>,
}

impl<'a, S: EventSource, F: Forks<S::Id>> Run<'_, 'a, S, F> {
    fn pass(&mut self, keys: &[Key<'_>]) -> Result<(), Failure<S::Id>> {
        let mut chosen = Vec::with_capacity(keys.len());
        for key in keys {
            chosen.extend(match key.pass {
                Pass::PowerLevels | Pass::JoinRules | Pass::Members => self.last_allowed(key)?,
                Pass::Others => self.highest_allowed(key)?,
            });
        }
        for node in chosen {
            self.lookup.put(node);
        }
        Ok(())
    }

    /// > Add the first event in the list to R. For each subsequent event in the list, check that the
    /// > event would be allowed by the authorisation rules for a room in state R. If the event would
    /// > be allowed, then update R with the event and continue with the next event in the list. If
    /// > it would not be allowed, stop and continue below […].
    fn last_allowed(&mut self, key: &Key<'_>) -> Result<Option<Node>, Failure<S::Id>> {
        let mut chosen = None;
        let mut list = key.list.iter();
        for node in list.by_ref() {
            if chosen.is_some()
                && let Err(denial) = self.check(*node)?
            {
                self.note(*node, key.pass, Outcome::Denied(denial));
                break;
            }
            self.note(*node, key.pass, Outcome::Applied);
            self.lookup.put(*node);
            chosen = Some(*node);
        }
        for node in list {
            self.note(*node, key.pass, Outcome::NotTried);
        }
        if let Some(node) = chosen {
            self.lookup.take_out(node);
        }
        Ok(chosen)
    }

    /// > […] just pick the event with the highest depth and lowest sha1(event_id) that passes
    /// > authentication in R and add it to R.
    fn highest_allowed(&mut self, key: &Key<'_>) -> Result<Option<Node>, Failure<S::Id>> {
        let mut chosen = None;
        for (left, node) in key.list.iter().enumerate().rev() {
            if chosen.is_some() {
                self.note(*node, key.pass, Outcome::NotTried);
                continue;
            }
            let outcome = match self.check(*node)? {
                Ok(()) => Outcome::Applied,
                Err(denial) if left == 0 => Outcome::LastResort(denial),
                Err(denial) => Outcome::Denied(denial),
            };
            if !matches!(outcome, Outcome::Denied(_)) {
                chosen = Some(*node);
            }
            self.note(*node, key.pass, outcome);
        }
        Ok(chosen)
    }

    fn check(&mut self, node: Node) -> Result<Result<(), Denial>, Failure<S::Id>> {
        match self.lookup.graph.view(node) {
            Some(event) => check_in_state(&mut self.lookup, &mut self.facts, (node, &event)),
            None => Ok(Ok(())),
        }
    }

    fn note(&mut self, node: Node, pass: Pass, outcome: Outcome) {
        let graph = &self.lookup.graph;
        if let (Some(event), Some(brief)) = (graph.id(node), graph.loaded(node)) {
            let part = Part { conflicted: true, ..Part::default() };
            let event_id = brief.event_id;
            self.steps.push(Step { event, event_id, part, order: Order::Pass(pass), outcome });
        }
    }
}
