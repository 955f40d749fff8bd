//! What went wrong elsewhere, each as a test.

use freehold_event::RoomVersion;
use freehold_event_auth::{AuthRule as R, Power, PowerLevels, RoomCreate};

use crate::{scene::*, version};

/// Every version of the specification from one number to another.
fn versions(numbers: std::ops::RangeInclusive<usize>) -> impl Iterator<Item = &'static RoomVersion> {
    numbers.map(version)
}

/// ruma-state-res before 2026-05 (0.17), tuwunel aea509fe5, continuwuity 39b08f73f: in versions 7
/// to 9 a knock passed with any join rule.
#[test]
fn knock_needs_the_join_rule_knock_in_versions_7_to_9() {
    for version in versions(7..=9) {
        for rule in ["public", "invite", "private", "restricted", "knock_restricted", "anything"] {
            let scene = Scene::ordinary(version).join_rule(rule).changes(EVE, EVE, "knock");
            assert_eq!(scene.verdict().unwrap_err().rule, R::KnockNotAllowed, "{rule} in {version}");
        }
        let scene = Scene::ordinary(version).join_rule("knock").changes(EVE, EVE, "knock");
        assert_eq!(scene.verdict(), Ok(()), "{version}");
    }
}

/// ruma-state-res 0.9: somebody who was invited could knock, and so lose the invite.
#[test]
fn invited_user_cannot_knock() {
    for version in versions(7..=12) {
        let scene = Scene::ordinary(version).join_rule("knock").member(EVE, "invite");
        let verdict = scene.changes(EVE, EVE, "knock").verdict();
        assert_eq!(verdict.unwrap_err().rule, R::KnockMembership, "{version}");
    }
}

/// ruma-state-res 0.11: a malformed field that no rule looks at rejected the event.
#[test]
fn malformed_unrelated_fields_do_not_reject() {
    for version in versions(1..=12) {
        let ordinary = || Scene::ordinary(version);
        let member = r#"{"avatar_url":5,"displayname":[],"is_direct":"x","membership":"join","reason":{},"third_party_invite":7}"#;
        for scene in [
            ordinary().sets(EVE, MEMBER, EVE, member),
            ordinary().state(MEMBER, BOB, BOB, member),
            ordinary().create_with(r#""predecessor":"x","type":[],"m.federate":null"#),
            ordinary().state(JOIN_RULES, "", ALICE, r#"{"allow":"x","join_rule":"public"}"#),
            ordinary().changes_levels(
                ALICE,
                r#"{"com.example":"x","historical":[],"users":{"@alice:one.org":100,"@mod:one.org":50}}"#,
            ),
            ordinary()
                .changes(BOB, BOB, "join")
                .with(|e| e.content = r#"{"membership":"join","membership ":1}"#.into()),
        ] {
            assert_eq!(scene.verdict(), Ok(()), "{:?} in {version}", scene.event);
        }
    }
}

/// MSC4307, and Synapse up to 1.7: auth events of another room counted.
#[test]
fn auth_events_of_another_room_reject() {
    for version in versions(1..=12) {
        for (event_type, state_key) in [(LEVELS, ""), (MEMBER, BOB)] {
            let scene = Scene::ordinary(version)
                .alter(event_type, state_key, |e| e.room_id = Some("!elsewhere:one.org".into()));
            let denial = scene.verdict().unwrap_err();
            assert_eq!(denial.rule, R::AuthEventsOtherRoom, "{event_type} in {version}");
            assert_eq!(denial.against.unwrap().to_string(), format!("${event_type}|{state_key}"));
        }
    }
}

/// Synapse PR 11012, gomatrixserverlib 58af9a2: events passed whose auth events had been rejected.
#[test]
fn rejected_auth_events_reject() {
    for version in versions(1..=12) {
        let scene = Scene::ordinary(version).alter(MEMBER, BOB, |e| e.rejected = true);
        assert_eq!(scene.verdict().unwrap_err().rule, R::AuthEventsRejected, "{version}");
    }
}

/// gomatrixserverlib 19c0a71: a change of power levels went wrong when `users_default` was not 0.
#[test]
fn users_default_is_the_level_of_everybody_without_an_entry() {
    for version in versions(1..=12) {
        let old = r#"{"state_default":50,"users":{"@mod:one.org":50},"users_default":20}"#;
        let change = |new: &str| Scene::ordinary(version).levels(old).changes_levels(MOD, new).verdict();
        // Bob's effective level of 20 is no entry; giving him one is an addition.
        let with_bob = |level| {
            format!(
                r#"{{"state_default":50,"users":{{"@bob:two.org":{level},"@mod:one.org":50}},"users_default":20}}"#
            )
        };
        assert_eq!(change(&with_bob(50)), Ok(()), "{version}");
        assert_eq!(change(&with_bob(10)), Ok(()), "{version}");
        assert_eq!(change(&with_bob(51)).unwrap_err().rule, R::UserNew, "{version}");
        let lowered = r#"{"state_default":50,"users":{"@mod:one.org":50}}"#;
        assert_eq!(change(lowered), Ok(()), "{version}");
        // The sender's power may itself be `users_default`.
        let scene = Scene::ordinary(version)
            .levels(r#"{"state_default":50,"users_default":50}"#)
            .changes_levels(BOB, r#"{"state_default":50,"users":{"@bob:two.org":50},"users_default":0}"#);
        assert_eq!(scene.verdict(), Ok(()), "{version}");
    }
}

/// continuwuity 2efe8f2ec: the comparison with the sender's power was the wrong way round.
#[test]
fn those_above_can_change_those_below_and_not_the_other_way() {
    for version in versions(1..=12) {
        let old = r#"{"users":{"@alice:one.org":100,"@bob:two.org":49,"@mod:one.org":50}}"#;
        let scene = |sender, new| Scene::ordinary(version).levels(old).changes_levels(sender, new).verdict();
        let without_bob = r#"{"users":{"@alice:one.org":100,"@mod:one.org":50}}"#;
        let without_mod = r#"{"users":{"@alice:one.org":100,"@bob:two.org":49}}"#;
        let without_alice = r#"{"users":{"@bob:two.org":49,"@mod:one.org":50}}"#;
        assert_eq!(scene(MOD, without_bob), Ok(()), "{version}");
        assert_eq!(scene(ALICE, without_mod), Ok(()), "{version}");
        assert_eq!(scene(MOD, without_mod), Ok(()), "{version}: the own entry");
        assert_eq!(scene(MOD, without_alice).unwrap_err().rule, R::UserCurrent, "{version}");
    }
}

/// tuwunel c244cc3cc: the power by which events are sorted left the creator out.
#[test]
fn power_of_a_user_considers_the_creators() {
    let power = |number, members: &str, user_id: &str, levels: Option<&str>| {
        let version = version(number);
        let scene = Scene::ordinary(version).create_with(members).creation();
        let create = RoomCreate::new(&scene.event.view(), version);
        let levels = levels.map(|levels| PowerLevels::read(levels, version));
        Power::of_user(user_id, Some(&create), levels.as_ref())
    };
    let additional = r#""additional_creators":["@alice:one.org","@bob:two.org"]"#;
    for number in 1..=11 {
        assert_eq!(power(number, additional, CREATOR, None), Power::Level(100));
        assert_eq!(power(number, additional, ALICE, None), Power::Level(0));
        assert_eq!(power(number, additional, CREATOR, Some("{}")), Power::Level(0));
    }
    for user_id in [CREATOR, ALICE, BOB] {
        assert_eq!(power(12, additional, user_id, None), Power::Infinite);
        assert_eq!(power(12, additional, user_id, Some(r#"{"users_default":-5}"#)), Power::Infinite);
    }
    assert_eq!(power(12, additional, EVE, None), Power::Level(0));
    assert_eq!(Power::of_user(CREATOR, None, None), Power::Level(0));
    assert!(Power::Infinite > Power::Level(i64::MAX));
}

/// MSC4289: nobody can be above a creator, so nobody can kick or ban one.
#[test]
fn creators_of_version_12_cannot_be_removed_by_a_level() {
    let scene = || {
        Scene::ordinary(RoomVersion::V12)
            .levels(r#"{"ban":0,"kick":0,"users":{"@alice:one.org":9007199254740991}}"#)
    };
    assert_eq!(scene().changes(ALICE, CREATOR, "ban").verdict().unwrap_err().rule, R::BanPower);
    assert_eq!(scene().changes(ALICE, CREATOR, "leave").verdict().unwrap_err().rule, R::KickPower);
    assert_eq!(scene().changes(CREATOR, ALICE, "leave").verdict(), Ok(()));
}

/// A room of version 12 could be taken over if its events were held against any create event.
#[test]
fn room_id_of_version_12_is_that_of_its_create_event() {
    let scene = Scene::ordinary(RoomVersion::V12).alter(CREATE, "", |e| e.id = "$another".into());
    assert_eq!(scene.verdict().unwrap_err().rule, R::RoomIdNotCreateEvent);
    let scene = Scene::ordinary(RoomVersion::V12).alter(CREATE, "", |e| e.event_type = "x.create".into());
    assert_eq!(scene.verdict().unwrap_err().rule, R::RoomIdNotCreateEvent);
}

/// continuwuity 7b3e3a26b, 2dc6051d6: auth events of the wrong kind made the server panic.
#[test]
fn content_that_is_no_object_denies_and_does_not_panic() {
    for version in versions(1..=12) {
        for content in ["", "[]", "5", "null", "{", "{\"membership\"", "{\"membership\":\"join\""] {
            let ordinary = || Scene::ordinary(version);
            assert!(ordinary().sets(EVE, MEMBER, EVE, content).verdict().is_err(), "{content}");
            assert!(ordinary().state(MEMBER, BOB, BOB, content).verdict().is_err(), "{content}");
            // Levels that cannot be read are the defaults.
            assert_eq!(ordinary().levels(content).verdict(), Ok(()), "{content}");
        }
    }
}
