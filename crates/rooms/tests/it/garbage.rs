//! What nobody needs goes, and nothing else does: not under writers, and not when the search breaks off in between.

use std::sync::Arc;

use freehold_rooms::{CollectedStates, SentCursor};
use freehold_state_map::{Entry, MemoryStore, StateMap};
use freehold_store::backup::{Backup, PREFIX, Restore};
use freehold_store::check::check_references;
use freehold_store::tables::rooms::{SENT, STATE_NODES, WAITING_REDACTIONS};
use freehold_store::{Batch, EventNumber, MemoryEngine, Order, RoomNumber, Snapshot, Store};
use ruma_common::{EventId, RoomId};
use serde_json::json;

use crate::hosted::{World, message};

const ALICE: &str = "@alice:one.example";

async fn nodes(store: &Store) -> Vec<([u8; 20], Vec<u8>)> {
    let snapshot = store.snapshot().unwrap();
    snapshot.scan_prefix(&STATE_NODES, &(), Order::Ascending, usize::MAX).await.unwrap()
}

/// A state that no event refers to, of two levels.
async fn put_garbage(store: &Store, seed: u64) -> usize {
    let entries = (0..300).map(|key| (key * 7919 + seed, Entry { event: 1_000_000 + seed, generation: 1 }));
    let state: StateMap = entries.collect();
    let mut made = MemoryStore::new();
    state.save(&mut made).unwrap();
    let mut batch = Batch::new();
    made.iter().for_each(|(id, bytes)| batch.put(&STATE_NODES, id.as_bytes(), &bytes.to_vec()));
    store.commit(batch).await.unwrap();
    made.iter().count()
}

async fn collect(world: &World) -> CollectedStates {
    let mut search = world.rooms.state_garbage(1_000_000).await.unwrap().unwrap();
    loop {
        if let Some(collected) = search.step().await.unwrap() {
            return collected;
        }
    }
}

/// Everything that is stored is what follows from the events.
pub(crate) async fn assert_in_order(store: &Store) {
    let snapshot = store.snapshot().unwrap();
    let reports = check_references(&snapshot).await.unwrap();
    let damaged: Vec<_> = reports.iter().filter(|report| report.damaged > 0).collect();
    assert!(damaged.is_empty(), "{damaged:?}");
    let rooms = freehold_rooms::check::check_rooms(&snapshot).await.unwrap();
    assert_eq!(rooms.findings, []);
}

async fn topic(world: &World, room: &RoomId, text: &str) {
    let alice = world.actor(ALICE).await;
    world.put(&alice, room, ("m.room.topic", ""), json!({ "topic": text })).await.unwrap();
}

#[tokio::test]
async fn states_that_nobody_needs_go_and_the_others_stay() {
    let world = World::new(&["one.example"]).await;
    let alice = world.actor(ALICE).await;
    let room = world.public_room(&alice, "12").await;
    topic(&world, &room, "one").await;
    let needed = nodes(&world.store).await;
    let garbage = put_garbage(&world.store, 1).await + put_garbage(&world.store, 2).await;
    let collected = collect(&world).await;
    assert_eq!((collected.forgotten, collected.given_up), (garbage, false));
    assert_eq!(nodes(&world.store).await, needed);
    assert_eq!(collect(&world).await.forgotten, 0);
    let mut search = world.rooms.state_garbage(1).await.unwrap().unwrap();
    assert!(world.rooms.state_garbage(1).await.unwrap().is_none(), "one search at a time");
    let given_up = loop {
        if let Some(collected) = search.step().await.unwrap() {
            break collected.given_up;
        }
    };
    assert!(given_up, "more nodes than it may remember");
}

/// The search breaks off after each of its steps, as if the process had been killed there.
#[tokio::test]
async fn a_search_that_breaks_off_leaves_nothing_half_forgotten() {
    let world = World::new(&["one.example"]).await;
    let alice = world.actor(ALICE).await;
    world.public_room(&alice, "12").await;
    let needed = nodes(&world.store).await.len();
    for steps in 1..40 {
        let garbage: usize = put_garbage(&world.store, 3).await;
        for seed in 4..16 {
            put_garbage(&world.store, seed).await;
        }
        let mut search = world.rooms.state_garbage(1_000_000).await.unwrap().unwrap();
        for _ in 0..steps {
            if search.step().await.unwrap().is_some() {
                break;
            }
        }
        drop(search);
        assert_in_order(&world.store).await;
        assert!(garbage > 10);
    }
    collect(&world).await;
    assert_eq!(nodes(&world.store).await.len(), needed);
}

/// A state that was garbage when the search began is made again before it is forgotten.
#[tokio::test]
async fn what_was_garbage_and_is_made_again_stays() {
    let before = World::new(&["one.example"]).await;
    let alice = before.actor(ALICE).await;
    let room = before.public_room(&alice, "12").await;
    let then = before.store.snapshot().unwrap();
    // What comes next has the same numbers in every store that was taken back to then.
    let before = World::over(restored(&then).await, &["one.example"]).await;
    topic(&before, &room, "next").await;
    let world = World::over(restored(&then).await, &["one.example"]).await;
    let had = nodes(&world.store).await;
    let mut batch = Batch::new();
    let next: Vec<_> = nodes(&before.store).await.into_iter().filter(|node| !had.contains(node)).collect();
    assert!(!next.is_empty());
    next.iter().for_each(|(id, bytes)| batch.put(&STATE_NODES, id, bytes));
    world.store.commit(batch).await.unwrap();
    put_garbage(&world.store, 9).await;

    let mut search = world.rooms.state_garbage(1_000_000).await.unwrap().unwrap();
    // Everything is marked and listed; nothing is forgotten yet.
    let mut listed = 0;
    while nodes(&world.store).await.len() == had.len() + next.len() + garbage_of_nine().await {
        listed += 1;
        if listed == 4 {
            topic(&world, &room, "next").await;
        }
        assert!(listed < 50 && search.step().await.unwrap().is_none());
    }
    while search.step().await.unwrap().is_none() {}
    drop(search);
    let left = nodes(&world.store).await;
    assert!(next.iter().all(|node| left.contains(node)), "a state that is needed again was forgotten");
    assert_eq!(left.len(), had.len() + next.len());
    assert_in_order(&world.store).await;
}

/// How many nodes `put_garbage` makes.
async fn garbage_of_nine() -> usize {
    let store = Store::open(Arc::new(MemoryEngine::new())).await.unwrap();
    put_garbage(&store, 9).await
}

/// A store with what a snapshot shows.
async fn restored(snapshot: &Snapshot) -> Arc<MemoryEngine> {
    let engine = Arc::new(MemoryEngine::new());
    let mut backup = Backup::new(snapshot.clone());
    let mut restore = Restore::new(&*engine).unwrap();
    while let Some(frame) = backup.frame().await.unwrap() {
        restore.frame(&frame[PREFIX..]).await.unwrap();
    }
    restore.end().await.unwrap();
    engine
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_searches_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let settings = freehold_store_fjall::Settings { reserve_bytes: 0, ..Default::default() };
    let engine = freehold_store_fjall::FjallEngine::open(folder.path(), settings).unwrap();
    let world = Arc::new(World::over(Arc::new(engine), &["one.example"]).await);
    let alice = world.actor(ALICE).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let room = world.public_room(&alice, "12").await;
        let world = Arc::clone(&world);
        writers.spawn(async move {
            for change in 0..25 {
                topic(&world, &room, &format!("{writer} {change}")).await;
                if change % 8 == 0 {
                    put_garbage(&world.store, change).await;
                }
            }
        });
    }
    let mut searches = 0;
    while !writers.is_empty() {
        assert!(!collect(&world).await.given_up);
        searches += 1;
        while let Some(done) = writers.try_join_next() {
            done.unwrap();
        }
    }
    assert!(searches > 0);
    collect(&world).await;
    assert_in_order(&world.store).await;
    for (seed, kept) in [(0, false), (8, false)] {
        let entries =
            (0..300).map(|key| (key * 7919 + seed, Entry { event: 1_000_000 + seed, generation: 1 }));
        let root = entries.collect::<StateMap>().root_id();
        let found = nodes(&world.store).await.iter().any(|(id, _)| id == root.as_bytes());
        assert_eq!(found, kept, "{seed}");
    }
}

#[tokio::test]
async fn transaction_ids_are_forgotten_when_they_are_old() {
    let world = World::new(&["one.example"]).await;
    let alice = world.actor(ALICE).await;
    let room = world.public_room(&alice, "12").await;
    let mut sent = Vec::new();
    for number in 0..600 {
        let event = freehold_rooms::NewEvent { transaction_id: Some(format!("t{number}")), ..message("x") };
        sent.push(world.rooms.send(&alice, &room, event).await.unwrap());
    }
    let events = world.timeline(&room).await;
    let middle = events.iter().find(|event| event.pdu.event_id() == sent[300]).unwrap();
    let mut cursor = Some(SentCursor::default());
    let mut steps = 0;
    while let Some(from) = cursor {
        cursor = world.rooms.forget_sent(middle.row.origin_server_ts, from).await.unwrap();
        steps += 1;
    }
    assert!(steps > 2, "a step is bounded");
    let snapshot = world.store.snapshot().unwrap();
    let left = snapshot.scan_prefix(&SENT, &(), Order::Ascending, usize::MAX).await.unwrap();
    assert_eq!(left.len(), 300);
    let again = |number: usize| {
        let event = freehold_rooms::NewEvent { transaction_id: Some(format!("t{number}")), ..message("x") };
        world.rooms.send(&alice, &room, event)
    };
    assert_eq!(again(300).await.unwrap(), sent[300]);
    assert_ne!(again(299).await.unwrap(), sent[299]);
}

/// Has redactions of events that never come wait in a room, the first of which came as that number. The order of targets is not the order
/// of arrival.
async fn have_wait(world: &World, room: u64, (first, count): (u64, u64)) {
    let mut batch = Batch::new();
    for number in 0..count {
        let target = EventId::parse(format!("$never{:04}:example.org", number * 7 % 10_000)).unwrap();
        batch.put(&WAITING_REDACTIONS, &(RoomNumber(room), target, EventNumber(first + number)), &());
    }
    world.store.commit(batch).await.unwrap();
}

/// The redactions that wait in a room.
async fn waiting(world: &World, room: u64) -> Vec<u64> {
    let snapshot = world.store.snapshot().unwrap();
    let prefix = (RoomNumber(room),);
    let left =
        snapshot.scan_prefix(&WAITING_REDACTIONS, &prefix, Order::Ascending, usize::MAX).await.unwrap();
    left.into_iter().map(|((.., redaction), ())| redaction.0).collect()
}

#[tokio::test]
async fn redactions_of_what_never_comes_are_bounded() {
    let world = World::new(&["one.example"]).await;
    have_wait(&world, 1, (0, 1_000)).await;
    let mut steps = 0;
    while world.rooms.forget_waiting_redactions(400).await.unwrap() > 0 {
        steps += 1;
    }
    assert_eq!(steps, 3);
    let left = waiting(&world, 1).await;
    assert_eq!(left.len(), 400);
    assert!(left.iter().all(|redaction| *redaction >= 600), "those that came last stay");
}

/// Rooms with many, of whichever tenant, have none of another room forgotten, however long that one has waited.
#[tokio::test]
async fn redactions_that_wait_in_one_room_make_no_other_forget() {
    let world = World::new(&["one.example"]).await;
    have_wait(&world, 2, (0, 10)).await;
    have_wait(&world, 1, (100, 300)).await;
    have_wait(&world, 3, (1_000, 1_500)).await;
    while world.rooms.forget_waiting_redactions(10_000).await.unwrap() > 0 {}
    assert_eq!([waiting(&world, 1).await.len(), waiting(&world, 2).await.len()], [300, 10]);
    assert_eq!(waiting(&world, 3).await.len(), 1_000, "there is a bound in each room, too");
    while world.rooms.forget_waiting_redactions(500).await.unwrap() > 0 {}
    assert_eq!([waiting(&world, 1).await.len(), waiting(&world, 2).await.len()], [245, 10]);
    assert_eq!(waiting(&world, 3).await.len(), 245);
}
