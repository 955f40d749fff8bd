//! What went wrong in other homeservers, each as a test under the name it was published by.

mod support;

use freehold_event::{EventHash, HashedPdu, MembershipTemplate, Pdu, RoomVersion};
use freehold_signing::{
    CountersignError, KeyId, POLICY_SERVER_KEY_ID, RequestError, ServerSigner, SignatureError, Signer,
    SigningKey, WrongSignature, XMatrix, countersign_invite, countersign_join, sign_event, sign_request,
    verify_event, verify_policy_signature, verify_request,
};
use ruma_common::server_name;
use support::{EVENT_MS, Keys, member, proto, received, signer};

const NOW_MS: i64 = EVENT_MS + 1000;
const V11: &RoomVersion = RoomVersion::V11;

/// An event's `origin` was asked for its signature, not the server of its sender.
#[test]
fn cve_2018_16515_the_signature_of_the_origin_is_not_that_of_the_sender() {
    let mallory = signer("evil.example", "1", 9);
    let keys = Keys::of(&mallory).with(&signer("a.example", "1", 1));
    for version in RoomVersion::ALL {
        let plain = received(proto(version, "@al:a.example", "m.room.message"), version, &[]);
        let json = plain.pdu().canonical_json().replacen('{', r#"{"origin":"evil.example","#, 1);
        let event = Pdu::parse(json.as_bytes(), version).unwrap().check_content_hash();
        let signature = mallory.sign(event.pdu().signed_bytes()).to_base64();
        let event = event.with_signature("evil.example", "ed25519:1", &signature).unwrap();
        let got = verify_event(event, &keys, NOW_MS).map(drop);
        let not_signed = SignatureError::NotSigned { server: "a.example".to_owned() };
        assert_eq!(got, Err(not_signed), "{version:?}");
    }
}

/// `/send_join`, `/send_leave` and `/invite` took events without checking their signatures. Here
/// only [`freehold_signing::SignedPdu`] goes on, and no membership gets there unsigned.
#[test]
fn cve_2019_18835_no_membership_event_passes_without_the_senders_signature() {
    let mallory = signer("evil.example", "1", 9);
    let keys = Keys::of(&mallory).with(&signer("a.example", "1", 1));
    for membership in ["join", "leave", "invite", "knock", "ban"] {
        let content = format!(r#"{{"membership":"{membership}"}}"#);
        for target in ["@al:a.example", "@mallory:evil.example"] {
            let proto = member(V11, "@al:a.example", target, &content);
            let event = received(proto, V11, &[&mallory]);
            assert!(verify_event(event, &keys, NOW_MS).is_err(), "{membership} {target}");
        }
    }
}

/// `PUT /invite` signed any membership event for a local user.
#[test]
fn cve_2025_68667_only_an_invite_of_ones_own_user_by_the_calling_server_is_signed() {
    let (a, ours) = (signer("a.example", "1", 1), signer("ours.example", "1", 2));
    let keys = Keys::of(&a).with(&ours);
    let origin = server_name!("a.example");
    let attempt = |event_type: &str, content: &str, target: &str, origin| {
        let mut proto = member(V11, "@al:a.example", target, content);
        proto.event_type = event_type.to_owned();
        let event = verify_event(received(proto, V11, &[&a]), &keys, NOW_MS).unwrap();
        countersign_invite(&event, origin, &ours)
    };
    let (kind, invite, us) = ("m.room.member", r#"{"membership":"invite"}"#, "@me:ours.example");
    let signed = attempt(kind, invite, us, origin).unwrap();
    for server in ["a.example", "ours.example"] {
        assert!(freehold_signing::signature_on(signed.pdu(), server, "ed25519:1").is_some());
    }
    for membership in ["join", "leave", "knock", "ban", "Invite", ""] {
        let content = format!(r#"{{"membership":"{membership}"}}"#);
        assert_eq!(attempt(kind, &content, us, origin), Err(CountersignError::OtherKind));
    }
    for content in ["{}", r#"{"membership":["invite"]}"#] {
        assert_eq!(attempt(kind, content, us, origin), Err(CountersignError::OtherKind));
    }
    assert_eq!(attempt("m.room.message", invite, us, origin), Err(CountersignError::OtherKind));
    let other = CountersignError::OtherServer { server: server_name!("b.example").to_owned() };
    assert_eq!(attempt(kind, invite, "@bo:b.example", origin), Err(other));
    let other = CountersignError::OtherOrigin { server: origin.to_owned() };
    assert_eq!(attempt(kind, invite, us, server_name!("b.example")), Err(other));
}

/// The same of `PUT /send_join`: the authoriser of a restricted join signs that join and nothing
/// else, and only when the joining server has signed.
#[test]
fn cve_2025_68667_only_a_restricted_join_with_ones_own_authority_is_signed() {
    let (a, ours) = (signer("a.example", "1", 1), signer("ours.example", "1", 2));
    let keys = Keys::of(&a);
    let origin = server_name!("a.example");
    let join = |membership: &str, authoriser: &str, target: &str, by: &[&ServerSigner]| {
        let content =
            format!(r#"{{"membership":"{membership}","join_authorised_via_users_server":"{authoriser}"}}"#);
        let event = received(member(V11, "@al:a.example", target, &content), V11, by);
        countersign_join(&event, origin, &ours, &keys, NOW_MS)
    };
    let (al, me) = ("@al:a.example", "@me:ours.example");
    let signed = join("join", me, al, &[&a]).unwrap().into_hashed();
    assert!(verify_event(signed, &Keys::of(&a).with(&ours), NOW_MS).is_ok());
    assert_eq!(join("leave", me, al, &[&a]), Err(CountersignError::OtherKind));
    assert_eq!(join("join", me, "@ot:a.example", &[&a]), Err(CountersignError::OtherKind));
    let other = CountersignError::OtherServer { server: origin.to_owned() };
    assert_eq!(join("join", al, al, &[&a]), Err(other));
    let unsigned = SignatureError::NotSigned { server: "a.example".to_owned() };
    assert_eq!(join("join", me, al, &[]), Err(CountersignError::Signature(unsigned)));
    let plain = received(member(V11, al, al, r#"{"membership":"join"}"#), V11, &[&a]);
    let got = countersign_join(&plain, origin, &ours, &keys, NOW_MS);
    assert_eq!(got, Err(CountersignError::OtherKind));
    let stranger = server_name!("b.example");
    let content = format!(r#"{{"membership":"join","join_authorised_via_users_server":"{me}"}}"#);
    let event = received(member(V11, al, al, &content), V11, &[&a]);
    let got = countersign_join(&event, stranger, &ours, &keys, NOW_MS);
    let other = CountersignError::OtherOrigin { server: origin.to_owned() };
    assert_eq!(got, Err(other));
}

/// The answers to `make_join`, `make_leave` and `make_knock` were signed as they came. Here they
/// are read into an event of our own; whatever else they hold is not signed.
#[test]
fn cve_2026_24471_a_template_is_data_and_not_a_document_to_sign() {
    let template = format!(
        r#"{{"type":"m.room.power_levels","state_key":"","sender":"@admin:ours.example",
            "room_id":"!other:evil.example","origin_server_ts":1,"depth":5,
            "content":{{"membership":"ban","users":{{"@mallory:evil.example":100}}}},
            "prev_events":["${0}"],"auth_events":["${0}"]}}"#,
        "x".repeat(43)
    );
    let template = MembershipTemplate::parse(template.as_bytes(), V11).unwrap();
    let room_id = "!room:a.example".try_into().unwrap();
    let user_id: ruma_common::OwnedUserId = "@me:ours.example".try_into().unwrap();
    let mut proto = template.event(room_id, user_id.clone(), "join");
    proto.origin_server_ts = EVENT_MS;
    let ours = signer("ours.example", "1", 2);
    let signed = sign_event(proto.build(V11).unwrap(), &ours).unwrap();
    let pdu = signed.pdu();
    assert_eq!((pdu.event_type(), pdu.state_key()), ("m.room.member", Some(user_id.as_str())));
    assert_eq!((pdu.sender(), pdu.room_id().as_str()), (&*user_id, "!room:a.example"));
    assert_eq!(pdu.content(), r#"{"membership":"join"}"#);
    assert_eq!(pdu.origin_server_ts(), EVENT_MS);
}

/// synapse#3121: a server published a second key under the id of the first, and its old events
/// could not be verified. A signature counts for the key the source has under the id, and no other.
#[test]
fn synapse_3121_a_reused_key_id_does_not_verify_the_events_of_the_other_key() {
    let (first, second) = (signer("a.example", "1", 1), signer("a.example", "1", 2));
    let event = |by| received(proto(V11, "@al:a.example", "m.x"), V11, &[by]);
    let wrong =
        SignatureError::Wrong { server: "a.example".to_owned(), key_id: KeyId::ed25519("1").unwrap() };
    for (by, known) in [(&first, &second), (&second, &first)] {
        let got = verify_event(event(by), &Keys::of(known), NOW_MS).map(drop);
        assert_eq!(got, Err(wrong.clone()));
    }
}

/// A signature in another room, or of another event, is no signature of this one.
#[test]
fn a_signature_cannot_be_moved_to_another_event() {
    let a = signer("a.example", "1", 1);
    let one = received(proto(V11, "@al:a.example", "m.x"), V11, &[&a]);
    let mut other = proto(V11, "@al:a.example", "m.x");
    other.room_id = Some("!another:a.example".try_into().unwrap());
    let signature = freehold_signing::signature_on(one.pdu(), "a.example", "ed25519:1").unwrap();
    let moved =
        received(other, V11, &[]).with_signature("a.example", "ed25519:1", &signature.to_base64()).unwrap();
    assert!(verify_event(moved, &Keys::of(&a), NOW_MS).is_err());
}

/// continuwuity fdc9aec53 and 0f0dcb4f5: the signature of the policy server was verified with the
/// wrong key, and on events of the timeline only.
#[test]
fn continuwuity_fdc9aec53_a_policy_signature_is_verified_with_the_key_in_state_on_every_event() {
    let in_state = SigningKey::from_seed(&[5; 32]);
    let published = signer("policy.example", "policy_server", 6);
    let kinds = [
        proto(V11, "@al:a.example", "m.room.message"),
        member(V11, "@al:a.example", "@al:a.example", r#"{"membership":"join"}"#),
        member(V11, "@al:policy.example", "@al:policy.example", r#"{"membership":"join"}"#),
    ];
    for proto in kinds {
        let plain = received(proto, V11, &[]);
        let check = |event: &HashedPdu| {
            verify_policy_signature(event.pdu(), "policy.example", in_state.verifying_key())
        };
        let with = |server: &str, key_id: &str, key: &SigningKey| {
            let signature = key.sign(plain.pdu().signed_bytes()).to_base64();
            plain.with_signature(server, key_id, &signature).unwrap()
        };
        assert_eq!(check(&with("policy.example", POLICY_SERVER_KEY_ID, &in_state)), Ok(()));
        let published = published.signing_key();
        for wrong in [
            plain.clone(),
            with("policy.example", POLICY_SERVER_KEY_ID, published),
            with("policy.example", "ed25519:1", &in_state),
            with("a.example", POLICY_SERVER_KEY_ID, &in_state),
            plain.with_signature("policy.example", POLICY_SERVER_KEY_ID, "no base64").unwrap(),
        ] {
            assert_eq!(check(&wrong), Err(WrongSignature));
        }
    }
}

/// The same the other way round: the policy server's key is no key of its homeserver.
#[test]
fn a_policy_signature_is_not_the_senders_signature_and_does_not_spoil_it() {
    let sender = signer("policy.example", "1", 1);
    let policy_key = SigningKey::from_seed(&[5; 32]);
    let plain = received(proto(V11, "@al:policy.example", "m.x"), V11, &[]);
    let signature = policy_key.sign(plain.pdu().signed_bytes());
    let only_policy =
        plain.with_signature("policy.example", POLICY_SERVER_KEY_ID, &signature.to_base64()).unwrap();
    let keys = Keys::of(&sender);
    let got = verify_event(only_policy, &keys, NOW_MS).map(drop);
    assert!(matches!(got, Err(SignatureError::NoUsableKey { .. })), "{got:?}");
    // With the sender's own beside it, the event is good, and both stay.
    let signed = received(proto(V11, "@al:policy.example", "m.x"), V11, &[&sender]);
    let signed = verify_event(signed, &keys, NOW_MS).unwrap();
    let name = server_name!("policy.example");
    let both = signed.with_policy_signature(name, &signature).unwrap();
    assert!(verify_policy_signature(both.pdu(), name.as_str(), policy_key.verifying_key()).is_ok());
    assert!(verify_event(both.into_hashed(), &keys, NOW_MS).is_ok());
}

/// CVE-2020-26890: `NaN` and `Infinity` in a body, which no canonical form covers.
#[test]
fn cve_2020_26890_a_body_that_is_not_json_is_not_authenticated() {
    let a = signer("a.example", "1", 1);
    let destination = server_name!("b.example");
    for body in ["{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":-Infinity}", "[", ""] {
        let content = Some(body.as_bytes());
        let uri = "/_matrix/federation/v1/send/1";
        let request = freehold_signing::Request { method: "PUT", uri, destination, content };
        assert!(sign_request(&request, &a).is_err());
        let credentials = XMatrix {
            origin: a.server_name().to_owned(),
            destination: None,
            key: a.key_id().clone(),
            signature: a.sign(b""),
        };
        let got = verify_request(&request, &credentials, &Keys::of(&a), NOW_MS);
        assert!(matches!(got, Err(RequestError::Content(_))), "{body}");
    }
}

/// An event in which one signature with a known key is wrong is dropped, whatever else it bears.
#[test]
fn one_good_signature_does_not_excuse_a_wrong_one_of_the_same_server() {
    let (good, other) = (signer("a.example", "1", 1), signer("a.example", "2", 2));
    let event = received(proto(V11, "@al:a.example", "m.x"), V11, &[&good])
        .with_signature("a.example", "ed25519:2", &"A".repeat(86))
        .unwrap();
    assert!(verify_event(event.clone(), &Keys::of(&good), NOW_MS).is_ok());
    let got = verify_event(event, &Keys::of(&good).with(&other), NOW_MS).map(drop);
    assert!(matches!(got, Err(SignatureError::Wrong { .. })), "{got:?}");
}

/// What is not covered must not be trusted, and what is must be all that identifies the event.
#[test]
fn the_hashes_of_an_event_are_signed_and_its_unsigned_part_is_not() {
    let a = signer("a.example", "1", 1);
    let event = received(proto(V11, "@al:a.example", "m.x"), V11, &[&a]);
    let reparse = |json: &str| Pdu::parse(json.as_bytes(), V11).unwrap().check_content_hash();
    let json = event.pdu().canonical_json();
    let unsigned = reparse(&json.replacen('{', r#"{"unsigned":{"age":1},"#, 1));
    assert!(verify_event(unsigned, &Keys::of(&a), NOW_MS).is_ok());
    let hash = EventHash::from_base64(&"B".repeat(43)).unwrap().to_base64();
    let hashes = format!(r#"{{"sha256":"{hash}"}}"#);
    let spoilt = reparse(&json.replace(event.pdu().hashes(), &hashes));
    assert!(verify_event(spoilt, &Keys::of(&a), NOW_MS).is_err());
}
