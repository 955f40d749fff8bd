//! Users of one server come into rooms of another, and leave them.

use std::collections::BTreeMap;

use freehold_event::RoomVersion;
use freehold_rooms::{ActionError, CreateRoom, InitialState, Preset, Unanswered};
use ruma_common::{OwnedRoomId, RoomId};
use serde_json::{Value, json};

use crate::hosted::{World, about, entry, raw};
use crate::network::Network;

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:three.example";

/// The state of a room by event ids.
pub(crate) async fn state(world: &World, room: &RoomId) -> BTreeMap<(String, String), String> {
    let reader = world.reader();
    let number = world.number(room).await;
    let events = reader.current_state(number).await.unwrap().events().await.unwrap();
    let key =
        |event: &freehold_event::Pdu| (event.event_type().to_owned(), event.state_key().unwrap().to_owned());
    events.iter().map(|event| (key(&event.pdu), event.pdu.event_id().to_string())).collect()
}

async fn room_with(
    world: &World,
    creator: &freehold_store::Actor,
    version: &str,
    states: &[(&str, Value)],
) -> OwnedRoomId {
    let initial_state = states.iter().map(|(event_type, content)| InitialState {
        event_type: (*event_type).to_owned(),
        state_key: String::new(),
        content: raw(content),
    });
    let create = CreateRoom {
        preset: Some(Preset::PublicChat),
        room_version: Some(version.to_owned()),
        initial_state: initial_state.collect(),
        ..CreateRoom::default()
    };
    world.rooms.create_room(creator, create).await.unwrap()
}

#[tokio::test]
async fn a_room_of_another_server_is_joined_in_every_version() {
    for version in RoomVersion::ALL {
        let network = Network::new();
        let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
        let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
        let room = one.public_room(&alice, version.id()).await;
        one.say(&alice, &room, "before").await;
        let joined = two.rooms.join(&bob, entry(&room, &["one.example"])).await;
        assert_eq!(joined.unwrap(), room, "{version}");
        assert_eq!(state(&one, &room).await, state(&two, &room).await, "{version}");
        assert_eq!(network.asked(), ["make_join one.example", "send_join one.example"], "{version}");
        // They talk, in both directions.
        two.say(&bob, &room, "here I am").await;
        network.deliver(&two, &one).await;
        one.say(&alice, &room, "welcome").await;
        network.deliver(&one, &two).await;
        assert_eq!(one.visible_bodies(&alice, &room).await, ["before", "here I am", "welcome"], "{version}");
        assert_eq!(two.visible_bodies(&bob, &room).await, ["here I am", "welcome"], "{version}");
        // And part.
        two.rooms.leave(&bob, &room, None).await.unwrap();
        network.deliver(&two, &one).await;
        assert_eq!(one.membership(&room, BOB).await.as_deref(), Some("leave"), "{version}");
        assert_eq!(network.asked(), [""; 0], "{version}");
        // What happened meanwhile is known after coming back.
        one.put(&alice, &room, ("m.room.topic", ""), json!({ "topic": "meanwhile" })).await.unwrap();
        two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
        assert_eq!(state(&one, &room).await, state(&two, &room).await, "{version}");
        two.say(&bob, &room, "again").await;
        network.deliver(&two, &one).await;
        assert_eq!(one.visible_bodies(&alice, &room).await.last().map(String::as_str), Some("again"));
    }
}

#[tokio::test]
async fn who_joins_is_told_to_the_other_servers_in_the_room() {
    let network = Network::new();
    let one = network.world(&["one.example"]).await;
    let (two, three) = (network.world(&["two.example"]).await, network.world(&["three.example"]).await);
    let (alice, bob, carol) = (one.actor(ALICE).await, two.actor(BOB).await, three.actor(CAROL).await);
    let room = one.public_room(&alice, "12").await;
    two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    three.rooms.join(&carol, entry(&room, &["two.example"])).await.unwrap();
    network.deliver(&two, &one).await;
    assert_eq!(one.membership(&room, CAROL).await.as_deref(), Some("join"));
    for world in [&one, &two, &three] {
        let servers = world.reader().servers_in(world.number(&room).await).await.unwrap();
        let names: Vec<String> = servers.into_iter().map(|(server, _)| server.to_string()).collect();
        assert_eq!(names, ["one.example", "three.example", "two.example"]);
    }
}

#[tokio::test]
async fn a_tenant_asks_nobody_for_a_room_that_another_holds_here() {
    let network = Network::new();
    let one = network.world(&["one.example"]).await;
    let both = network.world(&["two.example", "three.example"]).await;
    let (alice, bob, carol) = (one.actor(ALICE).await, both.actor(BOB).await, both.actor(CAROL).await);
    let room = one.public_room(&alice, "12").await;
    both.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    network.asked();
    // By way of a server that is elsewhere, as by way of the other tenant.
    both.rooms.join(&carol, entry(&room, &["one.example"])).await.unwrap();
    assert_eq!(network.asked(), [""; 0]);
    network.deliver(&both, &one).await;
    assert_eq!(one.membership(&room, CAROL).await.as_deref(), Some("join"));
    // Without being told of anybody in the room, it would not be found.
    both.rooms.leave(&carol, &room, None).await.unwrap();
    let lost = both.rooms.join(&carol, entry(&room, &[])).await;
    assert!(matches!(lost, Err(ActionError::Elsewhere(_))), "{lost:?}");
}

#[tokio::test]
async fn servers_are_asked_until_one_helps() {
    let network = Network::new();
    let one = network.world(&["one.example"]).await;
    let (two, three) = (network.world(&["two.example"]).await, network.world(&["three.example"]).await);
    let (alice, bob, carol) = (one.actor(ALICE).await, two.actor(BOB).await, three.actor(CAROL).await);
    let room = one.public_room(&alice, "10").await;
    two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    network.deliver(&two, &one).await;
    network.set_down(&["one.example"]);
    three.rooms.join(&carol, entry(&room, &["nowhere.example", "one.example", "two.example"])).await.unwrap();
    assert_eq!(two.membership(&room, CAROL).await.as_deref(), Some("join"));
    network.set_down(&["one.example", "two.example"]);
    three.rooms.leave(&carol, &room, None).await.unwrap();
    let failed = three.rooms.join(&carol, entry(&room, &["one.example", "two.example"])).await;
    let is_silent = matches!(&failed, Err(ActionError::Refused { answer: Unanswered::NotReached(_), .. }));
    assert!(is_silent, "{failed:?}");
}

#[tokio::test]
async fn join_rules_of_rooms_elsewhere_hold() {
    let network = Network::new();
    let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    for (version, rule) in [("1", "invite"), ("7", "knock"), ("10", "private"), ("12", "invite")] {
        let room =
            room_with(&one, &alice, version, &[("m.room.join_rules", json!({ "join_rule": rule }))]).await;
        let refused = two.rooms.join(&bob, entry(&room, &["one.example"])).await;
        let is_refused = matches!(
            &refused,
            Err(ActionError::Refused { answer: Unanswered::Refused { status: 403, .. }, .. })
        );
        assert!(is_refused, "{version} {rule}: {refused:?}");
        assert_eq!(one.membership(&room, BOB).await, None);
    }
    let acl = json!({ "allow": ["*"], "deny": ["two.example"] });
    let room = room_with(&one, &alice, "12", &[("m.room.server_acl", acl)]).await;
    let refused = two.rooms.join(&bob, entry(&room, &["one.example"])).await;
    assert!(matches!(refused, Err(ActionError::Refused { .. })), "{refused:?}");
}

/// "MUST be protected by ACLs": invites, too.
#[tokio::test]
async fn who_is_shut_out_invites_nobody() {
    let network = Network::new();
    let one = network.world(&["one.example"]).await;
    let two = network.world(&["two.example"]).await;
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let room = one.public_room(&alice, "12").await;
    let levels = json!({ "users": { BOB: 50 } });
    one.put(&alice, &room, ("m.room.power_levels", ""), levels).await.unwrap();
    two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    let acl = json!({ "allow": ["*"], "deny": ["two.example"] });
    one.put(&alice, &room, ("m.room.server_acl", ""), acl).await.unwrap();
    // The list has not come to Bob's server.
    let about = |user_id: &str| freehold_rooms::MemberAction {
        user_id: ruma_common::UserId::parse(user_id).unwrap(),
        reason: None,
    };
    one.actor("@dora:one.example").await;
    let invited = two.rooms.invite(&bob, &room, about("@dora:one.example")).await;
    let is_shut_out =
        matches!(&invited, Err(ActionError::Refused { answer: Unanswered::Refused { status: 403, .. }, .. }));
    assert!(is_shut_out, "{invited:?}");
    assert_eq!(one.membership(&room, "@dora:one.example").await, None);
}

/// Restricted rooms: the server of the user who authorises signs, and no other does.
#[tokio::test]
async fn a_restricted_room_elsewhere_is_joined_with_the_signature_of_a_member_who_may_invite() {
    for (version, rule) in [("8", "restricted"), ("10", "knock_restricted"), ("12", "restricted")] {
        let network = Network::new();
        let one = network.world(&["one.example", "three.example"]).await;
        let two = network.world(&["two.example"]).await;
        let (alice, bob, carol) = (one.actor(ALICE).await, two.actor(BOB).await, one.actor(CAROL).await);
        let space = one.public_room(&alice, version).await;
        let rules =
            json!({ "join_rule": rule, "allow": [{ "type": "m.room_membership", "room_id": space }] });
        let levels = json!({ "users": { ALICE: 100 }, "invite": 50 });
        let levels = if version == "12" { json!({ "users": {}, "invite": 50 }) } else { levels };
        let room = room_with(
            &one,
            &alice,
            version,
            &[("m.room.join_rules", rules), ("m.room.power_levels", levels)],
        )
        .await;
        // Carol's server is in the room, but nobody there may invite, and it does not know who is in the space.
        one.rooms.invite(&alice, &room, about(&carol)).await.unwrap();
        one.rooms.join(&carol, entry(&room, &[])).await.unwrap();
        let outsider = two.rooms.join(&bob, entry(&room, &["one.example"])).await;
        assert!(matches!(outsider, Err(ActionError::Refused { .. })), "{version}: {outsider:?}");
        two.rooms.join(&bob, entry(&space, &["one.example"])).await.unwrap();
        network.set_down(&["one.example"]);
        let unable = two.rooms.join(&bob, entry(&room, &["three.example"])).await;
        let Err(ActionError::Refused { answer: Unanswered::Refused { errcode, .. }, .. }) = &unable else {
            panic!("{version}: {unable:?}");
        };
        assert_eq!(errcode, "M_UNABLE_TO_AUTHORISE_JOIN");
        one.join(&carol, &space).await;
        let unable = two.rooms.join(&bob, entry(&room, &["three.example"])).await;
        let Err(ActionError::Refused { answer: Unanswered::Refused { errcode, .. }, .. }) = &unable else {
            panic!("{version}: {unable:?}");
        };
        assert_eq!(errcode, "M_UNABLE_TO_GRANT_JOIN");
        network.set_down(&[]);
        two.rooms.join(&bob, entry(&room, &["three.example", "one.example"])).await.unwrap();
        let member = two.state(&room, "m.room.member", BOB).await.unwrap();
        assert_eq!(member["join_authorised_via_users_server"], ALICE, "{version}");
        assert_eq!(state(&one, &room).await, state(&two, &room).await, "{version}");
    }
}

#[tokio::test]
async fn a_room_version_that_is_not_known_is_refused() {
    let network = Network::new();
    let one = network.world(&["one.example"]).await;
    let alice = one.actor(ALICE).await;
    let room = one.public_room(&alice, "12").await;
    let bob = ruma_common::UserId::parse(BOB).unwrap();
    let asked = freehold_rooms::AskedTemplate {
        origin: bob.server_name(),
        room_id: &room,
        user_id: &bob,
        step: freehold_rooms::OwnStep::Join,
        versions: Some(&["1".to_owned(), "13".to_owned()]),
    };
    let refused = one.rooms.template_for(&alice.tenant, asked).await;
    let is_refused =
        matches!(refused, Err(freehold_rooms::NotServed::IncompatibleVersion { room_version: "12" }));
    assert!(is_refused, "{refused:?}");
    let asked = freehold_rooms::AskedTemplate { user_id: &alice.user_id, ..asked };
    let refused = one.rooms.template_for(&alice.tenant, asked).await;
    assert!(matches!(refused, Err(freehold_rooms::NotServed::MayNot(_))), "{refused:?}");
}

#[tokio::test]
async fn an_alias_of_another_server_leads_into_its_room() {
    let network = Network::new();
    let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let room = one.public_room(&alice, "12").await;
    let alias = ruma_common::RoomAliasId::parse("#here:one.example").unwrap();
    one.rooms.create_alias(&alice, &alias, &room).await.unwrap();
    let by_alias = freehold_rooms::Entry { room: alias.into(), via: Vec::new(), reason: None };
    assert_eq!(two.rooms.join(&bob, by_alias).await.unwrap(), room);
    let nowhere = ruma_common::RoomAliasId::parse("#nowhere:one.example").unwrap();
    let unknown = two.rooms.find_alias(&bob.tenant, &nowhere).await;
    assert!(matches!(unknown, Err(ActionError::UnknownAlias(_))), "{unknown:?}");
}

#[tokio::test]
async fn a_canonical_alias_of_another_server_leads_to_the_room_or_is_refused() {
    let network = Network::new();
    let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let (room, other) = (one.public_room(&alice, "12").await, two.public_room(&bob, "12").await);
    two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    for (alias, leads_to) in [("#here:two.example", &room), ("#there:two.example", &other)] {
        let alias = ruma_common::RoomAliasId::parse(alias).unwrap();
        two.rooms.create_alias(&bob, &alias, leads_to).await.unwrap();
    }
    let name = async |alias: &str, others: &[&str]| {
        let content = json!({ "alias": alias, "alt_aliases": others });
        one.put(&alice, &room, ("m.room.canonical_alias", ""), content).await
    };
    for alias in ["#there:two.example", "#nowhere:two.example", "no alias"] {
        let refused = name("#here:two.example", &[alias]).await;
        assert!(matches!(&refused, Err(ActionError::BadAlias(bad)) if bad == alias), "{refused:?}");
    }
    name("#here:two.example", &[]).await.unwrap();
    network.set_down(&["two.example"]);
    network.asked();
    name("", &["#here:two.example"]).await.unwrap();
    assert_eq!(network.asked(), [""; 0], "what was named before is not looked at again");
    let unknown = name("#other:two.example", &[]).await;
    assert!(matches!(unknown, Err(ActionError::Refused { .. })), "{unknown:?}");
    let many: Vec<String> = (0..100).map(|number| format!("#{number}:two.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    network.set_down(&[]);
    network.asked();
    let refused = name("", &many).await;
    assert!(refused.is_err() && network.asked().len() <= 8, "{refused:?}");
}

#[tokio::test]
async fn a_large_room_is_joined_whole() {
    let network = Network::new();
    let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let room = one.public_room(&alice, "12").await;
    for number in 0..600 {
        let member = one.actor(&format!("@member{number}:one.example")).await;
        one.join(&member, &room).await;
    }
    two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    assert_eq!(state(&one, &room).await, state(&two, &room).await);
    let current = two.reader().current(two.number(&room).await).await.unwrap().unwrap();
    assert_eq!(current.joined, 602);
}

#[tokio::test]
async fn a_profile_of_another_server_is_asked_for_once_and_bounded() {
    let network = Network::new();
    let (_one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
    let bob = two.actor(BOB).await;
    let alice = ruma_common::UserId::parse(ALICE).unwrap();
    for _ in 0..3 {
        let profile = two.rooms.profile_elsewhere(&bob.tenant, &alice).await.unwrap().unwrap();
        assert_eq!(profile["displayname"], "alice");
    }
    assert_eq!(network.asked(), ["profile one.example"]);
    assert!(two.rooms.profile_elsewhere(&bob.tenant, &bob.user_id).await.unwrap().is_none());
    network.meddle(|_, name| name.repeat(100_000));
    let other = ruma_common::UserId::parse("@other:one.example").unwrap();
    let refused = two.rooms.profile_elsewhere(&bob.tenant, &other).await;
    assert!(matches!(refused, Err(ActionError::BadAnswer { .. })), "{refused:?}");
}

/// `omit_members`: what is left out is said to be, and the rest is enough for a beginning.
#[tokio::test]
async fn an_answer_to_a_join_leaves_members_out_when_it_may() {
    use freehold_rooms::{Members, OwnStep, SentMembership};
    for name in [None, Some("named")] {
        let network = Network::new();
        let (one, two) = (network.world(&["one.example"]).await, network.world(&["two.example"]).await);
        let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
        let room = one.public_room(&alice, "12").await;
        for number in 0..20 {
            let member = one.actor(&format!("@member{number}:one.example")).await;
            one.join(&member, &room).await;
        }
        if let Some(name) = name {
            one.put(&alice, &room, ("m.room.name", ""), json!({ "name": name })).await.unwrap();
        }
        two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
        let state = one.reader().current_state(one.number(&room).await).await.unwrap();
        let join = state.get("m.room.member", BOB).await.unwrap().unwrap();
        let sent = SentMembership {
            origin: bob.tenant.server_name(),
            room_id: &room,
            event_id: join.pdu.event_id(),
            step: OwnStep::Join,
            event: join.pdu.canonical_json().as_bytes(),
        };
        let accepted = one.rooms.accept_membership(&alice.tenant, sent).await.unwrap();
        let mut answers = Vec::new();
        for members in [Members::All, Members::Few] {
            let mut answer = accepted.join_answer(members).await.unwrap();
            let mut text = String::new();
            while let Some(chunk) = answer.chunk().await.unwrap() {
                text.push_str(&chunk);
            }
            let answer: Value = serde_json::from_str(&text).unwrap();
            answers.push(answer);
        }
        let members = |answer: &Value| {
            let state = answer["state"].as_array().unwrap();
            state.iter().filter(|event| event["type"] == "m.room.member").count()
        };
        assert_eq!((members(&answers[0]), &answers[0]["members_omitted"]), (21, &json!(false)));
        assert!(answers[0]["servers_in_room"].is_null());
        let heroes = if name.is_some() { 0 } else { 5 };
        assert_eq!((members(&answers[1]), &answers[1]["members_omitted"]), (heroes, &json!(true)));
        assert_eq!(answers[1]["servers_in_room"], json!(["one.example"]));
    }
}
