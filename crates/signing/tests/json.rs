//! Signing and verifying JSON objects.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use freehold_canonical_json::{Limits, Object, Value, parse};
use freehold_signing::{
    KeyId, KeyValidity, MalformedSignatures, ServerSigner, SignatureError, SigningKey, ValidAt, sign_json,
    verify_json,
};
use proptest::prelude::*;
use ruma_common::server_name;
use support::{Keys, signer};

fn object(text: &str) -> Object<'_> {
    parse(text.as_bytes(), &Limits::RELAXED).unwrap().into_object().unwrap()
}

fn text(object: &Object<'_>) -> String {
    String::from_utf8(object.to_canonical_vec()).unwrap()
}

/// <https://spec.matrix.org/v1.19/appendices/#cryptographic-test-vectors>
#[test]
fn the_vectors_of_the_specification_hold() {
    let key = SigningKey::from_base64_seed("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1").unwrap();
    let domain = server_name!("domain");
    let signer = ServerSigner::new(domain.to_owned(), KeyId::ed25519("1").unwrap(), key);
    let keys = Keys::of(&signer);
    for (plain, signature) in [
        ("{}", "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"),
        (
            r#"{"one":1,"two":"Two"}"#,
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ] {
        let mut signed = object(plain);
        sign_json(&mut signed, &signer).unwrap();
        let entry = format!(r#""signatures":{{"domain":{{"ed25519:1":"{signature}"}}}}"#);
        assert!(text(&signed).contains(&entry), "{}", text(&signed));
        assert_eq!(verify_json(&signed, domain, &keys), Ok(()));
    }
}

#[test]
fn signing_keeps_the_signatures_and_the_unsigned_part_that_are_there() {
    let (ours, other) = (signer("ours.example", "1", 1), signer("ours.example", "2", 2));
    let mut signed = object(
        r#"{"a":1,"signatures":{"ours.example":{"ed25519:0":"x"},"b.example":{"k":"y"}},"unsigned":{"u":1}}"#,
    );
    sign_json(&mut signed, &ours).unwrap();
    let before = text(&signed);
    sign_json(&mut signed, &other).unwrap();
    let all = text(&signed);
    for kept in [r#""ed25519:0":"x""#, r#""b.example":{"k":"y"}"#, r#""unsigned":{"u":1}"#] {
        assert!(before.contains(kept) && all.contains(kept), "{all}");
    }
    // Neither part is covered.
    signed.remove("unsigned");
    assert_eq!(verify_json(&signed, server_name!("ours.example"), &Keys::of(&ours)), Ok(()));
    assert_eq!(verify_json(&signed, server_name!("ours.example"), &Keys::of(&other)), Ok(()));
}

#[test]
fn malformed_signatures_are_an_error_and_stay_as_they_are() {
    for text_of in
        [r#"{"signatures":[]}"#, r#"{"signatures":{"ours.example":"x"}}"#, r#"{"signatures":null}"#]
    {
        let mut signed = object(text_of);
        assert_eq!(sign_json(&mut signed, &signer("ours.example", "1", 1)), Err(MalformedSignatures));
        assert_eq!(text(&signed), text_of);
    }
}

#[test]
fn each_step_of_the_check_fails_by_its_name() {
    let server = server_name!("a.example");
    let (known, strange) = (signer("a.example", "1", 1), signer("a.example", "2", 2));
    let keys = Keys::of(&known);
    let mut signed = object(r#"{"x":1}"#);
    sign_json(&mut signed, &strange).unwrap();
    let unknown = vec![KeyId::ed25519("2").unwrap()];
    let key_id = KeyId::ed25519("1").unwrap();
    let name = || "a.example".to_owned();
    let no_key = SignatureError::NoUsableKey { server: name(), unknown, out_of_time: Vec::new() };
    assert_eq!(verify_json(&signed, server, &keys), Err(no_key));
    let cases = [
        ("{}", SignatureError::NotSigned { server: name() }),
        (r#"{"signatures":{}}"#, SignatureError::NotSigned { server: name() }),
        (r#"{"signatures":{"b.example":{"ed25519:1":"x"}}}"#, SignatureError::NotSigned { server: name() }),
        (r#"{"signatures":{"a.example":7}}"#, SignatureError::NotSigned { server: name() }),
        (r#"{"signatures":{"a.example":{}}}"#, SignatureError::NoKnownAlgorithm { server: name() }),
        (
            r#"{"signatures":{"a.example":{"rsa:1":"x","nonsense":"y"}}}"#,
            SignatureError::NoKnownAlgorithm { server: name() },
        ),
        (
            r#"{"signatures":{"a.example":{"ed25519:1":7}}}"#,
            SignatureError::Malformed { server: name(), key_id: key_id.clone() },
        ),
        (
            r#"{"signatures":{"a.example":{"ed25519:1":"AAAA"}}}"#,
            SignatureError::Malformed { server: name(), key_id: key_id.clone() },
        ),
    ];
    for (text, error) in cases {
        assert_eq!(verify_json(&object(text), server, &keys), Err(error), "{text}");
    }
    // Another server's signature under this name, and this server's under another.
    sign_json(&mut signed, &known).unwrap();
    signed.insert("x", 2);
    let wrong = SignatureError::Wrong { server: name(), key_id };
    assert_eq!(verify_json(&signed, server, &keys), Err(wrong));
}

#[test]
fn unknown_keys_are_skipped_but_every_known_one_must_hold() {
    let server = server_name!("a.example");
    let (good, other) = (signer("a.example", "1", 1), signer("a.example", "2", 2));
    let mut signed = object(r#"{"x":1}"#);
    sign_json(&mut signed, &good).unwrap();
    sign_json(&mut signed, &other).unwrap();
    assert_eq!(verify_json(&signed, server, &Keys::of(&good)), Ok(()));
    let both = Keys::of(&good).with(&other);
    assert_eq!(verify_json(&signed, server, &both), Ok(()));
    // The second key is known by other bytes now: one good signature does not excuse it.
    let spoilt = Keys::of(&good).with(&signer("a.example", "2", 3));
    let error = verify_json(&signed, server, &spoilt).unwrap_err();
    assert!(matches!(error, SignatureError::Wrong { .. }), "{error}");
}

#[test]
fn a_source_can_be_narrowed_to_the_keys_valid_now() {
    let server = server_name!("a.example");
    let signer = signer("a.example", "1", 1);
    let mut signed = object("{}");
    sign_json(&mut signed, &signer).unwrap();
    for (validity, now_ms, good) in [
        (KeyValidity::Current { valid_until_ts: 1000 }, 1000, true),
        (KeyValidity::Current { valid_until_ts: 1000 }, 1001, false),
        (KeyValidity::Old { expired_ts: 5000 }, 1000, false),
    ] {
        let keys = ValidAt { keys: &Keys::of(&signer).valid(validity), now_ms };
        assert_eq!(verify_json(&signed, server, &keys).is_ok(), good, "{validity:?} {now_ms}");
    }
}

/// What a signature covers, and the signature.
fn meaning(object: &Object<'_>) -> (Vec<u8>, Option<freehold_signing::Signature>) {
    let mut bytes = Vec::new();
    object.write_canonical_if(|key| key != "signatures", &mut bytes);
    (bytes, support::signature_of(object, "a.example", "ed25519:1"))
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_any_flipped_bit_fails(
        value in "[ -~é]{0,40}", seed: u8, position: prop::sample::Index, bit in 0u8..8,
    ) {
        let server = server_name!("a.example");
        let signer = signer("a.example", "1", seed);
        let keys = Keys::of(&signer);
        let mut signed = Object::new();
        signed.insert("value", value.clone());
        sign_json(&mut signed, &signer).unwrap();
        prop_assert_eq!(verify_json(&signed, server, &keys), Ok(()));
        // Flip one bit of the text; whatever still parses as another object does not verify.
        let before = signed.to_canonical_vec();
        let mut bytes = before.clone();
        let at = position.index(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
        if let Some(flipped) = parse(&bytes, &Limits::RELAXED).ok().and_then(Value::into_object) {
            let same = meaning(&flipped) == meaning(&signed);
            prop_assert_eq!(verify_json(&flipped, server, &keys).is_ok(), same);
        }
    }
}
