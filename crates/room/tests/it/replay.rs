//! Generated rooms, event by event through the machine and through the naive twin.

use freehold_event::RoomVersion;
use freehold_room::{Room, Standing};
use freehold_signing::{SignedPdu, verify_event};
use freehold_testkit::{GenerateConfig, Sealing, StateMap, generate, twin};

use crate::kept::{Kept, Keys};

fn signed(room: &freehold_testkit::Room, event_id: &str, keys: &Keys) -> SignedPdu {
    let json = room.events[event_id].pdu.as_ref().unwrap();
    let pdu = freehold_event::RawPdu::new(json.as_bytes())
        .parse_with(room.version, freehold_event::ReferenceLimits::BACKFILL)
        .unwrap();
    verify_event(pdu.check_content_hash(), keys, i64::MAX / 2).unwrap()
}

/// The state before each event, each verdict, and the state at the end are the twin's.
fn replay(seed: u64, version: &'static RoomVersion) -> usize {
    let config =
        GenerateConfig { version: Some(version), sealing: Sealing::Signed, ..GenerateConfig::default() };
    let room = generate(seed, &config);
    let keys = Keys::of(&room.keys);
    let differences = twin::Differences::of(version.id()).unwrap();
    let mut kept = Kept::default();
    kept.create(signed(&room, &room.create_event_id, &keys));
    for id in room.order.iter().filter(|id| **id != room.create_event_id) {
        let event = kept.receive(signed(&room, id, &keys)).unwrap();
        let expected = &room.events[id];
        assert_eq!(event.standing == Standing::Rejected, expected.rejected, "{version} seed {seed}: {id}");
        let before: Vec<StateMap> = expected.prev_events.iter().map(|id| room.states[id].clone()).collect();
        let before = twin::resolve(&differences, &before, &room.events).state;
        assert_eq!(kept.state(event.state_before.unwrap()), before, "{version} seed {seed}: before {id}");
    }
    let heads: Vec<StateMap> = kept.extremities().iter().map(|id| room.states[id].clone()).collect();
    let expected = twin::resolve(&differences, &heads, &room.events).state;
    let current = kept.room.as_ref().map(Room::state).unwrap();
    assert_eq!(kept.state(current.root_id()), expected, "{version} seed {seed}: at the end");
    kept.asked
}

#[test]
fn rooms_of_every_version_go_as_the_naive_twin_says() {
    for version in RoomVersion::ALL {
        for seed in 0..3 {
            let asked = replay(seed, version);
            assert!(asked > 0, "the machine got along with an empty shelf");
        }
    }
}
