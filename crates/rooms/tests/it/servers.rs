//! Which servers are in a room, and what is sent to others.

use freehold_store::Position;

use crate::hosted::{World, about, entry};

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
