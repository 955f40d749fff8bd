//! What holds at the end of every run, whatever happened in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{Acknowledged, Told};
use crate::observe::{EventSeen, Observed, RoomSeen};

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of the law.
    pub law: &'static str,
    /// What was found.
    pub found: String,
}

impl Violation {
    fn new(law: &'static str, found: String) -> Self {
        Violation { law, found }
    }
}

/// The processes that are in a room, with what they hold of it.
pub(crate) type Members<'o> = BTreeMap<usize, &'o RoomSeen>;

/// Who is in which room.
pub(crate) fn members(observed: &Observed) -> BTreeMap<&str, Members<'_>> {
    let mut rooms: BTreeMap<&str, Members<'_>> = BTreeMap::new();
    for (place, seen) in &observed.processes {
        for (room_id, room) in seen.iter().filter(|(_, room)| room.is_joined) {
            rooms.entry(room_id).or_default().insert(*place, room);
        }
    }
    for members in rooms.values_mut() {
        let all = members.clone();
        members.retain(|_, room| !is_exiled(room, &all));
    }
    rooms
}

/// Whether a process is in a room by what it knows, and by what others know it never came in: its join came at the same
/// time as a change that did not allow it, and lost. Nobody tells such a server, because nobody sees it in the room; that is
/// how the protocol is. One that was removed is told, so it is not meant here.
fn is_exiled(room: &RoomSeen, others: &Members<'_>) -> bool {
    let gone = |user: &String, other: &RoomSeen| {
        let place = ("m.room.member".to_owned(), user.clone());
        other.state.get(&place).is_none_or(|event| room.events.contains_key(event))
    };
    let shuts_out =
        |other: &&RoomSeen| room.own.iter().all(|user| !other.joined.contains(user) && gone(user, other));
    !room.own.is_empty() && others.values().any(shuts_out)
}

/// All honest processes in a room have the same newest events and the same current state.
pub(crate) fn agreement(observed: &Observed) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (room_id, members) in members(observed) {
        let mut pairs = members.iter();
        let Some((first, one)) = pairs.next() else { continue };
        for (place, other) in pairs {
            let about = |what: &str, difference: String| {
                let found = format!("{room_id}: p{first} and p{place} have other {what}: {difference}");
                Violation::new("agreement", found)
            };
            if one.heads != other.heads {
                violations.push(about("heads", format!("{:?} and {:?}", one.heads, other.heads)));
            }
            if one.state != other.state {
                violations.push(about("states", difference(one, other)));
            }
            violations.extend(judged_alike(room_id, (*first, one), (*place, other)));
        }
    }
    violations
}

fn difference(one: &RoomSeen, other: &RoomSeen) -> String {
    let keys: BTreeSet<_> = one.state.keys().chain(other.state.keys()).collect();
    let differing = keys.into_iter().filter(|key| one.state.get(*key) != other.state.get(*key));
    let shown = differing
        .map(|key| format!("{} {:?}: {:?} and {:?}", key.0, key.1, one.state.get(key), other.state.get(key)));
    shown.collect::<Vec<_>>().join("; ")
}

/// What both processes hold is rejected by both or by none; and redacted by both or by none, where both have accepted
/// the same redactions of it. A redaction that was redacted itself does not say any more what it redacts, before room version
/// 11: whoever comes to hear of it later cannot know.
fn judged_alike(
    room_id: &str,
    (first, one): (usize, &RoomSeen),
    (place, other): (usize, &RoomSeen),
) -> Vec<Violation> {
    let both = one.events.iter().filter_map(|(id, seen)| Some((id, seen, other.events.get(id)?)));
    both.filter_map(|(id, seen, theirs)| {
        let found = |what: &str, ours: bool, theirs: bool| {
            let about = &seen.about;
            let found = format!("{room_id}: {id} ({about}) is {what}: p{first} {ours}, p{place} {theirs}");
            Some(Violation::new("agreement", found))
        };
        // One that others were given without what it redacts, because it was sent before they came in: versions 1 and 2 reject it then.
        let is_mute =
            |event: &EventSeen| event.about.starts_with("m.room.redaction") && event.redacts.is_none();
        // Of the state before his own events who lies may tell one this and another that; nobody can notice what is left out.
        let is_disputed = is_mute(seen) || is_mute(theirs) || seen.is_of_liar;
        if seen.is_rejected != theirs.is_rejected && !is_disputed {
            return found("rejected", seen.is_rejected, theirs.is_rejected);
        }
        let (ours, others) = (&seen.redacted_by, &theirs.redacted_by);
        let speaks = |by: &Option<String>, room: &RoomSeen| {
            let redaction = by.as_ref().and_then(|by| room.events.get(by));
            redaction.is_some_and(|redaction| redaction.redacts.is_some())
        };
        let is_known = speaks(ours, one) || speaks(others, other);
        if ours.is_some() != others.is_some() && is_known && redactions(one, id) == redactions(other, id) {
            return found("redacted", ours.is_some(), others.is_some());
        }
        None
    })
    .collect()
}

/// The redactions of an event that a process accepted.
fn redactions<'r>(room: &'r RoomSeen, target: &str) -> BTreeSet<&'r String> {
    let accepted = room.events.iter().filter(|(_, event)| !event.is_rejected && !event.is_soft_failed);
    let redactions = accepted.filter(|(_, event)| event.redacts.as_deref() == Some(target));
    redactions.map(|(id, _)| id).collect()
}

/// Every honest process in a room holds every event that the newest ones follow, but for those of the time before it
/// came into the room.
pub(crate) fn completeness(observed: &Observed) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (room_id, members) in members(observed) {
        let graph = graph(&members);
        let heads = members.values().flat_map(|room| room.heads.iter().map(String::as_str));
        let history = behind(&graph, heads.collect());
        for (place, room) in &members {
            let excused = before_entrance(&graph, room);
            let missing =
                history.iter().filter(|id| !room.events.contains_key(**id) && !excused.contains(**id));
            for id in missing.take(SHOWN) {
                let found = format!("{room_id}: p{place} lacks {id}, {}", whereabouts(&members, id));
                violations.push(Violation::new("completeness", found));
            }
        }
    }
    violations
}

/// What others know of an event that somebody lacks.
fn whereabouts(members: &Members<'_>, id: &str) -> String {
    let holders: Vec<String> = members
        .iter()
        .filter_map(|(place, room)| Some((place, room.events.get(id)?)))
        .map(|(place, event)| format!("p{place} ({} by {})", event.about, event.sender))
        .collect();
    let follows = |event: &&EventSeen| event.prev_events.iter().any(|prev| prev == id);
    let named = members.values().flat_map(|room| room.events.values()).find(follows);
    match (holders.is_empty(), named) {
        (true, Some(event)) => format!("which nobody holds and {} of {} follows", event.about, event.sender),
        _ => format!("which is held by {}", holders.join(", ")),
    }
}

/// How many cases of one kind are shown.
const SHOWN: usize = 4;

/// What every event follows, as far as anybody knows.
fn graph<'o>(members: &Members<'o>) -> BTreeMap<&'o str, &'o [String]> {
    let events = members.values().flat_map(|room| room.events.iter());
    events.map(|(id, event)| (id.as_str(), event.prev_events.as_slice())).collect()
}

/// Some events and all before them.
fn behind<'g>(graph: &BTreeMap<&'g str, &'g [String]>, from: Vec<&'g str>) -> BTreeSet<&'g str> {
    let (mut found, mut next) = (BTreeSet::new(), from);
    while let Some(id) = next.pop() {
        if found.insert(id) {
            next.extend(graph.get(id).into_iter().flat_map(|prev| prev.iter().map(String::as_str)));
        }
    }
    found
}

/// What is before the joins with which a process came into a room.
fn before_entrance<'g>(graph: &BTreeMap<&'g str, &'g [String]>, room: &'g RoomSeen) -> BTreeSet<&'g str> {
    let entrances = room.events.iter().filter(|(id, event)| is_entrance(graph, room, (id, event)));
    let before = entrances.flat_map(|(_, event)| event.prev_events.iter().map(String::as_str));
    behind(graph, before.collect())
}

/// Whether a process came into a room with an event: none of its people was there. Somebody may have left before, without the
/// server that helped with the join having heard of it: then the state before the join has them in the room.
fn is_entrance(graph: &BTreeMap<&str, &[String]>, room: &RoomSeen, (id, event): (&str, &EventSeen)) -> bool {
    let Some(present) = &event.joins else { return false };
    let is_aside =
        |other: &str| !behind(graph, vec![id]).contains(other) && !behind(graph, vec![other]).contains(id);
    let has_left = |user: &String| {
        let about = format!("m.room.member {user}");
        let mut leaves = room.events.iter().filter(|(_, event)| event.is_leave && event.sender == *user);
        leaves.any(|(leave, event)| event.about == about && !event.is_rejected && is_aside(leave))
    };
    present.iter().all(has_left)
}

/// What was acknowledged is held where it was acknowledged, and by every honest process in the room, but for those that
/// came later, for what a user said who was shut out meanwhile, and for what was said in a stay that ended unheard.
pub(crate) fn durability(observed: &Observed, acknowledged: &[Acknowledged]) -> Vec<Violation> {
    let rooms = members(observed);
    let mut violations = Vec::new();
    for event in acknowledged {
        let lost = |place: usize, why: &str| {
            let Acknowledged { room_id, event_id, sender, by, .. } = event;
            let found = format!("{room_id}: {event_id} of {sender}, acknowledged by p{by}: p{place} {why}");
            Violation::new("durability", found)
        };
        // Who lies may lose what he acknowledged.
        let Some(own) = observed.processes.get(&event.by) else { continue };
        let own = own.get(&event.room_id).filter(|room| room.events.contains_key(&event.event_id));
        let Some(own) = own else {
            violations.push(lost(event.by, "lost it"));
            continue;
        };
        let Some(members) = rooms.get(event.room_id.as_str()) else { continue };
        let mut graph = graph(members);
        // Who acknowledged it may have left since, and alone know what came before the others.
        graph.extend(own.events.iter().map(|(id, event)| (id.as_str(), event.prev_events.as_slice())));
        if was_left_behind(&graph, own, &event.event_id) {
            continue;
        }
        for (place, room) in members {
            let is_there = room.events.contains_key(&event.event_id);
            if !is_there
                && !before_entrance(&graph, room).contains(event.event_id.as_str())
                && !was_shut_out(room, &event.sender)
            {
                violations.push(lost(*place, "never got it"));
            }
        }
    }
    violations.truncate(SHOWN);
    violations
}

/// Whether a process left a room after an event, of which nobody had heard who stayed, and came in again beside it: what follows it is
/// not the room any more.
fn was_left_behind(graph: &BTreeMap<&str, &[String]>, room: &RoomSeen, event_id: &str) -> bool {
    let heads = room.heads.iter().map(String::as_str).collect();
    if room.heads.is_empty() || behind(graph, heads).contains(event_id) {
        return false;
    }
    let mut entrances = room.events.iter().filter(|(id, event)| is_entrance(graph, room, (id, event)));
    entrances.any(|(id, _)| {
        !behind(graph, vec![id]).contains(event_id) && !behind(graph, vec![event_id]).contains(id.as_str())
    })
}

/// Whether somebody else let a user go, or banned them: what they said at that time may count for nothing.
fn was_shut_out(room: &RoomSeen, user: &str) -> bool {
    let about = format!("m.room.member {user}");
    room.events.values().any(|event| event.about == about && event.sender != user)
}

/// Nothing of a room is told to a server that never had to do with it.
pub(crate) fn secrecy(
    told: &[Told],
    concerned: &BTreeMap<u64, BTreeSet<String>>,
    hostile: Option<usize>,
) -> Vec<Violation> {
    let honest = told.iter().filter(|told| Some(told.by) != hostile);
    let leaks = honest
        .filter(|told| concerned.get(&told.mark.room).is_none_or(|servers| !servers.contains(&told.server)));
    leaks
        .map(|Told { by, server, mark }| {
            let found = format!("p{by} told {server} message {} of room {}", mark.message, mark.room);
            Violation::new("secrecy", found)
        })
        .collect()
}

/// What an operator who lies sent to all processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Brought {
    /// Transactions and questions.
    pub(crate) requests: u64,
    /// Events.
    pub(crate) events: u64,
    /// Bytes of bodies.
    pub(crate) bytes: u64,
}

/// What that cost one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// How many requests it sent.
    pub(crate) requests: u64,
    /// How many bytes it wrote.
    pub(crate) bytes: u64,
    /// How many rows it read.
    pub(crate) rows: u64,
}

/// How many requests one event may cause: a search asks some servers for what is between, and for the state.
const REQUESTS_PER_EVENT: u64 = 2;
/// How many bytes one event, or one request, may have written beside itself: its row and those that find it, the state after
/// it, the answer to its transaction.
const BYTES_PER_EVENT: u64 = 2_000;
/// How many rows one event, or one request, may have read: keys, what it follows and what authorises it, and who is told.
const ROWS_PER_EVENT: u64 = 1_000;
/// How many times its own size an event may take.
const COPIES: u64 = 1;

/// What is done and stored because of somebody who lies is bounded by what he sends.
pub(crate) fn frugality(place: usize, brought: Brought, cost: Cost) -> Vec<Violation> {
    let each = brought.requests + brought.events;
    let requests_max = each * REQUESTS_PER_EVENT;
    let bytes_max = each * BYTES_PER_EVENT + brought.bytes * COPIES;
    let mut violations = Vec::new();
    let paid = [
        ("requests", cost.requests, requests_max),
        ("bytes", cost.bytes, bytes_max),
        ("rows", cost.rows, each * ROWS_PER_EVENT),
    ];
    for (what, paid, most) in paid {
        if paid > most {
            let found = format!("p{place}: {paid} {what} for {brought:?}, which are more than {most}");
            violations.push(Violation::new("frugality", found));
        }
    }
    violations
}

#[cfg(test)]
mod tests;
