//! What a user settled for a room that another replaces.

use freehold_accounts::Accounts;
use freehold_store::Actor;
use ruma_common::push::{
    Action, EventMatchConditionData, NewConditionalPushRule, NewPushRule, NewSimplePushRule, RuleKind,
};
use ruma_common::{RoomId, room_id};
use serde_json::{Value, json};

use crate::world::{World, alices};

fn old() -> &'static RoomId {
    room_id!("!old:alice.example")
}

fn new() -> &'static RoomId {
    room_id!("!new:alice.example")
}

/// A rule of a client for one room, under a name that the client chose.
fn silences(name: &str, room: &RoomId) -> NewPushRule {
    let condition = EventMatchConditionData::new("room_id".to_owned(), room.to_string()).into();
    NewPushRule::Override(NewConditionalPushRule::new(name.to_owned(), vec![condition], Vec::new()))
}

async fn settle(accounts: &Accounts, actor: &Actor) {
    let tag = json!({ "order": 0.5 });
    accounts.set_tag(actor.user, (old(), "m.favourite"), tag).await.unwrap();
    let direct =
        json!({ "@bob:bob.example": [old(), "!x:alice.example"], "@eve:bob.example": ["!y:alice.example"] });
    accounts.set_account_data(actor.user, (None, "m.direct"), &direct.to_string()).await.unwrap();
    let loud = NewPushRule::Room(NewSimplePushRule::new(old().to_owned(), vec![Action::Notify]));
    for rule in [loud, silences("quiet", old()), silences("other", room_id!("!z:alice.example"))] {
        accounts.set_push_rule(actor, &rule, (None, None)).await.unwrap();
    }
    accounts.enable_push_rule(actor, (RuleKind::Override, "quiet"), false).await.unwrap();
}

/// Tags of the new room, direct chats, rules for one room, own overriding rules.
async fn settled(accounts: &Accounts, actor: &Actor) -> [Value; 4] {
    let direct = accounts.account_data(actor.user, (None, "m.direct")).await.unwrap();
    let rules = json!(accounts.push_rules(actor).await.unwrap());
    let of_kind = |kind: &str| rules.get(kind).and_then(Value::as_array).cloned().unwrap_or_default();
    let is_own = |rule: &Value| rule.get("default") == Some(&json!(false));
    [
        json!(accounts.tags(actor.user, new()).await.unwrap()),
        serde_json::from_str(&direct).unwrap(),
        json!(of_kind("room")),
        of_kind("override").into_iter().filter(is_own).collect(),
    ]
}

#[tokio::test]
async fn what_was_settled_for_a_room_is_so_for_the_one_that_replaces_it() {
    let world = World::open().await;
    let actor = world.user(&alices(), "alice").await.actor;
    settle(&world.accounts, &actor).await;
    world.accounts.carry_over(&actor, (old(), new())).await.unwrap();
    let [tags, direct, of_room, overriding] = settled(&world.accounts, &actor).await;
    assert_eq!(tags, json!({ "m.favourite": { "order": 0.5 } }));
    let bob = json!([old(), "!x:alice.example", new()]);
    assert_eq!(direct, json!({ "@bob:bob.example": bob, "@eve:bob.example": ["!y:alice.example"] }));
    let rules: Vec<_> =
        of_room.as_array().unwrap().iter().map(|rule| (&rule["rule_id"], &rule["actions"])).collect();
    let notify = json!(["notify"]);
    assert_eq!(rules, [(&json!(new()), &notify), (&json!(old()), &notify)]);
    let copied =
        overriding.as_array().unwrap().iter().find(|rule| rule["rule_id"] == new().as_str()).unwrap();
    let condition = json!({ "kind": "event_match", "key": "room_id", "pattern": new() });
    assert_eq!((&copied["conditions"], &copied["enabled"]), (&json!([condition]), &json!(false)));
    assert_eq!(overriding.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_was_settled_for_the_new_room_stays_and_nothing_comes_twice() {
    let world = World::open().await;
    let actor = world.user(&alices(), "alice").await.actor;
    settle(&world.accounts, &actor).await;
    world.accounts.set_tag(actor.user, (new(), "m.lowpriority"), json!({})).await.unwrap();
    world.accounts.delete_tag(actor.user, (new(), "m.lowpriority")).await.unwrap();
    let silent = NewPushRule::Room(NewSimplePushRule::new(new().to_owned(), Vec::new()));
    world.accounts.set_push_rule(&actor, &silent, (None, None)).await.unwrap();
    world.accounts.carry_over(&actor, (old(), new())).await.unwrap();
    let once = settled(&world.accounts, &actor).await;
    assert_eq!(once[0], json!({}), "the user has seen to the tags of the new room");
    let rule = once[2].as_array().unwrap().iter().find(|rule| rule["rule_id"] == new().as_str()).unwrap();
    assert_eq!(rule["actions"], json!([]));
    let position = world.store.snapshot().unwrap().position();
    world.accounts.carry_over(&actor, (old(), new())).await.unwrap();
    assert_eq!(settled(&world.accounts, &actor).await, once);
    assert_eq!(world.store.snapshot().unwrap().position(), position, "nothing is written");
}
