//! Which servers are in a room, and what is sent to others.

use freehold_store::tables::encryption::DEVICE_LIST_UPDATES;
use freehold_store::tables::outbound::OUTGOING_DEVICE_LISTS;
use freehold_store::tables::rooms::OUTGOING;
use freehold_store::{Actor, Batch, Order, Position};

use crate::hosted::{World, about, entry};
use crate::network::Network;

const ALICE: &str = "@alice:one.example";
const ANNA: &str = "@anna:one.example";
const BOB: &str = "@bob:two.example";

async fn servers(world: &World, room: &ruma_common::RoomId) -> Vec<(String, u64)> {
    let number = world.number(room).await;
    let servers = world.reader().servers_in(number).await.unwrap();
    servers.into_iter().map(|(server, row)| (server.to_string(), row.joined)).collect()
}

#[tokio::test]
async fn a_server_is_in_a_room_from_its_first_joined_user_to_the_last() {
    let world = World::new(&["one.example", "two.example"]).await;
    let (alice, anna, bob) = (world.actor(ALICE).await, world.actor(ANNA).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    let one = |joined| ("one.example".to_owned(), joined);
    let two = |joined| ("two.example".to_owned(), joined);
    assert_eq!(servers(&world, &room).await, [one(1)]);
    world.rooms.invite(&alice, &room, about(&bob)).await.unwrap();
    assert_eq!(servers(&world, &room).await, [one(1)]);
    world.rooms.join(&bob, entry(&room, &[])).await.unwrap();
    world.join(&anna, &room).await;
    assert_eq!(servers(&world, &room).await, [one(2), two(1)]);
    let number = world.number(&room).await;
    let since = world.reader().server_in(number, bob.tenant.server_name()).await.unwrap().unwrap().since;
    world.rooms.leave(&anna, &room, None).await.unwrap();
    world.rooms.kick(&alice, &room, about(&bob)).await.unwrap();
    assert_eq!(servers(&world, &room).await, [one(1)]);
    world.join(&bob, &room).await;
    let again = world.reader().server_in(number, bob.tenant.server_name()).await.unwrap().unwrap().since;
    assert!(again > since);
    // Nobody but tenants is in the room: nothing is sent to anybody.
    let start = (Position(0), 0);
    let outgoing = world.reader().outgoing(alice.tenant.number(), start, 10).await.unwrap();
    assert_eq!(outgoing, []);
    // The same after everything is read anew.
    let reopened = world.reopened();
    reopened.leave(&bob, &room, None).await.unwrap();
    assert_eq!(servers(&world, &room).await, [one(1)]);
}

/// The servers that are to be told of the devices of users; from now on they are.
async fn told_of_devices(world: &World) -> Vec<(String, u64)> {
    let snapshot = world.store.snapshot().unwrap();
    let marks =
        snapshot.scan_prefix(&OUTGOING_DEVICE_LISTS, &(), Order::Ascending, usize::MAX).await.unwrap();
    let mut batch = Batch::new();
    marks.iter().for_each(|(mark, _)| batch.delete(&OUTGOING_DEVICE_LISTS, mark));
    world.store.commit(batch).await.unwrap();
    marks.into_iter().map(|((_, server, user), _)| (server.to_string(), user.0)).collect()
}

async fn add_device(world: &World, of: &Actor) {
    let (mut batch, user) = (Batch::new(), of.user);
    batch.at_position(move |at, writes| {
        writes.put(&DEVICE_LIST_UPDATES, &(user, at), &vec!["DEVICE".to_owned()]);
    });
    world.store.commit(batch).await.unwrap();
}

#[tokio::test]
async fn servers_with_which_a_user_begins_to_share_a_room_are_told_of_their_devices() {
    let network = Network::new();
    let one = network.world(&["one.example"]).await;
    let both = network.world(&["two.example", "three.example"]).await;
    let (alice, bob) = (one.actor(ALICE).await, both.actor(BOB).await);
    let carol = both.actor("@carol:three.example").await;
    add_device(&both, &bob).await;
    let (first, second) = (one.public_room(&alice, "12").await, one.public_room(&alice, "12").await);
    both.rooms.join(&bob, entry(&first, &["one.example"])).await.unwrap();
    assert_eq!(told_of_devices(&both).await, [("one.example".to_owned(), bob.user.0)]);
    both.rooms.join(&carol, entry(&first, &["one.example"])).await.unwrap();
    assert_eq!(told_of_devices(&both).await, [], "there is nothing to tell of");
    both.rooms.join(&bob, entry(&second, &["one.example"])).await.unwrap();
    both.put(
        &bob,
        &first,
        ("m.room.member", BOB),
        serde_json::json!({ "membership": "join", "displayname": "Bob" }),
    )
    .await
    .unwrap();
    assert_eq!(told_of_devices(&both).await, [], "it hears of them already");
    both.rooms.leave(&bob, &first, None).await.unwrap();
    both.rooms.leave(&bob, &second, None).await.unwrap();
    both.rooms.join(&bob, entry(&second, &["one.example"])).await.unwrap();
    assert_eq!(told_of_devices(&both).await, [("one.example".to_owned(), bob.user.0)]);
    // Nobody but tenants is there.
    let own = both.public_room(&carol, "12").await;
    add_device(&both, &carol).await;
    both.join(&bob, &own).await;
    assert_eq!(told_of_devices(&both).await, []);
}

#[tokio::test]
async fn who_changes_their_name_is_not_announced_anew_and_one_event_goes_out() {
    let network = Network::new();
    let one = network.world(&["one.example"]).await;
    let two = network.world(&["two.example"]).await;
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    add_device(&two, &bob).await;
    let room = one.public_room(&alice, "12").await;
    two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    assert_eq!(told_of_devices(&two).await, [("one.example".to_owned(), bob.user.0)]);
    let out = outgoing(&two).await;
    // It is the only room that they share: nothing else says that the server knows the devices.
    for name in ["Bob", "Robert"] {
        let named = serde_json::json!({ "membership": "join", "displayname": name });
        two.put(&bob, &room, ("m.room.member", BOB), named).await.unwrap();
    }
    assert_eq!(told_of_devices(&two).await, []);
    assert_eq!(outgoing(&two).await, out + 2, "the two events and nothing of the state");
    // Whoever leaves and comes back is somebody else.
    two.rooms.leave(&bob, &room, None).await.unwrap();
    two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    assert_eq!(told_of_devices(&two).await, [("one.example".to_owned(), bob.user.0)]);
}

/// How many events are to go out to other servers.
async fn outgoing(world: &World) -> usize {
    let snapshot = world.store.snapshot().unwrap();
    snapshot.scan_prefix(&OUTGOING, &(), Order::Ascending, usize::MAX).await.unwrap().len()
}

#[tokio::test]
async fn a_server_that_comes_into_a_room_is_a_newcomer_once() {
    let network = Network::new();
    let one = network.world(&["one.example", "hosted.example"]).await;
    let two = network.world(&["two.example"]).await;
    let (alice, hosted) = (one.actor(ALICE).await, one.actor("@h:hosted.example").await);
    let (bob, ben) = (two.actor(BOB).await, two.actor("@ben:two.example").await);
    let room = one.public_room(&alice, "12").await;
    one.join(&hosted, &room).await;
    assert!(one.rooms.take_newcomers().is_empty(), "tenants are none");
    two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    let number = one.number(&room).await;
    let newcomer = (number, bob.tenant.server_name().to_owned());
    assert_eq!(one.rooms.take_newcomers().into_iter().collect::<Vec<_>>(), [newcomer]);
    assert!(two.rooms.take_newcomers().is_empty(), "whoever comes into a room meets those who are there");
    two.rooms.join(&ben, entry(&room, &["one.example"])).await.unwrap();
    network.deliver(&two, &one).await;
    assert!(one.rooms.take_newcomers().is_empty());
}
