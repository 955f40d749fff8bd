//! Canonical JSON: text in, canonical text out.

use freehold_canonical_json::{Limits, canonicalize, is_canonical};
use ruma_common::CanonicalJsonValue;
use serde_json::Value;

use crate::{
    pdus,
    table::{Table, Target},
};

pub(crate) fn rows(table: &mut Table) {
    let times = Target::TimesFaster;
    row(table, "message PDU", &pdus::message(), [times(4.0), times(4.0)]);
    row(table, "member PDU", &pdus::member(), [times(4.0), times(4.0)]);
    row(table, "60 KB in one string", &pdus::long_string(), [Target::None, Target::None]);
    row(table, "60 KB in many keys", &pdus::many_keys(), [times(3.0), times(6.0)]);
    let text = pdus::canonical(&pdus::message());
    let name = format!("message PDU ({} bytes): already canonical?", text.len());
    table.alone(&name, Target::BytesPerSecond(2e9), text.len(), || {
        is_canonical(text.as_bytes(), &Limits::STRICT)
    });
}

fn row(table: &mut Table, what: &str, event: &Value, [shuffled, canonical]: [Target; 2]) {
    let inputs =
        [("shuffled", pdus::shuffled(event), shuffled), ("canonical", pdus::canonical(event), canonical)];
    for (order, text, target) in inputs {
        let name = format!("{what} ({} bytes), {order}: parse and print", text.len());
        assert_eq!(ours(&text), theirs(&text), "{name}");
        table.against(&name, target, || ours(&text), || theirs(&text));
    }
}

fn ours(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let outcome = canonicalize(text.as_bytes(), &Limits::STRICT, &mut out);
    assert!(outcome.is_ok(), "{outcome:?}");
    out
}

fn theirs(text: &str) -> Vec<u8> {
    let value = serde_json::from_str::<CanonicalJsonValue>(text);
    value.map(|value| value.to_string().into_bytes()).unwrap_or_default()
}
