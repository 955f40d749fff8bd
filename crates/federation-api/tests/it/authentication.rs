//! Who may ask at all: signatures, destinations, lists of denied servers.

use freehold_federation_api::{LimitsSettings, Rate};
use serde_json::json;

use crate::server::{ALICES, Ask, BOBS, DENIED, KEYLESS, REMOTE, STALE, Server};

/// An endpoint that answers every server.
fn ask() -> Ask {
    Ask::new("GET", "/_matrix/federation/v1/publicRooms?limit=5")
}

/// The same with a body.
fn ask_with_body() -> Ask {
    Ask::new("POST", "/_matrix/federation/v1/publicRooms").json(&json!({ "limit": 5 }))
}

#[tokio::test]
async fn a_signed_request_is_answered_with_and_without_a_destination() {
    let server = Server::start();
    server.send(ask().by(REMOTE)).await.ok();
    server.send(ask_with_body().by(REMOTE)).await.ok();
    server.send(ask().by(REMOTE).without_destination()).await.ok();
    // Another scheme in a header before it is for somebody else.
    let ask = ask().by(REMOTE);
    let authorization = ask.authorization().unwrap().replace("X-Matrix", "x-mAtRiX");
    let twice =
        Ask::new("GET", "/_matrix/federation/v1/publicRooms?limit=5").header("authorization", "Bearer x");
    server.send(twice.header("authorization", &authorization)).await.ok();
}

#[tokio::test]
async fn a_request_signed_for_one_tenant_is_refused_at_every_other_one() {
    let server = Server::start();
    for without in [false, true] {
        let named = |ask: Ask| if without { ask.without_destination() } else { ask };
        let to_bob = server.send(named(ask().by(REMOTE).signed_for(BOBS))).await;
        assert_eq!(to_bob.error(), (401, "M_UNAUTHORIZED"));
        let to_alice = server.send(named(ask().by(REMOTE).to(BOBS).signed_for(ALICES))).await;
        assert_eq!(to_alice.error(), (401, "M_UNAUTHORIZED"));
        let to_a_stranger = server.send(named(ask().by(REMOTE).signed_for("stranger.example"))).await;
        // Nobody can tell by the answer whether the other destination is hosted here, too.
        let told = |answer: &crate::server::Answer| {
            String::from_utf8_lossy(&answer.bytes).replace("stranger.example", BOBS)
        };
        assert_eq!(told(&to_bob), told(&to_a_stranger));
    }
}

#[tokio::test]
async fn a_request_that_one_tenant_answered_is_not_answered_when_it_is_replayed_at_another() {
    let server = Server::start();
    for original in [ask().by(REMOTE), ask().by(REMOTE).without_destination()] {
        let authorization = original.authorization().unwrap();
        server.send(original).await.ok();
        let replayed = ask().to(BOBS).header("authorization", &authorization);
        assert_eq!(server.send(replayed).await.error(), (401, "M_UNAUTHORIZED"));
    }
}

#[tokio::test]
async fn what_was_signed_is_what_is_answered() {
    let server = Server::start();
    let signed = ask().by(REMOTE).authorization().unwrap();
    let other_query = Ask::new("GET", "/_matrix/federation/v1/publicRooms?limit=6");
    let other_path = Ask::new("GET", "/_matrix/federation/v1/query/profile?user_id=%40a%3Aalice.example");
    let with_body = ask().json(&json!({}));
    for forged in [other_query, other_path, with_body] {
        let answer = server.send(forged.header("authorization", &signed)).await;
        assert_eq!(answer.error(), (401, "M_UNAUTHORIZED"));
    }
    let signed = ask_with_body().by(REMOTE).authorization().unwrap();
    let path = "/_matrix/federation/v1/publicRooms";
    for body in [json!({ "limit": 6 }).to_string(), "{}".to_owned(), String::new(), "nonsense".to_owned()] {
        let answer = server.send(Ask::new("POST", path).body(&body).header("authorization", &signed)).await;
        assert_eq!(answer.error(), (401, "M_UNAUTHORIZED"), "{body}");
    }
    // The same JSON in another spelling is the same.
    let spelled = Ask::new("POST", path).body(" {\"limit\" : 5 }\n").header("authorization", &signed);
    server.send(spelled).await.ok();
}

#[tokio::test]
async fn who_is_not_known_by_a_valid_key_is_unauthorized() {
    let server = Server::start();
    let mine = ask().by(REMOTE).authorization().unwrap();
    let in_another_name = mine.replace(REMOTE, "other.example");
    let with_another_key = mine.replace("ed25519:1", "ed25519:2");
    for header in
        [&in_another_name, &with_another_key, "X-Matrix", "X-Matrix origin=\"remote.example\"", "Bearer x"]
    {
        let answer = server.send(ask().header("authorization", header)).await;
        assert_eq!(answer.error(), (401, "M_UNAUTHORIZED"), "{header}");
    }
    for origin in [KEYLESS, STALE] {
        assert_eq!(server.send(ask().by(origin)).await.error(), (401, "M_UNAUTHORIZED"), "{origin}");
    }
}

/// Servers that change their key send a header for each.
#[tokio::test]
async fn of_several_signatures_of_one_server_one_that_is_valid_is_enough() {
    let server = Server::start();
    let good = ask().by(REMOTE).authorization().unwrap();
    let unknown = good.replace("ed25519:1", "ed25519:2");
    let sent = async |headers: &[&String]| {
        let ask = headers.iter().fold(ask(), |ask, value| ask.header("authorization", value));
        server.send(ask).await.error().0
    };
    assert_eq!(sent(&[&unknown, &good]).await, 200);
    assert_eq!(sent(&[&good, &unknown]).await, 200);
    assert_eq!(sent(&[&unknown, &unknown, &unknown, &good]).await, 200);
    assert_eq!(sent(&[&unknown, &unknown]).await, 401);
    assert_eq!(sent(&[&unknown, &unknown, &unknown, &unknown, &good]).await, 401, "too many");
    assert_eq!(sent(&[&good, &ask().by("other.example").authorization().unwrap()]).await, 401);
    let elsewhere = ask().by(REMOTE).signed_for(BOBS).authorization().unwrap();
    assert_eq!(sent(&[&good, &elsewhere]).await, 401, "one is for somebody else");
}

#[tokio::test]
async fn a_tenant_is_no_server_to_itself_and_one_to_its_neighbours() {
    let server = Server::start();
    assert_eq!(server.send(ask().by(ALICES)).await.error(), (401, "M_UNAUTHORIZED"));
    server.send(ask().by(BOBS)).await.ok();
}

#[tokio::test]
async fn a_denied_server_is_told_so_by_the_tenant_that_denies_it_and_nobody_else_is() {
    let server = Server::start();
    assert_eq!(server.send(ask().by(DENIED)).await.error(), (403, "M_FORBIDDEN"));
    server.send(ask().by(DENIED).to(BOBS)).await.ok();
    // Whoever only claims to be denied is told nothing of it.
    let claimed = ask().by(REMOTE).authorization().unwrap().replace(REMOTE, DENIED);
    assert_eq!(server.send(ask().header("authorization", &claimed)).await.error(), (401, "M_UNAUTHORIZED"));
}

#[tokio::test]
async fn who_fails_too_often_is_not_looked_at_for_a_while() {
    let address = Some(Rate { per_second: 1, burst: 3 });
    let server = Server::with_limits(LimitsSettings { address, ..LimitsSettings::OFF });
    for _ in 0..10 {
        server.send(ask().by(REMOTE)).await.ok();
    }
    for _ in 0..3 {
        assert_eq!(server.send(ask().by(KEYLESS)).await.error(), (401, "M_UNAUTHORIZED"));
    }
    assert_eq!(server.send(ask().by(KEYLESS)).await.error(), (429, "M_LIMIT_EXCEEDED"));
    server.send(ask().by(REMOTE).to(BOBS)).await.ok();
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_too_large_whatever_it_says_of_its_length() {
    let server = Server::start();
    let long = format!("{{\"filter\":{{\"generic_search_term\":\"{}\"}}}}", "x".repeat(1024 * 1024));
    let ask = Ask::new("POST", "/_matrix/federation/v1/publicRooms").by(REMOTE).body(&long);
    assert_eq!(server.send(ask.clone()).await.error(), (413, "M_TOO_LARGE"));
    assert_eq!(server.send(ask.header("content-length", "99999999")).await.error(), (413, "M_TOO_LARGE"));
}
