//! Waiting for news.

use std::time::Duration;

use crate::person::{People, bodies, events, joined, token};
use freehold_sync::SyncRequest;

fn long(since: &serde_json::Value) -> SyncRequest {
    SyncRequest { since: Some(token(since)), timeout: Duration::from_secs(30), ..SyncRequest::default() }
}

#[tokio::test]
async fn a_sync_waits_until_somebody_of_another_tenant_says_something() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let first = people.sync(&people.bob, None).await;
    let (service, bob, request) = (people.service.clone(), people.bob.clone(), long(&first));
    let waiting = tokio::spawn(async move { service.sync(&bob, &request).await.unwrap() });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    people.world.say(&people.alice, &room, "news").await;
    let answer = serde_json::to_value(waiting.await.unwrap()).unwrap();
    assert_eq!(bodies(joined(&answer, &room)), ["news"]);
}

#[tokio::test]
async fn a_sync_waits_until_somebody_types_and_until_they_stop() {
    let people = People::new().await;
    let room = people.shared_room().await;
    let mut last = people.sync(&people.bob, None).await;
    for (typing_for, users) in [(Some(Duration::from_secs(9)), 1), (None, 0)] {
        let (service, bob, request) = (people.service.clone(), people.bob.clone(), long(&last));
        let waiting = tokio::spawn(async move { service.sync(&bob, &request).await.unwrap() });
        tokio::task::yield_now().await;
        people.service.set_typing(&people.alice, &room, typing_for).await.unwrap();
        last = serde_json::to_value(waiting.await.unwrap()).unwrap();
        let typing = &events(&joined(&last, &room)["ephemeral"])[0]["content"]["user_ids"];
        assert_eq!(typing.as_array().unwrap().len(), users);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sync_without_news_ends_when_the_client_said() {
    let people = People::new().await;
    people.shared_room().await;
    let first = people.sync(&people.bob, None).await;
    let answer = people.service.sync(&people.bob, &long(&first)).await.unwrap();
    assert!(answer.is_empty());
}

#[tokio::test]
async fn a_sync_needs_a_device() {
    let people = People::new().await;
    let without = freehold_store::Actor { device: None, ..people.bob.clone() };
    assert!(people.service.sync(&without, &SyncRequest::default()).await.is_err());
}
