//! How much memory rooms take.

use std::sync::Arc;

use freehold_rooms::{NoProfiles, NoRemoteServers, Outside, Rooms, RoomsSettings};

use crate::hosted::{World, message};

#[tokio::test]
async fn rooms_are_closed_and_what_was_read_is_forgotten_before_they_take_too_much() {
    let world = World::new(&["one.example"]).await;
    let alice = world.actor("@alice:one.example").await;
    let mut rooms = Vec::new();
    for _ in 0..40 {
        rooms.push(world.public_room(&alice, "12").await);
    }
    let outside = Outside {
        identities: world.hosted.clone(),
        profiles: Arc::new(NoProfiles),
        remote: Arc::new(NoRemoteServers),
        clock: Arc::new(1_800_000_000_000_i64),
    };
    let settings =
        RoomsSettings { open_rooms_bytes: 64 * 1024, cache_bytes: 64 * 1024, ..RoomsSettings::default() };
    let small = Rooms::new(world.store.clone(), world.interner.clone(), outside, settings);
    let mut largest = 0;
    for room in rooms.iter().chain(&rooms) {
        small.send(&alice, room, message("hello")).await.unwrap();
        let reader = small.reader().unwrap();
        let number = reader.room_number(room).await.unwrap().unwrap();
        reader.current_state(number).await.unwrap().events().await.unwrap();
        largest = largest.max(small.memory().open_rooms);
    }
    // The room to which was written last, beside those that may lie open.
    assert!(largest > 30 * 1024 && largest <= (64 + 24) * 1024, "{largest}");
    let cache = small.memory().cache;
    assert!(cache > 16 * 1024 && cache <= 64 * 1024, "{cache}");
    assert!(small.open_rooms() < 20, "{}", small.open_rooms());
}
