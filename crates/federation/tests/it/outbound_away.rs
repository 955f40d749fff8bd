//! What becomes of what is to be sent to servers that are away, for a moment or for ever.

use freehold_federation::fake::Trouble;
use freehold_federation::limits;
use freehold_store::tables::outbound::{BEHIND, LAST_MISSED, OUTGOING_MESSAGES, WAITING_MESSAGES};
use freehold_store::tables::rooms::OUTGOING;

use crate::posting::{ALICE, BOB, Manner, Post, names};
use crate::world::{HOUR_MS, pass, server};

const PEER: &str = "peer.example";
const OTHER: &str = "other.example";
const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

#[tokio::test(start_paused = true)]
async fn who_left_a_room_gets_nothing_more_but_what_is_about_them() {
    let mut post = Post::new().await;
    let (peer, address) = post.peer(PEER);
    post.room(1, &[ALICE, PEER]).await;
    post.world.network.trouble(address, Trouble::Refuses);
    post.say(ALICE, 1, "before").await;
    pass(SECOND_MS).await;
    post.leave(1, PEER).await;
    post.say_to(ALICE, 1, &["kick".to_owned()], &[PEER]).await;
    post.say(ALICE, 1, "after").await;
    pass(SECOND_MS).await;
    post.world.network.heal(address);
    pass(5 * MINUTE_MS).await;
    assert_eq!(peer.said_by(ALICE), ["kick"]);
    assert_eq!((post.rows(&OUTGOING).await, post.rows(&BEHIND).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_away_gets_tens_of_thousands_of_events_in_order() {
    let mut post = Post::new().await;
    let (peer, address) = post.peer(PEER);
    let (other, _) = post.peer(OTHER);
    for room in 1..=3 {
        post.room(room, if room == 3 { &[ALICE, OTHER] } else { &[ALICE, PEER, OTHER] }).await;
    }
    post.world.network.trouble(address, Trouble::Refuses);
    let mut expected = Vec::new();
    for round in 0..48 {
        let bodies = names(&format!("r{round}-"), 500);
        if round % 3 != 2 {
            expected.extend(bodies.clone());
        }
        post.say_to(ALICE, 1 + round % 3, &bodies, &[]).await;
    }
    pass(MINUTE_MS).await;
    assert_eq!(other.said_by(ALICE).len(), 24_000);
    assert_eq!(post.rows(&BEHIND).await, 1);
    post.restart().await;
    post.world.network.heal(address);
    pass(10 * MINUTE_MS).await;
    assert_eq!(peer.said_by(ALICE), expected);
    assert_eq!(peer.lock().requests, expected.len().div_ceil(50), "nothing comes twice");
    assert_eq!((post.rows(&OUTGOING).await, post.rows(&BEHIND).await), (0, 0));
    post.say(ALICE, 1, "live").await;
    pass(100).await;
    assert_eq!(peer.said_by(ALICE).last().unwrap(), "live");
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_life_has_everything_sent() {
    for manner in [None, Some(Manner::Refuses(500))] {
        let mut post = Post::new().await;
        let (peer, address) = post.peer(PEER);
        post.room(1, &[ALICE, BOB, PEER]).await;
        match &manner {
            None => post.world.network.trouble(address, Trouble::Refuses),
            Some(manner) => peer.behave(manner.clone()),
        }
        post.say(ALICE, 1, "a").await;
        post.say(BOB, 1, "b").await;
        pass(3 * DAY_MS).await;
        post.world.network.heal(address);
        peer.behave(Manner::Takes);
        pass(100).await;
        assert!(peer.lock().events.is_empty(), "{manner:?}");
        post.world.health.heard_from(&server(PEER));
        pass(2 * MINUTE_MS).await;
        assert_eq!(peer.lock().events.len(), 2, "{manner:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_away_for_too_long_gets_the_last_event_of_each_room_and_then_the_newer_ones() {
    let mut post = Post::new().await;
    let (peer, address) = post.peer(PEER);
    let (other, _) = post.peer(OTHER);
    for room in 1..=3 {
        post.room(room, &[ALICE, PEER, OTHER]).await;
    }
    post.room(4, &[ALICE, OTHER]).await;
    post.world.network.trouble(address, Trouble::Refuses);
    for room in 1..=4 {
        post.say_to(ALICE, room, &names(&format!("old{room}-"), 600), &[]).await;
    }
    post.say_to(ALICE, 4, &["invite".to_owned()], &[PEER]).await;
    pass(2 * DAY_MS).await;
    post.leave(3, PEER).await;
    pass(limits::AWAY_MS_MAX - DAY_MS).await;
    post.say_to(ALICE, 1, &names("new", 3), &[]).await;
    pass(2 * HOUR_MS).await;
    assert_eq!(other.said_by(ALICE).len(), 2_404);
    // Rooms 1 and 2, and the invite to room 4; the server left room 3.
    assert_eq!(post.rows(&LAST_MISSED).await, 3);
    assert_eq!(post.rows(&OUTGOING).await, 3, "of the log only what is new is kept");
    post.restart().await;
    post.world.network.heal(address);
    post.world.health.heard_from(&server(PEER));
    pass(5 * MINUTE_MS).await;
    assert_eq!(peer.said_by(ALICE), ["old1-599", "old2-599", "invite", "new0", "new1", "new2"]);
    assert_eq!(
        (post.rows(&LAST_MISSED).await, post.rows(&OUTGOING).await, post.rows(&BEHIND).await),
        (0, 0, 0)
    );
    post.say(ALICE, 2, "live").await;
    pass(100).await;
    assert_eq!(peer.said_by(ALICE).last().unwrap(), "live");
}

/// A user of another server who comes in by way of a tenant is told of to all others, and dates the join as they like.
#[tokio::test(start_paused = true)]
async fn for_how_long_a_log_is_kept_is_not_for_the_authors_of_events_to_say() {
    for authors_ts in [0, i64::MAX] {
        let mut post = Post::new().await;
        let (peer, address) = post.peer(PEER);
        post.room(1, &[ALICE, PEER]).await;
        post.world.network.trouble(address, Trouble::Refuses);
        post.authors_ts = Some(authors_ts);
        post.say_to(ALICE, 1, &names("early", 2), &[]).await;
        pass(2 * DAY_MS).await;
        assert_eq!((post.rows(&OUTGOING).await, post.rows(&LAST_MISSED).await), (2, 0), "{authors_ts}");
        pass(limits::AWAY_MS_MAX).await;
        assert_eq!((post.rows(&OUTGOING).await, post.rows(&LAST_MISSED).await), (0, 1), "{authors_ts}");
        post.world.network.heal(address);
        post.world.health.heard_from(&server(PEER));
        pass(5 * MINUTE_MS).await;
        assert_eq!(peer.said_by(ALICE), ["early1"], "{authors_ts}");
    }
}

/// A server in no room, which does not answer, keeps nobody's events.
#[tokio::test(start_paused = true)]
async fn who_is_away_and_has_no_events_keeps_no_log() {
    let mut post = Post::new().await;
    let (peer, address) = post.peer(PEER);
    let (other, _) = post.peer(OTHER);
    post.room(1, &[ALICE, OTHER]).await;
    post.room(2, &[ALICE, PEER]).await;
    post.world.network.trouble(address, Trouble::Refuses);
    post.message(ALICE, PEER, &names("m", 1)).await;
    pass(MINUTE_MS).await;
    post.say_to(ALICE, 1, &names("e", 100), &[]).await;
    pass(MINUTE_MS).await;
    assert_eq!((post.rows(&OUTGOING).await, post.rows(&BEHIND).await), (0, 0));
    post.say(ALICE, 2, "for it").await;
    post.say_to(ALICE, 1, &names("f", 100), &[]).await;
    pass(MINUTE_MS).await;
    assert_eq!((post.rows(&OUTGOING).await, post.rows(&BEHIND).await), (101, 1));
    assert_eq!(other.said_by(ALICE).len(), 200);
    post.world.network.heal(address);
    pass(HOUR_MS).await;
    assert_eq!((peer.said_by(ALICE).len(), peer.lock().messages.len()), (1, 1));
    assert_eq!((post.rows(&OUTGOING).await, post.rows(&BEHIND).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn messages_for_who_is_away_are_bounded_by_number_and_age() {
    let mut post = Post::new().await;
    let (peer, address) = post.peer(PEER);
    post.world.network.trouble(address, Trouble::Refuses);
    for round in 0..21 {
        post.message(ALICE, PEER, &names(&format!("m{round}-"), 500)).await;
    }
    pass(2 * HOUR_MS).await;
    assert_eq!(post.rows(&OUTGOING_MESSAGES).await, limits::WAITING_MESSAGES_MAX);
    // What waits is looked at every two weeks: what waited then, too, goes.
    pass(limits::WAITING_MESSAGES_MS - DAY_MS).await;
    post.message(ALICE, PEER, &["old".to_owned()]).await;
    pass(2 * DAY_MS).await;
    post.message(ALICE, PEER, &["new".to_owned()]).await;
    pass(HOUR_MS).await;
    assert_eq!(post.rows(&OUTGOING_MESSAGES).await, limits::WAITING_MESSAGES_MAX);
    pass(limits::WAITING_MESSAGES_MS).await;
    assert_eq!(post.rows(&OUTGOING_MESSAGES).await, 1);
    post.restart().await;
    post.world.network.heal(address);
    post.world.health.heard_from(&server(PEER));
    pass(5 * MINUTE_MS).await;
    assert_eq!(peer.lock().messages, ["new"]);
    assert_eq!((post.rows(&OUTGOING_MESSAGES).await, post.rows(&WAITING_MESSAGES).await), (0, 0));
}
