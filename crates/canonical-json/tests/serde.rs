//! Values go into and come out of serde's data model.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

mod generate;

use std::collections::BTreeMap;

use freehold_canonical_json::{
    Limits, Object, SerializeError, Value, parse, to_canonical_vec_from, to_value,
};
use proptest::prelude::*;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        IntoDeserializer, Visitor,
        value::{BytesDeserializer, Error, MapDeserializer},
    },
    ser::SerializeMap,
};

#[derive(Serialize)]
struct Everything {
    unit: (),
    none: Option<u8>,
    some: Option<u8>,
    tuple: (i8, u64, char),
    newtype: Wrapper,
    variants: Vec<Variant>,
    map: BTreeMap<String, bool>,
}

#[derive(Serialize)]
struct Wrapper(i64);

#[derive(Serialize)]
enum Variant {
    Unit,
    New(i32),
    Tuple(u8, u8),
    Struct { b: u8, a: u8 },
}

#[test]
fn every_shape_of_serde_is_written() {
    let everything = Everything {
        unit: (),
        none: None,
        some: Some(1),
        tuple: (-1, 2, '"'),
        newtype: Wrapper(9_007_199_254_740_991),
        variants: vec![Variant::Unit, Variant::New(1), Variant::Tuple(1, 2), Variant::Struct { b: 1, a: 2 }],
        map: [("é".to_owned(), true), ("z".to_owned(), false)].into(),
    };
    let bytes = to_canonical_vec_from(&everything, &Limits::STRICT).unwrap();
    let expected = r#"{"map":{"z":false,"é":true},"newtype":9007199254740991,"none":null,"some":1,"tuple":[-1,2,"\""],"unit":null,"variants":["Unit",{"New":1},{"Tuple":[1,2]},{"Struct":{"a":2,"b":1}}]}"#;
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

fn strict(value: &impl Serialize) -> Result<Value<'static>, SerializeError> {
    to_value(value, &Limits::STRICT)
}

#[test]
fn what_has_no_canonical_form_is_refused() {
    let out_of_range = |value: &str| SerializeError::IntegerOutOfRange { value: value.to_owned() };
    assert_eq!(strict(&1.0), Err(SerializeError::Float));
    assert_eq!(strict(&f32::NAN), Err(SerializeError::NotFinite));
    assert_eq!(to_value(&f64::INFINITY, &Limits::RELAXED), Err(SerializeError::NotFinite));
    assert_eq!(strict(&(1_i64 << 53)), Err(out_of_range("9007199254740992")));
    assert_eq!(strict(&-(1_i64 << 53)), Err(out_of_range("-9007199254740992")));
    assert_eq!(strict(&u64::MAX), Err(out_of_range("18446744073709551615")));
    assert_eq!(strict(&u128::MAX), Err(out_of_range("340282366920938463463374607431768211455")));
    assert_eq!(strict(&BTreeMap::from([(1, 2)])), Err(SerializeError::KeyNotString));
    assert_eq!(strict(&Twice), Err(SerializeError::DuplicateKey { key: "a".to_owned() }));
    assert_eq!(strict(&Bytes), Err(SerializeError::Bytes));
    let short = Limits { bytes: 3, ..Limits::STRICT };
    let too_long = SerializeError::TooLong { length: 4, limit: 3 };
    assert_eq!(to_canonical_vec_from("ab", &short), Err(too_long));
    assert_eq!(to_canonical_vec_from("a", &short), Ok(b"\"a\"".to_vec()));
}

#[test]
fn depth_is_counted_as_in_text() {
    let limits = Limits { depth: 2, ..Limits::STRICT };
    let too_deep = Err(SerializeError::TooDeep { limit: 2 });
    assert!(to_value(&[[1]], &limits).is_ok());
    assert_eq!(to_value(&[[[1]]], &limits), too_deep);
    assert!(to_value(&[Variant::New(1)], &limits).is_ok());
    assert_eq!(to_value(&[Variant::Tuple(1, 2)], &limits), too_deep);
    assert_eq!(to_value(&[Variant::Struct { a: 1, b: 2 }], &limits), too_deep);
    assert!(to_value(&Variant::Tuple(1, 2), &limits).is_ok());
    assert!(to_value(&Variant::Struct { a: 1, b: 2 }, &limits).is_ok());
}

#[test]
fn big_numbers_go_in_and_out_up_to_128_bits() {
    for text in
        ["18446744073709551615", "-18446744073709551616", "340282366920938463463374607431768211455", "1.5"]
    {
        let value = parse(text.as_bytes(), &Limits::RELAXED).unwrap();
        assert_eq!(to_value(&value, &Limits::RELAXED), Ok(value.into_owned()));
    }
    let huge = parse(b"340282366920938463463374607431768211456", &Limits::RELAXED).unwrap();
    assert!(matches!(to_value(&huge, &Limits::RELAXED), Err(SerializeError::Custom(_))));
}

#[test]
fn strings_and_keys_are_borrowed_from_the_text() {
    let text = r#"{"key": "value"}"#.to_owned();
    let object: Object<'_> = serde_json::from_str(&text).unwrap();
    let (key, value) = object.into_iter().next().unwrap();
    assert!(matches!(key, std::borrow::Cow::Borrowed("key")));
    assert!(matches!(value, Value::String(std::borrow::Cow::Borrowed("value"))));
}

/// An option, as formats that know options have it.
struct Optional(Option<i64>);

impl<'de> Deserializer<'de> for Optional {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Some(value) => visitor.visit_some(value.into_deserializer()),
            None => visitor.visit_none(),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[test]
fn shapes_that_serde_json_does_not_use_are_read() {
    fn read<'de>(deserializer: impl Deserializer<'de, Error = Error>) -> Result<Value<'de>, Error> {
        Value::deserialize(deserializer)
    }
    assert_eq!(read(().into_deserializer()), Ok(Value::Null));
    assert_eq!(read(Optional(None)), Ok(Value::Null));
    assert_eq!(read(Optional(Some(7))), Ok(Value::Integer(7)));
    assert_eq!(read((-7_i128).into_deserializer()), Ok(Value::Integer(-7)));
    assert_eq!(read(7_u128.into_deserializer()), Ok(Value::Integer(7)));
    assert_eq!(read("a".into_deserializer()), Ok(Value::String("a".into())));
}

#[test]
fn errors_of_reading_say_what_was_expected() {
    let bytes = Value::deserialize(BytesDeserializer::<Error>::new(b"a")).unwrap_err();
    assert_eq!(bytes.to_string(), "invalid type: byte array, expected a JSON value");
    let list = serde_json::from_str::<Object<'_>>("[]").unwrap_err();
    assert!(list.to_string().starts_with("invalid type: sequence, expected a JSON object"), "{list}");
    let key = MapDeserializer::<_, Error>::new([(1_u64, 2_u64)].into_iter());
    let key = Value::deserialize(key).unwrap_err();
    assert_eq!(key.to_string(), "invalid type: integer `1`, expected a string as key");
}

#[test]
fn only_an_object_is_read_as_object() {
    assert!(serde_json::from_str::<Object<'_>>("[]").is_err());
    assert!(serde_json::from_str::<Object<'_>>("{}").is_ok_and(|object| object.is_empty()));
}

#[test]
fn of_duplicate_keys_the_last_one_is_read() {
    let value: Value<'_> = serde_json::from_str(r#"{"b":0,"a":1,"a":2,"a":[null,true]}"#).unwrap();
    assert_eq!(value.to_canonical_vec(), br#"{"a":[null,true],"b":0}"#);
}

proptest! {
    #[test]
    fn serde_in_and_out_is_identity(value in generate::value()) {
        prop_assert_eq!(to_value(&value, &Limits::RELAXED), Ok(value.clone()));

        // Read by us, as serde_json's own reading of floats may be a step off.
        let json = serde_json::to_vec(&value).unwrap();
        prop_assert_eq!(parse(&json, &Limits::RELAXED), Ok(value.clone()));

        let theirs = serde_json::to_value(&value).unwrap();
        prop_assert_eq!(Value::deserialize(theirs).unwrap(), value);
    }
}

struct Twice;

impl Serialize for Twice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("a", &1)?;
        map.serialize_entry("a", &1)?;
        map.end()
    }
}

struct Bytes;

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(b"ab")
    }
}
