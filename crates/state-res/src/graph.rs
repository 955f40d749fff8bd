//! The part of the auth graph that a resolution has met, read once from the source.

use std::ops::Range;

use freehold_event::{EventSource, EventView, MemberSummary, Membership};

use crate::{
    ResolveBudget, ResolveError,
    budget::{BudgetLine, Meter},
    error::Failure,
    hashing::Map,
    key::{Key, KeyNumber, Kind},
    node_map::{EXPECTED_MAX, Node, NodeMap},
    slot::{Brief, Member, Slot},
};

/// The events met so far and their links, numbered as they come.
///
/// The numbers depend on the order in which events are met; nothing in the result may.
///
/// An event that the source lacks is noted and has no links; [`Graph::complete`] ends the step with
/// everything noted, so that a caller can fetch in bulk.
pub(crate) struct Graph<'a, S: EventSource> {
    source: &'a S,
    index: Map<&'a S::Id, Node>,
    slots: Vec<Slot<'a, S::Id>>,
    links: Vec<Node>,
    /// The links of the event before: events of one room mostly cite the same few events.
    previous: Option<(&'a [S::Id], usize)>,
    missing: Vec<S::Id>,
    /// The events between the one whose generation is computed and the one at hand.
    on_path: NodeMap<bool>,
    meter: Meter,
}

impl<'a, S: EventSource> Graph<'a, S> {
    pub(crate) fn new(source: &'a S, budget: &ResolveBudget) -> Self {
        Self {
            source,
            index: Map::default(),
            slots: Vec::new(),
            links: Vec::new(),
            previous: None,
            missing: Vec::new(),
            on_path: NodeMap::new(),
            meter: Meter::new(*budget),
        }
    }

    /// How many events have been met.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Makes room for this many events at once.
    pub(crate) fn expect_events(&mut self, events: usize) {
        let events = events.min(EXPECTED_MAX);
        self.index.reserve(events);
        self.slots.reserve(events);
        self.links.reserve(events.saturating_mul(4));
    }

    pub(crate) fn spend(&mut self, line: BudgetLine, amount: usize) -> Result<(), Failure<S::Id>> {
        Ok(self.meter.spend(line, amount)?)
    }

    pub(crate) const fn spent(&self) -> ResolveBudget {
        self.meter.spent()
    }

    /// Ends a step: an error when an event was missing in it.
    pub(crate) fn complete(&mut self) -> Result<(), Failure<S::Id>> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let mut events = std::mem::take(&mut self.missing);
        events.sort_unstable();
        events.dedup();
        Err(Box::new(ResolveError::MissingEvents { events }))
    }

    /// The node of an event whose key the caller owns; reads the event.
    pub(crate) fn enter(&mut self, id: &S::Id) -> Result<Node, Failure<S::Id>> {
        let (node, unknown) = self.enter_unknown(id)?;
        self.classify(node, unknown);
        Ok(node)
    }

    /// The nodes of some events, which are read.
    pub(crate) fn enter_together<'i>(
        &mut self,
        ids: impl Iterator<Item = &'i S::Id>,
        nodes: &mut Vec<Node>,
    ) -> Result<(), Failure<S::Id>>
    where
        S::Id: 'i,
    {
        nodes.clear();
        let mut unknown = Vec::new();
        for id in ids {
            let (node, view) = self.enter_unknown(id)?;
            nodes.push(node);
            unknown.extend(view.map(|view| (node, view)));
        }
        touch(unknown.iter().map(|(_, view)| view));
        for (node, view) in unknown {
            self.classify(node, Some(view));
        }
        Ok(())
    }

    /// All of some events that were read; what will be looked at of their texts is fetched from memory
    /// together.
    pub(crate) fn views(
        &self,
        nodes: impl Iterator<Item = Node> + Clone,
        views: &mut Vec<Option<EventView<'a, S::Id>>>,
    ) {
        views.clear();
        views.extend(nodes.clone().map(|node| self.view(node)));
        let unread = nodes.zip(&*views).filter(|(node, _)| !self.has_summary(*node));
        touch(unread.filter_map(|(_, view)| view.as_ref()));
    }

    fn has_summary(&self, node: Node) -> bool {
        self.slots.get(node.position()).is_some_and(|slot| matches!(slot.member, Member::Ordinary(_)))
    }

    /// As [`Graph::enter`], but an event of which texts have to be looked at comes back for that.
    #[expect(clippy::type_complexity, reason = "what comes back is used up at once")]
    fn enter_unknown(&mut self, id: &S::Id) -> Result<(Node, Option<EventView<'a, S::Id>>), Failure<S::Id>> {
        if let Some(node) = self.index.get(id) {
            let node = *node;
            self.load(node)?;
            return Ok((node, None));
        }
        let Some(view) = self.read(id)? else {
            return Ok((self.push(Slot { asked: true, ..Slot::new(None) }), None));
        };
        let summary = self.source.member_summary(view.id);
        let mut slot = Slot::new(Some(view.id));
        slot.note(&view, summary);
        let node = self.push(slot);
        self.index.insert(view.id, node);
        Ok((node, summary.is_none().then_some(view)))
    }

    fn classify(&mut self, node: Node, view: Option<EventView<'a, S::Id>>) {
        if let Some(view) = view
            && let Some(slot) = self.slots.get_mut(node.position())
        {
            slot.classify(&view);
        }
    }

    /// All of an event that was read.
    pub(crate) fn view(&self, node: Node) -> Option<EventView<'a, S::Id>> {
        let slot = self.slots.get(node.position())?;
        slot.brief.as_ref()?;
        self.source.event(slot.id?)
    }

    /// Reads the event from the source when it was not yet.
    #[inline]
    pub(crate) fn load(&mut self, node: Node) -> Result<(), Failure<S::Id>> {
        match self.slots.get(node.position()) {
            Some(slot) if !slot.asked => self.load_now(node),
            _ => Ok(()),
        }
    }

    #[cold]
    fn load_now(&mut self, node: Node) -> Result<(), Failure<S::Id>> {
        let id = self.id(node);
        let view = match id {
            Some(id) => self.read(id)?,
            None => None,
        };
        let summary = id.filter(|_| view.is_some()).and_then(|id| self.source.member_summary(id));
        if let Some(slot) = self.slots.get_mut(node.position()) {
            slot.asked = true;
            if let Some(view) = view {
                slot.note(&view, summary);
                slot.classify(&view);
            }
        }
        Ok(())
    }

    /// What sort of key an event has that was read.
    #[inline]
    pub(crate) fn kind(&self, node: Node) -> Kind {
        self.slots.get(node.position()).map_or(Kind::None, |slot| slot.kind)
    }

    /// The summary of an event that was read, if it is an ordinary member event.
    pub(crate) fn member(&mut self, node: Node) -> Option<MemberSummary> {
        match self.read_member(node) {
            Member::Ordinary(summary) => Some(summary),
            Member::Unread | Member::Other(_) => None,
        }
    }

    /// What a member event says that was read.
    pub(crate) fn membership(&mut self, node: Node) -> Membership {
        match self.read_member(node) {
            Member::Ordinary(summary) => summary.membership,
            Member::Other(membership) => membership,
            Member::Unread => Membership::Other,
        }
    }

    /// Reads the content of a member event once.
    fn read_member(&mut self, node: Node) -> Member {
        let known = self.slots.get(node.position()).map_or(Member::Unread, |slot| slot.member);
        if !matches!(known, Member::Unread) || self.kind(node) != Kind::Member {
            return known;
        }
        let Some(view) = self.view(node) else { return known };
        let read = match MemberSummary::of(&view) {
            Some(summary) => Member::Ordinary(summary),
            None => Member::Other(Membership::of_content(view.content)),
        };
        if let Some(slot) = self.slots.get_mut(node.position()) {
            slot.member = read;
        }
        read
    }

    /// Whether an event that was read is the member event that a user sent on themself.
    pub(crate) fn is_of_sender(&self, node: Node) -> bool {
        self.slots.get(node.position()).is_some_and(|slot| slot.of_sender)
    }

    /// The key of an event that was read.
    pub(crate) fn key(&self, node: Node) -> Option<Key<'a>> {
        match self.kind(node) {
            Kind::Create => Some(Key::Create),
            Kind::PowerLevels => Some(Key::PowerLevels),
            Kind::JoinRules => Some(Key::JoinRules),
            Kind::Member => Some(Key::Member(self.loaded(node)?.state_key?)),
            Kind::Other => self.view(node).as_ref().and_then(Key::of),
            Kind::None => None,
        }
    }

    /// The number of the conflicted key under which the forks have an event.
    pub(crate) fn key_number(&self, node: Node) -> Option<KeyNumber> {
        self.slots.get(node.position())?.key
    }

    pub(crate) fn set_key_number(&mut self, node: Node, number: KeyNumber) {
        if let Some(slot) = self.slots.get_mut(node.position()) {
            slot.key = Some(number);
        }
    }

    /// Whether an event that was read has this key.
    #[inline]
    pub(crate) fn has_key(&self, node: Node, key: Key<'_>) -> bool {
        self.kind(node) == key.kind()
            && match key {
                Key::Create | Key::PowerLevels | Key::JoinRules => true,
                Key::Member(_) | Key::Other(..) => self.key(node) == Some(key),
            }
    }

    /// Whether two events that were read have the same key.
    pub(crate) fn have_same_key(&self, a: Node, b: Node) -> bool {
        if self.kind(a) != self.kind(b) {
            return false;
        }
        let number = |node| self.id(node).and_then(|id| self.source.key_number(id));
        match (number(a), number(b)) {
            (Some(a), Some(b)) => a == b,
            _ => self.key(a).is_some_and(|key| self.has_key(b, key)),
        }
    }

    /// The event, when it was read before.
    #[inline]
    pub(crate) fn loaded(&self, node: Node) -> Option<&Brief<'a, S::Id>> {
        self.slots.get(node.position())?.brief.as_ref()
    }

    /// The links of an event to its `auth_events`, to be read with [`Graph::link`]. Events that cite the same
    /// one after the other have the same links.
    #[inline]
    pub(crate) fn links(&mut self, node: Node) -> Result<Range<usize>, Failure<S::Id>> {
        match self.slots.get(node.position()) {
            Some(slot) if slot.linked => Ok(slot.links.0 as usize..slot.links.1 as usize),
            Some(_) => self.follow_links(node),
            None => Ok(0..0),
        }
    }

    // Once for an event, while it is asked for its links again and again.
    #[cold]
    fn follow_links(&mut self, node: Node) -> Result<Range<usize>, Failure<S::Id>> {
        self.load(node)?;
        let auth_events = self.loaded(node).map_or(&[][..], |view| view.auth_events);
        self.spend(BudgetLine::AuthEdges, auth_events.len())?;
        let before = self.links_as_before(auth_events);
        let Range { start: from, end: to } =
            if before.len() == auth_events.len() { before } else { self.add_links(auth_events, before) };
        self.previous = Some((auth_events, from));
        if let Some(slot) = self.slots.get_mut(node.position()) {
            let place = |position| u32::try_from(position).unwrap_or(u32::MAX);
            slot.linked = true;
            slot.links = (place(from), place(to));
        }
        Ok(from..to)
    }

    /// Links of which the first are those of the event before.
    fn add_links(&mut self, auth_events: &'a [S::Id], before: Range<usize>) -> Range<usize> {
        let from = self.links.len();
        let same = before.len();
        self.links.extend_from_within(before);
        for id in auth_events.get(same..).unwrap_or_default() {
            let link = self.meet(id);
            self.links.push(link);
        }
        from..self.links.len()
    }

    /// Where the link leads.
    #[inline]
    pub(crate) fn link(&self, position: usize) -> Node {
        self.links.get(position).copied().unwrap_or(Node::NONE)
    }

    /// The generation that is known without walking: from the source, or computed before.
    #[inline]
    pub(crate) fn known_generation(&mut self, node: Node) -> Option<u64> {
        let slot = self.slots.get_mut(node.position())?;
        if slot.generation.is_none() {
            slot.generation = self.source.generation(slot.id?);
        }
        slot.generation
    }

    /// The generation of an event that has not been met, when the source knows it.
    pub(crate) fn source_generation(&self, id: &S::Id) -> Option<u64> {
        self.source.generation(id)
    }

    pub(crate) fn set_generation(&mut self, node: Node, generation: u64) {
        if let Some(slot) = self.slots.get_mut(node.position()) {
            slot.generation = Some(generation);
        }
    }

    /// The generation, computed over the auth chain when the source does not know it.
    #[inline]
    pub(crate) fn generation(&mut self, node: Node) -> Result<u64, Failure<S::Id>> {
        match self.known_generation(node) {
            Some(generation) => Ok(generation),
            None => self.compute_generation(node),
        }
    }

    /// The generation of an auth event, which must be smaller than that of the event.
    pub(crate) fn generation_below(
        &mut self,
        (generation, node): (u64, Node),
        auth_event: Node,
    ) -> Result<u64, Failure<S::Id>> {
        let auth_generation = self.generation(auth_event)?;
        if auth_generation < generation {
            return Ok(auth_generation);
        }
        match (self.id(node), self.id(auth_event)) {
            (Some(event), Some(auth)) => Err(Box::new(ResolveError::WrongGeneration {
                event: event.clone(),
                generation,
                auth_event: auth.clone(),
                auth_generation,
            })),
            // Only an event that the source lacks has no key; it is already noted as missing.
            _ => Ok(auth_generation),
        }
    }

    pub(crate) fn id(&self, node: Node) -> Option<&'a S::Id> {
        self.slots.get(node.position()).and_then(|slot| slot.id)
    }

    /// The error for an event that is in its own auth chain.
    pub(crate) fn cycle_at(&self, node: Node) -> Failure<S::Id> {
        Box::new(match self.id(node) {
            Some(id) => ResolveError::AuthCycle { event: id.clone() },
            None => ResolveError::MissingEvents { events: self.missing.clone() },
        })
    }

    /// Reads an event; one that the source lacks is noted.
    fn read(&mut self, id: &S::Id) -> Result<Option<EventView<'a, S::Id>>, Failure<S::Id>> {
        self.spend(BudgetLine::Events, 1)?;
        let Some(view) = self.source.event(id) else {
            self.missing.push(id.clone());
            return Ok(None);
        };
        if view.id != id {
            let (asked, answered) = (id.clone(), view.id.clone());
            return Err(Box::new(ResolveError::WrongEvent { asked, answered }));
        }
        Ok(Some(view))
    }

    fn meet(&mut self, id: &'a S::Id) -> Node {
        let next = next_node(&self.slots);
        let node = *self.index.entry(id).or_insert(next);
        if node == next {
            self.slots.push(Slot::new(Some(id)));
        }
        node
    }

    /// The links to what an event cites in the same places as the event before.
    fn links_as_before(&self, auth_events: &[S::Id]) -> Range<usize> {
        let Some((before, from)) = self.previous else { return 0..0 };
        let same = auth_events.iter().zip(before).take_while(|(id, before)| id == before).count();
        from..from.saturating_add(same)
    }

    fn push(&mut self, slot: Slot<'a, S::Id>) -> Node {
        let node = next_node(&self.slots);
        self.slots.push(slot);
        node
    }

    /// Walks down with a stack of its own: chains are as long as a stranger makes them.
    fn compute_generation(&mut self, node: Node) -> Result<u64, Failure<S::Id>> {
        let mut path = vec![(node, self.links(node)?)];
        self.on_path.set(node, true);
        while let Some((node, links)) = path.last_mut() {
            let node = *node;
            let Some(position) = links.next() else {
                let generation = self.one_above_links(node)?;
                self.set_generation(node, generation);
                self.on_path.set(node, false);
                path.pop();
                continue;
            };
            let auth_event = self.link(position);
            if self.on_path.get(auth_event) {
                return Err(self.cycle_at(auth_event));
            }
            if self.known_generation(auth_event).is_none() {
                self.on_path.set(auth_event, true);
                path.push((auth_event, self.links(auth_event)?));
            }
        }
        Ok(self.known_generation(node).unwrap_or(0))
    }

    fn one_above_links(&mut self, node: Node) -> Result<u64, Failure<S::Id>> {
        let links = self.links(node)?;
        let mut generation = 0;
        for position in links {
            let below = self.known_generation(self.link(position)).unwrap_or(0);
            generation = generation.max(below.saturating_add(1));
        }
        Ok(generation)
    }
}

/// The node of the event that is pushed next.
fn next_node<Id>(slots: &[Slot<'_, Id>]) -> Node {
    // The budget for events and links keeps the number of nodes far below `u32::MAX`, or the
    // machine's memory does.
    Node(u32::try_from(slots.len()).unwrap_or(u32::MAX))
}

/// Touches the texts of events that will be looked at next: the processor waits for the memory of all
/// of them together, and not each time for that of one.
fn touch<'v, 'a: 'v, Id: 'a>(views: impl Iterator<Item = &'v EventView<'a, Id>>) {
    let mut touched = 0;
    for view in views {
        for text in [view.event_type, view.state_key.unwrap_or(""), view.sender, view.content] {
            touched ^= text.as_bytes().first().copied().unwrap_or(0);
        }
    }
    std::hint::black_box(touched);
}
