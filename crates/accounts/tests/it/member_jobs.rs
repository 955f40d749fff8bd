//! What rooms are told in the background.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use freehold_accounts::{AccountPolicy, Erase, MemberEvents, ServerFailure};
use freehold_store::tables::accounts::MEMBER_JOBS;
use freehold_store::{Actor, BoxFuture, MemoryEngine, Order, RoomNumber, Store};
use serde_json::json;

use crate::world::{World, alices};

/// Fifty rooms that write down what they are told, or fail.
#[derive(Debug, Default)]
struct FiftyRooms {
    told: Mutex<Vec<(&'static str, RoomNumber)>>,
    fails: AtomicBool,
}

impl FiftyRooms {
    fn tell(&self, what: &'static str, room: RoomNumber) -> Result<(), ServerFailure> {
        let mut told = self.told.lock().unwrap();
        if self.fails.load(Ordering::Relaxed) && told.len() >= 30 {
            return Err(ServerFailure::MemberEvent("the test wants it".to_owned()));
        }
        told.push((what, room));
        Ok(())
    }

    fn take(&self) -> Vec<(&'static str, RoomNumber)> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

impl MemberEvents for FiftyRooms {
    fn rooms<'a>(
        &'a self,
        _: &'a Actor,
        after: Option<RoomNumber>,
    ) -> BoxFuture<'a, Result<Vec<RoomNumber>, ServerFailure>> {
        let first = after.map_or(1, |after| after.0 + 1);
        Box::pin(std::future::ready(Ok((first..=50).map(RoomNumber).collect())))
    }

    fn show_profile<'a>(
        &'a self,
        _: &'a Actor,
        room: RoomNumber,
    ) -> BoxFuture<'a, Result<(), ServerFailure>> {
        Box::pin(std::future::ready(self.tell("profile", room)))
    }

    fn leave<'a>(&'a self, _: &'a Actor, room: RoomNumber) -> BoxFuture<'a, Result<(), ServerFailure>> {
        Box::pin(std::future::ready(self.tell("leave", room)))
    }
}

async fn store() -> Store {
    Store::open(Arc::new(MemoryEngine::new())).await.unwrap()
}

fn process(store: &Store, rooms: &Arc<FiftyRooms>) -> World {
    World::over(store.clone(), AccountPolicy::default(), rooms.clone())
}

async fn jobs(world: &World) -> usize {
    let snapshot = world.store.snapshot().unwrap();
    snapshot.scan_prefix(&MEMBER_JOBS, &(), Order::Ascending, 9).await.unwrap().len()
}

#[tokio::test]
async fn a_new_name_reaches_every_room_once_and_after_the_request() {
    let (store, rooms) = (store().await, Arc::new(FiftyRooms::default()));
    let world = process(&store, &rooms);
    let actor = world.user(&alices(), "alice").await.actor;
    world.accounts.set_profile_field(&actor, "displayname", Some(json!("Alice"))).await.unwrap();
    assert!(rooms.take().is_empty(), "the request does not wait for the rooms");
    world.accounts.do_member_jobs().await.unwrap();
    let expected: Vec<_> = (1..=50).map(|room| ("profile", RoomNumber(room))).collect();
    assert_eq!(rooms.take(), expected);
    assert_eq!(jobs(&world).await, 0);
    world.accounts.do_member_jobs().await.unwrap();
    assert!(rooms.take().is_empty());
}

#[tokio::test]
async fn what_is_not_done_is_done_after_a_restart_and_not_from_the_beginning() {
    let (store, rooms) = (store().await, Arc::new(FiftyRooms::default()));
    let world = process(&store, &rooms);
    let actor = world.user(&alices(), "alice").await.actor;
    world.accounts.set_profile_field(&actor, "displayname", Some(json!("Alice"))).await.unwrap();
    rooms.fails.store(true, Ordering::Relaxed);
    assert!(world.accounts.do_member_jobs().await.is_err());
    assert_eq!(rooms.take().len(), 30);
    drop(world);
    rooms.fails.store(false, Ordering::Relaxed);
    let world = process(&store, &rooms);
    world.accounts.do_member_jobs().await.unwrap();
    let told = rooms.take();
    assert_eq!(told.first(), Some(&("profile", RoomNumber(21))), "turns of twenty are written down");
    assert_eq!(told.len(), 30);
}

#[tokio::test]
async fn a_field_that_rooms_do_not_show_tells_them_nothing() {
    let (store, rooms) = (store().await, Arc::new(FiftyRooms::default()));
    let world = process(&store, &rooms);
    let actor = world.user(&alices(), "alice").await.actor;
    world.accounts.set_profile_field(&actor, "org.example.x", Some(json!(1))).await.unwrap();
    assert_eq!(jobs(&world).await, 0);
}

#[tokio::test]
async fn who_gives_the_account_up_leaves_every_room_whatever_was_to_be_told_before() {
    let (store, rooms) = (store().await, Arc::new(FiftyRooms::default()));
    let world = process(&store, &rooms);
    let actor = world.user(&alices(), "alice").await.actor;
    world.accounts.set_profile_field(&actor, "displayname", Some(json!("Alice"))).await.unwrap();
    world.accounts.deactivate(actor.user, Erase::No).await.unwrap();
    world.accounts.do_member_jobs().await.unwrap();
    let expected: Vec<_> = (1..=50).map(|room| ("leave", RoomNumber(room))).collect();
    assert_eq!(rooms.take(), expected);
}
