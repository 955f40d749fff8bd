//! How many rooms are made and events sent per second, durable, on the embedded engine.
//!
//! `cargo run --release -p freehold-rooms --example load -- DIRECTORY [states]`; without a directory, a small sample of
//! both measurements in a temporary one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures and prints"
)]

#[path = "../tests/it/hosted.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod hosted;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use freehold_rooms::CreateRoom;
use freehold_store_fjall::{FjallEngine, Settings};

use crate::hosted::{World, message};

/// How much is measured.
#[derive(Clone, Copy)]
struct Load {
    clients: usize,
    rooms_each: usize,
    events_each: usize,
    members: usize,
}

const WHOLE: Load = Load { clients: 50, rooms_each: 20, events_each: 200, members: 10_000 };
const SAMPLE: Load = Load { clients: 4, rooms_each: 2, events_each: 5, members: 20 };

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            let directory = tempfile::tempdir().unwrap();
            rates(&directory.path().join("rates"), SAMPLE).await;
            states(&directory.path().join("states"), SAMPLE).await;
        }
        [directory, what] if what == "states" => states(directory.as_ref(), WHOLE).await,
        [directory, ..] => rates(directory.as_ref(), WHOLE).await,
    }
}

/// How many rooms are made and events sent per second.
async fn rates(directory: &Path, load: Load) {
    let engine = FjallEngine::open(directory, Settings::default()).unwrap();
    let world = Arc::new(World::over(Arc::new(engine), &["one.example", "two.example"]).await);
    let mut actors = Vec::new();
    for number in 0..load.clients {
        actors.push(world.actor(&format!("@user{number}:one.example")).await);
    }
    let start = Instant::now();
    let mut tasks = Vec::new();
    for actor in actors.clone() {
        let world = Arc::clone(&world);
        tasks.push(tokio::spawn(async move {
            let mut room = None;
            for _ in 0..load.rooms_each {
                room = Some(world.rooms.create_room(&actor, CreateRoom::default()).await.unwrap());
            }
            room.unwrap()
        }));
    }
    let mut rooms = Vec::new();
    for task in tasks {
        rooms.push(task.await.unwrap());
    }
    let made = (load.clients * load.rooms_each) as f64;
    println!("rooms per second: {:.0}", made / start.elapsed().as_secs_f64());
    let start = Instant::now();
    let mut tasks = Vec::new();
    for (actor, room) in actors.into_iter().zip(rooms) {
        let world = Arc::clone(&world);
        tasks.push(tokio::spawn(async move {
            for number in 0..load.events_each {
                let event =
                    freehold_rooms::NewEvent { transaction_id: Some(number.to_string()), ..message("hello") };
                world.rooms.send(&actor, &room, event).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let sent = (load.clients * load.events_each) as f64;
    println!("events per second: {:.0}", sent / start.elapsed().as_secs_f64());
}

/// How many bytes of states it takes that every member of a room leaves.
async fn states(directory: &Path, load: Load) {
    let engine = FjallEngine::open(directory, Settings::default()).unwrap();
    let world = Arc::new(World::over(Arc::new(engine), &["one.example"]).await);
    let creator = world.actor("@creator:one.example").await;
    let room = world.public_room(&creator, "12").await;
    let mut members = Vec::with_capacity(load.members);
    for number in 0..load.members {
        let member = world.actor(&format!("@user{number}:one.example")).await;
        world.join(&member, &room).await;
        members.push(member);
    }
    let before = world.state_bytes().await;
    let start = Instant::now();
    for member in &members {
        world.rooms.leave(member, &room, None).await.unwrap();
    }
    let after = world.state_bytes().await;
    println!("bytes of states for {} membership changes: {}", load.members, after - before);
    println!("membership changes per second: {:.0}", load.members as f64 / start.elapsed().as_secs_f64());
}
