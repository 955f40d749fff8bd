//! What is lost, and put back as others have it.

use std::collections::{BTreeMap, BTreeSet};

use freehold_event::{Pdu, ReferenceLimits};
use freehold_store::tables::identity::EVENT_IDS;
use freehold_store::tables::rooms::{EVENT_JSON, EVENTS, EventRow, Standing, TIMELINE};
use freehold_store::{EventNumber, Order, RoomNumber, TimelineIndex};
use ruma_common::{EventId, OwnedEventId};

use super::{Fetched, Mending, RepairNote, is_redacted};
use crate::check::{Checking, PAGE, RoomFault, Rows};
use crate::error::ActionError;
use crate::write::membership_in;

/// What is lost of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// The text; the row is there.
    Text,
    /// Everything but its number.
    Everything,
}

/// Events of which something is lost.
type Lost = BTreeMap<EventNumber, (OwnedEventId, Loss)>;

impl Mending {
    /// Reads the room, and puts back what was lost and has been fetched.
    pub(super) async fn read(&mut self, fetched: Fetched<'_>) -> Result<(), ActionError> {
        let mut rows = Rows::of(&EVENTS);
        while let Some(page) = rows.next(&self.view).await? {
            self.events.extend(page.into_iter().filter(|(_, row)| row.room == self.number));
        }
        self.read_places().await?;
        let mut lost = Lost::new();
        let mut rows_to_mend = Vec::new();
        self.look_at_texts(&mut lost, &mut rows_to_mend).await?;
        self.find_lost(&mut lost).await?;
        if !lost.is_empty() {
            let came = self.verified(fetched).await;
            self.put_back(lost, came).await?;
        }
        for number in rows_to_mend {
            self.mend_row(number).await?;
        }
        self.read_links().await
    }

    async fn read_places(&mut self) -> Result<(), ActionError> {
        let mut from = TimelineIndex(i64::MIN);
        loop {
            let range = (&(self.number, from), &(RoomNumber(self.number.0.saturating_add(1)),));
            let page = self.view.scan_range(&TIMELINE, range, Order::Ascending, PAGE).await?;
            let Some(((_, last), _)) = page.last() else { return Ok(()) };
            from = TimelineIndex(last.0.saturating_add(1));
            self.places.extend(page.into_iter().map(|((_, index), event)| (index, event)));
        }
    }

    /// The texts that are no texts of their events, and the rows that say something else than theirs.
    async fn look_at_texts(
        &self,
        lost: &mut Lost,
        rows_to_mend: &mut Vec<EventNumber>,
    ) -> Result<(), ActionError> {
        let mut check = Checking::of(&self.view).await?;
        for (number, row) in &self.events {
            let Some(event_id) = self.view.get(&EVENT_IDS, number).await? else { continue };
            let named = check.event((*number, event_id.clone()), row, &self.row).await?;
            let faults = check.take_findings();
            if named.is_none() || faults.iter().any(|finding| finding.table == "event_json") {
                lost.insert(*number, (event_id, Loss::Text));
            } else if faults.iter().any(|finding| matches!(finding.fault, RoomFault::Row { .. })) {
                rows_to_mend.push(*number);
            }
        }
        Ok(())
    }

    /// The events that others refer to and that are not there.
    async fn find_lost(&mut self, lost: &mut Lost) -> Result<(), ActionError> {
        let mut named: BTreeSet<EventNumber> = self.places.values().copied().collect();
        named.insert(self.row.create);
        named.extend(&self.current.forward_extremities);
        for row in self.events.values() {
            named.extend(row.prev_events.iter().chain(&row.auth_events));
        }
        match Checking::of(&self.view).await?.entries(self.current.state).await? {
            Ok(entries) => named.extend(entries.into_iter().map(|(_, event)| event)),
            // Its nodes are lost: states are made anew from the beginning.
            Err(_) => self.rebuild = true,
        }
        let absent: Vec<EventNumber> =
            named.into_iter().filter(|number| !self.events.contains_key(number)).collect();
        for number in absent {
            // An event of another room is there; only a damaged row refers to it.
            if self.view.get(&EVENTS, &number).await?.is_some() {
                continue;
            }
            match self.view.get(&EVENT_IDS, &number).await? {
                Some(event_id) => drop(lost.insert(number, (event_id, Loss::Everything))),
                None => {
                    let what = format!("nothing says which event number {number} is");
                    self.plan.left.push(RepairNote { table: "event_ids", event: None, what });
                }
            }
        }
        Ok(())
    }

    /// The events that came and are validly signed events of this room: the whole one where there are several of the same id.
    async fn verified(&self, fetched: Fetched<'_>) -> BTreeMap<OwnedEventId, Pdu> {
        let mut came: BTreeMap<OwnedEventId, Pdu> = BTreeMap::new();
        for text in fetched.events {
            let parsed = freehold_room::parse_past(text.as_bytes(), self.version, &self.room_id);
            let now_ts = self.rooms.now_ts();
            let signed = parsed.and_then(|pdu| freehold_room::verify(pdu, &fetched.keys, now_ts));
            let Ok(signed) = signed else { continue };
            let pdu = signed.into_hashed().into_pdu();
            if came.get(pdu.event_id()).is_none_or(is_redacted) {
                came.insert(pdu.event_id().to_owned(), pdu);
            }
        }
        came
    }

    async fn put_back(
        &mut self,
        mut lost: Lost,
        came: BTreeMap<OwnedEventId, Pdu>,
    ) -> Result<(), ActionError> {
        let redactions = self.redactions(&lost).await?;
        while let Some((number, (event_id, loss))) = lost.pop_first() {
            let Some(pdu) = came.get(&event_id) else {
                self.plan.wanted.push(event_id);
                self.lost.insert(number);
                continue;
            };
            for auth in pdu.auth_events() {
                self.also_lost(auth, &mut lost).await?;
            }
            match loss {
                Loss::Text => self.put_text(number, pdu).await?,
                Loss::Everything => self.put_event(number, pdu, redactions.get(&event_id).copied()).await?,
            }
        }
        // Each after those that authorise it is known only now.
        for number in self.put_back.clone() {
            self.mend_links(number).await?;
        }
        Ok(())
    }

    /// An event that one which came back names, and that has a number but nothing else.
    async fn also_lost(&mut self, event_id: &EventId, lost: &mut Lost) -> Result<(), ActionError> {
        let event_id = event_id.to_owned();
        let Some(number) = self.view.number_of(&event_id).await? else {
            if !self.plan.wanted.contains(&event_id) {
                let what = "it authorises a lost event and was never here".to_owned();
                self.plan.left.push(RepairNote { table: "events", event: Some(event_id), what });
            }
            return Ok(());
        };
        if !self.events.contains_key(&number)
            && !self.plan.wanted.contains(&event_id)
            && self.view.get(&EVENTS, &number).await?.is_none()
        {
            lost.entry(number).or_insert((event_id, Loss::Everything));
        }
        Ok(())
    }

    async fn put_text(&mut self, number: EventNumber, pdu: &Pdu) -> Result<(), ActionError> {
        let was_redacted = self.events.get(&number).is_some_and(|row| row.redacted_by.is_some());
        self.write_text(number, pdu, was_redacted);
        self.changed.insert(number);
        self.step("event_json", Some(number), "the text is put back as others have it").await
    }

    fn write_text(&mut self, number: EventNumber, pdu: &Pdu, redacted: bool) {
        let text = match redacted {
            true => pdu.redacted().canonical_json().to_owned(),
            false => pdu.canonical_json().to_owned(),
        };
        self.overlay.write(|writes| writes.put(&EVENT_JSON, &number, &text));
    }

    /// An event of which nothing is judged yet.
    async fn put_event(
        &mut self,
        number: EventNumber,
        pdu: &Pdu,
        redacted_by: Option<EventNumber>,
    ) -> Result<(), ActionError> {
        let Some(sender) = self.view.number_of(&pdu.sender().to_owned()).await? else {
            return self.not_put_back(number, pdu, "its sender is not known");
        };
        let state_key = match pdu.state_key() {
            Some(key) => {
                let key = (pdu.event_type().to_owned(), key.to_owned());
                match self.view.number_of(&key).await? {
                    Some(number) => Some(number),
                    None => return self.not_put_back(number, pdu, "its type and state key are not known"),
                }
            }
            None => None,
        };
        let place = self.places.iter().find(|(_, event)| **event == number).map(|(index, _)| *index);
        let row = EventRow {
            room: self.number,
            sender,
            state_key,
            generation: 0,
            depth: pdu.depth(),
            origin_server_ts: pdu.origin_server_ts(),
            standing: Standing::Outlier,
            timeline: place,
            membership: membership_in(pdu),
            transaction: None,
            redacted_by,
            state_before: None,
            prev_events: Vec::new(),
            auth_events: Vec::new(),
        };
        self.write_text(number, pdu, redacted_by.is_some());
        self.put_row(number, row);
        self.put_back.insert(number);
        self.step("events", Some(number), "the event is put back as others have it").await
    }

    fn not_put_back(&mut self, number: EventNumber, pdu: &Pdu, what: &str) -> Result<(), ActionError> {
        self.lost.insert(number);
        let event = Some(pdu.event_id().to_owned());
        self.plan.left.push(RepairNote { table: "events", event, what: what.to_owned() });
        Ok(())
    }

    /// The redactions of lost events that were applied: those that clients are shown.
    async fn redactions(&self, lost: &Lost) -> Result<BTreeMap<OwnedEventId, EventNumber>, ActionError> {
        let ids: BTreeSet<&EventId> = lost.values().map(|(event_id, _)| &**event_id).collect();
        let mut redactions = BTreeMap::new();
        for (number, row) in &self.events {
            if row.standing != Standing::Accepted || row.timeline.is_none() || lost.contains_key(number) {
                continue;
            }
            let Some(pdu) = self.text(*number).await? else { continue };
            let target = pdu.redacts().filter(|_| pdu.event_type() == "m.room.redaction");
            if let Some(target) = target.and_then(|target| EventId::parse(target).ok())
                && ids.contains(&*target)
            {
                redactions.insert(target, *number);
            }
        }
        Ok(redactions)
    }

    /// The text of an event, if it is one.
    pub(super) async fn text(&self, number: EventNumber) -> Result<Option<Pdu>, ActionError> {
        let text = self.view.get(&EVENT_JSON, &number).await?;
        let parsed =
            text.map(|text| Pdu::parse_with(text.as_bytes(), self.version, ReferenceLimits::BACKFILL));
        Ok(parsed.and_then(Result::ok))
    }

    /// The row of an event as its text has it.
    async fn mend_row(&mut self, number: EventNumber) -> Result<(), ActionError> {
        let (Some(pdu), Some(mut row)) = (self.text(number).await?, self.events.get(&number).cloned()) else {
            return Ok(());
        };
        if let Some(sender) = self.view.number_of(&pdu.sender().to_owned()).await? {
            row.sender = sender;
        }
        row.state_key = match pdu.state_key() {
            Some(key) => self.view.number_of(&(pdu.event_type().to_owned(), key.to_owned())).await?,
            None => None,
        };
        (row.depth, row.origin_server_ts) = (pdu.depth(), pdu.origin_server_ts());
        row.membership = membership_in(&pdu);
        self.put_row(number, row);
        self.mend_links(number).await?;
        self.step("events", Some(number), "the row is made anew from the text").await
    }

    /// The events that an event names, as far as they are here.
    async fn mend_links(&mut self, number: EventNumber) -> Result<(), ActionError> {
        let (Some(pdu), Some(mut row)) = (self.text(number).await?, self.events.get(&number).cloned()) else {
            return Ok(());
        };
        row.prev_events = self.here(pdu.prev_events()).await?;
        row.auth_events = self.here(pdu.auth_events()).await?;
        self.put_row(number, row);
        Ok(())
    }

    async fn here(&self, event_ids: &[OwnedEventId]) -> Result<Vec<EventNumber>, ActionError> {
        let numbers = self.view.numbers_of(event_ids).await?.into_iter().flatten();
        Ok(numbers.filter(|number| self.events.contains_key(number)).collect())
    }

    /// What events follow of which something was not here when they came.
    async fn read_links(&mut self) -> Result<(), ActionError> {
        let mut follows = BTreeMap::new();
        for (number, row) in &self.events {
            let Some(pdu) = self.text(*number).await? else { continue };
            if pdu.prev_events().len() != row.prev_events.len() {
                follows.insert(*number, self.here(pdu.prev_events()).await?);
            }
        }
        self.follows = follows;
        Ok(())
    }
}
