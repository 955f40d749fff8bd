//! The naive twin of the test kit, asked about a replayed room.

use freehold_state_map::StateMap;
use freehold_state_res::Algorithm;
use freehold_testkit::twin::{self, Differences};
use freehold_testkit::{Events, RoomEvent};

use crate::compare::{Answer, answer};
use crate::replay::{Replay, Verdict};
use crate::room::Event;

/// The events of a room as the twin sees them.
pub(super) struct Naive<'r> {
    replay: &'r Replay<'r>,
    version: Differences,
    events: Events,
}

impl<'r> Naive<'r> {
    /// Converts the events; `None` for a room version that the twin does not know.
    pub(super) fn new(replay: &'r Replay<'r>) -> Option<Naive<'r>> {
        let mut version = Differences::of(replay.room.version.id())?;
        version.algorithm = match replay.algorithm {
            Algorithm::V1 => twin::Algorithm::V1,
            Algorithm::V2_0 => twin::Algorithm::V2,
            Algorithm::V2_1 => twin::Algorithm::V2_1,
        };
        let events = replay.room.events.iter().map(|event| {
            let rejected = replay.verdict(event.number).is_some_and(Verdict::is_rejected);
            (event.pdu().event_id().to_string(), room_event(event, rejected))
        });
        Some(Naive { replay, version, events: events.collect() })
    }

    /// Resolves states.
    pub(super) fn resolve(&self, states: &[&StateMap]) -> Answer {
        let states: Vec<Answer> = states.iter().map(|state| answer(self.replay, state)).collect();
        twin::resolve(&self.version, &states, &self.events).state
    }

    /// The number of the rule that rejects an event on receipt; `None` when it is accepted.
    pub(super) fn denying_rule(&self, event: &Event, before: &StateMap) -> Option<String> {
        let event = self.events.get(event.pdu().event_id().as_str())?;
        let before = answer(self.replay, before);
        match twin::receive(event, &before, &self.events, &self.version) {
            twin::Verdict::Accepted => None,
            twin::Verdict::RejectedByAuthEvents(denied) | twin::Verdict::RejectedByState(denied) => {
                Some(denied.rule)
            }
        }
    }
}

fn room_event(event: &Event, rejected: bool) -> RoomEvent {
    let pdu = event.pdu();
    let view = pdu.view();
    RoomEvent {
        event_id: pdu.event_id().to_string(),
        room_id: view.room_id.map(str::to_owned),
        event_type: pdu.event_type().to_owned(),
        state_key: pdu.state_key().map(str::to_owned),
        sender: pdu.sender().to_string(),
        content: pdu.content().to_owned(),
        origin_server_ts: pdu.origin_server_ts(),
        depth: pdu.depth(),
        prev_events: pdu.prev_events().iter().map(ToString::to_string).collect(),
        auth_events: pdu.auth_events().iter().map(ToString::to_string).collect(),
        redacts: pdu.redacts().map(str::to_owned),
        rejected,
        pdu: None,
    }
}
