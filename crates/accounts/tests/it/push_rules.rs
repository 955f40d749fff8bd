//! Push rules.

use freehold_accounts::PushRulesError;
use freehold_store::tables::accounts::PUSH_RULES;
use ruma_common::push::{Action, NewPatternedPushRule, NewPushRule, RuleKind, Ruleset};
use serde_json::{Value, json};

use crate::world::{Somebody, World, alices};

fn content_rule(id: &str) -> NewPushRule {
    NewPushRule::Content(NewPatternedPushRule::new(id.to_owned(), "cake".to_owned(), vec![Action::Notify]))
}

fn ids(rules: &Ruleset) -> Vec<&str> {
    rules.content.iter().map(|rule| rule.rule_id.as_str()).collect()
}

async fn start() -> (World, Somebody) {
    let world = World::open().await;
    let somebody = world.user(&alices(), "alice").await;
    (world, somebody)
}

#[tokio::test]
async fn a_new_user_has_the_rules_of_the_specification_in_its_order() {
    let (world, somebody) = start().await;
    let rules = world.accounts.push_rules(&somebody.actor).await.unwrap();
    let names = |rules: &[&str]| rules.iter().map(|name| format!(".m.rule.{name}")).collect::<Vec<_>>();
    let found = |kind: Value| -> Vec<String> {
        kind.as_array().unwrap().iter().map(|rule| rule["rule_id"].as_str().unwrap().to_owned()).collect()
    };
    // https://spec.matrix.org/v1.19/client-server-api/#default-override-rules
    assert_eq!(
        found(json!(rules.override_)),
        names(&[
            "master",
            "suppress_notices",
            "invite_for_me",
            "member_event",
            "is_user_mention",
            "is_room_mention",
            "tombstone",
            "reaction",
            "room.server_acl",
            "suppress_edits"
        ])
    );
    // https://spec.matrix.org/v1.19/client-server-api/#default-underride-rules
    assert_eq!(
        found(json!(rules.underride)),
        names(&["call", "encrypted_room_one_to_one", "room_one_to_one", "message", "encrypted"])
    );
    assert!(rules.content.is_empty() && rules.room.is_empty() && rules.sender.is_empty());
    let enabled: Vec<bool> = rules.override_.iter().map(|rule| rule.enabled).collect();
    assert_eq!(enabled, [false, true, true, true, true, true, true, true, true, true]);
}

#[tokio::test]
async fn rules_stand_where_they_are_put() {
    let (world, somebody) = start().await;
    let put = async |id: &str, after: Option<&str>, before: Option<&str>| {
        let rule = content_rule(id);
        world.accounts.set_push_rule(&somebody.actor, &rule, (after, before)).await
    };
    let order = async || {
        let rules = world.accounts.push_rules(&somebody.actor).await.unwrap();
        ids(&rules).join(" ")
    };
    for id in ["c", "b", "a"] {
        put(id, None, None).await.unwrap();
    }
    assert_eq!(order().await, "a b c", "a new rule is the most important one");
    put("b", None, None).await.unwrap();
    assert_eq!(order().await, "a b c", "a rule that is changed stays");
    put("a", Some("c"), None).await.unwrap();
    assert_eq!(order().await, "b c a", "the last place is one");
    put("b", Some("c"), None).await.unwrap();
    assert_eq!(order().await, "c b a");
    put("a", None, Some("c")).await.unwrap();
    assert_eq!(order().await, "a c b");
    put("d", Some("a"), Some("b")).await.unwrap();
    assert_eq!(order().await, "a c d b", "next to `before`");
    assert!(matches!(put("e", Some("nothing"), None).await, Err(PushRulesError::Insert(_))));
    assert!(matches!(put("e", Some(".m.rule.master"), None).await, Err(PushRulesError::Insert(_))));
    assert!(matches!(put("a", Some("a"), None).await, Err(PushRulesError::Insert(_))));
    for bad in [".dot", "a/b", "a\\b"] {
        assert!(matches!(put(bad, None, None).await, Err(PushRulesError::Insert(_))), "{bad}");
    }
    assert_eq!(order().await, "a c d b", "what is refused changes nothing");
}

#[tokio::test]
async fn a_rule_that_is_moved_or_changed_stays_off() {
    let (world, somebody) = start().await;
    let actor = &somebody.actor;
    for id in ["b", "a"] {
        world.accounts.set_push_rule(actor, &content_rule(id), (None, None)).await.unwrap();
    }
    world.accounts.enable_push_rule(actor, (RuleKind::Content, "a"), false).await.unwrap();
    world.accounts.set_push_rule(actor, &content_rule("a"), (Some("b"), None)).await.unwrap();
    let rules = world.accounts.push_rules(actor).await.unwrap();
    assert!(!rules.get(RuleKind::Content, "a").unwrap().enabled());
    assert!(rules.get(RuleKind::Content, "b").unwrap().enabled());
}

#[tokio::test]
async fn the_store_holds_what_differs_from_the_defaults_and_nothing_else() {
    let (world, somebody) = start().await;
    let actor = &somebody.actor;
    let master = (RuleKind::Override, ".m.rule.master");
    world.accounts.enable_push_rule(actor, master.clone(), true).await.unwrap();
    let stored = async || -> Value {
        let row = world.store.snapshot().unwrap().get(&PUSH_RULES, &actor.user).await.unwrap();
        serde_json::from_str(&row.unwrap().rules).unwrap()
    };
    assert_eq!(stored().await["override"].as_array().unwrap().len(), 1);
    let rules = world.accounts.push_rules(actor).await.unwrap();
    assert!(rules.override_.first().unwrap().enabled, "it is still the first");
    assert_eq!(rules.override_.len(), 10);
    world.accounts.enable_push_rule(actor, master, false).await.unwrap();
    assert_eq!(stored().await, json!({}));
    let message = (RuleKind::Underride, ".m.rule.message");
    world.accounts.set_push_rule_actions(actor, message, &[]).await.unwrap();
    assert_eq!(stored().await["underride"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn historical_actions_are_dropped() {
    let (world, somebody) = start().await;
    let actions: Vec<Action> = serde_json::from_value(json!(["dont_notify", "coalesce", "notify"])).unwrap();
    let rule = (RuleKind::Underride, ".m.rule.message");
    world.accounts.set_push_rule_actions(&somebody.actor, rule, &actions).await.unwrap();
    let rules = world.accounts.push_rules(&somebody.actor).await.unwrap();
    let kept = rules.get(RuleKind::Underride, ".m.rule.message").unwrap().actions().to_vec();
    assert_eq!(json!(kept), json!(["notify"]));
}

#[tokio::test]
async fn defaults_cannot_be_removed_and_what_is_not_there_is_not_found() {
    let (world, somebody) = start().await;
    let actor = &somebody.actor;
    let delete = async |kind, id| world.accounts.delete_push_rule(actor, (kind, id)).await;
    assert!(matches!(delete(RuleKind::Override, ".m.rule.master").await, Err(PushRulesError::Default)));
    assert!(matches!(delete(RuleKind::Content, "cake").await, Err(PushRulesError::NotFound)));
    world.accounts.set_push_rule(actor, &content_rule("cake"), (None, None)).await.unwrap();
    delete(RuleKind::Content, "cake").await.unwrap();
    let enable = world.accounts.enable_push_rule(actor, (RuleKind::Content, "cake"), true).await;
    assert!(matches!(enable, Err(PushRulesError::NotFound)));
}

#[tokio::test]
async fn a_change_is_new_account_data() {
    let (world, somebody) = start().await;
    let before = world.store.snapshot().unwrap().position();
    world.accounts.set_push_rule(&somebody.actor, &content_rule("cake"), (None, None)).await.unwrap();
    let snapshot = world.store.snapshot().unwrap();
    let changed = world.accounts.account_data_since(&snapshot, somebody.actor.user, before).await.unwrap();
    assert_eq!(changed.len(), 1);
    let content: Value = serde_json::from_str(&changed[0].content).unwrap();
    assert_eq!(content["global"]["content"][0]["rule_id"], "cake");
    assert_eq!(content["global"]["override"].as_array().unwrap().len(), 10);
}
