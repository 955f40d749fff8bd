//! What is sent to other servers, whatever they and this process do.

use std::sync::atomic::Ordering;
use std::time::Duration;

use freehold_federation::fake::Trouble;
use freehold_federation::{ToldReceipt, limits};
use freehold_store::tables::outbound::{
    BEHIND, OUTGOING_DEVICE_LISTS, OUTGOING_MESSAGES, SENDING_MESSAGES, WAITING_MESSAGES,
};
use freehold_store::tables::rooms::OUTGOING;
use ruma_common::{event_id, user_id};

use crate::posting::{ALICE, BOB, Manner, Post, names};
use crate::world::{HOUR_MS, pass, tenant};

const PEER: &str = "peer.example";
const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

#[tokio::test(start_paused = true)]
async fn events_arrive_in_order_fifty_at_a_time_and_leave_nothing_behind() {
    let mut post = Post::new().await;
    let (peer, _) = post.peer(PEER);
    post.room(1, &[ALICE, PEER]).await;
    post.say_to(ALICE, 1, &names("e", 120), &[]).await;
    post.say(ALICE, 1, "last").await;
    pass(10 * SECOND_MS).await;
    let mut expected = names("e", 120);
    expected.push("last".to_owned());
    assert_eq!(peer.said_by(ALICE), expected);
    assert!(peer.lock().requests <= 4, "{}", peer.lock().requests);
    assert_eq!((post.rows(&OUTGOING).await, post.rows(&BEHIND).await), (0, 0));
    assert_eq!(post.outbound.report(), Default::default());
}

#[tokio::test(start_paused = true)]
async fn tenants_are_sent_nothing_over_the_wire_and_nor_is_who_is_denied() {
    let mut post = Post::new().await;
    let (denied, _) = post.peer("denied.example");
    let (hosted, _) = post.peer(BOB);
    post.room(1, &[ALICE, BOB, "denied.example"]).await;
    post.say_to(ALICE, 1, &names("e", 3), &[BOB, "denied.example"]).await;
    post.message(ALICE, "denied.example", &names("m", 2)).await;
    pass(10 * SECOND_MS).await;
    assert_eq!((denied.lock().requests, hosted.lock().requests), (0, 0));
    assert_eq!((post.rows(&OUTGOING).await, post.rows(&OUTGOING_MESSAGES).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dead_servers_delay_no_other() {
    let mut post = Post::new().await;
    let (peer, _) = post.peer(PEER);
    let dead: Vec<String> = (0..300).map(|number| format!("dead{number}.example")).collect();
    for (number, name) in dead.iter().enumerate() {
        let (_, address) = post.peer(name);
        let trouble = if number % 2 == 0 { Trouble::Hangs } else { Trouble::Refuses };
        post.world.network.trouble(address, trouble);
    }
    let mut servers: Vec<&str> = dead.iter().map(String::as_str).collect();
    servers.extend([ALICE, PEER]);
    post.room(1, &servers).await;
    for number in 0..50 {
        post.say(ALICE, 1, &format!("e{number}")).await;
        pass(100).await;
        assert_eq!(peer.said_by(ALICE).len(), number + 1);
    }
    pass(2 * MINUTE_MS).await;
    assert_eq!(post.outbound.report().behind, 300);
    // Whoever is dead for long costs next to nothing.
    pass(DAY_MS).await;
    post.commits();
    post.world.network.sent();
    post.world.network.connected();
    pass(HOUR_MS).await;
    let tried = post.world.network.connected();
    assert!(tried < 200, "{tried}: each is tried every few hours");
    let sent = post.world.network.sent().into_iter();
    let told = sent.filter(|sent| sent.request.uri().path().contains("/send/")).count();
    assert_eq!(told, 0, "what they are to have is not made before they are there");
    assert!(post.commits() <= tried, "nothing is written but who did not answer");
    post.say(ALICE, 1, "e50").await;
    pass(100).await;
    assert_eq!(peer.said_by(ALICE).len(), 51);
    pass(2 * SECOND_MS).await;
    assert!(post.commits() <= 3);
}

#[tokio::test(start_paused = true)]
async fn who_comes_into_a_room_or_leaves_it_is_known_with_the_next_event() {
    let mut post = Post::new().await;
    let (peer, _) = post.peer(PEER);
    let (other, _) = post.peer("other.example");
    post.room(1, &[ALICE, PEER]).await;
    for round in 0..3 {
        post.say(ALICE, 1, &format!("alone {round}")).await;
        pass(SECOND_MS).await;
        post.join(1, "other.example").await;
        post.say(ALICE, 1, &format!("both {round}")).await;
        pass(SECOND_MS).await;
        post.leave(1, "other.example").await;
    }
    assert_eq!(other.said_by(ALICE), names("both ", 3));
    assert_eq!(peer.said_by(ALICE).len(), 6);
}

#[tokio::test(start_paused = true)]
async fn who_catches_up_while_others_speak_misses_nothing() {
    let mut post = Post::new().await;
    let (peer, address) = post.peer(PEER);
    post.world.network.latency(Duration::from_millis(3));
    post.room(1, &[ALICE, PEER]).await;
    let mut expected = Vec::new();
    for round in 0..40 {
        match round % 4 {
            0 => post.world.network.trouble(address, Trouble::Refuses),
            2 => post.world.network.heal(address),
            _ => {}
        }
        for number in 0..60 {
            let body = format!("{round}-{number}");
            post.say(ALICE, 1, &body).await;
            expected.push(body);
            pass(if round % 4 == 2 { 101 } else { 1 }).await;
        }
    }
    pass(HOUR_MS).await;
    assert_eq!(peer.said_by(ALICE), expected);
    assert_eq!((post.rows(&OUTGOING).await, post.rows(&BEHIND).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn refusals_of_one_tenant_do_not_stop_another() {
    for status in [401, 403, 404, 429, 500] {
        let mut post = Post::new().await;
        let (peer, _) = post.peer(PEER);
        post.room(1, &[ALICE, BOB, PEER]).await;
        peer.behave(Manner::RefusesTenant(ALICE, status));
        for number in 0..20 {
            post.say(ALICE, 1, &format!("a{number}")).await;
            post.say(BOB, 1, &format!("b{number}")).await;
            pass(SECOND_MS).await;
        }
        assert_eq!((peer.said_by(ALICE).len(), peer.said_by(BOB).len()), (0, 20), "{status}");
        // It is not tried all the time, and nothing is given up for it.
        let before = peer.lock().requests;
        pass(12 * HOUR_MS).await;
        assert!(peer.lock().requests - before < 100, "{status}: {}", peer.lock().requests - before);
        peer.behave(Manner::Takes);
        pass(2 * HOUR_MS).await;
        assert_eq!(peer.said_by(ALICE), names("a", 20), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_a_server_never_takes_stops_no_other() {
    for status in [400, 413, 500] {
        let mut post = Post::new().await;
        let (peer, _) = post.peer(PEER);
        post.room(1, &[ALICE, PEER]).await;
        peer.behave(Manner::RefusesText("poison", status));
        let mut bodies = names("e", 90);
        bodies.insert(33, "poison".to_owned());
        post.say_to(ALICE, 1, &bodies, &[]).await;
        post.message(ALICE, PEER, &["m1".to_owned(), "poison".to_owned()]).await;
        post.message(ALICE, PEER, &["m2".to_owned()]).await;
        pass(12 * HOUR_MS).await;
        assert_eq!(peer.said_by(ALICE), names("e", 90), "{status}");
        assert_eq!(peer.lock().messages, ["m1", "m2"], "{status}");
        assert!(peer.lock().requests < 60, "{status}: {}", peer.lock().requests);
        assert_eq!((post.rows(&OUTGOING).await, post.rows(&OUTGOING_MESSAGES).await), (0, 0));
        assert_eq!(post.rows(&SENDING_MESSAGES).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_nothing_at_all_loses_nothing() {
    for status in [400, 413, 500, 503] {
        let mut post = Post::new().await;
        let (peer, _) = post.peer(PEER);
        post.room(1, &[ALICE, PEER]).await;
        peer.behave(Manner::Refuses(status));
        post.say_to(ALICE, 1, &names("e", 70), &[]).await;
        post.message(ALICE, PEER, &names("m", 3)).await;
        pass(DAY_MS).await;
        peer.behave(Manner::Takes);
        pass(DAY_MS).await;
        assert_eq!(peer.said_by(ALICE), names("e", 70), "{status}");
        assert_eq!(peer.lock().messages, names("m", 3), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_go_before_events_but_not_for_ever() {
    let mut post = Post::new().await;
    let (peer, address) = post.peer(PEER);
    post.room(1, &[ALICE, PEER]).await;
    post.world.network.trouble(address, Trouble::Refuses);
    post.say_to(ALICE, 1, &names("e", 60), &[]).await;
    for round in 0..30 {
        post.message(ALICE, PEER, &names(&format!("m{round}-"), 100)).await;
    }
    post.device_list(ALICE, PEER, 7).await;
    post.device_list(ALICE, PEER, 7).await;
    pass(SECOND_MS).await;
    post.restart().await;
    post.world.network.heal(address);
    pass(5 * MINUTE_MS).await;
    {
        let taken = peer.lock();
        let first_event = taken.order.iter().position(|what| what == "e0").unwrap();
        assert_eq!(first_event, limits::MESSAGES_IN_A_ROW_MAX * 100);
        assert_eq!((taken.messages.len(), taken.events.len()), (3_000, 60));
        assert_eq!(taken.messages[..2], ["m0-0", "m0-1"]);
        let lists = taken.edus.iter().filter(|edu| edu["edu_type"] == "m.device_list_update");
        assert_eq!(lists.count(), 1, "of several changes the last is told");
    }
    assert_eq!((post.rows(&OUTGOING_MESSAGES).await, post.rows(&OUTGOING_DEVICE_LISTS).await), (0, 0));
    assert_eq!((post.rows(&SENDING_MESSAGES).await, post.rows(&WAITING_MESSAGES).await), (0, 0));
}

/// A server that knows transactions only by their ids gets each message once, whatever becomes of answers and of this process.
#[tokio::test(start_paused = true)]
async fn messages_whose_answer_was_lost_are_sent_again_as_the_same_transaction() {
    for restarts in [false, true] {
        for several in [false, true] {
            let mut post = Post::new().await;
            let (peer, address) = post.peer(PEER);
            post.world.network.trouble(address, Trouble::Refuses);
            post.message(ALICE, PEER, &names("first", 1)).await;
            post.message(ALICE, PEER, &names("m", 3)).await;
            if several {
                post.message(ALICE, PEER, &names("n", 3)).await;
            }
            pass(SECOND_MS).await;
            post.restart().await;
            peer.behave(Manner::TakesSilentlyIf("m0"));
            post.world.network.heal(address);
            pass(MINUTE_MS).await;
            assert_eq!(peer.lock().messages.len(), if several { 7 } else { 4 });
            // More comes before it is known that they are there.
            post.message(ALICE, PEER, &names("o", 3)).await;
            if restarts {
                post.restart().await;
            }
            peer.behave(Manner::Takes);
            pass(HOUR_MS).await;
            let taken = peer.lock();
            assert_eq!(taken.repeated.len(), 1, "{restarts} {several}");
            assert_eq!(
                taken.transactions.len(),
                3,
                "{restarts} {several}: each message is in one transaction"
            );
            assert_eq!(taken.messages.len(), if several { 10 } else { 7 });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_whose_answer_was_lost_is_sent_again_as_it_was() {
    let mut post = Post::new().await;
    let (peer, _) = post.peer(PEER);
    let room_id = post.room(1, &[ALICE, PEER]).await;
    peer.behave(Manner::TakesSilently);
    post.say(ALICE, 1, "e").await;
    post.outbound.tell_typing(&tenant(ALICE), (&room_id, user_id!("@u:alice.example")), true).await.unwrap();
    pass(30 * SECOND_MS).await;
    peer.behave(Manner::Takes);
    pass(10 * MINUTE_MS).await;
    let taken = peer.lock();
    assert_eq!(taken.events.len(), 1);
    assert!(!taken.repeated.is_empty());
}

#[tokio::test(start_paused = true)]
async fn typing_and_receipts_are_told_once_and_as_they_are_last() {
    let mut post = Post::new().await;
    let (peer, address) = post.peer(PEER);
    let room_id = post.room(1, &[ALICE, BOB, PEER]).await;
    let (alice, user) = (tenant(ALICE), user_id!("@u:alice.example"));
    for typing in [true, false, true] {
        post.outbound.tell_typing(&alice, (&room_id, user), typing).await.unwrap();
    }
    pass(SECOND_MS).await;
    assert_eq!(peer.lock().edus.len(), 1);
    assert_eq!(peer.lock().edus[0]["content"]["typing"], true);
    // The same once more is news.
    post.outbound.tell_typing(&alice, (&room_id, user), true).await.unwrap();
    pass(SECOND_MS).await;
    assert_eq!(peer.lock().edus.len(), 2);
    let receipt = ToldReceipt { event_id: event_id!("$e").to_owned(), thread: None, ts: 3 };
    post.outbound.tell_receipt(&alice, (&room_id, user), &receipt).await.unwrap();
    post.say(ALICE, 1, "with it").await;
    pass(SECOND_MS).await;
    assert_eq!(peer.lock().edus[2]["edu_type"], "m.receipt");
    // Who is away is not told later that somebody typed.
    post.world.network.trouble(address, Trouble::Refuses);
    post.outbound.tell_typing(&alice, (&room_id, user), false).await.unwrap();
    pass(SECOND_MS).await;
    post.outbound.tell_typing(&alice, (&room_id, user), true).await.unwrap();
    post.world.network.heal(address);
    pass(5 * MINUTE_MS).await;
    let told = peer.lock().edus.len();
    assert!(told <= 4, "{told}");
    assert_eq!(post.outbound.report(), Default::default());
}

#[tokio::test(start_paused = true)]
async fn a_tenant_out_of_service_sends_nothing_until_it_is_back() {
    let mut post = Post::new().await;
    let (peer, _) = post.peer(PEER);
    post.room(1, &[ALICE, PEER]).await;
    post.numbers.0.lock().unwrap().insert(1);
    post.say(ALICE, 1, "e").await;
    post.message(ALICE, PEER, &names("m", 1)).await;
    pass(HOUR_MS).await;
    assert_eq!(peer.lock().requests, 0);
    post.numbers.0.lock().unwrap().clear();
    pass(2 * MINUTE_MS).await;
    assert_eq!((peer.said_by(ALICE).len(), peer.lock().messages.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_while_loses_nothing_and_is_not_run_hot() {
    let mut post = Post::new().await;
    let (peer, _) = post.peer(PEER);
    post.room(1, &[ALICE, PEER]).await;
    post.say_to(ALICE, 1, &names("e", 70), &[]).await;
    post.message(ALICE, PEER, &names("m", 3)).await;
    post.engine.failing.store(20, Ordering::Relaxed);
    pass(10 * MINUTE_MS).await;
    assert_eq!(post.engine.failing.load(Ordering::Relaxed), 0);
    {
        let taken = peer.lock();
        assert_eq!((taken.events.len(), taken.messages.len()), (70, 3));
        assert!(taken.requests < 40, "{}", taken.requests);
    }
    assert_eq!((post.rows(&OUTGOING).await, post.rows(&OUTGOING_MESSAGES).await), (0, 0));
}

/// What cannot be read for a moment is not what cannot be read at all.
#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_for_a_moment_is_sent_later() {
    let mut post = Post::new().await;
    let (peer, _) = post.peer(PEER);
    post.room(1, &[ALICE, PEER]).await;
    post.engine.unreadable.store(5, Ordering::Relaxed);
    post.say_to(ALICE, 1, &names("e", 3), &[]).await;
    pass(10 * MINUTE_MS).await;
    assert_eq!(post.engine.unreadable.load(Ordering::Relaxed), 0);
    assert_eq!(peer.lock().events.len(), 3);
    assert_eq!(post.rows(&OUTGOING).await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_brought_to_its_end_before_the_process_stops() {
    let mut post = Post::new().await;
    let (peer, _) = post.peer(PEER);
    post.room(1, &[ALICE, PEER]).await;
    post.die().await;
    post.say_to(ALICE, 1, &names("e", 200), &[]).await;
    post.world.network.latency(Duration::from_millis(500));
    // The lookup and the way there take a while: it stops in the middle of the first transaction.
    let outbound = post.outbound.clone();
    outbound.run_until(tokio::time::sleep(Duration::from_millis(2_200))).await;
    let taken = peer.said_by(ALICE).len();
    assert!((50..200).contains(&taken), "{taken}");
    assert_eq!(post.rows(&OUTGOING).await, 200 - taken);
    pass(MINUTE_MS).await;
    assert_eq!(peer.said_by(ALICE).len(), taken, "nothing is sent after that");
    post.restart().await;
    pass(MINUTE_MS).await;
    assert_eq!(peer.said_by(ALICE), names("e", 200));
    assert!(peer.lock().repeated.is_empty());
}

/// The process is killed at each moment of what it does.
#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_at_any_moment_loses_nothing_and_repeats_what_it_did() {
    for moment in 0..70 {
        let mut post = Post::new().await;
        let (peer, _) = post.peer(PEER);
        post.room(1, &[ALICE, PEER]).await;
        post.message(ALICE, PEER, &names("m", 3)).await;
        post.say_to(ALICE, 1, &names("e", 60), &[]).await;
        post.message(ALICE, PEER, &names("n", 2)).await;
        post.message(ALICE, PEER, &names("o", 2)).await;
        // Commits take two milliseconds, transactions three; what was sent is written down after a second.
        pass(if moment < 40 { moment } else { 980 + moment - 40 }).await;
        post.restart().await;
        post.message(ALICE, PEER, &names("p", 1)).await;
        post.say(ALICE, 1, "last").await;
        pass(HOUR_MS).await;
        let mut expected = names("e", 60);
        expected.push("last".to_owned());
        assert_eq!(peer.said_by(ALICE), expected, "{moment}");
        {
            let taken = peer.lock();
            assert_eq!(taken.messages, ["m0", "m1", "m2", "n0", "n1", "o0", "o1", "p0"], "{moment}");
            // Whoever knows transactions only by their ids got each message once, too.
            let edus = taken.edus.iter().filter(|edu| edu["edu_type"] == "m.direct_to_device");
            assert_eq!(edus.count(), taken.messages.len(), "{moment}");
        }
        assert_eq!((post.rows(&OUTGOING).await, post.rows(&OUTGOING_MESSAGES).await), (0, 0), "{moment}");
    }
}
