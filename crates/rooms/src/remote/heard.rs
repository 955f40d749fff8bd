//! What another server answered about a room, before any of it is believed.

use std::collections::BTreeMap;

use freehold_event::{HashedPdu, RawPdu, ReferenceLimits, RoomVersion};
use ruma_common::{OwnedEventId, OwnedServerName, RoomId, ServerName};

use super::BadAnswer;
use super::answer_parts::{AnswerParts, Part};
use crate::limits::{ANSWER_BYTES_MAX, ANSWER_EVENTS_MAX, ANSWER_SERVERS_MAX};
use crate::outside::AnswerBody;

/// What another server answered about a room: well-formed events of the room with what their hashes cover, each once.
/// What is no event of the room is left out.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The events of the state and of its auth chain.
    pub(crate) events: BTreeMap<OwnedEventId, HashedPdu>,
    /// Which of them make the state.
    pub(crate) state: Vec<OwnedEventId>,
    /// The `event` of the answer to a join.
    pub(crate) event: Option<Vec<u8>>,
    /// Whether members are left out.
    pub(crate) members_omitted: bool,
    /// The servers that are said to be in the room.
    pub(crate) servers: Vec<OwnedServerName>,
}

impl Heard {
    /// Reads an answer to its end.
    ///
    /// # Errors
    /// [`BadAnswer`].
    pub(crate) async fn read(
        body: &mut dyn AnswerBody,
        version: &'static RoomVersion,
        room_id: &RoomId,
    ) -> Result<Self, BadAnswer> {
        let (mut heard, mut reader) = (Heard::default(), AnswerParts::new());
        let (mut parts, mut bytes) = (Vec::new(), 0_u64);
        while let Some(chunk) = body.chunk().await.map_err(BadAnswer::BrokeOff)? {
            bytes = bytes.saturating_add(chunk.len() as u64);
            if bytes > ANSWER_BYTES_MAX {
                return Err(BadAnswer::TooLarge { what: "bytes", limit: ANSWER_BYTES_MAX });
            }
            reader.feed(&chunk, &mut parts)?;
            for part in parts.drain(..) {
                heard.add(part, version, room_id)?;
            }
        }
        if reader.is_over() { Ok(heard) } else { Err(BadAnswer::Form("it ends too early")) }
    }

    fn add(&mut self, part: Part, version: &'static RoomVersion, room_id: &RoomId) -> Result<(), BadAnswer> {
        match part {
            Part::Element { list: "servers_in_room", json } => self.add_server(&json)?,
            Part::Element { list, json } => {
                let event_id = self.add_event(&json, version, room_id)?;
                if list != "auth_chain" {
                    self.state.extend(event_id);
                }
            }
            Part::Member { name, json } if name == "event" => self.event = Some(json),
            Part::Member { name, json } if name == "members_omitted" => {
                self.members_omitted = json.trim_ascii() == b"true";
            }
            Part::Member { .. } => {}
        }
        Ok(())
    }

    fn add_server(&mut self, json: &[u8]) -> Result<(), BadAnswer> {
        if self.servers.len() >= ANSWER_SERVERS_MAX {
            return Err(BadAnswer::TooLarge { what: "servers", limit: ANSWER_SERVERS_MAX as u64 });
        }
        let name: Option<String> = serde_json::from_slice(json).ok();
        self.servers.extend(name.and_then(|name| ServerName::parse(name).ok()));
        Ok(())
    }

    fn add_event(
        &mut self,
        json: &[u8],
        version: &'static RoomVersion,
        room_id: &RoomId,
    ) -> Result<Option<OwnedEventId>, BadAnswer> {
        let Ok(pdu) = RawPdu::new(json).parse_with(version, ReferenceLimits::BACKFILL) else {
            return Ok(None);
        };
        if pdu.room_id() != room_id {
            return Ok(None);
        }
        let event_id = pdu.event_id().to_owned();
        if !self.events.contains_key(&event_id) {
            if self.events.len() >= ANSWER_EVENTS_MAX {
                return Err(BadAnswer::TooLarge { what: "events", limit: ANSWER_EVENTS_MAX as u64 });
            }
            self.events.insert(event_id.clone(), pdu.check_content_hash());
        }
        Ok(Some(event_id))
    }

    /// The events in an order in which each comes after those of them that it names as its authorisation. Events that
    /// name each other in a circle, and what builds on them, are left out.
    pub(crate) fn by_authority(&self) -> Vec<OwnedEventId> {
        let mut waits: BTreeMap<&OwnedEventId, usize> = BTreeMap::new();
        let mut waiting: BTreeMap<&OwnedEventId, Vec<&OwnedEventId>> = BTreeMap::new();
        let mut ready = Vec::new();
        for (event_id, event) in &self.events {
            let named = event.pdu().auth_events().iter().filter(|named| self.events.contains_key(*named));
            let mut count = 0;
            for named in named {
                waiting.entry(named).or_default().push(event_id);
                count += 1;
            }
            if count == 0 {
                ready.push(event_id);
            } else {
                waits.insert(event_id, count);
            }
        }
        let mut ordered = Vec::with_capacity(self.events.len());
        while let Some(event_id) = ready.pop() {
            ordered.push(event_id.clone());
            for next in waiting.remove(event_id).into_iter().flatten() {
                if let Some(count) = waits.get_mut(next) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(next);
                    }
                }
            }
        }
        ordered
    }
}
