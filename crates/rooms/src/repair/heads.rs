//! The forward extremities.

use std::collections::{BTreeMap, BTreeSet};

use freehold_store::EventNumber;
use freehold_store::tables::rooms::Standing;

use super::Mending;
use crate::error::ActionError;

impl Mending {
    /// The forward extremities are the accepted events that no accepted one follows, in the part of the history that is known to
    /// be the present: what lies beyond a gap may be behind it.
    pub(super) fn mend_heads(&mut self) {
        // What is lost may follow anything.
        if !self.lost.is_empty() {
            return;
        }
        let heads = self.heads();
        let stored: BTreeSet<EventNumber> = self.current.forward_extremities.iter().copied().collect();
        let valid: BTreeSet<EventNumber> = stored.intersection(&heads).copied().collect();
        let last = || {
            let is_accepted = |number: &&EventNumber| {
                self.events.get(number).is_some_and(|row| row.standing == Standing::Accepted)
            };
            self.places.values().rev().find(is_accepted).copied()
        };
        let present = match valid.is_empty() {
            true => self.connected(last().into_iter().collect()),
            false => self.connected(valid),
        };
        let is_history = |number: &EventNumber| {
            let index = self.events.get(number).and_then(|row| row.timeline);
            index.is_some_and(|index| index.position().is_none())
        };
        let is_head = |number: &EventNumber| {
            present.contains(number) && (stored.contains(number) || !is_history(number))
        };
        let mut right: Vec<EventNumber> = self.current.forward_extremities.clone();
        right.retain(|number| heads.contains(number) && is_head(number));
        right.extend(heads.iter().filter(|number| !stored.contains(number) && is_head(number)));
        self.current.forward_extremities = right;
    }

    /// Notes which forward extremities come and go.
    pub(super) async fn note_heads(&mut self) -> Result<(), ActionError> {
        let (before, after) =
            (self.stored.forward_extremities.clone(), self.current.forward_extremities.clone());
        for head in before.iter().filter(|head| !after.contains(head)) {
            self.step("current_state", Some(*head), "it is no forward extremity").await?;
        }
        for head in after.iter().filter(|head| !before.contains(head)) {
            self.step("current_state", Some(*head), "it becomes a forward extremity").await?;
        }
        Ok(())
    }

    /// The accepted events that no accepted one follows.
    fn heads(&self) -> BTreeSet<EventNumber> {
        let accepted = self
            .events
            .iter()
            .filter(|(_, row)| row.standing == Standing::Accepted && row.state_before.is_some());
        let mut heads: BTreeSet<EventNumber> = accepted.clone().map(|(number, _)| *number).collect();
        for (number, _) in accepted {
            for followed in self.followed_by(*number) {
                heads.remove(followed);
            }
        }
        heads
    }

    /// The events that hang together with some through events that are here.
    fn connected(&self, some: BTreeSet<EventNumber>) -> BTreeSet<EventNumber> {
        let mut edges: BTreeMap<EventNumber, Vec<EventNumber>> = BTreeMap::new();
        for number in self.events.keys().filter(|number| self.has_state(**number)) {
            for followed in self.followed_by(*number).iter().filter(|followed| self.has_state(**followed)) {
                edges.entry(*number).or_default().push(*followed);
                edges.entry(*followed).or_default().push(*number);
            }
        }
        let mut next: Vec<EventNumber> = some.iter().copied().collect();
        let mut found = some;
        while let Some(number) = next.pop() {
            for other in edges.get(&number).into_iter().flatten() {
                if found.insert(*other) {
                    next.push(*other);
                }
            }
        }
        found
    }
}
