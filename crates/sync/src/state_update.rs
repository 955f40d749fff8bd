//! The state that goes with a timeline: what changed since the last sync, up to its start or its end.

use std::collections::BTreeSet;
use std::sync::Arc;

use freehold_rooms::{RoomState, StateChange, StoredEvent};
use freehold_store::{EventNumber, Position};
use ruma_client_api::filter::LazyLoadOptions;

use crate::filter::{room_event_passes, takes_room};
use crate::response::{EventJson, StateUpdate};
use crate::service::{Look, StateForm, SyncError};
use crate::timeline::Shown;
use crate::view::View;

/// The state of an answer.
pub(crate) struct ShownState {
    pub(crate) update: StateUpdate,
    /// Whether memberships changed since the last sync, or all are new.
    pub(crate) members_changed: bool,
}

/// Which state events are told.
struct WantedState {
    events: BTreeSet<EventNumber>,
    /// The user's own membership in the state to which they lead.
    own: Option<EventNumber>,
    members_changed: bool,
}

/// The time between two syncs; without `since`, all before the end.
pub(crate) struct Span {
    pub(crate) since: Option<Position>,
    /// The state at the end.
    pub(crate) end: RoomState,
}

impl Look {
    /// The state beside a timeline.
    pub(crate) async fn state_update(
        &self,
        view: &View<'_>,
        timeline: &Shown,
        span: Span,
    ) -> Result<ShownState, SyncError> {
        let wanted = self.wanted_state(view, &timeline.events, &span).await?;
        let update = self.shown_state(view, wanted.events).await?;
        Ok(ShownState { update, members_changed: wanted.members_changed })
    }

    /// The state beside the timeline of a room that the user is not in: up to where the user was last joined, nothing for who
    /// never was; and the member event that tells how the user stands to the room.
    pub(crate) async fn last_state_update(
        &self,
        view: &View<'_>,
        timeline: &Shown,
    ) -> Result<StateUpdate, SyncError> {
        let mut wanted = BTreeSet::new();
        let mut own_before = None;
        if let Some(until) = view.membership.joined_until {
            // A token from later would have it told what changed while the user was gone.
            let since = self.since().map(|since| since.min(until.position().unwrap_or_default()));
            let end = view.reader.state_until(view.room, until).await?;
            // What the user may see of the time afterwards says nothing about the state then.
            let (while_joined, _) = timeline
                .events
                .split_at(timeline.events.partition_point(|event| event.row.timeline <= Some(until)));
            WantedState { events: wanted, own: own_before, .. } =
                self.wanted_state(view, while_joined, &Span { since, end }).await?;
        }
        if let Some(own) = self.own_member_event(view, timeline).await? {
            wanted.retain(|event| Some(*event) != own_before);
            wanted.insert(own);
        }
        self.shown_state(view, wanted).await
    }

    /// The member event that tells how the user stands to the room, unless it is not here, or the timeline shows it.
    async fn own_member_event(
        &self,
        view: &View<'_>,
        timeline: &Shown,
    ) -> Result<Option<EventNumber>, SyncError> {
        let own = view.membership.event;
        let in_timeline = timeline.events.iter().any(|event| event.number == own);
        if in_timeline && self.request.state_form == StateForm::Before {
            return Ok(None);
        }
        let event = view.reader.event_if_here(own).await?;
        Ok(event.filter(|event| event.row.room == view.room).map(|event| event.number))
    }

    /// Which state events belong beside the events of a timeline.
    async fn wanted_state(
        &self,
        view: &View<'_>,
        timeline: &[Arc<StoredEvent>],
        Span { since, end }: &Span,
    ) -> Result<WantedState, SyncError> {
        let base = view.reader.state_at(view.room, since.unwrap_or_default()).await?;
        let members_changed = since.is_none() || base.changes_to(end).await?.iter().any(is_member);
        let whole = since.is_none() || self.request.full_state;
        let before = match (self.request.state_form, timeline.first()) {
            (StateForm::Before, Some(first)) => Some(view.reader.state_before(first).await?),
            _ => None,
        };
        let state = before.as_ref().unwrap_or(end);
        let base = match since {
            Some(_) if whole => view.reader.state_at(view.room, Position::default()).await?,
            _ => base,
        };
        let changes = base.changes_to(state).await?;
        let events = self.state_events(view, (changes, whole), (state, timeline)).await?;
        let own = state.number("m.room.member", self.actor.user_id.as_str()).await?;
        Ok(WantedState { events, own, members_changed })
    }

    async fn state_events(
        &self,
        view: &View<'_>,
        (changes, whole): (Vec<StateChange>, bool),
        state_and_timeline: (&RoomState, &[Arc<StoredEvent>]),
    ) -> Result<BTreeSet<EventNumber>, SyncError> {
        let mut wanted: BTreeSet<EventNumber> = BTreeSet::new();
        match self.request.filter.room.state.lazy_load_options {
            LazyLoadOptions::Enabled { include_redundant_members } => {
                let changes = changes.iter().filter(|change| !(whole && is_member(change)));
                wanted.extend(changes.filter_map(|change| change.new));
                let members = self.needed_members(view, state_and_timeline, whole).await?;
                wanted.extend(self.not_sent_before(view, members, include_redundant_members));
            }
            LazyLoadOptions::Disabled => wanted.extend(changes.iter().filter_map(|change| change.new)),
        }
        Ok(wanted)
    }

    /// State events as the filter and the form that was asked for want them.
    async fn shown_state(
        &self,
        view: &View<'_>,
        wanted: BTreeSet<EventNumber>,
    ) -> Result<StateUpdate, SyncError> {
        let filter = &self.request.filter.room.state;
        let numbers: Vec<EventNumber> = match takes_room(filter, view.room_id) {
            true => wanted.into_iter().collect(),
            false => Vec::new(),
        };
        let mut events = Vec::with_capacity(numbers.len());
        for event in view.reader.events(&numbers).await? {
            if room_event_passes(filter, event.pdu.canonical_json()) {
                events.push(view.client_event(&event).await?);
            }
        }
        Ok(self.in_its_form(events))
    }

    /// The member events without which the timeline cannot be shown: of the senders, and when all state is
    /// sent also of the user and of those after whom the room is named.
    async fn needed_members(
        &self,
        view: &View<'_>,
        (state, timeline): (&RoomState, &[Arc<StoredEvent>]),
        whole: bool,
    ) -> Result<Vec<EventNumber>, SyncError> {
        let mut users: BTreeSet<String> =
            timeline.iter().map(|event| event.pdu.sender().to_string()).collect();
        if whole {
            users.insert(self.actor.user_id.to_string());
            users.extend(view.heroes().await?.into_iter().flatten().map(String::from));
        }
        let mut members = Vec::with_capacity(users.len());
        for user in users {
            members.extend(state.number("m.room.member", &user).await?);
        }
        Ok(members)
    }

    fn not_sent_before(
        &self,
        view: &View<'_>,
        mut members: Vec<EventNumber>,
        include_redundant_members: bool,
    ) -> Vec<EventNumber> {
        let key = (self.device, view.room);
        let sent = &self.inner.sent_members;
        if self.since().is_none() {
            sent.forget(key);
        }
        members.retain(|event| include_redundant_members || sent.is_new(key, *event));
        members.iter().for_each(|event| sent.remember(key, *event));
        members
    }

    fn in_its_form(&self, events: Vec<EventJson>) -> StateUpdate {
        let events = Some(events.into());
        match self.request.state_form {
            StateForm::Before => StateUpdate { state: events, ..StateUpdate::default() },
            StateForm::After => StateUpdate { state_after: events, ..StateUpdate::default() },
            StateForm::UnstableAfter => {
                StateUpdate { unstable_state_after: events, ..StateUpdate::default() }
            }
        }
    }
}

fn is_member(change: &StateChange) -> bool {
    change.event_type == "m.room.member"
}
