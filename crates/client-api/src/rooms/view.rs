//! A room as one user may see it.

use std::collections::BTreeSet;
use std::sync::Arc;

use freehold_rooms::{Between, ClientFormat, Reader, RoomState, Rooms, StoredEvent, Unreadable, Viewer};
use freehold_store::tables::rooms::{Membership, MembershipRow};
use freehold_store::{DeviceNumber, EventNumber, Order, RoomNumber, TimelineIndex};
use ruma_client_api::filter::RoomEventFilter;
use ruma_common::api::error::ErrorCode;
use ruma_common::serde::Raw;
use ruma_common::{EventId, OwnedRoomId, OwnedUserId};

use super::error::not_in_room;
use crate::authenticated::Authenticated;
use crate::error::ApiError;

/// How many events of a timeline are looked at for one answer, most of which a filter may leave out.
const LOOKED_AT_MAX: usize = 2_000;

/// A room, seen by a user who is in it or was.
pub(crate) struct View {
    pub(crate) reader: Reader,
    pub(crate) room: RoomNumber,
    pub(crate) room_id: OwnedRoomId,
    viewer: Viewer,
    device: Option<DeviceNumber>,
    membership: MembershipRow,
    /// Whom the user ignores.
    ignored: BTreeSet<OwnedUserId>,
}

/// A part of a timeline as a user may see it.
pub(crate) struct Page {
    /// The events, in the order of reading.
    pub(crate) events: Vec<Arc<StoredEvent>>,
    /// The last place that was read; `None` when nothing was there.
    pub(crate) last: Option<TimelineIndex>,
    /// Whether there is nothing more in that direction.
    pub(crate) is_end: bool,
}

impl View {
    /// Opens a room for somebody who is joined, or was, and did not forget it.
    ///
    /// # Errors
    /// `M_FORBIDDEN`, the same whether there is such a room or not.
    pub(crate) async fn open(
        rooms: &Rooms,
        user: &Authenticated,
        room_id: OwnedRoomId,
    ) -> Result<Self, ApiError> {
        let reader = rooms.reader()?;
        let room = reader.room_number(&room_id).await?.ok_or_else(not_in_room)?;
        let membership = reader.membership(user.actor.user, room).await?;
        let membership = membership
            .filter(|row| !row.forgotten)
            .filter(|row| row.membership == Membership::Join || row.joined_until.is_some())
            .ok_or_else(not_in_room)?;
        let viewer = Viewer::from(&user.actor);
        let ignored = reader.ignored_by(user.actor.user).await?;
        Ok(View { reader, room, room_id, viewer, device: user.actor.device, membership, ignored })
    }

    /// The same, for who is joined now.
    ///
    /// # Errors
    /// `M_FORBIDDEN`.
    pub(crate) async fn open_joined(
        rooms: &Rooms,
        user: &Authenticated,
        room_id: OwnedRoomId,
    ) -> Result<Self, ApiError> {
        let view = View::open(rooms, user, room_id).await?;
        if view.is_joined() { Ok(view) } else { Err(not_in_room()) }
    }

    /// Whether the room has a history before what is here, of which the user may see some.
    pub(crate) async fn has_older_events(&self) -> Result<bool, ApiError> {
        Ok(self.is_joined() && !self.reader.missing_prev_events(self.room, 1).await?.is_empty())
    }

    /// Whether the user is joined now.
    pub(crate) fn is_joined(&self) -> bool {
        self.membership.membership == Membership::Join
    }

    /// The newest state that the user may see: that of now, or of the moment of leaving.
    pub(crate) async fn state(&self) -> Result<RoomState, ApiError> {
        match self.left_at() {
            None => Ok(self.reader.current_state(self.room).await?),
            Some(left) => Ok(self.reader.state_until(self.room, left).await?),
        }
    }

    /// The state at a place of the timeline, as far as the user may see it: of one before the user came in, which is not shown,
    /// the state in which the user did.
    pub(crate) async fn state_at(&self, place: TimelineIndex) -> Result<RoomState, ApiError> {
        let was_there = self.left_at().is_none_or(|left| place < left);
        let Some(position) = place.position().filter(|_| was_there) else {
            return self.state().await;
        };
        let state = self.reader.state_at(self.room, position).await?;
        if self.reader.is_state_visible(&self.viewer, &self.membership, (&state, place)).await? {
            return Ok(state);
        }
        match self.is_joined() {
            true => Ok(self.reader.state_at(self.room, self.membership.since).await?),
            false => self.state().await,
        }
    }

    /// The state after an event, as far as the user may see it: of one after having left, the state of the moment of leaving.
    pub(crate) async fn state_beside(&self, event: &StoredEvent) -> Result<RoomState, ApiError> {
        match event.row.timeline.is_some_and(|index| index >= self.end()) {
            true => self.state().await,
            false => Ok(self.reader.state_after(event).await?),
        }
    }

    /// Where the user left the room; `None` for who is in it.
    pub(crate) fn left_at(&self) -> Option<TimelineIndex> {
        if self.is_joined() { None } else { self.membership.joined_until }
    }

    /// The end of what the user looks at: nothing after having left.
    pub(crate) fn end(&self) -> TimelineIndex {
        self.left_at().map_or(TimelineIndex(i64::MAX), |left| TimelineIndex(left.0.saturating_add(1)))
    }

    /// An event of the room that the user may see, and that is of nobody whom the user ignores.
    ///
    /// # Errors
    /// `M_NOT_FOUND`, the same whether there is such an event or not.
    pub(crate) async fn event(&self, event_id: &EventId) -> Result<Arc<StoredEvent>, ApiError> {
        let found = self.event_of_anybody(event_id).await?;
        if self.is_ignored(&found) { Err(no_such_event()) } else { Ok(found) }
    }

    /// The same, or state that came with the room and has no place in its timeline.
    ///
    /// # Errors
    /// `M_NOT_FOUND`, the same whether there is such an event or not.
    pub(crate) async fn event_or_state(&self, event_id: &EventId) -> Result<Arc<StoredEvent>, ApiError> {
        let place = (self.room, &self.membership);
        match self.reader.state_event_seen(&self.viewer, place, event_id).await? {
            Some(state) => Ok(state),
            None => self.event(event_id).await,
        }
    }

    /// Whether an event is of somebody whom the user ignores.
    pub(crate) fn is_ignored(&self, event: &StoredEvent) -> bool {
        event.is_ignored(&self.ignored)
    }

    /// An event of the room that the user may see, whoever sent it.
    ///
    /// # Errors
    /// `M_NOT_FOUND`, the same whether there is such an event or not.
    pub(crate) async fn event_of_anybody(&self, event_id: &EventId) -> Result<Arc<StoredEvent>, ApiError> {
        let found = self.reader.event_of_room(self.room, event_id).await?.ok_or_else(no_such_event)?;
        let visible = self.reader.visible(&self.viewer, self.room, std::slice::from_ref(&found)).await?;
        if visible.first() == Some(&true) { Ok(found) } else { Err(no_such_event()) }
    }

    /// Up to `limit` events of a part of the timeline that the user may see and the filter lets pass.
    pub(crate) async fn page(
        &self,
        mut between: Between,
        order: Order,
        limit: usize,
        filter: &RoomEventFilter,
    ) -> Result<Page, ApiError> {
        let mut page = Page { events: Vec::new(), last: None, is_end: false };
        let mut looked_at = 0;
        while page.events.len() < limit && !page.is_end && looked_at < LOOKED_AT_MAX {
            let wanted = (limit - page.events.len()).max(16);
            let rows = self.reader.timeline(self.room, between, order, wanted).await?;
            page.is_end = rows.len() < wanted;
            looked_at += rows.len();
            self.take(rows, limit, filter, &mut page).await?;
            if let Some(last) = page.last {
                match order {
                    Order::Descending => between.before = last,
                    Order::Ascending => between.after = last,
                }
            }
        }
        Ok(page)
    }

    /// Takes of read events what is to be shown, until the page is full.
    async fn take(
        &self,
        rows: Vec<(TimelineIndex, EventNumber)>,
        limit: usize,
        filter: &RoomEventFilter,
        page: &mut Page,
    ) -> Result<(), ApiError> {
        let numbers: Vec<EventNumber> = rows.iter().map(|(_, number)| *number).collect();
        let events = self.reader.events(&numbers).await?;
        let visible = self.reader.visible(&self.viewer, self.room, &events).await?;
        for (((index, _), event), visible) in rows.into_iter().zip(events).zip(visible) {
            if page.events.len() == limit {
                page.is_end = false;
                break;
            }
            page.last = Some(index);
            let is_shown = visible && !self.is_ignored(&event);
            if is_shown && freehold_sync::filter::room_event_passes(filter, event.pdu.canonical_json()) {
                page.events.push(event);
            }
        }
        Ok(())
    }

    /// Those of some events that the user may see, and that are of nobody whom the user ignores.
    pub(crate) async fn visible(
        &self,
        events: Vec<Arc<StoredEvent>>,
    ) -> Result<Vec<Arc<StoredEvent>>, ApiError> {
        let visible = self.reader.visible(&self.viewer, self.room, &events).await?;
        let events = events.into_iter().zip(visible);
        let shown = events.filter(|(event, visible)| *visible && !self.is_ignored(event));
        Ok(shown.map(|(event, _)| event).collect())
    }

    /// An event as the user's device sees it.
    pub(crate) async fn shown<T>(&self, event: &Arc<StoredEvent>) -> Result<Raw<T>, ApiError> {
        let who = (&self.viewer, self.device);
        let json = self.reader.client_event(who, event, ClientFormat::Whole).await?;
        Ok(Raw::from_json(json))
    }

    /// Events as the user's device sees them.
    pub(crate) async fn all_shown<T>(&self, events: &[Arc<StoredEvent>]) -> Result<Vec<Raw<T>>, ApiError> {
        let mut shown = Vec::new();
        for event in events {
            shown.push(self.shown(event).await?);
        }
        Ok(shown)
    }

    /// The membership events of those who sent some events, each once.
    pub(crate) async fn senders(
        &self,
        state: &RoomState,
        events: &[Arc<StoredEvent>],
    ) -> Result<Vec<Arc<StoredEvent>>, ApiError> {
        let senders: BTreeSet<&str> = events.iter().map(|event| event.pdu.sender().as_str()).collect();
        let mut members = Vec::with_capacity(senders.len());
        for sender in senders {
            members.extend(state.get("m.room.member", sender).await?);
        }
        Ok(members)
    }
}

fn no_such_event() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such event, or you may not see it")
}

impl From<Unreadable> for ApiError {
    fn from(error: Unreadable) -> Self {
        ApiError::internal(error)
    }
}
