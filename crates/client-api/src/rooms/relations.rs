//! [Events that relate to an event](https://spec.matrix.org/v1.19/client-server-api/#relationships-api).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use freehold_rooms::{Rooms, StoredEvent};
use freehold_store::{EventNumber, TimelineIndex};
use freehold_sync::TimelineToken;
use js_int::UInt;
use ruma_client_api::relations::{
    get_relating_events, get_relating_events_with_rel_type, get_relating_events_with_rel_type_and_event_type,
};
use ruma_common::api::Direction;
use ruma_common::serde::Raw;
use ruma_common::{OwnedEventId, OwnedRoomId};

use super::messages::{bounded, parsed};
use super::view::View;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// How many events an answer holds unless the client says.
const LIMIT_DEFAULT: u32 = 50;
/// How many related events are looked at for one answer.
const LOOKED_AT_MAX: usize = 5_000;
/// How far relations of relations are followed when the client asks for it.
const DEPTH_MAX: u32 = 3;

/// What all three endpoints ask.
struct Wanted {
    room_id: OwnedRoomId,
    event_id: OwnedEventId,
    rel_type: Option<String>,
    event_type: Option<String>,
    from: Option<TimelineToken>,
    to: Option<TimelineToken>,
    dir: Direction,
    limit: usize,
    recurse: bool,
}

/// What all three endpoints answer.
struct Found<T> {
    chunk: Vec<Raw<T>>,
    next_batch: Option<String>,
    prev_batch: Option<String>,
    recursion_depth: Option<UInt>,
}

/// Takes what the requests have in common out of one of them.
macro_rules! wanted {
    ($request:ident, $rel_type:expr, $event_type:expr) => {
        Wanted {
            rel_type: $rel_type,
            event_type: $event_type,
            room_id: $request.room_id,
            event_id: $request.event_id,
            from: $request.from.as_deref().map(|token| parsed("from", token)).transpose()?,
            to: $request.to.as_deref().map(|token| parsed("to", token)).transpose()?,
            dir: $request.dir,
            limit: bounded($request.limit.unwrap_or(LIMIT_DEFAULT.into())),
            recurse: $request.recurse,
        }
    };
}

/// Puts what was found into the response of one of them.
macro_rules! response {
    ($response:ty, $found:expr) => {{
        let Found { chunk, next_batch, prev_batch, recursion_depth } = $found;
        let mut response = <$response>::new(chunk);
        response.next_batch = next_batch;
        response.prev_batch = prev_batch;
        response.recursion_depth = recursion_depth;
        Ok(Reply(response))
    }};
}

/// `GET /rooms/{roomId}/relations/{eventId}`.
pub(crate) async fn relations(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<get_relating_events::v1::Request>,
) -> Result<Reply<get_relating_events::v1::Response>, ApiError> {
    let wanted = wanted!(request, None, None);
    response!(get_relating_events::v1::Response, found(&rooms, &user, wanted).await?)
}

/// `GET /rooms/{roomId}/relations/{eventId}/{relType}`.
pub(crate) async fn relations_of_type(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<get_relating_events_with_rel_type::v1::Request>,
) -> Result<Reply<get_relating_events_with_rel_type::v1::Response>, ApiError> {
    let rel_type = request.rel_type.to_string();
    let wanted = wanted!(request, Some(rel_type), None);
    response!(get_relating_events_with_rel_type::v1::Response, found(&rooms, &user, wanted).await?)
}

/// `GET /rooms/{roomId}/relations/{eventId}/{relType}/{eventType}`.
pub(crate) async fn relations_of_both_types(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<get_relating_events_with_rel_type_and_event_type::v1::Request>,
) -> Result<Reply<get_relating_events_with_rel_type_and_event_type::v1::Response>, ApiError> {
    let (rel_type, event_type) = (request.rel_type.to_string(), request.event_type.to_string());
    let wanted = wanted!(request, Some(rel_type), Some(event_type));
    response!(
        get_relating_events_with_rel_type_and_event_type::v1::Response,
        found(&rooms, &user, wanted).await?
    )
}

async fn found<T>(rooms: &Rooms, user: &Authenticated, wanted: Wanted) -> Result<Found<T>, ApiError> {
    let view = View::open(rooms, user, wanted.room_id.clone()).await?;
    let event = view.event(&wanted.event_id).await?;
    let depth = if wanted.recurse { DEPTH_MAX } else { 1 };
    let (related, reached) = related(&view, &event, depth).await?;
    let mut chosen = Vec::new();
    for (index, number) in related {
        let event = view.reader.event(number).await?;
        if event.row.redacted_by.is_none() && is_wanted(&wanted, index, &event) {
            chosen.push(event);
        }
    }
    let mut chosen = view.visible(chosen).await?;
    if wanted.dir == Direction::Backward {
        chosen.reverse();
    }
    let more = chosen.len() > wanted.limit;
    chosen.truncate(wanted.limit);
    let last = chosen.last().filter(|_| more).and_then(|event| event.row.timeline);
    let next_batch = last.map(|last| match wanted.dir {
        Direction::Backward => TimelineToken::before(last),
        Direction::Forward => TimelineToken::after(last),
    });
    Ok(Found {
        chunk: view.all_shown(&chosen).await?,
        next_batch: next_batch.map(|token| token.to_string()),
        prev_batch: wanted.from.map(|token| token.to_string()),
        recursion_depth: wanted.recurse.then(|| UInt::from(reached)),
    })
}

/// The events that relate to an event, and to those, in the order of the timeline; and how far it went.
async fn related(
    view: &View,
    event: &Arc<StoredEvent>,
    depth: u32,
) -> Result<(BTreeMap<TimelineIndex, EventNumber>, u32), ApiError> {
    let mut found = BTreeMap::new();
    let mut targets = vec![event.number];
    let mut reached = 0;
    while reached < depth && !targets.is_empty() {
        reached += 1;
        let mut next = Vec::new();
        for target in targets {
            let room_for = LOOKED_AT_MAX.saturating_sub(found.len());
            for (index, row) in view.reader.relations(target, None, room_for).await? {
                if found.insert(index, row.event).is_none() {
                    next.push(row.event);
                }
            }
        }
        targets = next;
    }
    Ok((found, reached))
}

/// "The relationship type `relType`" is that of the events found, also of those that were found by way of others.
fn is_wanted(wanted: &Wanted, index: TimelineIndex, event: &StoredEvent) -> bool {
    let (lowest, highest) = match wanted.dir {
        Direction::Backward => (wanted.to, wanted.from),
        Direction::Forward => (wanted.from, wanted.to),
    };
    let in_part =
        lowest.is_none_or(|token| index >= token.next) && highest.is_none_or(|token| index < token.next);
    let of_event_type = wanted.event_type.as_deref().is_none_or(|wanted| wanted == event.pdu.event_type());
    let of_rel_type =
        wanted.rel_type.as_deref().is_none_or(|wanted| rel_type(event).as_deref() == Some(wanted));
    in_part && of_event_type && of_rel_type
}

#[derive(serde::Deserialize)]
struct Content {
    #[serde(rename = "m.relates_to")]
    relates_to: Option<RelatesTo>,
}

#[derive(serde::Deserialize)]
struct RelatesTo {
    rel_type: Option<String>,
}

fn rel_type(event: &StoredEvent) -> Option<String> {
    serde_json::from_str::<Content>(event.pdu.content()).ok()?.relates_to?.rel_type
}
