//! What another server may see of a room, of which it asks a tenant.
//!
//! Every answer is what the tenant would say if it were a server of its own. A room in which the tenant has nobody is not
//! known, whoever else here is in it; an event of another room is as unknown as one that does not exist.

mod chain;
mod history;
mod nearest;
mod visible;

use std::sync::Arc;

use freehold_event::Pdu;
use freehold_store::tables::rooms::{Membership, Standing};
use freehold_store::{EventNumber, StateKeyNumber, Tenant, UserNumber};
use ruma_common::{EventId, OwnedEventId, OwnedServerName, RoomId, ServerName};

use crate::read::{Reader, RoomFacts, RoomState, StoredEvent, Unreadable};

pub use history::MissingEvents;
pub use nearest::Nearest;

/// A room as a server in it may see it, when it asks a tenant who is in it.
#[derive(Debug)]
pub struct ServerView {
    reader: Reader,
    room: Arc<RoomFacts>,
    server: OwnedServerName,
    /// Whether it has somebody in the room now, and so has the tenant.
    is_in: bool,
    /// The member keys of the server's users.
    users: async_lock::OnceCell<Vec<StateKeyNumber>>,
    /// The member keys of the tenant's users, if it has nobody in the room any more.
    hosts: Option<Vec<StateKeyNumber>>,
}

/// How a tenant and a server stand to a room.
struct Pair {
    room: Arc<RoomFacts>,
    /// The tenant's users that have, or had, to do with it.
    members: Vec<UserNumber>,
    /// Whether the tenant has somebody in it now.
    is_host: bool,
    /// Whether the server has.
    is_there: bool,
}

/// Why a server is shown nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotShown {
    /// There is no such room, as far as the tenant could know.
    #[error("the room is not known here")]
    UnknownRoom,
    /// The server has nobody in the room.
    #[error("the server is not in the room")]
    NotInRoom,
    /// The access control list of the room shuts the server out.
    #[error("the access control list of the room shuts the server out")]
    ShutOut,
    /// There is no such event in the room.
    #[error("no such event in the room")]
    UnknownEvent(OwnedEventId),
    /// The visibility of the history does not let the server see the event.
    #[error("the event is not visible to the server")]
    Hidden(OwnedEventId),
    /// Not all members of the room are known here yet.
    #[error("not all members of the room are known here yet")]
    Partial,
    /// More would have to be looked at than is allowed.
    #[error("the room is too large for the question")]
    TooMuch,
    /// The room cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// The state of a room at an event, by numbers: [`ServerView::texts`] and [`ServerView::ids`] say what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateAnswer {
    /// The state before the event.
    pub pdus: Vec<EventNumber>,
    /// The auth chain of all of it.
    pub auth_chain: Vec<EventNumber>,
}

impl Reader {
    /// A room as a server may see it that asks a tenant, and is in the room.
    ///
    /// # Errors
    /// [`NotShown`].
    pub async fn for_server(
        &self,
        tenant: &Tenant,
        server: &ServerName,
        room_id: &RoomId,
    ) -> Result<ServerView, NotShown> {
        let pair = self.pair(tenant, server, room_id).await?;
        match (pair.is_host, pair.is_there) {
            (false, _) => Err(NotShown::UnknownRoom),
            (true, false) => Err(NotShown::NotInRoom),
            (true, true) => self.view_of(pair, server).await,
        }
    }

    /// The same where the server or the tenant may have been in the room and no longer be: what is seen was sent while both
    /// were in it. Who leaves, or is shut out, while the other cannot be reached has sent or missed events that come before
    /// that; if nobody gave them, the other could not take the event by which one of them is out.
    ///
    /// # Errors
    /// [`NotShown`].
    pub async fn for_former_server(
        &self,
        tenant: &Tenant,
        server: &ServerName,
        room_id: &RoomId,
    ) -> Result<ServerView, NotShown> {
        let pair = self.pair(tenant, server, room_id).await?;
        match pair.is_there || self.was_in_room(pair.room.number, server).await? {
            true => self.view_of(pair, server).await,
            false => Err(NotShown::NotInRoom),
        }
    }

    /// How a tenant that is or was in a room and a server stand to it. Anybody may ask for it: it takes some rows, and nothing of
    /// the state.
    async fn pair(&self, tenant: &Tenant, server: &ServerName, room_id: &RoomId) -> Result<Pair, NotShown> {
        let number = self.room_number(room_id).await?.ok_or(NotShown::UnknownRoom)?;
        let room = self.room(number).await?.ok_or(NotShown::UnknownRoom)?;
        let members = self.members_of(tenant.number(), number).await?;
        if members.is_empty() {
            return Err(NotShown::UnknownRoom);
        }
        let is_host = members.iter().any(|(_, membership)| *membership == Membership::Join);
        let is_there = self.server_in(number, server).await?.is_some();
        Ok(Pair { room, members: members.into_iter().map(|(user, _)| user).collect(), is_host, is_there })
    }

    /// A room as a server may see it that is or was in it, unless the access control list of the room shuts it out.
    async fn view_of(&self, pair: Pair, server: &ServerName) -> Result<ServerView, NotShown> {
        let Pair { room, members, is_host, is_there } = pair;
        if self.is_partial(room.number).await? {
            return Err(NotShown::Partial);
        }
        if !self.current_state(room.number).await?.admits(server).await? {
            return Err(NotShown::ShutOut);
        }
        let hosts = if is_host { None } else { Some(self.keys_of_members(&members).await?) };
        let (reader, server, is_in) = (self.clone(), server.to_owned(), is_host && is_there);
        Ok(ServerView { reader, room, server, is_in, users: async_lock::OnceCell::new(), hosts })
    }

    /// The same for the room of an event, whichever that is
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1eventeventid>).
    ///
    /// # Errors
    /// [`NotShown`]; an event of a room that the tenant is not in is [`NotShown::UnknownEvent`].
    pub async fn for_server_asking(
        &self,
        tenant: &Tenant,
        server: &ServerName,
        event_id: &EventId,
    ) -> Result<ServerView, NotShown> {
        let unknown = || NotShown::UnknownEvent(event_id.to_owned());
        let event = self.event_by_id(event_id).await?.ok_or_else(unknown)?;
        match self.for_former_server(tenant, server, event.pdu.room_id()).await {
            Err(NotShown::UnknownRoom) => Err(unknown()),
            view => view,
        }
    }

    /// An event by its id, whatever was made of it, and whichever room it is of.
    async fn event_by_id(&self, event_id: &EventId) -> Result<Option<Arc<StoredEvent>>, Unreadable> {
        let Some(number) = self.snapshot.number_of(&event_id.to_owned()).await? else {
            return Ok(None);
        };
        if self.snapshot.get(&freehold_store::tables::rooms::EVENTS, &number).await?.is_none() {
            return Ok(None);
        }
        self.event(number).await.map(Some)
    }
}

impl ServerView {
    /// Whether the server, or the tenant, has left the room: what it may see then takes a look through the whole state.
    pub fn is_former(&self) -> bool {
        !self.is_in
    }

    /// The room.
    pub fn room(&self) -> &Arc<RoomFacts> {
        &self.room
    }

    /// An event in federation format. What is part of the room's state now is visible to every server in it, as are the
    /// state events that are known only as parts of auth chains and of states.
    ///
    /// # Errors
    /// [`NotShown`].
    pub async fn event(&self, event_id: &EventId) -> Result<String, NotShown> {
        let event = self.own_event(event_id).await?;
        let is_shown = match event.row.standing {
            Standing::Rejected => return Err(NotShown::UnknownEvent(event_id.to_owned())),
            Standing::Outlier if event.row.state_key.is_some() && self.is_in => true,
            Standing::Outlier => return Err(NotShown::UnknownEvent(event_id.to_owned())),
            Standing::Accepted | Standing::SoftFailed => {
                (self.is_in && self.is_current(&event).await?)
                    || self.visible(std::slice::from_ref(&event)).await? == [true]
            }
        };
        match is_shown {
            true => Ok(self.text_for(&event).await?),
            false => Err(NotShown::Hidden(event_id.to_owned())),
        }
    }

    /// The state before an event
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1stateroomid>).
    ///
    /// # Errors
    /// [`NotShown`]; [`NotShown::UnknownEvent`] also when the state is not known here.
    pub async fn state_before(&self, event_id: &EventId) -> Result<StateAnswer, NotShown> {
        let event = self.own_event(event_id).await?;
        if event.row.state_before.is_none() || event.row.standing == Standing::Rejected {
            return Err(NotShown::UnknownEvent(event_id.to_owned()));
        }
        self.may_ask_about(&event).await?;
        let state = self.reader.state_before(&event).await?;
        let pdus: Vec<EventNumber> = state.numbers().await?.into_iter().map(|(_, event)| event).collect();
        let auth_chain = self.chain_of(&pdus).await?;
        Ok(StateAnswer { pdus, auth_chain })
    }

    /// The auth chain of an event
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1event_authroomideventid>), without the event.
    ///
    /// # Errors
    /// [`NotShown`].
    pub async fn auth_chain(&self, event_id: &EventId) -> Result<Vec<EventNumber>, NotShown> {
        let event = self.own_event(event_id).await?;
        if event.row.standing == Standing::Rejected {
            return Err(NotShown::UnknownEvent(event_id.to_owned()));
        }
        self.may_ask_about(&event).await?;
        self.chain_of(&[event.number]).await
    }

    /// A server that is no longer in the room learns nothing of what came later.
    async fn may_ask_about(&self, event: &Arc<StoredEvent>) -> Result<(), NotShown> {
        match self.is_in || self.visible(std::slice::from_ref(event)).await? == [true] {
            true => Ok(()),
            false => Err(NotShown::UnknownEvent(event.pdu.event_id().to_owned())),
        }
    }

    /// Events in federation format, in their order: parts of a state or of an auth chain that this view gave.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn texts(&self, events: &[EventNumber]) -> Result<Vec<String>, Unreadable> {
        Ok(self.reader.events(events).await?.iter().map(|event| text(&event.pdu)).collect())
    }

    /// The ids of events, in their order.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn ids(&self, events: &[EventNumber]) -> Result<Vec<OwnedEventId>, Unreadable> {
        Ok(self.reader.snapshot.ids_of(events).await?)
    }

    /// An event of this room, whatever was made of it.
    async fn own_event(&self, event_id: &EventId) -> Result<Arc<StoredEvent>, NotShown> {
        let event = self.reader.event_by_id(event_id).await?;
        let own = event.filter(|event| event.row.room == self.room.number);
        own.ok_or_else(|| NotShown::UnknownEvent(event_id.to_owned()))
    }

    async fn current_state(&self) -> Result<RoomState, Unreadable> {
        self.reader.current_state(self.room.number).await
    }

    async fn is_current(&self, event: &StoredEvent) -> Result<bool, Unreadable> {
        match event.row.state_key {
            Some(key) => Ok(self.current_state().await?.number_at(key).await? == Some(event.number)),
            None => Ok(false),
        }
    }
}

/// An event in federation format.
fn text(pdu: &Pdu) -> String {
    pdu.canonical_json().to_owned()
}
