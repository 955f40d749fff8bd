//! The ready-made state: what goes in, comes out and goes away.

use freehold_event::RoomVersion;
use freehold_event_auth::{AuthRule, AuthState, JoinRule, Membership, PreparedState};

use crate::scene::*;

const INVITE: &str = "m.room.third_party_invite";

/// The ids of the events behind each fact: create, power levels, join rule, Bob, the invite.
fn sources(state: &impl AuthState<Id = String>) -> [Option<&str>; 5] {
    [
        state.create().map(|fact| fact.event_id),
        state.power_levels().map(|fact| fact.event_id),
        state.join_rule().map(|fact| fact.event_id),
        state.membership(BOB).map(|fact| fact.event_id),
        state.third_party_invite("token").map(|fact| fact.event_id),
    ]
}

fn prepared() -> PreparedState<String> {
    let scene = Scene::ordinary(RoomVersion::V11).state(INVITE, "token", BOB, r#"{"public_key":"k"}"#);
    PreparedState::from_events(scene.version, scene.state.iter().map(Owned::view))
}

#[test]
fn facts_come_from_the_events_that_went_in() {
    let state = prepared();
    assert_eq!(
        sources(&state),
        [
            Some("$m.room.create|"),
            Some("$m.room.power_levels|"),
            Some("$m.room.join_rules|"),
            Some("$m.room.member|@bob:two.org"),
            Some("$m.room.third_party_invite|token"),
        ]
    );
    assert_eq!(state.version(), RoomVersion::V11);
    assert!(state.is_create(&"$m.room.create|".to_owned()));
    assert!(!state.is_create(&"$m.room.power_levels|".to_owned()));
    let create = state.create().unwrap().value;
    assert_eq!((create.sender(), create.creator()), (CREATOR, Some(CREATOR)));
    assert!(create.federates() && create.is_creator(CREATOR));
    assert!(!create.is_creator(ALICE) && !create.privileges_creators());
    assert_eq!(state.join_rule().unwrap().value, JoinRule::Public);
    assert_eq!(state.membership(BOB).unwrap().value, Membership::Join);
    let invite = state.third_party_invite("token").unwrap().value;
    assert_eq!((invite.sender, invite.content), (BOB, r#"{"public_key":"k"}"#));
}

#[test]
fn a_borrowed_state_says_what_the_state_says() {
    fn has_create(state: &impl AuthState<Id = String>, id: &str) -> bool {
        state.is_create(&id.to_owned())
    }
    let state = prepared();
    assert_eq!(sources(&&state), sources(&state));
    for (id, expected) in [("$m.room.create|", true), ("$m.room.power_levels|", false)] {
        assert_eq!((has_create(&&state, id), has_create(&state, id)), (expected, expected), "{id}");
    }
}

#[test]
fn what_is_removed_is_gone_and_nothing_else() {
    for (index, (event_type, state_key)) in
        [(CREATE, ""), (LEVELS, ""), (JOIN_RULES, ""), (MEMBER, BOB), (INVITE, "token")].iter().enumerate()
    {
        let mut state = prepared();
        state.remove("m.room.topic", "");
        state.remove(event_type, "another");
        assert_eq!(sources(&state), sources(&prepared()), "{event_type}");
        state.remove(event_type, state_key);
        for (fact, source) in sources(&state).into_iter().enumerate() {
            assert_eq!(source.is_none(), fact == index, "{event_type}");
        }
    }
}

#[test]
fn later_event_takes_the_place_of_an_earlier_one() {
    let scene = Scene::ordinary(RoomVersion::V11);
    let mut state = prepared();
    for event in &scene.member(BOB, "ban").join_rule("knock").state {
        state.insert(&event.view());
    }
    assert_eq!(state.membership(BOB).unwrap().value, Membership::Ban);
    assert_eq!(state.join_rule().unwrap().value, JoinRule::Knock);
}

#[test]
fn only_state_events_with_the_right_key_count() {
    for event_type in [CREATE, LEVELS, JOIN_RULES] {
        let scene = Scene::ordinary(RoomVersion::V11);
        let mut state = PreparedState::new(scene.version);
        state.insert(&scene.clone().sets(ALICE, event_type, "other", "{}").event.view());
        state.insert(&scene.sends(ALICE, event_type, "{}").event.view());
        assert_eq!(sources(&state), [None; 5], "{event_type}");
    }
}

#[test]
fn denial_is_told_with_the_number_of_its_rule() {
    let denial = Scene::ordinary(RoomVersion::V12).changes(ALICE, BOB, "invite").verdict().unwrap_err();
    assert_eq!(denial.rule, AuthRule::InviteTargetJoinedOrBanned);
    let told = denial.to_string();
    assert_eq!(told, "rule 5.4.3 of room version 12 (InviteTargetJoinedOrBanned) rejects the event");
}
