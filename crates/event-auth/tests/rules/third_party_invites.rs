//! Rule 4.4.1.

use freehold_event_auth::AuthRule as R;
use freehold_signing::SigningKey;

use crate::{ALL, Case, scene::*};

const INVITE: &str = "m.room.third_party_invite";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn public_key(seed: u8) -> String {
    key(seed).verifying_key().to_base64()
}

/// The state event that was sent when the invite went out, with one key.
fn issued(scene: Scene, seed: u8) -> Scene {
    let content = format!(r#"{{"public_key":"{}"}}"#, public_key(seed));
    scene.state(INVITE, "token", BOB, &content)
}

/// The `signed` of an identity server with this key.
fn signed(seed: u8, mxid: &str) -> String {
    let message = format!(r#"{{"mxid":"{mxid}","token":"token"}}"#);
    let signature = key(seed).sign(message.as_bytes()).to_base64();
    format!(r#"{{"mxid":"{mxid}","signatures":{{"id.org":{{"ed25519:0":"{signature}"}}}},"token":"token"}}"#)
}

fn invite(scene: Scene, sender: &str, third_party_invite: &str) -> Scene {
    let content = format!(r#"{{"membership":"invite","third_party_invite":{third_party_invite}}}"#);
    scene.sets(sender, MEMBER, EVE, &content)
}

/// Redeems an invite of Bob's with a signature by the key of this seed.
fn redeem(scene: Scene, seed: u8) -> Scene {
    invite(scene, BOB, &format!(r#"{{"display_name":"e…","signed":{}}}"#, signed(seed, EVE)))
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case(R::ThirdPartyInviteBanned, ALL, |s| redeem(issued(s.member(EVE, "ban"), 1), 1), |s| redeem(issued(s.member(EVE, "leave"), 1), 1)),
    Case(R::ThirdPartyInviteNotSigned, ALL, |s| invite(issued(s, 1), BOB, "{}"), |s| redeem(issued(s, 1), 1)),
    Case(R::ThirdPartyInviteNotSigned, ALL, |s| invite(issued(s, 1), BOB, "null"), |s| redeem(issued(s, 1), 1)),
    Case(R::ThirdPartyInviteIncomplete, ALL, |s| invite(issued(s, 1), BOB, r#"{"signed":{"token":"token"}}"#), |s| redeem(issued(s, 1), 1)),
    Case(R::ThirdPartyInviteIncomplete, ALL, |s| invite(issued(s, 1), BOB, r#"{"signed":{"mxid":"@eve:two.org"}}"#), |s| redeem(issued(s, 1), 1)),
    Case(R::ThirdPartyInviteIncomplete, ALL, |s| invite(issued(s, 1), BOB, r#"{"signed":{"mxid":1,"token":"token"}}"#), |s| redeem(issued(s, 1), 1)),
    Case(R::ThirdPartyInviteIncomplete, ALL, |s| invite(issued(s, 1), BOB, r#"{"signed":[]}"#), |s| redeem(issued(s, 1), 1)),
    Case(R::ThirdPartyInviteOtherUser, ALL, |s| invite(issued(s, 1), BOB, &format!(r#"{{"signed":{}}}"#, signed(1, BOB))), |s| redeem(issued(s, 1), 1)),
    Case(R::ThirdPartyInviteUnknownToken, ALL, |s| redeem(s, 1), |s| redeem(issued(s, 1), 1)),
    Case(R::ThirdPartyInviteOtherSender, ALL, |s| redeem(issued(s, 1), 1).with(|e| e.sender = ALICE.into()), |s| redeem(issued(s.member(BOB, "leave"), 1), 1)),
    Case(R::ThirdPartyInviteSignature, ALL, |s| redeem(issued(s, 1), 2), |s| redeem(issued(s, 2), 2)),
    Case(R::ThirdPartyInviteSignature, ALL, |s| redeem(issued(s, 1), 1).with(|e| e.content = e.content.replace("\"token\":\"token\"", "\"more\":1,\"token\":\"token\"")), |s| redeem(issued(s, 1), 1).with(|e| e.content = e.content.replace("\"token\":\"token\"", "\"token\":\"token\",\"unsigned\":1"))),
    Case(R::ThirdPartyInviteSignature, ALL, |s| redeem(issued(s, 1), 1).with(|e| e.content = e.content.replace("\"ed25519:0\"", "\"rsa:0\"")), |s| redeem(issued(s, 1), 1).with(|e| e.content = e.content.replace("\"id.org\"", "\"who.ever\""))),
    Case(R::ThirdPartyInviteSignature, ALL, |s| redeem(s.state(INVITE, "token", BOB, "{}"), 1), |s| redeem(issued(s, 1), 1)),
    Case(R::ThirdPartyInviteSignature, ALL, |s| redeem(s.state(INVITE, "token", BOB, r#"{"public_key":"AAAA"}"#), 1), |s| redeem(s.state(INVITE, "token", BOB, &format!(r#"{{"public_key":7,"public_keys":[1,{{}},{{"public_key":"{}"}}]}}"#, public_key(1))), 1)),
];

/// ruma-state-res 0.14 and before let any third-party invite with the right token in.
#[test]
fn signature_of_a_third_party_invite_is_verified() {
    for version in freehold_event::RoomVersion::ALL {
        let scene = issued(Scene::ordinary(version), 1);
        let unsigned = invite(scene, BOB, r#"{"signed":{"mxid":"@eve:two.org","token":"token"}}"#);
        assert_eq!(unsigned.verdict().unwrap_err().rule, R::ThirdPartyInviteSignature, "{version}");
    }
}

/// Sydent publishes keys in URL-safe base64 (matrix-org/sydent#593).
#[test]
fn identity_server_keys_are_read_in_either_alphabet_padded_or_not() {
    let seed = (0..).find(|seed| public_key(*seed).contains('+') && public_key(*seed).contains('/')).unwrap();
    let standard = public_key(seed);
    let url_safe = standard.replace('+', "-").replace('/', "_");
    for key in [&standard, &url_safe, &format!("{standard}="), &format!("{url_safe}=")] {
        for content in [
            format!(r#"{{"public_key":"{key}"}}"#),
            format!(r#"{{"public_keys":[{{"public_key":"{key}"}}]}}"#),
        ] {
            let version = freehold_event::RoomVersion::V12;
            let scene = Scene::ordinary(version).state(INVITE, "token", BOB, &content);
            assert_eq!(redeem(scene, seed).verdict(), Ok(()), "{content}");
        }
    }
}

/// The invited user need not be invited by somebody who is still in the room or has the power.
#[test]
fn third_party_invite_needs_no_power_when_it_is_redeemed() {
    let scene = issued(Scene::ordinary(freehold_event::RoomVersion::V11), 1);
    let scene = scene.member(BOB, "leave").levels(r#"{"invite":100}"#);
    assert_eq!(redeem(scene, 1).verdict(), Ok(()));
}
