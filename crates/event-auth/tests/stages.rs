//! The last stage of an event: from signed to authorised, and on to what is shown.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use freehold_canonical_json::{Limits, parse};
use freehold_event::{EventView, Field, Pdu, ProtoEvent, RoomVersion};
use freehold_event_auth::{
    AuthRule, AuthorizedPdu, NamedAuthEvents, PolicyServer, PreparedState, ReceiptCheck, Refusal, SoftFailure,
};
use freehold_signing::{
    KeyId, KeySource, KeyValidity, PublishedKey, ServerSigner, SignedPdu, Signer, SigningKey, sign_event,
    verify_event,
};
use ruma_common::{OwnedEventId, ServerName, UserId};

const ALICE: &str = "@alice:one.org";

fn signer() -> ServerSigner {
    let server = ServerName::parse("one.org").unwrap();
    ServerSigner::new(server, KeyId::parse("ed25519:1").unwrap(), SigningKey::from_seed(&[1; 32]))
}

/// Alice's room of a version in which everything has the events before it as auth events.
struct Room {
    version: &'static RoomVersion,
    events: Vec<SignedPdu>,
}

impl Room {
    fn new(version: &'static RoomVersion) -> Self {
        let mut room = Self { version, events: Vec::new() };
        let create = format!(r#"{{"creator":"{ALICE}","room_version":"{}"}}"#, version.id());
        for (event_type, state_key, content) in [
            ("m.room.create", "", create.as_str()),
            ("m.room.member", ALICE, r#"{"membership":"join"}"#),
            ("m.room.power_levels", "", r#"{"events":{"m.room.topic":75}}"#),
        ] {
            let event = room.signed(event_type, Some(state_key), content);
            room.events.push(event);
        }
        room
    }

    fn signed(&self, event_type: &str, state_key: Option<&str>, content: &str) -> SignedPdu {
        let mut proto = ProtoEvent::new(UserId::parse(ALICE).unwrap(), event_type);
        proto.state_key = state_key.map(str::to_owned);
        proto.content =
            parse(content.as_bytes(), &Limits::STRICT).unwrap().into_object().unwrap().into_owned();
        let hashed_id = self.version.rules().authorization.room_create_event_id_as_room_id;
        proto.room_id = match (self.events.first(), hashed_id) {
            (Some(create), true) => Some(create.pdu().room_id().to_owned()),
            (None, true) => None,
            (_, false) => Some("!room:one.org".try_into().unwrap()),
        };
        let mut cited = self.events.iter().map(SignedPdu::pdu);
        let with_create = self.version.rules().event_format.allow_room_create_in_auth_events;
        proto.auth_events = cited
            .clone()
            .filter(|event| with_create || event.event_type() != "m.room.create")
            .map(Into::into)
            .collect();
        proto.prev_events = cited.next_back().map(Into::into).into_iter().collect();
        proto.depth = 1;
        sign_event(proto.build(self.version).unwrap(), &signer()).unwrap().complete().unwrap()
    }

    fn state(&self) -> PreparedState<OwnedEventId> {
        PreparedState::from_events(self.version, self.events.iter().map(|event| event.pdu().view()))
    }

    fn check(&self, event: SignedPdu) -> Result<AuthorizedPdu, Refusal> {
        self.check_with(event, &self.state(), |_| true)
    }

    fn check_with(
        &self,
        event: SignedPdu,
        state_before: &PreparedState<OwnedEventId>,
        is_given: fn(&Pdu) -> bool,
    ) -> Result<AuthorizedPdu, Refusal> {
        let pdus = || self.events.iter().map(SignedPdu::pdu);
        let cited = pdus().filter(|pdu| event.pdu().auth_events().iter().any(|id| id == pdu.event_id()));
        let auth_events: Vec<_> = cited.filter(|pdu| is_given(pdu)).map(Pdu::view).collect();
        let hashed_id = self.version.rules().authorization.room_create_event_id_as_room_id;
        let create = pdus().next().filter(|_| hashed_id).map(Pdu::view);
        let named = NamedAuthEvents { auth_events: &auth_events, create };
        AuthorizedPdu::check(event, &named, state_before).map_err(|unauthorized| unauthorized.refusal)
    }
}

#[test]
fn event_that_both_states_allow_is_authorised() {
    for version in [RoomVersion::V11, RoomVersion::V12] {
        let room = Room::new(version);
        let message = room.signed("m.room.message", None, "{}");
        let authorized = room.check(message.clone()).unwrap();
        assert_eq!(authorized.pdu(), message.pdu());
        assert_eq!(authorized.check_current(&room.state(), None), Ok(()));
    }
}

/// A server that knows events by numbers of its own; the first join is the event that is looked at
/// by what it names.
#[test]
fn states_and_auth_events_may_be_keyed_by_whatever_the_caller_has() {
    let founding = Room::new(RoomVersion::V11);
    let first = founding.events.first().unwrap().clone();
    let room = Room { version: founding.version, events: vec![first] };
    let create = numbered(room.events[0].pdu(), &7);
    let state = PreparedState::from_events(room.version, [create]);
    let join = |before: &PreparedState<u64>| {
        let event = room.signed("m.room.member", Some(ALICE), r#"{"membership":"join"}"#);
        let named = NamedAuthEvents { auth_events: &[create], create: None };
        AuthorizedPdu::check(event, &named, before).map_err(|unauthorized| unauthorized.refusal)
    };
    assert_eq!(join(&state).unwrap().check_current(&state, None), Ok(()));
    // Another room's create event is not the one that the join follows.
    let other = EventView { event_id: "$other", ..create };
    let Err(Refusal::Denied { check, denial }) = join(&PreparedState::from_events(room.version, [other]))
    else {
        panic!("the join does not follow the create event of this state");
    };
    assert_eq!((check, denial.rule), (ReceiptCheck::StateBefore, AuthRule::JoinNotAllowed));
}

/// What a server with numbers for events sees of one.
fn numbered<'a>(pdu: &'a Pdu, id: &'a u64) -> EventView<'a, u64> {
    pdu.view().with_ids(id, &[], &[])
}

#[test]
fn event_that_its_auth_events_do_not_allow_is_rejected_by_check_4() {
    let room = Room::new(RoomVersion::V11);
    let Err(Refusal::Denied { check, denial }) = room.check(room.signed("m.room.topic", Some(""), "{}"))
    else {
        panic!("Alice has no power: there are power levels that do not name her");
    };
    assert_eq!((check, denial.rule), (ReceiptCheck::AuthEvents, AuthRule::RequiredPower));
    assert_eq!(denial.against.as_deref(), room.events.last().map(|levels| levels.pdu().event_id().as_str()));
}

#[test]
fn event_that_the_state_before_it_does_not_allow_is_rejected_by_check_5() {
    let room = Room::new(RoomVersion::V12);
    let mut before = room.state();
    before.remove("m.room.member", ALICE);
    let message = room.signed("m.room.message", None, "{}");
    let Err(Refusal::Denied { check, denial }) = room.check_with(message, &before, |_| true) else {
        panic!("Alice is not in the room");
    };
    assert_eq!((check, denial.rule), (ReceiptCheck::StateBefore, AuthRule::SenderNotJoined));
}

#[test]
fn nothing_is_authorised_by_other_auth_events_than_it_names() {
    let room = Room::new(RoomVersion::V11);
    let message = room.signed("m.room.message", None, "{}");
    let without_levels = |pdu: &Pdu| pdu.event_type() != "m.room.power_levels";
    let refusal = room.check_with(message, &room.state(), without_levels).unwrap_err();
    assert_eq!(refusal, Refusal::OtherAuthEvents);
}

/// The key of [`signer`], whoever is asked for.
struct OnlyKey(ServerSigner);

impl KeySource for OnlyKey {
    fn key(&self, _: &ServerName, _: &KeyId) -> Option<PublishedKey<'_>> {
        let key = self.0.signing_key().verifying_key();
        Some(PublishedKey { key, validity: KeyValidity::Current { valid_until_ts: i64::MAX } })
    }
}

/// Synapse `_check_size_limits`: dropping such events would cut the history of old rooms off, and
/// accepting them would split rooms.
#[test]
fn event_over_the_limit_in_bytes_is_rejected_in_the_versions_that_do_not_drop_it() {
    let room = Room::new(RoomVersion::V10);
    let fitting = room.signed("org.example", Some("longer"), "{}");
    let json = fitting.pdu().canonical_json().replace("longer", &"é".repeat(128));
    let received = Pdu::parse(json.as_bytes(), room.version).unwrap().check_content_hash();
    let signature = signer().sign(received.pdu().signed_bytes()).to_base64();
    let received = received.with_signature("one.org", "ed25519:1", &signature).unwrap();
    let signed = verify_event(received, &OnlyKey(signer()), 0).unwrap();
    assert_eq!(room.check(signed).unwrap_err(), Refusal::OverByteLimit(Field::StateKey));
}

#[test]
fn nothing_is_authorised_by_as_many_auth_events_or_more_when_they_are_others() {
    let room = Room::new(RoomVersion::V11);
    let message = room.signed("m.room.message", None, "{}");
    let views: Vec<_> = room.events.iter().map(|event| event.pdu().view()).collect();
    let [create, member, levels] = views[..] else { panic!("the room has three events") };
    for auth_events in [[create, member, member].as_slice(), &[create, member, levels, levels]] {
        let named = NamedAuthEvents { auth_events, create: None };
        let unauthorized = AuthorizedPdu::check(message.clone(), &named, &room.state()).unwrap_err();
        assert_eq!(unauthorized.refusal, Refusal::OtherAuthEvents);
    }
}

/// continuwuity 2efe8f2ec and others: events that the current state does not allow were shown.
#[test]
fn event_that_the_current_state_does_not_allow_is_soft_failed() {
    let room = Room::new(RoomVersion::V11);
    let authorized = room.check(room.signed("m.room.message", None, "{}")).unwrap();
    let mut current = room.state();
    current.remove("m.room.member", ALICE);
    let Err(SoftFailure::Denied(denial)) = authorized.check_current(&current, None) else {
        panic!("Alice is not in the room any more");
    };
    assert_eq!(denial.rule, AuthRule::SenderNotJoined);
}

/// continuwuity fdc9aec53, 0f0dcb4f5: the policy server's signature was checked with the wrong key,
/// and only on some events.
#[test]
fn event_without_the_policy_servers_signature_is_soft_failed() {
    let key = SigningKey::from_seed(&[2; 32]);
    let content =
        format!(r#"{{"public_keys":{{"ed25519":"{}"}},"via":"one.org"}}"#, key.verifying_key().to_base64());
    let server = PolicyServer::of_room(&content, [ALICE]).unwrap();
    let room = Room::new(RoomVersion::V11);
    let soft_failure = |event: &SignedPdu| {
        room.check(event.clone()).unwrap().check_current(&room.state(), Some(&server)).err()
    };
    let not_recommended = Some(SoftFailure::NotRecommended { policy_server: "one.org".into() });
    // The key that the server of the same name publishes is not the one that counts.
    let policy = ServerName::parse("one.org").unwrap();
    for event in [
        room.signed("m.room.message", None, "{}"),
        room.signed("m.room.member", Some(ALICE), r#"{"membership":"leave"}"#),
    ] {
        assert_eq!(soft_failure(&event), not_recommended);
        let other = signer().sign(event.pdu().signed_bytes());
        assert_eq!(soft_failure(&event.with_policy_signature(&policy, &other).unwrap()), not_recommended);
        let right = key.sign(event.pdu().signed_bytes());
        assert_eq!(soft_failure(&event.with_policy_signature(&policy, &right).unwrap()), None);
    }
}
