//! The table of room versions, as data, against the table that the libraries use and against the
//! one of the naive twin.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use freehold_event::RoomVersion;
use freehold_testkit::twin::{Algorithm, Differences};
use ruma_common::room_version_rules::{
    EventIdFormatVersion, EventsReferenceFormatVersion, RoomIdFormatVersion, RoomVersionRules,
    StateResolutionVersion,
};
use serde_json::{Value, json};

/// What the libraries' table says of a property.
fn in_table(property: &str, version: &'static RoomVersion) -> Value {
    let rules: &RoomVersionRules = version.rules();
    let (auth, redaction) = (&rules.authorization, &rules.redaction);
    match property {
        "state resolution" => json!(match &rules.state_res {
            StateResolutionVersion::V2(v2) => {
                let subgraph = v2.consider_conflicted_state_subgraph;
                assert_eq!(subgraph, v2.begin_iterative_auth_checks_with_empty_state_map);
                if subgraph { "v2.1" } else { "v2.0" }
            }
            _ => "v1",
        }),
        "event id" => json!(match rules.event_id_format {
            EventIdFormatVersion::V1 => "opaque",
            EventIdFormatVersion::V2 => "standard base64",
            _ => "URL-safe base64",
        }),
        "event_id over federation" => json!(rules.event_format.require_event_id),
        "references to events" => json!(match rules.events_reference_format {
            EventsReferenceFormatVersion::V1 => "pairs with hashes",
            _ => "ids",
        }),
        "room id" => {
            let hashed = auth.room_create_event_id_as_room_id;
            assert_eq!(hashed, !matches!(rules.room_id_format, RoomIdFormatVersion::V1));
            json!(if hashed { "hash of the create event" } else { "with a domain" })
        }
        "room_id in the create event" => json!(rules.event_format.require_room_create_room_id),
        "create event in auth_events" => json!(rules.event_format.allow_room_create_in_auth_events),
        "greatest depth" => json!(version.depth_max()),
        "canonical JSON enforced" => json!(auth.strict_canonical_json),
        "key validity enforced" => json!(rules.enforce_key_validity),
        "signature of the event id's server" => json!(rules.signatures.check_event_id_server),
        "signature of the authorising server" => {
            json!(rules.signatures.check_join_authorised_via_users_server)
        }
        "rule on m.room.aliases" => json!(auth.special_case_room_aliases),
        "rule on m.room.redaction" => json!(auth.special_case_room_redaction),
        "notifications levels checked" => json!(auth.limit_notifications_power_levels),
        "levels as strings" => json!(!auth.integer_power_levels),
        "knocking" => json!(auth.knocking),
        "join rule restricted" => json!(auth.restricted_join_rule),
        "join rule knock_restricted" => json!(auth.knock_restricted_join_rule),
        "creator" => json!(match (auth.use_room_create_sender, auth.additional_room_creators) {
            (false, _) => "content.creator",
            (true, false) => "sender",
            (true, true) => "sender and additional_creators",
        }),
        "power of creators" => {
            let infinite = auth.explicitly_privilege_room_creators;
            json!(if infinite { "infinite" } else { "100 without power levels" })
        }
        "redacts" => json!(if redaction.content_field_redacts { "content" } else { "top level" }),
        _ => in_redaction_table(property, version),
    }
}

fn in_redaction_table(property: &str, version: &'static RoomVersion) -> Value {
    let redaction = &version.rules().redaction;
    json!(match property {
        "redaction keeps aliases" => redaction.keep_room_aliases_aliases,
        "redaction keeps allow" => redaction.keep_room_join_rules_allow,
        "redaction keeps join_authorised_via_users_server" => {
            redaction.keep_room_member_join_authorised_via_users_server
        }
        "redaction keeps origin, membership, prev_state" => redaction.keep_origin_membership_prev_state,
        "redaction keeps all of m.room.create" => redaction.keep_room_create_content,
        "redaction keeps redacts" => redaction.keep_room_redaction_redacts,
        "redaction keeps invite" => redaction.keep_room_power_levels_invite,
        "redaction keeps third_party_invite.signed" => redaction.keep_room_member_third_party_invite_signed,
        other => panic!("the data has a property `{other}` that this test does not know"),
    })
}

/// What the twin's table says of a property, as far as it has it.
fn in_twin(property: &str, version: &Differences) -> Option<Value> {
    Some(match property {
        "state resolution" => json!(match version.algorithm {
            Algorithm::V1 => "v1",
            Algorithm::V2 => "v2.0",
            Algorithm::V2_1 => "v2.1",
        }),
        "create event in auth_events" => json!(!version.creators_rule),
        "canonical JSON enforced" => json!(!version.float_levels),
        "rule on m.room.aliases" => json!(version.aliases_rule),
        "rule on m.room.redaction" => json!(version.redaction_rule),
        "notifications levels checked" => json!(version.notifications),
        "levels as strings" => json!(version.string_levels),
        "knocking" => json!(version.knock),
        "join rule restricted" => json!(version.restricted),
        "join rule knock_restricted" => json!(version.knock_restricted),
        _ => return None,
    })
}

#[test]
fn every_property_of_every_version_is_that_of_the_specification() {
    let data: Value = serde_json::from_str(include_str!("../data/room-versions.json")).unwrap();
    for (property, values) in data.as_object().unwrap().iter().filter(|(name, _)| *name != "$comment") {
        let values = values.as_object().unwrap();
        for version in RoomVersion::ALL {
            let number: u8 = version.id().parse().unwrap();
            let known = (1..=number).rev().find_map(|at_or_below| values.get(&at_or_below.to_string()));
            let expected = known.unwrap();
            assert_eq!(&in_table(property, version), expected, "version {version}: {property}");
            let twin = in_twin(property, &Differences::of(version.id()).unwrap());
            assert!(twin.is_none_or(|twin| twin == *expected), "version {version}: {property}");
        }
    }
}
