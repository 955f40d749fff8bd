//! Several who write at the same time.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use freehold_rooms::{ActionError, CreateRoom, NewEvent, Preset};
use freehold_store::{
    Batch, BoxFuture, CommitError, Engine, EngineError, EngineSnapshot, MemoryEngine, Position,
};
use serde_json::json;

use crate::hosted::{World, about, entry, message, raw};

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";

#[tokio::test]
async fn who_speaks_at_once_speaks_one_after_the_other() {
    let world = Arc::new(World::new(&["one.example", "two.example"]).await);
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    let before = world.timeline(&room).await.len();
    let mut tasks = Vec::new();
    for number in 0..20 {
        let (world, room) = (Arc::clone(&world), room.clone());
        let actor = if number % 2 == 0 { alice.clone() } else { bob.clone() };
        // Each is sent twice, as by a client that got no answer.
        for _ in 0..2 {
            let (world, room, actor) = (Arc::clone(&world), room.clone(), actor.clone());
            tasks.push(tokio::spawn(async move {
                let event = NewEvent {
                    transaction_id: Some(number.to_string()),
                    ..message(&format!("message {number}"))
                };
                world.rooms.send(&actor, &room, event).await.unwrap()
            }));
        }
    }
    let mut sent = BTreeSet::new();
    for task in tasks {
        sent.insert(task.await.unwrap());
    }
    assert_eq!(sent.len(), 20);
    let events = world.timeline(&room).await;
    assert_eq!(events.len(), before + 20);
    for (one, next) in events.iter().zip(events.iter().skip(1)) {
        assert_eq!(next.row.prev_events, [one.number], "each comes after the one before");
    }
}

/// A room that lies open while somebody else writes to it is read anew.
#[tokio::test]
async fn a_stale_room_is_read_anew() {
    let world = World::new(&["one.example", "two.example"]).await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    let other = world.reopened();
    for number in 0..3 {
        world.rooms.send(&alice, &room, message(&format!("here {number}"))).await.unwrap();
        other.send(&bob, &room, message(&format!("there {number}"))).await.unwrap();
    }
    let expected = ["here 0", "there 0", "here 1", "there 1", "here 2", "there 2"];
    assert_eq!(world.visible_bodies(&alice, &room).await, expected);
    other.ban(&alice, &room, about(&bob)).await.unwrap();
    let refused = world.rooms.send(&bob, &room, message("unheard")).await;
    assert!(matches!(refused, Err(ActionError::Forbidden(_))), "{refused:?}");
    let heads = world.reader().current(world.number(&room).await).await.unwrap().unwrap().forward_extremities;
    assert_eq!(heads.len(), 1);
}

#[tokio::test]
async fn a_room_that_does_not_federate_is_closed_to_neighbours() {
    let world = World::new(&["one.example", "two.example"]).await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let create = CreateRoom {
        preset: Some(Preset::PublicChat),
        creation_content: Some(raw(&json!({ "m.federate": false }))),
        ..CreateRoom::default()
    };
    let room = world.rooms.create_room(&alice, create).await.unwrap();
    let refused = world.rooms.join(&bob, entry(&room, &["one.example"])).await;
    assert!(matches!(refused, Err(ActionError::Forbidden(_))), "{refused:?}");
}

#[tokio::test]
async fn levels_that_are_no_integers_are_refused_in_every_version() {
    let world = World::new(&["one.example"]).await;
    let alice = world.actor(ALICE).await;
    for version in ["1", "9", "12"] {
        let room = world.public_room(&alice, version).await;
        let levels = world.state(&room, "m.room.power_levels", "").await.unwrap();
        for (place, value) in [("ban", json!("50")), ("users", json!({ BOB: "50" })), ("events", json!([]))] {
            let mut changed = levels.clone();
            changed[place] = value;
            let refused = world.put(&alice, &room, ("m.room.power_levels", ""), changed).await;
            assert!(matches!(refused, Err(ActionError::BadField { .. })), "{version} {place}: {refused:?}");
        }
    }
}

/// An engine that takes a moment longer to say that a batch is durable.
struct Slow(MemoryEngine);

impl Engine for Slow {
    fn snapshot(&self) -> Result<Box<dyn EngineSnapshot>, EngineError> {
        self.0.snapshot()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Position, CommitError>> {
        Box::pin(async move {
            let done = self.0.commit(batch).await;
            tokio::task::yield_now().await;
            done
        })
    }
}

/// A client hangs up while its change is on the way to the disk.
#[tokio::test]
async fn a_change_that_nobody_waited_for_is_known_to_the_next() {
    let world = World::over(Arc::new(Slow(MemoryEngine::new())), &["one.example", "two.example"]).await;
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    {
        let mut join = pin!(world.rooms.join(&bob, entry(&room, &["one.example"])));
        let mut context = Context::from_waker(Waker::noop());
        while world.membership(&room, BOB).await.is_none() {
            assert!(join.as_mut().poll(&mut context).is_pending(), "the join was to be given up");
        }
    }
    assert_eq!(world.membership(&room, BOB).await.as_deref(), Some("join"));
    world.say(&bob, &room, "here I am").await;
    assert_eq!(world.visible_bodies(&alice, &room).await, ["here I am"]);
}
