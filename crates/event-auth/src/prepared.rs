//! The ready-made [`AuthState`]: built from events, kept and reused.

use std::{collections::BTreeMap, sync::Arc};

use freehold_event::{EventView, RoomVersion};

use crate::{AuthState, Fact, JoinRule, Membership, PowerLevels, RoomCreate, ThirdPartyInvite};

/// The authorisation facts of a state, read from its events once.
///
/// It owns what it needs and borrows nothing, so that a server can keep one per room and bring it
/// up to date with [`PreparedState::insert`] as state changes. Cloning shares the parsed power
/// levels and create event.
///
/// Give it the events that [`auth_types_needed`](crate::auth_types_needed) asks for, or more.
///
/// ```
/// use freehold_event::{EventView, RoomVersion};
/// use freehold_event_auth::{AuthState, Membership, PreparedState};
///
/// let member = EventView {
///     id: &"$alice",
///     event_id: "$alice",
///     room_id: Some("!room:example.org"),
///     event_type: "m.room.member",
///     state_key: Some("@alice:example.org"),
///     sender: "@alice:example.org",
///     content: r#"{"membership":"join"}"#,
///     origin_server_ts: 0,
///     depth: 2,
///     prev_events: &[],
///     auth_events: &[],
///     redacts: None,
///     rejected: false,
/// };
/// let state = PreparedState::from_events(RoomVersion::V11, [member]);
/// let fact = state.membership("@alice:example.org").unwrap();
/// assert_eq!((fact.value, fact.event_id), (Membership::Join, "$alice"));
/// ```
#[derive(Clone, Debug)]
pub struct PreparedState<Id> {
    version: &'static RoomVersion,
    create: Option<(Id, Said<Arc<RoomCreate>>)>,
    power_levels: Option<Said<Arc<PowerLevels>>>,
    join_rule: Option<Said<JoinRule>>,
    members: BTreeMap<Box<str>, Said<Membership>>,
    third_party_invites: BTreeMap<Box<str>, Said<OwnedInvite>>,
}

/// A [`ThirdPartyInvite`] that is kept.
#[derive(Clone, Debug)]
struct OwnedInvite {
    sender: Box<str>,
    content: Box<str>,
}

/// A fact that is kept.
#[derive(Clone, Debug)]
struct Said<T> {
    value: T,
    event_id: Arc<str>,
}

impl<T> Said<T> {
    fn by<Id>(event: &EventView<'_, Id>, value: T) -> Self {
        Self { value, event_id: event.event_id.into() }
    }

    fn fact<'a, U>(&'a self, of: impl FnOnce(&'a T) -> U) -> Fact<'a, U> {
        Fact { value: of(&self.value), event_id: &self.event_id }
    }
}

impl<Id: Clone> PreparedState<Id> {
    /// The facts of an empty state.
    pub fn new(version: &'static RoomVersion) -> Self {
        Self {
            version,
            create: None,
            power_levels: None,
            join_rule: None,
            members: BTreeMap::new(),
            third_party_invites: BTreeMap::new(),
        }
    }

    /// The facts of a state made of these events; of events with the same type and state key the
    /// last one counts.
    pub fn from_events<'a>(
        version: &'static RoomVersion,
        events: impl IntoIterator<Item = EventView<'a, Id>>,
    ) -> Self
    where
        Id: 'a,
    {
        let mut state = Self::new(version);
        for event in events {
            state.insert(&event);
        }
        state
    }

    /// Puts a state event into the state, in the place of what was there under its type and state
    /// key. Events that authorisation does not look at are passed over.
    pub fn insert(&mut self, event: &EventView<'_, Id>) {
        match (event.event_type, event.state_key) {
            ("m.room.create", Some("")) => {
                let create = Arc::new(RoomCreate::new(event, self.version));
                self.create = Some((event.id.clone(), Said::by(event, create)));
            }
            ("m.room.power_levels", Some("")) => {
                let levels = Arc::new(PowerLevels::read(event.content, self.version));
                self.power_levels = Some(Said::by(event, levels));
            }
            ("m.room.join_rules", Some("")) => {
                self.join_rule = Some(Said::by(event, JoinRule::of_content(event.content)));
            }
            ("m.room.member", Some(user_id)) => {
                let membership = Membership::of_content(event.content);
                self.members.insert(user_id.into(), Said::by(event, membership));
            }
            ("m.room.third_party_invite", Some(token)) => {
                let invite = OwnedInvite { sender: event.sender.into(), content: event.content.into() };
                self.third_party_invites.insert(token.into(), Said::by(event, invite));
            }
            _ => {}
        }
    }

    /// Takes what is under a type and state key out of the state.
    pub fn remove(&mut self, event_type: &str, state_key: &str) {
        match (event_type, state_key) {
            ("m.room.create", "") => self.create = None,
            ("m.room.power_levels", "") => self.power_levels = None,
            ("m.room.join_rules", "") => self.join_rule = None,
            ("m.room.member", user_id) => {
                self.members.remove(user_id);
            }
            ("m.room.third_party_invite", token) => {
                self.third_party_invites.remove(token);
            }
            _ => {}
        }
    }

    /// The room version whose rules the facts were read by.
    pub fn version(&self) -> &'static RoomVersion {
        self.version
    }
}

impl<Id: PartialEq> AuthState for PreparedState<Id> {
    type Id = Id;

    fn create(&self) -> Option<Fact<'_, &RoomCreate>> {
        self.create.as_ref().map(|(_, said)| said.fact(|create| &**create))
    }

    fn is_create(&self, id: &Id) -> bool {
        self.create.as_ref().is_some_and(|(create, _)| create == id)
    }

    fn power_levels(&self) -> Option<Fact<'_, &PowerLevels>> {
        self.power_levels.as_ref().map(|said| said.fact(|levels| &**levels))
    }

    fn join_rule(&self) -> Option<Fact<'_, JoinRule>> {
        self.join_rule.as_ref().map(|said| said.fact(|rule| *rule))
    }

    fn membership(&self, user_id: &str) -> Option<Fact<'_, Membership>> {
        self.members.get(user_id).map(|said| said.fact(|membership| *membership))
    }

    fn third_party_invite(&self, token: &str) -> Option<Fact<'_, ThirdPartyInvite<'_>>> {
        self.third_party_invites.get(token).map(|said| {
            said.fact(|invite| ThirdPartyInvite { sender: &invite.sender, content: &invite.content })
        })
    }
}
