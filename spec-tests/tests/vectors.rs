//! The vectors that the specification gives.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use freehold_canonical_json::{Limits, Object, Value as Canonical, canonicalize, parse};
use freehold_event::{RoomVersion, content_hash, redact};
use freehold_signing::{KeyId, ServerSigner, Signer, SigningKey, sign_json};
use ruma_common::OwnedServerName;
use serde_json::Value;

fn data(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn canonical_json_is_that_of_the_appendix() {
    let data = data(include_str!("../data/canonical-json.json"));
    for vector in data["vectors"].as_array().unwrap() {
        let (input, output) = (vector["input"].as_str().unwrap(), vector["output"].as_str().unwrap());
        for limits in [Limits::STRICT, Limits::RELAXED] {
            let mut canonical = Vec::new();
            canonicalize(input.as_bytes(), &limits, &mut canonical).unwrap();
            assert_eq!(String::from_utf8(canonical).unwrap(), output);
            assert_eq!(parse(input.as_bytes(), &limits).unwrap().to_canonical_vec(), output.as_bytes());
        }
    }
    for input in data["refused"].as_array().unwrap() {
        assert!(parse(input.as_str().unwrap().as_bytes(), &Limits::STRICT).is_err(), "{input}");
    }
}

fn object(value: &Value) -> Object<'static> {
    let text = value.to_string();
    match parse(text.as_bytes(), &Limits::STRICT).unwrap() {
        Canonical::Object(object) => object.into_owned(),
        other => panic!("{other:?}"),
    }
}

fn signer(data: &Value) -> ServerSigner {
    let key = SigningKey::from_base64_seed(data["seed"].as_str().unwrap()).unwrap();
    let server = OwnedServerName::try_from(data["server_name"].as_str().unwrap()).unwrap();
    ServerSigner::new(server, KeyId::parse(data["key_id"].as_str().unwrap()).unwrap(), key)
}

#[test]
fn json_is_signed_as_in_the_appendix() {
    let data = data(include_str!("../data/signing.json"));
    for vector in data["json"].as_array().unwrap() {
        let mut signed = object(&vector["object"]);
        sign_json(&mut signed, &signer(&data)).unwrap();
        let signed: Value = serde_json::from_slice(&signed.to_canonical_vec()).unwrap();
        assert_eq!(signed["signatures"]["domain"]["ed25519:1"], vector["signature"]);
    }
}

/// "Signing events": the content hash goes into `hashes`, and the signature covers the redacted
/// event without `signatures` and `unsigned`.
#[test]
fn events_are_hashed_and_signed_as_in_the_appendix() {
    let data = data(include_str!("../data/signing.json"));
    for vector in data["events"].as_array().unwrap() {
        let mut event = object(&vector["event"]);
        let hash = content_hash(&event).to_base64();
        assert_eq!(hash, vector["hash"].as_str().unwrap());
        event.insert("hashes", [("sha256", hash)].into_iter().collect::<Object<'_>>());
        let mut redacted = redact(&event, RoomVersion::V1);
        redacted.remove("signatures");
        redacted.remove("unsigned");
        let signature = signer(&data).sign(&redacted.to_canonical_vec()).to_base64();
        assert_eq!(signature, vector["signature"].as_str().unwrap());
    }
}
