//! Rule 4.3, and what comes before it in rule 4.

use freehold_event_auth::AuthRule as R;

use crate::{ALL, Case, scene::*};

/// A join that a user of the room authorises.
fn via(scene: Scene, user_id: &str) -> Scene {
    let content = format!(r#"{{"join_authorised_via_users_server":"{user_id}","membership":"join"}}"#);
    scene.sets(EVE, MEMBER, EVE, &content)
}

/// The join that follows the create event.
fn first(scene: Scene, sender: &str, user_id: &str) -> Scene {
    scene
        .without(MEMBER, CREATOR)
        .without(JOIN_RULES, "")
        .changes(sender, user_id, "join")
        .with(|e| e.prev_events = vec!["$m.room.create|".into()])
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case(R::MemberIncomplete, ALL, |s| s.sends(BOB, MEMBER, r#"{"membership":"join"}"#), |s| s.changes(BOB, BOB, "join")),
    Case(R::MemberIncomplete, ALL, |s| s.sets(BOB, MEMBER, BOB, "{}"), |s| s.changes(BOB, BOB, "leave")),
    Case(R::MemberIncomplete, ALL, |s| s.sets(BOB, MEMBER, BOB, r#"{"membership":1}"#), |s| s.sets(BOB, MEMBER, BOB, r#"{"displayname":1,"membership":"join"}"#)),
    Case(R::MemberIncomplete, ALL, |s| s.changes(ALICE, "bob:two.org", "ban"), |s| s.changes(ALICE, BOB, "ban")),
    Case(R::MemberIncomplete, ALL, |s| s.changes(ALICE, "@bob", "ban"), |s| s.changes(ALICE, "@:two.org", "ban")),
    Case(R::MemberAuthorisingSignature, 8..=12, |s| s.sets(EVE, MEMBER, EVE, r#"{"join_authorised_via_users_server":5,"membership":"join"}"#), |s| via(s, BOB)),
    Case(R::MemberAuthorisingSignature, 8..=12, |s| s.sets(BOB, MEMBER, BOB, r#"{"join_authorised_via_users_server":null,"membership":"leave"}"#), |s| s.changes(BOB, BOB, "leave")),
    Case(R::MemberAuthorisingSignature, 8..=12, |s| via(s, "nobody"), |s| via(s, "@whoever:else.org")),
    Case(R::JoinSenderNotTarget, ALL, |s| s.changes(ALICE, EVE, "join"), |s| s.changes(EVE, EVE, "join")),
    Case(R::JoinSenderNotTarget, ALL, |s| first(s, CREATOR, EVE), |s| first(s, CREATOR, CREATOR)),
    Case(R::JoinBanned, ALL, |s| s.member(EVE, "ban").changes(EVE, EVE, "join"), |s| s.member(EVE, "leave").changes(EVE, EVE, "join")),
    Case(R::JoinBanned, 8..=12, |s| via(s.join_rule("restricted").member(EVE, "ban"), ALICE), |s| via(s.join_rule("restricted"), ALICE)),
    Case(R::JoinNotAllowed, ALL, |s| s.join_rule("invite").changes(EVE, EVE, "join"), |s| s.join_rule("invite").member(EVE, "invite").changes(EVE, EVE, "join")),
    Case(R::JoinNotAllowed, ALL, |s| s.join_rule("invite").member(EVE, "knock").changes(EVE, EVE, "join"), |s| s.join_rule("invite").changes(BOB, BOB, "join")),
    Case(R::JoinNotAllowed, ALL, |s| s.join_rule("private").member(EVE, "invite").changes(EVE, EVE, "join"), |s| s.changes(EVE, EVE, "join")),
    Case(R::JoinNotAllowed, ALL, |s| s.state(JOIN_RULES, "", ALICE, r#"{"join_rule":1}"#).member(EVE, "invite").changes(EVE, EVE, "join"), |s| s.state(JOIN_RULES, "", ALICE, "{}").member(EVE, "invite").changes(EVE, EVE, "join")),
    Case(R::JoinNotAllowed, ALL, |s| s.without(JOIN_RULES, "").changes(EVE, EVE, "join"), |s| s.without(JOIN_RULES, "").member(EVE, "invite").changes(EVE, EVE, "join")),
    Case(R::JoinNotAllowed, 1..=6, |s| s.join_rule("knock").member(EVE, "invite").changes(EVE, EVE, "join"), |s| s.changes(EVE, EVE, "join")),
    Case(R::JoinNotAllowed, 7..=12, |s| s.join_rule("knock").changes(EVE, EVE, "join"), |s| s.join_rule("knock").member(EVE, "invite").changes(EVE, EVE, "join")),
    Case(R::JoinNotAllowed, 1..=7, |s| via(s.join_rule("restricted"), ALICE), |s| via(s.join_rule("public"), ALICE)),
    Case(R::JoinNotAllowed, 1..=7, |s| s.join_rule("restricted").member(EVE, "invite").changes(EVE, EVE, "join"), |s| s.changes(EVE, EVE, "join")),
    Case(R::JoinNotAllowed, 1..=9, |s| via(s.join_rule("knock_restricted"), ALICE), |s| via(s.join_rule("public"), ALICE)),
    // Only the first event after the create event, and only the creator.
    Case(R::JoinNotAllowed, ALL, |s| first(s, CREATOR, CREATOR).with(|e| e.prev_events.push("$more".into())), |s| first(s, CREATOR, CREATOR)),
    Case(R::JoinNotAllowed, ALL, |s| first(s, CREATOR, CREATOR).with(|e| e.prev_events = vec!["$other".into()]), |s| first(s, CREATOR, CREATOR)),
    Case(R::JoinNotAllowed, ALL, |s| first(s, EVE, EVE), |s| first(s, CREATOR, CREATOR)),
    Case(R::JoinNotAllowed, 12..=12, |s| first(s.create_with(r#""additional_creators":["@eve:two.org"]"#), EVE, EVE), |s| first(s, CREATOR, CREATOR)),
    Case(R::JoinNotAllowed, 1..=10, |s| first(s.alter(CREATE, "", |e| e.content = r#"{"creator":"@eve:two.org"}"#.into()), CREATOR, CREATOR), |s| first(s.alter(CREATE, "", |e| e.content = r#"{"creator":"@eve:two.org"}"#.into()), EVE, EVE)),
    Case(R::JoinNotAllowed, 11..=12, |s| first(s.create_with(r#""creator":"@eve:two.org""#), EVE, EVE), |s| first(s.create_with(r#""creator":"@eve:two.org""#), CREATOR, CREATOR)),
    Case(R::JoinNotAuthorised, 8..=12, |s| s.join_rule("restricted").changes(EVE, EVE, "join"), |s| s.join_rule("restricted").member(EVE, "invite").changes(EVE, EVE, "join")),
    Case(R::JoinNotAuthorised, 8..=12, |s| via(s.join_rule("restricted"), "@stranger:two.org"), |s| via(s.join_rule("restricted"), BOB)),
    Case(R::JoinNotAuthorised, 8..=12, |s| via(s.join_rule("restricted").member(BOB, "invite"), BOB), |s| s.join_rule("restricted").changes(BOB, BOB, "join")),
    Case(R::JoinNotAuthorised, 8..=12, |s| via(s.join_rule("restricted").levels(r#"{"invite":1}"#), BOB), |s| via(s.join_rule("restricted").levels(r#"{"invite":1,"users":{"@bob:two.org":1}}"#), BOB)),
    Case(R::JoinNotAuthorised, 10..=12, |s| s.join_rule("knock_restricted").changes(EVE, EVE, "join"), |s| via(s.join_rule("knock_restricted"), BOB)),
    Case(R::JoinNotAuthorised, 10..=12, |s| s.join_rule("knock_restricted").member(EVE, "knock").changes(EVE, EVE, "join"), |s| s.join_rule("knock_restricted").member(EVE, "invite").changes(EVE, EVE, "join")),
];
