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
        if seen.is_rejected != theirs.is_rejected && !is_mute(seen) && !is_mute(theirs) {
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
mod tests {
    use super::*;
    use crate::ledger::Mark;

    fn event(prev_events: &[&str]) -> EventSeen {
        EventSeen {
            sender: "@ann:one.example".to_owned(),
            about: "m.room.message -".to_owned(),
            prev_events: prev_events.iter().map(ToString::to_string).collect(),
            is_rejected: false,
            is_soft_failed: false,
            redacts: None,
            redacted_by: None,
            is_leave: false,
            joins: None,
        }
    }

    fn room() -> RoomSeen {
        let chain = [("$a", vec![]), ("$b", vec!["$a"]), ("$c", vec!["$b"]), ("$d", vec!["$c"])];
        RoomSeen {
            is_joined: true,
            joined: BTreeSet::new(),
            own: BTreeSet::new(),
            heads: BTreeSet::from(["$d".to_owned()]),
            read: BTreeMap::new(),
            state: BTreeMap::from([(("m.room.topic".to_owned(), String::new()), "$b".to_owned())]),
            events: chain.iter().map(|(id, prev)| ((*id).to_owned(), event(prev))).collect(),
        }
    }

    /// Two processes that hold the same, but for what is done to the second.
    fn observed(change: impl FnOnce(&mut RoomSeen)) -> Observed {
        let mut other = room();
        change(&mut other);
        let in_room = |room| BTreeMap::from([("!room".to_owned(), room)]);
        Observed { processes: BTreeMap::from([(0, in_room(room())), (1, in_room(other))]) }
    }

    fn acknowledged(event_id: &str) -> Vec<Acknowledged> {
        vec![Acknowledged {
            by: 0,
            room_id: "!room".to_owned(),
            event_id: event_id.to_owned(),
            sender: "@ann:one.example".to_owned(),
            mark: None,
        }]
    }

    #[test]
    fn nothing_is_found_where_all_is_well() {
        let observed = observed(|_| {});
        assert_eq!(agreement(&observed), []);
        assert_eq!(completeness(&observed), []);
        assert_eq!(durability(&observed, &acknowledged("$c")), []);
    }

    #[test]
    fn another_head_state_or_judgement_is_found() {
        let changes: [fn(&mut RoomSeen); 5] = [
            |room| room.heads = BTreeSet::from(["$c".to_owned()]),
            |room| {
                room.state.insert(("m.room.topic".to_owned(), String::new()), "$c".to_owned());
            },
            |room| room.state.clear(),
            |room| room.events.get_mut("$c").unwrap().is_rejected = true,
            |room| {
                room.events.get_mut("$c").unwrap().redacts = Some("$gone".to_owned());
                room.events.get_mut("$b").unwrap().redacted_by = Some("$c".to_owned());
            },
        ];
        for change in changes {
            assert_eq!(agreement(&observed(change)).len(), 1);
        }
    }

    #[test]
    fn who_is_not_in_the_room_need_not_agree() {
        let observed = observed(|room| {
            room.is_joined = false;
            room.state.clear();
            room.events.clear();
        });
        assert_eq!(agreement(&observed), []);
        assert_eq!(completeness(&observed), []);
    }

    #[test]
    fn who_lost_his_join_need_not_agree_and_who_was_removed_must() {
        let user = "@ben:two.example".to_owned();
        let member = ("m.room.member".to_owned(), user.clone());
        let apart = |removed: Option<&str>| {
            let mut observed = observed(|room| {
                room.own.insert(user.clone());
                room.joined.insert(user.clone());
                room.heads.clear();
            });
            let seen = observed.processes.get_mut(&0).unwrap().get_mut("!room").unwrap();
            removed.map(|event| seen.state.insert(member.clone(), event.to_owned()));
            agreement(&observed).len()
        };
        assert_eq!(apart(None), 0);
        assert_eq!(apart(Some("$b")), 0, "an old leave, which the second knows");
        assert!(apart(Some("$ban")) > 0);
    }

    #[test]
    fn an_event_that_only_one_has_is_found() {
        let missing = |id: &'static str| completeness(&observed(move |room| drop(room.events.remove(id))));
        assert_eq!(missing("$b").len(), 1);
        assert_eq!(missing("$d").len(), 1);
    }

    #[test]
    fn what_is_before_the_own_join_need_not_be_there_and_what_is_after_it_must() {
        let late = |also: Option<&'static str>| {
            completeness(&observed(move |room| {
                room.events.remove("$a");
                room.events.remove("$b");
                room.events.get_mut("$c").unwrap().joins = Some(BTreeSet::new());
                also.map(|id| room.events.remove(id));
            }))
        };
        assert_eq!(late(None), []);
        assert_eq!(late(Some("$d")).len(), 1);
    }

    #[test]
    fn what_a_redacted_redaction_took_need_not_be_gone_everywhere() {
        let redacted = observed(|room| {
            room.events.get_mut("$b").unwrap().redacted_by = Some("$c".to_owned());
        });
        assert_eq!(agreement(&redacted), []);
    }

    /// Ben left; the server that helps him back has not heard of it, and says that he is there.
    #[test]
    fn who_left_and_comes_back_has_come_in_though_the_state_before_says_that_he_was_there() {
        let user = "@ben:two.example";
        let apart = |leaves: bool| {
            completeness(&observed(move |room| {
                for id in ["$b", "$c"] {
                    room.events.remove(id);
                }
                room.events.get_mut("$d").unwrap().joins = Some(BTreeSet::from([user.to_owned()]));
                let leave = EventSeen {
                    sender: user.to_owned(),
                    about: format!("m.room.member {user}"),
                    is_leave: leaves,
                    ..event(&["$a"])
                };
                room.events.insert("$leave".to_owned(), leave);
            }))
        };
        assert_eq!(apart(true), []);
        assert_eq!(apart(false).len(), 2);
    }

    #[test]
    fn an_acknowledged_event_that_its_own_process_or_another_lacks_is_found() {
        assert_eq!(durability(&observed(|_| {}), &acknowledged("$never")).len(), 1);
        let lost = observed(|room| drop(room.events.remove("$c")));
        assert_eq!(durability(&lost, &acknowledged("$c")).len(), 1);
    }

    /// Ann left and came in again by way of somebody who had not heard what she said before.
    #[test]
    fn what_was_said_in_a_stay_that_ended_unheard_need_not_be_held_by_others() {
        let found = |comes_again: bool| {
            let mut observed = observed(|_| {});
            let own = observed.processes.get_mut(&0).unwrap().get_mut("!room").unwrap();
            own.events.insert("$aside".to_owned(), event(&["$b"]));
            own.events.get_mut("$d").unwrap().joins = comes_again.then(BTreeSet::new);
            durability(&observed, &acknowledged("$aside")).len()
        };
        assert_eq!(found(true), 0);
        assert_eq!(found(false), 1);
    }

    #[test]
    fn a_server_that_learns_of_a_room_it_has_nothing_to_do_with_is_found() {
        let told =
            |by, server: &str| Told { by, server: server.to_owned(), mark: Mark { room: 1, message: 2 } };
        let concerned = BTreeMap::from([(1, BTreeSet::from(["in.example".to_owned()]))]);
        let found = |told: Told| secrecy(&[told], &concerned, Some(9)).len();
        assert_eq!(found(told(0, "in.example")), 0);
        assert_eq!(found(told(0, "out.example")), 1);
        assert_eq!(found(told(9, "out.example")), 0);
        assert_eq!(secrecy(&[told(0, "in.example")], &BTreeMap::new(), None).len(), 1);
    }

    #[test]
    fn who_pays_too_much_for_lies_is_found() {
        let brought = Brought { requests: 10, events: 20, bytes: 10_000 };
        let found = |requests, bytes, rows| frugality(1, brought, Cost { requests, bytes, rows }).len();
        assert_eq!(found(30 * REQUESTS_PER_EVENT, 0, 0), 0);
        assert_eq!(found(30 * REQUESTS_PER_EVENT + 1, 0, 0), 1);
        assert_eq!(found(0, 30 * BYTES_PER_EVENT + 10_000 * COPIES, 0), 0);
        assert_eq!(found(0, 30 * BYTES_PER_EVENT + 10_000 * COPIES + 1, 0), 1);
        assert_eq!(found(0, 0, 30 * ROWS_PER_EVENT), 0);
        assert_eq!(found(0, 0, 30 * ROWS_PER_EVENT + 1), 1);
    }
}
