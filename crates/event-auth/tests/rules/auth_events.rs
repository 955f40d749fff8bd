//! Rule 2 (2 and 3 in room version 12), and the selection it refers to.

use freehold_event::RoomVersion;
use freehold_event_auth::{AuthRule as R, auth_types_needed};

use crate::{ALL, Case, scene::*, version};

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case(R::RoomIdNotCreateEvent, 12..=12, |s| s.with(|e| e.room_id = Some("!other".into())), |s| s),
    Case(R::RoomIdNotCreateEvent, 12..=12, |s| s.with(|e| e.room_id = Some("$m.room.create|".into())), |s| s),
    Case(R::RoomIdNotCreateEvent, 12..=12, |s| s.with(|e| e.room_id = None), |s| s),
    Case(R::RoomIdNotCreateEvent, 12..=12, |s| s.alter(CREATE, "", |e| e.rejected = true), |s| s),
    Case(R::RoomIdNotCreateEvent, 12..=12, |s| s.without(CREATE, ""), |s| s),
    Case(R::AuthEventsDuplicate, ALL, |s| s.names(LEVELS, "", |_| ()), |s| s),
    Case(R::AuthEventsDuplicate, ALL, |s| s.names(MEMBER, BOB, |e| e.id = "$another".into()), |s| s),
    Case(R::AuthEventsNotSelected, ALL, |s| s.names(JOIN_RULES, "", |_| ()), |s| s.changes(EVE, EVE, "join")),
    Case(R::AuthEventsNotSelected, ALL, |s| s.names(MEMBER, ALICE, |_| ()), |s| s.changes(ALICE, BOB, "leave")),
    Case(R::AuthEventsNotSelected, ALL, |s| s.state("m.room.topic", "", ALICE, "{}").names("m.room.topic", "", |_| ()), |s| s),
    Case(R::AuthEventsNotSelected, ALL, |s| s.names(LEVELS, "", |e| e.state_key = None), |s| s),
    Case(R::AuthEventsNotSelected, ALL, |s| s.names(LEVELS, "", |e| e.state_key = Some("other".into())), |s| s),
    Case(R::AuthEventsNotSelected, 12..=12, |s| s.names(CREATE, "", |_| ()), |s| s),
    Case(R::AuthEventsRejected, ALL, |s| s.alter(LEVELS, "", |e| e.rejected = true), |s| s),
    Case(R::AuthEventsRejected, ALL, |s| s.alter(MEMBER, BOB, |e| e.rejected = true), |s| s.alter(MEMBER, ALICE, |e| e.rejected = true)),
    Case(R::AuthEventsWithoutCreate, 1..=11, |s| s.without(CREATE, ""), |s| s),
    Case(R::AuthEventsOtherRoom, ALL, |s| s.alter(LEVELS, "", |e| e.room_id = Some("!other:one.org".into())), |s| s),
    Case(R::AuthEventsOtherRoom, ALL, |s| s.alter(MEMBER, BOB, |e| e.room_id = None), |s| s),
];

/// What is selected for an event, in any order.
fn selected(scene: &Scene) -> Vec<String> {
    let mut selected: Vec<String> = auth_types_needed(&scene.event.view(), scene.version)
        .iter()
        .map(|(event_type, key)| format!("{}|{key}", event_type.strip_prefix("m.room.").unwrap()))
        .collect();
    selected.sort();
    selected
}

#[test]
fn selection_is_that_of_the_specification() {
    let scene = |number| Scene::ordinary(version(number));
    let signed = r#"{"membership":"invite","third_party_invite":{"signed":{"token":"abc"}}}"#;
    let via = r#"{"membership":"join","join_authorised_via_users_server":"@bob:two.org"}"#;
    let invite_via = r#"{"membership":"invite","join_authorised_via_users_server":"@bob:two.org"}"#;
    let create = "create|";
    let levels = "power_levels|";
    let rules = "join_rules|";
    let alice = "member|@alice:one.org";
    let bob = "member|@bob:two.org";
    let eve = "member|@eve:two.org";
    let token = "third_party_invite|abc";
    #[rustfmt::skip]
    let table: &[(Scene, &[&str])] = &[
        (scene(11).creation(), &[]),
        (scene(12).creation(), &[]),
        (scene(11), &[create, bob, levels]),
        (scene(12), &[bob, levels]),
        (scene(11).changes(BOB, BOB, "join"), &[create, rules, bob, levels]),
        (scene(12).changes(BOB, BOB, "knock"), &[rules, bob, levels]),
        (scene(1).changes(ALICE, BOB, "invite"), &[create, rules, alice, bob, levels]),
        (scene(1).changes(ALICE, BOB, "leave"), &[create, alice, bob, levels]),
        (scene(1).changes(ALICE, BOB, "ban"), &[create, alice, bob, levels]),
        (scene(1).changes(ALICE, BOB, "unheard of"), &[create, alice, bob, levels]),
        (scene(1).sets(ALICE, MEMBER, EVE, signed), &[create, rules, alice, eve, levels, token]),
        (scene(12).sets(ALICE, MEMBER, EVE, signed), &[rules, alice, eve, levels, token]),
        (scene(7).sets(EVE, MEMBER, EVE, via), &[create, rules, eve, levels]),
        (scene(8).sets(EVE, MEMBER, EVE, via), &[create, rules, bob, eve, levels]),
        (scene(8).sets(BOB, MEMBER, BOB, via), &[create, rules, bob, levels]),
        (scene(8).sets(ALICE, MEMBER, EVE, invite_via), &[create, rules, alice, eve, levels]),
        (scene(11).sends(BOB, MEMBER, "{}"), &[create, bob, levels]),
        (scene(11).sets(BOB, MEMBER, BOB, r#"{"membership":5}"#), &[create, bob, levels]),
        (scene(11).sets(BOB, "m.room.topic", "", signed), &[create, bob, levels]),
    ];
    for (scene, expected) in table {
        assert_eq!(selected(scene), *expected, "{:?} in {}", scene.event, scene.version);
    }
}

#[test]
fn entry_of_another_room_may_have_been_selected_by_an_unknown_token() {
    // A token that cannot be read selects nothing, and the invite then fails on rule 4.4.1.
    let scene = Scene::ordinary(RoomVersion::V11).sets(
        ALICE,
        MEMBER,
        EVE,
        r#"{"membership":"invite","third_party_invite":{"signed":{"token":5}}}"#,
    );
    assert_eq!(scene.verdict().unwrap_err().rule, R::ThirdPartyInviteIncomplete);
}
