//! The rows of the table of room versions that concern the format of events.

use freehold_event::{LengthUnit, RoomVersion, UnknownRoomVersion};
use ruma_common::room_version_rules::RoomVersionRules;

use crate::fixture::{create, message, parse};

/// One letter per room version, 1 to 12.
fn row(of: impl Fn(&'static RoomVersion) -> char) -> String {
    RoomVersion::ALL.iter().copied().map(of).collect()
}

#[test]
fn the_table_is_that_of_the_specification() {
    let yes = |condition: bool| if condition { 'y' } else { '.' };
    for (name, found, expected) in [
        ("53-bit depth", row(|v| yes(v.depth_max() == (1 << 53) - 1)), ".....yyyyyyy"),
        ("64-bit depth", row(|v| yes(v.depth_max() == i64::MAX)), "yyyyy......."),
        ("bytes count", row(|v| yes(v.length_unit() == LengthUnit::Bytes)), "..........yy"),
        (
            "event id given",
            row(|v| yes(parse(&message(v), v).unwrap().event_id() == "$event:example.org")),
            "yy..........",
        ),
        (
            "room id derived",
            row(|v| {
                let pdu = parse(&create(v), v).unwrap();
                yes(pdu.room_id().as_str().get(1..) == pdu.event_id().as_str().get(1..))
            }),
            "...........y",
        ),
    ] {
        assert_eq!(found, expected, "{name}");
    }
}

/// Room version 3 spells hashes with `+` and `/`, later ones with `-` and `_`.
#[test]
fn event_ids_are_spelled_in_the_alphabet_of_the_version() {
    for version in RoomVersion::ALL.iter().skip(2) {
        let mut seen = String::new();
        for depth in 0..40 {
            let mut event = message(version);
            event["depth"] = depth.into();
            let pdu = parse(&event, version).unwrap();
            let hash = pdu.reference_hash();
            let id = pdu.event_id().as_str();
            let expected = match version.id() {
                "3" => hash.to_base64(),
                _ => hash.to_url_safe_base64(),
            };
            assert_eq!(id, format!("${expected}"));
            seen.push_str(id);
        }
        assert_eq!(seen.contains(['+', '/']), version.id() == "3", "{version}");
        assert_eq!(seen.contains(['-', '_']), version.id() != "3", "{version}");
    }
}

#[test]
fn the_version_of_a_room_is_told_by_its_create_event() {
    for (content, expected) in [
        (r#"{"room_version":"9"}"#, Ok("9")),
        (r#"{"room_version":"12"}"#, Ok("12")),
        ("{}", Ok("1")),
        (r#"{"room_version":"13"}"#, Err(Some("13"))),
        (r#"{"room_version":""}"#, Err(Some(""))),
        (r#"{"room_version":9}"#, Err(None)),
        (r#"{"room_version":null}"#, Err(None)),
    ] {
        let found = RoomVersion::of_create_content(content).map(RoomVersion::id);
        let expected = expected.map_err(|id: Option<&str>| UnknownRoomVersion { id: id.map(str::to_owned) });
        assert_eq!(found, expected, "{content}");
    }
}

#[test]
fn a_custom_version_is_a_row_of_its_own() {
    const RULES: RoomVersionRules = {
        let mut rules = RoomVersionRules::V5;
        rules.authorization.strict_canonical_json = true;
        rules
    };
    static CUSTOM: RoomVersion = RoomVersion::custom("org.example.strict", RULES);
    assert_eq!(CUSTOM.depth_max(), (1 << 53) - 1);
    assert_eq!(CUSTOM.length_unit(), LengthUnit::Bytes);
    let mut event = message(RoomVersion::V5);
    assert!(parse(&event, &CUSTOM).is_ok());
    event["content"]["level"] = 1.5.into();
    assert!(parse(&event, &CUSTOM).is_err());
    assert!(parse(&event, RoomVersion::V5).is_ok());
}

#[test]
fn depth_after_others_is_clamped() {
    assert_eq!(RoomVersion::V11.depth_after([3, 7, 5]), 8);
    assert_eq!(RoomVersion::V11.depth_after([]), 1);
    assert_eq!(RoomVersion::V6.depth_after([(1 << 53) - 1]), (1 << 53) - 1);
    assert_eq!(RoomVersion::V5.depth_after([(1 << 53) - 1]), 1 << 53);
    assert_eq!(RoomVersion::V5.depth_after([i64::MAX]), i64::MAX);
}
