//! Rooms that are broken here, repaired with what neighbours of every kind say.

use freehold_event::RoomVersion;
use freehold_federation::RoomRepair;
use freehold_store::tables::rooms::{
    CURRENT_STATE, EVENT_JSON, EVENTS, EventRow, MISSING_PREVS, Standing, TIMELINE,
};
use freehold_store::{Batch, EventNumber, Order};
use freehold_testkit::Rng;

use crate::neighbourhood::{Manner, Ours};

const VERSIONS: [&RoomVersion; 4] = [RoomVersion::V1, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12];

/// All that the store has of events, and what follows from them.
async fn everything(ours: &Ours) -> (Vec<(EventNumber, EventRow)>, Vec<String>) {
    let snapshot = ours.store.snapshot().unwrap();
    let rows = snapshot.scan_prefix(&EVENTS, &(), Order::Ascending, usize::MAX).await.unwrap();
    let texts = snapshot.scan_prefix(&EVENT_JSON, &(), Order::Ascending, usize::MAX).await.unwrap();
    let timeline = snapshot.scan_prefix(&TIMELINE, &(), Order::Ascending, usize::MAX).await.unwrap();
    let mut current = snapshot.get(&CURRENT_STATE, &ours.number().await).await.unwrap().unwrap();
    current.forward_extremities.sort_unstable();
    let rest = [format!("{texts:?}"), format!("{timeline:?}"), format!("{current:?}")];
    (rows, rest.to_vec())
}

async fn lose(ours: &Ours, events: &[EventNumber]) {
    let mut batch = Batch::new();
    for number in events {
        batch.delete(&EVENTS, number);
        batch.delete(&EVENT_JSON, number);
    }
    ours.store.commit(batch).await.unwrap();
}

async fn plan(ours: &Ours) -> RoomRepair {
    ours.ingest.plan_repair(&ours.others.truth.room_id, &[]).await.unwrap()
}

async fn repair(ours: &Ours) -> RoomRepair {
    ours.ingest.repair(&ours.others.truth.room_id, &[], |_| ()).await.unwrap()
}

/// Rooms with forks, quarrels and rejected events, of which a third is lost, and one neighbour who is of no use.
#[tokio::test(start_paused = true)]
async fn what_is_lost_comes_back_from_others_whoever_lies() {
    for (seed, manner) in [(3, Manner::Honest), (7, Manner::Lies), (7, Manner::Silent), (3, Manner::Refuses)]
    {
        for version in VERSIONS {
            let about = format!("{seed} {manner:?} {version}");
            let ours = Ours::in_room(seed, version, 14).await;
            assert_eq!(
                plan(&ours).await.plan,
                freehold_rooms::RepairPlan::default(),
                "{about}: it was in order"
            );
            let whole = everything(&ours).await;
            let mut rng = Rng::new(seed);
            let shown = whole.0.iter().filter(|(_, row)| row.timeline.is_some());
            let lost: Vec<EventNumber> =
                shown.map(|(number, _)| *number).filter(|_| rng.chance(33)).collect();
            assert!(lost.len() > 3);
            lose(&ours, &lost).await;
            ours.others.behave("s0.example", manner);
            let planned = plan(&ours).await;
            assert_eq!(
                (planned.fetched, planned.plan.wanted.len()),
                (lost.len(), 0),
                "{about}: {planned:#?}"
            );
            let done = repair(&ours).await;
            assert_eq!(done.plan, planned.plan, "{about}");
            assert_eq!(everything(&ours).await, whole, "{about}: {planned:#?}");
            ours.assert_state(&about).await;
            assert_eq!(
                plan(&ours).await.plan,
                freehold_rooms::RepairPlan::default(),
                "{about}: a second time"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_lie_nothing_comes_in() {
    for version in VERSIONS {
        let ours = Ours::in_room(7, version, 14).await;
        let whole = everything(&ours).await;
        let shown = whole.0.iter().rev().filter(|(_, row)| row.timeline.is_some());
        let lost: Vec<EventNumber> = shown.take(3).map(|(number, _)| *number).collect();
        lose(&ours, &lost).await;
        let broken = everything(&ours).await;
        for server in ["s0.example", "s1.example"] {
            ours.others.behave(server, Manner::Lies);
        }
        let planned = plan(&ours).await;
        assert_eq!((planned.fetched, planned.plan.wanted.len()), (0, 3), "{version}");
        assert_eq!(planned.plan.steps, [], "{version}: with what is lost, nothing is known");
        let _ = repair(&ours).await;
        let texts_after = everything(&ours).await;
        assert_eq!((texts_after.0.len(), &texts_after.1[0]), (broken.0.len(), &broken.1[0]), "{version}");
        // And when somebody tells the truth, everything is as it was.
        ours.others.behave("s1.example", Manner::Honest);
        repair(&ours).await;
        assert_eq!(everything(&ours).await, whole, "{version}");
    }
}

/// Verdicts that are wrong, in a room that others have too: those of the twin come back.
#[tokio::test(start_paused = true)]
async fn wrong_verdicts_become_what_the_rules_say() {
    for seed in 20..26 {
        let version = VERSIONS[(seed % 4) as usize];
        let ours = Ours::in_room(seed, version, 40).await;
        let whole = everything(&ours).await;
        let mut batch = Batch::new();
        let mut rng = Rng::new(seed);
        for (number, row) in &whole.0 {
            if row.standing == Standing::Accepted && row.state_before.is_some() && rng.chance(20) {
                let timeline = row.timeline.filter(|_| seed % 2 == 0);
                if let Some(place) = row.timeline.filter(|_| timeline.is_none()) {
                    batch.delete(&TIMELINE, &(row.room, place));
                }
                batch.put(
                    &EVENTS,
                    number,
                    &EventRow { standing: Standing::Rejected, timeline, ..row.clone() },
                );
            }
        }
        ours.store.commit(batch).await.unwrap();
        repair(&ours).await;
        ours.assert_state(&format!("{seed} {version}")).await;
        let after = everything(&ours).await;
        for ((_, before), (number, after)) in whole.0.iter().zip(&after.0) {
            // Of those that were never shown, the state of today has decided whether they are shown now.
            if seed % 2 == 0 || before.timeline.is_none() {
                assert_eq!(before, after, "{seed} {version} {number}");
            } else {
                assert_ne!(after.standing, Standing::Rejected, "{seed} {version} {number}");
            }
        }
    }
}

/// A part of history that never came is fetched; where history begins for us, it stays.
#[tokio::test(start_paused = true)]
async fn holes_in_the_midst_of_history_are_filled() {
    let ours = Ours::in_room(3, RoomVersion::V11, 4).await;
    for server in ["s0.example", "s1.example"] {
        ours.others.behave(server, Manner::Forgetful);
    }
    let last = ours.rest().into_iter().rev().find(|id| !ours.others.truth.room.events[id].rejected).unwrap();
    let _ = ours.take("s0.example", &[last]).await;
    let missing =
        ours.store.snapshot().unwrap().scan_prefix(&MISSING_PREVS, &(), Order::Ascending, 99).await.unwrap();
    assert!(!missing.is_empty());
    let looked = plan(&ours).await;
    assert!(!looked.holes.is_empty() && looked.plan.steps.is_empty(), "{looked:#?}");
    for server in ["s0.example", "s1.example"] {
        ours.others.behave(server, Manner::Honest);
    }
    let done = repair(&ours).await;
    assert!(done.history > 0 && done.holes.is_empty(), "{done:#?}");
    ours.assert_state("after the hole").await;
    let again = plan(&ours).await;
    assert!(again.holes.is_empty() && again.plan == freehold_rooms::RepairPlan::default(), "{again:#?}");

    let late = Ours::late(3, RoomVersion::V11).await;
    let looked = plan(&late).await;
    assert!(looked.holes.is_empty() && looked.plan == freehold_rooms::RepairPlan::default(), "{looked:#?}");
}
