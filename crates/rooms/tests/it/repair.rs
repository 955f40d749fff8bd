//! Whatever is damaged of a room becomes what it was, from what the room still has and what others have of it.

use std::collections::BTreeMap;

use freehold_rooms::{Fetched, RepairPlan};
use freehold_store::tables::rooms::{
    CURRENT_STATE, EVENT_JSON, EVENTS, EventRow, LOCAL_MEMBERS, MEMBERSHIPS, STATE_NODES, Standing, TIMELINE,
};
use freehold_store::{EventNumber, Order, RoomNumber};
use ruma_common::OwnedRoomId;

use crate::check::{Damage, Found, MUTATIONS, checked, world};
use crate::hosted::World;
use crate::outside::Published;

/// All that a room is, but for when it became so.
#[derive(Debug, PartialEq)]
struct Dump {
    rows: BTreeMap<EventNumber, EventRow>,
    texts: BTreeMap<EventNumber, Option<String>>,
    timeline: Vec<String>,
    current: String,
    members: Vec<String>,
    servers: Vec<String>,
}

impl Dump {
    async fn of(world: &World, room: RoomNumber) -> Self {
        let snapshot = world.store.snapshot().unwrap();
        let all = snapshot.scan_prefix(&EVENTS, &(), Order::Ascending, usize::MAX).await.unwrap();
        let rows: BTreeMap<_, _> = all
            .into_iter()
            .filter(|(_, row)| row.room == room)
            // Who sent it with which transaction nobody else knows.
            .map(|(number, row)| (number, EventRow { transaction: None, ..row }))
            .collect();
        let mut texts = BTreeMap::new();
        for number in rows.keys() {
            texts.insert(*number, snapshot.get(&EVENT_JSON, number).await.unwrap());
        }
        let timeline = snapshot.scan_prefix(&TIMELINE, &room, Order::Ascending, usize::MAX).await.unwrap();
        let mut current = snapshot.get(&CURRENT_STATE, &room).await.unwrap().unwrap();
        current.forward_extremities.sort_unstable();
        let locals =
            snapshot.scan_prefix(&LOCAL_MEMBERS, &(room,), Order::Ascending, usize::MAX).await.unwrap();
        let mut members = Vec::new();
        for ((_, tenant, user), membership) in locals {
            let row = snapshot.get(&MEMBERSHIPS, &(user, room)).await.unwrap();
            let row = row.map(|row| (row.membership, row.event, row.tenant));
            members.push(format!("{tenant} {user} {membership:?} {row:?}"));
        }
        let servers = world.reader().servers_in(room).await.unwrap();
        Dump {
            rows,
            texts,
            timeline: timeline.iter().map(|row| format!("{row:?}")).collect(),
            current: format!("{current:?}"),
            members,
            servers: servers.iter().map(|(server, row)| format!("{server} {}", row.joined)).collect(),
        }
    }
}

/// What another server has of a room.
async fn neighbours(world: &World, room: RoomNumber) -> Vec<String> {
    Dump::of(world, room).await.texts.into_values().flatten().collect()
}

async fn plan(world: &World, room_id: &OwnedRoomId, events: &[String]) -> RepairPlan {
    let keys = Published::of(world);
    world.rooms.plan_repair(room_id, Fetched { events, keys: &keys }).await.unwrap()
}

async fn repair(world: &World, room_id: &OwnedRoomId, events: &[String]) -> RepairPlan {
    let keys = Published::of(world);
    world.rooms.repair(room_id, Fetched { events, keys: &keys }, |_| ()).await.unwrap()
}

/// Does a damage, repairs it, and holds the room against what it was.
async fn damaged_and_repaired(
    world: &World,
    room_id: &OwnedRoomId,
    name: &str,
    damage: impl FnOnce(&mut Damage),
) {
    let room = world.number(room_id).await;
    let (whole, texts) = (Dump::of(world, room).await, neighbours(world, room).await);
    let mut done = Damage::new(world);
    damage(&mut done);
    world.store.commit(done.batch).await.unwrap();
    let planned = plan(world, room_id, &texts).await;
    assert!(!planned.steps.is_empty(), "{name}: nothing is found");
    let broken = world.store.snapshot().unwrap().position();
    assert_eq!(plan(world, room_id, &texts).await, planned, "{name}: a look changes something");
    assert_eq!(world.store.snapshot().unwrap().position(), broken, "{name}: a look changes something");
    assert_eq!(repair(world, room_id, &texts).await, planned, "{name}: what is done is not what was shown");
    assert_eq!(planned.left, [], "{name}: {planned:#?}");
    assert_eq!(Dump::of(world, room).await, whole, "{name}: {planned:#?}");
    assert_eq!(checked(world).await.findings, [], "{name}");
    assert_eq!(plan(world, room_id, &texts).await, RepairPlan::default(), "{name}: a second time");
}

#[tokio::test]
async fn in_a_room_that_is_in_order_there_is_nothing_to_do() {
    let (world, room) = world().await;
    let mut rooms = vec![room];
    let snapshot = world.store.snapshot().unwrap();
    let ids = &freehold_store::tables::identity::ROOM_IDS;
    rooms.extend(
        snapshot.scan_prefix(ids, &(), Order::Ascending, 99).await.unwrap().into_iter().map(|(_, id)| id),
    );
    assert!(rooms.len() > 4);
    for room in rooms {
        assert_eq!(plan(&world, &room, &[]).await, RepairPlan::default(), "{room}");
    }
}

#[tokio::test]
async fn what_fsck_finds_of_a_room_is_put_right() {
    let (world, room) = world().await;
    for (name, damage, _) in MUTATIONS {
        // Which of two events came first, nothing else says.
        if *name != "order of the timeline" {
            let found = Found::of(&world, &room).await;
            damaged_and_repaired(&world, &room, name, |done| damage(done, &found)).await;
        }
    }
}

#[tokio::test]
async fn every_event_that_is_lost_is_put_back() {
    let (world, room) = world().await;
    let found = Found::of(&world, &room).await;
    for (place, (number, _)) in found.rows.iter().enumerate() {
        damaged_and_repaired(&world, &room, &format!("{number}"), |damage| {
            if place % 4 > 0 {
                damage.put(&EVENTS, *number, None);
            }
            damage.put(&EVENT_JSON, *number, None);
        })
        .await;
    }
    damaged_and_repaired(&world, &room, "all of them", |damage| {
        for (number, _) in &found.rows {
            damage.put(&EVENTS, *number, None);
            damage.put(&EVENT_JSON, *number, None);
        }
    })
    .await;
}

#[tokio::test]
async fn every_event_that_was_wrongly_rejected_is_accepted() {
    let (world, room) = world().await;
    let found = Found::of(&world, &room).await;
    let accepted = found.rows.iter().filter(|(_, row)| row.standing == Standing::Accepted);
    for event in accepted.step_by(2) {
        damaged_and_repaired(&world, &room, &format!("{event:?}"), |damage| {
            damage.event(event.clone(), |row| row.standing = Standing::Rejected);
        })
        .await;
    }
}

#[tokio::test]
async fn forward_extremities_are_found_again() {
    let (world, room) = world().await;
    let found = Found::of(&world, &room).await;
    let heads = found.current.forward_extremities.clone();
    assert_eq!(heads.len(), 2);
    let old = found.timeline[1].1;
    for (name, wrong) in [
        ("one lost", vec![heads[1]]),
        ("the other lost", vec![heads[0]]),
        ("all lost", vec![]),
        ("one too many", vec![heads[0], heads[1], old]),
        ("another one", vec![old]),
    ] {
        damaged_and_repaired(&world, &room, name, |damage| {
            let mut row = found.current.clone();
            row.forward_extremities = wrong;
            damage.put(&CURRENT_STATE, found.room, Some(&row));
        })
        .await;
    }
}

#[tokio::test]
async fn rows_that_are_lost_are_made_anew() {
    type Loss = (&'static str, fn(&mut Damage, &Found));
    let (world, room) = world().await;
    let losses: [Loss; 5] = [
        ("current state", |damage, found| damage.put(&CURRENT_STATE, found.room, None)),
        ("membership", |damage, found| damage.put(&MEMBERSHIPS, (found.bob, found.room), None)),
        ("entry of the timeline", |damage, found| {
            damage.put(&TIMELINE, (found.room, found.timeline[1].0), None);
        }),
        ("node of the state", |damage, found| damage.put(&STATE_NODES, found.current.state, None)),
        ("nodes of all states", |damage, found| {
            let roots: std::collections::BTreeSet<_> = found
                .rows
                .iter()
                .filter_map(|(_, row)| row.state_before)
                .chain(found.roots.clone())
                .collect();
            roots.into_iter().for_each(|root| damage.put(&STATE_NODES, root, None));
        }),
    ];
    for (name, lose) in losses {
        let found = Found::of(&world, &room).await;
        damaged_and_repaired(&world, &room, name, |damage| lose(damage, &found)).await;
    }
}

/// Without others, what is lost is named and everything else is left in peace.
#[tokio::test]
async fn what_nobody_gives_is_wanted_and_lies_are_not_believed() {
    let (world, room) = world().await;
    let found = Found::of(&world, &room).await;
    let texts = neighbours(&world, found.room).await;
    let (number, _) = found.last();
    let truth = found.texts[found.rows.iter().position(|(one, _)| *one == number).unwrap()].clone();
    let id = world.reader().event(number).await.unwrap().pdu.event_id().to_owned();
    let mut done = Damage::new(&world);
    done.put(&EVENTS, number, None);
    done.put(&EVENT_JSON, number, None);
    world.store.commit(done.batch).await.unwrap();
    let liars: [Vec<String>; 5] = [
        vec![],
        vec!["{}".to_owned(), "no JSON".to_owned()],
        vec![truth.replace("late", "soon").replace("two.example\":{", "six.example\":{")],
        vec![truth.replace("\"ed25519:1\":\"", "\"ed25519:1\":\"AAAA")],
        texts.iter().filter(|text| **text != truth).cloned().collect(),
    ];
    for lies in liars {
        let planned = plan(&world, &room, &lies).await;
        assert_eq!(planned.wanted, std::slice::from_ref(&id), "{lies:?}");
        assert!(
            planned
                .steps
                .iter()
                .all(|step| step.event.as_ref() != Some(&id) || step.table == "current_state"),
            "{planned:#?}"
        );
    }
    // Of a text that is redacted and one that is whole, the whole one is kept, in whatever order they come.
    let pdu = freehold_event::Pdu::parse(truth.as_bytes(), freehold_event::RoomVersion::V12).unwrap();
    let redacted = pdu.redacted().canonical_json().to_owned();
    for both in [[redacted.clone(), truth.clone()], [truth.clone(), redacted]] {
        let planned = plan(&world, &room, &both).await;
        assert_eq!((planned.wanted, planned.left), (vec![], vec![]));
    }
}
