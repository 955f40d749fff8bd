//! Laws that hold for every text, on generated ones.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

mod generate;

use freehold_canonical_json::{
    CanonicalObject, Limits, Object, RawValue, Value, canonicalize, check_canonical, elements, fields,
    member, parse,
};
use proptest::prelude::*;

use generate::{any_text, canonical_text, document, spoiled, value};

const BOTH: [Limits; 2] = [Limits::STRICT, Limits::RELAXED];

fn canonical(text: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    canonicalize(text, limits, &mut out).ok().map(|()| out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn parse_after_print_is_identity(value in value()) {
        let printed = value.to_canonical_vec();
        prop_assert_eq!(parse(&printed, &Limits::RELAXED), Ok(value));
    }

    #[test]
    fn print_is_injective(a in value(), b in value()) {
        prop_assert_eq!(a == b, a.to_canonical_vec() == b.to_canonical_vec());
    }

    #[test]
    fn what_is_printed_is_canonical(value in value()) {
        prop_assert_eq!(check_canonical(&value.to_canonical_vec(), &Limits::RELAXED), Ok(()));
    }

    #[test]
    fn canonicalize_is_parse_then_print(text in any_text()) {
        for limits in BOTH {
            let tree = parse(&text, &limits);
            let mut out = b"before".to_vec();
            let result = canonicalize(&text, &limits, &mut out);
            match tree {
                Ok(value) => {
                    prop_assert_eq!(result, Ok(()));
                    prop_assert_eq!(&out[6..], value.to_canonical_vec());
                }
                Err(error) => {
                    prop_assert_eq!(result, Err(error));
                    prop_assert_eq!(out, b"before");
                }
            }
        }
    }

    #[test]
    fn a_text_is_canonical_exactly_when_canonicalising_changes_nothing(
        text in prop_oneof![any_text(), canonical_text()],
    ) {
        for limits in BOTH {
            let unchanged = canonical(&text, &limits).is_some_and(|out| out == text);
            prop_assert_eq!(check_canonical(&text, &limits).is_ok(), unchanged);
        }
    }

    #[test]
    fn canonicalising_twice_changes_nothing(text in document()) {
        for limits in BOTH {
            if let Some(once) = canonical(text.as_bytes(), &limits) {
                prop_assert_eq!(canonical(&once, &limits), Some(once.clone()));
            }
        }
    }

    #[test]
    fn order_white_space_and_escapes_do_not_matter((text, same) in spoiled()) {
        let expected = canonical(text.as_bytes(), &Limits::RELAXED);
        prop_assert!(expected.is_some());
        prop_assert_eq!(canonical(same.as_bytes(), &Limits::RELAXED), expected);
    }

    #[test]
    fn fields_are_the_members_of_the_tree(text in any_text()) {
        let Ok(text) = std::str::from_utf8(&text) else { return Ok(()) };
        let read: Result<Object<'_>, _> = fields(text)
            .map(|field| field.and_then(|(key, raw)| Ok((key, raw.parse(&Limits::RELAXED)?))))
            .collect::<Result<Vec<_>, _>>()
            .map(|members| members.into_iter().collect());
        match parse(text.as_bytes(), &Limits::RELAXED) {
            Ok(Value::Object(object)) => {
                for (key, value) in &object {
                    let raw = member(text, key).unwrap().unwrap();
                    prop_assert_eq!(&raw.parse(&Limits::RELAXED).unwrap(), value);
                }
                prop_assert_eq!(read, Ok(object));
            }
            Ok(_) => prop_assert!(read.is_err()),
            Err(error) => {
                // `fields` stops at once when the text is no object.
                if text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
                    prop_assert_eq!(read, Err(error));
                } else {
                    prop_assert!(read.is_err());
                }
            }
        }
    }

    #[test]
    fn elements_are_those_of_the_tree(text in any_text()) {
        let Ok(text) = std::str::from_utf8(&text) else { return Ok(()) };
        let read: Result<Vec<_>, _> =
            elements(text).map(|raw| raw.and_then(|raw| raw.parse(&Limits::RELAXED))).collect();
        match parse(text.as_bytes(), &Limits::RELAXED) {
            Ok(Value::Array(values)) => prop_assert_eq!(read, Ok(values)),
            _ => prop_assert!(read.is_err()),
        }
    }

    #[test]
    fn raw_accessors_agree_with_the_tree(value in value()) {
        let text = String::from_utf8(value.to_canonical_vec()).unwrap();
        let raw = RawValue::new(&text).unwrap();
        prop_assert_eq!(raw.text(), text.as_str());
        let string = raw.as_str();
        prop_assert_eq!(string.as_deref(), value.as_str());
        prop_assert_eq!(raw.as_i64(), value.as_i64());
        prop_assert_eq!(raw.as_bool(), value.as_bool());
        prop_assert_eq!(raw.is_null(), value.is_null());
        prop_assert_eq!(raw.as_object().is_some(), value.as_object().is_some());
        prop_assert_eq!(raw.as_array().is_some(), value.as_array().is_some());
    }

    #[test]
    fn canonical_objects_know_their_members(text in document(), mask in any::<u64>()) {
        let Ok(Value::Object(object)) = parse(text.as_bytes(), &Limits::RELAXED) else {
            prop_assert!(CanonicalObject::parse(text.as_bytes(), &Limits::RELAXED).is_err());
            return Ok(());
        };
        let indexed = CanonicalObject::parse(text.as_bytes(), &Limits::RELAXED).unwrap();
        prop_assert_eq!(indexed.as_str().as_bytes(), object.to_canonical_vec());
        prop_assert_eq!(indexed.len(), object.len());
        for (member, (key, value)) in indexed.iter().zip(&object) {
            prop_assert_eq!(member.key(), key);
            prop_assert_eq!(member.value().text().as_bytes(), value.to_canonical_vec());
            prop_assert_eq!(indexed.get(key), Some(member.value()));
        }

        let keep = |key: &str| (mask >> (key.len() % 64)) & 1 == 1;
        let (mut ours, mut tree) = (Vec::new(), Vec::new());
        indexed.write_if(keep, &mut ours);
        object.write_canonical_if(keep, &mut tree);
        prop_assert_eq!(ours, tree);
    }

    #[test]
    fn strict_accepts_what_serde_json_accepts_without_floats(text in any_text()) {
        let theirs: Result<serde_json::Value, _> = serde_json::from_slice(&text);
        match (parse(&text, &Limits::STRICT), theirs) {
            (Ok(ours), Ok(theirs)) => {
                prop_assert_eq!(&serde_json::from_slice::<serde_json::Value>(
                    &ours.to_canonical_vec()).unwrap(), &theirs);
            }
            (Ok(_), Err(error)) => prop_assert!(false, "only we accept it: {error}"),
            (Err(_), Ok(theirs)) => prop_assert!(has_other_numbers(&theirs)),
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn relaxed_accepts_what_serde_json_accepts(text in any_text()) {
        let theirs: Result<serde_json::Value, _> = serde_json::from_slice(&text);
        let ours = parse(&text, &Limits::RELAXED);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
    }
}

/// Whether strict canonical JSON refuses one of the numbers. Duplicates that were overwritten
/// are not seen here, so that the generator makes duplicates of equal values only.
fn has_other_numbers(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => {
            number.as_i64().is_none_or(|number| number.unsigned_abs() >= 1 << 53)
        }
        serde_json::Value::Array(values) => values.iter().any(has_other_numbers),
        serde_json::Value::Object(members) => members.values().any(has_other_numbers),
        _ => false,
    }
}
