//! Generators of values and texts.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "part of several test programs, none of which uses all of it"
)]

use freehold_canonical_json::{Number, Object, Value};
use proptest::{collection::vec, prelude::*};

/// A string that is likely to hit the special cases.
pub(crate) fn string() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        6 => any::<char>(),
        3 => prop::sample::select(vec![
            '"', '\\', '/', '\u{0}', '\u{8}', '\u{b}', '\u{1f}', ' ', '!', '#', '\u{7f}', '\u{80}',
            '\u{7ff}', '\u{800}', '\u{2028}', '\u{d7ff}', '\u{e000}', '\u{ffff}', '\u{10000}',
            '\u{10ffff}', '\n', '\t', '\r', '\u{c}',
        ]),
        12 => prop::char::range('a', 'd'),
    ];
    vec(character, 0..24).prop_map(|characters| characters.into_iter().collect())
}

/// A key, from few enough that duplicates and common prefixes occur.
pub(crate) fn key() -> impl Strategy<Value = String> {
    prop_oneof![string(), "[ab]{0,3}", "prefixes[a-c\u{0} !\"#]{0,3}", "prefix[\u{0}\"\\\\ ]{0,3}",]
}

fn number() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        any::<i64>().prop_map(Value::Integer),
        (-20_i64..20).prop_map(Value::Integer),
        any::<f64>().prop_filter_map("finite", |float| Number::from_f64(float).map(Value::Number)),
        (-1e17..1e17_f64).prop_filter_map("finite", |float| Number::from_f64(float).map(Value::Number)),
    ]
}

/// Any value that has a canonical form.
pub(crate) fn value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number(),
        string().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec((key(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Object<'_>>())),
        ]
    })
}

/// Canonical text.
pub(crate) fn canonical_text() -> impl Strategy<Value = Vec<u8>> {
    value().prop_map(|value| value.to_canonical_vec())
}

/// A canonical text and another text for the same value.
pub(crate) fn spoiled() -> impl Strategy<Value = (String, String)> {
    (value(), any::<u64>()).prop_map(|(value, seed)| {
        let text = String::from_utf8(value.to_canonical_vec()).unwrap();
        let mut out = String::new();
        Spoiler { seed, duplicates: true }.value(&value, &mut out);
        (text, out)
    })
}

/// Well-formed text in any form.
pub(crate) fn document() -> impl Strategy<Value = String> {
    spoiled().prop_map(|(_, text)| text)
}

/// Well-formed text, text with a few bytes changed, and token soup.
pub(crate) fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        " ",
        "\n",
        "\"a\"",
        "\"b\":",
        "\"",
        "\\",
        "\\u00",
        "\\ud800",
        "\\udc00",
        "0",
        "-0",
        "-",
        "1",
        "9007199254740992",
        "12345678901234567890",
        "1.5",
        "1e400",
        "E+2",
        "0.0",
        "true",
        "false",
        "null",
        "nul",
        "NaN",
        "Infinity",
        "\u{0}",
        "\u{2028}",
    ]);
    let damaged = (document(), vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4)).prop_map(
        |(text, edits)| {
            let mut bytes = text.into_bytes();
            for (at, byte, how) in edits {
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, byte & 0x7f),
                }
            }
            bytes
        },
    );
    prop_oneof![
        2 => document().prop_map(String::into_bytes),
        2 => damaged,
        1 => vec(token, 0..12).prop_map(|tokens| tokens.concat().into_bytes()),
    ]
}

/// Writes a value in every way but the canonical one.
struct Spoiler {
    seed: u64,
    duplicates: bool,
}

impl Spoiler {
    fn chance(&mut self, one_in: u64) -> bool {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        (self.seed >> 33).is_multiple_of(one_in)
    }

    fn space(&mut self, out: &mut String) {
        while self.chance(6) {
            let pick = (self.seed >> 40) as usize % 4;
            out.push([' ', '\t', '\r', '\n'][pick]);
        }
    }

    fn value(&mut self, value: &Value<'_>, out: &mut String) {
        self.space(out);
        match value {
            Value::String(text) => self.string(text, out),
            Value::Array(values) => {
                out.push('[');
                for (i, value) in values.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    self.value(value, out);
                }
                self.space(out);
                out.push(']');
            }
            Value::Object(object) => self.object(object, out),
            Value::Integer(0) if self.chance(4) => out.push_str("-0"),
            other => out.push_str(std::str::from_utf8(&other.to_canonical_vec()).unwrap()),
        }
        self.space(out);
    }

    fn object(&mut self, object: &Object<'_>, out: &mut String) {
        let mut members: Vec<_> = object.iter().collect();
        if self.chance(2) {
            members.reverse();
        }
        let middle = members.len() / 2;
        if self.chance(3) {
            members.rotate_left(middle);
        }
        out.push('{');
        for (i, (key, value)) in members.into_iter().enumerate() {
            out.push_str(if i > 0 { "," } else { "" });
            if self.duplicates && self.chance(10) {
                self.string(key, out);
                out.push_str(":{\"x\":[1,\"overwritten\"]},");
            }
            self.space(out);
            self.string(key, out);
            self.space(out);
            out.push(':');
            self.value(value, out);
        }
        self.space(out);
        out.push('}');
    }

    fn string(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            let must = character < ' ' || matches!(character, '"' | '\\');
            if character == '/' && self.chance(2) {
                out.push_str("\\/");
            } else if must || self.chance(8) {
                let upper = self.chance(2);
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let digits = format!("{unit:04x}");
                    out.push_str("\\u");
                    out.push_str(&if upper { digits.to_uppercase() } else { digits });
                }
            } else {
                out.push(character);
            }
        }
        out.push('"');
    }
}
