//! Redactions and what they redact, in whatever order they come, and however long apart.

use freehold_event::{RawPdu, RoomVersion};
use freehold_rooms::Incoming;
use ruma_common::{OwnedEventId, RoomId};
use serde_json::json;

use crate::hosted::World;
use crate::outside::{Published, SERVERS, foreign};

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:three.example";

/// Everybody is in a room of Alice.
async fn world() -> (World, Published, ruma_common::OwnedRoomId) {
    let world = World::new(&SERVERS).await;
    let keys = Published::of(&world);
    let (alice, bob, carol) = (world.actor(ALICE).await, world.actor(BOB).await, world.actor(CAROL).await);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    world.join(&carol, &room).await;
    (world, keys, room)
}

async fn set_power(world: &World, room: &RoomId, user: &str, level: i64) {
    let alice = world.actor(ALICE).await;
    let mut levels = world.state(room, "m.room.power_levels", "").await.unwrap();
    levels["users"][user] = json!(level);
    world.put(&alice, room, ("m.room.power_levels", ""), levels).await.unwrap();
}

fn id_of(json: &[u8]) -> OwnedEventId {
    RawPdu::new(json).parse(RoomVersion::V12).unwrap().event_id().to_owned()
}

/// A message that Bob's server made after the newest event, and a redaction of it by somebody.
async fn message_and_redaction(world: &World, room: &RoomId, redactor: &str) -> (Vec<u8>, Vec<u8>) {
    let last = world.timeline(room).await.pop().unwrap();
    let target = foreign(world, &last.pdu, (BOB, "m.room.message", None), json!({ "body": "x" })).await;
    let content = json!({ "redacts": id_of(&target) });
    let redaction = foreign(world, &last.pdu, (redactor, "m.room.redaction", None), content).await;
    (target, redaction)
}

/// Whether an event has lost its content, and a redaction is shown.
async fn fate(world: &World, room: &RoomId, (target, redaction): (&[u8], &[u8])) -> (bool, bool) {
    let reader = world.reader();
    let number = reader.snapshot().number_of(&id_of(target)).await.unwrap().unwrap();
    let event = reader.event(number).await.unwrap();
    let is_redacted = event.pdu.content() == "{}";
    assert_eq!(event.row.redacted_by.is_some(), is_redacted);
    let shown = world.timeline(room).await;
    (is_redacted, shown.iter().any(|event| event.pdu.event_id() == id_of(redaction)))
}

#[tokio::test]
async fn what_comes_long_after_its_redaction_is_redacted_by_the_power_of_then() {
    for (then, now, expected) in [(0, 0, false), (0, 50, false), (50, 50, true), (50, 0, true)] {
        for is_target_first in [false, true] {
            let (world, keys, room) = world().await;
            let alice = world.actor(ALICE).await;
            set_power(&world, &room, CAROL, then).await;
            let (target, redaction) = message_and_redaction(&world, &room, CAROL).await;
            let order = if is_target_first { [&target, &redaction] } else { [&redaction, &target] };
            let first = world.rooms.receive(&room, order[0], &keys).await.unwrap();
            assert!(matches!(first, Incoming::Kept(None)), "{first:?}");
            set_power(&world, &room, CAROL, now).await;
            for number in 0..40 {
                world.say(&alice, &room, &format!("meanwhile {number}")).await;
            }
            let second = world.rooms.receive(&room, order[1], &keys).await.unwrap();
            assert!(matches!(second, Incoming::Kept(None)), "{second:?}");
            let about = format!("{then} then, {now} now, the target first: {is_target_first}");
            assert_eq!(fate(&world, &room, (&target, &redaction)).await, (expected, expected), "{about}");
        }
    }
}

#[tokio::test]
async fn events_that_come_with_one_change_are_judged_alike() {
    for is_target_first in [false, true] {
        let (world, keys, room) = world().await;
        let (target, redaction) = message_and_redaction(&world, &room, ALICE).await;
        let signed = |json: &[u8]| {
            let pdu = freehold_room::parse(json, RoomVersion::V12, &room).unwrap();
            freehold_room::verify(pdu, &keys, i64::MAX / 2).unwrap()
        };
        let order = if is_target_first { [&target, &redaction] } else { [&redaction, &target] };
        let events = order.map(|json| signed(json)).to_vec();
        for answer in world.rooms.receive_verified(&room, events).await.unwrap() {
            assert!(matches!(answer, Ok(Incoming::Kept(None))), "{answer:?}");
        }
        assert_eq!(fate(&world, &room, (&target, &redaction)).await, (true, true));
    }
}

/// The name of a room may have come with a state that somebody gave, and still be redacted.
#[tokio::test]
async fn an_outlier_is_redacted_and_stays_so_when_its_place_is_known() {
    for is_target_first in [false, true] {
        let (world, keys, room) = world().await;
        let (target, redaction) = message_and_redaction(&world, &room, BOB).await;
        let outlier = async || {
            let mut kept = world.rooms.receive_outliers(&room, &[&target], &keys).await.unwrap();
            assert!(matches!(kept.remove(0), Incoming::Kept(None)));
        };
        let redact = async || {
            let kept = world.rooms.receive(&room, &redaction, &keys).await.unwrap();
            assert!(matches!(kept, Incoming::Kept(None)), "{kept:?}");
        };
        if is_target_first {
            outlier().await;
            redact().await;
        } else {
            redact().await;
            outlier().await;
        }
        let both = (target.as_slice(), redaction.as_slice());
        assert_eq!(fate(&world, &room, both).await, (true, true), "the target first: {is_target_first}");
        let kept = world.rooms.receive(&room, &target, &keys).await.unwrap();
        assert!(matches!(kept, Incoming::Kept(None)), "{kept:?}");
        assert_eq!(fate(&world, &room, both).await, (true, true), "the target first: {is_target_first}");
        let again = world.timeline(&room).await;
        let redactions = again.iter().filter(|event| event.pdu.event_type() == "m.room.redaction");
        assert_eq!(redactions.count(), 1);
    }
}

/// A message that Bob's server made in a room, and a redaction of it by Carol, who may do everything in a room of her own of some version.
async fn message_and_foreign_redaction(world: &World, room: &RoomId, version: &str) -> (Vec<u8>, Vec<u8>) {
    let carol = world.actor(CAROL).await;
    let own = world.public_room(&carol, version).await;
    let last = world.timeline(room).await.pop().unwrap();
    let target = foreign(world, &last.pdu, (BOB, "m.room.message", None), json!({ "body": "x" })).await;
    let last = world.timeline(&own).await.pop().unwrap();
    let content = json!({ "redacts": id_of(&target) });
    let redaction = foreign(world, &last.pdu, (CAROL, "m.room.redaction", None), content).await;
    (target, redaction)
}

/// Who may do everything in one room has no say in another for that, and what is no event by the rules of one room stops nobody.
#[tokio::test]
async fn a_redaction_does_nothing_in_another_room_than_its_own() {
    for version in RoomVersion::ALL {
        let (world, keys, room) = world().await;
        let (target, redaction) = message_and_foreign_redaction(&world, &room, version.id()).await;
        let own = RawPdu::new(&redaction).parse(version).unwrap().room_id().to_owned();
        let redacted = world.rooms.receive(&own, &redaction, &keys).await.unwrap();
        assert!(matches!(redacted, Incoming::Kept(None)), "{version}: {redacted:?}");
        let before = world.timeline(&room).await.len();
        let said = world.rooms.receive(&room, &target, &keys).await.unwrap();
        assert!(matches!(said, Incoming::Kept(None)), "{version}: {said:?}");
        let shown = world.timeline(&room).await;
        assert_eq!(shown.len(), before + 1, "{version}");
        assert_eq!(shown.last().unwrap().pdu.content(), r#"{"body":"x"}"#, "{version}");
    }
}

/// Whoever is in a room can redact an event that is not here as often as they like, which is of no effect and keeps nobody from
/// redacting it who may.
#[tokio::test]
async fn redactions_of_one_event_that_wait_are_bounded_and_keep_nobody_from_it_who_may() {
    for comes_together in [false, true] {
        let (world, keys, room) = world().await;
        let last = world.timeline(&room).await.pop().unwrap();
        let target = foreign(&world, &last.pdu, (BOB, "m.room.message", None), json!({ "body": "x" })).await;
        let mut redactions = Vec::new();
        for number in 0..30 {
            let content = json!({ "redacts": id_of(&target), "reason": number });
            redactions.push(foreign(&world, &last.pdu, (CAROL, "m.room.redaction", None), content).await);
        }
        let content = json!({ "redacts": id_of(&target) });
        let last = foreign(&world, &last.pdu, (ALICE, "m.room.redaction", None), content).await;
        redactions.push(last.clone());
        if comes_together {
            let signed = |json: &Vec<u8>| {
                let pdu = freehold_room::parse(json, RoomVersion::V12, &room).unwrap();
                freehold_room::verify(pdu, &keys, i64::MAX / 2).unwrap()
            };
            world.rooms.receive_verified(&room, redactions.iter().map(signed).collect()).await.unwrap();
        } else {
            for redaction in &redactions {
                world.rooms.receive(&room, redaction, &keys).await.unwrap();
            }
        }
        let snapshot = world.store.snapshot().unwrap();
        let table = &freehold_store::tables::rooms::WAITING_REDACTIONS;
        let waiting = snapshot.scan_after(table, None, usize::MAX).await.unwrap();
        assert_eq!(waiting.len(), 20, "together: {comes_together}");
        world.rooms.receive(&room, &target, &keys).await.unwrap();
        assert_eq!(fate(&world, &room, (&target, &last)).await, (true, true), "together: {comes_together}");
        let snapshot = world.store.snapshot().unwrap();
        assert_eq!(snapshot.scan_after(table, None, usize::MAX).await.unwrap(), []);
    }
}
