//! One room with members of very many tenants, and one with very many members.

use std::collections::BTreeMap;

use freehold_store::tables::rooms::{EVENT_JSON, EVENTS, STATE_NODES, TIMELINE};
use freehold_store::{Order, Table};

use crate::hosted::World;

/// How many rows a table has, and how many bytes are in them.
async fn size<K: freehold_store::Key, V: freehold_store::Value>(
    world: &World,
    table: &Table<K, V>,
    bytes: impl Fn(&V) -> usize,
) -> (usize, usize) {
    let rows =
        world.store.snapshot().unwrap().scan_prefix(table, &(), Order::Ascending, usize::MAX).await.unwrap();
    (rows.len(), rows.iter().map(|(_, row)| bytes(row)).sum())
}

/// Rows and bytes after a room was joined by as many users, of one tenant each or all of one.
async fn joined_by(tenants: usize, users: usize) -> BTreeMap<&'static str, (usize, usize)> {
    let names: Vec<String> = (0..tenants).map(|number| format!("tenant{number:04}.example")).collect();
    let world = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let creator = world.actor(&format!("@creator:{}", names[0])).await;
    let room = world.public_room(&creator, "12").await;
    for number in 0..users {
        let user = world.actor(&format!("@user{number:04}:{}", names[number % tenants])).await;
        let entry = crate::hosted::entry(&room, &[&names[0]]);
        world.rooms.join(&user, entry).await.unwrap();
    }
    for number in 0..10 {
        world.say(&creator, &room, &format!("message {number}")).await;
    }
    let last = world.actor(&format!("@user{:04}:{}", users - 1, names[(users - 1) % tenants])).await;
    assert_eq!(world.visible_bodies(&last, &room).await.len(), 10);
    BTreeMap::from([
        ("event texts", size(&world, &EVENT_JSON, String::len).await),
        ("events", size(&world, &EVENTS, |_| 0).await),
        ("timeline", size(&world, &TIMELINE, |_| 0).await),
        ("states", size(&world, &STATE_NODES, Vec::len).await),
    ])
}

#[tokio::test]
async fn a_room_of_many_tenants_is_stored_once() {
    let (apart, together) = (joined_by(1000, 1000).await, joined_by(1, 1000).await);
    for (table, (rows, bytes)) in &apart {
        let (expected_rows, expected_bytes) = together[table];
        assert_eq!(*rows, expected_rows, "{table}");
        assert!(*bytes * 10 <= expected_bytes * 11, "{table}: {bytes} and {expected_bytes}");
    }
}
