//! The same verdict on generated events as ruma-signatures.
//!
//! Not generated, because there ruma differs from the specification and from Synapse: an authoriser
//! in an event that is no membership event, for which ruma asks the authoriser's signature.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use freehold_event::{ContentHashVerdict, HashedPdu, Pdu, ProtoEvent, RoomVersion};
use freehold_signing::{ServerSigner, Signer, verify_event};
use proptest::{prelude::*, sample::select};
use ruma_common::{CanonicalJsonObject, serde::Base64};
use ruma_signatures::{PublicKeyMap, Verified};
use support::{EVENT_MS, Keys, member, proto, signer};

/// The servers of the generated users.
fn servers() -> [ServerSigner; 3] {
    [signer("a.example", "1", 1), signer("b.example", "1", 2), signer("c.example", "1", 3)]
}

fn kinds(version: &'static RoomVersion) -> impl Strategy<Value = ProtoEvent> {
    let user = || select(vec!["@al:a.example", "@bo:b.example"]);
    let extra = select(vec![
        "",
        r#","third_party_invite":{"signed":{}}"#,
        r#","join_authorised_via_users_server":"@ca:c.example""#,
        r#","join_authorised_via_users_server":"no user""#,
    ]);
    let membership = select(vec!["join", "invite", "leave"]);
    let member = (user(), user(), membership, extra).prop_map(|(sender, target, membership, extra)| {
        let content = format!(r#"{{"membership":"{membership}"{extra}}}"#);
        member(version, sender, target, &content)
    });
    let other = user().prop_map(|sender| proto(version, sender, "m.room.message"));
    prop_oneof![member, other]
}

/// How a server that may have signed did it: not at all, well, for another message, with a key
/// nobody knows, or with an algorithm nobody knows.
fn signed(event: HashedPdu, signer: &ServerSigner, how: u8) -> HashedPdu {
    let message = if how == 2 { b"another" } else { event.pdu().signed_bytes() };
    let key_id = match how {
        0 => return event,
        3 => "ed25519:unknown",
        4 => "rsa:1",
        _ => "ed25519:1",
    };
    let signature = signer.sign(message).to_base64();
    event.with_signature(signer.server_name().as_str(), key_id, &signature).unwrap()
}

fn rumas_verdict(pdu: &Pdu) -> Option<Verified> {
    let keys: PublicKeyMap = servers()
        .iter()
        .map(|signer| {
            let key = signer.signing_key().verifying_key().as_bytes().to_vec();
            let set = [(signer.key_id().to_string(), Base64::new(key))].into();
            (signer.server_name().to_string(), set)
        })
        .collect();
    let object: CanonicalJsonObject = serde_json::from_str(pdu.canonical_json()).unwrap();
    ruma_signatures::verify_event(&keys, &object, pdu.version().rules()).ok()
}

proptest! {
    #[test]
    fn ruma_says_the_same(
        (version, proto) in select(RoomVersion::ALL.to_vec()).prop_flat_map(|v| (Just(v), kinds(v))),
        how in proptest::array::uniform3(0u8..5),
    ) {
        let [a, b, c] = servers();
        let keys = Keys::of(&a).with(&b).with(&c);
        let mut event = support::received(proto, version, &[]);
        for (signer, how) in [a, b, c].iter().zip(how) {
            event = signed(event, signer, how);
        }
        let theirs = rumas_verdict(event.pdu());
        let verdict = event.verdict();
        let ours = verify_event(event, &keys, EVENT_MS).ok().map(|_| match verdict {
            ContentHashVerdict::Intact => Verified::All,
            ContentHashVerdict::Redacted => Verified::Signatures,
        });
        prop_assert_eq!(ours, theirs);
    }
}
