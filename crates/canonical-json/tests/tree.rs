//! Values and objects as containers, and the typed accessors.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use freehold_canonical_json::{Kind, Limits, Number, Object, ObjectWriter, RawValue, Value, member, parse};

fn relaxed(text: &str) -> Value<'_> {
    parse(text.as_bytes(), &Limits::RELAXED).unwrap()
}

fn printed(object: &Object<'_>) -> String {
    String::from_utf8(object.to_canonical_vec()).unwrap()
}

#[test]
fn objects_stay_sorted_whatever_is_done_to_them() {
    let mut object = Object::new();
    assert_eq!(object.insert("b", 1), None);
    assert_eq!(object.insert("a", true), None);
    assert_eq!(object.insert("b", "two"), Some(Value::Integer(1)));
    assert_eq!(printed(&object), r#"{"a":true,"b":"two"}"#);

    object.extend([("c", 3), ("B", 4), ("a", 5)]);
    assert_eq!(printed(&object), r#"{"B":4,"a":5,"b":"two","c":3}"#);
    assert_eq!(object.keys().collect::<Vec<_>>(), ["B", "a", "b", "c"]);
    assert_eq!(object.values().filter_map(Value::as_i64).sum::<i64>(), 12);
    assert_eq!(object.iter().next_back().map(|(key, _)| key), Some("c"));

    *object.get_mut("a").unwrap() = Value::Null;
    assert!(object.contains_key("a") && object.get("a").unwrap().is_null());
    assert_eq!(object.remove("a"), Some(Value::Null));
    assert_eq!(object.remove("a"), None);
    object.retain(|key, _| key != "B");
    assert_eq!((printed(&object).as_str(), object.len()), (r#"{"b":"two","c":3}"#, 2));
    assert!(!object.is_empty());
    assert_eq!(object.iter().size_hint(), (2, Some(2)));
    object.clear();
    assert!(object.is_empty());
    assert_eq!(printed(&object), "{}");
}

#[test]
fn members_are_left_out_while_printing_without_changing_the_object() {
    let value = relaxed(r#"{"hashes":{},"a":[1,"x"],"unsigned":{}}"#);
    let object = value.as_object().unwrap();
    let mut out = Vec::new();
    object.write_canonical_if(|key| key == "a", &mut out);
    object.write_canonical_if(|_| false, &mut out);
    assert_eq!(out, br#"{"a":[1,"x"]}{}"#);
    assert_eq!(object.len(), 3);
}

#[test]
fn integers_are_printed_at_both_ends() {
    for value in [0, 7, -7, 10, i64::MAX, i64::MIN] {
        assert_eq!(Value::Integer(value).to_canonical_vec(), value.to_string().as_bytes());
    }
}

#[test]
fn numbers_beyond_i64_keep_their_digits() {
    let Value::Number(big) = relaxed("12345678901234567890123") else { panic!("not a number") };
    assert!(big.is_integer());
    assert_eq!((big.as_str(), big.as_f64()), ("12345678901234567890123", 1.2345678901234568e22));
    let half = Number::from_f64(-0.5).unwrap();
    assert!(!half.is_integer());
    assert_eq!((half.as_str(), format!("{half:?}").as_str()), ("-0.5", "-0.5"));
    assert_eq!(Number::from_f64(f64::NAN), None);
    assert_eq!(Number::from_f64(f64::NEG_INFINITY), None);
}

#[test]
fn owned_values_equal_the_borrowed_ones() {
    let text = r#"[null,true,1,1.5,"a\n","b",[{}],{"k\n":{"l":[]}}]"#.to_owned();
    let value = relaxed(&text);
    assert_eq!(value.clone().into_owned(), value);
}

#[test]
fn values_are_made_of_what_they_hold() {
    let list = Value::from(vec![Value::from("a"), Value::from(String::from("b"))]);
    assert_eq!(list.as_array().unwrap().iter().filter_map(Value::as_str).collect::<Vec<_>>(), ["a", "b"]);
    let object: Object<'_> = [("a", list)].into_iter().collect();
    assert_eq!(Value::from(object.clone()).as_object(), Some(&object));
    assert_eq!(Value::from(object).to_canonical_vec(), br#"{"a":["a","b"]}"#);
}

#[test]
fn accessors_answer_only_for_their_own_kind() {
    for (text, kind) in [
        ("null", Kind::Null),
        ("true", Kind::Bool),
        ("-1", Kind::Number),
        ("1.5", Kind::Number),
        (r#""1""#, Kind::String),
        ("[1]", Kind::Array),
        (r#"{"1":1}"#, Kind::Object),
    ] {
        let spaced = format!("\n {text}\t");
        let raw = RawValue::new(&spaced).unwrap();
        assert_eq!((raw.text(), raw.kind()), (text, kind));
        assert_eq!(raw.is_null(), kind == Kind::Null);
        assert_eq!(raw.as_bool().is_some(), kind == Kind::Bool);
        assert_eq!(raw.as_f64().is_some(), kind == Kind::Number);
        assert_eq!(raw.as_i64(), (text == "-1").then_some(-1));
        assert_eq!(raw.as_str().is_some(), kind == Kind::String);
        let mut value = raw.parse(&Limits::RELAXED).unwrap();
        assert_eq!(value.as_array_mut().is_some(), kind == Kind::Array);
        assert_eq!(value.as_object_mut().is_some(), kind == Kind::Object);
        assert_eq!(value.into_object().is_some(), kind == Kind::Object);
    }
    assert!(RawValue::new("1 2").is_err());
}

#[test]
fn a_member_is_found_whatever_stands_around_it() {
    let text = " { \"a\\n\" : [ {\"membership\":1} ] , \"membership\" : \"join\" } ";
    assert_eq!(member(text, "membership").unwrap().unwrap().text(), "\"join\"");
    assert_eq!(member(text, "a\n").unwrap().unwrap().kind(), Kind::Array);
    assert_eq!(member(text, "a"), Ok(None));
    assert!(member("{\"a\":1}x", "a").is_err());
    assert!(member("[]", "a").is_err());
}

#[test]
fn objects_are_written_piece_by_piece() {
    let mut out = Vec::new();
    let mut outer = ObjectWriter::new(&mut out);
    outer.members(r#""a":1,"b":2"#);
    let mut inner = outer.object("con\ntent");
    inner.value("x", "[]");
    inner.string("y", "\"\n");
    inner.finish();
    outer.object("empty").finish();
    outer.finish();
    assert_eq!(out, br#"{"a":1,"b":2,"con\ntent":{"x":[],"y":"\"\n"},"empty":{}}"#);
}
