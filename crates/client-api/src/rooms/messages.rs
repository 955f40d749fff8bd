//! [Reading a timeline](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages), and what
//! is [around an event](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid).

use std::sync::Arc;

use axum::extract::State;
use freehold_rooms::{Between, Rooms, StoredEvent};
use freehold_store::{Order, TimelineIndex};
use freehold_sync::TimelineToken;
use js_int::UInt;
use ruma_client_api::context::get_context::v3 as context;
use ruma_client_api::filter::RoomEventFilter;
use ruma_client_api::message::get_message_events::v3::{Request, Response};
use ruma_common::api::Direction;
use ruma_common::api::error::ErrorCode;

use super::view::{Page, View};
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::older_events::OlderEvents;
use crate::reply::Reply;
use crate::request::Body;

/// How many events an answer holds at most.
pub(crate) const LIMIT_MAX: usize = 500;

/// How often older events are fetched for one answer: some of what comes may not be for the user.
const FETCHES_MAX: usize = 4;

/// `GET /rooms/{roomId}/messages`.
pub(crate) async fn messages(
    State(rooms): State<Rooms>,
    State(older): State<Arc<dyn OlderEvents>>,
    user: Authenticated,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let mut view = View::open(&rooms, &user, request.room_id.clone()).await?;
    let from = request.from.as_deref().map(|token| parsed("from", token)).transpose()?;
    let to = request.to.as_deref().map(|token| parsed("to", token)).transpose()?;
    let (order, between) = part(request.dir, (from, to), view.end());
    let mut page = Page { events: Vec::new(), last: None, is_end: true };
    if rooms_pass(&request.filter, &view) {
        let limit = bounded(request.limit);
        page = view.page(between, order, limit, &request.filter).await?;
        let mut fetched = 0;
        while fetched < FETCHES_MAX
            && order == Order::Descending
            && page.is_end
            && page.events.len() < limit
            && view.has_older_events().await?
            && older.fetch(&user.actor.tenant, &request.room_id).await
        {
            fetched += 1;
            view = View::open(&rooms, &user, request.room_id.clone()).await?;
            page = view.page(between, order, limit, &request.filter).await?;
        }
        // Who has reached the end of what is here may ask for what could not be had now, and for what comes behind events that
        // came and are not for the user: rejected ones, for example.
        let may_go_on = fetched == FETCHES_MAX || !page.events.is_empty();
        page.is_end &= order == Order::Ascending || !may_go_on || !view.has_older_events().await?;
    }
    let start = from.unwrap_or_else(|| start_of(between, order));
    let mut response = Response::new();
    response.start = start.to_string();
    let end = || page.last.map_or_else(|| response.start.clone(), |last| beyond(last, order).to_string());
    response.end = (!page.is_end).then(end);
    if !request.filter.lazy_load_options.is_disabled()
        && let Some(first) = page.events.first()
    {
        let state = view.reader.state_after(first).await?;
        let members = view.senders(&state, &page.events).await?;
        response.state = view.all_shown(&members).await?;
    }
    response.chunk = view.all_shown(&page.events).await?;
    Ok(Reply(response))
}

/// `GET /rooms/{roomId}/context/{eventId}`.
pub(crate) async fn context(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<context::Request>,
) -> Result<Reply<context::Response>, ApiError> {
    let view = View::open(&rooms, &user, request.room_id).await?;
    let event = view.event(&request.event_id).await?;
    let index = event.row.timeline.unwrap_or(TimelineIndex(i64::MIN));
    let limit = bounded(request.limit);
    let before_limit = limit / 2;
    let before = view.page(Between::before(index), Order::Descending, before_limit, &request.filter).await?;
    let after = Between { after: index, before: view.end() };
    let after = view.page(after, Order::Ascending, limit - before_limit, &request.filter).await?;
    let last = after.events.last().unwrap_or(&event);
    let state = view.state_beside(last).await?;
    let mut response = context::Response::new();
    response.start = Some(TimelineToken::before(before.last.unwrap_or(index)).to_string());
    response.end = Some(TimelineToken::after(after.last.unwrap_or(index)).to_string());
    let in_answer =
        [before.events.as_slice(), std::slice::from_ref(&event), after.events.as_slice()].concat();
    let wanted = wanted_state(&view, &state, &request.filter, &in_answer).await?;
    response.state = view.all_shown(&wanted).await?;
    response.events_before = view.all_shown(&before.events).await?;
    response.events_after = view.all_shown(&after.events).await?;
    response.event = Some(view.shown(&event).await?);
    Ok(Reply(response))
}

/// The state that goes with some events: with lazy loading no other members than their senders.
async fn wanted_state(
    view: &View,
    state: &freehold_rooms::RoomState,
    filter: &RoomEventFilter,
    events: &[Arc<StoredEvent>],
) -> Result<Vec<Arc<StoredEvent>>, ApiError> {
    let mut wanted = state.events().await?;
    wanted.retain(|event| freehold_sync::filter::room_event_passes(filter, event.pdu.canonical_json()));
    if !filter.lazy_load_options.is_disabled() {
        wanted.retain(|event| event.pdu.event_type() != "m.room.member");
        wanted.extend(view.senders(state, events).await?);
    }
    Ok(wanted)
}

/// A token in a query.
pub(crate) fn parsed(name: &str, token: &str) -> Result<TimelineToken, ApiError> {
    let bad = |error| ApiError::new(ErrorCode::InvalidParam, format!("`{name}` in the query: {error}"));
    token.parse().map_err(bad)
}

/// How many events are asked for.
pub(crate) fn bounded(limit: UInt) -> usize {
    usize::try_from(u64::from(limit)).unwrap_or(LIMIT_MAX).min(LIMIT_MAX)
}

/// Which part of a timeline up to its end is asked for, and in which order.
fn part(
    dir: Direction,
    (from, to): (Option<TimelineToken>, Option<TimelineToken>),
    end: TimelineIndex,
) -> (Order, Between) {
    let place_before = |token: TimelineToken| TimelineIndex(token.next.0.saturating_sub(1));
    match dir {
        Direction::Backward => {
            let before = from.map_or(end, |from| from.next.min(end));
            let after = to.map_or(TimelineIndex(i64::MIN), place_before);
            (Order::Descending, Between { after, before })
        }
        Direction::Forward => {
            let after = from.map_or(TimelineIndex(i64::MIN), place_before);
            let before = to.map_or(end, |to| to.next.min(end));
            (Order::Ascending, Between { after, before })
        }
    }
}

fn start_of(between: Between, order: Order) -> TimelineToken {
    match order {
        Order::Descending => TimelineToken::before(between.before),
        Order::Ascending => TimelineToken::after(between.after),
    }
}

/// Where to read on after the last event that was read.
fn beyond(last: TimelineIndex, order: Order) -> TimelineToken {
    match order {
        Order::Descending => TimelineToken::before(last),
        Order::Ascending => TimelineToken::after(last),
    }
}

fn rooms_pass(filter: &RoomEventFilter, view: &View) -> bool {
    freehold_sync::filter::room_passes(filter.rooms.as_deref(), &filter.not_rooms, &view.room_id)
}
