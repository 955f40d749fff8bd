//! Who may see an event
//! (<https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-6>).

use std::collections::BTreeMap;
use std::sync::Arc;

use freehold_canonical_json::member;
use freehold_state_map::NodeId;
use freehold_store::tables::rooms::{Membership, MembershipRow, Standing};
use freehold_store::{RoomNumber, Tenant, TimelineIndex, UserNumber};
use ruma_common::OwnedUserId;

use super::{Reader, RoomState, StoredEvent, Unreadable};

/// Who looks: a user of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The user.
    pub user: UserNumber,
    /// The user's id.
    pub user_id: OwnedUserId,
    /// The tenant.
    pub tenant: Tenant,
}

impl From<&freehold_store::Actor> for Viewer {
    fn from(actor: &freehold_store::Actor) -> Self {
        Viewer { user: actor.user, user_id: actor.user_id.clone(), tenant: actor.tenant.clone() }
    }
}

/// `history_visibility`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistoryVisibility {
    WorldReadable,
    Shared,
    Invited,
    Joined,
}

impl HistoryVisibility {
    /// "By default if no `history_visibility` is set, or if the value is not understood, the visibility is assumed to be
    /// `shared`."
    pub(crate) fn of_content(content: &str) -> Self {
        let value = member(content, "history_visibility").ok().flatten();
        match value.and_then(|value| value.as_str()).as_deref() {
            Some("world_readable") => Self::WorldReadable,
            Some("invited") => Self::Invited,
            Some("joined") => Self::Joined,
            _ => Self::Shared,
        }
    }

    pub(crate) async fn of_state(state: &RoomState) -> Result<Self, Unreadable> {
        let event = state.get("m.room.history_visibility", "").await?;
        Ok(event.map_or(Self::Shared, |event| Self::of_content(event.pdu.content())))
    }
}

/// What decides, at one moment.
#[derive(Clone, Copy, Debug)]
struct Moment {
    visibility: HistoryVisibility,
    membership: Option<Membership>,
}

impl Moment {
    /// > 1. If the `history_visibility` was set to `world_readable`, allow.
    /// > 2. If the user's `membership` was `join`, allow.
    /// > 3. If `history_visibility` was set to `shared`, and the user joined the room at any point after the event
    /// >    was sent, allow.
    /// > 4. If the user's `membership` was `invite`, and the `history_visibility` was set to `invited`, allow.
    /// > 5. Otherwise, deny.
    fn allows(self, joined_later: bool) -> bool {
        match (self.visibility, self.membership) {
            (HistoryVisibility::WorldReadable, _) | (_, Some(Membership::Join)) => true,
            (HistoryVisibility::Shared, _) => joined_later,
            (HistoryVisibility::Invited, Some(Membership::Invite)) => true,
            _ => false,
        }
    }
}

impl Reader {
    /// Which of some events of a room a user may see, and is not kept from by the policy of the user's tenant.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn visible(
        &self,
        viewer: &Viewer,
        room: RoomNumber,
        events: &[Arc<StoredEvent>],
    ) -> Result<Vec<bool>, Unreadable> {
        let row = self.membership(viewer.user, room).await?;
        self.visible_to(viewer, (room, row.as_ref()), events).await
    }

    /// The same for a user whose membership of the room was read already.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn visible_to(
        &self,
        viewer: &Viewer,
        (room, row): (RoomNumber, Option<&MembershipRow>),
        events: &[Arc<StoredEvent>],
    ) -> Result<Vec<bool>, Unreadable> {
        self.derive_states(events).await?;
        let mut moments = BTreeMap::new();
        let mut visible = Vec::with_capacity(events.len());
        for (event, withheld) in events.iter().zip(self.withheld(viewer, events).await) {
            let of_room = event.row.room == room && event.row.standing == Standing::Accepted && !withheld;
            visible.push(of_room && self.is_visible(viewer, event, row, &mut moments).await?);
        }
        Ok(visible)
    }

    /// Whether a user may see a state of a room that was the newest at a place in its timeline, as an event there.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn is_state_visible(
        &self,
        viewer: &Viewer,
        row: &MembershipRow,
        (state, at): (&RoomState, TimelineIndex),
    ) -> Result<bool, Unreadable> {
        Ok(self.moment(viewer, state).await?.allows(joined_after(row, Some(at))))
    }

    async fn is_visible(
        &self,
        viewer: &Viewer,
        event: &StoredEvent,
        row: Option<&MembershipRow>,
        moments: &mut BTreeMap<NodeId, Moment>,
    ) -> Result<bool, Unreadable> {
        let Some(root) = event.row.state_before.map(NodeId::from_bytes) else {
            return Ok(false);
        };
        let before = match moments.get(&root) {
            Some(moment) => *moment,
            None => {
                let moment = self.moment(viewer, &self.state_before(event).await?).await?;
                moments.insert(root, moment);
                moment
            }
        };
        let joined_later = row.is_some_and(|row| joined_after(row, event.row.timeline));
        Ok(before.allows(joined_later)
            || after(viewer, event, before).is_some_and(|moment| moment.allows(joined_later)))
    }

    async fn moment(&self, viewer: &Viewer, state: &RoomState) -> Result<Moment, Unreadable> {
        let visibility = HistoryVisibility::of_state(state).await?;
        let member = state.get("m.room.member", viewer.user_id.as_str()).await?;
        Ok(Moment { visibility, membership: member.and_then(|event| event.row.membership) })
    }

    /// A user's membership at the time of an event; for the user's own membership events, what they make of it
    /// (`unsigned.membership`, <https://spec.matrix.org/v1.19/client-server-api/#room-event-format>).
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn membership_at(
        &self,
        viewer: &Viewer,
        event: &StoredEvent,
    ) -> Result<Option<Membership>, Unreadable> {
        if event.is_state("m.room.member", viewer.user_id.as_str()) {
            return Ok(event.row.membership);
        }
        let member = self.state_before(event).await?.get("m.room.member", viewer.user_id.as_str()).await?;
        Ok(member.and_then(|event| event.row.membership))
    }
}

/// Whether a user was joined at any time after an event.
fn joined_after(row: &MembershipRow, event: Option<TimelineIndex>) -> bool {
    row.membership == Membership::Join
        || row.joined_until.zip(event).is_some_and(|(until, event)| event < until)
}

/// The moment after an event that is about what decides: its own change of visibility, the user's own membership.
fn after(viewer: &Viewer, event: &StoredEvent, before: Moment) -> Option<Moment> {
    if event.is_state("m.room.history_visibility", "") {
        let visibility = HistoryVisibility::of_content(event.pdu.content());
        return Some(Moment { visibility, ..before });
    }
    event
        .is_state("m.room.member", viewer.user_id.as_str())
        .then_some(Moment { membership: event.row.membership, ..before })
}
