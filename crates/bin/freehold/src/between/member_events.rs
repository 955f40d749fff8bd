//! The member events of a user, as accounts ask for them.

use freehold_accounts::{MemberEvents, ServerFailure};
use freehold_rooms::{ActionError, NewEvent, Profiles as _, Reader, Rooms};
use freehold_store::tables::rooms::Membership;
use freehold_store::{Actor, BoxFuture, RoomNumber, Store, UserNumber};
use ruma_common::OwnedRoomId;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use super::profiles::ProfilesOfAccounts;

/// Rooms, as far as they show what accounts say.
pub(crate) struct MemberEventsInRooms {
    pub(crate) rooms: Rooms,
    pub(crate) store: Store,
}

impl MemberEvents for MemberEventsInRooms {
    fn rooms<'a>(
        &'a self,
        actor: &'a Actor,
        after: Option<RoomNumber>,
    ) -> BoxFuture<'a, Result<Vec<RoomNumber>, ServerFailure>> {
        Box::pin(async move {
            let memberships = self.reader()?.memberships(actor.user).await.map_err(failed)?;
            let present =
                |membership| matches!(membership, Membership::Join | Membership::Invite | Membership::Knock);
            let rooms = memberships.into_iter().filter(|(_, row)| present(row.membership));
            let mut rooms: Vec<RoomNumber> =
                rooms.map(|(room, _)| room).filter(|room| after.is_none_or(|after| *room > after)).collect();
            rooms.sort_unstable();
            Ok(rooms)
        })
    }

    fn show_profile<'a>(
        &'a self,
        actor: &'a Actor,
        room: RoomNumber,
    ) -> BoxFuture<'a, Result<(), ServerFailure>> {
        Box::pin(async move {
            let reader = self.reader()?;
            let membership = reader.membership(actor.user, room).await.map_err(failed)?;
            if membership.is_none_or(|row| row.membership != Membership::Join) {
                return Ok(());
            }
            let profile = ProfilesOfAccounts(self.store.clone());
            let shown = profile.member_profile(&actor.tenant, &actor.user_id).await;
            let Some(room_id) = room_id(&reader, room).await? else { return Ok(()) };
            let Some(content) = self.changed_content(&reader, actor, (room, &shown)).await? else {
                return Ok(());
            };
            self.send(actor, &room_id, content).await
        })
    }

    fn leave<'a>(&'a self, actor: &'a Actor, room: RoomNumber) -> BoxFuture<'a, Result<(), ServerFailure>> {
        Box::pin(async move {
            let Some(room_id) = room_id(&self.reader()?, room).await? else { return Ok(()) };
            settled(self.rooms.leave(actor, &room_id, None).await)
        })
    }

    fn erased(&self, user: UserNumber) -> BoxFuture<'_, Result<(), ServerFailure>> {
        Box::pin(async move { self.rooms.note_erased(user).await.map_err(failed) })
    }
}

impl MemberEventsInRooms {
    fn reader(&self) -> Result<Reader, ServerFailure> {
        Ok(self.rooms.reader()?)
    }

    /// The content of a member event that shows the profile; `None` if the room shows it already.
    async fn changed_content(
        &self,
        reader: &Reader,
        actor: &Actor,
        (room, shown): (RoomNumber, &Map<String, Value>),
    ) -> Result<Option<Value>, ServerFailure> {
        let state = reader.current_state(room).await.map_err(failed)?;
        let member = state.get("m.room.member", actor.user_id.as_str()).await.map_err(failed)?;
        let Some(member) = member else { return Ok(None) };
        let before: Map<String, Value> = serde_json::from_str(member.pdu.content()).unwrap_or_default();
        let same = ["displayname", "avatar_url"].iter().all(|name| before.get(*name) == shown.get(*name));
        let mut after = shown.clone();
        after.insert("membership".to_owned(), json!("join"));
        Ok((!same).then_some(Value::Object(after)))
    }

    async fn send(&self, actor: &Actor, room_id: &OwnedRoomId, content: Value) -> Result<(), ServerFailure> {
        let event = NewEvent {
            event_type: "m.room.member".to_owned(),
            state_key: Some(actor.user_id.to_string()),
            content: to_raw_value(&content).map_err(failed)?,
            transaction_id: None,
        };
        settled(self.rooms.send(actor, room_id, event).await.map(|_| ()))
    }
}

async fn room_id(reader: &Reader, room: RoomNumber) -> Result<Option<OwnedRoomId>, ServerFailure> {
    let facts = reader.room(room).await.map_err(failed)?;
    Ok(facts.map(|facts| facts.room_id.clone()))
}

/// What a room does not allow is done with: it will not allow it later either.
fn settled(done: Result<(), ActionError>) -> Result<(), ServerFailure> {
    match done {
        Err(
            error @ (ActionError::Busy
            | ActionError::Signing(_)
            | ActionError::Unsigned(_)
            | ActionError::Damaged(_)
            | ActionError::Read(_)
            | ActionError::Number(_)
            | ActionError::Commit(_)
            | ActionError::Random),
        ) => Err(failed(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed(error: impl std::fmt::Display) -> ServerFailure {
    ServerFailure::MemberEvent(error.to_string())
}
