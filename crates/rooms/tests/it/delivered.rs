//! Rooms of others, delivered late, in any order, in pieces, and by liars.

use std::collections::{BTreeSet, VecDeque};

use freehold_event::RoomVersion;
use freehold_room::Refused;
use freehold_rooms::{Delivery, Incoming};
use freehold_testkit::Rng;

use crate::elsewhere::{Elsewhere, ids};
use crate::garbage::assert_in_order;
use crate::hosted::World;

const HOST: [&str; 1] = ["host.example"];

/// Delivers events, those that wait for others again later.
async fn deliver_all(world: &World, elsewhere: &Elsewhere, order: &[String]) {
    let mut queue: VecDeque<&String> = order.iter().collect();
    let mut waits = 0;
    while let Some(id) = queue.pop_front() {
        match elsewhere.deliver(world, id).await {
            Incoming::Kept(refused) => {
                waits = 0;
                let is_rejected = matches!(refused, Some(Refused::Rejected(_)));
                assert_eq!(is_rejected, elsewhere.room.events[id].rejected, "{id}: {refused:?}");
            }
            Incoming::Fetch(fetch) => {
                assert!(!fetch.prev_events.is_empty() || !fetch.auth_events.is_empty());
                waits += 1;
                assert!(waits <= queue.len() + 1, "nothing goes on");
                queue.push_back(id);
            }
            // Its own auth events refused it already.
            Incoming::RefusedBefore if elsewhere.room.events[id].rejected => waits = 0,
            other => panic!("{id}: {other:?}"),
        }
        match elsewhere.deliver(world, id).await {
            Incoming::Known => assert!(!elsewhere.room.events[id].rejected, "{id}"),
            Incoming::RefusedBefore | Incoming::Fetch(_) => {}
            other => panic!("{id}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_room_is_the_same_in_whatever_order_its_events_come() {
    for (version, seed) in RoomVersion::ALL.iter().zip(0..) {
        let world = World::new(&HOST).await;
        let elsewhere = Elsewhere::made(seed, version);
        elsewhere.begin(&world).await;
        let mut order = elsewhere.room.order.clone();
        Rng::new(seed).shuffle(&mut order);
        deliver_all(&world, &elsewhere, &order).await;
        elsewhere.assert_state(&world, &format!("{version}, seed {seed}")).await;
        assert_in_order(&world.store).await;
    }
}

/// The ids of messages that others follow: what can be withheld without anybody's judgement being another.
fn messages(elsewhere: &Elsewhere) -> Vec<String> {
    let events = elsewhere.room.events_in_order();
    let followed: BTreeSet<&String> = events.flat_map(|event| &event.prev_events).collect();
    let is_message = |id: &String| elsewhere.room.events[id].state_key.is_none() && followed.contains(id);
    elsewhere.ids().into_iter().filter(is_message).collect()
}

#[tokio::test]
async fn holes_are_crossed_with_the_state_that_others_give_and_filled_later() {
    let mut crossed = 0;
    for version in [RoomVersion::V1, RoomVersion::V3, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12] {
        for seed in 10..12 {
            let world = World::new(&HOST).await;
            let elsewhere = Elsewhere::made(seed, version);
            elsewhere.begin(&world).await;
            let mut rng = Rng::new(seed);
            let withheld: Vec<String> = messages(&elsewhere).into_iter().filter(|_| rng.chance(60)).collect();
            let about = format!("{version}, seed {seed}, without {withheld:?}");
            for id in elsewhere.room.order.iter().filter(|id| !withheld.contains(id)) {
                if matches!(elsewhere.deliver(&world, id).await, Incoming::Fetch(_)) {
                    let kept = elsewhere.deliver_with_state(&world, id).await;
                    assert!(
                        matches!(kept, Incoming::Kept(_) | Incoming::Unsettled(_)),
                        "{about}: {id} {kept:?}"
                    );
                    crossed += 1;
                }
            }
            elsewhere.assert_state(&world, &about).await;
            let heads = elsewhere.heads(&world).await;
            deliver_all(&world, &elsewhere, &withheld).await;
            elsewhere.assert_state(&world, &about).await;
            // continuwuity 3efb66c76, 1d655fda5: what came late became an extremity.
            for late in elsewhere.heads(&world).await.iter().filter(|head| !heads.contains(head)) {
                assert!(!elsewhere.is_followed(&world, late).await, "{about}: {late}");
            }
            // Everything that is not rejected is where others can be told of it.
            let number = world.number(&elsewhere.room_id).await;
            assert_eq!(world.reader().missing_prev_events(number, 10).await.unwrap(), [], "{about}");
            assert_in_order(&world.store).await;
        }
    }
    assert!(crossed > 5, "{crossed}");
}

#[tokio::test]
async fn history_comes_before_what_is_here_and_changes_nothing() {
    for version in [RoomVersion::V2, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12] {
        let world = World::new(&HOST).await;
        let elsewhere = Elsewhere::made(5, version);
        let all = &elsewhere.room.order;
        let (past, present) = all.split_at(all.len() / 2);
        elsewhere.begin(&world).await;
        for id in present {
            if matches!(elsewhere.deliver(&world, id).await, Incoming::Fetch(_)) {
                elsewhere.deliver_with_state(&world, id).await;
            }
        }
        elsewhere.assert_state(&world, version.id()).await;
        let heads = elsewhere.heads(&world).await;
        let shown: Vec<String> = world
            .timeline(&elsewhere.room_id)
            .await
            .iter()
            .map(|event| event.pdu.event_id().to_string())
            .collect();
        let mut shuffled = past.to_vec();
        Rng::new(1).shuffle(&mut shuffled);
        let preceding: Vec<bool> =
            elsewhere.deliver_past(&world, &shuffled).await.iter().map(Incoming::is_here).collect();
        assert!(preceding.contains(&true));
        assert_eq!(elsewhere.heads(&world).await, heads);
        elsewhere.assert_state(&world, version.id()).await;
        let timeline = world.timeline(&elsewhere.room_id).await;
        let after: Vec<String> = timeline.iter().map(|event| event.pdu.event_id().to_string()).collect();
        assert!(after.ends_with(&shown), "{version}");
        assert!(after.len() > shown.len());
        // Each stands after what it follows, and has the state before it.
        for (place, event) in timeline.iter().enumerate() {
            assert!(event.row.state_before.is_some());
            if place < after.len() - shown.len() {
                assert!(event.row.timeline.unwrap().0 < 0);
                for prev in event.pdu.prev_events() {
                    let before = after.iter().position(|id| id == prev.as_str());
                    assert!(before.is_none_or(|before| before < place), "{version}");
                }
            }
        }
        // Once more is nothing new.
        for (id, answer) in shuffled.iter().zip(elsewhere.deliver_past(&world, &shuffled).await) {
            assert!(!matches!(answer, Incoming::Kept(_)), "{id}: {answer:?}");
        }
        assert_in_order(&world.store).await;
    }
}

#[tokio::test]
async fn history_that_precedes_nothing_here_is_not_taken() {
    let world = World::new(&HOST).await;
    let elsewhere = Elsewhere::made(5, RoomVersion::V11);
    elsewhere.begin(&world).await;
    let (first, rest) = elsewhere.room.order.split_at(10);
    for id in first {
        elsewhere.deliver(&world, id).await;
    }
    let before = world.timeline(&elsewhere.room_id).await.len();
    for answer in elsewhere.deliver_past(&world, rest).await {
        assert!(matches!(answer, Incoming::Unasked), "{answer:?}");
    }
    assert_eq!(world.timeline(&elsewhere.room_id).await.len(), before);
}

/// What a lying server says the state was must not decide for ever what becomes of somebody else's event.
#[tokio::test]
async fn what_only_a_given_state_refuses_is_not_kept() {
    for version in [RoomVersion::V6, RoomVersion::V11, RoomVersion::V12] {
        let world = World::new(&HOST).await;
        let elsewhere = Elsewhere::made(21, version);
        elsewhere.begin(&world).await;
        let create = elsewhere.room.create_event_id.clone();
        // A message whose predecessors are not here.
        let target = elsewhere.ids().into_iter().rev().find(|id| {
            let event = &elsewhere.room.events[id];
            !event.rejected && event.sender != elsewhere.room.events[&create].sender
        });
        let target = target.unwrap();
        let honest = elsewhere.state_before(&target);
        elsewhere.deliver_outliers(&world, &honest).await;
        let nobody = ids([&create]);
        let keys = &elsewhere.keys;
        let delivery = Delivery { json: elsewhere.json(&target), state: Some(&nobody), policy: None };
        let lied = world.rooms.deliver(&elsewhere.room_id, delivery, keys).await.unwrap();
        assert!(matches!(lied, Incoming::Unsettled(_)), "{version}: {lied:?}");
        let kept = elsewhere.deliver_with_state(&world, &target).await;
        assert!(matches!(kept, Incoming::Kept(None)), "{version}: {kept:?}");
    }
}

#[tokio::test]
async fn a_state_that_is_none_of_the_room_is_refused() {
    let world = World::new(&HOST).await;
    let (elsewhere, other) = (Elsewhere::made(5, RoomVersion::V11), Elsewhere::made(22, RoomVersion::V11));
    elsewhere.begin(&world).await;
    other.begin(&world).await;
    let target = elsewhere.ids().into_iter().rev().find(|id| !elsewhere.room.events[id].rejected).unwrap();
    let state = elsewhere.state_before(&target);
    elsewhere.deliver_outliers(&world, &state).await;
    let honest: Vec<&String> = state.values().collect();
    let with = |extra: &str| ids(honest.iter().copied().chain([&extra.to_owned()]));
    let unknown = "$unknown".to_owned() + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (state, is_refused) in [
        (with(&other.room.create_event_id), true),
        (with(&elsewhere.room.create_event_id), true),
        (ids(honest.iter().copied().filter(|id| **id != elsewhere.room.create_event_id)), true),
        (with(&unknown), false),
    ] {
        let delivery = Delivery { json: elsewhere.json(&target), state: Some(&state), policy: None };
        let answer = world.rooms.deliver(&elsewhere.room_id, delivery, &elsewhere.keys).await.unwrap();
        match is_refused {
            true => assert!(matches!(answer, Incoming::BadState(_)), "{answer:?}"),
            false => assert!(
                matches!(&answer, Incoming::Fetch(fetch) if fetch.auth_events.len() == 1),
                "{answer:?}"
            ),
        }
    }
}

#[tokio::test]
async fn what_is_forged_is_dropped_on_every_way_in() {
    let world = World::new(&HOST).await;
    let (elsewhere, other) = (Elsewhere::made(31, RoomVersion::V11), Elsewhere::made(32, RoomVersion::V11));
    elsewhere.begin(&world).await;
    let target = elsewhere.ids().remove(0);
    let honest = String::from_utf8(elsewhere.json(&target).to_vec()).unwrap();
    let sender = &elsewhere.room.events[&target].sender;
    let server = sender.split_once(':').unwrap().1;
    let unsigned = honest.replace(&format!(r#""{server}":{{"ed25519"#), r#""liar.example":{"ed25519"#);
    let other_depth = honest.replace(r#""depth":"#, r#""depth":1"#);
    let oversized =
        honest.replace(r#""content":{"#, &format!(r#""content":{{"x":"{}","#, "x".repeat(70_000)));
    let elsewhere_id = String::from_utf8(other.json(&other.ids()[0]).to_vec()).unwrap();
    for text in [unsigned, other_depth, oversized, elsewhere_id, "{}".to_owned(), "[".to_owned()] {
        let (room, keys, json) = (&elsewhere.room_id, &elsewhere.keys, text.as_bytes());
        let rooms = &world.rooms;
        let past = [freehold_rooms::PastEvent { json, state: None }];
        let given = Delivery { json, state: Some(&[]), policy: None };
        let answers = [
            rooms.receive(room, json, keys).await.unwrap(),
            rooms.deliver(room, given, keys).await.unwrap(),
            rooms.receive_outliers(room, &[json], keys).await.unwrap().remove(0),
            rooms.receive_backfilled(room, &past, keys).await.unwrap().remove(0),
        ];
        for answer in answers {
            assert!(matches!(answer, Incoming::Dropped(_)), "{answer:?} for {text:.300}");
        }
    }
    assert!(matches!(elsewhere.deliver(&world, &elsewhere.room.create_event_id).await, Incoming::Kept(None)));
    assert!(matches!(elsewhere.deliver(&world, &target).await, Incoming::Kept(_)));
}

/// continuwuity f9b532162 (SEC20): events of auth chains were used without all checks.
#[tokio::test]
async fn a_rejected_outlier_is_kept_as_rejected_and_never_used() {
    let mut rejected = 0;
    for seed in 40..46 {
        let world = World::new(&HOST).await;
        let elsewhere = Elsewhere::made(seed, RoomVersion::V11);
        elsewhere.begin(&world).await;
        let all = elsewhere.ids();
        let texts: Vec<&[u8]> = all.iter().map(|id| elsewhere.json(id)).collect();
        let answers =
            world.rooms.receive_outliers(&elsewhere.room_id, &texts, &elsewhere.keys).await.unwrap();
        for (id, answer) in all.iter().zip(answers) {
            let Incoming::Kept(refused) = answer else { panic!("{answer:?}") };
            // Those that their own auth events refuse are refused everywhere.
            assert!(refused.is_none() || elsewhere.room.events[id].rejected, "{id}: {refused:?}");
            rejected += usize::from(refused.is_some());
        }
        assert_eq!(world.timeline(&elsewhere.room_id).await.len(), 0);
        assert_eq!(elsewhere.heads(&world).await.len(), 0);
        // The room can be received as if they had not come.
        deliver_all(&world, &elsewhere, &elsewhere.room.order).await;
        elsewhere.assert_state(&world, &format!("seed {seed}")).await;
    }
    assert!(rejected > 0, "{rejected}");
}
