//! An event against its own text.

use freehold_event::{Pdu, ReferenceLimits, RoomVersion};
use freehold_signing::{required_signatures, signature_on, wanted_keys};
use freehold_store::tables::identity::{ROOM_IDS, STATE_KEYS, USER_IDS};
use freehold_store::tables::rooms::{EVENT_JSON, EVENTS, EventRow, RoomRow};
use freehold_store::{EventNumber, ReadError, TimelineIndex};
use ruma_common::OwnedEventId;

use super::{Checking, RoomFault};
use crate::write::membership_in;

impl Checking<'_> {
    /// Text, hash, form of signatures, and what the row says of it. Gives how many `prev_events` the text names, if it can be read.
    pub(crate) async fn event(
        &mut self,
        (number, event_id): (EventNumber, OwnedEventId),
        row: &EventRow,
        room: &RoomRow,
    ) -> Result<Option<usize>, ReadError> {
        // `check_references` finds events without a text.
        let Some(text) = self.snapshot.get(&EVENT_JSON, &number).await? else { return Ok(None) };
        let at = (row.room, Some(number));
        let parsed = RoomVersion::find(&room.version)
            .and_then(|version| Pdu::parse_with(text.as_bytes(), version, ReferenceLimits::BACKFILL).ok());
        let Some(pdu) = parsed else {
            self.report("event_json", at, RoomFault::Format { version: room.version.clone() });
            return Ok(None);
        };
        if pdu.event_id() != event_id {
            self.report("event_json", at, RoomFault::OtherEvent { found: pdu.event_id().to_string() });
        }
        let room_id = self.snapshot.get(&ROOM_IDS, &row.room).await?;
        if room_id.is_some_and(|room_id| room_id != pdu.room_id()) {
            self.report("event_json", at, RoomFault::OtherRoom { found: pdu.room_id().to_string() });
        }
        if !is_whole_or_redacted(&pdu) {
            self.report("event_json", at, RoomFault::ContentHash);
        }
        for server in unsigned_by(&pdu) {
            self.report("event_json", at, RoomFault::Signature { server });
        }
        for member in self.differing(row, &pdu).await? {
            self.report("events", at, RoomFault::Row { member });
        }
        Ok(Some(pdu.prev_events().len()))
    }

    /// The members of an event of which its row says something else.
    async fn differing(&self, row: &EventRow, pdu: &Pdu) -> Result<Vec<&'static str>, ReadError> {
        let sender = self.snapshot.get(&USER_IDS, &row.sender).await?;
        let key = match row.state_key {
            Some(key) => self.snapshot.get(&STATE_KEYS, &key).await?,
            None => None,
        };
        let key = key.as_ref().map(|(event_type, key)| (event_type.as_str(), key.as_str()));
        let prev = self.ids(&row.prev_events).await?;
        let auth = self.ids(&row.auth_events).await?;
        let same = [
            ("sender", sender.is_some_and(|sender| sender == pdu.sender())),
            ("state_key", key == pdu.state_key().map(|key| (pdu.event_type(), key))),
            ("depth", row.depth == pdu.depth()),
            ("origin_server_ts", row.origin_server_ts == pdu.origin_server_ts()),
            ("prev_events", self.are_those_here(row, (&prev, pdu.prev_events())).await?),
            ("auth_events", self.are_those_here(row, (&auth, pdu.auth_events())).await?),
            ("membership", row.membership == membership_in(pdu)),
        ];
        Ok(same.into_iter().filter(|(_, same)| !same).map(|(member, _)| member).collect())
    }

    /// Whether the events that a row names are those that the text names, in their order, but for those that were not here when the
    /// event came.
    async fn are_those_here(
        &self,
        row: &EventRow,
        (here, named): (&[OwnedEventId], &[OwnedEventId]),
    ) -> Result<bool, ReadError> {
        if here == named {
            return Ok(true);
        }
        let mut rest = here.iter().peekable();
        let absent: Vec<OwnedEventId> =
            named.iter().filter(|named| rest.next_if_eq(named).is_none()).cloned().collect();
        if rest.next().is_some() {
            return Ok(false);
        }
        for number in self.snapshot.numbers_of(&absent).await?.into_iter().flatten() {
            let absent = self.snapshot.get(&EVENTS, &number).await?.and_then(|absent| absent.timeline);
            // History has no position: it came later and stands before.
            let came_before = |absent: TimelineIndex| {
                absent.position().is_some() && row.timeline.is_some_and(|event| absent < event)
            };
            if absent.is_some_and(came_before) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn ids(&self, events: &[EventNumber]) -> Result<Vec<OwnedEventId>, ReadError> {
        let ids = self.snapshot.get_many(&freehold_store::tables::identity::EVENT_IDS, events).await?;
        Ok(ids.into_iter().flatten().collect())
    }
}

/// Whether a text is what was hashed, or what a redaction leaves of it.
fn is_whole_or_redacted(pdu: &Pdu) -> bool {
    pdu.claimed_content_hash() == Some(pdu.content_hash())
        || pdu.redacted().canonical_json() == pdu.canonical_json()
}

/// The servers who must sign, and of whom there is nothing that has the form of a signature.
fn unsigned_by(pdu: &Pdu) -> Vec<String> {
    let Ok(required) = required_signatures(pdu) else {
        return vec!["a server that no identifier names".to_owned()];
    };
    let keys = wanted_keys(pdu).unwrap_or_default();
    let signed = |server: &ruma_common::ServerName| {
        let mut keys = keys.iter().filter(|key| key.server == server);
        keys.any(|key| signature_on(pdu, server.as_str(), key.key_id.as_str()).is_some())
    };
    required.iter().filter(|server| !signed(server)).map(ToString::to_string).collect()
}
