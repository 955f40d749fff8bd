//! Authorisation checks against the state that is being built.

use std::cell::RefCell;

use freehold_event::{EventSource, EventView, RoomVersion};
use freehold_event_auth::{
    AuthState, Denial, Fact, JoinRule, Membership, NamedAuthEvents, Power, PowerLevels, PreparedState,
    RoomCreate, ThirdPartyInvite, check, check_auth_events,
};

use crate::{
    ResolveError,
    budget::BudgetLine,
    forks::Forks,
    key::Key,
    lookup::Lookup,
    node_map::{Node, NodeMap},
};

/// What has been read from the contents of events, each once.
pub(crate) struct Facts {
    version: &'static RoomVersion,
    contents: Contents,
    memberships: NodeMap<Option<Membership>>,
    join_rules: NodeMap<Option<JoinRule>>,
}

/// Power levels and create events.
struct Contents {
    version: &'static RoomVersion,
    levels: Vec<PowerLevels>,
    creates: Vec<RoomCreate>,
    /// One more than the place in `levels` or `creates`.
    places: NodeMap<u32>,
}

/// The create event or the power levels of a state: the event, and where in [`Facts`] its content
/// is.
type Known = Option<(Node, u32)>;

impl Facts {
    pub(crate) const fn new(version: &'static RoomVersion) -> Self {
        let contents = Contents { version, levels: Vec::new(), creates: Vec::new(), places: NodeMap::new() };
        Self { version, contents, memberships: NodeMap::new(), join_rules: NodeMap::new() }
    }
}

impl Facts {
    /// What an `m.room.member` event says.
    pub(crate) fn membership<Id>(&mut self, node: Node, event: &EventView<'_, Id>) -> Membership {
        read_membership(&mut self.memberships, node, event)
    }
}

fn read_membership<Id>(
    memberships: &mut NodeMap<Option<Membership>>,
    node: Node,
    event: &EventView<'_, Id>,
) -> Membership {
    memberships.get(node).unwrap_or_else(|| {
        let membership = Membership::of_content(event.content);
        memberships.set(node, Some(membership));
        membership
    })
}

impl Contents {
    fn know_levels<Id>(&mut self, node: Node, event: &EventView<'_, Id>) -> u32 {
        let known = self.places.get(node);
        if known > 0 {
            return known;
        }
        self.levels.push(PowerLevels::read(event.content, self.version));
        self.know(node, self.levels.len())
    }

    fn know_create<Id>(&mut self, node: Node, event: &EventView<'_, Id>) -> u32 {
        let known = self.places.get(node);
        if known > 0 {
            return known;
        }
        self.creates.push(RoomCreate::new(event, self.version));
        self.know(node, self.creates.len())
    }

    fn know(&mut self, node: Node, place: usize) -> u32 {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        self.places.set(node, place);
        place
    }

    fn levels(&self, known: Known) -> Option<&PowerLevels> {
        self.levels.get((known?.1 as usize).checked_sub(1)?)
    }

    fn create(&self, known: Known) -> Option<&RoomCreate> {
        self.creates.get((known?.1 as usize).checked_sub(1)?)
    }
}

/// The power of the sender of an event, "when looking at [its] auth_events".
pub(crate) fn power_of_sender<S: EventSource, F: Forks<S::Id>>(
    lookup: &mut Lookup<'_, '_, S, F>,
    facts: &mut Facts,
    node: Node,
) -> Result<Power, ResolveError<S::Id>> {
    let Some(event) = lookup.graph.view(node)? else { return Ok(Power::Level(0)) };
    let levels = lookup.graph.power_levels_cited(node)?;
    let create = if names_room_by_create(facts.version) {
        lookup.create_of_room(event.room_id)
    } else {
        lookup.graph.cited(node, Key::Create)?
    };
    let levels = know_levels(lookup, &mut facts.contents, levels)?;
    let create = know_create(lookup, &mut facts.contents, create)?;
    Ok(Power::of_user(event.sender, facts.contents.create(create), facts.contents.levels(levels)))
}

/// Whether room ids are made from create events, which are then not among `auth_events`.
pub(crate) fn names_room_by_create(version: &RoomVersion) -> bool {
    version.rules().authorization.room_create_event_id_as_room_id
}

/// Checks an event against the state that has been built so far.
pub(crate) fn check_in_state<S: EventSource, F: Forks<S::Id>>(
    lookup: &mut Lookup<'_, '_, S, F>,
    facts: &mut Facts,
    node: Node,
) -> Result<Result<(), Denial>, ResolveError<S::Id>> {
    lookup.graph.spend(BudgetLine::AuthChecks, 1)?;
    lookup.graph.load(node)?;
    let Some(event) = lookup.graph.loaded(node).copied() else { return Ok(Ok(())) };
    let create = if names_room_by_create(facts.version) {
        lookup.create_of_room(event.room_id)
    } else {
        lookup.find(node, Key::Create)?
    };
    let create = know_create(lookup, &mut facts.contents, create)?;
    let levels = lookup.find(node, Key::PowerLevels)?;
    let levels = know_levels(lookup, &mut facts.contents, levels)?;
    let event_id =
        |known: Known| known.and_then(|(node, _)| lookup.graph.loaded(node)).map(|event| event.event_id);
    let (create_id, levels_id) = (event_id(create), event_id(levels));
    let (known_create, known_levels) = (facts.contents.create(create), facts.contents.levels(levels));
    let standing = Standing {
        node,
        create: known_create.zip(create_id).map(|(value, event_id)| Fact { value, event_id }),
        create_id: create.and_then(|(node, _)| lookup.graph.id(node)),
        power_levels: known_levels.zip(levels_id).map(|(value, event_id)| Fact { value, event_id }),
        sender: event.sender,
        rest: RefCell::new(Rest {
            lookup,
            memberships: &mut facts.memberships,
            join_rules: &mut facts.join_rules,
            of_sender: None,
            failure: None,
        }),
    };
    let verdict = check(&event, &standing, facts.version);
    match standing.rest.into_inner().failure {
        Some(failure) => Err(failure),
        None => Ok(verdict),
    }
}

/// Why an event that was rejected on receipt stays out, if its own `auth_events` do not allow it.
///
/// > Events that have been rejected due to failing auth based on the state at the event (rather
/// > than based on their auth chain) are handled as usual by the algorithm, unless otherwise
/// > specified. Note that no events rejected due to failure to auth against their auth chain should
/// > appear in the process, as they should not appear in state.
///
/// A snapshot may contain one all the same: then it does not get any further.
pub(crate) fn rejected_by_its_auth_events<S: EventSource, F: Forks<S::Id>>(
    lookup: &mut Lookup<'_, '_, S, F>,
    version: &'static RoomVersion,
    node: Node,
) -> Result<Option<Denial>, ResolveError<S::Id>> {
    let Some(event) = lookup.graph.loaded(node).filter(|event| event.rejected).copied() else {
        return Ok(None);
    };
    let mut auth_events = Vec::with_capacity(event.auth_events.len());
    for position in lookup.graph.links(node)? {
        let auth_event = lookup.graph.link(position);
        auth_events.extend(lookup.graph.view(auth_event)?);
    }
    let create = lookup.create_of_room(event.room_id).filter(|_| names_room_by_create(version));
    let create = create.and_then(|create| lookup.graph.loaded(create)).copied();
    let named = NamedAuthEvents { auth_events: &auth_events, create };
    if let Err(denial) = check_auth_events(&event, &named, version) {
        return Ok(Some(denial));
    }
    let state = PreparedState::from_events(version, auth_events.into_iter().chain(create));
    Ok(check(&event, &state, version).err())
}

fn know_levels<S: EventSource, F: Forks<S::Id>>(
    lookup: &mut Lookup<'_, '_, S, F>,
    contents: &mut Contents,
    node: Option<Node>,
) -> Result<Known, ResolveError<S::Id>> {
    let Some(node) = node else { return Ok(None) };
    lookup.graph.load(node)?;
    Ok(lookup.graph.loaded(node).map(|event| (node, contents.know_levels(node, event))))
}

fn know_create<S: EventSource, F: Forks<S::Id>>(
    lookup: &mut Lookup<'_, '_, S, F>,
    contents: &mut Contents,
    node: Option<Node>,
) -> Result<Known, ResolveError<S::Id>> {
    let Some(node) = node else { return Ok(None) };
    lookup.graph.load(node)?;
    Ok(lookup.graph.loaded(node).map(|event| (node, contents.know_create(node, event))))
}

/// The state that one event is checked against.
struct Standing<'s, 'r, 'a, S: EventSource, F> {
    node: Node,
    sender: &'a str,
    create: Option<Fact<'s, &'s RoomCreate>>,
    create_id: Option<&'a S::Id>,
    power_levels: Option<Fact<'s, &'s PowerLevels>>,
    rest: RefCell<Rest<'s, 'r, 'a, S, F>>,
}

/// What is looked up when a rule asks for it.
struct Rest<'s, 'r, 'a, S: EventSource, F> {
    lookup: &'s mut Lookup<'r, 'a, S, F>,
    memberships: &'s mut NodeMap<Option<Membership>>,
    join_rules: &'s mut NodeMap<Option<JoinRule>>,
    /// The answer on the sender, who is asked about more than once.
    of_sender: Option<Option<(Membership, &'a str)>>,
    /// Rules cannot fail for want of an event or of budget: it is kept here, and the verdict is void.
    failure: Option<ResolveError<S::Id>>,
}

impl<'a, S: EventSource, F: Forks<S::Id>> Rest<'_, '_, 'a, S, F> {
    fn find(&mut self, node: Node, key: Key<'_>) -> Option<Node> {
        let found = self.lookup.find(node, key);
        let found = found.and_then(|found| match found {
            Some(found) => self.lookup.graph.load(found).map(|()| Some(found)),
            None => Ok(None),
        });
        found.unwrap_or_else(|failure| {
            self.failure.get_or_insert(failure);
            None
        })
    }

    fn event(&mut self, node: Node, key: Key<'_>) -> Option<EventView<'a, S::Id>> {
        let found = self.find(node, key)?;
        self.lookup.graph.loaded(found).copied()
    }

    fn membership(&mut self, node: Node, user_id: &str) -> Option<(Membership, &'a str)> {
        let member = self.find(node, Key::Member(user_id))?;
        let event = self.lookup.graph.loaded(member)?;
        Some((read_membership(self.memberships, member, event), event.event_id))
    }

    fn join_rule(&mut self, node: Node) -> Option<(JoinRule, &'a str)> {
        let rules = self.find(node, Key::JoinRules)?;
        let event = self.lookup.graph.loaded(rules)?;
        let join_rule = self.join_rules.get(rules).unwrap_or_else(|| {
            let join_rule = JoinRule::of_content(event.content);
            self.join_rules.set(rules, Some(join_rule));
            join_rule
        });
        Some((join_rule, event.event_id))
    }
}

impl<S: EventSource, F: Forks<S::Id>> AuthState for Standing<'_, '_, '_, S, F> {
    type Id = S::Id;

    fn create(&self) -> Option<Fact<'_, &RoomCreate>> {
        self.create
    }

    fn is_create(&self, id: &S::Id) -> bool {
        self.create_id == Some(id)
    }

    fn power_levels(&self) -> Option<Fact<'_, &PowerLevels>> {
        self.power_levels
    }

    fn join_rule(&self) -> Option<Fact<'_, JoinRule>> {
        let (value, event_id) = self.rest.borrow_mut().join_rule(self.node)?;
        Some(Fact { value, event_id })
    }

    fn membership(&self, user_id: &str) -> Option<Fact<'_, Membership>> {
        let mut rest = self.rest.borrow_mut();
        let (value, event_id) = if user_id != self.sender {
            rest.membership(self.node, user_id)?
        } else if let Some(known) = rest.of_sender {
            known?
        } else {
            let found = rest.membership(self.node, user_id);
            rest.of_sender = Some(found);
            found?
        };
        Some(Fact { value, event_id })
    }

    fn third_party_invite(&self, token: &str) -> Option<Fact<'_, ThirdPartyInvite<'_>>> {
        let key = Key::new("m.room.third_party_invite", token);
        let event = self.rest.borrow_mut().event(self.node, key)?;
        let value = ThirdPartyInvite { sender: event.sender, content: event.content };
        Some(Fact { value, event_id: event.event_id })
    }
}
