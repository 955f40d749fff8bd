//! [Events that relate to an event](https://spec.matrix.org/v1.19/client-server-api/#relationships-api).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use freehold_rooms::{Between, Rooms, StoredEvent};
use freehold_store::tables::rooms::RelationRow;
use freehold_store::{EventNumber, Order, TimelineIndex};
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
/// How many related events are read at once.
const LOOKED_AT_TOGETHER: usize = 200;
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
    let mut reached = 1;
    let (chosen, last) = match wanted.recurse {
        false => direct(&view, &wanted, &event).await?,
        true => {
            let (related, depth) = related(&view, wanted.order(), &event).await?;
            reached = depth;
            let between = wanted.between();
            let rows = related.into_iter().filter(|(index, _)| between.holds(*index)).collect();
            let mut page = Vec::new();
            let last = wanted.take(&view, rows, &mut page).await?;
            (page, last)
        }
    };
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

type Related = Vec<(TimelineIndex, RelationRow)>;

/// Those of the events that relate to an event which are asked for, and where to go on if there may be more.
async fn direct(
    view: &View,
    wanted: &Wanted,
    event: &StoredEvent,
) -> Result<(Vec<Arc<StoredEvent>>, Option<TimelineIndex>), ApiError> {
    let (mut between, mut chosen, mut looked_at) = (wanted.between(), Vec::new(), 0);
    loop {
        let place = (view.room, event.number);
        let rows = view.reader.relations(place, between, wanted.order(), LOOKED_AT_TOGETHER).await?;
        looked_at += rows.len();
        let furthest = rows.last().map(|(index, _)| *index);
        let is_end = rows.len() < LOOKED_AT_TOGETHER;
        if let Some(last) = wanted.take(view, rows, &mut chosen).await? {
            return Ok((chosen, Some(last)));
        }
        let Some(furthest) = furthest.filter(|_| !is_end) else { return Ok((chosen, None)) };
        if looked_at >= LOOKED_AT_MAX {
            return Ok((chosen, Some(furthest)));
        }
        match wanted.order() {
            Order::Descending => between.before = furthest,
            Order::Ascending => between.after = furthest,
        }
    }
}

/// The events that relate to an event, and to those, in some order of the timeline; and how far it went.
async fn related(view: &View, order: Order, event: &StoredEvent) -> Result<(Related, u32), ApiError> {
    let mut found = BTreeMap::new();
    let mut targets = vec![event.number];
    let mut reached = 0;
    while reached < DEPTH_MAX && !targets.is_empty() {
        reached += 1;
        let mut next = Vec::new();
        for target in targets {
            let room_for = LOOKED_AT_MAX.saturating_sub(found.len());
            for (index, row) in
                view.reader.relations((view.room, target), Between::ALL, order, room_for).await?
            {
                next.push(row.event);
                found.insert(index, row);
            }
        }
        targets = next;
    }
    let found = found.into_iter();
    let rows = if order == Order::Descending { found.rev().collect() } else { found.collect() };
    Ok((rows, reached))
}

impl Wanted {
    fn order(&self) -> Order {
        match self.dir {
            Direction::Backward => Order::Descending,
            Direction::Forward => Order::Ascending,
        }
    }

    /// The part of the timeline that is asked for.
    fn between(&self) -> Between {
        let (lowest, highest) = match self.dir {
            Direction::Backward => (self.to, self.from),
            Direction::Forward => (self.from, self.to),
        };
        let after = lowest.map_or(Between::ALL.after, |token| TimelineIndex(token.next.0.saturating_sub(1)));
        Between { after, before: highest.map_or(Between::ALL.before, |token| token.next) }
    }

    /// Adds those of some events that are asked for and that the user may see, until the answer is full; gives the last one in it
    /// if it is and there are more.
    async fn take(
        &self,
        view: &View,
        rows: Related,
        page: &mut Vec<Arc<StoredEvent>>,
    ) -> Result<Option<TimelineIndex>, ApiError> {
        let numbers: Vec<EventNumber> =
            rows.iter().filter(|(_, row)| self.is_of_type(row)).map(|(_, row)| row.event).collect();
        for event in view.visible(view.reader.events(&numbers).await?).await? {
            if page.len() >= self.limit {
                return Ok(page.last().and_then(|last| last.row.timeline));
            }
            page.push(event);
        }
        Ok(None)
    }

    /// "The relationship type `relType`" is that of the events found, also of those that were found by way of others.
    fn is_of_type(&self, row: &RelationRow) -> bool {
        self.rel_type.as_ref().is_none_or(|wanted| *wanted == row.rel_type)
            && self.event_type.as_ref().is_none_or(|wanted| *wanted == row.event_type)
    }
}
