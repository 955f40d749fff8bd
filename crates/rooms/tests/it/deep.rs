//! What a deep check finds, that no other does: forged signatures and wrong verdicts.

use freehold_room::Refused;
use freehold_rooms::check::{RoomFault, RoomsCheck, check_rooms};
use freehold_rooms::{Incoming, Rooms};
use freehold_store::tables::rooms::{EVENT_JSON, EVENTS, Standing};
use freehold_store::{Batch, EventNumber, Order};
use ruma_common::OwnedRoomId;
use serde_json::{Value, json};

use crate::hosted::{World, about};
use crate::outside::{Published, SERVERS, foreign, lively_room};

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";

/// A room in which events of all standings are.
async fn world() -> (World, OwnedRoomId) {
    let world = World::new(&SERVERS).await;
    for version in ["1", "5", "9", "12"] {
        lively_room(&world, version).await;
    }
    let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    let (keys, fork) = (Published::of(&world), world.timeline(&room).await.pop().unwrap());
    world.say(&alice, &room, "hello").await;
    let levels = foreign(&world, &fork.pdu, (BOB, "m.room.power_levels", Some("")), json!({})).await;
    let rejected = world.rooms.receive(&room, &levels, &keys).await.unwrap();
    assert!(matches!(rejected, Incoming::Kept(Some(Refused::Rejected(_)))), "{rejected:?}");
    let late = foreign(&world, &fork.pdu, (BOB, "m.room.message", None), json!({ "body": "late" })).await;
    world.rooms.ban(&alice, &room, about(&bob)).await.unwrap();
    let soft_failed = world.rooms.receive(&room, &late, &keys).await.unwrap();
    assert!(matches!(soft_failed, Incoming::Kept(Some(Refused::SoftFailed(_)))), "{soft_failed:?}");
    (world, room)
}

async fn checked(world: &World, rooms: &Rooms) -> RoomsCheck {
    let mut told = 0;
    let found = rooms.check_deep(&world.store.snapshot().unwrap(), &mut |found| told = found.events).await;
    let found = found.unwrap();
    assert_eq!(told, found.events, "it was told how far it came");
    found
}

async fn of_standing(world: &World, room: &OwnedRoomId, standing: Standing) -> EventNumber {
    let (snapshot, room) = (world.store.snapshot().unwrap(), world.number(room).await);
    let rows = snapshot.scan_prefix(&EVENTS, &(), Order::Descending, usize::MAX).await.unwrap();
    let found = rows.into_iter().find(|(_, row)| row.room == room && row.standing == standing);
    found.unwrap_or_else(|| panic!("no {standing:?}")).0
}

#[tokio::test]
async fn rooms_in_order_are_judged_as_they_were() {
    let (world, _) = world().await;
    let found = checked(&world, &world.rooms).await;
    assert_eq!(found.findings, []);
    assert_eq!((found.rejudged, found.unverified), (found.events, 0), "{found:?}");
    // Whose keys are not here, nobody can say whether they signed.
    let strangers = World::new(&["nobody.example"]).await;
    let elsewhere = freehold_rooms::Rooms::new(
        world.store.clone(),
        world.interner.clone(),
        strangers.outside(),
        freehold_rooms::RoomsSettings::default(),
    );
    let found = checked(&world, &elsewhere).await;
    assert_eq!((&found.findings[..], found.unverified), (&[][..], found.events));
}

#[tokio::test]
async fn a_forged_signature_is_found_and_by_no_other_check() {
    let (world, room) = world().await;
    let number = of_standing(&world, &room, Standing::Accepted).await;
    let text = world.store.snapshot().unwrap().get(&EVENT_JSON, &number).await.unwrap().unwrap();
    let mut event: Value = serde_json::from_str(&text).unwrap();
    let server = event["sender"].as_str().unwrap().split_once(':').unwrap().1.to_owned();
    let signature = event["signatures"][&server].as_object_mut().unwrap().values_mut().next().unwrap();
    let other = if signature.as_str().unwrap().starts_with('A') { "B" } else { "A" };
    *signature = json!(format!("{other}{}", signature.as_str().unwrap().get(1..).unwrap()));
    let mut batch = Batch::new();
    batch.put(&EVENT_JSON, &number, &event.to_string());
    world.store.commit(batch).await.unwrap();
    let shallow = check_rooms(&world.store.snapshot().unwrap()).await.unwrap();
    let deep = checked(&world, &world.rooms).await;
    assert_eq!(deep.faults, shallow.faults + 1);
    let forged =
        deep.findings.iter().find(|finding| matches!(finding.fault, RoomFault::Forged { .. })).unwrap();
    assert_eq!(forged.event, Some(number));
}

#[tokio::test]
async fn wrong_verdicts_are_found() {
    for (standing, changed) in
        [(Standing::Rejected, Standing::SoftFailed), (Standing::SoftFailed, Standing::Rejected)]
    {
        let (world, room) = world().await;
        let number = of_standing(&world, &room, standing).await;
        let mut row = world.store.snapshot().unwrap().get(&EVENTS, &number).await.unwrap().unwrap();
        row.standing = changed;
        let mut batch = Batch::new();
        batch.put(&EVENTS, &number, &row);
        world.store.commit(batch).await.unwrap();
        let deep = checked(&world, &world.rooms).await;
        let faults: Vec<_> = deep.findings.iter().filter(|finding| finding.event == Some(number)).collect();
        match (&faults[..], changed) {
            ([one], Standing::Rejected) => assert_eq!(one.fault, RoomFault::RejectedThoughAllowed),
            ([one], _) => assert!(matches!(one.fault, RoomFault::TakenThoughRefused { .. }), "{one:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_was_redacted_or_forgotten_is_not_called_wrong() {
    let (world, room) = world().await;
    let alice = world.actor(ALICE).await;
    let reader = world.reader();
    let number = reader.room_number(&room).await.unwrap().unwrap();
    let levels = reader.current_state(number).await.unwrap().get("m.room.power_levels", "").await.unwrap();
    let redaction = freehold_rooms::Redaction {
        event_id: levels.unwrap().pdu.event_id().to_owned(),
        reason: None,
        transaction_id: None,
    };
    world.rooms.redact(&alice, &room, redaction).await.unwrap();
    let policy = freehold_rooms::RoomPolicy {
        retention: crate::forgetting::KEEPS_NOTHING,
        ..freehold_rooms::RoomPolicy::default()
    };
    for server in SERVERS {
        let user = world.actor(&format!("@somebody:{server}")).await;
        world.hosted.settle(&user.tenant, policy.clone());
    }
    let mut round = world.rooms.message_garbage();
    let mut forgotten = 0;
    while let Some(more) = round.step().await.unwrap() {
        forgotten += more;
    }
    assert!(forgotten > 4, "{forgotten}");
    assert_eq!(checked(&world, &world.rooms).await.findings, []);
}
