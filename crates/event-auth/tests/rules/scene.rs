//! A room and an event that wants in.

use freehold_event::{EventView, RoomVersion};
use freehold_event_auth::{
    Denial, NamedAuthEvents, PreparedState, auth_types_needed, check, check_auth_events,
};

/// Sender of the create event, joined. In versions 1–10 also `content.creator`.
pub const CREATOR: &str = "@creator:one.org";
/// Joined, level 100.
pub const ALICE: &str = "@alice:one.org";
/// Joined, level 50.
pub const MOD: &str = "@mod:one.org";
/// Joined, no level of his own, from another server.
pub const BOB: &str = "@bob:two.org";
/// Never heard of.
pub const EVE: &str = "@eve:two.org";

pub const CREATE: &str = "m.room.create";
pub const MEMBER: &str = "m.room.member";
pub const LEVELS: &str = "m.room.power_levels";
pub const JOIN_RULES: &str = "m.room.join_rules";
pub const MESSAGE: &str = "m.room.message";

const LEVELS_CONTENT: &str = r#"{"users":{"@alice:one.org":100,"@mod:one.org":50}}"#;

/// An event that owns its parts.
#[derive(Clone, Debug)]
pub struct Owned {
    pub id: String,
    pub room_id: Option<String>,
    pub event_type: String,
    pub state_key: Option<String>,
    pub sender: String,
    pub content: String,
    pub prev_events: Vec<String>,
    pub redacts: Option<String>,
    pub rejected: bool,
}

impl Owned {
    pub fn view(&self) -> EventView<'_, String> {
        EventView {
            id: &self.id,
            event_id: &self.id,
            room_id: self.room_id.as_deref(),
            event_type: &self.event_type,
            state_key: self.state_key.as_deref(),
            sender: &self.sender,
            content: &self.content,
            origin_server_ts: 0,
            depth: 1,
            prev_events: &self.prev_events,
            auth_events: &[],
            redacts: self.redacts.as_deref(),
            rejected: self.rejected,
        }
    }
}

/// A room's state and an event that is held against it.
#[derive(Clone, Debug)]
pub struct Scene {
    pub version: &'static RoomVersion,
    pub state: Vec<Owned>,
    pub event: Owned,
    /// Named as auth events beside the ones that the state and the selection give.
    pub more_auth_events: Vec<Owned>,
}

impl Scene {
    /// A public room in which Bob sends a message.
    pub fn ordinary(version: &'static RoomVersion) -> Self {
        let rules = &version.rules().authorization;
        let room_id = if rules.room_create_event_id_as_room_id { "!m.room.create|" } else { "!room:one.org" };
        let event = Owned {
            id: "$event:one.org".to_owned(),
            room_id: Some(room_id.to_owned()),
            event_type: MESSAGE.to_owned(),
            state_key: None,
            sender: BOB.to_owned(),
            content: "{}".to_owned(),
            prev_events: vec!["$before".to_owned()],
            redacts: None,
            rejected: false,
        };
        let scene = Self { version, state: Vec::new(), event, more_auth_events: Vec::new() };
        let creator =
            if rules.use_room_create_sender { String::new() } else { format!(r#","creator":"{CREATOR}""#) };
        scene
            .state(CREATE, "", CREATOR, &format!(r#"{{"room_version":"{}"{creator}}}"#, version.id()))
            .member(CREATOR, "join")
            .member(ALICE, "join")
            .member(MOD, "join")
            .member(BOB, "join")
            .levels(LEVELS_CONTENT)
            .join_rule("public")
    }

    /// The create event of the room as the event that wants in.
    pub fn creation(mut self) -> Self {
        self.event = self.state.remove(self.position(CREATE, "").unwrap());
        self.event.prev_events.clear();
        self.state.clear();
        self
    }

    /// Puts a state event into the state.
    pub fn state(mut self, event_type: &str, state_key: &str, sender: &str, content: &str) -> Self {
        let is_create = event_type == CREATE;
        let event = Owned {
            id: format!("${event_type}|{state_key}"),
            room_id: if is_create && self.has_hashed_room_id() { None } else { self.event.room_id.clone() },
            event_type: event_type.to_owned(),
            state_key: Some(state_key.to_owned()),
            sender: sender.to_owned(),
            content: content.to_owned(),
            prev_events: Vec::new(),
            redacts: None,
            rejected: false,
        };
        match self.position(event_type, state_key) {
            Some(position) => self.state[position] = event,
            None => self.state.push(event),
        }
        self
    }

    fn has_hashed_room_id(&self) -> bool {
        self.version.rules().authorization.room_create_event_id_as_room_id
    }

    fn position(&self, event_type: &str, state_key: &str) -> Option<usize> {
        self.state.iter().position(|event| event.view().is_state(event_type, state_key))
    }

    /// Takes a state event out of the state.
    pub fn without(mut self, event_type: &str, state_key: &str) -> Self {
        let position = self.position(event_type, state_key).unwrap();
        self.state.remove(position);
        self
    }

    /// Changes a state event of the state.
    pub fn alter(mut self, event_type: &str, state_key: &str, change: impl FnOnce(&mut Owned)) -> Self {
        let position = self.position(event_type, state_key).unwrap();
        change(&mut self.state[position]);
        self
    }

    /// Sets a membership.
    pub fn member(self, user_id: &str, membership: &str) -> Self {
        self.state(MEMBER, user_id, user_id, &format!(r#"{{"membership":"{membership}"}}"#))
    }

    /// Sets the power levels.
    pub fn levels(self, content: &str) -> Self {
        self.state(LEVELS, "", CREATOR, content)
    }

    /// Sets the join rule.
    pub fn join_rule(self, join_rule: &str) -> Self {
        self.state(JOIN_RULES, "", CREATOR, &format!(r#"{{"join_rule":"{join_rule}"}}"#))
    }

    /// Adds to the content of the create event.
    pub fn create_with(self, members: &str) -> Self {
        self.alter(CREATE, "", |create| {
            create.content = create.content.replacen('{', &format!("{{{members},"), 1);
        })
    }

    /// Makes the event a message event.
    pub fn sends(mut self, sender: &str, event_type: &str, content: &str) -> Self {
        self.event.sender = sender.to_owned();
        self.event.event_type = event_type.to_owned();
        self.event.state_key = None;
        self.event.content = content.to_owned();
        self
    }

    /// Makes the event a state event.
    pub fn sets(mut self, sender: &str, event_type: &str, state_key: &str, content: &str) -> Self {
        self = self.sends(sender, event_type, content);
        self.event.state_key = Some(state_key.to_owned());
        self
    }

    /// Makes the event a change of membership.
    pub fn changes(self, sender: &str, target: &str, membership: &str) -> Self {
        self.sets(sender, MEMBER, target, &format!(r#"{{"membership":"{membership}"}}"#))
    }

    /// Makes the event a change of power levels.
    pub fn changes_levels(self, sender: &str, content: &str) -> Self {
        self.sets(sender, LEVELS, "", content)
    }

    /// Changes the event.
    pub fn with(mut self, change: impl FnOnce(&mut Owned)) -> Self {
        change(&mut self.event);
        self
    }

    /// Names another auth event: a copy of one of the state, changed.
    pub fn names(mut self, event_type: &str, state_key: &str, change: impl FnOnce(&mut Owned)) -> Self {
        let mut event = self.state[self.position(event_type, state_key).unwrap()].clone();
        change(&mut event);
        self.more_auth_events.push(event);
        self
    }

    /// Rules on the auth events, which are those of the state that the selection asks for, and
    /// then the rules on the state.
    pub fn verdict(&self) -> Result<(), Denial> {
        let event = self.event.view();
        let needed = auth_types_needed(&event, self.version);
        let selected = self
            .state
            .iter()
            .map(Owned::view)
            .filter(|entry| needed.contains(entry.event_type, entry.state_key.unwrap_or_default()));
        let auth_events: Vec<_> = selected.chain(self.more_auth_events.iter().map(Owned::view)).collect();
        let create = self.state.iter().map(Owned::view).find(|entry| entry.event_type == CREATE);
        let create = create.filter(|_| self.has_hashed_room_id());
        check_auth_events(&event, &NamedAuthEvents { auth_events: &auth_events, create }, self.version)?;
        self.verdict_of_state()
    }

    /// Rules on the state alone.
    pub fn verdict_of_state(&self) -> Result<(), Denial> {
        let state = PreparedState::from_events(self.version, self.state.iter().map(Owned::view));
        check(&self.event.view(), &state, self.version)
    }
}
