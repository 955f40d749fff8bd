//! Events that were made elsewhere: the one way in.

use std::sync::Arc;

use freehold_event_auth::{NamedLevel, Power};
use freehold_room::{Dropped, Event, Fetch, ReceiveError, Received, Refused, ServerAcl, Standing};
use freehold_signing::{KeySource, SignedPdu};
use freehold_store::tables::rooms::{EVENTS, WAITING_REDACTIONS};
use freehold_store::{EventNumber, Order};
use ruma_common::{EventId, OwnedEventId, RoomId, ServerName, UserId};

use crate::error::ActionError;
use crate::loaded::read_event;
use crate::rooms::Rooms;
use crate::send::{event_in_room, tried};
use crate::work::{Work, numbers_of};

/// What came of an event that was made elsewhere.
#[derive(Debug)]
pub enum Incoming {
    /// It was known already; nothing was checked.
    Known,
    /// It is kept. `None` when it was accepted; otherwise it is not shown.
    Kept(Option<Refused>),
    /// Nothing yet: other servers must be asked for these events first.
    Fetch(Fetch),
    /// It is as if it had never come.
    Dropped(Dropped),
}

impl Rooms {
    /// Receives an event of a room, in federation format: all
    /// [checks on receipt](https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu), and
    /// what follows from them. Whether the server that brought it may speak in the room is asked before, of
    /// [`Rooms::admits`].
    ///
    /// # Errors
    /// [`ActionError::UnknownRoom`], and those of the store. What is wrong with the event is in the answer.
    pub async fn receive(
        &self,
        room_id: &RoomId,
        json: &[u8],
        keys: &(dyn KeySource + Sync),
    ) -> Result<Incoming, ActionError> {
        tried!(self.try_receive(room_id, json, keys))
    }

    async fn try_receive(
        &self,
        room_id: &RoomId,
        json: &[u8],
        keys: &(dyn KeySource + Sync),
    ) -> Result<Incoming, ActionError> {
        let mut work = Work::begin(self, room_id).await?;
        let pdu = match work.machine.parse(json) {
            Ok(pdu) => pdu,
            Err(dropped) => return Ok(Incoming::Dropped(dropped)),
        };
        // Before any cryptography: the same event comes once for each tenant in the room.
        if event_in_room(&work.snapshot, work.number, pdu.event_id()).await?.is_some() {
            return Ok(Incoming::Known);
        }
        let signed = match work.machine.verify(pdu, &keys, self.now_ts()) {
            Ok(signed) => signed,
            Err(dropped) => return Ok(Incoming::Dropped(dropped)),
        };
        let kept = match work.receive_foreign(signed).await? {
            Incoming::Kept(refused) => refused,
            other => return Ok(other),
        };
        work.commit().await?;
        Ok(Incoming::Kept(kept))
    }

    /// Whether a room lets a server speak. A room that is not known here lets nobody.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn admits(&self, room_id: &RoomId, server: &ServerName) -> Result<bool, ActionError> {
        let reader = self.reader()?;
        let Some(room) = reader.room_number(room_id).await? else {
            return Ok(false);
        };
        let state = reader.current_state(room).await?;
        let acl = state.get("m.room.server_acl", "").await?;
        let acl = acl.map_or_else(ServerAcl::default, |event| ServerAcl::of_content(event.pdu.content()));
        Ok(!state.is_empty() && acl.allows(server))
    }
}

impl Work {
    async fn receive_foreign(&mut self, signed: SignedPdu) -> Result<Incoming, ActionError> {
        let numbers = numbers_of(&self.rooms, &self.snapshot, &signed, &mut self.batch).await?;
        self.shelve_key(&signed, numbers);
        let receipt = loop {
            match self.machine.receive(signed.clone(), numbers, &self.shelf) {
                Ok(Received::Receipt(receipt)) => break *receipt,
                Ok(Received::Fetch(fetch)) => return Ok(Incoming::Fetch(fetch)),
                Err(ReceiveError::Stop(stop)) => self.fulfil(stop).await?,
                Err(error) => return Err(ActionError::Damaged(Box::new(error))),
            }
        };
        let refused = receipt.refused.clone();
        let event = self.stage(receipt, numbers);
        if event.standing == Standing::Accepted {
            self.handle_redaction(&event).await?;
            self.release_redactions(&event).await?;
        }
        Ok(Incoming::Kept(refused))
    }

    /// Applies a redaction, if it is one and what it redacts is here; withholds it from clients otherwise
    /// (<https://spec.matrix.org/v1.19/rooms/v3/#handling-redactions>).
    async fn handle_redaction(&mut self, event: &Arc<Event>) -> Result<(), ActionError> {
        let Some(target) = redacted_by(event) else {
            return Ok(());
        };
        let number = event_in_room(&self.snapshot, self.number, &target).await?;
        let stored = match number {
            Some(number) => read_event(&self.snapshot, self.machine.version(), number).await?,
            None => None,
        };
        match stored.zip(number).filter(|(stored, _)| stored.standing == Standing::Accepted) {
            Some((stored, number)) if self.may_redact(event.pdu.sender(), &stored) => {
                self.apply_redaction(number, &stored.pdu, EventNumber(event.number)).await
            }
            Some(_) => {
                self.beside.withheld.insert(event.number);
                Ok(())
            }
            None => {
                self.beside.withheld.insert(event.number);
                self.batch.put(&WAITING_REDACTIONS, &(target, EventNumber(event.number)), &());
                Ok(())
            }
        }
    }

    /// Applies the redactions that waited for an event, and shows them now.
    async fn release_redactions(&mut self, event: &Arc<Event>) -> Result<(), ActionError> {
        let event_id = event.pdu.event_id().to_owned();
        let waiting = self
            .snapshot
            .scan_prefix(&WAITING_REDACTIONS, &(event_id,), Order::Ascending, usize::MAX)
            .await?;
        for (key, ()) in waiting {
            self.batch.delete(&WAITING_REDACTIONS, &key);
            let redaction = key.1;
            let Some(stored) = read_event(&self.snapshot, self.machine.version(), redaction).await? else {
                continue;
            };
            let row = self.snapshot.get(&EVENTS, &redaction).await?;
            if let Some(row) = row.filter(|_| self.may_redact(stored.pdu.sender(), event)) {
                self.beside.redacted_on_arrival.insert(event.number, redaction);
                self.beside.released.push((redaction, row));
            }
        }
        Ok(())
    }

    /// > 1. The power level of the redaction event's `sender` is greater than or equal to the *redact level*.
    /// > 2. The domain of the redaction event's `sender` matches that of the original event's `sender`.
    ///
    /// In room versions 1 and 2 the authorisation rules have settled it.
    fn may_redact(&self, sender: &UserId, target: &Event) -> bool {
        self.machine.version().rules().authorization.special_case_room_redaction
            || target.pdu.sender().server_name() == sender.server_name()
            || self.power(sender.as_str()) >= Power::Level(self.power_levels().level(NamedLevel::Redact))
    }
}

/// The event that a redaction is about.
fn redacted_by(event: &Event) -> Option<OwnedEventId> {
    let target = event.pdu.redacts().filter(|_| event.pdu.event_type() == "m.room.redaction")?;
    EventId::parse(target).ok()
}
