//! Who does not answer.

use freehold_federation::fake::Trouble;
use freehold_federation::{Outlook, Request, RequestError, limits};
use ruma_common::ServerName;

use crate::world::{World, pass, server, tenant};

const PATH: &str = "/_matrix/federation/v1/version";
const MINUTE_MS: i64 = 60_000;

fn remote() -> &'static ServerName {
    "remote.example".try_into().unwrap()
}

async fn ask(world: &World, name: &str) -> Result<freehold_federation::Answer, RequestError> {
    world.client.request(&tenant(name), remote(), Request::get(PATH)).await
}

/// How long a server that has failed so often is left in peace.
fn wait_ms(world: &World) -> i64 {
    match world.health.outlook(remote()) {
        Outlook::Waiting { retry_ts, .. } => retry_ts - world.now_ts(),
        Outlook::Well | Outlook::Due { .. } => 0,
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_left_in_peace_by_all_tenants_and_ever_longer() {
    let world = World::new().await;
    let address = world.ordinary_server("remote.example");
    world.network.trouble(address, Trouble::Refuses);
    let mut waits = Vec::new();
    for _ in 0..20 {
        assert!(matches!(ask(&world, "alice.example").await, Err(RequestError::NotReached(_))));
        world.network.sent();
        let waiting = ask(&world, "bob.example").await.unwrap_err();
        assert!(matches!(waiting, RequestError::Waiting { .. }), "{waiting}");
        assert!(world.network.sent().is_empty());
        waits.push(wait_ms(&world));
        pass(wait_ms(&world)).await;
    }
    assert!(waits[0] <= 2 * limits::HEALTH_WAIT_MIN_MS, "{waits:?}");
    assert!(waits.iter().skip(14).all(|wait| *wait >= limits::HEALTH_WAIT_MAX_MS / 2), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= limits::HEALTH_WAIT_MAX_MS * 3 / 2), "{waits:?}");
    world.network.heal(address);
    ask(&world, "bob.example").await.unwrap();
    assert_eq!(world.health.outlook(remote()), Outlook::Well);
}

#[tokio::test(start_paused = true)]
async fn one_request_at_a_time_tries_a_server_that_failed() {
    let world = World::new().await;
    let address = world.ordinary_server("remote.example");
    world.network.trouble(address, Trouble::Refuses);
    ask(&world, "alice.example").await.unwrap_err();
    pass(wait_ms(&world)).await;
    world.network.sent();
    world.network.trouble(address, Trouble::Hangs);
    let tries = (0..10).map(|_| ask(&world, "alice.example"));
    let failed = futures_util::future::join_all(tries).await;
    assert_eq!(world.sent(PATH), 1);
    assert_eq!(failed.iter().filter(|result| matches!(result, Err(RequestError::TooSlow))).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_waits_has_the_server_tried_at_once() {
    let world = World::new().await;
    let address = world.ordinary_server("remote.example");
    world.network.trouble(address, Trouble::Refuses);
    ask(&world, "alice.example").await.unwrap_err();
    world.network.heal(address);
    let request = Request::get(PATH).at_once();
    world.client.request(&tenant("alice.example"), remote(), request).await.unwrap();
    assert!(world.health.is_alive(remote()));
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_life_has_a_server_tried_but_not_each_time_that_it_speaks() {
    let world = World::new().await;
    for _ in 0..12 {
        world.health.failed(remote());
        pass(wait_ms(&world)).await;
    }
    world.health.failed(remote());
    assert!(wait_ms(&world) > 10 * MINUTE_MS);
    let woken = tokio::spawn({
        let health = world.health.clone();
        async move { health.wait_until_due(remote()).await }
    });
    pass(1).await;
    world.health.heard_from(remote());
    assert!(!world.health.is_alive(remote()), "it has just been tried");
    assert!(wait_ms(&world) <= limits::WAKE_AFTER_MS, "but what was heard is not forgotten");
    pass(2 * MINUTE_MS).await;
    woken.await.unwrap();
    assert!(matches!(world.health.outlook(remote()), Outlook::Due { .. }));
    world.health.failed(remote());
    assert!(wait_ms(&world) > 10 * MINUTE_MS);
    pass(2 * MINUTE_MS).await;
    world.health.heard_from(remote());
    assert!(
        matches!(world.health.outlook(remote()), Outlook::Due { .. }),
        "it was left in peace for long enough"
    );
    world.health.failed(remote());
    world.health.heard_from(remote());
    assert!(!world.health.is_alive(remote()), "it speaks and cannot be spoken to");
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_hammer_those_who_did_not_answer() {
    let world = World::new().await;
    for _ in 0..8 {
        world.health.failed(remote());
        pass(wait_ms(&world)).await;
    }
    world.health.failed(remote());
    world.health.failed(&server("once.example"));
    pass(1).await;
    let again = World::over(world.network.clone(), world.store.clone(), world.clock.clone()).await;
    assert_eq!(again.health.outlook(remote()), world.health.outlook(remote()));
    assert!(matches!(again.health.outlook(remote()), Outlook::Waiting { failures: 9, .. }));
    assert_eq!(again.health.outlook(&server("once.example")), Outlook::Well, "a short wait is not written");

    again.health.succeeded(remote());
    pass(1).await;
    let third = World::over(world.network.clone(), world.store.clone(), world.clock.clone()).await;
    assert_eq!(third.health.outlook(remote()), Outlook::Well);
}

#[tokio::test(start_paused = true)]
async fn requests_that_fail_together_have_failed_once() {
    let world = World::new().await;
    for _ in 0..100 {
        world.health.failed(remote());
    }
    assert!(matches!(world.health.outlook(remote()), Outlook::Waiting { failures: 1, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_answers_for_a_dead_server_is_no_sign_of_life() {
    for (status, alive) in [(200, true), (404, true), (500, true), (502, false), (503, false), (504, false)] {
        let world = World::new().await;
        world.network.host("remote.example", 8448, move |_| freehold_federation::fake::answer(status, "{}"));
        let _ = ask(&world, "alice.example").await;
        assert_eq!(world.health.is_alive(remote()), alive, "{status}");
    }
    // A server that waits for an upload in vain, or has a file that is too large, says so by itself.
    for (status, errcode) in [(504, "M_NOT_YET_UPLOADED"), (502, "M_TOO_LARGE")] {
        let world = World::new().await;
        let body = format!(r#"{{"errcode":"{errcode}","error":"no"}}"#);
        let handler = move |_| freehold_federation::fake::answer(status, body.clone());
        world.network.host("remote.example", 8448, handler);
        let _ = ask(&world, "alice.example").await;
        assert!(world.health.is_alive(remote()), "{errcode}");
    }
}
