//! Rules 4.4 to 4.8, third-party invites aside.

use freehold_event_auth::AuthRule as R;

use crate::{ALL, Case, scene::*};

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case(R::InviteSenderNotJoined, ALL, |s| s.changes(EVE, "@friend:two.org", "invite"), |s| s.changes(BOB, "@friend:two.org", "invite")),
    Case(R::InviteSenderNotJoined, ALL, |s| s.member(EVE, "invite").changes(EVE, EVE, "invite"), |s| s.changes(BOB, EVE, "invite")),
    Case(R::InviteTargetJoinedOrBanned, ALL, |s| s.changes(ALICE, BOB, "invite"), |s| s.changes(ALICE, EVE, "invite")),
    Case(R::InviteTargetJoinedOrBanned, ALL, |s| s.member(EVE, "ban").changes(ALICE, EVE, "invite"), |s| s.member(EVE, "leave").changes(ALICE, EVE, "invite")),
    Case(R::InviteTargetJoinedOrBanned, ALL, |s| s.changes(BOB, BOB, "invite"), |s| s.member(EVE, "invite").changes(ALICE, EVE, "invite")),
    Case(R::InvitePower, ALL, |s| s.levels(r#"{"invite":1}"#).changes(BOB, EVE, "invite"), |s| s.levels(r#"{"invite":1,"users_default":1}"#).changes(BOB, EVE, "invite")),
    Case(R::LeaveNotInRoom, ALL, |s| s.changes(EVE, EVE, "leave"), |s| s.changes(BOB, BOB, "leave")),
    Case(R::LeaveNotInRoom, ALL, |s| s.member(EVE, "leave").changes(EVE, EVE, "leave"), |s| s.member(EVE, "invite").changes(EVE, EVE, "leave")),
    Case(R::LeaveNotInRoom, ALL, |s| s.member(EVE, "ban").changes(EVE, EVE, "leave"), |s| s.changes(BOB, BOB, "leave")),
    Case(R::LeaveNotInRoom, 1..=6, |s| s.member(EVE, "knock").changes(EVE, EVE, "leave"), |s| s.changes(BOB, BOB, "leave")),
    Case(R::LeaveNotInRoom, 7..=12, |s| s.member(EVE, "other").changes(EVE, EVE, "leave"), |s| s.member(EVE, "knock").changes(EVE, EVE, "leave")),
    Case(R::KickSenderNotJoined, ALL, |s| s.member(ALICE, "invite").changes(ALICE, BOB, "leave"), |s| s.changes(ALICE, BOB, "leave")),
    Case(R::KickPower, ALL, |s| s.levels(r#"{"users":{"@mod:one.org":49}}"#).changes(MOD, BOB, "leave"), |s| s.changes(MOD, BOB, "leave")),
    Case(R::KickPower, ALL, |s| s.changes(MOD, ALICE, "leave"), |s| s.changes(ALICE, MOD, "leave")),
    Case(R::KickPower, ALL, |s| s.levels(r#"{"kick":0,"users":{"@mod:one.org":50,"@bob:two.org":50}}"#).changes(MOD, BOB, "leave"), |s| s.levels(r#"{"kick":0,"users":{"@mod:one.org":50,"@bob:two.org":49}}"#).changes(MOD, BOB, "leave")),
    Case(R::KickPower, ALL, |s| s.levels(r#"{"kick":0,"users_default":1}"#).changes(BOB, EVE, "leave"), |s| s.levels(r#"{"kick":0,"users":{"@bob:two.org":1}}"#).changes(BOB, EVE, "leave")),
    Case(R::KickPower, ALL, |s| s.levels(r#"{"ban":0,"kick":51,"users":{"@mod:one.org":50}}"#).member(BOB, "ban").changes(MOD, BOB, "leave"), |s| s.member(BOB, "ban").changes(MOD, BOB, "leave")),
    Case(R::UnbanPower, ALL, |s| s.levels(r#"{"ban":51,"kick":0,"users":{"@mod:one.org":50}}"#).member(BOB, "ban").changes(MOD, BOB, "leave"), |s| s.levels(r#"{"ban":51,"kick":0,"users":{"@mod:one.org":50}}"#).changes(MOD, BOB, "leave")),
    Case(R::BanSenderNotJoined, ALL, |s| s.member(ALICE, "leave").changes(ALICE, BOB, "ban"), |s| s.changes(ALICE, BOB, "ban")),
    Case(R::BanSenderNotJoined, ALL, |s| s.changes(EVE, EVE, "ban"), |s| s.changes(ALICE, EVE, "ban")),
    Case(R::BanPower, ALL, |s| s.levels(r#"{"users":{"@mod:one.org":49}}"#).changes(MOD, BOB, "ban"), |s| s.changes(MOD, BOB, "ban")),
    Case(R::BanPower, ALL, |s| s.changes(MOD, ALICE, "ban"), |s| s.changes(ALICE, MOD, "ban")),
    Case(R::BanPower, ALL, |s| s.levels(r#"{"ban":0}"#).changes(BOB, EVE, "ban"), |s| s.levels(r#"{"ban":0,"users":{"@bob:two.org":1}}"#).changes(BOB, EVE, "ban")),
    Case(R::BanPower, ALL, |s| s.changes(ALICE, ALICE, "ban"), |s| s.member(BOB, "ban").changes(ALICE, BOB, "ban")),
    Case(R::BanPower, 12..=12, |s| s.changes(ALICE, CREATOR, "ban"), |s| s.changes(CREATOR, ALICE, "ban")),
    Case(R::BanPower, 12..=12, |s| s.create_with(r#""additional_creators":["@bob:two.org"]"#).changes(CREATOR, BOB, "ban"), |s| s.create_with(r#""additional_creators":["@bob:two.org"]"#).changes(BOB, ALICE, "ban")),
    Case(R::KnockNotAllowed, 7..=12, |s| s.changes(EVE, EVE, "knock"), |s| s.join_rule("knock").changes(EVE, EVE, "knock")),
    Case(R::KnockNotAllowed, 7..=12, |s| s.join_rule("invite").changes(EVE, EVE, "knock"), |s| s.join_rule("knock").member(EVE, "leave").changes(EVE, EVE, "knock")),
    Case(R::KnockNotAllowed, 7..=12, |s| s.join_rule("restricted").changes(EVE, EVE, "knock"), |s| s.join_rule("knock").member(EVE, "knock").changes(EVE, EVE, "knock")),
    Case(R::KnockNotAllowed, 7..=9, |s| s.join_rule("knock_restricted").changes(EVE, EVE, "knock"), |s| s.join_rule("knock").changes(EVE, EVE, "knock")),
    Case(R::KnockNotAllowed, 10..=12, |s| s.without(JOIN_RULES, "").changes(EVE, EVE, "knock"), |s| s.join_rule("knock_restricted").changes(EVE, EVE, "knock")),
    Case(R::KnockSenderNotTarget, 7..=12, |s| s.join_rule("knock").changes(BOB, EVE, "knock"), |s| s.join_rule("knock").changes(EVE, EVE, "knock")),
    Case(R::KnockMembership, 7..=12, |s| s.join_rule("knock").changes(BOB, BOB, "knock"), |s| s.join_rule("knock").changes(EVE, EVE, "knock")),
    Case(R::KnockMembership, 7..=12, |s| s.join_rule("knock").member(EVE, "invite").changes(EVE, EVE, "knock"), |s| s.join_rule("knock").member(EVE, "leave").changes(EVE, EVE, "knock")),
    Case(R::KnockMembership, 7..=12, |s| s.join_rule("knock").member(EVE, "ban").changes(EVE, EVE, "knock"), |s| s.join_rule("knock").member(EVE, "knock").changes(EVE, EVE, "knock")),
    Case(R::MembershipUnknown, ALL, |s| s.changes(BOB, BOB, "Join"), |s| s.changes(BOB, BOB, "join")),
    Case(R::MembershipUnknown, ALL, |s| s.changes(BOB, BOB, ""), |s| s.changes(BOB, BOB, "leave")),
    Case(R::MembershipUnknown, 1..=6, |s| s.join_rule("knock").changes(EVE, EVE, "knock"), |s| s.changes(EVE, EVE, "join")),
];
