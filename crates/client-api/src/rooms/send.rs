//! [Sending events](https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room) and
//! [redacting](https://spec.matrix.org/v1.19/client-server-api/#redactions) them.

use axum::extract::State;
use freehold_rooms::{NewEvent, Redaction, Rooms};
use freehold_sync::SyncService;
use ruma_client_api::message::send_message_event::v3 as message;
use ruma_client_api::redact::redact_event::v3 as redact;
use ruma_client_api::state::send_state_event::v3 as state;
use ruma_common::serde::Raw;

use super::error::in_room;
use super::view::View;
use crate::authenticated::{EvenSuspended, Standing, suspended};
use crate::consent::Consenting;
use crate::error::ApiError;
use crate::in_flight::InFlight;
use crate::reply::Reply;
use crate::request::Body;

/// `PUT /rooms/{roomId}/send/{eventType}/{txnId}`.
pub(crate) async fn send_message(
    State(rooms): State<Rooms>,
    State(in_flight): State<InFlight>,
    State(sync): State<SyncService>,
    Consenting(user): Consenting,
    Body(request): Body<message::Request>,
) -> Result<Reply<message::Response>, ApiError> {
    let _sending = in_flight.begin(user.actor.device);
    sync.note_active(&user.actor);
    let event = NewEvent {
        event_type: request.event_type.to_string(),
        state_key: None,
        content: Raw::into_json(request.body),
        transaction_id: Some(request.txn_id.to_string()),
    };
    match rooms.send(&user.actor, &request.room_id, event).await {
        Ok(event_id) => Ok(Reply(message::Response::new(event_id))),
        Err(error) => Err(in_room(&rooms, &user.actor, &request.room_id, error).await),
    }
}

/// `PUT /rooms/{roomId}/state/{eventType}/{stateKey}`.
pub(crate) async fn send_state(
    State(rooms): State<Rooms>,
    State(in_flight): State<InFlight>,
    Consenting(user): Consenting,
    Body(request): Body<state::Request>,
) -> Result<Reply<state::Response>, ApiError> {
    let _sending = in_flight.begin(user.actor.device);
    let event = NewEvent {
        event_type: request.event_type.to_string(),
        state_key: Some(request.state_key),
        content: Raw::into_json(request.body),
        transaction_id: None,
    };
    match rooms.send(&user.actor, &request.room_id, event).await {
        Ok(event_id) => Ok(Reply(state::Response::new(event_id))),
        Err(error) => Err(in_room(&rooms, &user.actor, &request.room_id, error).await),
    }
}

/// `PUT /rooms/{roomId}/redact/{eventId}/{txnId}`. Suspended users may redact what is their own.
pub(crate) async fn redact(
    State(rooms): State<Rooms>,
    State(in_flight): State<InFlight>,
    EvenSuspended(user): EvenSuspended,
    Body(request): Body<redact::Request>,
) -> Result<Reply<redact::Response>, ApiError> {
    if user.standing == Standing::Suspended {
        let view = View::open(&rooms, &user, request.room_id.clone()).await?;
        let own = view.event_of_anybody(&request.event_id).await?.pdu.sender() == user.actor.user_id;
        own.then_some(()).ok_or_else(suspended)?;
    }
    let _sending = in_flight.begin(user.actor.device);
    let redaction = Redaction {
        event_id: request.event_id,
        reason: request.reason,
        transaction_id: Some(request.txn_id.to_string()),
    };
    match rooms.redact(&user.actor, &request.room_id, redaction).await {
        Ok(event_id) => Ok(Reply(redact::Response::new(event_id))),
        Err(error) => Err(in_room(&rooms, &user.actor, &request.room_id, error).await),
    }
}
