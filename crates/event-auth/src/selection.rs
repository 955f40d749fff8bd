//! Which state authorises an event, and the rules on the list of `auth_events`.

use std::borrow::Cow;

use freehold_canonical_json::string_member;
use freehold_event::{EventView, RoomVersion};

use crate::{AuthRule, Denial, content, content::MemberContent, room_create};

/// The longest selection: create, power levels, sender, target, join rules, and one more for a
/// third-party invite or an authorised join.
const SELECTED_MAX: usize = 6;

/// The types and state keys of the state that an event needs for its authorisation, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthTypes<'a> {
    keys: [Option<(&'static str, Cow<'a, str>)>; SELECTED_MAX],
}

impl<'a> AuthTypes<'a> {
    /// The pairs of event type and state key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.keys.iter().flatten().map(|(event_type, state_key)| (*event_type, &**state_key))
    }

    /// Whether the state event with this type and state key is among them.
    pub fn contains(&self, event_type: &str, state_key: &str) -> bool {
        self.position(event_type, state_key).is_some()
    }

    fn position(&self, event_type: &str, state_key: &str) -> Option<usize> {
        self.iter().position(|key| key == (event_type, state_key))
    }

    fn add(&mut self, event_type: &'static str, state_key: impl Into<Cow<'a, str>>) {
        let state_key = state_key.into();
        if self.contains(event_type, &state_key) {
            return;
        }
        if let Some(free) = self.keys.iter_mut().find(|key| key.is_none()) {
            *free = Some((event_type, state_key));
        }
    }
}

/// The [auth events
/// selection](https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection): which state
/// events belong into the `auth_events` of an event, as far as the state has them.
///
/// It is also what [`check`](crate::check) can ask an [`AuthState`](crate::AuthState) for, with one
/// addition: the create event, which room version 12 leaves out of `auth_events`, is needed in every
/// version. A server with a slow store prefetches these and then checks.
///
/// Content that cannot be read selects nothing; whether the event is in order is for the rules to
/// say.
///
/// ```
/// use freehold_event::{EventView, RoomVersion};
/// use freehold_event_auth::auth_types_needed;
///
/// let kick = EventView {
///     id: &"$kick",
///     event_id: "$kick",
///     room_id: Some("!room:example.org"),
///     event_type: "m.room.member",
///     state_key: Some("@bob:example.org"),
///     sender: "@alice:example.org",
///     content: r#"{"membership":"leave"}"#,
///     origin_server_ts: 0,
///     depth: 9,
///     prev_events: &[],
///     auth_events: &[],
///     redacts: None,
///     rejected: false,
/// };
/// let needed = auth_types_needed(&kick, RoomVersion::V11);
/// assert_eq!(needed.iter().collect::<Vec<_>>(), [
///     ("m.room.create", ""),
///     ("m.room.power_levels", ""),
///     ("m.room.member", "@alice:example.org"),
///     ("m.room.member", "@bob:example.org"),
/// ]);
/// ```
pub fn auth_types_needed<'a, Id>(event: &EventView<'a, Id>, version: &RoomVersion) -> AuthTypes<'a> {
    let mut types = AuthTypes::default();
    // "The `auth_events` for the `m.room.create` event in a room is empty".
    if event.event_type == "m.room.create" {
        return types;
    }
    let rules = version.rules();
    // "Depending on the room version, the `m.room.create` event."
    if rules.event_format.allow_room_create_in_auth_events {
        types.add("m.room.create", "");
    }
    // "The current `m.room.power_levels` event, if any."
    types.add("m.room.power_levels", "");
    // "The sender's current `m.room.member` event, if any."
    types.add("m.room.member", event.sender);
    if event.event_type == "m.room.member" {
        add_for_member(&mut types, event, rules.authorization.restricted_join_rule);
    }
    types
}

/// "If type is `m.room.member`".
fn add_for_member<'a, Id>(types: &mut AuthTypes<'a>, event: &EventView<'a, Id>, restricted_joins: bool) {
    // "The target's current `m.room.member` event, if any."
    if let Some(target) = event.state_key {
        types.add("m.room.member", target);
    }
    let member = MemberContent::read(event.content);
    let membership = member.membership.and_then(|membership| membership.as_str());
    // "If `membership` is `join`, `invite` or `knock`, the current `m.room.join_rules` event, if
    // any."
    if matches!(membership.as_deref(), Some("join" | "invite" | "knock")) {
        types.add("m.room.join_rules", "");
    }
    match membership.as_deref() {
        // "If membership is `invite` and `content` contains a `third_party_invite` property, the
        // current `m.room.third_party_invite` event with `state_key` matching
        // `content.third_party_invite.signed.token`, if any."
        Some("invite") => {
            let signed =
                member.third_party_invite.and_then(|invite| content::raw_member(invite.text(), "signed"));
            let token = signed.and_then(|signed| string_member(signed.text(), "token"));
            if let Some(token) = token {
                types.add("m.room.third_party_invite", token);
            }
        }
        // "If `membership` is `join`, `content.join_authorised_via_users_server` is present, and
        // the room version supports restricted rooms, then the `m.room.member` event with
        // `state_key` matching `content.join_authorised_via_users_server`."
        Some("join") if restricted_joins => {
            let authoriser = member.join_authorised_via_users_server.and_then(|user| user.as_str());
            if let Some(authoriser) = authoriser {
                types.add("m.room.member", authoriser);
            }
        }
        _ => {}
    }
}

/// The events that an event names as its authorisation.
#[derive(Debug)]
pub struct NamedAuthEvents<'a, Id> {
    /// The event of each entry of `auth_events`; fetch what is missing first.
    pub auth_events: &'a [EventView<'a, Id>],
    /// The event whose event id is the room id with the sigil `$`, where the room version makes
    /// room ids so (12); `None` when there is no such event, and in earlier versions.
    pub create: Option<EventView<'a, Id>>,
}

impl<Id> Clone for NamedAuthEvents<'_, Id> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Id> Copy for NamedAuthEvents<'_, Id> {}

/// Checks the rules that look at the event and the list of its `auth_events`: rule 1 for a create
/// event, and for others rule 2 (2 and 3 in room version 12).
///
/// They do not depend on the room's state, and so are checked once, on receipt; state resolution
/// has no need of them. No key of an event is looked at, so that those of the event and of its
/// `auth_events` may be of different kinds.
///
/// # Errors
///
/// The first rule that rejects the event, and the auth event it concerns.
pub fn check_auth_events<Id, AuthId>(
    event: &EventView<'_, Id>,
    named: &NamedAuthEvents<'_, AuthId>,
    version: &'static RoomVersion,
) -> Result<(), Denial> {
    if event.event_type == "m.room.create" {
        return room_create::check_create(event, version);
    }
    let rules = &version.rules().authorization;
    let deny = |rule, against| Err(Denial::new(rule, version, against));
    // 2 [12] "If the event's `room_id` is not an event ID for an accepted (not rejected)
    // `m.room.create` event, with the sigil `!` instead of `$`, reject."
    if rules.room_create_event_id_as_room_id && !is_accepted_create(event, named.create.as_ref()) {
        let against = named.create.map(|create| create.event_id);
        return deny(AuthRule::RoomIdNotCreateEvent, against);
    }
    check_entries(event, named.auth_events, version)?;
    let mut entries = named.auth_events.iter();
    // 2.3 "If there are entries which were themselves rejected […], reject."
    if let Some(rejected) = entries.clone().find(|entry| entry.rejected) {
        return deny(AuthRule::AuthEventsRejected, Some(rejected.event_id));
    }
    // 2.4 [1-11] "If there is no `m.room.create` event among the entries, reject."
    if !rules.room_create_event_id_as_room_id
        && !entries.clone().any(|entry| entry.event_type == "m.room.create")
    {
        return deny(AuthRule::AuthEventsWithoutCreate, None);
    }
    // 2.5 "If any event in `auth_events` has a `room_id` which does not match that of the event
    // being authorised, reject."
    match entries.find(|entry| entry.room_id.is_none() || entry.room_id != event.room_id) {
        Some(stranger) => deny(AuthRule::AuthEventsOtherRoom, Some(stranger.event_id)),
        None => Ok(()),
    }
}

fn is_accepted_create<Id, AuthId>(event: &EventView<'_, Id>, create: Option<&EventView<'_, AuthId>>) -> bool {
    let Some(create) = create else {
        return false;
    };
    let reference = event.room_id.and_then(|room_id| room_id.strip_prefix('!'));
    reference.is_some()
        && reference == create.event_id.strip_prefix('$')
        && create.event_type == "m.room.create"
        && !create.rejected
}

/// 2.1 and 2.2. An entry that was not selected counts as such even when it is there twice.
fn check_entries<Id, AuthId>(
    event: &EventView<'_, Id>,
    auth_events: &[EventView<'_, AuthId>],
    version: &'static RoomVersion,
) -> Result<(), Denial> {
    let needed = auth_types_needed(event, version);
    let mut seen = [false; SELECTED_MAX];
    let mut not_selected = None;
    for entry in auth_events {
        let position = entry.state_key.and_then(|state_key| needed.position(entry.event_type, state_key));
        match position.and_then(|position| seen.get_mut(position)) {
            // 2.1 "If there are duplicate entries for a given `type` and `state_key` pair, reject."
            Some(true) => {
                let against = Some(entry.event_id);
                return Err(Denial::new(AuthRule::AuthEventsDuplicate, version, against));
            }
            Some(seen) => *seen = true,
            None => not_selected = not_selected.or(Some(entry)),
        }
    }
    // 2.2 "If there are entries whose `type` and `state_key` don't match those specified by the
    // auth events selection algorithm […], reject."
    match not_selected {
        Some(entry) => {
            let against = Some(entry.event_id);
            Err(Denial::new(AuthRule::AuthEventsNotSelected, version, against))
        }
        None => Ok(()),
    }
}
