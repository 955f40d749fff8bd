//! State of which the keys cannot be had at a join.

use super::*;

/// Dave's server cannot be asked for its keys when Bob joins with all members.
async fn joined_without_dave() -> Scene {
    let mut scene = Scene::new("12").await;
    scene.two.rooms = scene.two.entire_at(NOW_TS);
    scene.network.withhold_keys(&["four.example"]);
    scene.join().await;
    scene
}

#[tokio::test]
async fn what_cannot_be_verified_at_a_join_comes_when_the_keys_do() {
    let scene = joined_without_dave().await;
    let number = scene.two.number(&scene.room).await;
    assert_eq!(scene.two.membership(&scene.room, CAROL).await.as_deref(), Some("join"));
    assert_eq!(scene.two.membership(&scene.room, DAVE).await, None);
    scene.two.say(&scene.bob, &scene.room, "is anybody missing?").await;
    assert_eq!(scene.two.rooms.take_late_state(&scene.room).await.unwrap(), LateState::Waits);
    scene.two.say(&scene.bob, &scene.room, "still").await;
    let sent = || async {
        let snapshot = scene.two.store.snapshot().unwrap();
        let rows = snapshot.scan_prefix(&OUTGOING, &(), Order::Ascending, usize::MAX).await.unwrap();
        rows.into_iter().filter(|(_, row)| row.others.contains(&server("four.example").to_owned())).count()
    };
    assert_eq!(sent().await, 0);
    scene.network.withhold_keys(&[]);
    assert_eq!(scene.two.rooms.take_late_state(&scene.room).await.unwrap(), LateState::Came);
    assert!(sent().await >= 2, "what was said meanwhile goes to Dave's server, too");
    expect_in_order(&scene.two).await;
    scene.network.deliver(&scene.two, &scene.one).await;
    assert_eq!(state(&scene.one, &scene.room).await, state(&scene.two, &scene.room).await);
    assert_eq!(scene.two.reader().current(number).await.unwrap().unwrap().joined, 4);
    for event in scene.two.timeline(&scene.room).await {
        let before = scene.two.reader().state_before(&event).await.unwrap();
        assert!(before.get("m.room.member", DAVE).await.unwrap().is_some());
    }
    assert_eq!(scene.two.rooms.take_late_state(&scene.room).await.unwrap(), LateState::Whole);
    let snapshot = scene.two.store.snapshot().unwrap();
    let left = snapshot.scan_prefix(&LACKING_EVENTS, &(), Order::Ascending, usize::MAX).await.unwrap();
    assert_eq!((snapshot.get(&LACKING_ROOMS, &number).await.unwrap(), left.len()), (None, 0));
}

#[tokio::test]
async fn who_is_not_known_yet_is_not_refused_for_ever() {
    let scene = joined_without_dave().await;
    scene.tell_others().await;
    let dave = scene.others.actor(DAVE).await;
    scene.others.say(&dave, &scene.room, "hello").await;
    let hello = scene.others.timeline(&scene.room).await.pop().unwrap();
    let keys = scene.network.all_keys();
    let receive = async || {
        let json = hello.pdu.canonical_json().as_bytes();
        scene.two.rooms.receive(&scene.room, json, &keys).await.unwrap()
    };
    // Of his join, which authorises it, nothing is here.
    let answer = receive().await;
    assert!(matches!(answer, Incoming::Fetch(_)), "{answer:?}");
    let reader = scene.others.reader();
    let current = reader.current_state(scene.others.number(&scene.room).await).await.unwrap();
    let member = current.get("m.room.member", DAVE).await.unwrap().unwrap();
    let outlier: [&[u8]; 1] = [member.pdu.canonical_json().as_bytes()];
    scene.two.rooms.receive_outliers(&scene.room, &outlier, &keys).await.unwrap();
    let answer = receive().await;
    assert!(matches!(answer, Incoming::Lacking), "{answer:?}");
    scene.network.withhold_keys(&[]);
    assert_eq!(scene.two.rooms.take_late_state(&scene.room).await.unwrap(), LateState::Came);
    let answer = receive().await;
    assert!(matches!(answer, Incoming::Kept(None)), "{answer:?}");
    assert_eq!(scene.two.visible_bodies(&scene.bob, &scene.room).await, ["hello"]);
}

/// The join itself cannot be judged when nobody tells the keys of those who authorise it.
#[tokio::test]
async fn a_room_of_which_nothing_can_be_verified_is_not_joined_and_the_reason_is_told() {
    let scene = Scene::new("11").await;
    scene.network.withhold_keys(&["one.example"]);
    let refused = scene.two.rooms.join(&scene.bob, entry(&scene.room, &["one.example"])).await;
    let is_told = matches!(&refused, Err(ActionError::BadAnswer { source: BadAnswer::Unverified(1..), .. }));
    assert!(is_told, "{refused:?}");
}

/// Three weeks later nobody has the keys any more.
#[tokio::test]
async fn what_nobody_can_verify_is_asked_for_less_and_less_and_given_up_in_the_end() {
    let scene = joined_without_dave().await;
    let number = scene.two.number(&scene.room).await;
    let (mut tries, mut waits) = (0, Vec::new());
    loop {
        let snapshot = scene.two.store.snapshot().unwrap();
        let Some(row) = snapshot.get(&LACKING_ROOMS, &number).await.unwrap() else { break };
        waits.push(row.retry_ts - row.tried_ts);
        let early = scene.two.entire_at(row.retry_ts - 1).reader().unwrap();
        assert!(early.lacking_rooms().await.unwrap().is_empty(), "it is not time yet");
        let rooms = scene.two.entire_at(row.retry_ts);
        assert_eq!(rooms.reader().unwrap().lacking_rooms().await.unwrap().len(), 1);
        rooms.take_late_state(&scene.room).await.unwrap();
        tries += 1;
    }
    assert_eq!(tries, 30);
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]) && waits[29] == 24 * 60 * 60 * 1000, "{waits:?}");
}
