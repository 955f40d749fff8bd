//! The rules that concern events of any type, aliases and redactions.

use freehold_event::RoomVersion;
use freehold_event_auth::AuthRule as R;

use crate::{ALL, Case, scene::*};

const CLOSED: &str = r#""m.federate":false"#;
const INVITE: &str = "m.room.third_party_invite";
const ALIASES: &str = "m.room.aliases";
const REDACTION: &str = "m.room.redaction";

fn redacts(scene: Scene, sender: &str, target: &str) -> Scene {
    scene.sends(sender, REDACTION, "{}").with(|e| e.redacts = Some(target.to_owned()))
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case(R::NotFederated, ALL, |s| s.create_with(CLOSED), |s| s.create_with(CLOSED).sends(ALICE, MESSAGE, "{}")),
    Case(R::NotFederated, ALL, |s| s.create_with(CLOSED).changes(EVE, EVE, "join"), |s| s.create_with(r#""m.federate":true"#).changes(EVE, EVE, "join")),
    Case(R::NotFederated, ALL, |s| s.create_with(CLOSED).with(|e| e.sender = "@alice:one.org:8448".into()).member("@alice:one.org:8448", "join"), |s| s.create_with(r#""m.federate":"false""#)),
    Case(R::AliasesWithoutStateKey, 1..=5, |s| s.sends(EVE, ALIASES, "{}"), |s| s.sets(EVE, ALIASES, "two.org", "{}")),
    Case(R::AliasesStateKeyDomain, 1..=5, |s| s.sets(ALICE, ALIASES, "two.org", "{}"), |s| s.sets(ALICE, ALIASES, "one.org", "{}")),
    Case(R::AliasesStateKeyDomain, 1..=5, |s| s.sets(ALICE, ALIASES, "", "{}"), |s| s.sets(EVE, ALIASES, "two.org", "{}")),
    Case(R::SenderNotJoined, ALL, |s| s.sends(EVE, MESSAGE, "{}"), |s| s.member(EVE, "join").sends(EVE, MESSAGE, "{}")),
    Case(R::SenderNotJoined, ALL, |s| s.member(BOB, "invite"), |s| s),
    Case(R::SenderNotJoined, ALL, |s| s.member(BOB, "leave"), |s| s),
    Case(R::SenderNotJoined, ALL, |s| s.member(BOB, "ban"), |s| s),
    Case(R::SenderNotJoined, ALL, |s| s.member(BOB, "knock"), |s| s),
    Case(R::SenderNotJoined, ALL, |s| s.state(MEMBER, BOB, BOB, r#"{"membership":["join"]}"#), |s| s.state(MEMBER, BOB, BOB, r#"{"displayname":7,"membership":"join"}"#)),
    Case(R::SenderNotJoined, ALL, |s| s.member(CREATOR, "leave").sends(CREATOR, MESSAGE, "{}"), |s| s.sends(CREATOR, MESSAGE, "{}")),
    Case(R::SenderNotJoined, 6..=12, |s| s.sets(EVE, ALIASES, "two.org", "{}"), |s| s.sets(ALICE, ALIASES, "two.org", "{}")),
    Case(R::ThirdPartyInvitePower, ALL, |s| s.levels(r#"{"invite":1}"#).sets(BOB, INVITE, "token", "{}"), |s| s.levels(r#"{"events":{"m.room.third_party_invite":9},"invite":0}"#).sets(BOB, INVITE, "token", "{}")),
    Case(R::ThirdPartyInvitePower, ALL, |s| s.levels(r#"{"invite":51,"users":{"@mod:one.org":50}}"#).sets(MOD, INVITE, "@token", "{}"), |s| s.sets(BOB, INVITE, "@token", "{}")),
    Case(R::RequiredPower, ALL, |s| s.sets(BOB, "m.room.topic", "", "{}"), |s| s.sets(MOD, "m.room.topic", "", "{}")),
    Case(R::RequiredPower, ALL, |s| s.levels(r#"{"events_default":1}"#), |s| s.levels(r#"{"events_default":1,"users_default":1}"#)),
    Case(R::RequiredPower, ALL, |s| s.levels(r#"{"events":{"m.room.message":1}}"#), |s| s.levels(r#"{"events":{"m.room.message":0},"events_default":9}"#)),
    Case(R::RequiredPower, ALL, |s| s.levels(r#"{"events":{"m.room.topic":51},"users":{"@mod:one.org":50}}"#).sets(MOD, "m.room.topic", "", "{}"), |s| s.levels(r#"{"events":{"m.room.topic":0}}"#).sets(BOB, "m.room.topic", "", "{}")),
    Case(R::RequiredPower, ALL, |s| s.levels(r#"{"state_default":1}"#).sets(BOB, "m.room.topic", "", "{}"), |s| s.levels(r#"{"state_default":0}"#).sets(BOB, "m.room.topic", "", "{}")),
    Case(R::RequiredPower, ALL, |s| s.without(LEVELS, "").sets(BOB, "m.room.topic", "", "{}"), |s| s.without(LEVELS, "").sets(CREATOR, "m.room.topic", "", "{}")),
    Case(R::RequiredPower, 1..=11, |s| s.sets(CREATOR, "m.room.topic", "", "{}"), |s| s.sets(ALICE, "m.room.topic", "", "{}")),
    Case(R::RequiredPower, 3..=12, |s| redacts(s.levels(r#"{"events":{"m.room.redaction":1},"redact":0}"#), BOB, "$x:one.org"), |s| redacts(s.levels(r#"{"redact":99}"#), BOB, "$x:two.org")),
    Case(R::StateKeyOtherUser, ALL, |s| s.sets(ALICE, "x.state", "@bob:two.org", "{}"), |s| s.sets(ALICE, "x.state", ALICE, "{}")),
    Case(R::StateKeyOtherUser, ALL, |s| s.sets(ALICE, "x.state", "@", "{}"), |s| s.sets(ALICE, "x.state", " @bob:two.org", "{}")),
    Case(R::RedactionNotAllowed, 1..=2, |s| redacts(s, BOB, "$x:two.org"), |s| redacts(s, BOB, "$x:one.org")),
    Case(R::RedactionNotAllowed, 1..=2, |s| redacts(s, BOB, "$x:two.org"), |s| redacts(s, MOD, "$x:two.org")),
    Case(R::RedactionNotAllowed, 1..=2, |s| redacts(s.levels(r#"{"redact":1}"#), BOB, "$x:two.org"), |s| redacts(s.levels(r#"{"redact":0}"#), BOB, "$x:two.org")),
    Case(R::RedactionNotAllowed, 1..=2, |s| s.sends(BOB, REDACTION, "{}"), |s| redacts(s, BOB, "$y:one.org")),
    Case(R::RedactionNotAllowed, 1..=2, |s| s.sends(BOB, REDACTION, "{}").with(|e| e.id = "$none".into()), |s| redacts(s, BOB, "$y:one.org")),
];

#[test]
fn denial_names_the_event_that_was_looked_at() {
    let ordinary = || Scene::ordinary(RoomVersion::V11);
    for (scene, against) in [
        (ordinary().create_with(CLOSED), Some("$m.room.create|")),
        (ordinary().sends(EVE, MESSAGE, "{}"), None),
        (ordinary().member(BOB, "ban"), Some("$m.room.member|@bob:two.org")),
        (ordinary().sets(BOB, "m.room.topic", "", "{}"), Some("$m.room.power_levels|")),
        (ordinary().without(LEVELS, "").sets(BOB, "m.room.topic", "", "{}"), Some("$m.room.create|")),
        (ordinary().join_rule("invite").changes(EVE, EVE, "join"), Some("$m.room.join_rules|")),
        (ordinary().changes(BOB, ALICE, "leave"), Some("$m.room.power_levels|")),
        (ordinary().sets(ALICE, "x", "@", "{}"), None),
    ] {
        assert_eq!(scene.verdict().unwrap_err().against.as_deref(), against, "{:?}", scene.event);
    }
}

#[test]
fn state_without_a_create_event_allows_nothing() {
    for version in RoomVersion::ALL {
        let scene = Scene::ordinary(version).without(CREATE, "");
        let rule = scene.verdict_of_state().unwrap_err().rule;
        let expected =
            if version.id() == "12" { R::RoomIdNotCreateEvent } else { R::AuthEventsWithoutCreate };
        assert_eq!(rule, expected, "{version}");
    }
}
