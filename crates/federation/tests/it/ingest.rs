//! Events that others bring, with what is missing for them, from neighbours of every kind.

use freehold_event::RoomVersion;
use freehold_federation::{TakeError, Taken};
use freehold_rooms::{ResolveBudget, RoomsSettings};
use freehold_store::Batch;
use freehold_store::tables::rooms::{CURRENT_STATE, MISSING_PREVS};
use freehold_testkit::Rng;
use ruma_common::EventId;

use crate::neighbourhood::{Manner, Ours};

const VERSIONS: [&RoomVersion; 4] = [RoomVersion::V1, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12];

/// The last event that nobody rejects.
fn last(ours: &Ours) -> String {
    let events = &ours.others.truth.room.events;
    ours.rest().into_iter().rev().find(|id| !events[id].rejected).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_lies_between_is_fetched_and_its_state_derived_here() {
    for version in VERSIONS {
        let ours = Ours::in_room(3, version, 4).await;
        let last = last(&ours);
        let taken = ours.take("s0.example", std::slice::from_ref(&last)).await;
        assert!(matches!(taken[0].1, Ok(Taken::Accepted | Taken::Refused(_))), "{version}: {taken:?}");
        assert_eq!(taken[0].0.as_ref().unwrap().as_str(), last);
        assert!(ours.others.asked("missing_events") > 0);
        assert_eq!(ours.others.asked("state_ids"), 0, "{version}: the state is derived");
        ours.assert_state(version.id()).await;
        // The same once more is known, and nobody is asked.
        let asked = ours.others.asked.lock().unwrap().len();
        let again = ours.take("s1.example", &[last]).await;
        assert!(matches!(again[0].1, Ok(Taken::Known)));
        assert_eq!(ours.others.asked.lock().unwrap().len(), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_has_what_lies_between_the_state_is_asked_for() {
    for version in VERSIONS {
        let ours = Ours::in_room(3, version, 4).await;
        for server in ["s0.example", "s1.example"] {
            ours.others.behave(server, Manner::Forgetful);
        }
        let last = last(&ours);
        let taken = ours.take("s0.example", &[last]).await;
        assert!(matches!(taken[0].1, Ok(Taken::Accepted | Taken::Refused(_))), "{version}: {taken:?}");
        assert!(ours.others.asked("state_ids") > 0);
        ours.assert_state(version.id()).await;
    }
}

/// Whoever brings the event lies or is silent, and another one helps.
#[tokio::test(start_paused = true)]
async fn liars_and_the_silent_keep_nobody_from_the_truth() {
    for manner in [Manner::Lies, Manner::Silent, Manner::Refuses] {
        for version in VERSIONS {
            let ours = Ours::in_room(7, version, 2).await;
            ours.others.behave("s0.example", manner);
            let last = last(&ours);
            let taken = ours.take("s0.example", &[last]).await;
            assert!(
                matches!(taken[0].1, Ok(Taken::Accepted | Taken::Refused(_))),
                "{manner:?} {version}: {taken:?}"
            );
            ours.assert_state(&format!("{manner:?} {version}")).await;
            // Nothing of what liars say came in. In version 1 both rooms use the same ids.
            if version == RoomVersion::V1 {
                continue;
            }
            let other = &ours.others.other;
            let reader = ours.rooms.reader().unwrap();
            for id in other.room.order.iter().take(10) {
                let id = ruma_common::EventId::parse(id.as_str()).unwrap();
                let unknown = reader.unknown_events(ours.number().await, &[id]).await.unwrap();
                assert_eq!(unknown.len(), 1, "{manner:?} {version}");
            }
        }
    }
}

/// Each event of theirs would otherwise have us fetch, verify and keep half a million.
#[tokio::test(start_paused = true)]
async fn a_state_with_many_more_events_than_the_room_has_here_is_not_asked_for() {
    let ours = Ours::in_room(3, RoomVersion::V11, 4).await;
    for server in ["s0.example", "s1.example"] {
        ours.others.behave(server, Manner::Swells);
    }
    let last = vec![last(&ours)];
    let taken = ours.take("s0.example", &last).await;
    assert!(matches!(taken[0].1, Err(TakeError::Missing(_))), "{taken:?}");
    assert!(ours.others.asked("state_ids") > 0);
    assert_eq!((ours.others.asked("state"), ours.others.asked("event")), (0, 0));
    // Another server may say how it is.
    ours.others.behave("s1.example", Manner::Forgetful);
    let taken = ours.take("s1.example", &last).await;
    assert!(matches!(taken[0].1, Ok(Taken::Accepted | Taken::Refused(_))), "{taken:?}");
    ours.assert_state("after a state that swelled").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_search_was_in_vain_waits_and_others_do_not() {
    let ours = Ours::in_room(3, RoomVersion::V11, 4).await;
    for server in ["s0.example", "s1.example"] {
        ours.others.behave(server, Manner::Refuses);
    }
    let last = vec![last(&ours)];
    let taken = ours.take("s0.example", &last).await;
    assert!(matches!(taken[0].1, Err(TakeError::Missing(_))), "{taken:?}");
    let asked = ours.others.asked.lock().unwrap().len();
    let taken = ours.take("s0.example", &last).await;
    assert!(matches!(taken[0].1, Err(TakeError::Waiting)), "{taken:?}");
    assert_eq!(ours.others.asked.lock().unwrap().len(), asked);
    for server in ["s0.example", "s1.example"] {
        ours.others.behave(server, Manner::Honest);
    }
    let taken = ours.take("s1.example", &last).await;
    assert!(taken[0].1.is_ok(), "{taken:?}");
}

/// A disk that is full for a moment is no fault of the server that brings an event: it is to send it again, and not to wait.
#[tokio::test(start_paused = true)]
async fn a_fault_here_is_not_told_as_one_of_the_event_and_nobody_is_blamed() {
    let ours = Ours::in_room(3, RoomVersion::V11, 4).await;
    let last = vec![last(&ours)];
    ours.is_full.store(true, std::sync::atomic::Ordering::Relaxed);
    let taken = ours.take("s0.example", &last).await;
    assert!(matches!(taken[0].1, Err(TakeError::Here(_))), "{taken:?}");
    assert!(ours.others.asked("missing_events") > 0, "it was about to come in");
    ours.is_full.store(false, std::sync::atomic::Ordering::Relaxed);
    let taken = ours.take("s0.example", &last).await;
    assert!(matches!(taken[0].1, Ok(Taken::Accepted | Taken::Refused(_))), "{taken:?}");
    ours.assert_state("after a full disk").await;
}

/// Otherwise whoever quarrels long enough would have everybody in the room do as much work as they like. Events whose forks
/// take more are not taken for now, who brings them waits, and the room goes on without; once more is allowed they come in.
#[tokio::test(start_paused = true)]
async fn forks_that_take_more_work_than_is_allowed_stay_out_and_the_room_goes_on() {
    const NOTHING: ResolveBudget = ResolveBudget { events: 0, auth_edges: 0, sort_steps: 0, auth_checks: 0 };
    let mut taken = 0;
    for version in VERSIONS {
        let mut ours = Ours::in_room(3, version, 4).await;
        ours.start_again(NOTHING);
        let rest = ours.rest();
        let mut over = 0;
        for some in rest.chunks(50) {
            for (id, done) in ours.take("s0.example", some).await {
                match done {
                    Ok(_) if over > 0 => taken += 1,
                    Ok(_) => {}
                    Err(TakeError::Here(error)) if format!("{error:?}").contains("OverBudget") => over += 1,
                    // The last search came to nothing; so the same work is not done over and over.
                    Err(TakeError::Waiting) => {}
                    Err(error) => panic!("{version}: {id:?}: {error:?}"),
                }
            }
        }
        assert!(over > 0, "{version}: nothing was over the budget");
        ours.assert_state(&format!("{version}: nothing was resolved")).await;
        ours.start_again(RoomsSettings::default().resolve_budget);
        for some in rest.chunks(50) {
            for (id, done) in ours.take("s1.example", some).await {
                assert!(done.is_ok(), "{version}: {id:?}: {done:?}");
            }
        }
        ours.assert_state(&format!("{version}: all was resolved")).await;
    }
    assert!(taken > 0, "the rooms did not go on");
}

/// Otherwise whoever brings the same event to two tenants would see that they share a process.
#[tokio::test(start_paused = true)]
async fn an_event_that_was_refused_is_not_told_to_be_accepted_when_it_comes_again() {
    let mut refused = 0;
    for seed in [3, 7] {
        let ours = Ours::in_room(seed, RoomVersion::V11, 0).await;
        for some in ours.rest().chunks(50) {
            let first = ours.take("s0.example", some).await;
            let again = ours.take("s1.example", some).await;
            for ((id, first), (_, again)) in first.iter().zip(&again) {
                match first {
                    Ok(Taken::Accepted) => assert!(matches!(again, Ok(Taken::Known)), "{id:?}: {again:?}"),
                    Ok(Taken::Refused(_)) => {
                        refused += 1;
                        assert!(matches!(again, Ok(Taken::RefusedBefore)), "{id:?}: {again:?}");
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(refused > 0);
}

/// synapse#7543: one bad event failed a whole transaction.
#[tokio::test(start_paused = true)]
async fn synapse_7543_one_bad_event_fails_no_other() {
    let ours = Ours::in_room(3, RoomVersion::V11, 4).await;
    let truth = &ours.others.truth;
    let good: Vec<String> = ours.rest();
    let bad = [
        "{}".to_owned(),
        "not JSON".to_owned(),
        ours.others.other.json(&ours.others.other.room.order[3]),
        truth.json(&good[0]).replace("\"depth\":", "\"depth\":9"),
    ];
    let mut texts = Vec::new();
    for (place, id) in good.iter().enumerate() {
        texts.push(bad[place % bad.len()].clone());
        texts.push(truth.json(id));
    }
    texts.truncate(50);
    let taken = ours.take_texts("s0.example", texts).await;
    for (place, (id, done)) in taken.iter().enumerate() {
        match place % 2 {
            0 => assert!(matches!(done, Err(TakeError::Dropped(_))), "{place} {id:?}: {done:?}"),
            _ => assert!(done.is_ok(), "{place} {id:?}: {done:?}"),
        }
    }
    ours.assert_state("after bad events").await;
}

#[tokio::test(start_paused = true)]
async fn too_many_events_and_strangers_and_rooms_of_nobody_are_refused() {
    let ours = Ours::in_room(3, RoomVersion::V11, 4).await;
    let first = ours.others.truth.json(&ours.rest()[0]);
    let taken = ours.take_texts("s0.example", vec![first.clone(); 60]).await;
    assert_eq!(taken.iter().filter(|(_, done)| matches!(done, Err(TakeError::TooMany))).count(), 10);
    let stranger = freehold_store::Tenant::new(
        freehold_store::TenantNumber(9),
        ruma_common::ServerName::parse("stranger.example").unwrap(),
    );
    let origin = ruma_common::ServerName::parse("s0.example").unwrap();
    let room_id = &ours.others.truth.room_id;
    // A tenant that is not in the room knows of none, whoever else here is in it.
    let taken = ours.ingest.take(&stranger, &origin, room_id, vec![first.clone()]).await;
    let other_room = &ours.others.other.room_id;
    let unknown = ours.ingest.take(&ours.tenant, &origin, other_room, vec![first]).await;
    assert!(matches!(taken[0].1, Err(TakeError::UnknownRoom)), "{taken:?}");
    assert!(matches!(unknown[0].1, Err(TakeError::UnknownRoom)), "{unknown:?}");
}

#[tokio::test(start_paused = true)]
async fn rooms_agree_whoever_brings_what_and_in_whatever_order() {
    let mut agreed = 0;
    for seed in 50..62 {
        let version = VERSIONS[(seed % 4) as usize];
        let ours = Ours::in_room(seed, version, 0).await;
        let mut rng = Rng::new(seed);
        let mut rest = ours.rest();
        rng.shuffle(&mut rest);
        for (place, id) in rest.iter().enumerate() {
            let manners = [Manner::Honest, Manner::Forgetful, Manner::Lies, Manner::Silent];
            let (liar, honest) =
                if place % 2 == 0 { ("s0.example", "s1.example") } else { ("s1.example", "s0.example") };
            ours.others.behave(liar, *rng.pick(&manners).unwrap());
            ours.others.behave(honest, Manner::Honest);
            let _ = ours.take(honest, std::slice::from_ref(id)).await;
        }
        ours.others.behave("s0.example", Manner::Honest);
        ours.others.behave("s1.example", Manner::Honest);
        ours.pass(3_600_000);
        let taken = ours.take("s0.example", &ours.rest()).await;
        let _ = ours.take("s1.example", &ours.rest()).await;
        // The tenant's last user may have left the room meanwhile, or been banned.
        if matches!(taken[0].1, Err(TakeError::UnknownRoom)) {
            continue;
        }
        agreed += 1;
        let unknown: Vec<_> =
            ours.rest().iter().map(|id| ruma_common::EventId::parse(id.as_str()).unwrap()).collect();
        let reader = ours.rooms.reader().unwrap();
        assert_eq!(
            reader.unknown_events(ours.number().await, &unknown).await.unwrap(),
            [] as [ruma_common::OwnedEventId; 0]
        );
        ours.assert_state(&format!("seed {seed}, {version}")).await;
    }
    assert!(agreed > 4, "{agreed}");
}

#[tokio::test(start_paused = true)]
async fn history_is_fetched_page_by_page_until_there_is_no_more() {
    for version in VERSIONS {
        let ours = Ours::late(3, version).await;
        ours.others.behave("s0.example", Manner::Lies);
        let before = ours.timeline().await;
        ours.assert_state(version.id()).await;
        let mut pages = 0;
        while ours.ingest.backfill(&ours.tenant, &ours.others.truth.room_id).await.unwrap_or(0) > 0 {
            pages += 1;
            assert!(pages < 30);
        }
        assert!(pages > 1, "{version}");
        let after = ours.timeline().await;
        assert!(after.ends_with(&before));
        // Whatever precedes what is here and was not rejected is shown, and the room begins with its beginning.
        assert_eq!(after[0], ours.others.truth.room.create_event_id);
        ours.assert_state(version.id()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_absence_rooms_are_asked_what_was_missed() {
    let ours = Ours::in_room(3, RoomVersion::V12, 4).await;
    ours.others.behave("s0.example", Manner::Silent);
    let caught = ours.ingest.catch_up().await;
    assert_eq!((caught.rooms, caught.missed, caught.unanswered), (1, 1, 0));
    ours.assert_state("after an absence").await;
    assert_eq!(ours.ingest.catch_up().await.missed, 0);
}

/// One server that lags behind, or keeps from us what happened, is not all there is to ask.
#[tokio::test(start_paused = true)]
async fn after_an_absence_no_single_server_is_relied_on() {
    for liar in ["s0.example", "s1.example"] {
        let ours = Ours::in_room(3, RoomVersion::V12, 4).await;
        ours.others.behave(liar, Manner::Behind);
        let caught = ours.ingest.catch_up().await;
        assert_eq!((caught.rooms, caught.missed, caught.unanswered), (1, 1, 0), "{liar}");
        ours.assert_state(liar).await;
    }
}

/// Whoever waits behind others is not blamed for their slowness.
#[tokio::test(start_paused = true)]
async fn a_server_that_waits_behind_slow_ones_is_not_blamed_for_them() {
    let ours = Ours::in_room(3, RoomVersion::V11, 4).await;
    let last = vec![last(&ours)];
    for server in ["s0.example", "s1.example"] {
        ours.others.behave(server, Manner::Silent);
    }
    let later = async |ms: u64, origin: &str| {
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
        ours.take(origin, &last).await
    };
    let recovers = async {
        tokio::time::sleep(std::time::Duration::from_millis(5_000)).await;
        ours.others.behave("s1.example", Manner::Honest);
    };
    let (.., taken, ()) =
        tokio::join!(later(0, "s0.example"), later(100, "s0.example"), later(200, "s1.example"), recovers);
    assert!(matches!(taken[0].1, Ok(Taken::Accepted | Taken::Refused(_))), "{taken:?}");
    ours.assert_state("behind slow ones").await;
}

/// Of the auth chain of an event in a large room nearly everything is known mostly.
#[tokio::test(start_paused = true)]
async fn an_auth_chain_may_be_longer_than_what_is_fetched_if_most_of_it_is_known() {
    let ours = Ours::late(3, RoomVersion::V11).await;
    for server in ["s0.example", "s1.example"] {
        ours.others.behave(server, Manner::Verbose);
    }
    for _ in 0..30 {
        let _ = ours.ingest.backfill(&ours.tenant, &ours.others.truth.room_id).await;
    }
    assert!(ours.others.asked("event_auth") > 0);
    assert_eq!(ours.timeline().await[0], ours.others.truth.room.create_event_id);
}

/// CVE-2026-45076 in effect: an event that names others which never were stopped the history of a room.
#[tokio::test(start_paused = true)]
async fn cve_2026_45076_events_that_never_were_stop_no_history() {
    let ours = Ours::late(3, RoomVersion::V11).await;
    let room = ours.number().await;
    let snapshot = ours.store.snapshot().unwrap();
    let row = snapshot.get(&CURRENT_STATE, &room).await.unwrap().unwrap();
    let mut batch = Batch::new();
    for number in 0..90 {
        let invented = EventId::parse(format!("$!invented{number:02}")).unwrap();
        batch.put(&MISSING_PREVS, &(room, invented, row.forward_extremities[0]), &());
    }
    ours.store.commit(batch).await.unwrap();
    for _ in 0..30 {
        let _ = ours.ingest.backfill(&ours.tenant, &ours.others.truth.room_id).await;
    }
    assert_eq!(ours.timeline().await[0], ours.others.truth.room.create_event_id);
    // What nobody has is still asked for, and nothing else.
    let asked = ours.others.asked("backfill");
    assert_eq!(ours.ingest.backfill(&ours.tenant, &ours.others.truth.room_id).await.unwrap_or(0), 0);
    assert!(ours.others.asked("backfill") > asked);
}
