//! The event format of every room version and every limit, each with an event that is accepted
//! and one that is refused.

use freehold_canonical_json::ParseErrorKind;
use freehold_event::{
    Expected, Field, FormatError, LengthUnit, MAX_PDU_BYTES, Pdu, ReferenceLimits, RoomVersion,
};
use serde_json::{Value, json};

use crate::fixture::{create, message, parse, reference, room_id};

/// Checks what happens when a field of a message has a value, in every room version for which
/// `which` says so.
fn check(
    which: impl Fn(&RoomVersion) -> bool,
    field: &str,
    value: &Value,
    expected: Result<(), FormatError>,
) {
    for version in RoomVersion::ALL.iter().filter(|version| which(version)) {
        let mut event = message(version);
        event[field] = value.clone();
        let result = parse(&event, version).map(|_| ());
        assert_eq!(result, expected, "{field} = {value:.80} in {version}");
    }
}

fn everywhere(_: &RoomVersion) -> bool {
    true
}

fn strict(version: &RoomVersion) -> bool {
    version.rules().authorization.strict_canonical_json
}

fn relaxed(version: &RoomVersion) -> bool {
    !strict(version)
}

fn wrong_type(field: Field, expected: Expected) -> Result<(), FormatError> {
    Err(FormatError::WrongType { field, expected })
}

#[test]
fn an_event_of_the_right_format_is_accepted_in_every_version() {
    for version in RoomVersion::ALL {
        let pdu = parse(&message(version), version).unwrap();
        assert_eq!(pdu.version(), *version);
        assert_eq!(pdu.event_type(), "m.room.message");
        assert_eq!(pdu.state_key(), None);
        assert_eq!(pdu.sender(), "@alice:example.org");
        assert_eq!(pdu.room_id(), room_id(version));
        assert_eq!(pdu.content(), r#"{"body":"hello","msgtype":"m.text"}"#);
        assert_eq!(pdu.origin_server_ts(), 1_700_000_000_000);
        assert_eq!(pdu.depth(), 12);
        assert_eq!(pdu.prev_events().len(), 1);
        assert_eq!(pdu.auth_events().len(), 2);
        assert_eq!(pdu.hashes(), r#"{"sha256":"aGFzaA"}"#);
        assert_eq!(pdu.signatures(), r#"{"example.org":{"ed25519:1":"c2ln"}}"#);
        assert_eq!(pdu.redacts(), None);
        assert_eq!(pdu.over_byte_limit(), None);
        assert_eq!(pdu.member("unsigned").map(|value| value.text()), Some(r#"{"age":1}"#));
        assert_eq!(pdu.member("org.example.absent"), None);
    }
}

#[test]
fn every_required_field_is_required() {
    use Field::*;
    for version in RoomVersion::ALL {
        for field in
            [AuthEvents, Content, Depth, Hashes, OriginServerTs, PrevEvents, RoomId, Sender, Signatures, Type]
        {
            let mut event = message(version);
            event.as_object_mut().unwrap().remove(field.name());
            let result = parse(&event, version).map(|_| ());
            assert_eq!(result, Err(FormatError::Missing(field)), "{field} in {version}");
        }
    }
}

#[test]
fn only_versions_1_and_2_require_an_event_id() {
    for version in RoomVersion::ALL {
        let mut event = message(version);
        event.as_object_mut().unwrap().remove("event_id");
        let required = ["1", "2"].contains(&version.id());
        let expected = if required { Err(FormatError::Missing(Field::EventId)) } else { Ok(()) };
        assert_eq!(parse(&event, version).map(|_| ()), expected, "{version}");
    }
}

#[test]
fn every_field_has_its_type() {
    let wrong = [json!(null), json!(true), json!(1), json!("x"), json!([]), json!({})];
    for (field, right, expected) in [
        (Field::Content, 5, Expected::Object),
        (Field::Signatures, 5, Expected::Signatures),
        (Field::Unsigned, 5, Expected::Object),
        (Field::Sender, 3, Expected::String),
        (Field::Type, 3, Expected::String),
        (Field::StateKey, 3, Expected::String),
        (Field::RoomId, 3, Expected::String),
        (Field::Depth, 2, Expected::Integer),
        (Field::OriginServerTs, 2, Expected::Integer),
        (Field::PrevEvents, 4, Expected::Array),
        (Field::AuthEvents, 4, Expected::Array),
    ] {
        for (index, value) in wrong.iter().enumerate() {
            if index != right {
                check(everywhere, field.name(), value, wrong_type(field, expected));
            }
        }
    }
}

#[test]
fn hashes_must_hold_a_string_under_sha256() {
    check(everywhere, "hashes", &json!({"sha256": "", "md5": 1}), Ok(()));
    for hashes in [json!({}), json!({"sha256": null}), json!({"sha256": {}})] {
        check(everywhere, "hashes", &hashes, wrong_type(Field::Hashes, Expected::Hashes));
    }
    check(everywhere, "hashes", &json!([]), wrong_type(Field::Hashes, Expected::Object));
}

#[test]
fn signatures_are_objects_of_objects_of_strings() {
    for signatures in [
        json!({}),
        json!({"a.example": {}}),
        json!({"a.example": {"ed25519:1": "", "x": "y"}, "": {"": "not a signature"}}),
    ] {
        check(everywhere, "signatures", &signatures, Ok(()));
    }
    for signatures in [
        json!({"a.example": "c2ln"}),
        json!({"a.example": null}),
        json!({"a.example": {"ed25519:1": "c2ln"}, "b.example": {"ed25519:1": 7}}),
        json!({"a.example": {"ed25519:1": {}}}),
    ] {
        let refused = wrong_type(Field::Signatures, Expected::Signatures);
        check(everywhere, "signatures", &signatures, refused);
    }
}

#[test]
fn size_limit_is_65536_bytes_of_canonical_json() {
    for version in RoomVersion::ALL {
        let mut event = message(version);
        let room = MAX_PDU_BYTES - parse(&event, version).unwrap().canonical_json().len();
        event["content"]["body"] = json!(format!("hello{}", "x".repeat(room)));
        let pdu = parse(&event, version).unwrap();
        assert_eq!(pdu.canonical_json().len(), MAX_PDU_BYTES);

        // White space and needless escapes are not counted.
        let wide = serde_json::to_string_pretty(&event).unwrap().replace('x', "\\u0078");
        assert_eq!(Pdu::parse(wide.as_bytes(), version).unwrap(), pdu);

        event["content"]["body"] = json!(format!("hello{}", "x".repeat(room + 1)));
        let too_large = FormatError::TooLarge { bytes: MAX_PDU_BYTES + 1 };
        assert_eq!(parse(&event, version), Err(too_large));
    }
}

#[test]
fn type_and_state_key_have_255_bytes_or_code_points() {
    use Field::{StateKey, Type};
    for field in [Type, StateKey] {
        check(everywhere, field.name(), &json!("x".repeat(255)), Ok(()));
        check(everywhere, field.name(), &json!("é".repeat(127)), Ok(()));
        check(everywhere, field.name(), &json!("\"".repeat(255)), Ok(()));
        for version in RoomVersion::ALL {
            let mut event = message(version);
            // 128 code points, 256 bytes.
            event[field.name()] = json!("é".repeat(128));
            let over = parse(&event, version).map(|pdu| pdu.over_byte_limit());
            let expected = match version.length_unit() {
                LengthUnit::CodePoints => Ok(Some(field)),
                unit => Err(FormatError::TooLong { field, length: 256, unit }),
            };
            assert_eq!(over, expected, "{version}");

            event[field.name()] = json!("x".repeat(256));
            let unit = version.length_unit();
            let too_long = FormatError::TooLong { field, length: 256, unit };
            assert_eq!(parse(&event, version), Err(too_long), "{version}");
        }
    }
}

#[test]
fn identifiers_have_255_bytes() {
    let user = |length: usize| format!("@{}:example.org", "u".repeat(length - 13));
    check(everywhere, "sender", &json!(user(255)), Ok(()));
    let too_long = |field| Err(FormatError::TooLong { field, length: 256, unit: LengthUnit::Bytes });
    check(everywhere, "sender", &json!(user(256)), too_long(Field::Sender));

    let with_domain = |version: &RoomVersion| version.id() != "12";
    let room = |length: usize| format!("!{}:example.org", "r".repeat(length - 13));
    check(with_domain, "room_id", &json!(room(255)), Ok(()));
    check(with_domain, "room_id", &json!(room(256)), too_long(Field::RoomId));

    let with_event_id = |version: &RoomVersion| version.rules().event_format.require_event_id;
    let event = |length: usize| format!("${}:example.org", "e".repeat(length - 13));
    check(with_event_id, "event_id", &json!(event(255)), Ok(()));
    check(with_event_id, "event_id", &json!(event(256)), too_long(Field::EventId));
}

#[test]
fn historical_user_ids_are_accepted_as_senders() {
    for sender in [
        "@:example.org",
        "@Alice Smith:example.org",
        "@álice\u{1f600}:example.org",
        "@a\u{7}\"\\b:example.org",
        "@alice:[::1]:8448",
        "@alice:1.2.3.4",
    ] {
        check(everywhere, "sender", &json!(sender), Ok(()));
        let mut event = message(RoomVersion::V12);
        event["sender"] = json!(sender);
        assert_eq!(parse(&event, RoomVersion::V12).unwrap().sender(), sender);
    }
    for sender in ["", "alice:example.org", "@alice", "@alice:", "@a\0b:example.org", "@a:b c"] {
        let value = sender.to_owned();
        let refused = Err(FormatError::NotAnIdentifier { field: Field::Sender, value });
        check(everywhere, "sender", &json!(sender), refused);
    }
}

#[test]
fn room_ids_have_a_domain_before_version_12_and_a_hash_from_then_on() {
    let with_domain = |version: &RoomVersion| version.id() != "12";
    let with_hash = |version: &RoomVersion| version.id() == "12";
    let hash = "!Nhcu5BS-UMnFX7hBVfVSoXiD7OgH6iRT-xyIuqDnpYQ";
    let refused = |id: &str| {
        let value = id.to_owned();
        Err(FormatError::NotAnIdentifier { field: Field::RoomId, value })
    };
    for id in ["!room:example.org", "!:example.org:8448"] {
        check(with_domain, "room_id", &json!(id), Ok(()));
        check(with_hash, "room_id", &json!(id), refused(id));
    }
    check(with_hash, "room_id", &json!(hash), Ok(()));
    check(with_domain, "room_id", &json!(hash), refused(hash));
    for id in ["", "room:example.org", "!room", "!room:", "!a\0:example.org", &format!("{hash}A")] {
        check(everywhere, "room_id", &json!(id), refused(id));
    }
}

#[test]
fn event_ids_of_versions_1_and_2_have_a_domain() {
    let with_event_id = |version: &RoomVersion| version.rules().event_format.require_event_id;
    check(with_event_id, "event_id", &json!("$1234:example.org:8448"), Ok(()));
    for id in ["", "$", "1234:example.org", "$1234", "$1234:"] {
        let value = id.to_owned();
        let refused = Err(FormatError::NotAnIdentifier { field: Field::EventId, value });
        check(with_event_id, "event_id", &json!(id), refused);
    }
}

#[test]
fn only_the_create_event_of_version_12_lacks_a_room_id() {
    for version in RoomVersion::ALL {
        let pdu = parse(&create(version), version).unwrap();
        let mut without = create(version);
        without.as_object_mut().unwrap().remove("room_id");
        let mut with = create(version);
        with["room_id"] = json!(room_id(version));
        if version.id() == "12" {
            assert_eq!(pdu.view().room_id, None);
            assert_eq!(pdu.room_id().as_str(), pdu.event_id().as_str().replace('$', "!"));
            // Rule 1.2 rejects it, so it has to be an event.
            let with = parse(&with, version).unwrap();
            assert_eq!(with.view().room_id, Some(room_id(version)));
            assert_eq!(with.room_id().as_str(), with.event_id().as_str().replace('$', "!"));
        } else {
            assert_eq!(pdu.view().room_id, Some("!room:example.org"));
            assert_eq!(parse(&without, version), Err(FormatError::Missing(Field::RoomId)));
        }
    }
}

#[test]
fn depth_is_bounded_by_the_integers_of_the_version() {
    for depth in [0_i64, 1, (1 << 53) - 1] {
        check(everywhere, "depth", &json!(depth), Ok(()));
    }
    check(everywhere, "depth", &json!(-1), Err(FormatError::DepthOutOfRange(-1)));
    check(relaxed, "depth", &json!(i64::MAX), Ok(()));
    check(relaxed, "depth", &json!(u64::MAX), wrong_type(Field::Depth, Expected::Integer));
    check(relaxed, "depth", &json!(12.0), wrong_type(Field::Depth, Expected::Integer));
    for version in RoomVersion::ALL.iter().filter(|version| strict(version)) {
        for depth in [json!(1_i64 << 53), json!(i64::MAX), json!(1.5)] {
            let mut event = message(version);
            event["depth"] = depth;
            assert!(matches!(parse(&event, version), Err(FormatError::Json(_))), "{version}");
        }
    }
}

#[test]
fn canonical_json_is_enforced_from_version_6_on_and_before_that_it_is_not() {
    for (number, relaxed_print) in [
        ("9007199254740992", "9007199254740992"),
        ("-123456789012345678901234567890", "-123456789012345678901234567890"),
        ("1.50", "1.5"),
        ("1e2", "100.0"),
    ] {
        for version in RoomVersion::ALL {
            let text = message(version).to_string().replace("\"hello\"", number);
            let result = Pdu::parse(text.as_bytes(), version);
            if strict(version) {
                assert!(matches!(result, Err(FormatError::Json(_))), "{number} in {version}");
            } else {
                let expected = format!(r#"{{"body":{relaxed_print},"msgtype":"m.text"}}"#);
                assert_eq!(result.unwrap().content(), expected, "{version}");
            }
        }
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    for text in ["", "[]", "null", "\"x\"", "{", "{}x", "{\"a\":NaN}", "{\"a\":\"\\ud800\"}"] {
        for version in RoomVersion::ALL {
            let result = Pdu::parse(text.as_bytes(), version);
            assert!(matches!(result, Err(FormatError::Json(_))), "{text} in {version}");
        }
    }
    let error = Pdu::parse(b"{\"a\":\xff}", RoomVersion::V11).unwrap_err();
    let FormatError::Json(error) = error else { panic!("{error:?}") };
    assert_eq!((error.offset, error.kind), (5, ParseErrorKind::InvalidUtf8));
}

#[test]
fn at_most_10_auth_events_and_20_prev_events_but_in_backfill() {
    for version in RoomVersion::ALL {
        for (field, limit) in [(Field::AuthEvents, 10), (Field::PrevEvents, 20)] {
            let mut event = message(version);
            let references = |count| (0..count).map(|n| reference(version, n)).collect::<Value>();
            event[field.name()] = references(limit);
            assert!(parse(&event, version).is_ok(), "{version}");

            event[field.name()] = references(limit + 1);
            let too_many = FormatError::TooManyReferences { field, count: limit + 1, limit };
            assert_eq!(parse(&event, version), Err(too_many), "{version}");

            event[field.name()] = references(100);
            let json = event.to_string();
            let backfilled = Pdu::parse_with(json.as_bytes(), version, ReferenceLimits::BACKFILL).unwrap();
            let count = backfilled.prev_events().len().max(backfilled.auth_events().len());
            assert_eq!(count, 100);
        }
    }
}

#[test]
fn references_are_pairs_in_versions_1_and_2_and_ids_from_then_on() {
    let pairs = |version: &RoomVersion| ["1", "2"].contains(&version.id());
    let ids = |version: &RoomVersion| !["1", "2"].contains(&version.id());
    for (field, name) in [(Field::PrevEvents, "prev_events"), (Field::AuthEvents, "auth_events")] {
        let refused = |index| Err(FormatError::NotAReference { field, index });
        let pair = json!(["$a:example.org", {"sha256": "aGFzaA"}]);
        check(pairs, name, &json!([pair]), Ok(()));
        check(ids, name, &json!([pair]), refused(0));
        check(ids, name, &json!(["$a", "$b"]), Ok(()));
        check(pairs, name, &json!([pair, "$a:example.org"]), refused(1));
        check(everywhere, name, &json!([]), Ok(()));
        for bad in [
            json!(["$a:example.org"]),
            json!(["$a:example.org", "hash"]),
            json!(["$a:example.org", {}, {}]),
            json!(["$a", {}]),
            json!([{}, {}]),
            json!({}),
        ] {
            check(pairs, name, &json!([bad]), refused(0));
        }
        for bad in [json!(null), json!(1), json!("a"), json!("")] {
            check(everywhere, name, &json!([bad]), refused(0));
        }
    }
}

#[test]
fn redacts_is_read_from_where_the_version_puts_it() {
    for version in RoomVersion::ALL {
        let mut event = message(version);
        event["type"] = json!("m.room.redaction");
        event["redacts"] = json!("$top:example.org");
        event["content"]["redacts"] = json!("$content:example.org");
        let in_content = ["11", "12"].contains(&version.id());
        let expected = if in_content { "$content:example.org" } else { "$top:example.org" };
        let pdu = parse(&event, version).unwrap();
        assert_eq!(pdu.redacts(), Some(expected), "{version}");
        assert_eq!(pdu.view().redacts, Some(expected), "{version}");

        event["redacts"] = json!(7);
        event["content"]["redacts"] = json!(7);
        let expected =
            if in_content { Ok(None) } else { wrong_type(Field::Redacts, Expected::String).map(|()| None) };
        let found = parse(&event, version).map(|pdu| pdu.redacts().map(str::to_owned));
        assert_eq!(found, expected, "{version}");

        event["type"] = json!("m.room.message");
        assert_eq!(parse(&event, version).unwrap().redacts(), None, "{version}");
    }
}

#[test]
fn escapes_are_undone_in_what_is_read() {
    for version in RoomVersion::ALL {
        let mut event = message(version);
        event["type"] = json!("a\"b\\c\u{1}");
        event["state_key"] = json!("\n");
        let pdu = parse(&event, version).unwrap();
        assert_eq!(pdu.event_type(), "a\"b\\c\u{1}");
        assert_eq!(pdu.state_key(), Some("\n"));
        assert!(pdu.view().is_state("a\"b\\c\u{1}", "\n"));
    }
}
