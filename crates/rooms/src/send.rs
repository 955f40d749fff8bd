//! Sending events.

use freehold_canonical_json::string_member;
use freehold_event::RoomVersion;
use freehold_store::tables::rooms::{EVENTS, SENT};
use freehold_store::{Actor, DeviceNumber, RoomNumber, Snapshot};
use ruma_common::{EventId, OwnedEventId, OwnedUserId, RoomId, UserId};
use serde_json::value::RawValue;

use crate::content;
use crate::error::ActionError;
use crate::rooms::Rooms;
use crate::work::{Wanted, Work};

/// An event that a user sends.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event type.
    pub event_type: String,
    /// The state key of a state event.
    pub state_key: Option<String>,
    /// The content.
    pub content: Box<RawValue>,
    /// The id by which the device tells a repetition of the request from a new one.
    pub transaction_id: Option<String>,
}

/// How often a change is made anew because somebody else was first.
pub(crate) const TRIES: usize = 8;

/// Makes a change anew while others are first; in the end somebody is told that the room is busy.
macro_rules! tried {
    ($attempt:expr) => {{
        let mut tries = $crate::send::TRIES;
        loop {
            match $attempt.await {
                Err(error) if error.is_conflict() && tries > 0 => tries -= 1,
                Err(error) if error.is_conflict() => break Err($crate::error::ActionError::Busy.into()),
                done => break done,
            }
        }
    }};
}
pub(crate) use tried;

/// A request of a device that may come again: a retransmission has the same path, so that the same id may be used for another
/// type, and for a redaction (<https://spec.matrix.org/v1.19/client-server-api/#transaction-identifiers>).
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    device: DeviceNumber,
    asked: String,
    id: String,
}

impl Transaction {
    /// What an actor asks for, if it is a device that gave the request an id.
    pub(crate) fn of(actor: &Actor, asked: String, id: Option<&str>) -> Option<Self> {
        Some(Transaction { device: actor.device?, asked, id: id?.to_owned() })
    }

    /// The device, and the id that it chose.
    pub(crate) fn id(&self) -> (DeviceNumber, String) {
        (self.device, self.id.clone())
    }

    /// Where the event is found that the request made in a room.
    pub(crate) fn place(&self, room: RoomNumber) -> (DeviceNumber, RoomNumber, String, String) {
        (self.device, room, self.asked.clone(), self.id.clone())
    }
}

impl Rooms {
    /// Sends an event into a room. A repetition by the same device with the same transaction id sends nothing and gives
    /// the same event id.
    ///
    /// Memberships, redactions and aliases are handled as what they are, whichever way they are sent.
    ///
    /// # Errors
    /// [`ActionError`].
    pub async fn send(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        event: NewEvent,
    ) -> Result<OwnedEventId, ActionError> {
        if let Some(invitee) = self.foreign_invitee(&event) {
            return self.send_invite(actor, room_id, (&event, &invitee)).await;
        }
        tried!(self.try_send(actor, room_id, &event))
    }

    /// The user of another server whom an event invites, if it does.
    fn foreign_invitee(&self, event: &NewEvent) -> Option<OwnedUserId> {
        let target = event.state_key.as_deref().filter(|_| event.event_type == "m.room.member")?;
        let target = UserId::parse(target).ok().filter(|target| self.is_foreign(target))?;
        (string_member(event.content.get(), "membership")? == "invite").then_some(target)
    }

    async fn send_invite(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        (event, invitee): (&NewEvent, &UserId),
    ) -> Result<OwnedEventId, ActionError> {
        let work = Work::begin_as(self, actor, room_id).await?;
        let content = content::sent(&event.content, work.machine.version())?;
        drop(work);
        self.invite_elsewhere(&actor.tenant, room_id, (&actor.user_id, invitee), content).await
    }

    async fn try_send(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        event: &NewEvent,
    ) -> Result<OwnedEventId, ActionError> {
        let asked = format!("send/{}", event.event_type);
        let transaction = Transaction::of(actor, asked, event.transaction_id.as_deref());
        let wanted = |version| {
            Ok(Wanted {
                sender: actor.user_id.clone(),
                event_type: event.event_type.clone(),
                state_key: event.state_key.clone(),
                content: content::sent(&event.content, version)?,
                redacts: None,
                origin_server_ts: 0,
            })
        };
        self.send_once(actor, (room_id, transaction), wanted).await
    }

    /// Makes the wanted event of a room and commits it, unless the device asked for the same before with the same transaction id.
    /// `wanted` is given the version of the room.
    pub(crate) async fn send_once(
        &self,
        actor: &Actor,
        (room_id, transaction): (&RoomId, Option<Transaction>),
        wanted: impl FnOnce(&'static RoomVersion) -> Result<Wanted, ActionError>,
    ) -> Result<OwnedEventId, ActionError> {
        let mut work = Work::begin_as(self, actor, room_id).await?;
        if let Some(sent) = work.already_sent(transaction.as_ref()).await? {
            return Ok(sent);
        }
        work.beside.transaction = transaction;
        let wanted = wanted(work.machine.version())?;
        let event = work.append_any(actor, wanted).await?;
        let event_id = event.pdu.event_id().to_owned();
        work.commit().await?;
        Ok(event_id)
    }
}

impl Work {
    /// The event that the same request made earlier.
    async fn already_sent(
        &self,
        transaction: Option<&Transaction>,
    ) -> Result<Option<OwnedEventId>, ActionError> {
        let Some(transaction) = transaction else { return Ok(None) };
        match self.snapshot.get(&SENT, &transaction.place(self.number)).await? {
            Some(event) => Ok(Some(self.snapshot.id_of(event).await?)),
            None => Ok(None),
        }
    }
}

/// Whether an event is one of a room.
pub(crate) async fn event_in_room(
    snapshot: &Snapshot,
    room: RoomNumber,
    event_id: &EventId,
) -> Result<Option<freehold_store::EventNumber>, ActionError> {
    let Some(number) = snapshot.number_of(&event_id.to_owned()).await? else {
        return Ok(None);
    };
    let row = snapshot.get(&EVENTS, &number).await?;
    Ok(row.filter(|row| row.room == room).map(|_| number))
}
