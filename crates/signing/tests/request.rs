//! Signing requests and checking who sent one.

mod support;

use freehold_canonical_json::{Limits, Value, parse};
use freehold_signing::{
    KeyValidity, Request, RequestError, Signer, XMatrix, sign_json, sign_request, verify_request,
};
use proptest::prelude::*;
use ruma_common::{ServerName, server_name};
use support::{Keys, signer};

const NOW_MS: i64 = 1_700_000_000_000;

fn put<'r>(destination: &'r ServerName, content: &'r [u8]) -> Request<'r> {
    let uri = "/_matrix/federation/v1/send/1?a=%20b";
    Request { method: "PUT", uri, destination, content: Some(content) }
}

#[test]
fn a_signed_request_is_authenticated() {
    let signer = signer("a.example", "1", 1);
    let keys = Keys::of(&signer);
    let b = server_name!("b.example:8448");
    for content in [Some(&br#"{"pdus": [1.0, {"z":1,"a":2}]}"#[..]), Some(b"{}"), None] {
        let request = Request { content, ..put(b, b"") };
        let header = sign_request(&request, &signer).unwrap().to_string();
        let credentials = XMatrix::parse(header.as_bytes()).unwrap();
        assert_eq!(credentials.origin, "a.example");
        assert_eq!(verify_request(&request, &credentials, &keys, NOW_MS), Ok(()));
    }
}

/// What is signed is the object of "Step 1 sign JSON", made here with the JSON signing of the crate.
#[test]
fn the_signature_is_that_of_the_object_in_the_specification() {
    let signer = signer("a.example", "1", 1);
    let request = put(server_name!("b.example"), b"{ \"z\": [], \"a\": \"\\u00e9\" }");
    let signed = sign_request(&request, &signer).unwrap();
    let step_1 = r#"{"method":"PUT","uri":"/_matrix/federation/v1/send/1?a=%20b",
        "origin":"a.example","destination":"b.example","content":{"z":[],"a":"é"}}"#;
    let mut object = parse(step_1.as_bytes(), &Limits::STRICT).unwrap().into_object().unwrap();
    sign_json(&mut object, &signer).unwrap();
    let expected = support::signature_of(&object, "a.example", "ed25519:1");
    assert_eq!(expected, Some(signed.signature));
}

#[test]
fn the_spelling_of_the_body_does_not_matter_and_its_absence_does() {
    let signer = signer("a.example", "1", 1);
    let keys = Keys::of(&signer);
    let b = server_name!("b.example");
    let signed = sign_request(&put(b, br#"{"a":1,"b":"\u00e9"}"#), &signer).unwrap();
    let check = |request: Request<'_>| verify_request(&request, &signed, &keys, NOW_MS);
    assert_eq!(check(put(b, "{ \"b\": \"é\", \"a\": 1 }".as_bytes())), Ok(()));
    assert!(check(put(b, br#"{"a":2,"b":"\u00e9"}"#)).is_err());
    assert!(check(Request { content: None, ..put(b, b"") }).is_err());
    let malformed = check(put(b, br#"{"a":1"#)).unwrap_err();
    assert!(matches!(malformed, RequestError::Content(_)), "{malformed}");
}

#[test]
fn every_part_of_the_request_is_covered() {
    let signer = signer("a.example", "1", 1);
    let keys = Keys::of(&signer).with(&support::signer("c.example", "1", 1));
    let (b, d) = (server_name!("b.example"), server_name!("d.example"));
    let request = put(b, b"{}");
    let signed = sign_request(&request, &signer).unwrap();
    let wrong = |request: Request<'_>, credentials: &XMatrix| {
        let error = verify_request(&request, credentials, &keys, NOW_MS).unwrap_err();
        assert!(matches!(error, RequestError::WrongSignature { .. }), "{error}");
    };
    wrong(Request { method: "POST", ..request }, &signed);
    wrong(Request { uri: "/_matrix/federation/v1/send/1", ..request }, &signed);
    // Without a destination in the header, the one signed still counts.
    let silent = XMatrix { destination: None, ..signed.clone() };
    assert_eq!(verify_request(&request, &silent, &keys, NOW_MS), Ok(()));
    wrong(Request { destination: d, ..request }, &silent);
    // Even with the same key, another server's name does not verify.
    wrong(request, &XMatrix { origin: "c.example".try_into().unwrap(), ..signed });
}

#[test]
fn a_request_meant_for_another_destination_is_refused() {
    let signer = signer("a.example", "1", 1);
    let keys = Keys::of(&signer);
    let (b, other) = (server_name!("b.example"), server_name!("B.example"));
    let signed = sign_request(&put(b, b"{}"), &signer).unwrap();
    let got = verify_request(&put(other, b"{}"), &signed, &keys, NOW_MS);
    assert_eq!(got, Err(RequestError::WrongDestination { named: b.to_owned() }));
}

#[test]
fn only_a_key_in_use_and_valid_now_signs_requests() {
    let signer = signer("a.example", "1", 1);
    let request = put(server_name!("b.example"), b"{}");
    let signed = sign_request(&request, &signer).unwrap();
    let (server, key_id) = (signer.server_name().to_owned(), signer.key_id().clone());
    for (validity, good) in [
        (KeyValidity::Current { valid_until_ts: NOW_MS }, true),
        (KeyValidity::Current { valid_until_ts: NOW_MS - 1 }, false),
        (KeyValidity::Old { expired_ts: NOW_MS + 1 }, false),
    ] {
        let got = verify_request(&request, &signed, &Keys::of(&signer).valid(validity), NOW_MS);
        let (server, key_id) = (server.clone(), key_id.clone());
        let refused = Err(RequestError::KeyNotValid { server, key_id, validity });
        assert_eq!(got, if good { Ok(()) } else { refused });
    }
    let unknown = verify_request(&request, &signed, &Keys::default(), NOW_MS);
    assert_eq!(unknown, Err(RequestError::UnknownKey { server, key_id }));
}

#[test]
fn a_key_of_another_algorithm_is_never_used() {
    let signer = signer("a.example", "1", 1);
    let request = put(server_name!("b.example"), b"{}");
    let mut signed = sign_request(&request, &signer).unwrap();
    signed.key = "rsa:1".parse().unwrap();
    // Even when the source has a key under that name.
    let keys = Keys::of(&signer).under("rsa:1");
    let got = verify_request(&request, &signed, &keys, NOW_MS);
    assert!(matches!(got, Err(RequestError::UnknownKey { .. })));
}

#[test]
fn a_body_that_is_not_json_cannot_be_signed() {
    let request = put(server_name!("b.example"), b"{\"a\":NaN}");
    assert!(sign_request(&request, &signer("a.example", "1", 1)).is_err());
}

proptest! {
    #[test]
    fn any_request_survives_signing_and_any_flipped_bit_of_the_signature_fails(
        method in "[A-Z]{1,7}", uri in "/_matrix/[ -~é]{0,40}", body in "[ -~é]{0,40}", bit in 0usize..512,
    ) {
        let signer = signer("a.example", "1", 1);
        let keys = Keys::of(&signer);
        let content = Value::String(body.into()).to_canonical_vec();
        let destination = server_name!("b.example");
        let request = Request { method: &method, uri: &uri, destination, content: Some(&content) };
        let mut signed = sign_request(&request, &signer).unwrap();
        prop_assert_eq!(verify_request(&request, &signed, &keys, NOW_MS), Ok(()));
        let mut bytes = *signed.signature.as_bytes();
        if let Some(byte) = bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        signed.signature = freehold_signing::Signature::from_bytes(bytes);
        prop_assert!(verify_request(&request, &signed, &keys, NOW_MS).is_err());
    }
}
