//! The verdicts on events and the states before them, computed anew, oldest first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_event_auth::{PolicyServer, Refusal};
use freehold_room::{Event, rechecked, state_after_all};
use freehold_state_map::{NodeId, StateMap};
use freehold_store::tables::rooms::{EventRow, MISSING_PREVS, ROOM_SERVERS, Standing};
use freehold_store::{EventNumber, Order};
use ruma_common::ServerName;

use super::{Mending, RepairNote, is_redacted};
use crate::error::ActionError;

/// What is known of the state before an event.
enum Before {
    /// It follows from the events before it.
    Computed(StateMap),
    /// Other servers gave it.
    Given(StateMap),
    /// The event is an outlier.
    None,
    /// It cannot be read.
    Unknown,
}

impl Mending {
    /// Goes over all events, each after those that it follows and that authorise it.
    pub(super) async fn mend_events(&mut self) -> Result<(), ActionError> {
        let order = self.in_order();
        for number in order {
            self.mend_generation(number).await?;
            let (Some(event), Some(row)) = (self.event(number).await?, self.events.get(&number).cloned())
            else {
                continue;
            };
            let before = self.state_before(number, &row).await?;
            let row = self.mend_state(number, row, &before).await?;
            self.judge(&event, row, before).await?;
            // As it is now.
            self.event(number).await?;
        }
        Ok(())
    }

    /// The events, each after those that it names; whatever names itself in the end comes last.
    fn in_order(&self) -> Vec<EventNumber> {
        let mut waits: BTreeMap<EventNumber, usize> = BTreeMap::new();
        let mut followers: BTreeMap<EventNumber, Vec<EventNumber>> = BTreeMap::new();
        for (number, row) in &self.events {
            let named: BTreeSet<EventNumber> =
                self.followed_by(*number).iter().chain(&row.auth_events).copied().collect();
            let here = named.into_iter().filter(|named| self.events.contains_key(named));
            let mut count = 0;
            for named in here {
                followers.entry(named).or_default().push(*number);
                count += 1;
            }
            waits.insert(*number, count);
        }
        let mut ready: BTreeSet<EventNumber> =
            waits.iter().filter(|(_, count)| **count == 0).map(|(number, _)| *number).collect();
        let mut order = Vec::with_capacity(self.events.len());
        while let Some(number) = ready.pop_first() {
            order.push(number);
            waits.remove(&number);
            for follower in followers.remove(&number).unwrap_or_default() {
                let Some(count) = waits.get_mut(&follower) else { continue };
                *count -= 1;
                if *count == 0 {
                    ready.insert(follower);
                }
            }
        }
        order.extend(waits.into_keys());
        order
    }

    /// The generation of an event that came back: one above those that authorise it.
    async fn mend_generation(&mut self, number: EventNumber) -> Result<(), ActionError> {
        let Some(mut row) = self.events.get(&number).filter(|_| self.put_back.contains(&number)).cloned()
        else {
            return Ok(());
        };
        let above =
            row.auth_events.iter().filter_map(|auth| self.events.get(auth)).map(|auth| auth.generation);
        row.generation = above.max().map_or(0, |greatest| greatest.saturating_add(1));
        self.put_row(number, row);
        Ok(())
    }

    async fn state_before(&mut self, number: EventNumber, row: &EventRow) -> Result<Before, ActionError> {
        let is_back = self.put_back.contains(&number);
        if row.state_before.is_none() && !(is_back && self.was_in_graph(number, row)) {
            return Ok(Before::None);
        }
        // What came after events that are not here was given by others; and so it was if one of those came later.
        let has_all =
            !self.follows.contains_key(&number) && row.prev_events.iter().all(|prev| self.has_state(*prev));
        let later = |prev: &EventNumber| {
            let prev = self.events.get(prev).and_then(|prev| prev.timeline);
            row.timeline.zip(prev).is_some_and(|(at, prev)| prev > at)
        };
        if has_all && (is_back || !row.prev_events.iter().any(later)) {
            let (version, prev) =
                (self.version, row.prev_events.iter().map(|prev| prev.0).collect::<Vec<_>>());
            let state = self.computed(|shelf| state_after_all(version, &prev, shelf)).await?;
            return Ok(state.flatten().map_or(Before::Unknown, Before::Computed));
        }
        let Some(root) = row.state_before else { return Ok(Before::Unknown) };
        let state = self.computed(|shelf| shelf.open(NodeId::from_bytes(root))).await?;
        Ok(state.map_or(Before::Unknown, Before::Given))
    }

    /// Whether an event that came back stood in the graph: clients were shown it, or an event with a state follows it.
    fn was_in_graph(&self, number: EventNumber, row: &EventRow) -> bool {
        row.timeline.is_some()
            || number == self.row.create && self.events.values().any(|row| row.prev_events.contains(&number))
            || self.events.iter().any(|(follower, row)| {
                row.state_before.is_some() && self.followed_by(*follower).contains(&number)
            })
    }

    async fn mend_state(
        &mut self,
        number: EventNumber,
        mut row: EventRow,
        before: &Before,
    ) -> Result<EventRow, ActionError> {
        let Before::Computed(state) = before else {
            if matches!(before, Before::Unknown) && self.put_back.contains(&number) {
                let (event, what) =
                    (self.id_of(Some(number)).await?, "the state before it cannot be computed");
                self.plan.left.push(RepairNote { table: "events", event, what: what.to_owned() });
            }
            return Ok(row);
        };
        let root = *state.root_id().as_bytes();
        let is_right = row.state_before == Some(root);
        if is_right && !self.rebuild {
            return Ok(row);
        }
        if !self.save_after(state, &row).await? || is_right {
            return Ok(row);
        }
        row.state_before = Some(root);
        self.put_row(number, row.clone());
        match self.put_back.contains(&number) {
            true => self.no_longer_missing(number).await?,
            false => self.step("events", Some(number), "the state before it is computed anew").await?,
        }
        Ok(row)
    }

    /// Writes the nodes of a state before an event.
    async fn save_after(&mut self, state: &StateMap, row: &EventRow) -> Result<bool, ActionError> {
        let prev = row.prev_events.first().and_then(|prev| self.events.get(prev)?.state_before);
        let base = match prev {
            Some(root) => self.computed(|shelf| shelf.open(NodeId::from_bytes(root))).await?,
            None => None,
        };
        self.save(state, &base.unwrap_or_default()).await
    }

    async fn no_longer_missing(&mut self, number: EventNumber) -> Result<(), ActionError> {
        let Some(event_id) = self.id_of(Some(number)).await? else { return Ok(()) };
        let prefix = (self.number, event_id);
        let rows = self.view.scan_prefix(&MISSING_PREVS, &prefix, Order::Ascending, usize::MAX).await?;
        for (key, ()) in rows {
            self.overlay.write(|writes| writes.delete(&MISSING_PREVS, &key));
        }
        Ok(())
    }

    /// Checks 4 and 5 once more.
    async fn judge(&mut self, event: &Arc<Event>, row: EventRow, before: Before) -> Result<(), ActionError> {
        let number = EventNumber(event.number);
        let is_back = self.put_back.contains(&number);
        let (state, is_sure) = match before {
            Before::Computed(state) => (Some(state), true),
            Before::Given(state) => (Some(state), false),
            Before::None => (None, true),
            Before::Unknown => return Ok(()),
        };
        // Of what was redacted, not everything is left that was judged.
        if is_redacted(&event.pdu) && !is_back {
            return Ok(());
        }
        let named = event.pdu.auth_events().len() == row.auth_events.len();
        let create = self.row.create.0;
        let verdict = self.computed(|shelf| rechecked(event, create, state.as_ref(), shelf)).await?;
        let Some(verdict) = verdict.filter(|_| named) else { return Ok(()) };
        let standing = match (&verdict, row.standing, state.is_some()) {
            (Ok(()), Standing::Outlier | Standing::Rejected, false) => Standing::Outlier,
            // Those that were shown were accepted; of others, the current state decides.
            (Ok(()), Standing::Outlier | Standing::Rejected, true) if row.timeline.is_some() => {
                Standing::Accepted
            }
            (Ok(()), Standing::Outlier | Standing::Rejected, true) => {
                self.released.push(number);
                Standing::SoftFailed
            }
            (Err(_), Standing::Outlier, _) => Standing::Rejected,
            (Err(_), Standing::Accepted | Standing::SoftFailed, _) if is_sure => Standing::Rejected,
            (_, standing, _) => standing,
        };
        self.put_standing(number, row, (standing, verdict.err())).await
    }

    async fn put_standing(
        &mut self,
        number: EventNumber,
        mut row: EventRow,
        (standing, because): (Standing, Option<Refusal>),
    ) -> Result<(), ActionError> {
        if row.standing == standing {
            return Ok(());
        }
        let before = std::mem::replace(&mut row.standing, standing);
        self.put_row(number, row);
        if self.put_back.contains(&number) {
            return Ok(());
        }
        let reason = because.map(|refusal| format!(": {refusal}")).unwrap_or_default();
        self.step("events", Some(number), format!("{before:?} becomes {standing:?}{reason}")).await
    }

    /// Accepts the released events that the current state allows; gives whether there are any.
    pub(super) async fn release(&mut self) -> Result<bool, ActionError> {
        let mut some = false;
        for number in std::mem::take(&mut self.released) {
            let Some(event) = self.event(number).await? else { continue };
            let root = NodeId::from_bytes(self.current.state);
            let Some(state) = self.computed(|shelf| shelf.open(root)).await? else { continue };
            let create = self.row.create.0;
            let verdict = self.computed(|shelf| rechecked(&event, create, Some(&state), shelf)).await?;
            let is_followed = self.events.iter().any(|(follower, row)| {
                row.standing == Standing::Accepted && self.followed_by(*follower).contains(&number)
            });
            let is_allowed = is_followed || matches!(verdict, Some(Ok(())));
            if !is_allowed || !self.recommended(&event, &state).await? {
                continue;
            }
            let Some(row) = self.events.get(&number).cloned() else { continue };
            // A redaction is shown with what it redacts.
            if row.timeline.is_none() && event.pdu.event_type() != "m.room.redaction" {
                self.shown.push(number);
            }
            self.put_standing(number, row, (Standing::Accepted, None)).await?;
            self.event(number).await?;
            some = true;
        }
        Ok(some)
    }

    /// Whether the policy server of the room recommends an event, if the room uses one.
    async fn recommended(&mut self, event: &Event, state: &StateMap) -> Result<bool, ActionError> {
        let find = |shelf: &freehold_room::Shelf| Ok(shelf.event_in(state, "m.room.policy", "")?.cloned());
        let Some(policy) = self.computed(find).await?.flatten() else { return Ok(true) };
        let Some(server) = PolicyServer::named_by(policy.pdu.content()) else { return Ok(true) };
        let Ok(name) = ServerName::parse(server.server_name()) else { return Ok(true) };
        let is_in_room = self.view.get(&ROOM_SERVERS, &(self.number, name)).await?.is_some();
        Ok(!is_in_room || server.recommends(&event.pdu))
    }
}
