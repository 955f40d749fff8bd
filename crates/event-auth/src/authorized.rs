//! The last stage of a received event: authorised.

use freehold_event::{EventView, Field, Pdu, RoomVersion};
use freehold_signing::SignedPdu;
use ruma_common::OwnedEventId;

use crate::{
    AuthState, Denial, Fact, JoinRule, Membership, NamedAuthEvents, PolicyServer, PowerLevels, PreparedState,
    ReceiptCheck, RoomCreate, ThirdPartyInvite, auth_types_needed, check, check_auth_events,
};

/// An event that passed checks 1 to 5 of the
/// [checks performed on receipt](https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu):
/// well-formed, signed, and allowed by its auth events and by the state before it.
///
/// [`AuthorizedPdu::check`] is the only way to one, for one's own events as for everybody's. Only
/// such an event may be stored as accepted; one that did not get here is stored as rejected, if at
/// all.
#[derive(Clone, Debug)]
pub struct AuthorizedPdu {
    pdu: SignedPdu,
}

impl AuthorizedPdu {
    /// Checks 4 and 5: an event against the events it names in `auth_events`, and against the state
    /// before it.
    ///
    /// Both may know events by whatever key the caller has: the event names others by their event
    /// ids, and every fact and every [`EventView`] says what those are.
    ///
    /// # Errors
    ///
    /// The event comes back, with what is wrong. [`Refusal::Denied`] and [`Refusal::OverByteLimit`]
    /// are [rejections](https://spec.matrix.org/v1.19/server-server-api/#rejection);
    /// [`Refusal::OtherAuthEvents`] is the caller's mistake and says nothing about the event.
    pub fn check<Id: Clone + PartialEq>(
        pdu: SignedPdu,
        named: &NamedAuthEvents<'_, Id>,
        state_before: &impl AuthState,
    ) -> Result<Self, Box<UnauthorizedPdu>> {
        match refusal(pdu.pdu(), named, state_before) {
            None => Ok(Self { pdu }),
            Some(refusal) => Err(Box::new(UnauthorizedPdu { pdu, refusal })),
        }
    }

    /// Checks 6 and 7: the event against the current state of the room, and by its policy server if
    /// it uses one.
    ///
    /// # Errors
    ///
    /// Why the event is [soft-failed](https://spec.matrix.org/v1.19/server-server-api/#soft-failure). It
    /// stays authorised: it is stored and takes part in state resolution.
    pub fn check_current(
        &self,
        current_state: &impl AuthState,
        policy_server: Option<&PolicyServer>,
    ) -> Result<(), SoftFailure> {
        let pdu = self.pdu.pdu();
        check(&pdu.view(), &ByEventId(current_state), pdu.version()).map_err(SoftFailure::Denied)?;
        match policy_server {
            Some(server) if !server.recommends(pdu) => {
                Err(SoftFailure::NotRecommended { policy_server: server.server_name().into() })
            }
            _ => Ok(()),
        }
    }

    /// The event.
    pub fn pdu(&self) -> &Pdu {
        self.pdu.pdu()
    }

    /// The event, back at the stage before.
    pub fn into_signed(self) -> SignedPdu {
        self.pdu
    }
}

/// An event that is not authorised, and why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("event {} is not authorised", .pdu.pdu().event_id())]
pub struct UnauthorizedPdu {
    /// The event.
    pub pdu: SignedPdu,
    /// What is wrong.
    #[source]
    pub refusal: Refusal,
}

/// Why an event is not authorised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A rule rejects the event; its sender's server is at fault.
    #[error("rejected by check {check:?}")]
    Denied {
        /// The check in which the rule was applied: 4 or 5.
        check: ReceiptCheck,
        /// The rule.
        #[source]
        denial: Denial,
    },
    /// A field is too long in bytes, though not in what the room version counts (see
    /// [`Pdu::over_byte_limit`]); its sender's server is at fault.
    #[error("`{0}` is over the limit in bytes")]
    OverByteLimit(Field),
    /// The events given are not the ones that the event names in `auth_events`; the caller is at
    /// fault, who must fetch what is missing before anything can be said.
    #[error("the events given are not the auth events of the event")]
    OtherAuthEvents,
}

/// Why an authorised event is soft-failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SoftFailure {
    /// The current state of the room does not allow it.
    #[error("the current state does not allow the event")]
    Denied(#[source] Denial),
    /// The room's policy server does not recommend it.
    #[error("policy server `{policy_server}` does not recommend the event")]
    NotRecommended {
        /// The server that would have had to sign.
        policy_server: Box<str>,
    },
}

/// Checks 4 and 5 once more, of an event that was checked when it came: what is kept of it is held against what should have come
/// of them. It opens no door: only [`AuthorizedPdu::check`] makes an event an authorised one.
///
/// # Errors
///
/// As those of [`AuthorizedPdu::check`].
pub fn recheck<Id: Clone + PartialEq>(
    pdu: &Pdu,
    named: &NamedAuthEvents<'_, Id>,
    state_before: &impl AuthState,
) -> Result<(), Refusal> {
    refusal(pdu, named, state_before).map_or(Ok(()), Err)
}

fn refusal<Id: Clone + PartialEq>(
    pdu: &Pdu,
    named: &NamedAuthEvents<'_, Id>,
    state_before: &impl AuthState,
) -> Option<Refusal> {
    if let Some(field) = pdu.over_byte_limit() {
        return Some(Refusal::OverByteLimit(field));
    }
    let event = pdu.view();
    let version = pdu.version();
    let is_given = |id: &OwnedEventId| named.auth_events.iter().any(|entry| id == entry.event_id);
    let is_named = |entry: &EventView<'_, Id>| event.auth_events.iter().any(|id| id == entry.event_id);
    if named.auth_events.len() != event.auth_events.len()
        || !event.auth_events.iter().all(is_given)
        || !named.auth_events.iter().all(is_named)
    {
        return Some(Refusal::OtherAuthEvents);
    }
    check_against_both(&event, named, state_before, version)
        .err()
        .map(|(check, denial)| Refusal::Denied { check, denial })
}

/// Check 4, the rules on the list and those on the state that the list makes, and check 5. Mostly that state and the one before
/// the event are the same as far as the rules ask for them, and are asked once.
fn check_against_both<Id: Clone + PartialEq>(
    event: &EventView<'_, OwnedEventId>,
    named: &NamedAuthEvents<'_, Id>,
    state_before: &impl AuthState,
    version: &'static RoomVersion,
) -> Result<(), (ReceiptCheck, Denial)> {
    let by_list = |denial| (ReceiptCheck::AuthEvents, denial);
    check_auth_events(event, named, version).map_err(by_list)?;
    if says_what_they_say(state_before, (event, named), version) {
        return check(event, &ByEventId(state_before), version).map_err(by_list);
    }
    let events = named.auth_events.iter().copied().chain(named.create);
    let state_of_list = PreparedState::from_events(version, events);
    check(event, &ByEventId(&state_of_list), version).map_err(by_list)?;
    check(event, &ByEventId(state_before), version).map_err(|denial| (ReceiptCheck::StateBefore, denial))
}

/// Whether a state has the events that an event names, and no others, wherever the rules look.
fn says_what_they_say<Id>(
    state: &impl AuthState,
    (event, named): (&EventView<'_, OwnedEventId>, &NamedAuthEvents<'_, Id>),
    version: &RoomVersion,
) -> bool {
    let of_list = |(event_type, state_key): (&str, &str)| {
        let mut entries = named.auth_events.iter().chain(&named.create);
        entries.find(|entry| entry.is_state(event_type, state_key)).map(|entry| entry.event_id)
    };
    let of_state = |key: (&str, &str)| match key {
        ("m.room.create", _) => state.create().map(|fact| fact.event_id),
        ("m.room.power_levels", _) => state.power_levels().map(|fact| fact.event_id),
        ("m.room.join_rules", _) => state.join_rule().map(|fact| fact.event_id),
        ("m.room.member", user_id) => state.membership(user_id).map(|fact| fact.event_id),
        (_, token) => state.third_party_invite(token).map(|fact| fact.event_id),
    };
    let needed = auth_types_needed(event, version);
    // Needed in every version, also where events do not name it.
    needed.iter().chain([("m.room.create", "")]).all(|key| of_list(key) == of_state(key))
}

/// A state of the caller's, asked by the event ids that a PDU knows others by.
struct ByEventId<'a, S>(&'a S);

impl<S: AuthState> AuthState for ByEventId<'_, S> {
    type Id = OwnedEventId;

    fn create(&self) -> Option<Fact<'_, &RoomCreate>> {
        self.0.create()
    }

    fn is_create(&self, id: &OwnedEventId) -> bool {
        self.0.create().is_some_and(|create| id == create.event_id)
    }

    fn power_levels(&self) -> Option<Fact<'_, &PowerLevels>> {
        self.0.power_levels()
    }

    fn join_rule(&self) -> Option<Fact<'_, JoinRule>> {
        self.0.join_rule()
    }

    fn membership(&self, user_id: &str) -> Option<Fact<'_, Membership>> {
        self.0.membership(user_id)
    }

    fn third_party_invite(&self, token: &str) -> Option<Fact<'_, ThirdPartyInvite<'_>>> {
        self.0.third_party_invite(token)
    }
}
