//! The timeline: entries and rows of events belong to each other.

use std::collections::BTreeMap;

use freehold_store::tables::rooms::{Standing, TIMELINE};
use freehold_store::{EventNumber, TimelineIndex};

use super::Mending;
use crate::error::ActionError;

impl Mending {
    /// Each accepted event stands where its row says; what was not accepted stands nowhere.
    pub(super) async fn mend_timeline(&mut self) -> Result<(), ActionError> {
        let mut right: BTreeMap<TimelineIndex, EventNumber> = BTreeMap::new();
        let placed: Vec<(EventNumber, Standing, Option<TimelineIndex>)> =
            self.events.iter().map(|(number, row)| (*number, row.standing, row.timeline)).collect();
        for (number, standing, place) in &placed {
            match place {
                Some(place) if *standing == Standing::Accepted => drop(right.insert(*place, *number)),
                Some(_) => self.take_out(*number).await?,
                None => {}
            }
        }
        // A row that lost its place gets it from the entry that has it.
        for (place, number) in self.places.clone() {
            let row = self.events.get(&number);
            let is_lost = row.is_some_and(|row| row.standing == Standing::Accepted && row.timeline.is_none());
            if is_lost
                && !right.contains_key(&place)
                && let Some(mut row) = row.cloned()
            {
                row.timeline = Some(place);
                self.put_row(number, row);
                right.insert(place, number);
                self.step("events", Some(number), "its place in the timeline is noted").await?;
            }
        }
        self.put_entries(&right).await?;
        if let Some((last, _)) = right.last_key_value()
            && *last != self.current.last
            && self.lost.is_empty()
        {
            self.current.last = *last;
            self.step("current_state", None, "the end of the timeline is noted").await?;
        }
        self.places = right;
        Ok(())
    }

    async fn take_out(&mut self, number: EventNumber) -> Result<(), ActionError> {
        if let Some(mut row) = self.events.get(&number).cloned() {
            row.timeline = None;
            self.put_row(number, row);
            self.step("timeline", Some(number), "what is not accepted is not shown").await?;
        }
        Ok(())
    }

    async fn put_entries(&mut self, right: &BTreeMap<TimelineIndex, EventNumber>) -> Result<(), ActionError> {
        let room = self.number;
        let places = self.places.clone();
        for (place, number) in &places {
            // What is lost and not back keeps its place.
            if !right.contains_key(place) && self.events.contains_key(number) {
                self.overlay.write(|writes| writes.delete(&TIMELINE, &(room, *place)));
                self.step("timeline", Some(*number), "an entry that belongs to no event goes").await?;
            }
        }
        for (place, number) in right {
            if places.get(place) != Some(number) {
                self.overlay.write(|writes| writes.put(&TIMELINE, &(room, *place), number));
                self.step("timeline", Some(*number), "the event stands where its row says").await?;
            }
        }
        Ok(())
    }
}
