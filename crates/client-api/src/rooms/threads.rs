//! [The threads of a room](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidthreads).

use std::sync::Arc;

use axum::extract::State;
use freehold_rooms::{Between, Rooms, StoredEvent};
use freehold_store::tables::rooms::RelationRow;
use freehold_store::{Order, TimelineIndex};
use freehold_sync::TimelineToken;
use ruma_client_api::filter::RoomEventFilter;
use ruma_client_api::threads::get_threads::v1::{IncludeThreads, Request, Response};
use ruma_common::EventId;
use ruma_common::api::error::ErrorCode;
use serde::Deserialize;

use super::messages::{bounded, parsed};
use super::view::View;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// How many threads an answer lists unless the client says.
const LIMIT_DEFAULT: u32 = 20;
/// How many events are looked at for one answer.
const LOOKED_AT_MAX: usize = 1_000;
/// How many events of one thread are looked at.
const OF_THREAD_MAX: usize = 1_000;

/// `GET /rooms/{roomId}/threads`.
///
/// "ordered by the latest event in the thread": the timeline is read backwards, and a thread is listed where its
/// latest event stands.
pub(crate) async fn threads(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let view = View::open(&rooms, &user, request.room_id).await?;
    let from = request.from.as_deref().map(|token| parsed("from", token)).transpose()?;
    let limit = bounded(request.limit.unwrap_or(LIMIT_DEFAULT.into())).max(1);
    let end = view.end();
    let between = Between::before(from.map_or(end, |from| from.next.min(end)));
    let page = view.page(between, Order::Descending, LOOKED_AT_MAX, &RoomEventFilter::default()).await?;
    let mut roots = Vec::new();
    let mut read_on = page.last.filter(|_| !page.is_end);
    for event in &page.events {
        if let Some(root) = root_of_latest(&view, event).await?
            && (request.include != IncludeThreads::Participated || takes_part(&view, &user, &root).await?)
        {
            roots.push(root);
        }
        if roots.len() == limit {
            read_on = event.row.timeline;
            break;
        }
    }
    let mut response = Response::new(view.all_shown(&roots).await?);
    response.next_batch = read_on.map(|last| TimelineToken::before(last).to_string());
    Ok(Reply(response))
}

/// The root of the thread of which an event is the latest.
async fn root_of_latest(view: &View, event: &StoredEvent) -> Result<Option<Arc<StoredEvent>>, ApiError> {
    let Some(root_id) = thread_of(event) else { return Ok(None) };
    let Ok(root_id) = EventId::parse(root_id) else { return Ok(None) };
    let root = match view.event_of_anybody(&root_id).await {
        Ok(root) => root,
        Err(ApiError { errcode: ErrorCode::NotFound, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(index) = event.row.timeline else { return Ok(None) };
    // "If the thread root event was sent by an ignored user, the event is returned redacted to the caller."
    let shown = if view.is_ignored(&root) { Arc::new(root.redacted()) } else { Arc::clone(&root) };
    Ok(is_latest(view, &root, index).await?.then_some(shown))
}

/// Whether the user sees nothing of a thread that comes after one of its events.
async fn is_latest(view: &View, root: &StoredEvent, index: TimelineIndex) -> Result<bool, ApiError> {
    let later = Between { after: index, before: view.end() };
    let numbers: Vec<_> = thread(view, root, later).await?.into_iter().map(|row| row.event).collect();
    Ok(view.visible(view.reader.events(&numbers).await?).await?.is_empty())
}

/// What is said in a thread in a part of the timeline.
async fn thread(view: &View, root: &StoredEvent, between: Between) -> Result<Vec<RelationRow>, ApiError> {
    let place = (view.room, root.number);
    let related = view.reader.relations(place, between, Order::Descending, OF_THREAD_MAX).await?;
    Ok(related.into_iter().map(|(_, row)| row).filter(|row| row.rel_type == "m.thread").collect())
}

/// Whether the user began a thread or said something in it.
async fn takes_part(view: &View, user: &Authenticated, root: &StoredEvent) -> Result<bool, ApiError> {
    if root.pdu.sender() == user.actor.user_id {
        return Ok(true);
    }
    let thread = thread(view, root, Between::before(view.end())).await?;
    Ok(thread.iter().any(|row| row.sender == user.actor.user))
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "m.relates_to")]
    relates_to: RelatesTo,
}

#[derive(Deserialize)]
struct RelatesTo {
    rel_type: String,
    event_id: String,
}

fn thread_of(event: &StoredEvent) -> Option<String> {
    let Content { relates_to } = serde_json::from_str(event.pdu.content()).ok()?;
    (relates_to.rel_type == "m.thread").then_some(relates_to.event_id)
}
