//! Whether a server may see an event: whether one of its users may
//! (<https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-6>).

use std::collections::BTreeMap;
use std::sync::Arc;

use freehold_event::server_name_of;
use freehold_store::tables::rooms::Membership;
use freehold_store::{RoomNumber, StateKeyNumber, UserNumber};
use ruma_common::ServerName;

use super::{ServerView, text};
use crate::read::{HistoryVisibility, Reader, RoomState, StoredEvent, Unreadable};

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
            visible.push(before.allows() || (self.is_in && self.after(event, before).await?));
        }
        Ok(visible)
    }

    async fn moment(&self, state: &RoomState) -> Result<Moment, Unreadable> {
        // Nobody of a server that is not in the room joined after anything: what counts is who was there.
        let visibility = match self.is_in {
            true => HistoryVisibility::of_state(state).await?,
            false => HistoryVisibility::Joined,
        };
        let is_open = matches!(visibility, HistoryVisibility::WorldReadable | HistoryVisibility::Shared);
        let has_member =
            is_open || (self.was_host(state).await? && self.has_member(state, visibility).await?);
        Ok(Moment { visibility, has_member })
    }

    async fn has_member(&self, state: &RoomState, visibility: HistoryVisibility) -> Result<bool, Unreadable> {
        self.any_lets_see(self.users().await?, state, visibility).await
    }

    async fn any_lets_see(
        &self,
        keys: &[StateKeyNumber],
        state: &RoomState,
        visibility: HistoryVisibility,
    ) -> Result<bool, Unreadable> {
        for key in keys {
            if let Some(number) = state.number_at(*key).await?
                && lets_see(visibility, self.reader.event(number).await?.row.membership)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An event that the server may see: whole, or what a redaction leaves of it, if its sender asked that it be shown to
    /// nobody new and the server had nobody in the room then. Parts of states are whole always: what follows from them is to be
    /// the same everywhere.
    pub(super) async fn text_for(&self, event: &Arc<StoredEvent>) -> Result<String, Unreadable> {
        if event.row.state_key.is_some() || self.reader.erasure_of(event).await?.is_none() {
            return Ok(text(&event.pdu));
        }
        let state = self.reader.state_before(event).await?;
        let was_in = self.any_lets_see(self.users().await?, &state, HistoryVisibility::Joined).await?;
        Ok(if was_in { text(&event.pdu) } else { text(&event.pdu.redacted()) })
    }

    /// The member keys of the server's users.
    pub(super) async fn users(&self) -> Result<&Vec<StateKeyNumber>, Unreadable> {
        self.users.get_or_try_init(|| self.reader.member_keys(self.room.number, &self.server)).await
    }

    /// Whether a tenant that is no longer in the room had somebody in it then.
    async fn was_host(&self, state: &RoomState) -> Result<bool, Unreadable> {
        match &self.hosts {
            Some(hosts) => self.any_lets_see(hosts, state, HistoryVisibility::Joined).await,
            None => Ok(true),
        }
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

impl Reader {
    /// The member keys of some users.
    pub(super) async fn keys_of_members(
        &self,
        users: &[UserNumber],
    ) -> Result<Vec<StateKeyNumber>, Unreadable> {
        let mut keys = Vec::with_capacity(users.len());
        for user_id in self.snapshot.ids_of(users).await? {
            keys.extend(self.key_number("m.room.member", user_id.as_str()).await?);
        }
        Ok(keys)
    }

    /// The member keys of a server's users in a room, taken from the current state: whoever was a member once has an entry
    /// there. The whole state is gone through: only for servers that were in the room.
    pub(super) async fn member_keys(
        &self,
        room: RoomNumber,
        server: &ServerName,
    ) -> Result<Vec<StateKeyNumber>, Unreadable> {
        let entries = self.current_state(room).await?.numbers().await?;
        let numbers: Vec<StateKeyNumber> = entries.into_iter().map(|(key, _)| key).collect();
        let keys = self.state_keys(&numbers).await?;
        let is_user = |key: &(String, String)| {
            key.0 == "m.room.member" && server_name_of(&key.1) == Some(server.as_str())
        };
        Ok(numbers.into_iter().zip(keys).filter(|(_, key)| is_user(key)).map(|(number, _)| number).collect())
    }
}
