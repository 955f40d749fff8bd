//! What tenants have settled about rooms.

use freehold_event::RoomVersion;
use freehold_rooms::{ActionError, CreateRoom, DirectoryFilter, RoomPolicy, Upgrade, Visibility};
use ruma_common::RoomAliasId;
use serde_json::json;

use crate::forgetting::KEEPS_NOTHING;
use crate::hosted::{World, about, entry};

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:three.example";

async fn world() -> World {
    World::new(&["one.example", "two.example", "three.example"]).await
}

#[tokio::test]
async fn a_tenant_has_as_many_rooms_as_it_may_have_and_its_neighbours_have_theirs() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let before = world.rooms.create_room(&alice, CreateRoom::default()).await.unwrap();
    world.hosted.settle(&alice.tenant, RoomPolicy { rooms_max: Some(2), ..RoomPolicy::default() });
    // A room that comes to nothing takes no place.
    let bad = CreateRoom { room_version: Some("no.such".to_owned()), ..CreateRoom::default() };
    assert!(world.rooms.create_room(&alice, bad).await.is_err());
    world.rooms.create_room(&alice, CreateRoom::default()).await.unwrap();
    let upgrade = Upgrade { new_version: "11".to_owned(), additional_creators: Vec::new() };
    for _ in 0..2 {
        let refused = world.rooms.create_room(&alice, CreateRoom::default()).await;
        assert!(matches!(refused, Err(ActionError::TooManyRooms { max: 2 })), "{refused:?}");
        let refused = world.rooms.upgrade(&alice, &before, upgrade.clone()).await;
        assert!(matches!(refused, Err(ActionError::TooManyRooms { max: 2 })), "{refused:?}");
    }
    let anew = world.reopened();
    assert!(anew.create_room(&alice, CreateRoom::default()).await.is_err());
    anew.create_room(&bob, CreateRoom::default()).await.unwrap();
}

#[tokio::test]
async fn rooms_of_a_tenant_take_no_place_of_anothers_quota() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let settle = |actor: &freehold_store::Actor, most| {
        world.hosted.settle(&actor.tenant, RoomPolicy { rooms_max: Some(most), ..RoomPolicy::default() });
    };
    let create = |actor: &freehold_store::Actor| {
        let (rooms, actor) = (world.rooms.clone(), actor.clone());
        async move { rooms.create_room(&actor, CreateRoom::default()).await.is_ok() }
    };
    settle(&alice, 2);
    settle(&bob, 2);
    assert_eq!([create(&alice).await, create(&alice).await, create(&alice).await], [true, true, false]);
    assert_eq!([create(&bob).await, create(&bob).await, create(&bob).await], [true, true, false]);
    settle(&alice, 3);
    assert!(!create(&bob).await, "what one may have more, the other may not");
    assert_eq!([create(&alice).await, create(&alice).await], [true, false]);
}

#[tokio::test]
async fn rooms_have_the_version_that_the_tenant_settled_for() {
    let world = world().await;
    let alice = world.actor(ALICE).await;
    world.hosted.settle(
        &alice.tenant,
        RoomPolicy { default_version: Some(RoomVersion::V10), ..RoomPolicy::default() },
    );
    let version = |version: Option<&str>| CreateRoom {
        room_version: version.map(str::to_owned),
        ..CreateRoom::default()
    };
    for (asked, made) in [(None, "10"), (Some("11"), "11")] {
        let room = world.rooms.create_room(&alice, version(asked)).await.unwrap();
        assert_eq!(world.state(&room, "m.room.create", "").await.unwrap()["room_version"], made);
    }
    assert_eq!(world.rooms.default_version(&alice.tenant).await.id(), "10");
}

#[tokio::test]
async fn features_that_are_off_are_refused_by_name() {
    let world = world().await;
    let alice = world.actor(ALICE).await;
    let public = CreateRoom { visibility: Visibility::Public, ..CreateRoom::default() };
    let room = world.rooms.create_room(&alice, public.clone()).await.unwrap();
    let off = RoomPolicy { has_directory: false, may_encrypt: false, ..RoomPolicy::default() };
    world.hosted.settle(&alice.tenant, off);
    let listed = world.reader().public_rooms(&alice.tenant, &DirectoryFilter::default()).await.unwrap();
    assert!(listed.is_empty());
    let refused = world.rooms.create_room(&alice, public).await;
    assert!(matches!(refused, Err(ActionError::SwitchedOff("directory"))), "{refused:?}");
    let refused = world.rooms.set_directory_visibility(&alice, &room, Visibility::Public).await;
    assert!(matches!(refused, Err(ActionError::SwitchedOff("directory"))), "{refused:?}");
    world.rooms.set_directory_visibility(&alice, &room, Visibility::Private).await.unwrap();
    let algorithm = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    let refused = world.put(&alice, &room, ("m.room.encryption", ""), algorithm).await;
    assert!(matches!(refused, Err(ActionError::SwitchedOff("encryption"))), "{refused:?}");
    world.hosted.settle(&alice.tenant, RoomPolicy { may_create: false, ..RoomPolicy::default() });
    let refused = world.rooms.create_room(&alice, CreateRoom::default()).await;
    assert!(matches!(refused, Err(ActionError::SwitchedOff("room_creation"))), "{refused:?}");
}

#[tokio::test]
async fn servers_that_do_not_speak_neither_invite_nor_let_in_nor_show() {
    let world = world().await;
    let (alice, bob, carol) = (world.actor(ALICE).await, world.actor(BOB).await, world.actor(CAROL).await);
    let room = world.public_room(&alice, "12").await;
    let alias = RoomAliasId::parse("#pub:one.example").unwrap();
    world.rooms.create_alias(&alice, &alias, &room).await.unwrap();
    world.hosted.silence("one.example", "two.example");

    let refused = world.rooms.invite(&alice, &room, about(&bob)).await;
    assert!(matches!(refused, Err(ActionError::NotReached(_))), "{refused:?}");
    let with_bob = CreateRoom { invite: vec![bob.user_id.clone()], ..CreateRoom::default() };
    assert!(world.rooms.create_room(&alice, with_bob).await.is_err());
    let refused = world.rooms.join(&bob, entry(&room, &["one.example"])).await;
    assert!(matches!(refused, Err(ActionError::Elsewhere(_))), "{refused:?}");
    let refused = world.rooms.resolve_alias(&bob.tenant, &alias).await;
    assert!(matches!(refused, Err(ActionError::UnknownAlias(_))), "{refused:?}");

    // Through somebody with whom both speak they are in one room, and do not hear each other.
    world.rooms.join(&carol, entry(&room, &["one.example"])).await.unwrap();
    world.rooms.join(&bob, entry(&room, &["three.example"])).await.unwrap();
    for (who, body) in [(&alice, "of alice"), (&bob, "of bob"), (&carol, "of carol")] {
        world.say(who, &room, body).await;
    }
    assert_eq!(world.visible_bodies(&alice, &room).await, ["of alice", "of carol"]);
    assert_eq!(world.visible_bodies(&bob, &room).await, ["of bob", "of carol"]);
    assert_eq!(world.visible_bodies(&carol, &room).await, ["of alice", "of bob", "of carol"]);
}

#[tokio::test]
async fn messages_are_shown_for_as_long_as_a_tenant_keeps_them_and_state_for_ever() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    world.say(&alice, &room, "hello").await;
    let all = world.timeline(&room).await.len();
    world.hosted.settle(&bob.tenant, RoomPolicy { retention: KEEPS_NOTHING, ..RoomPolicy::default() });
    assert_eq!(world.visible_bodies(&alice, &room).await, ["hello"]);
    assert!(world.visible_bodies(&bob, &room).await.is_empty());
    let (events, number) = (world.timeline(&room).await, world.number(&room).await);
    let shown = world.reader().visible(&(&bob).into(), number, &events).await.unwrap();
    assert_eq!(shown.iter().filter(|shown| **shown).count(), all - 1);
}
