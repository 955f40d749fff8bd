//! Rule 9 (10 in room versions 1–5 and 12).

use freehold_event::RoomVersion;
use freehold_event_auth::{AuthRule as R, NamedLevel, PowerLevels};

use crate::{ALL, Case, scene::*, version};

/// Alice 100, Mod 50 who may change levels, and the given members.
fn levels(members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!(
        r#"{{"events":{{"m.room.power_levels":50}},"users":{{"@alice:one.org":100,"@mod:one.org":50}}{comma}{members}}}"#
    )
}

/// Alice 100, Mod 50, and the given users.
fn users(more: &str) -> String {
    format!(
        r#"{{"events":{{"m.room.power_levels":50}},"users":{{"@alice:one.org":100,"@mod:one.org":50{more}}}}}"#
    )
}

/// `events` with the given entries beside the one that lets Mod change levels.
fn events(more: &str) -> String {
    format!(
        r#"{{"events":{{"m.room.power_levels":50{more}}},"users":{{"@alice:one.org":100,"@mod:one.org":50}}}}"#
    )
}

/// A change by Mod from one content to another.
fn by_mod(scene: Scene, old: &str, new: &str) -> Scene {
    scene.levels(old).changes_levels(MOD, new)
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case(R::PowerLevelsProperty, ALL, |s| s.changes_levels(ALICE, r#"{"ban":"high"}"#), |s| s.changes_levels(ALICE, r#"{"ban":51}"#)),
    Case(R::PowerLevelsProperty, ALL, |s| s.changes_levels(ALICE, r#"{"users_default":null}"#), |s| s.changes_levels(ALICE, r#"{"users_default":-1}"#)),
    Case(R::PowerLevelsProperty, ALL, |s| s.changes_levels(ALICE, r#"{"events_default":[1]}"#), |s| s.changes_levels(ALICE, r#"{"events_default":1}"#)),
    Case(R::PowerLevelsProperty, ALL, |s| s.changes_levels(ALICE, r#"{"state_default":true}"#), |s| s.changes_levels(ALICE, r#"{"state_default":1}"#)),
    Case(R::PowerLevelsProperty, ALL, |s| s.changes_levels(ALICE, r#"{"redact":{}}"#), |s| s.changes_levels(ALICE, r#"{"redact":1}"#)),
    Case(R::PowerLevelsProperty, 6..=12, |s| s.changes_levels(ALICE, r#"{"kick":1.5}"#), |s| s.changes_levels(ALICE, r#"{"kick":1}"#)),
    Case(R::PowerLevelsProperty, 1..=5, |s| s.changes_levels(ALICE, r#"{"kick":1e999}"#), |s| s.changes_levels(ALICE, r#"{"kick":1.5}"#)),
    Case(R::PowerLevelsProperty, 10..=12, |s| s.changes_levels(ALICE, r#"{"invite":"1"}"#), |s| s.changes_levels(ALICE, r#"{"invite":1}"#)),
    Case(R::PowerLevelsProperty, 1..=9, |s| s.changes_levels(ALICE, r#"{"invite":"1.0"}"#), |s| s.changes_levels(ALICE, r#"{"invite":" +01 "}"#)),
    Case(R::PowerLevelsMap, ALL, |s| s.changes_levels(ALICE, r#"{"events":[]}"#), |s| s.changes_levels(ALICE, r#"{"events":{}}"#)),
    Case(R::PowerLevelsMap, ALL, |s| s.changes_levels(ALICE, r#"{"events":{"a":"b"}}"#), |s| s.changes_levels(ALICE, r#"{"events":{"a":1}}"#)),
    Case(R::PowerLevelsMap, 6..=12, |s| s.changes_levels(ALICE, r#"{"notifications":{"room":null}}"#), |s| s.changes_levels(ALICE, r#"{"notifications":{"room":1}}"#)),
    Case(R::PowerLevelsMap, 10..=12, |s| s.changes_levels(ALICE, r#"{"notifications":{"room":"1"}}"#), |s| s.changes_levels(ALICE, r#"{"notifications":{"room":1}}"#)),
    Case(R::PowerLevelsUsers, ALL, |s| s.changes_levels(ALICE, r#"{"users":null}"#), |s| s.changes_levels(ALICE, "{}").levels("{}").sends(BOB, MESSAGE, "{}")),
    Case(R::PowerLevelsUsers, ALL, |s| s.changes_levels(ALICE, r#"{"users":[]}"#), |s| s.levels(r#"{"events":{"m.room.power_levels":0}}"#).changes_levels(BOB, r#"{"events":{"m.room.power_levels":0}}"#)),
    Case(R::PowerLevelsUsers, ALL, |s| s.changes_levels(ALICE, &users(r#","@eve:two.org":"x""#)), |s| s.changes_levels(ALICE, &users(r#","@eve:two.org":1"#))),
    Case(R::PowerLevelsUsers, ALL, |s| s.changes_levels(ALICE, &users(r#","eve:two.org":1"#)), |s| s.changes_levels(ALICE, &users(r#","@Eve !:two.org:1":1"#))),
    Case(R::PowerLevelsUsers, ALL, |s| s.changes_levels(ALICE, &users(r#","@eve":1"#)), |s| s.changes_levels(ALICE, &users(r#","@:two.org":1"#))),
    Case(R::PowerLevelsUsers, 10..=12, |s| s.changes_levels(ALICE, &users(r#","@eve:two.org":"1""#)), |s| s.changes_levels(ALICE, &users(r#","@eve:two.org":1"#))),
    // Also when there is no event before it.
    Case(R::PowerLevelsUsers, ALL, |s| s.without(LEVELS, "").changes_levels(CREATOR, r#"{"users":{"nobody":1}}"#), |s| s.without(LEVELS, "").changes_levels(CREATOR, r#"{"ban":1000,"users":{"@bob:two.org":1000}}"#)),
    Case(R::PowerLevelsCreator, 12..=12, |s| s.changes_levels(ALICE, &users(r#","@creator:one.org":1"#)), |s| s.changes_levels(ALICE, &users(r#","@eve:two.org":1"#))),
    Case(R::PowerLevelsCreator, 12..=12, |s| s.create_with(r#""additional_creators":["@eve:two.org","@bob:two.org"]"#).changes_levels(CREATOR, &users(r#","@eve:two.org":1"#)), |s| s.changes_levels(ALICE, &users(r#","@eve:two.org":1"#))),
    Case(R::PowerLevelsCreator, 12..=12, |s| s.without(LEVELS, "").changes_levels(CREATOR, r#"{"users":{"@creator:one.org":100}}"#), |s| s.without(LEVELS, "").changes_levels(CREATOR, "{}")),
    Case(R::PropertyCurrent, ALL, |s| by_mod(s, &levels(r#""ban":51"#), &levels(r#""ban":50"#)), |s| by_mod(s, &levels(r#""ban":50"#), &levels(r#""ban":49"#))),
    Case(R::PropertyCurrent, ALL, |s| by_mod(s, &levels(r#""kick":51"#), &levels("")), |s| by_mod(s, &levels(r#""kick":51"#), &levels(r#""kick":51"#))),
    Case(R::PropertyCurrent, ALL, |s| s.levels(r#"{"state_default":0}"#).changes_levels(BOB, r#"{"kick":0,"state_default":0}"#), |s| s.levels(r#"{"state_default":0}"#).changes_levels(BOB, r#"{"invite":0,"state_default":0}"#)),
    Case(R::PropertyNew, ALL, |s| by_mod(s, &levels(""), &levels(r#""redact":51"#)), |s| by_mod(s, &levels(""), &levels(r#""redact":50"#))),
    Case(R::PropertyNew, ALL, |s| by_mod(s, &levels(""), &levels(r#""invite":51"#)), |s| by_mod(s, &levels(""), &levels(r#""invite":50"#))),
    Case(R::PropertyNew, ALL, |s| by_mod(s, &levels(""), &levels(r#""users_default":51"#)), |s| by_mod(s, &levels(""), &levels(r#""users_default":50"#))),
    Case(R::PropertyNew, ALL, |s| by_mod(s, &levels(""), &levels(r#""events_default":51"#)), |s| by_mod(s, &levels(""), &levels(r#""events_default":50"#))),
    Case(R::PropertyNew, ALL, |s| by_mod(s, &levels(""), &levels(r#""state_default":51"#)), |s| by_mod(s, &levels(""), &levels(r#""state_default":50"#))),
    Case(R::PropertyNew, ALL, |s| s.levels(r#"{"kick":0,"state_default":0}"#).changes_levels(BOB, r#"{"state_default":0}"#), |s| s.levels(r#"{"invite":0,"state_default":0}"#).changes_levels(BOB, r#"{"state_default":0}"#)),
    Case(R::EntryCurrent, ALL, |s| by_mod(s, &events(r#","a":51"#), &events(r#","a":50"#)), |s| by_mod(s, &events(r#","a":50"#), &events(r#","a":49"#))),
    Case(R::EntryCurrent, ALL, |s| by_mod(s, &events(r#","a":51"#), &events("")), |s| by_mod(s, &events(r#","a":51,"b":50"#), &events(r#","a":51"#))),
    Case(R::EntryCurrent, 6..=12, |s| by_mod(s, &levels(r#""notifications":{"room":51}"#), &levels("")), |s| by_mod(s, &levels(r#""notifications":{"room":50}"#), &levels(""))),
    Case(R::EntryNew, ALL, |s| by_mod(s, &events(""), &events(r#","a":51"#)), |s| by_mod(s, &events(""), &events(r#","a":50"#))),
    Case(R::EntryNew, ALL, |s| by_mod(s, &events(r#","a":50"#), &events(r#","a":51"#)), |s| by_mod(s, &events(r#","a":50"#), &events(r#","a":0"#))),
    Case(R::EntryNew, 6..=12, |s| by_mod(s, &levels(""), &levels(r#""notifications":{"room":51}"#)), |s| by_mod(s, &levels(""), &levels(r#""notifications":{"room":50}"#))),
    Case(R::UserCurrent, ALL, |s| by_mod(s, &users(r#","@x:y":50"#), &users(r#","@x:y":49"#)), |s| by_mod(s, &users(r#","@x:y":49"#), &users(r#","@x:y":50"#))),
    Case(R::UserCurrent, ALL, |s| by_mod(s, &users(r#","@x:y":50"#), &users("")), |s| by_mod(s, &users(r#","@x:y":49"#), &users(""))),
    Case(R::UserCurrent, ALL, |s| by_mod(s, &users(""), r#"{"events":{"m.room.power_levels":50},"users":{"@mod:one.org":50}}"#), |s| by_mod(s, &users(""), r#"{"events":{"m.room.power_levels":50},"users":{"@alice:one.org":100}}"#)),
    Case(R::UserNew, ALL, |s| by_mod(s, &users(""), &users(r#","@x:y":51"#)), |s| by_mod(s, &users(""), &users(r#","@x:y":50"#))),
    Case(R::UserNew, ALL, |s| by_mod(s, &users(""), r#"{"events":{"m.room.power_levels":50},"users":{"@alice:one.org":100,"@mod:one.org":51}}"#), |s| by_mod(s, &users(""), r#"{"events":{"m.room.power_levels":50},"users":{"@alice:one.org":100,"@mod:one.org":1}}"#)),
];

#[test]
fn creators_of_version_12_may_set_any_level() {
    let scene = Scene::ordinary(RoomVersion::V12)
        .levels(r#"{"ban":9007199254740991,"state_default":9007199254740991}"#)
        .changes_levels(CREATOR, r#"{"users":{"@alice:one.org":9007199254740991}}"#);
    assert_eq!(scene.verdict(), Ok(()));
}

#[test]
fn rule_applies_to_events_of_the_type_whatever_their_state_key() {
    for scene in [
        Scene::ordinary(RoomVersion::V11).sends(ALICE, LEVELS, r#"{"users":[]}"#),
        Scene::ordinary(RoomVersion::V11).sets(ALICE, LEVELS, "other", r#"{"users":[]}"#),
    ] {
        assert_eq!(scene.verdict().unwrap_err().rule, R::PowerLevelsUsers);
    }
}

#[test]
fn notifications_are_not_looked_at_before_version_6() {
    for number in 1..=5 {
        for notifications in [r#""notifications":{"room":99}"#, r#""notifications":"junk""#] {
            let scene = by_mod(Scene::ordinary(version(number)), &levels(""), &levels(notifications));
            assert_eq!(scene.verdict(), Ok(()), "{notifications} in {number}");
        }
    }
}

/// `50`, `50.57` and `"50"` are the same level.
#[test]
fn level_written_in_another_way_is_no_change() {
    for (numbers, new) in [(1..=5, "51.9"), (1..=9, r#""51""#), (1..=9, r#""+0051 ""#)] {
        for number in numbers {
            let old = levels(r#""ban":51"#);
            let new = levels(&format!(r#""ban":{new}"#));
            assert_eq!(by_mod(Scene::ordinary(version(number)), &old, &new).verdict(), Ok(()), "{new}");
        }
    }
}

/// GHSA-grvv-h2f9-7v9c, CVE-2022-36009: gomatrixserverlib never read `events_default`.
#[test]
fn every_named_level_is_read_in_every_way_of_writing_it() {
    for version in RoomVersion::ALL {
        let rules = &version.rules().authorization;
        for level in NamedLevel::ALL {
            let read = |value: &str| {
                PowerLevels::read(&format!(r#"{{"{}":{value}}}"#, level.name()), version).level(level)
            };
            assert_eq!(PowerLevels::read("{}", version).level(level), level.default_level());
            assert_eq!(read("7"), 7, "{level:?} in {version}");
            assert_eq!(read("-7"), -7, "{level:?} in {version}");
            let of_string = if rules.integer_power_levels { level.default_level() } else { 7 };
            assert_eq!(read(r#"" +07""#), of_string, "{level:?} in {version}");
            let of_float = if rules.strict_canonical_json { level.default_level() } else { 7 };
            assert_eq!(read("7.9"), of_float, "{level:?} in {version}");
        }
    }
}
