//! Events that come while a room lacks members.

use super::*;

impl Scene {
    /// Somebody of the server that helped says something; what came of it here, and the event.
    async fn hear(&self, body: &str) -> (Option<Hold>, SignedPdu) {
        let event_id = self.one.say(&self.alice, &self.room, body).await;
        let reader = self.one.reader();
        let event = reader.snapshot().number_of(&event_id).await.unwrap().unwrap();
        let pdu = reader.event(event).await.unwrap().pdu.clone();
        let now_ts = pdu.origin_server_ts();
        let signed = freehold_room::verify(pdu, &self.network.all_keys(), now_ts).unwrap();
        let number = self.two.number(&self.room).await;
        let events = std::slice::from_ref(&signed);
        let holds = self.two.rooms.hold(number, server("one.example"), events).await.unwrap();
        (holds.map(|holds| holds[0]), signed)
    }
}

#[tokio::test]
async fn what_is_held_is_there_after_a_restart_once_and_in_order() {
    let mut scene = Scene::new("12").await;
    scene.join().await;
    let number = scene.two.number(&scene.room).await;
    let (first, event) = scene.hear("one").await;
    assert_eq!(first, Some(Hold::Held));
    scene.hear("two").await;
    // Another tenant, or a repetition, brings it again.
    let again = [event.clone(), event];
    let again = scene.two.rooms.hold(number, server("four.example"), &again).await.unwrap();
    assert_eq!(again, Some(vec![Hold::Held, Hold::Held]));
    scene.two.rooms = scene.two.omitting();
    let held = scene.two.rooms.held(number, None, 10).await.unwrap();
    let told = |event: &freehold_rooms::HeldEvent| event.json.contains("\"one\"");
    assert_eq!(held.iter().map(told).collect::<Vec<_>>(), [true, false]);
    assert!(held.iter().all(|event| event.origin == "one.example"));
    let row = scene.two.reader().held_of(number).await.unwrap().unwrap();
    let bytes: usize = held.iter().map(|event| event.json.len()).sum();
    assert_eq!((row.events, row.bytes), (2, bytes as u64));
    assert_eq!(scene.two.rooms.held(number, held.first(), 10).await.unwrap(), held[1..]);
    expect_in_order(&scene.two).await;
    // Of one something was said.
    scene.two.rooms.release(number, &held[..1]).await.unwrap();
    scene.two.rooms.release(number, &held[..1]).await.unwrap();
    assert_eq!(scene.two.reader().held_of(number).await.unwrap().unwrap().events, 1);
    scene.two.rooms.end_hold(number).await.unwrap();
    assert_eq!(scene.two.reader().rooms_held_of().await.unwrap(), [number]);
    scene.two.rooms.release(number, &held).await.unwrap();
    scene.two.rooms.end_hold(number).await.unwrap();
    assert_eq!(scene.two.reader().rooms_held_of().await.unwrap(), []);
}

#[tokio::test]
async fn nothing_is_held_of_a_whole_room() {
    let scene = Scene::new("11").await;
    scene.join().await;
    let number = scene.two.number(&scene.room).await;
    assert!(scene.two.rooms.is_partial_now(number).await.unwrap());
    scene.complete().await.unwrap();
    assert!(!scene.two.rooms.is_partial_now(number).await.unwrap());
    assert_eq!(scene.hear("late").await.0, None);
    assert_eq!(scene.two.reader().held_of(number).await.unwrap(), None);
    assert_eq!(scene.two.reopened().count_partial_now().await.unwrap(), 0);
}

#[tokio::test]
async fn no_more_is_held_of_a_room_than_may_be_and_who_was_turned_away_is_noted() {
    let scene = Scene::new("11").await;
    scene.join().await;
    let number = scene.two.number(&scene.room).await;
    let long = "x".repeat(60_000);
    let (mut held, mut full) = (0, 0);
    while full < 2 {
        match scene.hear(&long).await.0.unwrap() {
            Hold::Held => held += 1,
            Hold::Full => full += 1,
        }
        assert!(held < 300);
    }
    let row = scene.two.reader().held_of(number).await.unwrap().unwrap();
    assert_eq!(row.events, held);
    assert!(row.bytes <= 16 << 20 && row.bytes > (16 << 20) - 61_000, "{row:?}");
    assert_eq!(row.turned_away, ["one.example"]);
    // A shorter one may find room still.
    assert_eq!(scene.hear("short").await.0, Some(Hold::Held));
}

/// Whoever has many rooms can have many of them lack members.
#[tokio::test]
async fn no_more_is_held_of_all_rooms_together_than_may_be() {
    let scene = Scene::new("11").await;
    scene.join().await;
    let hold_elsewhere = async |events, bytes| {
        let mut batch = Batch::new();
        let row = HeldRow { events, bytes, turned_away: Vec::new() };
        batch.put(&HELD, &RoomNumber(1_000), &row);
        batch.put(&HELD, &RoomNumber(1_001), &row);
        scene.two.store.commit(batch).await.unwrap();
    };
    for (events, bytes, hold) in [
        (49_999, 100 << 20, Hold::Held),
        (50_000, 100 << 20, Hold::Full),
        (10, 128 << 20, Hold::Full),
        (10, 127 << 20, Hold::Held),
    ] {
        hold_elsewhere(events, bytes).await;
        assert_eq!(scene.hear("hello").await.0, Some(hold), "{events} {bytes}");
    }
}

#[tokio::test]
async fn what_was_held_of_a_room_that_everybody_left_goes_when_somebody_comes_back() {
    let scene = Scene::new("12").await;
    scene.join().await;
    scene.hear("to nobody").await;
    scene.two.rooms.leave(&scene.bob, &scene.room, None).await.unwrap();
    scene.network.deliver(&scene.two, &scene.one).await;
    scene.join().await;
    let snapshot = scene.two.store.snapshot().unwrap();
    assert_eq!(snapshot.scan_prefix(&HELD_EVENTS, &(), Order::Ascending, 1).await.unwrap(), []);
    assert_eq!(snapshot.scan_prefix(&HELD, &(), Order::Ascending, 1).await.unwrap(), []);
    assert!(scene.is_partial().await);
}
