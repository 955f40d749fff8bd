//! Redactions, aliases, directories, upgrades.

use freehold_event::RoomVersion;
use freehold_rooms::{
    ActionError, ClientFormat, CreateRoom, DirectoryFilter, Preset, Redaction, Upgrade, Viewer, Visibility,
};
use ruma_common::RoomAliasId;
use serde_json::{Value, json};

use crate::hosted::{World, about, entry, message};

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:two.example";

async fn world() -> World {
    World::new(&["one.example", "two.example"]).await
}

fn redaction(event_id: &ruma_common::EventId) -> Redaction {
    Redaction { event_id: event_id.to_owned(), reason: Some("gone".to_owned()), transaction_id: None }
}

#[tokio::test]
async fn a_redaction_takes_the_content_in_every_version() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    for version in RoomVersion::ALL {
        let room = world.public_room(&alice, version.id()).await;
        world.join(&bob, &room).await;
        let said = world.say(&bob, &room, "regretted").await;
        let kept = world.say(&alice, &room, "kept").await;
        let reader = world.reader();
        let number = world.number(&room).await;
        reader.event_of_room(number, &said).await.unwrap().unwrap();
        let refused = world.rooms.redact(&bob, &room, redaction(&kept)).await;
        assert!(refused.is_err(), "{version}: {refused:?}");
        world.rooms.redact(&alice, &room, redaction(&said)).await.unwrap();
        assert_eq!(world.visible_bodies(&bob, &room).await, ["kept"], "{version}");
        let reader = world.reader();
        let event = reader.event_of_room(number, &said).await.unwrap().unwrap();
        let viewer = Viewer::from(&bob);
        let shown = reader.client_event((&viewer, None), &event, ClientFormat::Whole).await.unwrap();
        let shown: Value = serde_json::from_str(shown.get()).unwrap();
        assert_eq!(shown["content"], json!({}), "{version}");
        let because = &shown["unsigned"]["redacted_because"];
        assert_eq!(
            (&because["redacts"], &because["content"]["redacts"]),
            (&json!(said), &json!(said)),
            "{version}"
        );
        assert_eq!(because["content"]["reason"], "gone");
    }
}

#[tokio::test]
async fn a_redaction_that_is_sent_like_any_event_takes_the_content_too() {
    let world = world().await;
    let alice = world.actor(ALICE).await;
    for version in ["10", "12"] {
        let room = world.public_room(&alice, version).await;
        let said = world.say(&alice, &room, "regretted").await;
        let mut event = message("");
        event.event_type = "m.room.redaction".to_owned();
        event.content = crate::hosted::raw(&json!({ "redacts": said }));
        world.rooms.send(&alice, &room, event).await.unwrap();
        assert_eq!(world.visible_bodies(&alice, &room).await, [""; 0]);
    }
}

#[tokio::test]
async fn an_event_of_another_room_is_not_redacted() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let (mine, other) = (world.public_room(&bob, "12").await, world.public_room(&alice, "12").await);
    world.join(&bob, &other).await;
    let said = world.say(&alice, &other, "safe").await;
    let refused = world.rooms.redact(&bob, &mine, redaction(&said)).await;
    assert!(matches!(refused, Err(ActionError::UnknownEvent(_))), "{refused:?}");
    assert_eq!(world.visible_bodies(&alice, &other).await, ["safe"]);
}

#[tokio::test]
async fn aliases_belong_to_tenants_and_lead_to_rooms() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let create = CreateRoom {
        alias_localpart: Some("pub".to_owned()),
        visibility: Visibility::Public,
        ..CreateRoom::default()
    };
    let room = world.rooms.create_room(&alice, create.clone()).await.unwrap();
    let canonical = world.state(&room, "m.room.canonical_alias", "").await.unwrap();
    assert_eq!(canonical["alias"], "#pub:one.example");
    assert!(matches!(world.rooms.create_room(&alice, create).await, Err(ActionError::AliasTaken(_))));
    let alias = RoomAliasId::parse("#pub:one.example").unwrap();
    assert_eq!(world.rooms.resolve_alias(&alice.tenant, &alias).await.unwrap(), room);
    // Joining by the alias needs no other word about where the room is.
    let by_alias = freehold_rooms::Entry { room: alias.clone().into(), ..entry(&room, &[]) };
    world.rooms.join(&bob, by_alias).await.unwrap();
    let other = RoomAliasId::parse("#pub:two.example").unwrap();
    assert!(matches!(
        world.rooms.create_alias(&alice, &other, &room).await,
        Err(ActionError::ForeignAlias(_))
    ));
    let named = json!({ "alias": "#pub:two.example" });
    let refused = world.put(&alice, &room, ("m.room.canonical_alias", ""), named.clone()).await;
    assert!(matches!(refused, Err(ActionError::BadAlias(_))), "{refused:?}");
    world.rooms.create_alias(&bob, &other, &room).await.unwrap();
    world.put(&alice, &room, ("m.room.canonical_alias", ""), named).await.unwrap();
    let number = world.number(&room).await;
    assert_eq!(
        world.reader().aliases(number, bob.tenant.number()).await.unwrap(),
        std::slice::from_ref(&other)
    );
    world.rooms.delete_alias(&bob, &other).await.unwrap();
    assert!(matches!(
        world.rooms.resolve_alias(&alice.tenant, &other).await,
        Err(ActionError::UnknownAlias(_))
    ));
    world.rooms.delete_alias(&alice, &alias).await.unwrap();
    assert!(matches!(
        world.rooms.resolve_alias(&alice.tenant, &alias).await,
        Err(ActionError::UnknownAlias(_))
    ));
}

#[tokio::test]
async fn a_directory_lists_the_rooms_of_its_tenant_only() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let create = |name: &str| CreateRoom {
        visibility: Visibility::Public,
        name: Some(name.to_owned()),
        topic: Some("all about it".to_owned()),
        ..CreateRoom::default()
    };
    let room = world.rooms.create_room(&alice, create("Birds")).await.unwrap();
    world.rooms.create_room(&alice, create("Fish")).await.unwrap();
    world.join(&bob, &room).await;
    let reader = world.reader();
    let listed = reader.public_rooms(&alice.tenant, &DirectoryFilter::default()).await.unwrap();
    let names: Vec<_> =
        listed.iter().map(|room| (room.name.as_deref().unwrap(), room.num_joined_members)).collect();
    assert_eq!(names, [("Birds", 2), ("Fish", 1)]);
    assert!(!listed[0].guest_can_join && listed[0].join_rule == "public");
    let filter = DirectoryFilter { search_term: Some("FISH".to_owned()), ..DirectoryFilter::default() };
    assert_eq!(reader.public_rooms(&alice.tenant, &filter).await.unwrap().len(), 1);
    assert!(reader.public_rooms(&bob.tenant, &DirectoryFilter::default()).await.unwrap().is_empty());
    let refused = world.rooms.set_directory_visibility(&bob, &room, Visibility::Public).await;
    assert!(matches!(refused, Err(ActionError::MayNot(_))), "{refused:?}");
    world.rooms.set_directory_visibility(&alice, &room, Visibility::Private).await.unwrap();
    let listed = world.reader().public_rooms(&alice.tenant, &DirectoryFilter::default()).await.unwrap();
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn an_upgraded_room_goes_on_in_another_version() {
    let world = world().await;
    let (alice, bob, carol) = (world.actor(ALICE).await, world.actor(BOB).await, world.actor(CAROL).await);
    for (from, to) in [("1", "11"), ("10", "12"), ("12", "12"), ("12", "11"), ("11", "6")] {
        let create = CreateRoom {
            preset: Some(Preset::PublicChat),
            alias_localpart: Some(format!("from{from}to{to}")),
            visibility: Visibility::Public,
            name: Some("a room".to_owned()),
            room_version: Some(from.to_owned()),
            ..CreateRoom::default()
        };
        let old = world.rooms.create_room(&alice, create).await.unwrap();
        world.join(&bob, &old).await;
        world.join(&carol, &old).await;
        world.rooms.ban(&alice, &old, about(&carol)).await.unwrap();
        let upgrade = Upgrade { new_version: to.to_owned(), additional_creators: Vec::new() };
        assert!(matches!(
            world.rooms.upgrade(&bob, &old, upgrade.clone()).await,
            Err(ActionError::MayNot(_))
        ));
        let new = world.rooms.upgrade(&alice, &old, upgrade).await.unwrap();
        let create = world.state(&new, "m.room.create", "").await.unwrap();
        assert_eq!((&create["room_version"], &create["predecessor"]["room_id"]), (&json!(to), &json!(old)));
        let tombstone = world.state(&old, "m.room.tombstone", "").await.unwrap();
        assert_eq!(tombstone["replacement_room"], json!(new));
        assert_eq!(world.state(&new, "m.room.name", "").await.unwrap()["name"], "a room");
        assert_eq!(world.state(&new, "m.room.join_rules", "").await.unwrap()["join_rule"], "public");
        assert_eq!(world.membership(&new, CAROL).await.as_deref(), Some("ban"), "{from} to {to}");
        // The alias moved, and the old room is silent.
        let alias = RoomAliasId::parse(format!("#from{from}to{to}:one.example")).unwrap();
        assert_eq!(world.rooms.resolve_alias(&alice.tenant, &alias).await.unwrap(), new);
        let named = world.state(&new, "m.room.canonical_alias", "").await.unwrap();
        assert_eq!(named["alias"], json!(alias));
        assert!(world.rooms.send(&bob, &old, message("too late")).await.is_err(), "{from} to {to}");
        world.join(&bob, &new).await;
        world.say(&bob, &new, "here we are").await;
        world.put(&alice, &new, ("m.room.name", ""), json!({ "name": "renamed" })).await.unwrap();
    }
}

#[tokio::test]
async fn people_of_a_private_room_are_invited_to_the_one_that_replaces_it() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let create = CreateRoom { invite: vec![bob.user_id.clone()], ..CreateRoom::default() };
    let old = world.rooms.create_room(&alice, create).await.unwrap();
    world.rooms.join(&bob, entry(&old, &[])).await.unwrap();
    for version in ["12", "11"] {
        let upgrade = Upgrade { new_version: version.to_owned(), additional_creators: Vec::new() };
        let new = world.rooms.upgrade(&alice, &old, upgrade).await.unwrap();
        assert_eq!(world.membership(&new, BOB).await.as_deref(), Some("invite"));
        world.rooms.join(&bob, entry(&new, &[])).await.unwrap();
    }
}

#[tokio::test]
async fn a_room_says_which_servers_it_admits() {
    let world = world().await;
    let alice = world.actor(ALICE).await;
    let room = world.public_room(&alice, "12").await;
    let (one, two) = (alice.tenant.server_name(), ruma_common::ServerName::parse("two.example").unwrap());
    assert!(world.rooms.admits(&room, &two).await.unwrap());
    let acl = json!({ "allow": ["*"], "deny": ["two.*"] });
    world.put(&alice, &room, ("m.room.server_acl", ""), acl).await.unwrap();
    assert!(!world.rooms.admits(&room, &two).await.unwrap() && world.rooms.admits(&room, one).await.unwrap());
    let nowhere = ruma_common::RoomId::parse("!nowhere").unwrap();
    assert!(!world.rooms.admits(&nowhere, one).await.unwrap());
}

#[tokio::test]
async fn invited_people_are_trusted_as_the_version_has_it() {
    let world = world().await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    for version in ["1", "11", "12"] {
        let create = CreateRoom {
            preset: Some(Preset::TrustedPrivateChat),
            room_version: Some(version.to_owned()),
            invite: vec![bob.user_id.clone()],
            ..CreateRoom::default()
        };
        let room = world.rooms.create_room(&alice, create).await.unwrap();
        world.rooms.join(&bob, entry(&room, &[])).await.unwrap();
        let levels = world.state(&room, "m.room.power_levels", "").await.unwrap();
        let named = levels["users"].get(BOB).is_some();
        assert_eq!(named, version != "12");
        world.put(&bob, &room, ("m.room.server_acl", ""), json!({ "allow": ["*"] })).await.unwrap();
    }
}

#[tokio::test]
async fn a_room_whose_state_is_not_allowed_is_not_made() {
    let world = world().await;
    let alice = world.actor(ALICE).await;
    let levels = json!({ "users": { ALICE: 0 } });
    let create = CreateRoom {
        room_version: Some("11".to_owned()),
        power_level_content_override: Some(crate::hosted::raw(&levels)),
        ..CreateRoom::default()
    };
    let refused = world.rooms.create_room(&alice, create).await;
    assert!(matches!(refused, Err(ActionError::InvalidState(_))), "{refused:?}");
    assert!(world.reader().memberships(alice.user).await.unwrap().is_empty());
    let create = CreateRoom { room_version: Some("99".to_owned()), ..CreateRoom::default() };
    assert!(matches!(world.rooms.create_room(&alice, create).await, Err(ActionError::UnsupportedVersion(_))));
}
