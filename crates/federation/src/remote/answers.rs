//! The shapes of what servers answer.

use freehold_rooms::{ResolvedAlias, Template, Unanswered};
use ruma_common::{OwnedRoomId, OwnedServerName};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{Answer, RequestError};

/// A template of a membership event.
#[derive(Deserialize)]
pub(super) struct Made {
    #[serde(default)]
    room_version: Option<String>,
    event: Box<RawValue>,
}

impl From<Made> for Template {
    fn from(made: Made) -> Self {
        Template { room_version: made.room_version, event: made.event.get().to_owned() }
    }
}

/// What a room tells those who knock; servers of before version 1.1 of the specification had another name for it.
#[derive(Deserialize)]
pub(super) struct Knocked {
    #[serde(alias = "knock_state_events")]
    pub(super) knock_room_state: Vec<Box<RawValue>>,
}

/// An invite, signed by the server of the invited user.
#[derive(Deserialize)]
pub(super) struct Invited {
    pub(super) event: Box<RawValue>,
}

/// Where an alias leads.
#[derive(Deserialize)]
pub(super) struct Found {
    room_id: OwnedRoomId,
    #[serde(default)]
    servers: Vec<String>,
}

impl From<Found> for ResolvedAlias {
    fn from(found: Found) -> Self {
        // A name that is none is nobody who could be asked.
        let servers = found.servers.into_iter().filter_map(|name| OwnedServerName::try_from(name).ok());
        ResolvedAlias { room_id: found.room_id, servers: servers.take(SERVERS_MAX).collect() }
    }
}

/// How many servers of a room are remembered of those that an alias' server names.
const SERVERS_MAX: usize = 50;

/// What the first version of an endpoint answers: a status, and what the second version answers.
pub(super) fn of_first_version(answer: &Answer) -> Result<Box<RawValue>, RequestError> {
    let (_, content): (u16, Box<RawValue>) = answer.json()?;
    Ok(content)
}

/// What rooms understand of a failure.
pub(super) fn unanswered(error: RequestError) -> Unanswered {
    match error {
        RequestError::Refused(refusal) => {
            let room_version = refusal.body.get("room_version").and_then(|version| version.as_str());
            Unanswered::Refused {
                room_version: room_version.map(str::to_owned),
                status: refusal.status,
                errcode: refusal.errcode,
                message: refusal.message,
            }
        }
        error @ (RequestError::TooLarge { .. }
        | RequestError::Redirected { .. }
        | RequestError::Malformed { .. }) => Unanswered::Malformed(Box::new(error)),
        error => Unanswered::NotReached(Box::new(error)),
    }
}

/// Whether a server says that it does not have an endpoint.
pub(crate) fn is_unknown_endpoint(error: &RequestError) -> bool {
    error.refusal().is_some_and(|refusal| {
        matches!(refusal.status, 404 | 405) && matches!(refusal.errcode.as_str(), "" | "M_UNRECOGNIZED")
            || refusal.status == 400 && refusal.errcode == "M_UNRECOGNIZED"
    })
}
