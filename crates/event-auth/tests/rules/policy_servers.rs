//! Policy servers: when a room has one, and what it says.

use freehold_event::RoomVersion;
use freehold_event_auth::PolicyServer;

use crate::scene::*;

const JOINED: [&str; 2] = [ALICE, "@bot:policy.org"];

#[test]
fn room_uses_a_policy_server_only_when_all_conditions_hold() {
    let used = |content: &str, joined: &[&str]| {
        PolicyServer::of_room(content, joined.iter().copied()).map(|server| server.server_name().to_owned())
    };
    let in_order = r#"{"public_keys":{"ed25519":"key"},"via":"policy.org"}"#;
    assert_eq!(used(in_order, &JOINED).as_deref(), Some("policy.org"));
    for (content, joined) in [
        (in_order, &[ALICE, "@bot:policy.org:8448", "@bot:not.policy.org"][..]),
        (in_order, &[]),
        (r#"{"public_keys":{"ed25519":"key"}}"#, &JOINED),
        (r#"{"public_keys":{"ed25519":"key"},"via":1}"#, &JOINED),
        (r#"{"via":"policy.org"}"#, &JOINED),
        (r#"{"public_keys":{},"via":"policy.org"}"#, &JOINED),
        (r#"{"public_keys":{"ed25519":5},"via":"policy.org"}"#, &JOINED),
        (r#"{"public_keys":["ed25519"],"via":"policy.org"}"#, &JOINED),
        ("{}", &JOINED),
    ] {
        assert_eq!(used(content, joined), None, "{content} with {joined:?}");
    }
}

#[test]
fn only_the_policy_event_itself_is_exempt() {
    let ordinary = || Scene::ordinary(RoomVersion::V11);
    for (scene, concerned) in [
        (ordinary().sets(ALICE, "m.room.policy", "", "{}"), false),
        (ordinary().sets(ALICE, "m.room.policy", "x", "{}"), true),
        (ordinary().sends(ALICE, "m.room.policy", "{}"), true),
        (ordinary().changes(BOB, BOB, "leave"), true),
        (ordinary().changes_levels(ALICE, "{}"), true),
        (ordinary().creation(), true),
        (ordinary(), true),
    ] {
        assert_eq!(PolicyServer::concerns(&scene.event.view()), concerned, "{:?}", scene.event);
    }
}
