//! A room without some events from its middle.

use std::collections::{BTreeMap, BTreeSet};

use freehold_canonical_json::{Limits, Object, Value, parse};
use freehold_event::{Pdu, ReferenceLimits, content_hash};

use crate::room::{Event, Parsed, Room};

/// Makes the room of these events: what referred to an event that is gone now comes after its
/// parents, and does without its authority. Hashes and ids are made anew; the signatures that are
/// there do not hold. Gives the new ids by the numbers in the whole room.
///
/// `None` when an event cannot be made so.
pub(super) fn relink(room: &Room, kept: &[u64]) -> Option<(Room, BTreeMap<u64, String>)> {
    let kept: BTreeSet<u64> = kept.iter().copied().collect();
    let mut relinker = Relinker { room, kept: &kept, made: BTreeMap::new() };
    let mut parsed = Vec::with_capacity(kept.len());
    for number in &kept {
        let event = room.event(*number)?;
        let pdu = relinker.remake(event)?;
        relinker.made.insert(*number, pdu.clone());
        parsed.push(Parsed { line: event.line, pdu, over_reference_limit: None });
    }
    let ids = relinker.made.iter().map(|(number, pdu)| (*number, pdu.event_id().to_string())).collect();
    let (made, in_cycles) = Room::new(room.file.clone(), room.version, parsed);
    in_cycles.is_empty().then_some((made, ids))
}

struct Relinker<'a> {
    room: &'a Room,
    kept: &'a BTreeSet<u64>,
    made: BTreeMap<u64, Pdu>,
}

impl Relinker<'_> {
    fn remake(&self, event: &Event) -> Option<Pdu> {
        let text = event.received().canonical_json();
        let mut object = parse(text.as_bytes(), &Limits::RELAXED).ok()?.into_object()?;
        let prev_events = self.still_there(&event.prev_events);
        let auth_events = event.auth_events.iter().copied().filter(|auth| self.kept.contains(auth));
        object.insert("prev_events", self.references(prev_events.into_iter()));
        object.insert("auth_events", self.references(auth_events));
        let mut hashes = Object::new();
        hashes.insert("sha256", content_hash(&object).to_base64());
        object.insert("hashes", hashes);
        let bytes = object.to_canonical_vec();
        Pdu::parse_with(&bytes, self.room.version, ReferenceLimits::BACKFILL).ok()
    }

    /// The events themselves, or what is left of their ancestors.
    fn still_there(&self, events: &[u64]) -> BTreeSet<u64> {
        let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut to_visit = events.to_vec();
        while let Some(number) = to_visit.pop() {
            if self.kept.contains(&number) {
                found.insert(number);
            } else if seen.insert(number) {
                to_visit.extend(self.room.event(number).into_iter().flat_map(|event| &event.prev_events));
            }
        }
        found
    }

    fn references(&self, numbers: impl Iterator<Item = u64>) -> Value<'static> {
        let with_hashes = self.room.version.rules().events_reference_format
            == ruma_common::room_version_rules::EventsReferenceFormatVersion::V1;
        let reference = |number: u64| {
            let pdu = self.made.get(&number)?;
            let id = Value::from(pdu.event_id().to_string());
            if !with_hashes {
                return Some(id);
            }
            let mut hash = Object::new();
            hash.insert("sha256", pdu.reference_hash().to_base64());
            Some(Value::Array(vec![id, Value::Object(hash)]))
        };
        Value::Array(numbers.filter_map(reference).collect())
    }
}
