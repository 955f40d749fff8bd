//! Which redactions take effect: judged by the state before them, whatever has happened since.

use std::sync::Arc;

use freehold_event::RoomVersion;
use freehold_room::{Draft, Event, Shelf, Standing};
use ruma_common::EventId;

use crate::kept::Kept;
use crate::rooms::{ALICE, BOB, draft, drafted, member, room, say};

/// A neighbour of Bob.
const CAROL: &str = "@carol:two.example";

/// What the levels of a room are: Bob's own, and the redact level.
#[derive(Clone, Copy)]
struct Levels {
    bob: i64,
    redact: i64,
}

const NOBODY: Levels = Levels { bob: 0, redact: 50 };
const MODERATOR: Levels = Levels { bob: 50, redact: 50 };
const STRICT: Levels = Levels { bob: 50, redact: 60 };
const LAX: Levels = Levels { bob: 0, redact: 0 };

/// Sets levels. Alice has power enough; where creators have it anyway, nobody may name them.
fn set(kept: &mut Kept, Levels { bob, redact }: Levels) {
    let version = kept.room.as_ref().unwrap().version();
    let alice = match version.rules().authorization.explicitly_privilege_room_creators {
        true => String::new(),
        false => format!(r#""{ALICE}":100,"#),
    };
    let content = format!(r#"{{"redact":{redact},"users":{{{alice}"{BOB}":{bob}}}}}"#);
    assert_eq!(say(kept, draft(ALICE, "m.room.power_levels", Some(""), &content)), Standing::Accepted);
}

fn redaction(sender: &str, target: &EventId) -> Draft {
    Draft { redacts: Some(target.to_owned()), ..draft(sender, "m.room.redaction", None, "{}") }
}

fn received(kept: &mut Kept, draft: Draft) -> Arc<Event> {
    let event = drafted(kept, draft);
    kept.receive(event).unwrap()
}

/// With nothing at hand to begin with.
fn takes_effect(kept: &mut Kept, redaction: &Event, target: &Event) -> bool {
    let (room, mut shelf) = (kept.room.clone().unwrap(), Shelf::new());
    loop {
        match room.takes_effect(redaction, target, &shelf) {
            Ok(takes) => return takes,
            Err(stop) => kept.fulfil(&mut shelf, stop),
        }
    }
}

/// Versions in which the rules of authorisation do not speak of redactions.
const VERSIONS: [&RoomVersion; 6] =
    [RoomVersion::V3, RoomVersion::V6, RoomVersion::V9, RoomVersion::V10, RoomVersion::V11, RoomVersion::V12];

#[test]
fn a_redaction_is_judged_by_the_levels_before_it_and_not_by_those_of_now() {
    let cases = [
        // author of the event, redactor, levels then, levels now, whether it takes effect
        (ALICE, BOB, NOBODY, NOBODY, false),
        (ALICE, BOB, NOBODY, MODERATOR, false),
        (ALICE, BOB, MODERATOR, MODERATOR, true),
        (ALICE, BOB, MODERATOR, NOBODY, true),
        (ALICE, BOB, STRICT, STRICT, false),
        (ALICE, BOB, STRICT, LAX, false),
        (ALICE, BOB, LAX, STRICT, true),
        (CAROL, BOB, NOBODY, NOBODY, true),
        (BOB, BOB, NOBODY, NOBODY, true),
        (BOB, ALICE, NOBODY, NOBODY, true),
        (BOB, ALICE, STRICT, STRICT, true),
    ];
    for version in VERSIONS {
        for (number, (author, redactor, then, now, expected)) in cases.into_iter().enumerate() {
            let mut kept = room(version);
            assert_eq!(say(&mut kept, member(CAROL, CAROL, "join")), Standing::Accepted);
            let target = received(&mut kept, draft(author, "m.room.message", None, r#"{"body":"x"}"#));
            set(&mut kept, then);
            let redaction = received(&mut kept, redaction(redactor, target.pdu.event_id()));
            assert_eq!(redaction.standing, Standing::Accepted, "{version}, case {number}");
            assert_eq!(takes_effect(&mut kept, &redaction, &target), expected, "{version}, case {number}");
            set(&mut kept, now);
            assert_eq!(
                takes_effect(&mut kept, &redaction, &target),
                expected,
                "{version}, case {number}, later"
            );
        }
    }
}

/// Two servers get the same events in another order: the redaction before and after its sender lost the power for it.
#[test]
fn the_order_in_which_events_come_makes_no_difference() {
    for version in VERSIONS {
        for is_late in [false, true] {
            let mut kept = room(version);
            let target = received(&mut kept, draft(ALICE, "m.room.message", None, r#"{"body":"x"}"#));
            set(&mut kept, MODERATOR);
            let redaction = drafted(&mut kept, redaction(BOB, target.pdu.event_id()));
            let redaction = match is_late {
                true => {
                    set(&mut kept, NOBODY);
                    kept.receive(redaction).unwrap()
                }
                false => {
                    let redaction = kept.receive(redaction).unwrap();
                    set(&mut kept, NOBODY);
                    redaction
                }
            };
            assert_eq!(redaction.standing, Standing::Accepted, "{version}");
            assert!(takes_effect(&mut kept, &redaction, &target), "{version}, late: {is_late}");
        }
    }
}

#[test]
fn without_power_levels_the_creator_alone_has_the_power() {
    for version in VERSIONS {
        let mut kept = room(version);
        let (by_alice, by_bob) = (
            received(&mut kept, draft(ALICE, "m.room.message", None, r#"{"body":"a"}"#)),
            received(&mut kept, draft(BOB, "m.room.message", None, r#"{"body":"b"}"#)),
        );
        let bobs = received(&mut kept, redaction(BOB, by_alice.pdu.event_id()));
        let alices = received(&mut kept, redaction(ALICE, by_bob.pdu.event_id()));
        assert!(!takes_effect(&mut kept, &bobs, &by_alice), "{version}");
        assert!(takes_effect(&mut kept, &alices, &by_bob), "{version}");
    }
}

#[test]
fn an_additional_creator_has_the_power_whatever_the_levels_are() {
    let mut kept = crate::rooms::room_with(RoomVersion::V12, &format!(r#","additional_creators":["{BOB}"]"#));
    let content = r#"{"redact":100}"#;
    assert_eq!(say(&mut kept, draft(ALICE, "m.room.power_levels", Some(""), content)), Standing::Accepted);
    let target = received(&mut kept, draft(ALICE, "m.room.message", None, r#"{"body":"x"}"#));
    let redaction = received(&mut kept, redaction(BOB, target.pdu.event_id()));
    assert!(takes_effect(&mut kept, &redaction, &target));
}

#[test]
fn in_old_versions_the_rules_of_authorisation_have_settled_it() {
    for version in [RoomVersion::V1, RoomVersion::V2] {
        let mut kept = room(version);
        set(&mut kept, NOBODY);
        let target = received(&mut kept, draft(ALICE, "m.room.message", None, r#"{"body":"x"}"#));
        let bobs = received(&mut kept, redaction(BOB, target.pdu.event_id()));
        assert_eq!(bobs.standing, Standing::Rejected, "{version}");
        assert!(!takes_effect(&mut kept, &bobs, &target), "{version}");
        let alices = received(&mut kept, redaction(ALICE, target.pdu.event_id()));
        assert_eq!(alices.standing, Standing::Accepted, "{version}");
        assert!(takes_effect(&mut kept, &alices, &target), "{version}");
    }
}

#[test]
fn what_is_not_valid_takes_nothing_and_of_a_create_event_nothing_is_taken() {
    for version in VERSIONS {
        let mut kept = room(version);
        let create = kept.room.as_ref().unwrap().create();
        let create = Arc::clone(&kept.events[&create]);
        let of_create = received(&mut kept, redaction(ALICE, create.pdu.event_id()));
        assert!(!takes_effect(&mut kept, &of_create, &create), "{version}");
        let target = received(&mut kept, draft(BOB, "m.room.message", None, r#"{"body":"x"}"#));
        let late = drafted(&mut kept, redaction(BOB, target.pdu.event_id()));
        assert_eq!(say(&mut kept, member(ALICE, BOB, "ban")), Standing::Accepted);
        let late = kept.receive(late).unwrap();
        assert_eq!(late.standing, Standing::SoftFailed, "{version}");
        assert!(!takes_effect(&mut kept, &late, &target), "{version}");
        let rejected = received(&mut kept, draft(BOB, "m.room.message", None, r#"{"body":"banned"}"#));
        assert_eq!(rejected.standing, Standing::Rejected, "{version}");
        let redaction = received(&mut kept, redaction(ALICE, rejected.pdu.event_id()));
        assert!(!takes_effect(&mut kept, &redaction, &rejected), "{version}");
    }
}
