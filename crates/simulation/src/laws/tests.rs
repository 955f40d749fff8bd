//! What each law finds, and what it does not.

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
        is_of_liar: false,
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
    let told = |by, server: &str| Told { by, server: server.to_owned(), mark: Mark { room: 1, message: 2 } };
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
