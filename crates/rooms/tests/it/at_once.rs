//! Events that several bring to a room at the same time.

use std::collections::BTreeSet;
use std::sync::Arc;

use freehold_event::RoomVersion;
use freehold_room::Refused;
use freehold_rooms::Incoming;
use freehold_signing::SignedPdu;
use freehold_store_fjall::{FjallEngine, Settings};
use freehold_testkit::Rng;
use futures_util::future::join_all;

use crate::elsewhere::Elsewhere;
use crate::garbage::assert_in_order;
use crate::hosted::World;

/// After all events.
const NOW_TS: i64 = 1_767_312_000_000;

/// Events that passed checks 1 to 3.
fn verified(elsewhere: &Elsewhere, ids: &[String]) -> Vec<SignedPdu> {
    let (version, room_id) = (elsewhere.room.version, &elsewhere.room_id);
    let pdus = ids.iter().map(|id| freehold_room::parse(elsewhere.json(id), version, room_id).unwrap());
    pdus.map(|pdu| freehold_room::verify(pdu, &elsewhere.keys, NOW_TS).unwrap()).collect()
}

#[tokio::test]
async fn a_room_is_the_same_however_many_bring_its_events_at_once() {
    for (version, seed) in RoomVersion::ALL.iter().zip(40..) {
        let world = World::new(&["host.example"]).await;
        let elsewhere = Elsewhere::made(seed, version);
        elsewhere.begin(&world).await;
        let mut rng = Rng::new(seed);
        let mut left = elsewhere.room.order.clone();
        let mut rounds = 0;
        while !left.is_empty() {
            // Four bring what comes next, each some of it, and the first two bring the same.
            let mut brought: Vec<Vec<String>> = vec![Vec::new(); 4];
            for id in left.iter().take(40) {
                brought[rng.below(4)].push(id.clone());
            }
            brought[1] = brought[0].clone();
            let receive = |ids: &Vec<String>| {
                let events = verified(&elsewhere, ids);
                world.rooms.receive_verified(&elsewhere.room_id, events)
            };
            let answers = join_all(brought.iter().map(receive)).await;
            let mut here = BTreeSet::new();
            for (id, incoming) in brought.iter().flatten().zip(answers.into_iter().flatten().flatten()) {
                match incoming.unwrap() {
                    Incoming::Kept(refused) => {
                        let is_rejected = matches!(refused, Some(Refused::Rejected(_)));
                        assert_eq!(is_rejected, elsewhere.room.events[id].rejected, "{id}: {refused:?}");
                        here.insert(id.clone());
                    }
                    // Two brought it: both are told the same.
                    Incoming::Known => {
                        assert!(!elsewhere.room.events[id].rejected, "{version} {id}");
                        here.insert(id.clone());
                    }
                    Incoming::RefusedBefore => drop(here.insert(id.clone())),
                    Incoming::Fetch(_) => {}
                    other => panic!("{version} {id}: {other:?}"),
                }
            }
            left.retain(|id| !here.contains(id));
            rounds += 1;
            assert!(rounds < 1_000, "{version}: {} never come", left.len());
        }
        elsewhere.assert_state(&world, &format!("{version}, seed {seed}")).await;
        assert_in_order(&world.store).await;
    }
}

#[tokio::test]
async fn what_comes_while_the_room_is_being_written_is_committed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let engine = FjallEngine::open(folder.path(), Settings::default()).unwrap();
    let world = World::over(Arc::new(engine), &["host.example"]).await;
    let elsewhere = Elsewhere::made(50, RoomVersion::V11);
    elsewhere.begin(&world).await;
    let ids = elsewhere.room.order.clone();
    let (first, others) = ids.split_at(4);
    // The first commit is under way when the others come, those first that follow the last.
    let mut lists = vec![first.to_vec()];
    lists.extend(others.chunks(4).rev().map(<[String]>::to_vec));
    let before = world.reader().position();
    let receive = |ids: &Vec<String>| {
        world.rooms.receive_verified(&elsewhere.room_id, verified(&elsewhere, &ids[..ids.len().min(4)]))
    };
    let answers = join_all(lists.iter().take(3).chain(lists.last()).map(receive)).await;
    assert!(answers.into_iter().all(|answers| answers.unwrap().len() <= 4));
    let (first, second) = (verified(&elsewhere, others), verified(&elsewhere, others));
    let receive = |events| world.rooms.receive_verified(&elsewhere.room_id, events);
    let (first, second) = tokio::join!(receive(first), receive(second));
    for answer in first.unwrap().iter().chain(&second.unwrap()) {
        assert!(matches!(answer, Ok(answer) if answer.is_here()), "{answer:?}");
    }
    let commits = world.reader().position().0 - before.0;
    assert!(commits < 10, "{commits} commits of {} events", ids.len());
    elsewhere.assert_state(&world, "all at once").await;
}

#[tokio::test]
async fn an_event_of_which_something_is_missing_leaves_nothing_behind_and_keeps_no_other_out() {
    let world = World::new(&["host.example"]).await;
    let elsewhere = Elsewhere::made(51, RoomVersion::V11);
    elsewhere.begin(&world).await;
    let ids = elsewhere.room.order.clone();
    let (here, missing, after) = (&ids[..4], &ids[4], &ids[5..]);
    let list: Vec<String> = here.iter().chain(after.last()).cloned().collect();
    let answers =
        world.rooms.receive_verified(&elsewhere.room_id, verified(&elsewhere, &list)).await.unwrap();
    assert!(answers[..4].iter().all(|answer| matches!(answer, Ok(Incoming::Kept(_)))), "{answers:?}");
    assert!(matches!(&answers[4], Ok(Incoming::Fetch(_))), "{answers:?}, without {missing}");
    let last = ruma_common::EventId::parse(list[4].as_str()).unwrap();
    assert_eq!(world.reader().snapshot().number_of(&last).await.unwrap(), None);
}

/// Each event takes a processor for a while, and a list may be as long as the state of a large room.
#[tokio::test]
async fn others_have_their_turn_while_a_long_list_is_checked() {
    let world = World::new(&["host.example"]).await;
    let elsewhere = Elsewhere::made(51, RoomVersion::V11);
    elsewhere.begin(&world).await;
    let ids = elsewhere.ids();
    let texts: Vec<&[u8]> = ids.iter().map(|id| elsewhere.json(id)).collect();
    let mut turns = 0;
    let mut receive =
        std::pin::pin!(world.rooms.receive_outliers(&elsewhere.room_id, &texts, &elsewhere.keys));
    let answers = std::future::poll_fn(|context| {
        let polled = receive.as_mut().poll(context);
        turns += usize::from(polled.is_pending());
        polled
    });
    assert_eq!(answers.await.unwrap().len(), ids.len());
    assert!(turns >= ids.len() / 8, "{turns} turns in {} events", ids.len());
}
