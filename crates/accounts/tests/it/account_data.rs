//! Account data and tags, as sync reads them; filters; profiles.

use freehold_accounts::{AccountData, AccountDataError, ProfileError};
use freehold_store::{Position, UserNumber};
use ruma_common::RoomId;
use serde_json::{Value, json};

use crate::world::{World, alices};

async fn since(world: &World, user: UserNumber, after: Position) -> Vec<AccountData> {
    let snapshot = world.store.snapshot().unwrap();
    world.accounts.account_data_since(&snapshot, user, after).await.unwrap()
}

fn types(data: &[AccountData]) -> Vec<(&str, bool)> {
    data.iter().map(|data| (data.event_type.as_str(), data.room.is_some())).collect()
}

#[tokio::test]
async fn each_change_is_seen_once_after_where_somebody_was() {
    let world = World::open().await;
    let user = world.user(&alices(), "alice").await.actor.user;
    let room = RoomId::parse("!room:alice.example").unwrap();
    let start = world.store.snapshot().unwrap().position();
    let set = async |room: Option<&RoomId>, event_type: &str, content: &str| {
        world.accounts.set_account_data(user, (room, event_type), content).await.unwrap();
    };
    set(None, "m.direct", "{\"a\":1}").await;
    set(Some(&room), "org.example.x", "{}").await;
    let between = world.store.snapshot().unwrap().position();
    set(None, "m.direct", "{\"a\":2}").await;
    let all = since(&world, user, start).await;
    assert_eq!(types(&all), [("org.example.x", true), ("m.direct", false)], "the newest change counts");
    assert_eq!(all[1].content, "{\"a\":2}");
    assert_eq!(types(&since(&world, user, between).await), [("m.direct", false)]);
    assert!(since(&world, user, world.store.snapshot().unwrap().position()).await.is_empty());
    let everything = world.accounts.all_account_data(&world.store.snapshot().unwrap(), user).await.unwrap();
    assert_eq!(types(&everything), [("m.push_rules", false), ("m.direct", false), ("org.example.x", true)]);
}

#[tokio::test]
async fn a_change_wakes_the_user() {
    let world = World::open().await;
    let user = world.user(&alices(), "alice").await.actor.user;
    let waiting = world.store.wakes().wait_for(user);
    world.accounts.set_account_data(user, (None, "m.direct"), "{}").await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(5), waiting.woken()).await.unwrap();
}

#[tokio::test]
async fn what_the_server_manages_cannot_be_set_and_what_is_no_object_neither() {
    let world = World::open().await;
    let user = world.user(&alices(), "alice").await.actor.user;
    let room = RoomId::parse("!room:alice.example").unwrap();
    for event_type in ["m.push_rules", "m.fully_read"] {
        for room in [None, Some(&*room)] {
            let set = world.accounts.set_account_data(user, (room, event_type), "{}").await;
            assert!(matches!(set, Err(AccountDataError::Managed(_))), "{event_type}");
        }
    }
    for content in ["[]", "1", "\"text\"", "null"] {
        let set = world.accounts.set_account_data(user, (None, "m.direct"), content).await;
        assert!(matches!(set, Err(AccountDataError::NotAnObject)), "{content}");
    }
    let large = json!({ "a": "x".repeat(65_536) }).to_string();
    let set = world.accounts.set_account_data(user, (None, "m.direct"), &large).await;
    assert!(matches!(set, Err(AccountDataError::TooLarge { .. })));
}

#[tokio::test]
async fn tags_are_account_data_of_the_room() {
    let world = World::open().await;
    let user = world.user(&alices(), "alice").await.actor.user;
    let room = RoomId::parse("!room:alice.example").unwrap();
    let accounts = &world.accounts;
    assert!(accounts.tags(user, &room).await.unwrap().is_empty());
    accounts.set_tag(user, (&room, "m.favourite"), json!({ "order": 0.25 })).await.unwrap();
    accounts.set_tag(user, (&room, "u.work"), json!({})).await.unwrap();
    accounts.delete_tag(user, (&room, "u.work")).await.unwrap();
    accounts.delete_tag(user, (&room, "u.work")).await.unwrap();
    let content: Value =
        serde_json::from_str(&accounts.account_data(user, (Some(&room), "m.tag")).await.unwrap()).unwrap();
    assert_eq!(content, json!({ "tags": { "m.favourite": { "order": 0.25 } } }));
    let long = "x".repeat(256);
    assert!(accounts.set_tag(user, (&room, &long), json!({})).await.is_err());
}

#[tokio::test]
async fn the_same_filter_has_the_same_id_and_belongs_to_its_user() {
    let world = World::open().await;
    let (one, two) = (world.user(&alices(), "one").await, world.user(&alices(), "two").await);
    let id = world.accounts.new_filter(one.actor.user, "{\"room\":{}}").await.unwrap();
    assert_eq!(world.accounts.new_filter(one.actor.user, "{\"room\":{}}").await.unwrap(), id);
    assert_eq!(world.accounts.filter(one.actor.user, &id).await.unwrap().as_deref(), Some("{\"room\":{}}"));
    assert_eq!(world.accounts.filter(two.actor.user, &id).await.unwrap(), None);
}

#[tokio::test]
async fn a_profile_has_fields_of_any_kind_up_to_64_kib() {
    let world = World::open().await;
    let actor = world.user(&alices(), "alice").await.actor;
    let accounts = &world.accounts;
    assert_eq!(
        Value::from(accounts.profile(&actor.user_id).await.unwrap()),
        json!({ "displayname": "alice" })
    );
    accounts.set_profile_field(&actor, "org.example.pronouns", Some(json!(["she", null]))).await.unwrap();
    accounts.set_profile_field(&actor, "avatar_url", Some(json!("mxc://alice.example/a"))).await.unwrap();
    accounts.set_profile_field(&actor, "displayname", Some(json!(""))).await.unwrap();
    assert_eq!(
        Value::from(accounts.profile(&actor.user_id).await.unwrap()),
        json!({ "avatar_url": "mxc://alice.example/a", "org.example.pronouns": ["she", null] })
    );
    let member = accounts.member_profile(&actor.user_id).await.unwrap();
    assert_eq!(Value::from(member), json!({ "avatar_url": "mxc://alice.example/a" }));
    let refused = async |name: &str, value: Value| {
        accounts.set_profile_field(&actor, name, Some(value)).await.unwrap_err()
    };
    assert!(matches!(refused("org.example.x", json!("x".repeat(65_536))).await, ProfileError::TooLarge(_)));
    assert!(matches!(refused("avatar_url", json!("https://x")).await, ProfileError::Value { .. }));
    assert!(matches!(refused("displayname", json!(null)).await, ProfileError::Value { .. }));
    assert!(matches!(refused("displayname", json!("x".repeat(257))).await, ProfileError::Value { .. }));
    accounts.set_profile_field(&actor, "avatar_url", None).await.unwrap();
    accounts.set_profile_field(&actor, "avatar_url", None).await.unwrap();
}
