//! Laws of sending: whatever happens in whatever order, each event and message arrives once, in order.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use freehold_federation::Randomness;
use freehold_federation::fake::{Seeded, Trouble};
use freehold_store::tables::outbound::{BEHIND, OUTGOING_MESSAGES, SENDING_MESSAGES};
use freehold_store::tables::rooms::OUTGOING;

use crate::posting::{ALICE, BOB, Manner, Peer, Post};
use crate::world::{HOUR_MS, pass, server};

const PEERS: [&str; 3] = ["one.example", "two.example", "three.example"];
const TENANTS: [&str; 2] = [ALICE, BOB];

/// What has to arrive at each server, by tenant.
#[derive(Default)]
struct Expected {
    events: [[Vec<String>; 2]; 3],
    messages: [Vec<String>; 3],
}

/// How many schedules are tried.
const SEEDS: u64 = 8;

/// In which rooms which servers are.
const ROOMS: [&[usize]; 3] = [&[0, 1, 2], &[0, 1], &[2]];

fn index(random: &Seeded, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap()
}

async fn step(
    post: &mut Post,
    (random, round): (&Seeded, usize),
    peers: &[(Peer, SocketAddr)],
    expected: &mut Expected,
) {
    let by = index(random, 2);
    match random.below(20) {
        0..=6 => {
            let room = index(random, 3);
            let count = if random.below(8) == 0 { 700 } else { 1 + index(random, 60) };
            let bodies: Vec<String> = (0..count).map(|number| format!("e{round}-{number}")).collect();
            post.say_to(TENANTS[by], 1 + room as u64, &bodies, &[]).await;
            for peer in ROOMS[room] {
                expected.events[*peer][by].extend(bodies.clone());
            }
        }
        7..=9 => {
            let peer = index(random, 3);
            let ids: Vec<String> =
                (0..=index(random, 130)).map(|number| format!("m{round}-{number}")).collect();
            post.message(TENANTS[by], PEERS[peer], &ids).await;
            expected.messages[peer].extend(ids);
        }
        10..=12 => {
            let (peer, _) = &peers[index(random, 3)];
            let manners = [
                Manner::Takes,
                Manner::TakesSilently,
                Manner::Refuses(500),
                Manner::Refuses(400),
                Manner::RefusesTenant(ALICE, 403),
            ];
            peer.behave(manners[index(random, manners.len())].clone());
        }
        13 | 14 => {
            let (_, address) = peers[index(random, 3)];
            let troubles = [Trouble::Refuses, Trouble::Hangs, Trouble::Breaks];
            post.world.network.trouble(address, troubles[index(random, 3)]);
        }
        15 => peers.iter().for_each(|(_, address)| post.world.network.heal(*address)),
        16 => {
            post.engine.failing.store(5, Ordering::Relaxed);
            pass(2_500).await;
            post.engine.failing.store(0, Ordering::Relaxed);
        }
        17 => post.world.health.heard_from(&server(PEERS[index(random, 3)])),
        _ => post.restart().await,
    }
    // Most of the time in the middle of something, now and then after a long while.
    let longest = [3, 20, 1_000, 90_000, 2 * HOUR_MS][index(random, 5)];
    pass(i64::try_from(random.below(longest.cast_unsigned())).unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_everything_arrives_once_and_in_order() {
    for seed in 0..SEEDS {
        let random = Seeded::new(seed);
        let mut post = Post::new().await;
        let peers: Vec<(Peer, SocketAddr)> = PEERS.iter().map(|name| post.peer(name)).collect();
        for (room, members) in ROOMS.iter().enumerate() {
            let mut servers: Vec<&str> = members.iter().map(|peer| PEERS[*peer]).collect();
            servers.extend(TENANTS);
            post.room(1 + room as u64, &servers).await;
        }
        let mut expected = Expected::default();
        for round in 0..60 {
            step(&mut post, (&random, round), &peers, &mut expected).await;
        }
        for ((peer, address), name) in peers.iter().zip(PEERS) {
            peer.behave(Manner::Takes);
            post.world.network.heal(*address);
            post.world.health.heard_from(&server(name));
        }
        pass(30 * HOUR_MS).await;
        for (number, (peer, _)) in peers.iter().enumerate() {
            for (by, tenant) in TENANTS.iter().enumerate() {
                let (came, sent) = (peer.said_by(tenant), &expected.events[number][by]);
                assert_eq!(came.len(), sent.len(), "seed {seed}, {} of {tenant}", PEERS[number]);
                assert_eq!(came, *sent, "seed {seed}, {} of {tenant}", PEERS[number]);
            }
            let mut messages = peer.lock().messages.clone();
            messages.sort();
            expected.messages[number].sort();
            assert_eq!(messages, expected.messages[number], "seed {seed}, {}", PEERS[number]);
        }
        let left =
            (post.rows(&OUTGOING).await, post.rows(&BEHIND).await, post.rows(&OUTGOING_MESSAGES).await);
        assert_eq!((left, post.rows(&SENDING_MESSAGES).await), ((0, 0, 0), 0), "seed {seed}");
        assert_eq!(post.outbound.report(), Default::default(), "seed {seed}");
        post.die().await;
    }
}
