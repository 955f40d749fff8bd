//! Checks 1 to 3 on receipt, for which the room need not be locked.

use std::sync::Arc;

use freehold_event::{Pdu, RoomVersion};
use freehold_room::Dropped;
use freehold_signing::{KeySource, SignedPdu};
use freehold_store::RoomNumber;
use freehold_store::tables::rooms::{EVENTS, EventRow, Standing};
use ruma_common::{EventId, OwnedEventId, RoomId};

use super::order::in_order;
use crate::error::ActionError;
use crate::limits::CHECKED_AT_ONCE;
use crate::read::{Reader, RoomFacts};
use crate::receive::{Incoming, Look};
use crate::rooms::Rooms;
use crate::rows::event_rows;

/// Which events are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Those about which everything is said: they stand in the graph, with the state before them. Outliers do not.
    Settled,
    /// All that are here.
    AtAll,
}

impl Known {
    /// Whether the event of a row is known.
    pub(crate) fn is(self, row: &EventRow) -> bool {
        self == Known::AtAll || row.state_before.is_some()
    }

    /// What is said of an event that is known.
    pub(crate) fn answer(self, standing: Standing) -> Incoming {
        match (self, standing) {
            (_, Standing::Rejected) | (Known::Settled, Standing::SoftFailed) => Incoming::RefusedBefore,
            _ => Incoming::Known,
        }
    }
}

/// How an event is parsed.
pub(crate) type Parse = fn(&[u8], &'static RoomVersion, &RoomId) -> Result<Pdu, Dropped>;

/// What is asked before a room is locked.
pub(crate) struct Entrance {
    rooms: Rooms,
    pub(crate) reader: Reader,
    pub(crate) room: Arc<RoomFacts>,
    known: Known,
}

/// What checks 1 to 3 make of an event.
pub(crate) enum Checked {
    /// It passed them.
    Signed(Box<SignedPdu>),
    /// There is nothing more to do.
    Done(Incoming),
}

impl Rooms {
    pub(crate) async fn entrance(&self, room_id: &RoomId, known: Known) -> Result<Entrance, ActionError> {
        let unknown = || ActionError::UnknownRoom(room_id.to_owned());
        let reader = self.reader()?;
        let number = reader.room_number(room_id).await?.ok_or_else(unknown)?;
        let room = reader.room(number).await?.ok_or_else(unknown)?;
        Ok(Entrance { rooms: self.clone(), reader, room, known })
    }
}

impl Entrance {
    pub(crate) async fn check(
        &self,
        json: &[u8],
        parse: Parse,
        keys: &(dyn KeySource + Sync),
    ) -> Result<Checked, ActionError> {
        let pdu = match parse(json, self.room.version, &self.room.room_id) {
            Ok(pdu) => pdu,
            Err(dropped) => return Ok(Checked::Done(Incoming::Dropped(dropped))),
        };
        // Before any cryptography: the same event comes once for each tenant in the room.
        if let Some(row) = self.known_row(pdu.event_id()).await? {
            return Ok(Checked::Done(self.known.answer(row.standing)));
        }
        Ok(match freehold_room::verify(pdu, &keys, self.rooms.now_ts()) {
            Ok(signed) => Checked::Signed(Box::new(signed)),
            Err(dropped) => Checked::Done(Incoming::Dropped(dropped)),
        })
    }

    pub(crate) async fn look(&self, json: &[u8], parse: Parse) -> Result<Result<Look, Dropped>, ActionError> {
        let pdu = match parse(json, self.room.version, &self.room.room_id) {
            Ok(pdu) => pdu,
            Err(dropped) => return Ok(Err(dropped)),
        };
        let row = self.known_row(pdu.event_id()).await?;
        Ok(Ok(look_of(pdu, row.as_ref())))
    }

    /// Several, with one question to the store.
    pub(crate) async fn look_at_all(
        &self,
        events: &[&[u8]],
        parse: Parse,
    ) -> Result<Vec<Result<Look, Dropped>>, ActionError> {
        let parse = |json: &&[u8]| parse(json, self.room.version, &self.room.room_id);
        let pdus: Vec<Result<Pdu, Dropped>> = events.iter().map(parse).collect();
        let ids: Vec<OwnedEventId> = pdus.iter().flatten().map(|pdu| pdu.event_id().to_owned()).collect();
        let mut rows = event_rows(self.reader.snapshot(), &ids).await?.into_iter();
        let mut look = |pdu: Pdu| {
            let row = rows.next().flatten();
            look_of(pdu, row.filter(|row| self.is_known(row)).as_ref())
        };
        Ok(pdus.into_iter().map(|pdu| pdu.map(&mut look)).collect())
    }

    async fn known_row(&self, event_id: &EventId) -> Result<Option<EventRow>, ActionError> {
        let row = row_of(&self.reader, event_id).await?;
        Ok(row.filter(|row| self.is_known(row)))
    }

    fn is_known(&self, row: &EventRow) -> bool {
        row.room == self.room.number && self.known.is(row)
    }

    pub(crate) async fn check_all(
        &self,
        events: &[&[u8]],
        parse: Parse,
        keys: &(dyn KeySource + Sync),
    ) -> Result<CheckedList, ActionError> {
        let mut list = CheckedList { answers: Vec::with_capacity(events.len()), passed: Vec::new() };
        for (place, json) in events.iter().enumerate() {
            // There may be very many, and each takes a processor for a while.
            if place % CHECKED_AT_ONCE == CHECKED_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            match self.check(json, parse, keys).await? {
                Checked::Done(incoming) => list.answers.push(incoming),
                Checked::Signed(signed) => {
                    // Until it is settled: if the same event is twice in the list, the second one.
                    list.answers.push(Incoming::Known);
                    list.passed.push((place, *signed));
                }
            }
        }
        Ok(list)
    }

    /// The number of the room.
    pub(crate) fn number(&self) -> RoomNumber {
        self.room.number
    }
}

/// What there is to say of an event, by its row if it is known.
fn look_of(pdu: Pdu, row: Option<&EventRow>) -> Look {
    match row {
        Some(row) if row.standing == Standing::Accepted => Look::Known(pdu.event_id().to_owned()),
        Some(_) => Look::Refused(pdu.event_id().to_owned()),
        None => Look::New(Box::new(pdu)),
    }
}

async fn row_of(reader: &Reader, event_id: &EventId) -> Result<Option<EventRow>, ActionError> {
    let snapshot = reader.snapshot();
    match snapshot.number_of(&event_id.to_owned()).await? {
        Some(number) => Ok(snapshot.get(&EVENTS, &number).await?),
        None => Ok(None),
    }
}

/// Events that passed checks 1 to 3, with their places in the list in which they came, and the answers so far.
pub(crate) struct CheckedList {
    answers: Vec<Incoming>,
    passed: Vec<(usize, SignedPdu)>,
}

impl CheckedList {
    /// The events that passed, each after those that it names.
    pub(crate) fn take_in_order(
        &mut self,
        names: fn(&Pdu) -> &[ruma_common::OwnedEventId],
    ) -> Vec<(usize, SignedPdu)> {
        in_order(std::mem::take(&mut self.passed), names)
    }

    pub(crate) fn settle(&mut self, done: Vec<(usize, Incoming)>) {
        for (place, incoming) in done {
            if let Some(answer) = self.answers.get_mut(place) {
                *answer = incoming;
            }
        }
    }

    /// The answers, in the order in which the events came.
    pub(crate) fn into_answers(self) -> Vec<Incoming> {
        self.answers
    }
}
