//! History: events before what is here.

use std::collections::{BTreeMap, BTreeSet};

use freehold_signing::SignedPdu;
use freehold_store::tables::rooms::{MISSING_PREVS, TIMELINE};
use freehold_store::{Order, TimelineIndex};
use ruma_common::{EventId, OwnedEventId, RoomId};

use super::Arrival;
use super::check::Entrance;
use crate::error::ActionError;
use crate::receive::{Incoming, PastEvent};
use crate::rooms::Rooms;
use crate::work::Work;

/// Which events of a list precede what is here: those that are missing, and what they follow.
pub(crate) async fn preceding(
    entrance: &Entrance,
    events: &[(usize, SignedPdu)],
) -> Result<BTreeSet<OwnedEventId>, ActionError> {
    let by_id: BTreeMap<&EventId, &SignedPdu> =
        events.iter().map(|(_, event)| (event.pdu().event_id(), event)).collect();
    let snapshot = entrance.reader.snapshot();
    // Of events that are missing there may be any number.
    let mut next: Vec<OwnedEventId> = Vec::new();
    for event_id in by_id.keys() {
        let prefix = (entrance.number(), (*event_id).to_owned());
        let followers = snapshot.scan_prefix(&MISSING_PREVS, &prefix, Order::Ascending, 1).await?;
        next.extend(followers.into_iter().map(|((_, event_id, _), ())| event_id));
    }
    let mut preceding = BTreeSet::new();
    while let Some(event_id) = next.pop() {
        if let Some(event) = by_id.get::<EventId>(&event_id)
            && preceding.insert(event_id)
        {
            next.extend(event.pdu().prev_events().iter().cloned());
        }
    }
    Ok(preceding)
}

impl Rooms {
    /// Receives events that passed checks 1 to 3, each after those that it follows, with their places in a list.
    pub(crate) async fn try_receive_backfilled(
        &self,
        room_id: &RoomId,
        events: &[(usize, SignedPdu)],
        (preceding, list): (&BTreeSet<OwnedEventId>, &[PastEvent<'_>]),
    ) -> Result<Vec<(usize, Incoming)>, ActionError> {
        let mut work = Work::begin(self, room_id).await?;
        let mut answers = Vec::with_capacity(events.len());
        for (place, signed) in events {
            let answer = match preceding.contains(signed.pdu().event_id()) {
                true => {
                    let state = list.get(*place).and_then(|event| event.state);
                    work.receive_foreign(signed.clone(), Arrival::Past(state)).await?
                }
                false => Incoming::Unasked,
            };
            answers.push((*place, answer));
        }
        if !work.staged.is_empty() {
            work.place_before_everything().await?;
            work.commit().await?;
        }
        Ok(answers)
    }
}

impl Work {
    /// Gives the staged events their places before everything else in the timeline.
    async fn place_before_everything(&mut self) -> Result<(), ActionError> {
        let first = self.snapshot.scan_prefix(&TIMELINE, &(self.number,), Order::Ascending, 1).await?;
        let first = first.into_iter().next().map_or(0, |((_, index), _)| index.0.min(0));
        let shown = self.staged.iter().rev().filter(|receipt| self.is_shown(&receipt.event));
        // Redactions that waited for one of them follow them all.
        let released = self.beside.released.iter().map(|(number, _)| number.0);
        let shown = released.chain(shown.map(|receipt| receipt.event.number));
        let places = (1..).map(|step: i64| TimelineIndex(first.saturating_sub(step)));
        self.beside.history = shown.zip(places).collect();
        Ok(())
    }
}
