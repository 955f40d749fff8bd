//! Joining, inviting, banning, and who is in between.

use freehold_rooms::{ActionError, CreateRoom, Entry, InitialState, Preset, Viewer};
use serde_json::json;

use crate::hosted::{World, about, entry, message, raw};

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:three.example";

async fn world() -> World {
    World::new(&["one.example", "two.example", "three.example"]).await
}

fn state(event_type: &str, content: serde_json::Value) -> InitialState {
    InitialState { event_type: event_type.to_owned(), state_key: String::new(), content: raw(&content) }
}

#[tokio::test]
async fn nobody_joins_a_private_room_uninvited() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.rooms.create_room(&alice, CreateRoom::default()).await.unwrap();
    let refused = world.rooms.join(&bob, entry(&room, &["one.example"])).await;
    assert!(matches!(refused, Err(ActionError::Forbidden(_))), "{refused:?}");
    assert_eq!(world.membership(&room, BOB).await, None);
}

/// A room that only neighbours are in is as unknown as one that does not exist.
#[tokio::test]
async fn a_room_of_a_neighbour_is_not_found_without_being_told_of_it() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    let nowhere = ruma_common::RoomId::parse("!nowhere").unwrap();
    for known in [&room, &nowhere] {
        let refused = world.rooms.join(&bob, entry(known, &[])).await;
        assert!(matches!(refused, Err(ActionError::Elsewhere(_))), "{refused:?}");
        let refused = world.rooms.send(&bob, known, message("hello")).await;
        assert!(matches!(refused, Err(ActionError::NotInRoom)), "{refused:?}");
        let refused = world.rooms.leave(&bob, known, None).await;
        assert!(matches!(refused, Err(ActionError::NotInRoom)), "{refused:?}");
    }
    world.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
}

#[tokio::test]
async fn who_is_banned_stays_out_until_the_ban_is_lifted() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "11").await;
    world.join(&bob, &room).await;
    world.rooms.ban(&alice, &room, about(&bob)).await.unwrap();
    assert!(world.rooms.join(&bob, entry(&room, &["one.example"])).await.is_err());
    assert!(matches!(world.rooms.kick(&alice, &room, about(&bob)).await, Err(ActionError::MayNot(_))));
    assert_eq!(world.membership(&room, BOB).await.as_deref(), Some("ban"));
    world.rooms.unban(&alice, &room, about(&bob)).await.unwrap();
    world.join(&bob, &room).await;
    assert!(matches!(world.rooms.unban(&alice, &room, about(&bob)).await, Err(ActionError::MayNot(_))));
    assert_eq!(world.membership(&room, BOB).await.as_deref(), Some("join"));
}

#[tokio::test]
async fn an_invitation_comes_with_a_stripped_state_and_both_signatures() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let create = CreateRoom {
        name: Some("a room".to_owned()),
        invite: vec![bob.user_id.clone()],
        is_direct: true,
        ..CreateRoom::default()
    };
    let room = world.rooms.create_room(&alice, create).await.unwrap();
    let reader = world.reader();
    let number = world.number(&room).await;
    let row = reader.membership(bob.user, number).await.unwrap().unwrap();
    let types: Vec<String> = row
        .stripped_state
        .iter()
        .map(|text| {
            serde_json::from_str::<serde_json::Value>(text).unwrap()["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        types,
        ["m.room.create", "m.room.name", "m.room.join_rules", "m.room.member", "m.room.member"]
    );
    let invite = reader.event(row.event).await.unwrap();
    let signatures: serde_json::Value = serde_json::from_str(invite.pdu.signatures()).unwrap();
    assert!(signatures["one.example"].is_object() && signatures["two.example"].is_object());
    assert!(invite.pdu.content().contains(r#""is_direct":true"#));
}

#[tokio::test]
async fn members_of_an_allowed_room_join_a_restricted_one_by_somebody_who_may_invite() {
    let world = world().await;
    let (alice, bob, carol) = (world.actor(ALICE).await, world.actor(BOB).await, world.actor(CAROL).await);
    for version in ["8", "9", "10", "11", "12"] {
        let space = world.public_room(&alice, version).await;
        let rules = json!({
            "join_rule": "restricted",
            "allow": [{ "type": "m.room_membership", "room_id": space }],
        });
        let create = CreateRoom {
            room_version: Some(version.to_owned()),
            initial_state: vec![state("m.room.join_rules", rules)],
            ..CreateRoom::default()
        };
        let room = world.rooms.create_room(&alice, create).await.unwrap();
        let refused = world.rooms.join(&bob, entry(&room, &["one.example"])).await;
        assert!(matches!(refused, Err(ActionError::CannotAuthorise)), "{refused:?}");
        world.join(&bob, &space).await;
        world.join(&bob, &room).await;
        let member = world.state(&room, "m.room.member", BOB).await.unwrap();
        assert_eq!(member["join_authorised_via_users_server"], ALICE, "{version}");
        // Nobody of the allowed room's members is named by the one who joins.
        let forged = json!({ "membership": "join", "join_authorised_via_users_server": ALICE });
        let refused = world.put(&carol, &room, ("m.room.member", CAROL), forged).await;
        assert!(refused.is_err());
    }
}

#[tokio::test]
async fn who_knocks_is_let_in_by_an_invitation() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let create = CreateRoom {
        initial_state: vec![state("m.room.join_rules", json!({ "join_rule": "knock" }))],
        ..CreateRoom::default()
    };
    let room = world.rooms.create_room(&alice, create).await.unwrap();
    let knock = Entry { reason: Some("please".to_owned()), ..entry(&room, &["one.example"]) };
    world.rooms.knock(&bob, knock).await.unwrap();
    assert_eq!(world.membership(&room, BOB).await.as_deref(), Some("knock"));
    assert!(world.rooms.join(&bob, entry(&room, &["one.example"])).await.is_err());
    world.rooms.invite(&alice, &room, about(&bob)).await.unwrap();
    world.rooms.join(&bob, entry(&room, &[])).await.unwrap();
}

#[tokio::test]
async fn a_tenant_that_the_room_shuts_out_does_not_speak_and_can_leave_without_a_word() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    let acl = json!({ "allow": ["*"], "deny": ["two.example"] });
    world.put(&alice, &room, ("m.room.server_acl", ""), acl).await.unwrap();
    let refused = world.rooms.send(&bob, &room, message("hello")).await;
    assert!(matches!(refused, Err(ActionError::ShutOut(_))), "{refused:?}");
    world.rooms.leave(&bob, &room, Some("a last word".to_owned())).await.unwrap();
    let left = world.state(&room, "m.room.member", BOB).await.unwrap();
    assert_eq!(left, json!({ "membership": "leave" }));
    assert!(matches!(
        world.rooms.join(&bob, entry(&room, &["one.example"])).await,
        Err(ActionError::ShutOut(_))
    ));
    let own = json!({ "allow": ["*"], "deny": ["one.example"] });
    assert!(world.put(&alice, &room, ("m.room.server_acl", ""), own).await.is_err());
}

#[tokio::test]
async fn history_is_shown_as_its_own_time_had_it() {
    let world = world().await;
    let (alice, bob, carol) = (world.actor(ALICE).await, world.actor(BOB).await, world.actor(CAROL).await);
    for (visibility, before_joining, outside) in [
        ("world_readable", true, true),
        ("shared", true, false),
        ("invited", false, false),
        ("joined", false, false),
    ] {
        let create = CreateRoom {
            preset: Some(Preset::PublicChat),
            initial_state: vec![state(
                "m.room.history_visibility",
                json!({ "history_visibility": visibility }),
            )],
            ..CreateRoom::default()
        };
        let room = world.rooms.create_room(&alice, create).await.unwrap();
        world.say(&alice, &room, "early").await;
        world.rooms.invite(&alice, &room, about(&bob)).await.unwrap();
        world.say(&alice, &room, "invited").await;
        world.join(&bob, &room).await;
        world.say(&alice, &room, "joined").await;
        world.rooms.leave(&bob, &room, None).await.unwrap();
        world.say(&alice, &room, "late").await;
        let mut expected = Vec::new();
        expected.extend(before_joining.then_some("early"));
        expected.extend((before_joining || visibility == "invited").then_some("invited"));
        expected.push("joined");
        expected.extend(outside.then_some("late"));
        assert_eq!(world.visible_bodies(&bob, &room).await, expected, "{visibility}");
        let seen = world.visible_bodies(&carol, &room).await;
        assert_eq!(seen.len(), if outside { 4 } else { 0 }, "{visibility}");
    }
}

#[tokio::test]
async fn a_change_of_visibility_does_not_open_what_was_said_before() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let create = CreateRoom {
        preset: Some(Preset::PublicChat),
        initial_state: vec![state("m.room.history_visibility", json!({ "history_visibility": "joined" }))],
        ..CreateRoom::default()
    };
    let room = world.rooms.create_room(&alice, create).await.unwrap();
    world.say(&alice, &room, "among us").await;
    let open = json!({ "history_visibility": "world_readable" });
    world.put(&alice, &room, ("m.room.history_visibility", ""), open).await.unwrap();
    world.say(&alice, &room, "for all").await;
    assert_eq!(world.visible_bodies(&bob, &room).await, ["for all"]);
}

#[tokio::test]
async fn a_room_is_forgotten_only_after_it_was_left() {
    let world = world().await;
    let alice = world.actor(ALICE).await;
    let room = world.public_room(&alice, "12").await;
    assert!(matches!(world.rooms.forget(&alice, &room).await, Err(ActionError::MayNot(_))));
    world.rooms.leave(&alice, &room, None).await.unwrap();
    world.rooms.forget(&alice, &room).await.unwrap();
    let row = world.reader().membership(alice.user, world.number(&room).await).await.unwrap().unwrap();
    assert!(row.forgotten && row.joined_until.is_some());
}

#[tokio::test]
async fn member_events_say_what_the_user_was_at_their_time() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    world.say(&alice, &room, "before").await;
    world.join(&bob, &room).await;
    let reader = world.reader();
    let events = world.timeline(&room).await;
    let viewer = Viewer::from(&bob);
    let [.., message, join] = &events[..] else { panic!("too few events") };
    assert_eq!(reader.membership_at(&viewer, message).await.unwrap(), None);
    let joined = reader.membership_at(&viewer, join).await.unwrap();
    assert_eq!(joined, Some(freehold_store::tables::rooms::Membership::Join));
}
