//! Who must have signed an event, with which keys, and what is signed for others.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use freehold_canonical_json::{Limits, Object, parse};
use freehold_event::{ContentHashVerdict, HashedPdu, Pdu, RoomVersion, redact};
use freehold_signing::{
    KEYS_OF_SERVER_MAX, KeyId, KeyValidity, ServerSigner, SignEventError, SignatureError, SignedEvent,
    SignedPdu, Signer, SigningKey, VALIDITY_AHEAD_MAX_MS, required_signatures, sign_event, sign_json,
    verify_events, wanted_keys,
};
use proptest::prelude::*;
use ruma_common::server_name;
use support::{EVENT_MS, Keys, member, proto, received, signer};

const NOW_MS: i64 = EVENT_MS + 1000;

/// The verdict on an event, which is the same alone and among others.
fn verify_event(event: HashedPdu, keys: &Keys, now_ms: i64) -> Result<SignedPdu, SignatureError> {
    let alone = freehold_signing::verify_event(event.clone(), keys, now_ms);
    let signed = sign_event(
        proto(RoomVersion::V11, "@al:a.example", "m.room.message").build(RoomVersion::V11).unwrap(),
        &signer("a.example", "1", 1),
    );
    let other = signed.unwrap().complete().unwrap().into_hashed();
    let verdict = freehold_signing::verify_event(other.clone(), keys, now_ms);
    let together = verify_events(vec![other, event.clone(), event], keys, now_ms);
    assert_eq!(together, [verdict, alone.clone(), alone.clone()]);
    alone
}

fn not_signed(server: &str) -> Result<(), SignatureError> {
    Err(SignatureError::NotSigned { server: server.to_owned() })
}

/// The servers an event needs, by name.
fn required(pdu: &Pdu) -> Vec<String> {
    required_signatures(pdu).unwrap().into_iter().map(|server| server.to_string()).collect()
}

fn specification_signer() -> ServerSigner {
    let key = SigningKey::from_base64_seed("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1").unwrap();
    ServerSigner::new(server_name!("domain").to_owned(), KeyId::ed25519("1").unwrap(), key)
}

/// <https://spec.matrix.org/v1.19/appendices/#event-signing>, first event.
#[test]
fn the_minimal_event_of_the_specification_verifies() {
    let signed = br#"{"auth_events":[],"content":{},"depth":3,"hashes":{"sha256":"5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"},"origin":"domain","origin_server_ts":1000000,"prev_events":[],"room_id":"!x:domain","sender":"@a:domain","signatures":{"domain":{"ed25519:1":"KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg"}},"type":"X","unsigned":{"age_ts":1000000}}"#;
    for version in [RoomVersion::V3, RoomVersion::V6, RoomVersion::V10] {
        let event = Pdu::parse(signed, version).unwrap().check_content_hash();
        assert_eq!(event.verdict(), ContentHashVerdict::Intact);
        assert!(verify_event(event, &Keys::of(&specification_signer()), NOW_MS).is_ok());
    }
}

/// <https://spec.matrix.org/v1.19/appendices/#event-signing>, second event, which is not a
/// complete PDU.
#[test]
fn the_event_with_redactable_content_of_the_specification_gets_its_signature() {
    let event = br#"{"content":{"body":"Here is the message content"},"event_id":"$0:domain","hashes":{"sha256":"onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g"},"origin":"domain","origin_server_ts":1000000,"type":"m.room.message","room_id":"!r:domain","sender":"@u:domain","signatures":{},"unsigned":{"age_ts":1000000}}"#;
    let event = parse(event, &Limits::RELAXED).unwrap().into_object().unwrap();
    let mut redacted: Object<'_> = redact(&event, RoomVersion::V1);
    sign_json(&mut redacted, &specification_signer()).unwrap();
    let signature = support::signature_of(&redacted, "domain", "ed25519:1").unwrap();
    assert_eq!(
        signature.to_base64(),
        "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA"
    );
}

#[test]
fn what_is_signed_verifies_in_every_room_version() {
    let ours = signer("a.example", "1", 1);
    for version in RoomVersion::ALL {
        let new = proto(version, "@al:a.example", "m.room.message").build(version).unwrap();
        let signed = sign_event(new, &ours).unwrap().complete().unwrap();
        let sent = signed.pdu().canonical_json().as_bytes();
        let event = Pdu::parse(sent, version).unwrap().check_content_hash();
        let verified = verify_event(event, &Keys::of(&ours), NOW_MS);
        assert_eq!(verified.as_ref(), Ok(&signed), "{version:?}");
    }
}

/// That a signature was made here spares its computation only where the key that made it is the one that is
/// published, and good for the time of the event.
#[test]
fn what_is_signed_here_is_judged_by_the_keys_that_are_published() {
    let (ours, another) = (signer("a.example", "1", 1), signer("a.example", "1", 2));
    let (other_id, other_server) = (signer("a.example", "2", 1), signer("b.example", "1", 1));
    let expired = KeyValidity::Old { expired_ts: EVENT_MS - 1 };
    for version in RoomVersion::ALL {
        let new = proto(version, "@al:a.example", "m.room.message").build(version).unwrap();
        let signed = sign_event(new, &ours).unwrap().complete().unwrap();
        let judged = |keys: &Keys| {
            let here = signed.clone().verified_by(keys, NOW_MS);
            let received = signed.pdu().canonical_json().as_bytes();
            let elsewhere = Pdu::parse(received, version).unwrap().check_content_hash();
            assert_eq!(here, verify_event(elsewhere, keys, NOW_MS), "{version:?}");
            here
        };
        assert!(judged(&Keys::of(&ours)).is_ok());
        for unfit in [&another, &other_id, &other_server] {
            assert!(judged(&Keys::of(unfit)).is_err(), "{version:?} {unfit:?}");
        }
        assert!(judged(&Keys::of(&ours).valid(expired)).is_err());
        // Nothing is spared once somebody else has put another signature in its place.
        let forged = signed.hashed().with_signature("a.example", "ed25519:1", &"A".repeat(86)).unwrap();
        assert!(verify_event(forged, &Keys::of(&ours), NOW_MS).is_err());
    }
}

#[test]
fn the_senders_server_must_have_signed() {
    let (a, b) = (signer("a.example", "1", 1), signer("b.example", "1", 2));
    let keys = Keys::of(&a).with(&b);
    for version in RoomVersion::ALL {
        for event_type in ["m.room.message", "m.room.member", "m.room.create", "m.room.power_levels"] {
            let event = |by: &[&ServerSigner]| {
                let content = r#"{"membership":"join"}"#;
                let mut proto = member(version, "@al:a.example", "@al:a.example", content);
                proto.event_type = event_type.to_owned();
                if event_type == "m.room.create" && version == &RoomVersion::V12 {
                    proto.room_id = None;
                }
                verify_event(received(proto, version, by), &keys, NOW_MS).map(drop)
            };
            assert_eq!(event(&[&a]), Ok(()), "{event_type} {version:?}");
            assert_eq!(event(&[&b]), not_signed("a.example"), "{event_type} {version:?}");
            assert_eq!(event(&[]), not_signed("a.example"), "{event_type} {version:?}");
            assert_eq!(event(&[&b, &a]), Ok(()), "{event_type} {version:?}");
        }
    }
}

#[test]
fn the_domain_of_the_event_id_must_have_signed_in_room_versions_1_and_2_only() {
    let (a, b) = (signer("a.example", "1", 1), signer("b.example", "1", 2));
    let keys = Keys::of(&a).with(&b);
    for version in RoomVersion::ALL {
        let by_domain = version.rules().signatures.check_event_id_server;
        assert_eq!(by_domain, matches!(version.id(), "1" | "2"));
        // The sender is on b, the event id on a.
        let event = |by: &[&ServerSigner]| {
            let proto = proto(version, "@bo:b.example", "m.room.message");
            verify_event(received(proto, version, by), &keys, NOW_MS).map(drop)
        };
        assert_eq!(event(&[&a, &b]), Ok(()));
        assert_eq!(event(&[&b]), if by_domain { not_signed("a.example") } else { Ok(()) });
        assert_eq!(event(&[&a]), not_signed("b.example"));
    }
}

#[test]
fn the_authoriser_of_a_restricted_join_must_have_signed_from_room_version_8_on() {
    let (a, b) = (signer("a.example", "1", 1), signer("b.example", "1", 2));
    let keys = Keys::of(&a).with(&b);
    for version in RoomVersion::ALL {
        let restricted = !matches!(version.id(), "1" | "2" | "3" | "4" | "5" | "6" | "7");
        for membership in ["join", "leave"] {
            let content = format!(
                r#"{{"membership":"{membership}","join_authorised_via_users_server":"@bo:b.example"}}"#
            );
            let event = |by: &[&ServerSigner]| {
                let proto = member(version, "@al:a.example", "@al:a.example", &content);
                verify_event(received(proto, version, by), &keys, NOW_MS).map(drop)
            };
            assert_eq!(event(&[&a, &b]), Ok(()));
            assert_eq!(event(&[&a]), if restricted { not_signed("b.example") } else { Ok(()) });
            assert_eq!(event(&[&b]), not_signed("a.example"));
        }
    }
}

#[test]
fn an_authoriser_counts_in_membership_events_only() {
    let a = signer("a.example", "1", 1);
    let mut proto = proto(RoomVersion::V11, "@al:a.example", "m.room.message");
    proto.content.insert("join_authorised_via_users_server", "@bo:b.example");
    let event = received(proto, RoomVersion::V11, &[&a]);
    assert_eq!(required(event.pdu()), ["a.example"]);
    assert!(verify_event(event, &Keys::of(&a), NOW_MS).is_ok());
}

#[test]
fn an_authoriser_that_is_no_user_leaves_nobody_who_could_sign() {
    let a = signer("a.example", "1", 1);
    for authoriser in ["7", r#""bo""#, r#""@bo:not a name""#, r#""@bo""#, "{}"] {
        let content = format!(r#"{{"membership":"join","join_authorised_via_users_server":{authoriser}}}"#);
        let proto = member(RoomVersion::V11, "@al:a.example", "@al:a.example", &content);
        let event = received(proto, RoomVersion::V11, &[&a]);
        let got = verify_event(event, &Keys::of(&a), NOW_MS).map(drop);
        assert!(matches!(got, Err(SignatureError::NoServer { .. })), "{authoriser} {got:?}");
    }
}

#[test]
fn nobody_need_have_signed_a_third_party_invite() {
    let invite = r#"{"membership":"invite","third_party_invite":{"signed":{"token":"t"}}}"#;
    let event = |version: &'static RoomVersion, content: &str| {
        received(member(version, "@al:a.example", "@ca:c.example", content), version, &[])
    };
    for version in RoomVersion::ALL {
        let by_domain = version.rules().signatures.check_event_id_server;
        let needed: &[&str] = if by_domain { &["a.example"] } else { &[] };
        assert_eq!(required(event(version, invite).pdu()), needed, "{version:?}");
        // What only looks like one is an event like any other.
        for content in [
            r#"{"membership":"join","third_party_invite":{"signed":{}}}"#,
            r#"{"membership":"invite","third_party_invite":null}"#,
            r#"{"membership":"invite","third_party_invite":"signed"}"#,
            r#"{"membership":"invite"}"#,
        ] {
            assert_eq!(required(event(version, content).pdu()), ["a.example"], "{content}");
        }
    }
}

/// Without this, anybody could make an invite in the name of anybody: write `third_party_invite`
/// into it, and leave the content hash wrong so that it is taken out again.
#[test]
fn a_third_party_invite_that_is_redacted_for_its_hash_needs_its_senders_signature() {
    let invite = r#"{"membership":"invite","third_party_invite":{"signed":{}}}"#;
    let version = RoomVersion::V10;
    let event = received(member(version, "@al:a.example", "@ca:c.example", invite), version, &[]);
    let spoilt = event.pdu().canonical_json().replace("sha256\":\"", "sha256\":\"A");
    let event = Pdu::parse(spoilt.as_bytes(), version).unwrap().check_content_hash();
    assert_eq!(event.verdict(), ContentHashVerdict::Redacted);
    assert_eq!(verify_event(event, &Keys::default(), NOW_MS).map(drop), not_signed("a.example"));
}

#[test]
fn a_redacted_event_is_still_signed() {
    let a = signer("a.example", "1", 1);
    for version in RoomVersion::ALL {
        let mut proto = proto(version, "@al:a.example", "m.room.message");
        proto.content.insert("body", "to be forgotten");
        let redacted = received(proto, version, &[&a]).pdu().redacted().check_content_hash();
        assert_eq!(redacted.verdict(), ContentHashVerdict::Redacted);
        assert!(verify_event(redacted, &Keys::of(&a), NOW_MS).is_ok());
    }
}

#[test]
fn a_key_is_believed_seven_days_ahead() {
    assert_eq!(VALIDITY_AHEAD_MAX_MS, 604_800_000);
}

#[test]
fn the_validity_of_keys_counts_as_the_room_version_says() {
    use KeyValidity::{Current, Old};
    let a = signer("a.example", "1", 1);
    let far = i64::MAX;
    for version in RoomVersion::ALL {
        let enforced = !matches!(version.id(), "1" | "2" | "3" | "4");
        let cases = [
            // Whatever the version: a key in use, and an old key up to its end.
            (Current { valid_until_ts: EVENT_MS }, NOW_MS, true),
            (Current { valid_until_ts: far }, NOW_MS, true),
            (Old { expired_ts: EVENT_MS }, NOW_MS, true),
            (Old { expired_ts: EVENT_MS - 1 }, NOW_MS, false),
            // `valid_until_ts` before the event.
            (Current { valid_until_ts: EVENT_MS - 1 }, NOW_MS, !enforced),
            // It is believed for 7 days at most: an event of the far future has no valid key.
            (Current { valid_until_ts: far }, EVENT_MS - VALIDITY_AHEAD_MAX_MS, true),
            (Current { valid_until_ts: far }, EVENT_MS - VALIDITY_AHEAD_MAX_MS - 1, !enforced),
        ];
        for (validity, now_ms, good) in cases {
            let event = received(proto(version, "@al:a.example", "m.x"), version, &[&a]);
            let got = verify_event(event, &Keys::of(&a).valid(validity), now_ms).map(drop);
            let server = "a.example".to_owned();
            let (unknown, out_of_time) = (Vec::new(), vec![a.key_id().clone()]);
            let refused = Err(SignatureError::NoUsableKey { server, unknown, out_of_time });
            assert_eq!(got, if good { Ok(()) } else { refused }, "{version:?} {validity:?}");
        }
    }
}

#[test]
fn the_keys_to_fetch_are_those_of_the_servers_that_must_sign() {
    let (a, other) = (signer("a.example", "1", 1), signer("a.example", "2", 2));
    let stranger = signer("s.example", "1", 3);
    for version in [RoomVersion::V4, RoomVersion::V5] {
        let event = received(proto(version, "@al:a.example", "m.x"), version, &[&a, &other, &stranger]);
        let wanted = wanted_keys(event.pdu()).unwrap();
        let ids: Vec<_> = wanted.iter().map(|key| (key.server.as_str(), key.key_id.as_str())).collect();
        assert_eq!(ids, [("a.example", "ed25519:1"), ("a.example", "ed25519:2")]);
        let until = (version == RoomVersion::V5).then_some(EVENT_MS);
        assert!(wanted.iter().all(|key| key.minimum_valid_until_ts == until));
    }
}

#[test]
fn an_event_that_names_very_many_keys_has_few_of_them_fetched() {
    let names: Vec<String> = (0..40).map(|number| format!("k{number:02}")).collect();
    let signers: Vec<ServerSigner> = names.iter().map(|name| signer("a.example", name, 1)).collect();
    let signers: Vec<&ServerSigner> = signers.iter().collect();
    let event = received(proto(RoomVersion::V11, "@al:a.example", "m.x"), RoomVersion::V11, &signers);
    let wanted = wanted_keys(event.pdu()).unwrap();
    assert_eq!(wanted.len(), KEYS_OF_SERVER_MAX);
    assert_eq!(wanted[0].key_id.as_str(), "ed25519:k00");
}

#[test]
fn an_event_is_signed_for_ones_own_users_only() {
    let version = RoomVersion::V11;
    let new = || proto(version, "@al:a.example", "m.room.message").build(version).unwrap();
    let b = signer("b.example", "1", 2);
    let refused = Err(SignEventError::OtherSender {
        sender: "@al:a.example".to_owned(),
        signer: b.server_name().to_owned(),
    });
    assert_eq!(sign_event(new(), &b), refused);
    assert!(matches!(sign_event(new(), &signer("a.example", "1", 1)), Ok(SignedEvent::Complete(_))));
}

#[test]
fn a_third_party_invite_may_be_signed_by_the_server_that_redeems_it() {
    let version = RoomVersion::V11;
    let content = r#"{"membership":"invite","third_party_invite":{"signed":{}}}"#;
    let new = member(version, "@al:a.example", "@ca:c.example", content).build(version).unwrap();
    let signed = sign_event(new, &signer("c.example", "1", 3)).unwrap();
    assert!(signed.complete().is_some());
}

#[test]
fn a_restricted_join_waits_for_its_authoriser() {
    let version = RoomVersion::V11;
    let content = r#"{"membership":"join","join_authorised_via_users_server":"@bo:b.example"}"#;
    let new = member(version, "@al:a.example", "@al:a.example", content).build(version).unwrap();
    let signed = sign_event(new, &signer("a.example", "1", 1)).unwrap();
    let SignedEvent::AwaitingOthers { servers, event } = &signed else { panic!("{signed:?}") };
    assert_eq!(servers.as_slice(), [server_name!("b.example")]);
    assert!(event.pdu().signatures().contains("a.example"));
    assert_eq!(signed.complete(), None);
}

proptest! {
    #[test]
    fn any_flipped_bit_of_a_signed_event_is_noticed(
        body in "[ -~é]{0,30}", position: prop::sample::Index, bit in 0u8..8,
    ) {
        let (a, version) = (signer("a.example", "1", 1), RoomVersion::V11);
        let mut proto = proto(version, "@al:a.example", "m.room.message");
        proto.content.insert("body", body);
        let event = received(proto, version, &[&a]);
        let signature = |pdu: &Pdu| freehold_signing::signature_on(pdu, "a.example", "ed25519:1");
        let mut bytes = event.pdu().canonical_json().as_bytes().to_vec();
        let at = position.index(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
        if let Ok(flipped) = Pdu::parse(&bytes, version) {
            let covered = flipped.signed_bytes() == event.pdu().signed_bytes()
                && signature(&flipped) == signature(event.pdu());
            let flipped = flipped.check_content_hash();
            let verdict = flipped.verdict();
            let verified = verify_event(flipped, &Keys::of(&a), NOW_MS);
            prop_assert_eq!(verified.is_ok(), covered);
            // What the signature does not cover, the content hash does.
            let spoilt = covered && verdict == ContentHashVerdict::Redacted;
            prop_assert!(!covered || spoilt || verified.is_ok_and(|v| v.pdu().content() == event.pdu().content()));
        }
    }
}
