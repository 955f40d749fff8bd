//! Invites and knocks between servers.

use freehold_event::RoomVersion;
use freehold_rooms::{ActionError, CreateRoom, InitialState, NotServed, SentInvite, Unanswered};
use freehold_store::Actor;
use freehold_store::tables::rooms::{Membership, MembershipRow};
use ruma_common::{OwnedRoomId, RoomId, ServerName};
use serde_json::{Value, json};

use crate::hosted::{World, about, entry, raw};
use crate::network::Network;

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";

/// How a user stands to a room.
async fn standing(world: &World, actor: &Actor, room: &RoomId) -> Option<MembershipRow> {
    let reader = world.reader();
    let room = reader.room_number(room).await.unwrap()?;
    reader.membership(actor.user, room).await.unwrap()
}

async fn membership(world: &World, actor: &Actor, room: &RoomId) -> Option<Membership> {
    standing(world, actor, room).await.map(|row| row.membership)
}

async fn private_room(world: &World, alice: &Actor, version: &str, rule: &str) -> OwnedRoomId {
    let rules = InitialState {
        event_type: "m.room.join_rules".to_owned(),
        state_key: String::new(),
        content: raw(&json!({ "join_rule": rule })),
    };
    let create = CreateRoom {
        name: Some("quiet".to_owned()),
        room_version: Some(version.to_owned()),
        initial_state: vec![rules],
        ..CreateRoom::default()
    };
    world.rooms.create_room(alice, create).await.unwrap()
}

#[tokio::test]
async fn an_invite_goes_to_the_server_of_the_invited_user_in_every_version() {
    for version in RoomVersion::ALL {
        let network = Network::new();
        let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
        let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
        let room = private_room(&one, &alice, version.id(), "invite").await;
        one.rooms.invite(&alice, &room, about(&bob)).await.unwrap();
        assert_eq!(one.membership(&room, BOB).await.as_deref(), Some("invite"), "{version}");
        let row = standing(&two, &bob, &room).await.unwrap();
        assert_eq!(row.membership, Membership::Invite);
        let told: Vec<Value> =
            row.stripped_state.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        assert!(told.iter().any(|event| event["content"]["name"] == "quiet"), "{version}: {told:?}");
        let last = told.last().unwrap();
        assert_eq!((&last["state_key"], &last["sender"]), (&json!(BOB), &json!(ALICE)), "{version}");
        two.rooms.join(&bob, entry(&room, &[])).await.unwrap();
        assert_eq!(one.membership(&room, BOB).await.as_deref(), Some("join"), "{version}");
        assert_eq!(membership(&two, &bob, &room).await, Some(Membership::Join), "{version}");
    }
}

#[tokio::test]
async fn an_invite_is_refused_over_the_network_and_without_it() {
    let network = Network::new();
    let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let room = private_room(&one, &alice, "12", "invite").await;
    one.rooms.invite(&alice, &room, about(&bob)).await.unwrap();
    two.rooms.leave(&bob, &room, None).await.unwrap();
    assert_eq!(membership(&two, &bob, &room).await, Some(Membership::Leave));
    assert_eq!(one.membership(&room, BOB).await.as_deref(), Some("leave"));
    one.rooms.invite(&alice, &room, about(&bob)).await.unwrap();
    assert_eq!(membership(&two, &bob, &room).await, Some(Membership::Invite));
    network.set_down(&["one.example"]);
    two.rooms.leave(&bob, &room, None).await.unwrap();
    assert_eq!(membership(&two, &bob, &room).await, Some(Membership::Leave));
    assert_eq!(one.membership(&room, BOB).await.as_deref(), Some("invite"), "nobody could be told");
}

/// CVE-2020-26257, by the fourth of its ways: the body spoke of another room than the path.
#[tokio::test]
async fn cve_2020_26257_an_invite_is_exchanged_into_the_room_of_the_path() {
    let network = Network::new();
    let one = network.world(&["one.example"]).await;
    let alice = one.actor(ALICE).await;
    let rooms =
        [private_room(&one, &alice, "11", "invite").await, private_room(&one, &alice, "11", "invite").await];
    let two = ServerName::parse("two.example").unwrap();
    let content =
        json!({ "membership": "invite", "third_party_invite": { "display_name": "b", "signed": {} } });
    let body = json!({ "type": "m.room.member", "room_id": rooms[0], "sender": ALICE, "state_key": BOB, "content": content });
    let mut refusals = Vec::new();
    for room in &rooms {
        let exchanged =
            one.rooms.exchange_third_party_invite(&alice.tenant, (&two, room), &body.to_string()).await;
        refusals.push(exchanged.unwrap_err());
    }
    assert!(!matches!(refusals[0], NotServed::Invalid("not an invite into this room")), "{refusals:?}");
    assert!(matches!(refusals[1], NotServed::Invalid("not an invite into this room")), "{refusals:?}");
}

#[tokio::test]
async fn an_invite_that_is_taken_back_is_gone() {
    let network = Network::new();
    let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let room = private_room(&one, &alice, "10", "invite").await;
    one.rooms.invite(&alice, &room, about(&bob)).await.unwrap();
    one.rooms.kick(&alice, &room, about(&bob)).await.unwrap();
    let number = one.number(&room).await;
    let state = one.reader().current_state(number).await.unwrap();
    let kick = state.get("m.room.member", BOB).await.unwrap().unwrap();
    let kick = kick.pdu.canonical_json();
    let forged = kick.replace("\"sender\":\"@alice:one.example\"", "\"sender\":\"@eve:three.example\"");
    let three = ServerName::parse("three.example").unwrap();
    let taken = two.rooms.take_withdrawal(&bob.tenant, (&three, &room), forged.as_bytes()).await;
    assert!(!taken.unwrap(), "whoever did not invite takes nothing back");
    let origin = alice.tenant.server_name();
    let changed = kick.replace("\"depth\":", "\"depth\":1");
    let refused = two.rooms.take_withdrawal(&bob.tenant, (origin, &room), changed.as_bytes()).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(membership(&two, &bob, &room).await, Some(Membership::Invite));
    assert!(two.rooms.take_withdrawal(&bob.tenant, (origin, &room), kick.as_bytes()).await.unwrap());
    assert_eq!(membership(&two, &bob, &room).await, Some(Membership::Leave));
}

#[tokio::test]
async fn a_knock_is_heard_answered_and_taken_back() {
    for version in ["7", "10", "12"] {
        let network = Network::new();
        let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
        let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
        let room = private_room(&one, &alice, version, "knock").await;
        two.rooms.knock(&bob, entry(&room, &["one.example"])).await.unwrap();
        assert_eq!(one.membership(&room, BOB).await.as_deref(), Some("knock"), "{version}");
        let row = standing(&two, &bob, &room).await.unwrap();
        assert_eq!(row.membership, Membership::Knock);
        assert!(row.stripped_state.iter().any(|text| text.contains("quiet")), "{version}");
        two.rooms.leave(&bob, &room, None).await.unwrap();
        assert_eq!(one.membership(&room, BOB).await.as_deref(), Some("leave"), "{version}");
        two.rooms.knock(&bob, entry(&room, &["one.example"])).await.unwrap();
        one.rooms.invite(&alice, &room, about(&bob)).await.unwrap();
        assert_eq!(membership(&two, &bob, &room).await, Some(Membership::Invite), "{version}");
        two.rooms.join(&bob, entry(&room, &[])).await.unwrap();
        assert_eq!(one.membership(&room, BOB).await.as_deref(), Some("join"), "{version}");
    }
}

/// CVE-2025-68667: a server signed in the name of its users whatever was sent as an invite.
#[tokio::test]
async fn cve_2025_68667_only_invites_of_users_of_the_tenant_by_the_calling_server_are_taken() {
    let network = Network::new();
    let one = network.world(&["one.example"]).await;
    let two = network.world(&["two.example", "other.example"]).await;
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let room = private_room(&one, &alice, "11", "invite").await;
    one.rooms.invite(&alice, &room, about(&bob)).await.unwrap();
    let state = one.reader().current_state(one.number(&room).await).await.unwrap();
    let invite = state.get("m.room.member", BOB).await.unwrap().unwrap();
    let member = state.get("m.room.member", ALICE).await.unwrap().unwrap();
    let other = two.rooms.reader().unwrap();
    drop(other);
    let elsewhere = ruma_common::RoomId::parse("!elsewhere:one.example").unwrap();
    let wrong_id = ruma_common::EventId::parse("$other").unwrap();
    let three = ServerName::parse("three.example").unwrap();
    let text = invite.pdu.canonical_json().as_bytes();
    let sent = SentInvite {
        origin: alice.tenant.server_name(),
        room_id: &room,
        event_id: invite.pdu.event_id(),
        room_version: "11",
        event: text,
        room_state: &[],
    };
    let other_tenant = two.actor("@eve:other.example").await.tenant;
    let cases = [
        (&bob.tenant, SentInvite { room_id: &elsewhere, ..sent }),
        (&bob.tenant, SentInvite { event_id: &wrong_id, ..sent }),
        (&bob.tenant, SentInvite { origin: &three, ..sent }),
        (&bob.tenant, SentInvite { room_version: "13", ..sent }),
        (
            &bob.tenant,
            SentInvite {
                event: member.pdu.canonical_json().as_bytes(),
                event_id: member.pdu.event_id(),
                ..sent
            },
        ),
        (&other_tenant, sent),
    ];
    for (tenant, case) in cases {
        let refused = two.rooms.take_invite(tenant, case).await;
        let is_refused = matches!(
            refused,
            Err(NotServed::Invalid(_) | NotServed::BadEvent(_) | NotServed::UnknownVersion(_))
        );
        assert!(is_refused, "{case:?}: {refused:?}");
    }
    assert!(two.rooms.take_invite(&bob.tenant, sent).await.is_ok());
}

#[tokio::test]
async fn an_invite_that_comes_back_changed_or_unsigned_is_not_sent() {
    type Change = fn(String) -> String;
    let changes: [Change; 3] = [
        |invite| invite.replace("\"membership\":\"invite\"", "\"membership\":\"join\""),
        |invite| invite.replace("two.example\":{", "three.example\":{"),
        |_| "{}".to_owned(),
    ];
    for change in changes {
        let network = Network::new();
        let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
        let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
        let room = private_room(&one, &alice, "11", "invite").await;
        network.meddle(move |what, answer| if what == "invite" { change(answer) } else { answer });
        let refused = one.rooms.invite(&alice, &room, about(&bob)).await;
        assert!(matches!(refused, Err(ActionError::BadAnswer { .. })), "{refused:?}");
        assert_eq!(one.membership(&room, BOB).await, None);
    }
}

#[tokio::test]
async fn a_new_room_invites_users_of_other_servers() {
    let network = Network::new();
    let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let nobody = ruma_common::UserId::parse("@nobody:nowhere.example").unwrap();
    let create = CreateRoom {
        invite: vec![nobody.clone(), bob.user_id.clone()],
        is_direct: true,
        ..CreateRoom::default()
    };
    let room = one.rooms.create_room(&alice, create).await.unwrap();
    assert_eq!(one.state(&room, "m.room.member", BOB).await.unwrap()["is_direct"], true);
    assert_eq!(membership(&two, &bob, &room).await, Some(Membership::Invite));
    let action = freehold_rooms::MemberAction { user_id: nobody, reason: None };
    let silent = one.rooms.invite(&alice, &room, action).await;
    let is_silent = matches!(&silent, Err(ActionError::Refused { answer: Unanswered::NotReached(_), .. }));
    assert!(is_silent, "{silent:?}");
    // Also when it is sent as any event.
    one.rooms.kick(&alice, &room, about(&bob)).await.unwrap();
    one.put(&alice, &room, ("m.room.member", BOB), json!({ "membership": "invite" })).await.unwrap();
    assert_eq!(one.membership(&room, BOB).await.as_deref(), Some("invite"));
}

#[tokio::test]
async fn a_third_party_invite_is_redeemed_with_the_signature_of_the_identity_server() {
    let network = Network::new();
    let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let room = private_room(&one, &alice, "11", "invite").await;
    let key = freehold_signing::SigningKey::from_seed(&[9; 32]);
    let public = key.verifying_key().to_base64();
    let issued = json!({
        "display_name": "b...", "key_validity_url": "https://id.example/valid", "public_key": public,
        "public_keys": [{ "public_key": public }],
    });
    one.put(&alice, &room, ("m.room.third_party_invite", "token"), issued).await.unwrap();
    let signed = |mxid: &str| {
        let text = json!({ "mxid": mxid, "token": "token" }).to_string();
        let signature = key.sign(text.as_bytes()).to_base64();
        json!({ "mxid": mxid, "token": "token", "signatures": { "id.example": { "ed25519:0": signature } } })
    };
    let body = |user: &str, signed: Value| {
        json!({
            "type": "m.room.member", "room_id": room, "sender": ALICE, "state_key": user,
            "content": {
                "membership": "invite",
                "third_party_invite": { "display_name": "b...", "signed": signed },
            },
        })
        .to_string()
    };
    let ask = |body: String| {
        let (rooms, tenant) = (one.rooms.clone(), alice.tenant.clone());
        let (origin, room) = (bob.tenant.server_name().to_owned(), room.clone());
        async move { rooms.exchange_third_party_invite(&tenant, (&origin, &room), &body).await }
    };
    let other = ask(body(BOB, signed("@eve:two.example"))).await;
    assert!(matches!(other, Err(NotServed::Forbidden(_))), "{other:?}");
    let strange = ask(body(ALICE, signed(ALICE))).await;
    assert!(matches!(strange, Err(NotServed::Invalid(_))), "{strange:?}");
    ask(body(BOB, signed(BOB))).await.unwrap();
    assert_eq!(membership(&two, &bob, &room).await, Some(Membership::Invite));
    two.rooms.join(&bob, entry(&room, &[])).await.unwrap();
    assert_eq!(one.membership(&room, BOB).await.as_deref(), Some("join"));
}

/// What an identity server gives a room that invites by address, and what it signs for who turns out to have the address.
struct IdentityServer(freehold_signing::SigningKey);

impl IdentityServer {
    fn issued(&self) -> Value {
        let public = self.0.verifying_key().to_base64();
        json!({
            "display_name": "b...", "key_validity_url": "https://id.example/valid", "public_key": public,
            "public_keys": [{ "public_key": public }],
        })
    }

    fn signed(&self, mxid: &str) -> String {
        let text = json!({ "mxid": mxid, "token": "token" }).to_string();
        let signature = self.0.sign(text.as_bytes()).to_base64();
        json!({ "mxid": mxid, "token": "token", "signatures": { "id.example": { "ed25519:0": signature } } })
            .to_string()
    }
}

#[tokio::test]
async fn who_is_bound_to_an_address_is_invited_where_the_address_was() {
    let network = Network::new();
    let one = network.world(&["one.example"]).await;
    let both = network.world(&["two.example", "three.example"]).await;
    let (alice, bob) = (one.actor(ALICE).await, both.actor(BOB).await);
    let carol = both.actor("@carol:three.example").await;
    let identity = IdentityServer(freehold_signing::SigningKey::from_seed(&[9; 32]));
    let room = private_room(&one, &alice, "11", "invite").await;
    one.put(&alice, &room, ("m.room.third_party_invite", "token"), identity.issued()).await.unwrap();
    let redeem = async |sender: &Actor, invited: &Actor, room: &RoomId, signed: &str| {
        let users = (&*sender.user_id, &*invited.user_id);
        both.rooms.redeem_third_party_invite(&invited.tenant, users, (room, signed)).await
    };
    let others = redeem(&alice, &bob, &room, &identity.signed("@carol:three.example")).await;
    assert!(matches!(others, Err(NotServed::Invalid(_))), "{others:?}");
    let forger = IdentityServer(freehold_signing::SigningKey::from_seed(&[8; 32]));
    let forged = redeem(&alice, &bob, &room, &forger.signed(BOB)).await;
    assert!(matches!(forged, Err(NotServed::Failed(ActionError::Refused { .. }))), "{forged:?}");
    assert_eq!(one.membership(&room, BOB).await, None);
    redeem(&alice, &bob, &room, &identity.signed(BOB)).await.unwrap();
    assert_eq!(membership(&both, &bob, &room).await, Some(Membership::Invite));
    let invite = one.state(&room, "m.room.member", BOB).await.unwrap();
    assert_eq!(invite["third_party_invite"]["display_name"], "b...", "what the room was told");
    // Who invites is a user of this process: nobody is asked.
    let own = private_room(&both, &bob, "12", "invite").await;
    both.put(&bob, &own, ("m.room.third_party_invite", "token"), identity.issued()).await.unwrap();
    network.asked();
    let signed = identity.signed("@carol:three.example");
    redeem(&bob, &carol, &own, &signed).await.unwrap();
    assert_eq!(membership(&both, &carol, &own).await, Some(Membership::Invite));
    assert_eq!(network.asked(), ["key https://id.example/valid"], "no server, but whether the key is valid");
    both.hosted.silence("two.example", "three.example");
    let silent = redeem(&bob, &carol, &own, &signed).await;
    assert!(matches!(silent, Err(NotServed::Failed(ActionError::NotReached(_)))), "{silent:?}");
}

#[tokio::test]
async fn an_invite_by_address_is_not_redeemed_with_a_key_that_is_not_valid_any_more() {
    let network = Network::new();
    let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let identity = IdentityServer(freehold_signing::SigningKey::from_seed(&[9; 32]));
    let room = private_room(&one, &alice, "11", "invite").await;
    let users = (&*alice.user_id, &*bob.user_id);
    for url in ["https://id.example/revoked", "https://gone.example/valid"] {
        let mut issued = identity.issued();
        issued["key_validity_url"] = url.into();
        issued["public_keys"][0]["key_validity_url"] = url.into();
        one.put(&alice, &room, ("m.room.third_party_invite", "token"), issued).await.unwrap();
        let refused =
            two.rooms.redeem_third_party_invite(&bob.tenant, users, (&room, &identity.signed(BOB))).await;
        assert!(matches!(refused, Err(NotServed::Failed(ActionError::Refused { .. }))), "{url}: {refused:?}");
        assert_eq!(one.membership(&room, BOB).await, None);
        // Of a key with which it is not signed, nobody is asked.
        network.asked();
        let forger = IdentityServer(freehold_signing::SigningKey::from_seed(&[8; 32]));
        let forged =
            two.rooms.redeem_third_party_invite(&bob.tenant, users, (&room, &forger.signed(BOB))).await;
        assert!(forged.is_err());
        assert!(!network.asked().iter().any(|asked| asked.starts_with("key")));
    }
    one.put(&alice, &room, ("m.room.third_party_invite", "token"), identity.issued()).await.unwrap();
    two.rooms.redeem_third_party_invite(&bob.tenant, users, (&room, &identity.signed(BOB))).await.unwrap();
    assert_eq!(membership(&two, &bob, &room).await, Some(Membership::Invite));
}

/// One tenant is in the room, another is invited by a server elsewhere, and the room has not heard of it here.
#[tokio::test]
async fn an_invite_that_the_room_has_not_heard_of_here_is_brought_there() {
    for version in ["6", "12"] {
        let network = Network::new();
        let one = network.world(&["one.example"]).await;
        let both = network.world(&["two.example", "three.example"]).await;
        let (alice, bob) = (one.actor(ALICE).await, both.actor(BOB).await);
        let carol = both.actor("@carol:three.example").await;
        let room = private_room(&one, &alice, version, "invite").await;
        one.rooms.invite(&alice, &room, about(&bob)).await.unwrap();
        both.rooms.join(&bob, entry(&room, &[])).await.unwrap();
        one.rooms.invite(&alice, &room, about(&carol)).await.unwrap();
        assert_eq!(both.membership(&room, "@carol:three.example").await, None);
        assert_eq!(membership(&both, &carol, &room).await, Some(Membership::Invite), "{version}");
        network.asked();
        both.rooms.join(&carol, entry(&room, &[])).await.unwrap();
        assert_eq!(network.asked(), [""; 0], "{version}: the invite is brought into the room that is here");
        network.deliver(&both, &one).await;
        for world in [&one, &both] {
            let joined = world.membership(&room, "@carol:three.example").await;
            assert_eq!(joined.as_deref(), Some("join"), "{version}");
        }
        both.say(&carol, &room, "here").await;
        assert_eq!(both.visible_bodies(&bob, &room).await, ["here"], "{version}");
        // Another time the invite is refused.
        let dave = both.actor("@dave:three.example").await;
        one.rooms.invite(&alice, &room, about(&dave)).await.unwrap();
        both.rooms.leave(&dave, &room, None).await.unwrap();
        assert_eq!(membership(&both, &dave, &room).await, Some(Membership::Leave), "{version}");
        network.deliver(&both, &one).await;
        assert_eq!(one.membership(&room, "@dave:three.example").await.as_deref(), Some("leave"), "{version}");
    }
}
