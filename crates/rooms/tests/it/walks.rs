//! What servers are given that walk back through a room: past rejected events, and not into outliers.

use freehold_event::{Pdu, RoomVersion};
use freehold_room::Refused;
use freehold_rooms::{Delivery, Identities, Incoming, MissingEvents, NotShown, PastEvent, ServerView};
use freehold_store::Actor;
use ruma_common::{OwnedEventId, OwnedRoomId, ServerName};
use serde_json::json;

use crate::going_out::{SPEAKS, far_event, far_keys, receive, visited_room};
use crate::hosted::World;

const SERVERS: [&str; 2] = ["one.example", "two.example"];

fn pdu(json: &[u8]) -> Pdu {
    Pdu::parse(json, RoomVersion::V12).unwrap()
}

/// What the server elsewhere is told of the room by the first tenant.
async fn told(world: &World, room: &OwnedRoomId) -> ServerView {
    let tenant = world.hosted.tenant(&ServerName::parse("one.example").unwrap()).unwrap();
    let far = ServerName::parse("far.example").unwrap();
    world.reader().for_server(&tenant, &far, room).await.unwrap()
}

/// Something was said, and then so many rejected events came in a chain, of which one that is accepted follows the last.
async fn after_a_page_of_rejected_ones(world: &World, count: usize) -> (Actor, OwnedRoomId, OwnedEventId) {
    let (alice, _, room) = visited_room(world).await;
    world.say(&alice, &room, "before").await;
    let mut last = world.timeline(&room).await.pop().unwrap().pdu.clone();
    for place in 0..count {
        let name = json!({ "name": format!("{place}") });
        let named = far_event(world, (&[&last], &SPEAKS), ("m.room.name", Some("")), name).await;
        let received = receive(world, &room, &named).await;
        assert!(matches!(received, Incoming::Kept(Some(Refused::Rejected(_)))), "{received:?}");
        last = pdu(&named);
    }
    let said = far_event(world, (&[&last], &SPEAKS), ("m.room.message", None), json!({ "body": "x" })).await;
    assert!(matches!(receive(world, &room, &said).await, Incoming::Kept(None)));
    let after = world.say(&alice, &room, "after").await;
    (alice, room, after)
}

/// CVE-2026-45076: a page of rejected events was the end of the history.
#[tokio::test]
async fn cve_2026_45076_a_page_of_rejected_events_hides_nothing_from_other_servers() {
    let world = World::new(&SERVERS).await;
    let (_, room, after) = after_a_page_of_rejected_ones(&world, 50).await;
    let view = told(&world, &room).await;
    let wanted = MissingEvents {
        earliest_events: Vec::new(),
        latest_events: vec![after.clone()],
        limit: 5,
        min_depth: 0,
    };
    for events in [view.backfill(&[after], 5).await.unwrap(), view.missing_events(&wanted).await.unwrap()] {
        assert_eq!(events.len(), 5);
        assert!(events.iter().any(|event| event.contains("\"before\"")), "{events:?}");
        assert!(events.iter().all(|event| !event.contains("m.room.name")), "{events:?}");
    }
}

/// continuwuity 0.5.4: an outlier could be seen by other servers for a moment, because nothing was known against it.
#[tokio::test]
async fn continuwuity_0_5_4_what_is_said_in_an_outlier_is_shown_to_nobody_before_its_place_is_known() {
    let world = World::new(&SERVERS).await;
    let (alice, _, room) = visited_room(&world).await;
    let last = world.timeline(&room).await.pop().unwrap();
    let first =
        far_event(&world, (&[&last.pdu], &SPEAKS), ("m.room.message", None), json!({ "body": "1" })).await;
    let second =
        far_event(&world, (&[&pdu(&first)], &SPEAKS), ("m.room.message", None), json!({ "body": "2" })).await;
    let kept = world.rooms.receive_outliers(&room, &[&second], &far_keys()).await.unwrap();
    assert!(matches!(kept[..], [Incoming::Kept(None)]), "{kept:?}");
    let outlier = pdu(&second).event_id().to_owned();
    let view = told(&world, &room).await;
    let unknown = |refused: Result<(), NotShown>| matches!(refused, Err(NotShown::UnknownEvent(_)));
    assert!(unknown(view.event(&outlier).await.map(drop)));
    assert!(unknown(view.state_before(&outlier).await.map(drop)));
    assert_eq!(view.backfill(std::slice::from_ref(&outlier), 10).await.unwrap(), [""; 0]);
    let wanted = MissingEvents {
        earliest_events: Vec::new(),
        latest_events: vec![outlier.clone()],
        limit: 10,
        min_depth: 0,
    };
    assert_eq!(view.missing_events(&wanted).await.unwrap(), [""; 0]);
    assert_eq!(world.visible_bodies(&alice, &room).await, [""; 0]);
    // Once it has its place, it is an event like others.
    for event in [&first, &second] {
        assert!(matches!(receive(&world, &room, event).await, Incoming::Kept(None)));
    }
    assert!(told(&world, &room).await.event(&outlier).await.is_ok());
    assert_eq!(world.visible_bodies(&alice, &room).await, ["1", "2"]);
}

/// The same for history that is fetched: behind a rejected event nothing was looked for any more.
#[tokio::test]
async fn cve_2026_45076_history_goes_on_behind_a_rejected_event() {
    let world = World::new(&SERVERS).await;
    let (alice, _, room) = visited_room(&world).await;
    let last = world.timeline(&room).await.pop().unwrap();
    let said = |text: &str| json!({ "body": text });
    let old = far_event(&world, (&[&last.pdu], &SPEAKS), ("m.room.message", None), said("old")).await;
    let named = ("m.room.name", Some(""));
    let rejected = far_event(&world, (&[&pdu(&old)], &SPEAKS), named, json!({ "name": "x" })).await;
    let new = far_event(&world, (&[&pdu(&rejected)], &SPEAKS), ("m.room.message", None), said("new")).await;
    let number = world.number(&room).await;
    let state = world.reader().current_state(number).await.unwrap().events().await.unwrap();
    let state: Vec<OwnedEventId> = state.iter().map(|event| event.pdu.event_id().to_owned()).collect();
    let given = Delivery { json: &new, state: Some(&state), policy: None };
    let kept = world.rooms.deliver(&room, given, &far_keys()).await.unwrap();
    assert!(matches!(kept, Incoming::Kept(None)), "{kept:?}");
    let missing = async || {
        let missing = world.reader().missing_prev_events(number, 10).await.unwrap();
        missing.into_iter().map(|(event_id, _)| event_id).collect::<Vec<_>>()
    };
    assert_eq!(missing().await, [pdu(&rejected).event_id()]);
    let past = [PastEvent { json: &rejected, state: Some(&state) }];
    let kept = world.rooms.receive_backfilled(&room, &past, &far_keys()).await.unwrap();
    assert!(matches!(kept[..], [Incoming::Kept(Some(Refused::Rejected(_)))]), "{kept:?}");
    assert_eq!(missing().await, [pdu(&old).event_id()]);
    let past = [PastEvent { json: &old, state: None }];
    let kept = world.rooms.receive_backfilled(&room, &past, &far_keys()).await.unwrap();
    assert!(matches!(kept[..], [Incoming::Kept(None)]), "{kept:?}");
    assert_eq!(world.visible_bodies(&alice, &room).await, ["old", "new"]);
}
