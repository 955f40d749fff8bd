//! Rooms of others: how they begin here.

use freehold_event::{RawPdu, RoomVersion};
use freehold_room::{CreateError, Dropped, Room};
use freehold_signing::{KeySource, SignedPdu};
use freehold_store::tables::rooms::ROOMS;

use crate::error::ActionError;
use crate::receive::Incoming;
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::Work;

impl Rooms {
    /// Begins a room of others with its create event. The event is an outlier, the room has no state and nobody in it until
    /// the first event is received, mostly a join with the state before it ([`Rooms::deliver`]).
    ///
    /// # Errors
    /// Those of the store. What is wrong with the event is in the answer.
    pub async fn begin_room(
        &self,
        version: &'static RoomVersion,
        create: &[u8],
        keys: &(dyn KeySource + Sync),
    ) -> Result<Incoming, ActionError> {
        let pdu = match RawPdu::new(create).parse(version) {
            Ok(pdu) => pdu,
            Err(error) => return Ok(Incoming::Dropped(Dropped::Format(error))),
        };
        let signed = match freehold_room::verify(pdu, &keys, self.now_ts()) {
            Ok(signed) => signed,
            Err(dropped) => return Ok(Incoming::Dropped(dropped)),
        };
        tried!(self.try_begin(signed.clone()))
    }

    async fn try_begin(&self, create: SignedPdu) -> Result<Incoming, ActionError> {
        let snapshot = self.0.store.snapshot()?;
        if let Some(room) = snapshot.number_of(&create.pdu().room_id().to_owned()).await?
            && snapshot.get(&ROOMS, &room).await?.is_some()
        {
            return Ok(Incoming::Known);
        }
        match Work::first(self, create, Room::begin).await? {
            Ok((work, _)) => work.commit().await.map(|()| Incoming::Kept(None)),
            Err(CreateError::Refused(refusal)) => Ok(Incoming::Unsettled(refusal)),
            Err(CreateError::Stop(stop)) => Err(stop.into()),
        }
    }
}
