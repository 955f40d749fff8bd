//! How many rooms are made and events sent per second, durable, on the embedded engine.
//!
//! `cargo run --release -p freehold-rooms --example load -- DIRECTORY`
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

use std::sync::Arc;
use std::time::Instant;

use freehold_rooms::CreateRoom;
use freehold_store_fjall::{FjallEngine, Settings};

use crate::hosted::{World, message};

const CLIENTS: usize = 50;
const MEMBERS: usize = 10_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    if std::env::args().nth(2).as_deref() == Some("states") {
        return states().await;
    }
    let directory = std::env::args().nth(1).unwrap();
    let engine = FjallEngine::open(directory, Settings::default()).unwrap();
    let world = Arc::new(World::over(Arc::new(engine), &["one.example", "two.example"]).await);
    let mut actors = Vec::new();
    for number in 0..CLIENTS {
        actors.push(world.actor(&format!("@user{number}:one.example")).await);
    }
    let start = Instant::now();
    let each = 20;
    let mut tasks = Vec::new();
    for actor in actors.clone() {
        let world = Arc::clone(&world);
        tasks.push(tokio::spawn(async move {
            let mut room = None;
            for _ in 0..each {
                room = Some(world.rooms.create_room(&actor, CreateRoom::default()).await.unwrap());
            }
            room.unwrap()
        }));
    }
    let mut rooms = Vec::new();
    for task in tasks {
        rooms.push(task.await.unwrap());
    }
    let made = (CLIENTS * each) as f64;
    println!("rooms per second: {:.0}", made / start.elapsed().as_secs_f64());
    let start = Instant::now();
    let each = 200;
    let mut tasks = Vec::new();
    for (actor, room) in actors.into_iter().zip(rooms) {
        let world = Arc::clone(&world);
        tasks.push(tokio::spawn(async move {
            for number in 0..each {
                let event =
                    freehold_rooms::NewEvent { transaction_id: Some(number.to_string()), ..message("hello") };
                world.rooms.send(&actor, &room, event).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let sent = (CLIENTS * each) as f64;
    println!("events per second: {:.0}", sent / start.elapsed().as_secs_f64());
}

/// How many bytes of states 10,000 membership changes in a room of 10,000 members take.
async fn states() {
    let directory = std::env::args().nth(1).unwrap();
    let engine = FjallEngine::open(directory, Settings::default()).unwrap();
    let world = Arc::new(World::over(Arc::new(engine), &["one.example"]).await);
    let creator = world.actor("@creator:one.example").await;
    let room = world.public_room(&creator, "12").await;
    let mut members = Vec::with_capacity(MEMBERS);
    for number in 0..MEMBERS {
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
    println!("bytes of states for {MEMBERS} membership changes: {}", after - before);
    println!("membership changes per second: {:.0}", MEMBERS as f64 / start.elapsed().as_secs_f64());
}
