//! What the machine makes of single events.

use freehold_canonical_json::Object;
use freehold_event::{NewPdu, RoomVersion};
use freehold_room::{Draft, DraftError, Dropped, Room, Shelf, Standing};
use freehold_signing::{KeyId, ServerSigner, SignedPdu, SigningKey, sign_event};
use freehold_testkit::ServerKeys;
use ruma_common::room_version_rules::EventIdFormatVersion;
use ruma_common::{EventId, OwnedRoomId, ServerName, UserId};

use crate::kept::{Kept, Keys};

pub(crate) const ALICE: &str = "@alice:one.example";
pub(crate) const BOB: &str = "@bob:two.example";

fn keys() -> ServerKeys {
    [("one.example".to_owned(), [1; 32]), ("two.example".to_owned(), [2; 32])].into_iter().collect()
}

fn sign(new: NewPdu) -> SignedPdu {
    let server = new.pdu().sender().server_name().to_owned();
    let seed = keys()[server.as_str()];
    let signer = ServerSigner::new(server, KeyId::ed25519("1").unwrap(), SigningKey::from_seed(&seed));
    sign_event(new, &signer).unwrap().complete().unwrap()
}

pub(crate) fn draft(sender: &str, event_type: &str, state_key: Option<&str>, content: &str) -> Draft {
    let content =
        freehold_canonical_json::parse(content.as_bytes(), &freehold_canonical_json::Limits::STRICT);
    Draft {
        event_id: None,
        sender: UserId::parse(sender).unwrap(),
        event_type: event_type.to_owned(),
        state_key: state_key.map(str::to_owned),
        content: content.unwrap().into_object().map(Object::into_owned).unwrap(),
        redacts: None,
        origin_server_ts: 1_700_000_000_000,
    }
}

pub(crate) fn member(sender: &str, target: &str, membership: &str) -> Draft {
    draft(sender, "m.room.member", Some(target), &format!(r#"{{"membership":"{membership}"}}"#))
}

/// A public room that both are in.
pub(crate) fn room(version: &'static RoomVersion) -> Kept {
    room_with(version, "")
}

/// The same, with more members in the content of its create event.
pub(crate) fn room_with(version: &'static RoomVersion, more: &str) -> Kept {
    let content = format!(r#"{{"creator":"{ALICE}","room_version":"{version}"{more}}}"#);
    let create = draft(ALICE, "m.room.create", Some(""), &content);
    let create = with_id(create, version, 0);
    let given = !version.rules().authorization.room_create_event_id_as_room_id;
    let room_id: Option<OwnedRoomId> = given.then(|| OwnedRoomId::try_from("!room:one.example").unwrap());
    let mut kept = Kept::default();
    kept.create(sign(Room::draft_create(create, room_id, version).unwrap()));
    for draft in [
        member(ALICE, ALICE, "join"),
        draft(ALICE, "m.room.join_rules", Some(""), r#"{"join_rule":"public"}"#),
        member(BOB, BOB, "join"),
    ] {
        assert_eq!(say(&mut kept, draft), Standing::Accepted);
    }
    kept
}

/// A draft with an id, in room versions where the author chooses it.
fn with_id(draft: Draft, version: &RoomVersion, number: usize) -> Draft {
    let is_chosen = version.rules().event_id_format == EventIdFormatVersion::V1;
    let id = || EventId::parse(format!("${number}:{}", draft.sender.server_name())).unwrap();
    Draft { event_id: is_chosen.then(id), ..draft }
}

pub(crate) fn drafted(kept: &mut Kept, draft: Draft) -> SignedPdu {
    let room = kept.room.clone().unwrap();
    let draft = with_id(draft, room.version(), kept.events.len());
    let mut shelf = Shelf::new();
    loop {
        match room.draft(draft.clone(), &shelf) {
            Ok(new) => return sign(new),
            Err(DraftError::Stop(stop)) => kept.fulfil(&mut shelf, stop),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn say(kept: &mut Kept, draft: Draft) -> Standing {
    let event = drafted(kept, draft);
    kept.receive(event).unwrap().standing
}

#[test]
fn events_are_made_after_everything_that_is_in_the_room() {
    let mut kept = room(RoomVersion::V12);
    // Two servers speak at the same time.
    let one = drafted(&mut kept, draft(ALICE, "m.room.message", None, r#"{"body":"one"}"#));
    let two = drafted(&mut kept, draft(BOB, "m.room.message", None, r#"{"body":"two"}"#));
    kept.receive(one).unwrap();
    kept.receive(two).unwrap();
    assert_eq!(kept.extremities().len(), 2);
    let next = drafted(&mut kept, draft(BOB, "m.room.message", None, r#"{"body":"three"}"#));
    assert_eq!(next.pdu().prev_events().len(), 2);
    let depth = next.pdu().depth();
    kept.receive(next).unwrap();
    assert_eq!((kept.extremities().len(), depth), (1, 6));
}

#[test]
fn of_a_shelf_that_was_tidied_state_and_the_newest_events_are_left() {
    let mut kept = room(RoomVersion::V12);
    let messages = kept.events.len();
    for body in ["one", "two"] {
        say(&mut kept, draft(BOB, "m.room.message", None, &format!(r#"{{"body":"{body}"}}"#)));
    }
    let mut shelf = Shelf::new();
    kept.events.values().for_each(|event| shelf.put_event(event.clone()));
    shelf.tidy(&kept.room.as_ref().unwrap().forward_extremities());
    let left = kept.events.keys().filter(|number| shelf.event(**number).is_ok());
    let newest = kept.events.keys().next_back();
    assert_eq!(left.collect::<Vec<_>>(), kept.events.keys().take(messages).chain(newest).collect::<Vec<_>>());
}

#[test]
fn what_a_banned_user_said_meanwhile_is_soft_failed_and_continues_nothing() {
    for version in [RoomVersion::V3, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12] {
        let mut kept = room(version);
        let late = drafted(&mut kept, draft(BOB, "m.room.message", None, r#"{"body":"late"}"#));
        assert_eq!(say(&mut kept, member(ALICE, BOB, "ban")), Standing::Accepted);
        let heads = kept.extremities();
        let state = kept.room.as_ref().unwrap().state().root_id();
        assert_eq!(kept.receive(late).unwrap().standing, Standing::SoftFailed);
        assert_eq!(kept.extremities(), heads);
        assert_eq!(kept.room.as_ref().unwrap().state().root_id(), state);
    }
}

#[test]
fn what_the_rules_reject_leaves_the_room_as_it_was() {
    let mut kept = room(RoomVersion::V12);
    let (heads, state) = (kept.extremities(), kept.room.as_ref().unwrap().state().root_id());
    assert_eq!(say(&mut kept, member(BOB, ALICE, "ban")), Standing::Rejected);
    assert_eq!(say(&mut kept, draft(BOB, "m.room.topic", Some(""), "{}")), Standing::Rejected);
    assert_eq!((kept.extremities(), kept.room.as_ref().unwrap().state().root_id()), (heads, state));
}

#[test]
fn an_event_after_unknown_ones_waits_for_them() {
    let mut kept = room(RoomVersion::V12);
    let unknown = drafted(&mut kept, draft(ALICE, "m.room.message", None, r#"{"body":"unknown"}"#));
    let known = kept.room.clone();
    kept.receive(unknown.clone()).unwrap();
    let next = drafted(&mut kept, draft(ALICE, "m.room.message", None, r#"{"body":"next"}"#));
    // As if the first had never come.
    kept.room = known;
    kept.events.retain(|_, event| event.pdu.event_id() != unknown.pdu().event_id());
    assert!(kept.receive(next.clone()).is_none());
    assert_eq!(kept.receive(unknown).unwrap().standing, Standing::Accepted);
    assert_eq!(kept.receive(next).unwrap().standing, Standing::Accepted);
}

#[test]
fn what_is_not_signed_by_its_server_or_is_of_another_room_is_dropped() {
    let mut kept = room(RoomVersion::V12);
    let event = drafted(&mut kept, draft(BOB, "m.room.message", None, r#"{"body":"hello"}"#));
    let room = kept.room.clone().unwrap();
    let (keys, now) = (Keys::of(&keys()), 1_700_000_000_000);
    let json = event.pdu().canonical_json();
    let admit = |json: &str| {
        let pdu = freehold_room::parse(json.as_bytes(), room.version(), room.room_id())?;
        freehold_room::verify(pdu, &keys, now)
    };
    assert!(admit(json).is_ok());
    let other_signer = json.replace("two.example\":{\"ed25519", "one.example\":{\"ed25519");
    assert!(matches!(admit(&other_signer), Err(Dropped::Signature(_))));
    let other_room = json.replace(room.room_id().as_str(), "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert!(matches!(admit(&other_room), Err(Dropped::OtherRoom { .. })));
    assert!(matches!(admit("{}"), Err(Dropped::Format(_))));
}

#[test]
fn an_access_control_list_is_in_force_as_soon_as_it_is_in_the_state() {
    let mut kept = room(RoomVersion::V12);
    let two = ServerName::parse("two.example").unwrap();
    assert!(kept.room.as_ref().unwrap().admits(&two));
    let acl = r#"{"allow":["*"],"deny":["two.example"]}"#;
    assert_eq!(say(&mut kept, draft(ALICE, "m.room.server_acl", Some(""), acl)), Standing::Accepted);
    assert!(!kept.room.as_ref().unwrap().admits(&two));
}
