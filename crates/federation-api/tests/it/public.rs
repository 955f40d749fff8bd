//! What every server may ask a tenant: profiles, aliases, published rooms, who a token belongs to, files.

use freehold_accounts::{Admission, NewAccount};
use freehold_media::FileNames;
use freehold_rooms::{CreateRoom, InitialState, Preset, Visibility};
use freehold_signing::SigningKey;
use freehold_store::Actor;
use freehold_store::tables::rooms::Membership;
use futures_util::stream::once;
use ruma_common::{OwnedRoomId, UserId};
use serde_json::{Value, json};

use crate::server::{ALICES, Ask, BOBS, REMOTE, Server};

const ALICE: &str = "@alice:alice.example";

/// A user with an account.
async fn account(server: &Server, user_id: &str) -> Actor {
    let actor = server.ground.actor(user_id).await;
    let new = NewAccount {
        localpart: Some(UserId::parse(user_id).unwrap().localpart().to_owned()),
        display_name: Some("Alice Liddell".to_owned()),
        ..NewAccount::default()
    };
    server.services().accounts.register(&actor.tenant, new, Admission::Tool).await.unwrap();
    actor
}

/// A published room of a user, with the alias `#tea` of their tenant.
async fn published_room(server: &Server, actor: &Actor) -> OwnedRoomId {
    let create = CreateRoom {
        preset: Some(Preset::PublicChat),
        visibility: Visibility::Public,
        alias_localpart: Some("tea".to_owned()),
        name: Some("Tea party".to_owned()),
        ..CreateRoom::default()
    };
    server.services().rooms.create_room(actor, create).await.unwrap()
}

fn get(path: &str) -> Ask {
    Ask::new("GET", &format!("/_matrix/federation/v1/{path}")).by(REMOTE)
}

#[tokio::test]
async fn a_profile_is_told_by_the_tenant_whose_user_it_is_and_by_no_neighbour() {
    let server = Server::start();
    account(&server, ALICE).await;
    let path = "query/profile?user_id=%40alice%3Aalice.example";
    assert_eq!(server.send(get(path)).await.ok(), json!({ "displayname": "Alice Liddell" }));
    let field = server.send(get(&format!("{path}&field=avatar_url"))).await.ok();
    assert_eq!(field, json!({}));
    let at_the_neighbour = server.send(get(path).to(BOBS)).await;
    let of_nobody = server.send(get("query/profile?user_id=%40nobody%3Aalice.example")).await;
    assert_eq!(of_nobody.error(), (404, "M_NOT_FOUND"));
    assert_eq!(at_the_neighbour.json, of_nobody.json);
    assert_eq!(server.send(get("query/profile?user_id=nonsense")).await.error(), (400, "M_INVALID_PARAM"));
    assert_eq!(server.send(get("query/profile")).await.error(), (400, "M_MISSING_PARAM"));
    assert_eq!(server.send(get("query/weather")).await.error(), (404, "M_UNRECOGNIZED"));
}

#[tokio::test]
async fn an_alias_is_resolved_by_its_tenant_and_by_no_neighbour() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = published_room(&server, &alice).await;
    let path = "query/directory?room_alias=%23tea%3Aalice.example";
    let resolved = server.send(get(path)).await.ok();
    assert_eq!(resolved, json!({ "room_id": room_id, "servers": [ALICES] }));
    let missing = server.send(get("query/directory?room_alias=%23coffee%3Aalice.example")).await;
    assert_eq!(missing.error(), (404, "M_NOT_FOUND"));
    assert_eq!(server.send(get(path).to(BOBS)).await.json, missing.json);
}

#[tokio::test]
async fn a_directory_has_the_rooms_of_its_tenant_in_parts() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let room_id = published_room(&server, &alice).await;
    let page = server.send(get("publicRooms")).await.ok();
    assert_eq!(page["chunk"][0]["room_id"], json!(room_id));
    assert_eq!(page["chunk"][0]["name"], "Tea party");
    assert_eq!(page["total_room_count_estimate"], 1);
    assert_eq!(server.send(get("publicRooms?limit=0")).await.ok(), page, "zero is no limit");
    assert_eq!(server.send(get("publicRooms?since=x")).await.error(), (400, "M_INVALID_PARAM"));
    assert_eq!(server.send(get("publicRooms").to(BOBS)).await.ok()["chunk"], json!([]));
    for (term, found) in [("PARTY", 1), ("coffee", 0)] {
        let ask = Ask::new("POST", "/_matrix/federation/v1/publicRooms").by(REMOTE);
        let filter = json!({ "filter": { "generic_search_term": term } });
        let page = server.send(ask.json(&filter)).await.ok();
        assert_eq!(page["chunk"].as_array().unwrap().len(), found, "{term}");
    }
}

#[tokio::test]
async fn nothing_is_kept_of_an_invite_of_somebody_whom_there_is_not() {
    let server = Server::start();
    account(&server, ALICE).await;
    let invite = |invitee: &str, version: &str| {
        let path = "/_matrix/federation/v2/invite/!somewhere:remote.example/$event";
        let event = json!({ "room_id": "!somewhere:remote.example", "state_key": invitee });
        Ask::new("PUT", path).by(REMOTE).json(&json!({ "room_version": version, "event": event }))
    };
    let nobody = server.send(invite("@nobody:alice.example", "11")).await;
    assert_eq!(nobody.error(), (403, "M_FORBIDDEN"));
    assert_eq!(server.send(invite(ALICE, "11")).await.error(), (400, "M_INVALID_PARAM"), "no event");
    let unknown = server.send(invite(ALICE, "unheard-of")).await;
    assert_eq!(unknown.error(), (400, "M_INCOMPATIBLE_ROOM_VERSION"));
    assert_eq!(unknown.json["room_version"], "unheard-of");
}

#[tokio::test]
async fn a_token_proves_its_user_at_the_users_own_tenant_only() {
    let server = Server::start();
    let alice = account(&server, ALICE).await;
    let (token, _) = server.services().accounts.new_openid_token(&alice).await.unwrap();
    let ask = |token: &str| {
        Ask::new("GET", &format!("/_matrix/federation/v1/openid/userinfo?access_token={token}"))
    };
    assert_eq!(server.send(ask(&token)).await.ok(), json!({ "sub": ALICE }));
    assert_eq!(server.send(ask(&token).to(BOBS)).await.error(), (401, "M_UNKNOWN_TOKEN"));
    assert_eq!(server.send(ask("nonsense")).await.error(), (401, "M_UNKNOWN_TOKEN"));
}

#[tokio::test]
async fn a_file_comes_in_two_parts_from_the_tenant_that_has_it() {
    let server = Server::start();
    let alice = server.ground.actor(ALICE).await;
    let names = FileNames {
        content_type: Some("text/plain\r\nX: y".to_owned()),
        filename: Some("ü.txt".to_owned()),
    };
    let bytes = once(std::future::ready(Ok("Who stole\r\n--the tarts?".into())));
    let media_id = server.services().media.upload(&alice, names, bytes).await.unwrap();
    let path = format!("media/download/{media_id}");
    let answer = server.send(get(&path)).await;
    assert_eq!(answer.status.as_u16(), 200);
    let content_type = answer.headers["content-type"].to_str().unwrap();
    let boundary = content_type.strip_prefix("multipart/mixed; boundary=").unwrap();
    assert_eq!(
        String::from_utf8(answer.bytes.clone()).unwrap(),
        format!(
            "--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\n\
             Content-Type: text/plainX: y\r\nContent-Disposition: attachment; filename*=utf-8''%C3%BC.txt\r\n\r\n\
             Who stole\r\n--the tarts?\r\n--{boundary}--\r\n"
        )
    );
    assert_eq!(answer.headers["content-length"], answer.bytes.len().to_string());
    let missing = server.send(get("media/download/nothing")).await;
    assert_eq!(missing.error(), (404, "M_NOT_FOUND"));
    assert_eq!(server.send(get(&path).to(BOBS)).await.json, missing.json);
    assert_eq!(server.send(get("media/download/..%2Fx")).await.json, missing.json);
    let picture = server.send(get(&format!("media/thumbnail/{media_id}?width=10&height=10"))).await;
    assert_eq!((picture.status.as_u16(), &picture.json["errcode"]), (400, &Value::from("M_UNKNOWN")));
}

#[tokio::test]
async fn who_binds_an_address_of_a_user_brings_the_invites_that_wait_for_it() {
    let server = Server::start();
    let alice = account(&server, ALICE).await;
    let bob = server.ground.actor("@bob:bob.example").await;
    let key = SigningKey::from_seed(&[9; 32]);
    let issued = json!({
        "display_name": "a...", "public_key": key.verifying_key().to_base64(),
    });
    let issued = InitialState {
        event_type: "m.room.third_party_invite".to_owned(),
        state_key: "token".to_owned(),
        content: serde_json::value::to_raw_value(&issued).unwrap(),
    };
    let create = CreateRoom { initial_state: vec![issued], ..CreateRoom::default() };
    let room_id = server.services().rooms.create_room(&bob, create).await.unwrap();
    let signed = json!({ "mxid": ALICE, "token": "token" });
    let signature = key.sign(signed.to_string().as_bytes()).to_base64();
    let mut signed = signed;
    signed["signatures"] = json!({ "id.example": { "ed25519:0": signature } });
    let invite = |room_id: &str| {
        json!({
            "medium": "email", "address": "alice@example.org", "mxid": ALICE, "room_id": room_id,
            "sender": "@bob:bob.example", "signed": signed,
        })
    };
    let bound_by = |method: &str, mxid: &str, invites: Value| {
        let body =
            json!({ "medium": "email", "address": "alice@example.org", "mxid": mxid, "invites": invites });
        Ask::new(method, "/_matrix/federation/v1/3pid/onbind").json(&body)
    };
    let bound = |mxid: &str, invites: Value| bound_by("PUT", mxid, invites);
    let invites = json!([invite("!nothing:bob.example"), invite(room_id.as_str())]);
    let unknown = server.send(bound("@nobody:alice.example", invites.clone())).await;
    assert_eq!(unknown.error(), (404, "M_NOT_FOUND"));
    assert_eq!(server.send(bound(ALICE, invites.clone()).to(BOBS)).await.json, unknown.json);
    assert_eq!(server.send(bound(ALICE, json!("none"))).await.status.as_u16(), 400);
    // The identity servers that there are do not send it as the specification has it.
    assert_eq!(server.send(bound_by("POST", ALICE, invites)).await.ok(), json!({}));
    let reader = server.services().rooms.reader().unwrap();
    let room = reader.room_number(&room_id).await.unwrap().unwrap();
    let row = reader.membership(alice.user, room).await.unwrap().unwrap();
    assert_eq!(row.membership, Membership::Invite);
}

/// PYSEC-2021-27: what was said about somebody's address was kept, however long it was, until memory and disk were full.
#[tokio::test]
async fn pysec_2021_27_nothing_that_is_said_of_an_address_is_kept_however_long_it_is() {
    let server = Server::start();
    account(&server, ALICE).await;
    let path = "/_matrix/federation/v1/3pid/onbind";
    let position = || server.services().rooms.reader().unwrap().snapshot().position();
    let before = position();
    let said = |length: usize, invites: usize| {
        let long = "x".repeat(length);
        let signed =
            json!({ "mxid": ALICE, "token": long, "signatures": { long.as_str(): { "ed25519:0": long } } });
        let invite = json!({
            "medium": long, "address": long, "mxid": ALICE, "room_id": "!nothing:bob.example",
            "sender": "@bob:bob.example", "signed": signed,
        });
        let body =
            json!({ "medium": long, "address": long, "mxid": ALICE, "invites": vec![invite; invites] });
        Ask::new("PUT", path).json(&body)
    };
    assert_eq!(server.send(said(10_000, 1)).await.ok(), json!({}));
    for (length, invites) in [(1, 5_000), (400_000, 1)] {
        let refused = server.send(said(length, invites)).await;
        assert_eq!(refused.error(), (413, "M_TOO_LARGE"), "{length} {invites}");
    }
    assert_eq!(position(), before, "something was written");
}
