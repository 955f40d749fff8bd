//! Requests in the name of tenants.

use std::time::Duration;

use freehold_federation::fake::{Trouble, answer};
use freehold_federation::{Fault, Request, RequestError};
use freehold_signing::{KeyId, KeySource, KeyValidity, PublishedKey, VerifyingKey, XMatrix, verify_request};
use ruma_common::ServerName;

use crate::world::{START_TS, World, pass, server, signing_key, tenant};

const PATH: &str = "/_matrix/federation/v1/send/1%2F2?a=b%20c";

struct OneKey(VerifyingKey);

impl KeySource for OneKey {
    fn key(&self, _: &ServerName, _: &KeyId) -> Option<PublishedKey<'_>> {
        Some(PublishedKey { key: &self.0, validity: KeyValidity::Current { valid_until_ts: i64::MAX } })
    }
}

/// A world in which `remote.example` answers with a status and a body.
async fn remote(status: u16, body: &'static str) -> World {
    let world = World::new().await;
    world.network.host("remote.example", 8448, move |_| answer(status, body));
    world
}

async fn ask(
    world: &World,
    name: &str,
    request: Request,
) -> Result<freehold_federation::Answer, RequestError> {
    world.client.request(&tenant(name), &server("remote.example"), request).await
}

#[tokio::test(start_paused = true)]
async fn a_request_is_signed_by_its_tenant_for_its_destination_letter_by_letter() {
    let world = remote(200, r#"{"pdus":{}}"#).await;
    for name in ["alice.example", "bob.example"] {
        let answer = ask(&world, name, Request::put(PATH, r#"{"b":1, "a":2}"#)).await.unwrap();
        assert_eq!(answer.json::<serde_json::Value>().unwrap(), serde_json::json!({ "pdus": {} }));
        let sent = world.network.sent().pop().unwrap();
        assert_eq!(sent.endpoint.certificate_name, "remote.example");
        assert_eq!(sent.request.uri().authority().unwrap().as_str(), "remote.example");
        assert_eq!(sent.request.headers()["content-type"], "application/json");
        let credentials = XMatrix::parse(sent.request.headers()["authorization"].as_bytes()).unwrap();
        assert_eq!(credentials.origin, name);
        let verify = |destination: &str, keys: &OneKey| {
            let received = freehold_signing::Request {
                method: "PUT",
                uri: sent.request.uri().path_and_query().unwrap().as_str(),
                destination: destination.try_into().unwrap(),
                content: Some(sent.request.body()),
            };
            verify_request(&received, &credentials, keys, START_TS)
        };
        let keys = OneKey(signing_key(name).verifying_key().clone());
        assert_eq!(verify("remote.example", &keys), Ok(()));
        assert!(verify("other.example", &keys).is_err(), "replayed to somebody else");
        let others = OneKey(signing_key("carol.example").verifying_key().clone());
        assert!(verify("remote.example", &others).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn tenants_of_one_process_do_not_meet_on_the_network() {
    let world = World::new().await;
    world.ordinary_server("bob.example");
    let (alice, bob) = (tenant("alice.example"), server("bob.example"));
    let refused = world.client.request(&alice, &bob, Request::get("/_matrix/x")).await.unwrap_err();
    assert!(matches!(&refused, RequestError::Local { server_name } if *server_name == bob), "{refused}");
    let to_itself = world.client.request(&alice, alice.server_name(), Request::get("/_matrix/x")).await;
    assert!(matches!(to_itself, Err(RequestError::Local { .. })));
    let unsigned = world.client.request_unsigned(&bob, Request::get("/_matrix/x")).await;
    assert!(matches!(unsigned, Err(RequestError::Local { .. })));
    assert!(world.network.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_tenant_asks_nobody_whom_its_policy_denies() {
    let world = World::new().await;
    world.ordinary_server("denied.example");
    let denied = server("denied.example");
    let refused = world.client.request(&tenant("alice.example"), &denied, Request::get("/_matrix/x")).await;
    assert!(matches!(refused, Err(RequestError::NotSpokenWith { .. })));
    assert!(world.network.sent().is_empty() && world.network.looked_up().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_error_says_who_is_at_fault_and_what_was_said() {
    for (status, body, fault, errcode) in [
        (403, r#"{"errcode":"M_FORBIDDEN","error":"no"}"#, Fault::Ours, "M_FORBIDDEN"),
        (404, "<html>", Fault::Ours, ""),
        (500, r#"{"errcode":"M_UNKNOWN"}"#, Fault::Theirs, "M_UNKNOWN"),
        (502, "", Fault::Theirs, ""),
    ] {
        let world = remote(status, body).await;
        let error = ask(&world, "alice.example", Request::get(PATH)).await.unwrap_err();
        let refusal = error.refusal().unwrap();
        assert_eq!((refusal.status, &*refusal.errcode, error.fault()), (status, errcode, fault));
    }
    let world = remote(400, r#"{"errcode":"M_INCOMPATIBLE_ROOM_VERSION","room_version":"99"}"#).await;
    let error = ask(&world, "alice.example", Request::get(PATH)).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().body["room_version"], "99");
    let world = remote(200, "no json").await;
    let answer = ask(&world, "alice.example", Request::get(PATH)).await.unwrap();
    assert_eq!(answer.json::<serde_json::Value>().unwrap_err().fault(), Fault::Theirs);
}

#[tokio::test(start_paused = true)]
async fn a_redirection_is_not_followed_with_a_signature() {
    let world = World::new().await;
    world.network.host("remote.example", 8448, |_| {
        let mut response = answer(307, "");
        response.headers_mut().insert("location", "https://elsewhere.example/".parse().unwrap());
        response
    });
    world.network.host("elsewhere.example", 443, |_| answer(200, "{}"));
    let error = ask(&world, "alice.example", Request::get(PATH)).await.unwrap_err();
    assert!(matches!(error, RequestError::Redirected { status: 307 }), "{error}");
    assert_eq!(world.sent("/"), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_wait_waits_and_nobody_else_does() {
    let world = remote(429, r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":5000}"#).await;
    let told = ask(&world, "alice.example", Request::get(PATH)).await.unwrap_err();
    assert_eq!(told.refusal().unwrap().retry_after_ms, Some(5000));
    world.network.sent();
    let waiting = ask(&world, "alice.example", Request::get(PATH)).await.unwrap_err();
    assert_eq!(waiting.retry_ts(), Some(START_TS + 5000));
    assert!(world.network.sent().is_empty());
    assert!(ask(&world, "bob.example", Request::get(PATH)).await.unwrap_err().refusal().is_some());
    pass(5000).await;
    assert!(ask(&world, "alice.example", Request::get(PATH)).await.unwrap_err().refusal().is_some());
    assert!(world.health.is_alive("remote.example".try_into().unwrap()), "who refuses is alive");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_bounded_in_size_and_time() {
    let world = remote(200, "12345").await;
    assert_eq!(ask(&world, "alice.example", Request::get(PATH).up_to(5)).await.unwrap().body, "12345");
    let long = ask(&world, "alice.example", Request::get(PATH).up_to(4)).await.unwrap_err();
    assert!(matches!(long, RequestError::TooLarge { bytes_max: 4 }), "{long}");

    let world = World::new().await;
    let address = world.ordinary_server("remote.example");
    world.network.trouble(address, Trouble::Hangs);
    let before = tokio::time::Instant::now();
    let request = Request::get(PATH).within(Duration::from_secs(7));
    let slow = ask(&world, "alice.example", request).await.unwrap_err();
    assert!(matches!(slow, RequestError::TooSlow), "{slow}");
    assert_eq!((before.elapsed().as_secs(), slow.fault()), (7, Fault::Unreachable));
}

#[tokio::test(start_paused = true)]
async fn the_next_address_is_tried_only_when_the_first_certainly_did_not_get_the_request() {
    for (trouble, answered) in [(Trouble::Refuses, true), (Trouble::Breaks, false)] {
        let world = World::new().await;
        let first = world.ordinary_server("remote.example");
        let second = "8.7.0.1:8448".parse().unwrap();
        let handler: freehold_federation::fake::Handler =
            std::sync::Arc::new(|_| Box::pin(async { answer(200, "{}") }));
        world.network.serve_at(second, &["remote.example"], handler);
        world.network.address("remote.example", &[first.ip(), second.ip()]);
        world.network.trouble(first, trouble);
        let asked = ask(&world, "alice.example", Request::get(PATH)).await;
        assert_eq!(asked.is_ok(), answered, "{trouble:?}: {asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_path_is_not_sent() {
    let world = remote(200, "{}").await;
    for uri in
        ["", "_matrix/x", "/other/x", "/_matrix/a b", "/_matrix/x#y", "@evil.example/_matrix/", "/_matrix/\n"]
    {
        let refused = ask(&world, "alice.example", Request::get(uri)).await.unwrap_err();
        assert!(matches!(refused, RequestError::Uri { .. }), "{uri:?}: {refused}");
    }
    let sent = world.network.sent();
    assert!(sent.iter().all(|sent| !sent.request.headers().contains_key("authorization")));
    let content = ask(&world, "alice.example", Request::put(PATH, "{")).await.unwrap_err();
    assert!(matches!(content, RequestError::Content(_)), "{content}");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_read_as_it_comes() {
    let world = remote(200, "12345").await;
    let destination = server("remote.example");
    let mut streamed =
        world.client.stream(&tenant("alice.example"), &destination, Request::get(PATH)).await.unwrap();
    let mut body = Vec::new();
    while let Some(chunk) = streamed.chunk().await.unwrap() {
        body.extend_from_slice(&chunk);
    }
    assert_eq!((streamed.status, &*body), (200, &b"12345"[..]));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_swallows_everything_costs_a_moment() {
    let world = World::new().await;
    let first = world.ordinary_server("remote.example");
    let second = "8.7.0.1:8448".parse().unwrap();
    let handler: freehold_federation::fake::Handler =
        std::sync::Arc::new(|_| Box::pin(async { answer(200, "{}") }));
    world.network.serve_at(second, &["remote.example"], handler);
    world.network.address("remote.example", &[first.ip(), second.ip()]);
    world.network.trouble(first, Trouble::Hangs);
    let before = tokio::time::Instant::now();
    ask(&world, "alice.example", Request::get(PATH)).await.unwrap();
    assert_eq!(before.elapsed().as_millis(), u128::from(freehold_federation::limits::NEXT_ADDRESS_MS));
}
