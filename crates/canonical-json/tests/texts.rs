//! Tables of nasty texts: what is accepted, what is refused, where and why.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

use freehold_canonical_json::ParseErrorKind::*;
use freehold_canonical_json::{
    CanonicalObject, Limits, MAX_INTEGER, MIN_INTEGER, NotCanonicalKind, Numbers, ParseErrorKind, Value,
    canonical_text, canonicalize, check_canonical, elements, fields, is_canonical, member, parse,
};

fn canonical(text: impl AsRef<[u8]>, limits: &Limits) -> Result<String, (usize, ParseErrorKind)> {
    let text = text.as_ref();
    let mut out = Vec::new();
    let result = canonicalize(text, limits, &mut out);
    assert_eq!(parse(text, limits).map(|value| value.to_canonical_vec()), result.map(|()| out.clone()));
    result.map_err(|error| (error.offset, error.kind))?;
    Ok(String::from_utf8(out).unwrap())
}

fn strict(text: impl AsRef<[u8]>) -> Result<String, (usize, ParseErrorKind)> {
    canonical(text, &Limits::STRICT)
}

fn relaxed(text: impl AsRef<[u8]>) -> Result<String, (usize, ParseErrorKind)> {
    canonical(text, &Limits::RELAXED)
}

fn not_canonical(text: &str) -> (usize, NotCanonicalKind) {
    let error = check_canonical(text.as_bytes(), &Limits::RELAXED).unwrap_err();
    (error.offset, error.kind)
}

/// The examples of <https://spec.matrix.org/v1.19/appendices/#canonical-json>.
#[test]
fn examples_of_the_specification_are_printed_as_it_says() {
    for (text, expected) in [
        ("{}", "{}"),
        ("{\n    \"one\": 1,\n    \"two\": \"Two\"\n}", r#"{"one":1,"two":"Two"}"#),
        (r#"{"b": "2", "a": "1"}"#, r#"{"a":"1","b":"2"}"#),
        (
            r#"{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {"display_name": "John Doe", "three_pids": [{"medium": "email", "address": "john.doe@example.org"}, {"medium": "msisdn", "address": "123456789"}]}}}"#,
            r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#,
        ),
        (r#"{"a": "日本語"}"#, r#"{"a":"日本語"}"#),
        (r#"{"本": 2, "日": 1}"#, r#"{"日":1,"本":2}"#),
        (r#"{"a": "\u65E5"}"#, r#"{"a":"日"}"#),
        (r#"{"a": null}"#, r#"{"a":null}"#),
    ] {
        assert_eq!(strict(text).as_deref(), Ok(expected));
        assert_eq!(relaxed(text).as_deref(), Ok(expected));
    }
}

/// The last example prints `{"a":-0,"b":1e10}` as `{"a":0,"b":10000000000}`, which contradicts the
/// rule above it: `-0` and exponents must not appear, and room versions 6 and later must enforce
/// that. Synapse and ruma refuse the exponent where the rule is enforced,
/// and `canonicaljson` prints a float where it is not
/// (<https://github.com/matrix-org/matrix-spec/issues/2424>).
#[test]
fn the_last_example_of_the_specification_is_refused_or_printed_as_the_reference_does() {
    let text = r#"{"a": -0, "b": 1e10}"#;
    assert_eq!(strict(text), Err((6, NegativeZero)));
    assert_eq!(strict(r#"{"b": 1e10}"#), Err((7, Float)));
    assert_eq!(relaxed(text).as_deref(), Ok(r#"{"a":0,"b":10000000000.0}"#));
}

#[test]
fn refusals_name_the_byte_and_the_kind() {
    for (text, offset, kind) in [
        ("", 0, UnexpectedEnd),
        ("  ", 2, UnexpectedEnd),
        ("\u{feff}{}", 0, Unexpected { byte: 0xEF }),
        ("\u{a0}1", 0, Unexpected { byte: 0xC2 }),
        ("\u{b}1", 0, Unexpected { byte: 0x0B }),
        ("\0", 0, Unexpected { byte: 0 }),
        ("1\0", 1, TrailingData { byte: 0 }),
        ("{}{}", 2, TrailingData { byte: b'{' }),
        ("[1] 2", 4, TrailingData { byte: b'2' }),
        ("tru", 3, UnexpectedEnd),
        ("trux", 3, Unexpected { byte: b'x' }),
        ("nul]", 3, Unexpected { byte: b']' }),
        ("[1,]", 3, Unexpected { byte: b']' }),
        ("[1 2]", 3, Unexpected { byte: b'2' }),
        ("[1}", 2, Unexpected { byte: b'}' }),
        ("[", 1, UnexpectedEnd),
        ("{", 1, UnexpectedEnd),
        ("{\"a\"", 4, UnexpectedEnd),
        ("{\"a\" 1}", 5, Unexpected { byte: b'1' }),
        ("{\"a\":}", 5, Unexpected { byte: b'}' }),
        ("{\"a\":1,}", 7, Unexpected { byte: b'}' }),
        ("{\"a\":1 \"b\"", 7, Unexpected { byte: b'"' }),
        ("{1:2}", 1, Unexpected { byte: b'1' }),
        ("{a:1}", 1, Unexpected { byte: b'a' }),
        ("\"abc", 4, UnexpectedEnd),
        ("\"0123456789abcdef", 17, UnexpectedEnd),
        ("\"a\nb\"", 2, ControlCharacter { byte: 0x0A }),
        ("\"0123456789\0\"", 11, ControlCharacter { byte: 0 }),
        ("\"\u{1f}\"", 1, ControlCharacter { byte: 0x1F }),
        (r#""\n"#, 3, UnexpectedEnd),
        ("\"\\n\u{1}\"", 3, ControlCharacter { byte: 1 }),
        (r#""\"#, 2, UnexpectedEnd),
        (r#""\x41""#, 1, InvalidEscape),
        (r#""\'""#, 1, InvalidEscape),
        (r#""ab\u12g4""#, 3, InvalidEscape),
        (r#""\u12"#, 1, InvalidEscape),
        (r#""\u+123""#, 1, InvalidEscape),
        ("-", 1, UnexpectedEnd),
        ("-x", 1, MalformedNumber),
        ("+1", 0, Unexpected { byte: b'+' }),
        (".5", 0, Unexpected { byte: b'.' }),
        ("01", 0, MalformedNumber),
        ("-01", 1, MalformedNumber),
        ("[00]", 1, MalformedNumber),
        ("1x", 1, TrailingData { byte: b'x' }),
    ] {
        assert_eq!(strict(text), Err((offset, kind)), "{text:?}");
        assert_eq!(relaxed(text), Err((offset, kind)), "{text:?}");
        assert!(check_canonical(text.as_bytes(), &Limits::RELAXED).is_err(), "{text:?}");
    }
    for (text, offset) in [("[1.]", 3), ("1.e5", 2), ("[1e]", 3), ("1e+x", 3), ("1.5ex", 4)] {
        assert_eq!(relaxed(text), Err((offset, MalformedNumber)), "{text:?}");
    }
}

#[test]
fn strict_refuses_all_numbers_but_integers_of_53_bits() {
    for text in ["0", "-1", "9007199254740991", "-9007199254740991"] {
        assert_eq!(strict(text).as_deref(), Ok(text));
    }
    for (text, offset, kind) in [
        ("9007199254740992", 0, IntegerOutOfRange),
        ("[-9007199254740992]", 1, IntegerOutOfRange),
        ("10000000000000000", 0, IntegerOutOfRange),
        ("18446744073709551617", 0, IntegerOutOfRange),
        ("-0", 0, NegativeZero),
        ("1.0", 1, Float),
        ("-0.0", 2, Float),
        ("[12e1]", 3, Float),
        ("1E1", 1, Float),
    ] {
        assert_eq!(strict(text), Err((offset, kind)), "{text}");
    }
}

#[test]
fn relaxed_keeps_integers_of_any_size_up_to_what_python_reads() {
    for text in
        ["9007199254740993", "-9223372036854775808", "9223372036854775808", "-123456789012345678901234567890"]
    {
        assert_eq!(relaxed(text).as_deref(), Ok(text));
    }
    let longest = format!("-{}", "1".repeat(4300));
    assert_eq!(relaxed(&longest), Ok(longest.clone()));
    assert_eq!(relaxed(format!("[{longest}1]")), Err((1, IntegerTooLong)));
    assert_eq!(relaxed("1e309"), Err((0, FloatOutOfRange)));
    assert_eq!(relaxed("[-1e999]"), Err((1, FloatOutOfRange)));
}

/// CVE-2020-26890: Synapse read `NaN` and `Infinity` in events and passed them on to servers that
/// could not.
#[test]
fn cve_2020_26890_nan_and_infinity_are_refused_everywhere() {
    for (text, offset) in [
        ("NaN", 0),
        ("Infinity", 0),
        ("-Infinity", 0),
        (r#"{"content":{"a":NaN}}"#, 16),
        (r#"{"depth":-Infinity}"#, 9),
        ("[1,Infinity]", 3),
    ] {
        assert_eq!(strict(text), Err((offset, NotFinite)), "{text}");
        assert_eq!(relaxed(text), Err((offset, NotFinite)), "{text}");
    }
    assert_eq!(member(r#"{"a":1,"b":NaN}"#, "a").unwrap_err().kind, NotFinite);
}

/// gomatrixserverlib 41497b7 fixed how canonical JSON treats surrogates: other servers then hash
/// other bytes.
#[test]
fn gomatrixserverlib_41497b7_lone_surrogates_are_refused_and_pairs_are_joined() {
    for (text, offset, unit) in [
        (r#""\ud800""#, 1, 0xD800),
        (r#""\udfff""#, 1, 0xDFFF),
        (r#""a\uD83Dx""#, 2, 0xD83D),
        (r#""\ud83d\n""#, 1, 0xD83D),
        (r#""\ud83d\u0041""#, 1, 0xD83D),
        (r#""\ud83d\ud83d""#, 1, 0xD83D),
        (r#""\ude00\ud83d""#, 1, 0xDE00),
        (r#"{"\udc00":1}"#, 2, 0xDC00),
    ] {
        assert_eq!(strict(text), Err((offset, LoneSurrogate { unit })), "{text}");
        assert_eq!(relaxed(text), Err((offset, LoneSurrogate { unit })), "{text}");
    }
    assert_eq!(strict(r#""\ud83d\ude00\uD800\uDC00""#).as_deref(), Ok("\"\u{1f600}\u{10000}\""));
}

/// gomatrixserverlib e97395e fixed how canonical JSON treats `-0` and exponents.
#[test]
fn gomatrixserverlib_e97395e_negative_zero_and_exponents_are_refused_or_printed_anew() {
    for (text, printed) in
        [("-0", "0"), ("1e3", "1000.0"), ("1E+3", "1000.0"), ("-0.0", "-0.0"), ("-0e1", "-0.0")]
    {
        assert!(matches!(strict(text), Err((_, NegativeZero | Float))), "{text}");
        assert_eq!(relaxed(text).as_deref(), Ok(printed), "{text}");
    }
}

#[test]
fn strings_have_one_form() {
    for (text, printed) in [
        (r#""\b\t\n\f\r\"\\""#, r#""\b\t\n\f\r\"\\""#),
        (r#""\u0008\u0009\u000A\u000c\u000D\u0022\u005c""#, r#""\b\t\n\f\r\"\\""#),
        (r#""\u0000\u000B\u000e\u001F""#, r#""\u0000\u000b\u000e\u001f""#),
        (r#""\u0020\u007f\/""#, "\" \u{7f}/\""),
        ("\"\u{7f}\u{80}\u{2028}\u{2029}\u{feff}\"", "\"\u{7f}\u{80}\u{2028}\u{2029}\u{feff}\""),
        (r#""\u2028\u00e9""#, "\"\u{2028}é\""),
    ] {
        assert_eq!(strict(text).as_deref(), Ok(printed), "{text}");
    }
}

#[test]
fn keys_are_ordered_by_code_point_and_not_by_utf_16_or_by_escape() {
    for (text, printed) in [
        // UTF-16 order would put the surrogates of U+1F600 before U+FFFF.
        ("{\"\u{1f600}\":1,\"\u{ffff}\":2}", "{\"\u{ffff}\":2,\"\u{1f600}\":1}"),
        (r#"{"b":1,"aa":2,"a":3,"":4}"#, r#"{"":4,"a":3,"aa":2,"b":1}"#),
        (r#"{"\\":1,"]":2,"[":3}"#, r#"{"[":3,"\\":1,"]":2}"#),
        (r##"{"a#":1,"a\"":2,"a!":3,"a ":4,"a":5}"##, r##"{"a":5,"a ":4,"a!":3,"a\"":2,"a#":1}"##),
        (r#"{"a\u0001":1,"a\u0000":2,"a":3}"#, r#"{"a":3,"a\u0000":2,"a\u0001":1}"#),
        (r#"{"12345678b":1,"12345678a":2,"12345678":3}"#, r#"{"12345678":3,"12345678a":2,"12345678b":1}"#),
        (r#"{"1234567":1,"123456":2}"#, r#"{"123456":2,"1234567":1}"#),
        (r#"{"é":1,"z":2}"#, r#"{"z":2,"é":1}"#),
    ] {
        assert_eq!(strict(text).as_deref(), Ok(printed), "{text}");
        assert_eq!(not_canonical(text).1, NotCanonicalKind::KeyOrder);
    }
}

#[test]
fn of_duplicate_keys_the_last_one_wins() {
    for (text, printed) in [
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":2,"b":0,"a":1}"#, r#"{"a":1,"b":0}"#),
        (r#"{"a":1,"\u0061":2,"a":{"x":[]}}"#, r#"{"a":{"x":[]}}"#),
        (r#"{"a":{"a":1,"a":2},"b":{"c":1},"a":{"a":4,"a":3}}"#, r#"{"a":{"a":3},"b":{"c":1}}"#),
    ] {
        assert_eq!(strict(text).as_deref(), Ok(printed), "{text}");
    }
    assert_eq!(not_canonical(r#"{"a":1,"a":2}"#), (7, NotCanonicalKind::DuplicateKey));
    assert_eq!(member(r#"{"a":1,"a":2}"#, "a").unwrap().unwrap().as_i64(), Some(2));
    assert_eq!(fields(r#"{"a":1,"a":2}"#).count(), 2);
}

#[test]
fn departures_from_canonical_form_are_named() {
    for (text, offset, kind) in [
        (" 1", 0, NotCanonicalKind::WhiteSpace),
        ("1\n", 1, NotCanonicalKind::WhiteSpace),
        ("[1, 2]", 3, NotCanonicalKind::WhiteSpace),
        (r#"{"a" :1}"#, 4, NotCanonicalKind::WhiteSpace),
        (r#"["\/"]"#, 1, NotCanonicalKind::Escape),
        (r#"["\u001F"]"#, 1, NotCanonicalKind::Escape),
        (r#"["\u000a"]"#, 1, NotCanonicalKind::Escape),
        (r#"{"\u0061":1}"#, 1, NotCanonicalKind::Escape),
        ("[-0]", 1, NotCanonicalKind::NumberForm),
        ("[1E5]", 1, NotCanonicalKind::NumberForm),
        ("[1.50]", 1, NotCanonicalKind::NumberForm),
    ] {
        assert_eq!(not_canonical(text), (offset, kind), "{text}");
    }
    let float = check_canonical(b"[1.5]", &Limits::STRICT).unwrap_err();
    assert_eq!((float.offset, float.kind), (2, NotCanonicalKind::Invalid(Float)));
    assert_eq!(float.to_string(), "not canonical JSON at byte 2: number with a fraction or an exponent");
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_where_they_start() {
    for (bytes, offset) in [
        (b"\"\xff\"".as_slice(), 1),
        (b"\"ab\xc3\"", 3),
        (b"\"\xc0\xaf\"", 1),
        (b"\"\xed\xa0\x80\"", 1),
        (b"\"\xf4\x90\x80\x80\"", 1),
        (b"{\"\x80\":1}", 2),
    ] {
        assert_eq!(strict(bytes), Err((offset, InvalidUtf8)));
        let error = check_canonical(bytes, &Limits::STRICT).unwrap_err();
        assert_eq!((error.offset, error.kind), (offset, NotCanonicalKind::Invalid(InvalidUtf8)));
    }
}

#[test]
fn depth_is_bounded_where_serde_json_bounds_it() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| {
            let text = format!("{}[]{}", open.repeat(depth - 1), close.repeat(depth - 1));
            (strict(&text).is_ok(), serde_json::from_str::<serde_json::Value>(&text).is_ok())
        };
        assert_eq!(nested(127), (true, true));
        assert_eq!(nested(128), (false, false));
    }
    let bomb = "[".repeat(1 << 20);
    assert_eq!(strict(&bomb), Err((127, TooDeep { limit: 127 })));
    assert_eq!(elements(&bomb).next().unwrap().unwrap_err().kind, TooDeep { limit: 127 });
    let none = Limits { depth: 0, ..Limits::STRICT };
    assert_eq!(canonical("1", &none).as_deref(), Ok("1"));
    assert_eq!(canonical("[]", &none), Err((0, TooDeep { limit: 0 })));
    // Depth is given back when an array or object ends.
    let one = Limits { depth: 2, ..Limits::STRICT };
    assert_eq!(canonical("[[],{},[]]", &one).as_deref(), Ok("[[],{},[]]"));
}

#[test]
fn length_is_bounded() {
    let limits = Limits { bytes: 4, ..Limits::STRICT };
    assert_eq!(canonical("1234", &limits).as_deref(), Ok("1234"));
    assert_eq!(canonical("12345", &limits), Err((4, TooLong { length: 5, limit: 4 })));
}

#[test]
fn a_canonical_text_is_not_copied() {
    let text = br#"{"a":[1,2.5],"b":{"c":"\n"}}"#;
    let borrowed = canonical_text(text, &Limits::RELAXED).unwrap();
    assert!(matches!(borrowed, std::borrow::Cow::Borrowed(_)));
    let value = parse(text, &Limits::RELAXED).unwrap();
    assert_eq!(value.as_object().unwrap().get("a").unwrap().as_array().unwrap().len(), 2);
}

#[test]
fn only_an_object_becomes_a_canonical_object() {
    for (text, offset, byte) in [("[]", 0, b'['), (" \"{}\"", 1, b'"'), ("1", 0, b'1')] {
        let error = CanonicalObject::parse(text.as_bytes(), &Limits::STRICT).unwrap_err();
        assert_eq!((error.offset, error.kind), (offset, Unexpected { byte }));
    }
    let empty = CanonicalObject::parse(b" { } ", &Limits::STRICT).unwrap();
    assert_eq!((empty.as_str(), empty.len()), ("{}", 0));
    assert_eq!(empty.get(""), None);
}

#[test]
fn canonical_object_gives_its_text_and_that_of_each_member() {
    let object = CanonicalObject::parse(br#"{"b": [1], "a": 2}"#, &Limits::STRICT).unwrap();
    let texts: Vec<&str> = object.iter().map(|member| member.text()).collect();
    assert_eq!(texts, [r#""a":2"#, r#""b":[1]"#]);
    assert!(!object.is_empty());
    assert_eq!(format!("{object:?}"), r#"{"a":2,"b":[1]}"#);
    assert_eq!(object.into_string(), r#"{"a":2,"b":[1]}"#);
    assert!(CanonicalObject::parse(b"{}", &Limits::STRICT).unwrap().is_empty());
}

#[test]
fn is_canonical_is_whether_the_check_passes() {
    assert!(is_canonical(br#"{"a":1}"#, &Limits::STRICT));
    assert!(!is_canonical(br#"{"a": 1}"#, &Limits::STRICT));
}

#[test]
fn keys_are_sorted_by_the_first_byte_on_which_they_differ() {
    for (text, printed) in [
        // Bytes without a bit in common.
        (r#"{"@a":1,"!b":2}"#, r#"{"!b":2,"@a":1}"#),
        (r#"{"12345678@a":1,"12345678!b":2}"#, r#"{"12345678!b":2,"12345678@a":1}"#),
        // A key and its beginning.
        (r#"{"ab":1,"a":2}"#, r#"{"a":2,"ab":1}"#),
        (r#"{"123456789":1,"12345678":2}"#, r#"{"12345678":2,"123456789":1}"#),
    ] {
        assert_eq!(strict(text).as_deref(), Ok(printed));
    }
}

#[test]
fn elements_and_members_count_the_depth_of_what_they_are_in() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    for (depth, good) in [(Limits::RELAXED.depth, true), (Limits::RELAXED.depth + 1, false)] {
        assert_eq!(elements(&nested(depth)).all(|element| element.is_ok()), good, "{depth}");
        let object = format!("{{\"a\":{}}}", nested(depth - 1));
        assert_eq!(fields(&object).all(|field| field.is_ok()), good, "{depth}");
    }
}

#[test]
fn bounds_are_those_of_the_network() {
    assert_eq!(Limits::STRICT.bytes, 13_107_200);
    assert_eq!((MIN_INTEGER, MAX_INTEGER), (-9_007_199_254_740_991, 9_007_199_254_740_991));
    assert_eq!(Limits::RELAXED, Limits { numbers: Numbers::Relaxed, ..Limits::STRICT });
}

#[test]
fn a_borrowed_sink_is_a_sink() {
    let mut out = Vec::new();
    Value::Bool(true).write_canonical(&mut &mut out);
    assert_eq!(out, b"true");
}

#[test]
fn each_control_character_has_one_escape() {
    for byte in 0..0x20_u8 {
        let escape = match byte {
            0x08 => r"\b".to_owned(),
            0x09 => r"\t".to_owned(),
            0x0A => r"\n".to_owned(),
            0x0C => r"\f".to_owned(),
            0x0D => r"\r".to_owned(),
            _ => format!(r"\u{byte:04x}"),
        };
        assert_eq!(strict(format!("\"\\u{byte:04X}\"")), Ok(format!("\"{escape}\"")), "{byte}");
    }
}

#[test]
fn large_objects_in_any_order_are_sorted() {
    // Lengths and counts beyond those at which sorting changes its method.
    for count in [1_u64, 2, 20, 21, 50, 1000] {
        let keys: Vec<String> =
            (0..count).map(|i| format!("@user{}:example.org", i * 7919 % count)).collect();
        let members: Vec<String> = keys.iter().map(|key| format!("\"{key}\":[0]")).collect();
        let text = format!("{{\"z\":1,\"users\":{{{}}}}}", members.join(","));
        assert!(strict(&text).is_ok_and(|out| {
            serde_json::from_str::<Value<'_>>(&text)
                .is_ok_and(|value| value.to_canonical_vec() == out.as_bytes())
        }));
    }
}
