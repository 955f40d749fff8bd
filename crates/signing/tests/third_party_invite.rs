//! Whether the `signed` object of an invite matches a key of the third-party invite.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use freehold_canonical_json::{Limits, Object, parse};
use freehold_signing::{
    ServerSigner, ThirdPartyInviteError as E, VERIFICATIONS_MAX, sign_json, verify_third_party_invite,
};
use support::signer;

fn identity_server() -> ServerSigner {
    // A seed whose public key has characters in which the two alphabets differ.
    let odd = |seed: &u8| {
        let key = signer("id.example", "0", *seed).signing_key().verifying_key().to_base64();
        key.contains('+') && key.contains('/')
    };
    signer("id.example", "0", (0..=255).find(odd).unwrap())
}

fn public(signer: &ServerSigner) -> String {
    signer.signing_key().verifying_key().to_base64()
}

/// The `signed` object, by whom it may be.
fn signed(signers: &[&ServerSigner]) -> String {
    let text = r#"{"mxid":"@ca:c.example","token":"t","sender":"@al:a.example"}"#;
    let mut object: Object<'_> = parse(text.as_bytes(), &Limits::STRICT).unwrap().into_object().unwrap();
    for signer in signers {
        sign_json(&mut object, signer).unwrap();
    }
    String::from_utf8(object.to_canonical_vec()).unwrap()
}

#[test]
fn a_signature_that_matches_any_key_allows() {
    let id = identity_server();
    let (key, other) = (public(&id), public(&signer("o.example", "1", 3)));
    let url_safe = key.replace('+', "-").replace('/', "_");
    assert_ne!(key, url_safe);
    for content in [
        format!(r#"{{"public_key":"{key}"}}"#),
        format!(r#"{{"public_key":"{url_safe}"}}"#),
        format!(r#"{{"public_key":"{key}="}}"#),
        format!(r#"{{"public_keys":[{{"public_key":"{url_safe}"}}]}}"#),
        format!(r#"{{"public_key":"{other}","public_keys":[{{"public_key":"{key}"}}]}}"#),
        format!(r#"{{"public_key":"{key}","public_keys":[{{"public_key":"{other}"}}]}}"#),
        format!(r#"{{"public_key":7,"public_keys":[7,{{}},{{"public_key":"x"}},{{"public_key":"{key}"}}]}}"#),
    ] {
        assert_eq!(verify_third_party_invite(&signed(&[&id]), &content), Ok(()), "{content}");
        // Other signatures, good or not, do no harm.
        let among = signed(&[&signer("o.example", "1", 4), &id]);
        assert_eq!(verify_third_party_invite(&among, &content), Ok(()), "{content}");
    }
}

/// ruma-state-res 0.13: the `signed` object was not verified at all.
#[test]
fn anything_else_is_refused_with_its_reason() {
    let id = identity_server();
    let content = format!(r#"{{"public_key":"{}"}}"#, public(&id));
    let good = signed(&[&id]);
    assert_eq!(verify_third_party_invite(&good, &content), Ok(()));
    for (signed, content, error) in [
        (good.replace("@ca", "@cy"), content.as_str(), E::NoMatch),
        (signed(&[&signer("id.example", "0", 77)]), &content, E::NoMatch),
        (good.replace("ed25519:0", "rsa:0"), &content, E::NotSigned),
        (signed(&[]), &content, E::NotSigned),
        (r#"{"signatures":{"id.example":{"ed25519:0":"x"}}}"#.to_owned(), &content, E::NotSigned),
        (r#"{"signatures":[]}"#.to_owned(), &content, E::NotSigned),
        ("[]".to_owned(), &content, E::NotAnObject),
        ("{".to_owned(), &content, E::NotAnObject),
        (good.clone(), "{}", E::NoPublicKey),
        (good.clone(), r#"{"public_keys":{}}"#, E::NoPublicKey),
        (good.clone(), r#"{"public_key":"AAAA"}"#, E::NoPublicKey),
        (good.clone(), "[]", E::NoPublicKey),
    ] {
        assert_eq!(verify_third_party_invite(&signed, content), Err(error), "{signed} {content}");
    }
}

/// With a key of small order anybody could make the signature.
#[test]
fn a_key_of_small_order_signs_nothing() {
    let identity = format!("AQ{}", "A".repeat(41));
    let content = format!(r#"{{"public_key":"{identity}"}}"#);
    let forged = format!(r#"{{"signatures":{{"id.example":{{"ed25519:0":"AQ{}"}}}}}}"#, "A".repeat(84));
    assert_eq!(verify_third_party_invite(&forged, &content), Err(E::NoPublicKey));
}

#[test]
fn the_work_is_bounded() {
    let id = identity_server();
    let below = |seed: &u8| {
        signer("o.example", "1", *seed).signing_key().verifying_key() < id.signing_key().verifying_key()
    };
    let other = signer("o.example", "1", (0..=255).find(below).unwrap());
    let (key, other) = (public(&id), public(&other));
    let content = format!(r#"{{"public_key":"{key}","public_keys":[{{"public_key":"{other}"}}]}}"#);
    // The other key is tried first, and the good signature is the last one to be tried.
    let after = |count: usize| {
        let wrong = format!(r#":"{}","#, "A".repeat(86));
        let wrong: String = (0..count).map(|n| format!(r#""ed25519:!{n}"{wrong}"#)).collect();
        let place = r#""id.example":{"#;
        let signed = signed(&[&id]).replace(place, &format!("{place}{wrong}"));
        verify_third_party_invite(&signed, &content)
    };
    assert_eq!(after(VERIFICATIONS_MAX / 2 - 1), Ok(()));
    assert_eq!(after(VERIFICATIONS_MAX / 2), Err(E::NoMatch));
}
