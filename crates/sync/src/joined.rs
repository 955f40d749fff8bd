//! News of one room: its timeline, the state that goes with it, and what is beside the graph.

use freehold_store::{Position, RoomNumber, TimelineIndex};
use ruma_common::UserId;
use serde_json::json;
use serde_json::value::to_raw_value;

use crate::filter::{limit, room_event_passes, takes_room};
use crate::receipts::{RoomReceipts, receipt_events};
use crate::response::{EventJson, JoinedRoom, LeftRoom, Summary};
use crate::rooms_update::{Standing, is_before};
use crate::service::{Look, SyncError};
use crate::state_update::Span;
use crate::timeline::Window;
use crate::view::View;

impl Look {
    /// News of a room that the user is in.
    pub(crate) async fn joined_room(&self, standing: &Standing) -> Result<JoinedRoom, SyncError> {
        let view = View::new(self, standing);
        let anew = is_before(self.since(), standing.membership.since);
        let since = self.since().filter(|_| !anew);
        let to = TimelineIndex::last_of(self.snapshot.position());
        let window = Window { after: since.map(TimelineIndex::last_of), to, check_visibility: anew };
        let timeline = self.timeline(&view, &window).await?;
        let span = Span { since, end: view.current_state().await? };
        let state = self.state_update(&view, &timeline, span).await?;
        let to = self.snapshot.position();
        let receipts = RoomReceipts::read(&self.snapshot, (standing.room, &self.actor), since, to).await?;
        let counts = self.unread_counts(&view, &receipts.own).await?;
        let ephemeral = self.ephemeral(standing, since, receipts).await?;
        let by_thread = self.request.filter.room.timeline.unread_thread_notifications;
        let summary = match state.members_changed && !self.reader.is_partial(standing.room).await? {
            true => self.summary(&view).await?,
            // How many there are, and who, is not known yet.
            false => Summary::default(),
        };
        Ok(JoinedRoom {
            summary,
            state: state.update,
            timeline: timeline.update,
            ephemeral: ephemeral.into(),
            account_data: self.own_data(standing).into(),
            unread_notifications: Some(if by_thread { counts.main } else { counts.total() }),
            unread_thread_notifications: if by_thread { counts.threads } else { Default::default() },
        })
    }

    /// News of a room that the user left or was banned from, or whose invite or knock came to nothing: of the timeline what
    /// the user may see, of the state what was told while the user was joined.
    pub(crate) async fn left_room(&self, standing: &Standing) -> Result<LeftRoom, SyncError> {
        let view = View::new(self, standing);
        let to = TimelineIndex::last_of(standing.membership.since);
        let window = Window { after: self.since().map(TimelineIndex::last_of), to, check_visibility: true };
        let timeline = self.timeline(&view, &window).await?;
        let state = self.last_state_update(&view, &timeline).await?;
        let account_data = self.own_data(standing).into();
        Ok(LeftRoom { state, timeline: timeline.update, account_data })
    }

    /// Receipts and typing, as their filter wants them.
    async fn ephemeral(
        &self,
        standing: &Standing,
        since: Option<Position>,
        receipts: RoomReceipts,
    ) -> Result<Vec<EventJson>, SyncError> {
        if !takes_room(&self.request.filter.room.ephemeral, &standing.room_id) {
            return Ok(Vec::new());
        }
        let is_told = |user: &UserId| self.is_told_of(user);
        let mut ephemeral = receipt_events(&self.snapshot, self.actor.user, receipts.news, is_told).await?;
        ephemeral.extend(self.typing_event(standing.room, since));
        let filter = &self.request.filter.room.ephemeral;
        ephemeral.retain(|event| room_event_passes(filter, event.get()));
        limit(&mut ephemeral, filter.limit);
        Ok(ephemeral)
    }

    /// Whether the user is told what somebody reads and types, and whether they are there.
    pub(crate) fn is_told_of(&self, user: &UserId) -> bool {
        self.reader.is_told_of(&self.viewer, user) && !self.ignored.contains(user)
    }

    /// The user's own data for a room, as its filter wants it.
    fn own_data(&self, standing: &Standing) -> Vec<EventJson> {
        let filter = &self.request.filter.room.account_data;
        if !takes_room(filter, &standing.room_id) {
            return Vec::new();
        }
        let mut account_data = self.account_data.get(&Some(standing.room)).cloned().unwrap_or_default();
        account_data.retain(|event| room_event_passes(filter, event.get()));
        limit(&mut account_data, filter.limit);
        account_data
    }

    fn typing_event(&self, room: RoomNumber, since: Option<Position>) -> Option<EventJson> {
        let (typing, tenant) = (&self.inner.typing, self.actor.tenant.number());
        let changed = typing.has_changed((room, tenant), self.typing_since);
        let mut users = typing.users(room, tenant);
        users.retain(|user| self.is_told_of(user));
        let is_news = if since.is_some() { changed } else { !users.is_empty() };
        let event = json!({ "type": "m.typing", "content": { "user_ids": users } });
        is_news.then(|| to_raw_value(&event).ok()).flatten()
    }

    /// What the client needs to name the room.
    async fn summary(&self, view: &View<'_>) -> Result<Summary, SyncError> {
        let heroes = view.heroes().await?;
        let Some(current) = view.current().await? else {
            return Ok(Summary::default());
        };
        Ok(Summary {
            heroes,
            joined_member_count: Some(current.joined),
            invited_member_count: Some(current.invited),
        })
    }
}
