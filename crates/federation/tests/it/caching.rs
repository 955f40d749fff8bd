//! What discovery remembers, and for how long.

use freehold_federation::fake::{Trouble, answer};
use freehold_federation::{Step, limits};

use crate::world::{HOUR_MS, World, pass, server};

const PAGE: &str = "/.well-known/matrix/server";
const DELEGATION: &str = r#"{"m.server":"target.example:443"}"#;
const MINUTE_MS: i64 = 60_000;

/// A world in which `plain.example` delegates with these headers.
async fn delegating(headers: &'static [(&'static str, &'static str)]) -> World {
    let world = World::new().await;
    world.network.address("target.example", &["8.1.0.2".parse().unwrap()]);
    world.network.host("plain.example", 443, move |_| {
        let mut response = answer(200, DELEGATION);
        for (name, value) in headers {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        response
    });
    world
}

/// Whether the well-known document is fetched when the server is looked for.
async fn fetches(world: &World) -> bool {
    world.network.sent();
    world.discovery.find(&server("plain.example")).await.unwrap();
    // What is looked for in the background is there after a moment.
    pass(1000).await;
    world.sent(PAGE) > 0
}

#[tokio::test(start_paused = true)]
async fn a_delegation_is_believed_as_long_as_it_says_and_for_a_day_if_it_says_nothing() {
    for (headers, valid_ms) in [
        (&[][..], 24 * HOUR_MS),
        (&[("cache-control", "max-age=7200")], 2 * HOUR_MS),
        (&[("cache-control", "max-age=99999999")], limits::WELL_KNOWN_MAX_MS),
    ] {
        let world = delegating(headers).await;
        assert!(fetches(&world).await, "{headers:?}");
        pass(valid_ms - 5 * MINUTE_MS).await;
        assert!(!fetches(&world).await, "{headers:?}");
        pass(10 * MINUTE_MS).await;
        // The place itself may still be believed; after an hour nobody does.
        let renewed = fetches(&world).await || {
            pass(HOUR_MS).await;
            fetches(&world).await
        };
        assert!(renewed, "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn past_its_time_a_place_is_used_at_once_and_looked_for_in_the_background() {
    let world = delegating(&[]).await;
    let find = || world.discovery.find("plain.example".try_into().unwrap());
    assert_eq!(find().await.unwrap().step, Step::DelegatedPort);
    pass(limits::TARGET_MAX_MS + MINUTE_MS).await;
    world.network.looked_up();
    world.network.latency(std::time::Duration::from_secs(3));
    let before = tokio::time::Instant::now();
    assert_eq!(find().await.unwrap().step, Step::DelegatedPort);
    assert_eq!(before.elapsed().as_millis(), 0, "nobody waits for a name server");
    pass(10_000).await;
    assert_eq!(world.network.looked_up(), ["target.example"], "the delegation is still believed");
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_looking_leaves_the_search_to_end_and_its_end_is_remembered() {
    let world = World::new().await;
    world.network.latency(std::time::Duration::from_secs(3));
    let nowhere = server("nowhere.example");
    let given_up =
        tokio::time::timeout(std::time::Duration::from_secs(1), world.discovery.find(&nowhere)).await;
    assert!(given_up.is_err(), "somebody gave up");
    // The search goes on; that it failed is remembered for ten seconds at least.
    pass(12_000).await;
    world.network.looked_up();
    assert!(world.discovery.find(&nowhere).await.is_err());
    assert_eq!(world.network.looked_up(), [""; 0], "that there is nothing is known by now");
    assert_eq!(world.discovery.searches(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_name_server_that_died_does_not_end_federation_with_those_who_were_found() {
    let world = delegating(&[]).await;
    assert!(fetches(&world).await);
    world.network.kill_name("target.example");
    world.network.kill_name("plain.example");
    for _ in 0..20 {
        pass(HOUR_MS).await;
        let target = world.discovery.find(&server("plain.example")).await.unwrap();
        assert_eq!(target.step, Step::DelegatedPort);
    }
    pass(6 * HOUR_MS).await;
    assert!(world.discovery.find(&server("plain.example")).await.is_err(), "not for ever");
    world.network.revive_name("target.example");
    world.network.revive_name("plain.example");
    pass(HOUR_MS).await;
    assert_eq!(world.discovery.find(&server("plain.example")).await.unwrap().step, Step::DelegatedPort);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_answer_keeps_the_delegation_that_it_made() {
    let world = delegating(&[("cache-control", "max-age=3600")]).await;
    assert!(fetches(&world).await);
    let address = "8.0.0.1:443".parse().unwrap();
    world.network.trouble(address, Trouble::Refuses);
    pass(5 * HOUR_MS).await;
    assert!(fetches(&world).await);
    assert_eq!(world.discovery.find(&server("plain.example")).await.unwrap().step, Step::DelegatedPort);
    // A host that says that it does not delegate is believed at once.
    world.network.heal(address);
    world.network.host("plain.example", 443, |_| answer(404, ""));
    pass(2 * HOUR_MS).await;
    assert!(fetches(&world).await);
    assert_eq!(world.discovery.find(&server("plain.example")).await.unwrap().step, Step::Host);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_remembered_for_a_while_that_grows() {
    let world = World::new().await;
    let mut asked = Vec::new();
    for minute in 0..180 {
        world.network.looked_up();
        assert!(world.discovery.find(&server("nowhere.example")).await.is_err());
        if !world.network.looked_up().is_empty() {
            asked.push(minute);
        }
        pass(MINUTE_MS).await;
    }
    assert!(asked.len() < 60, "{asked:?}");
    let last = asked.windows(2).map(|pair| pair[1] - pair[0]).next_back().unwrap();
    let wait_max = limits::NOT_FOUND_MAX_MS / MINUTE_MS;
    assert!((wait_max / 2..=wait_max + 1).contains(&last), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn that_there_is_no_delegation_is_remembered_for_an_hour() {
    let world = World::new().await;
    world.network.host("plain.example", 443, |_| answer(404, ""));
    assert!(fetches(&world).await);
    pass(50 * MINUTE_MS).await;
    assert!(!fetches(&world).await);
    pass(20 * MINUTE_MS).await;
    assert!(fetches(&world).await);
}

#[tokio::test(start_paused = true)]
async fn many_who_look_for_one_server_look_once() {
    let world = delegating(&[]).await;
    world.network.latency(std::time::Duration::from_millis(50));
    let finds = (0..50).map(|_| world.discovery.find("plain.example".try_into().unwrap()));
    for found in futures_util::future::join_all(finds).await {
        assert_eq!(found.unwrap().step, Step::DelegatedPort);
    }
    assert_eq!(world.sent(PAGE), 1);
}
