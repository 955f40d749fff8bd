//! Whether a server may see an event: whether one of its users may
//! (<https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-6>).

use std::collections::BTreeMap;
use std::sync::Arc;

use freehold_event::server_name_of;
use freehold_store::StateKeyNumber;
use freehold_store::tables::rooms::Membership;

use super::ServerView;
use crate::read::{HistoryVisibility, RoomState, StoredEvent, Unreadable};

/// What decides, at one moment.
#[derive(Clone, Copy)]
struct Moment {
    visibility: HistoryVisibility,
    /// Whether the memberships of the server's users at that moment let it see the event.
    has_member: bool,
}

impl Moment {
    /// The rules for users, over all users of the server. It has somebody in the room now, who "joined the room at any
    /// point after the event was sent" or was there.
    ///
    /// > 1. If the `history_visibility` was set to `world_readable`, allow.
    /// > 2. If the user's `membership` was `join`, allow.
    /// > 3. If `history_visibility` was set to `shared`, and the user joined the room at any point after the event
    /// >    was sent, allow.
    /// > 4. If the user's `membership` was `invite`, and the `history_visibility` was set to `invited`, allow.
    /// > 5. Otherwise, deny.
    fn allows(self) -> bool {
        match self.visibility {
            HistoryVisibility::WorldReadable | HistoryVisibility::Shared => true,
            HistoryVisibility::Invited | HistoryVisibility::Joined => self.has_member,
        }
    }
}

/// Whether a membership lets its user see what is said.
fn lets_see(visibility: HistoryVisibility, membership: Option<Membership>) -> bool {
    match membership {
        Some(Membership::Join) => true,
        Some(Membership::Invite) => visibility == HistoryVisibility::Invited,
        _ => false,
    }
}

impl ServerView {
    /// Which of some events of the room the server may see.
    pub(super) async fn visible(&self, events: &[Arc<StoredEvent>]) -> Result<Vec<bool>, Unreadable> {
        let mut moments = BTreeMap::new();
        let mut visible = Vec::with_capacity(events.len());
        for event in events {
            let Some(root) = event.row.state_before else {
                visible.push(false);
                continue;
            };
            let before = match moments.get(&root) {
                Some(moment) => *moment,
                None => {
                    let moment = self.moment(&self.reader.state_before(event).await?).await?;
                    moments.insert(root, moment);
                    moment
                }
            };
            visible.push(before.allows() || self.after(event, before).await?);
        }
        Ok(visible)
    }

    async fn moment(&self, state: &RoomState) -> Result<Moment, Unreadable> {
        let visibility = HistoryVisibility::of_state(state).await?;
        let is_open = matches!(visibility, HistoryVisibility::WorldReadable | HistoryVisibility::Shared);
        let has_member = is_open || self.has_member(state, visibility).await?;
        Ok(Moment { visibility, has_member })
    }

    async fn has_member(&self, state: &RoomState, visibility: HistoryVisibility) -> Result<bool, Unreadable> {
        for key in self.users().await? {
            if let Some(number) = state.number_at(*key).await?
                && lets_see(visibility, self.reader.event(number).await?.row.membership)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The member keys of the server's users, taken from the current state: whoever was a member once has an entry there.
    async fn users(&self) -> Result<&Vec<StateKeyNumber>, Unreadable> {
        let users = async || -> Result<Vec<StateKeyNumber>, Unreadable> {
            let entries = self.current_state().await?.numbers().await?;
            let numbers: Vec<StateKeyNumber> = entries.into_iter().map(|(key, _)| key).collect();
            let keys = self.reader.state_keys(&numbers).await?;
            let is_user = |key: &(String, String)| {
                key.0 == "m.room.member" && server_name_of(&key.1) == Some(self.server.as_str())
            };
            Ok(numbers
                .into_iter()
                .zip(keys)
                .filter(|(_, key)| is_user(key))
                .map(|(number, _)| number)
                .collect())
        };
        self.users.get_or_try_init(users).await
    }

    /// Whether an event that is about what decides is visible by what it makes of it.
    async fn after(&self, event: &StoredEvent, before: Moment) -> Result<bool, Unreadable> {
        if event.is_state("m.room.history_visibility", "") {
            let visibility = HistoryVisibility::of_content(event.pdu.content());
            let has_member = before.has_member
                || self.has_member(&self.reader.state_before(event).await?, visibility).await?;
            return Ok(Moment { visibility, has_member }.allows());
        }
        let is_member = event.pdu.event_type() == "m.room.member";
        let is_own = event.pdu.state_key().and_then(server_name_of) == Some(self.server.as_str());
        Ok(is_member && is_own && lets_see(before.visibility, event.row.membership))
    }
}
