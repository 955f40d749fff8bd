//! The state that goes with a timeline: what changed since the last sync, up to its start or its end.

use std::collections::BTreeSet;

use freehold_rooms::{RoomState, StateChange};
use freehold_store::{EventNumber, Position};
use ruma_client_api::filter::LazyLoadOptions;

use crate::filter::room_event_passes;
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

/// The time between two syncs; without `since`, all before `to`.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) since: Option<Position>,
    pub(crate) to: Position,
}

impl Look {
    /// The state beside a timeline.
    pub(crate) async fn state_update(
        &self,
        view: &View<'_>,
        timeline: &Shown,
        span: Span,
    ) -> Result<ShownState, SyncError> {
        let end = match span.to == view.reader.position() {
            true => view.current_state().await?,
            false => view.reader.state_at(view.room, span.to).await?,
        };
        let base = view.reader.state_at(view.room, span.since.unwrap_or_default()).await?;
        let members_changed = span.since.is_none() || base.changes_to(&end).await?.iter().any(is_member);
        let whole = span.since.is_none() || self.request.full_state;
        let wanted = match (self.request.state_form, timeline.events.first()) {
            (StateForm::Before, Some(first)) => view.reader.state_before(first).await?,
            _ => end,
        };
        let base = match span.since {
            Some(_) if whole => view.reader.state_at(view.room, Position::default()).await?,
            _ => base,
        };
        let changes = base.changes_to(&wanted).await?;
        let events = self.state_events(view, (changes, whole), (&wanted, timeline)).await?;
        Ok(ShownState { update: self.in_its_form(events), members_changed })
    }

    async fn state_events(
        &self,
        view: &View<'_>,
        (changes, whole): (Vec<StateChange>, bool),
        (state, timeline): (&RoomState, &Shown),
    ) -> Result<Vec<EventJson>, SyncError> {
        let mut wanted: BTreeSet<EventNumber> = BTreeSet::new();
        let filter = &self.request.filter.room.state;
        match filter.lazy_load_options {
            LazyLoadOptions::Enabled { include_redundant_members } => {
                let changes = changes.iter().filter(|change| !(whole && is_member(change)));
                wanted.extend(changes.filter_map(|change| change.new));
                let members = self.needed_members(view, (state, timeline), whole).await?;
                wanted.extend(self.not_sent_before(view, members, include_redundant_members));
            }
            LazyLoadOptions::Disabled => wanted.extend(changes.iter().filter_map(|change| change.new)),
        }
        let numbers: Vec<EventNumber> = wanted.into_iter().collect();
        let mut events = Vec::with_capacity(numbers.len());
        for event in view.reader.events(&numbers).await? {
            if room_event_passes(filter, event.pdu.canonical_json()) {
                events.push(view.client_event(&event).await?);
            }
        }
        Ok(events)
    }

    /// The member events without which the timeline cannot be shown: of the senders, and when all state is
    /// sent also of the user and of those after whom the room is named.
    async fn needed_members(
        &self,
        view: &View<'_>,
        (state, timeline): (&RoomState, &Shown),
        whole: bool,
    ) -> Result<Vec<EventNumber>, SyncError> {
        let mut users: BTreeSet<String> =
            timeline.events.iter().map(|event| event.pdu.sender().to_string()).collect();
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
