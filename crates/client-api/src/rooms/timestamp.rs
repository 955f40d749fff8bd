//! [The event nearest to a time](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event).

use axum::extract::State;
use freehold_rooms::{Between, Rooms};
use freehold_store::{Order, TimelineIndex};
use ruma_client_api::filter::RoomEventFilter;
use ruma_client_api::room::get_event_by_timestamp::v1::{Request, Response};
use ruma_common::api::Direction;
use ruma_common::api::error::ErrorCode;

use super::view::View;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// `GET /rooms/{roomId}/timestamp_to_event`.
pub(crate) async fn event_by_timestamp(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let view = View::open(&rooms, &user, request.room_id).await?;
    let ts = i64::try_from(u64::from(request.ts.get())).unwrap_or(i64::MAX);
    let (between, order) = match request.dir {
        Direction::Forward => {
            let first = first_since(&view, ts).await?;
            (Between::after(TimelineIndex(first.0.saturating_sub(1))), Order::Ascending)
        }
        Direction::Backward => {
            let later = first_since(&view, ts.saturating_add(1)).await?;
            (Between::before(later), Order::Descending)
        }
    };
    let page = view.page(between, order, 1, &RoomEventFilter::default()).await?;
    let missing = || ApiError::new(ErrorCode::NotFound, "there is no event in that direction");
    let event = page.events.first().ok_or_else(missing)?;
    let sent = u64::try_from(event.pdu.origin_server_ts()).unwrap_or_default();
    let sent = ruma_common::MilliSecondsSinceUnixEpoch(js_int::UInt::try_from(sent).unwrap_or_default());
    Ok(Reply(Response::new(event.pdu.event_id().to_owned(), sent)))
}

/// Where the first event stands that was sent at a time or later. Timelines are searched as if they were in the order
/// of time, which they are as far as clocks go right.
async fn first_since(view: &View, ts: i64) -> Result<TimelineIndex, ApiError> {
    let Some(mut low) = edge(view, Order::Ascending).await? else { return Ok(TimelineIndex(0)) };
    let last = edge(view, Order::Descending).await?.unwrap_or(low);
    let mut high = last.0.saturating_add(1);
    while low.0 < high {
        let middle = low.0.midpoint(high);
        let part = Between { after: TimelineIndex(middle.saturating_sub(1)), before: TimelineIndex(high) };
        match view.reader.timeline(view.room, part, Order::Ascending, 1).await?.first() {
            Some((index, event)) if view.reader.event(*event).await?.pdu.origin_server_ts() < ts => {
                low = TimelineIndex(index.0.saturating_add(1));
            }
            // Nothing stands between the middle and the end, or what does was sent in time.
            _ => high = middle,
        }
    }
    Ok(TimelineIndex(high))
}

async fn edge(view: &View, order: Order) -> Result<Option<TimelineIndex>, ApiError> {
    let found = view.reader.timeline(view.room, Between::ALL, order, 1).await?;
    Ok(found.first().map(|(index, _)| *index))
}
