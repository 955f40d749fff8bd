//! Authorisation checks against the state that is being built.

use std::cell::RefCell;

use freehold_event::{EventSource, EventView, Membership, RoomVersion};
use freehold_event_auth::{
    AuthState, Content, Denial, Fact, JoinRule, NamedAuthEvents, Power, PowerLevels, PreparedState,
    RoomCreate, ThirdPartyInvite, check, check_auth_events, check_read,
};

use crate::{
    budget::BudgetLine,
    error::Failure,
    forks::Forks,
    key::{Key, Kind},
    lookup::{Lookup, names_room_by_create},
    node_map::{Node, NodeMap},
};

/// What has been read from the contents of events, each once.
pub(crate) struct Facts<'a> {
    version: &'static RoomVersion,
    levels: Kept<'a, PowerLevels>,
    creates: Kept<'a, RoomCreate>,
    /// Of the event that was asked about last: mostly it is the next one too.
    join_rule: Option<(Node, JoinRule)>,
}

/// Contents of one kind that were read, each with the id of its event.
struct Kept<'a, T> {
    values: Vec<(T, &'a str)>,
    /// What was asked for last: mostly it is the next one too.
    last: Known,
    /// One more than the place in `values`.
    places: NodeMap<u32>,
}

/// An event of which the content is kept: the event, and where in [`Kept`] its content is.
type Known = Option<(Node, u32)>;

impl<'a> Facts<'a> {
    pub(crate) const fn new(version: &'static RoomVersion) -> Self {
        Self { version, levels: Kept::new(), creates: Kept::new(), join_rule: None }
    }

    fn know_levels<S: EventSource, F: Forks<S::Id>>(
        &mut self,
        lookup: &mut Lookup<'_, 'a, S, F>,
        node: Option<Node>,
    ) -> Result<Known, Failure<S::Id>> {
        self.levels.know(lookup, node, |event| PowerLevels::read(event.content, self.version))
    }

    fn know_create<S: EventSource, F: Forks<S::Id>>(
        &mut self,
        lookup: &mut Lookup<'_, 'a, S, F>,
        node: Option<Node>,
    ) -> Result<Known, Failure<S::Id>> {
        self.creates.know(lookup, node, |event| RoomCreate::new(event, self.version))
    }
}

impl<'a, T> Kept<'a, T> {
    const fn new() -> Self {
        Self { values: Vec::new(), last: None, places: NodeMap::new() }
    }

    /// Reads the content of an event, if it was not read before.
    #[inline]
    fn know<S: EventSource, F: Forks<S::Id>>(
        &mut self,
        lookup: &mut Lookup<'_, 'a, S, F>,
        node: Option<Node>,
        read: impl FnOnce(&EventView<'_, S::Id>) -> T,
    ) -> Result<Known, Failure<S::Id>> {
        match node {
            None => Ok(None),
            Some(node) if self.last.is_some_and(|last| last.0 == node) => Ok(self.last),
            Some(node) => self.know_other(lookup, node, read),
        }
    }

    fn know_other<S: EventSource, F: Forks<S::Id>>(
        &mut self,
        lookup: &mut Lookup<'_, 'a, S, F>,
        node: Node,
        read: impl FnOnce(&EventView<'_, S::Id>) -> T,
    ) -> Result<Known, Failure<S::Id>> {
        let mut place = self.places.get(node);
        if place == 0 {
            lookup.graph.load(node)?;
            let Some(event) = lookup.graph.view(node) else { return Ok(None) };
            self.values.push((read(&event), event.event_id));
            place = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
            self.places.set(node, place);
        }
        self.last = Some((node, place));
        Ok(self.last)
    }

    fn get(&self, known: Known) -> Option<&T> {
        self.fact(known).map(|fact| fact.value)
    }

    #[inline]
    fn fact(&self, known: Known) -> Option<Fact<'_, &T>> {
        let (value, event_id) = self.values.get((known?.1 as usize).checked_sub(1)?)?;
        Some(Fact { value, event_id })
    }
}

/// The power of the sender of an event, "when looking at [its] auth_events".
pub(crate) fn power_of_sender<'a, S: EventSource, F: Forks<S::Id>>(
    lookup: &mut Lookup<'_, 'a, S, F>,
    facts: &mut Facts<'a>,
    node: Node,
) -> Result<Power, Failure<S::Id>> {
    lookup.graph.load(node)?;
    let Some(event) = lookup.graph.view(node) else { return Ok(Power::Level(0)) };
    let levels = lookup.graph.power_levels_cited(node)?;
    let create = if names_room_by_create(facts.version) {
        lookup.create_of_room(event.room_id)
    } else {
        lookup.graph.cited(node, Key::Create)?
    };
    let levels = facts.know_levels(lookup, levels)?;
    let create = facts.know_create(lookup, create)?;
    Ok(Power::of_user(event.sender, facts.creates.get(create), facts.levels.get(levels)))
}

/// Checks an event against the state that has been built so far.
pub(crate) fn check_in_state<'a, S: EventSource, F: Forks<S::Id>>(
    lookup: &mut Lookup<'_, 'a, S, F>,
    facts: &mut Facts<'a>,
    (node, event): (Node, &EventView<'a, S::Id>),
) -> Result<Result<(), Denial>, Failure<S::Id>> {
    lookup.graph.spend(BudgetLine::AuthChecks, 1)?;
    let create = if names_room_by_create(facts.version) {
        lookup.create_of_room(event.room_id)
    } else {
        lookup.find(node, Key::Create)?
    };
    let create = facts.know_create(lookup, create)?;
    let levels = lookup.find(node, Key::PowerLevels)?;
    let levels = facts.know_levels(lookup, levels)?;
    let own_levels = match lookup.graph.kind(node) {
        Kind::PowerLevels => facts.know_levels(lookup, Some(node))?,
        _ => None,
    };
    let member = lookup.graph.member(node);
    let content = match (member, facts.levels.get(own_levels)) {
        (Some(member), _) => Content::Member(member),
        (None, Some(levels)) => Content::PowerLevels(levels),
        (None, None) => Content::Unread,
    };
    let standing = Standing {
        node,
        create: facts.creates.fact(create),
        create_id: create.and_then(|(node, _)| lookup.graph.id(node)),
        power_levels: facts.levels.fact(levels),
        target: event.state_key.filter(|_| lookup.graph.kind(node) == Kind::Member),
        rest: RefCell::new(Rest { lookup, join_rule: &mut facts.join_rule, failure: None }),
    };
    let verdict = check_read(event, content, &standing, facts.version);
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
    (node, event): (Node, &EventView<'_, S::Id>),
) -> Result<Option<Denial>, Failure<S::Id>> {
    if !event.rejected {
        return Ok(None);
    }
    let mut auth_events = Vec::with_capacity(event.auth_events.len());
    for position in lookup.graph.links(node)? {
        let auth_event = lookup.graph.link(position);
        lookup.graph.load(auth_event)?;
        auth_events.extend(lookup.graph.view(auth_event));
    }
    let create = lookup.create_of_room(event.room_id).filter(|_| names_room_by_create(version));
    let create = create.and_then(|create| lookup.graph.view(create));
    let named = NamedAuthEvents { auth_events: &auth_events, create };
    if let Err(denial) = check_auth_events(event, &named, version) {
        return Ok(Some(denial));
    }
    let state = PreparedState::from_events(version, auth_events.into_iter().chain(create));
    Ok(check(event, &state, version).err())
}

/// The state that one event is checked against.
struct Standing<'s, 'r, 'a, S: EventSource, F> {
    node: Node,
    /// The state key of a member event.
    target: Option<&'a str>,
    create: Option<Fact<'s, &'s RoomCreate>>,
    create_id: Option<&'a S::Id>,
    power_levels: Option<Fact<'s, &'s PowerLevels>>,
    rest: RefCell<Rest<'s, 'r, 'a, S, F>>,
}

/// What is looked up when a rule asks for it.
struct Rest<'s, 'r, 'a, S: EventSource, F> {
    lookup: &'s mut Lookup<'r, 'a, S, F>,
    join_rule: &'s mut Option<(Node, JoinRule)>,
    /// Rules cannot fail for want of an event or of budget: it is kept here, and the verdict is void.
    failure: Option<Failure<S::Id>>,
}

impl<'a, S: EventSource, F: Forks<S::Id>> Rest<'_, '_, 'a, S, F> {
    fn find(&mut self, node: Node, key: Key<'_>) -> Option<Node> {
        let found = self.lookup.find(node, key);
        self.loaded(found)
    }

    fn find_own(&mut self, node: Node) -> Option<Node> {
        let found = self.lookup.find_own(node);
        self.loaded(found)
    }

    fn loaded(&mut self, found: Result<Option<Node>, Failure<S::Id>>) -> Option<Node> {
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
        self.lookup.graph.view(found)
    }

    fn join_rule(&mut self, node: Node) -> Option<(JoinRule, &'a str)> {
        let rules = self.find(node, Key::JoinRules)?;
        let known = self.join_rule.filter(|(known, _)| *known == rules);
        let join_rule = match known {
            Some((_, join_rule)) => join_rule,
            None => JoinRule::of_content(self.lookup.graph.view(rules)?.content),
        };
        *self.join_rule = Some((rules, join_rule));
        Some((join_rule, self.lookup.graph.loaded(rules)?.event_id))
    }
}

/// Whether two texts are the same; that they are in one place is seen without reading them.
fn is_same(a: &str, b: &str) -> bool {
    std::ptr::eq(a, b) || a == b
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
        let member = if self.target.is_some_and(|target| is_same(target, user_id)) {
            rest.find_own(self.node)?
        } else {
            rest.find(self.node, Key::Member(user_id))?
        };
        let value = rest.lookup.graph.membership(member);
        Some(Fact { value, event_id: rest.lookup.graph.loaded(member)?.event_id })
    }

    fn third_party_invite(&self, token: &str) -> Option<Fact<'_, ThirdPartyInvite<'_>>> {
        let key = Key::new("m.room.third_party_invite", token);
        let event = self.rest.borrow_mut().event(self.node, key)?;
        let value = ThirdPartyInvite { sender: event.sender, content: event.content };
        Some(Fact { value, event_id: event.event_id })
    }
}
