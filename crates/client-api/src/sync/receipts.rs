//! Receipts and read markers: [`POST /rooms/{roomId}/receipt/{receiptType}/{eventId}`][receipt] and
//! [`POST /rooms/{roomId}/read_markers`][markers].
//!
//! [receipt]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid
//! [markers]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidread_markers

use axum::extract::State;
use freehold_accounts::Accounts;
use freehold_store::tables::receipts::ReceiptKind;
use freehold_sync::{NewReceipt, ReceiptError, SyncService};
use ruma_client_api::read_marker::set_read_marker;
use ruma_client_api::receipt::create_receipt::v3::{ReceiptType, Request, Response};
use ruma_common::api::error::ErrorCode;
use ruma_common::{EventId, OwnedEventId, RoomId};
use serde_json::json;

use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Says up to where the user read.
pub(crate) async fn create_receipt(
    State(service): State<SyncService>,
    State(accounts): State<Accounts>,
    user: Authenticated,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let thread = request.thread.as_str().map(str::to_owned);
    let kind = match request.receipt_type {
        ReceiptType::Read => ReceiptKind::Read,
        ReceiptType::ReadPrivate => ReceiptKind::ReadPrivate,
        ReceiptType::FullyRead if thread.is_some() => {
            return Err(ApiError::new(ErrorCode::InvalidParam, "`m.fully_read` takes no `thread_id`"));
        }
        ReceiptType::FullyRead => {
            service.set_receipts(&user.actor, &request.room_id, Vec::new()).await?;
            set_fully_read(&accounts, &user, &request.room_id, &request.event_id).await?;
            return Ok(Reply(Response::new()));
        }
        other => {
            let message = format!("`receiptType` in the path: there is no `{}`", other.as_str());
            return Err(ApiError::new(ErrorCode::InvalidParam, message));
        }
    };
    let receipt = NewReceipt { event_id: request.event_id, kind, thread };
    service.set_receipts(&user.actor, &request.room_id, vec![receipt]).await?;
    Ok(Reply(Response::new()))
}

/// Sets the marker of what was fully read, and receipts with it.
pub(crate) async fn set_read_markers(
    State(service): State<SyncService>,
    State(accounts): State<Accounts>,
    user: Authenticated,
    Body(request): Body<set_read_marker::v3::Request>,
) -> Result<Reply<set_read_marker::v3::Response>, ApiError> {
    let receipt = |event_id: Option<OwnedEventId>, kind| {
        event_id.map(|event_id| NewReceipt { event_id, kind, thread: None })
    };
    let receipts = [
        receipt(request.read_receipt, ReceiptKind::Read),
        receipt(request.private_read_receipt, ReceiptKind::ReadPrivate),
    ];
    service.set_receipts(&user.actor, &request.room_id, receipts.into_iter().flatten().collect()).await?;
    if let Some(event_id) = request.fully_read {
        set_fully_read(&accounts, &user, &request.room_id, &event_id).await?;
    }
    Ok(Reply(set_read_marker::v3::Response::new()))
}

/// The read marker is account data that only the server sets
/// (<https://spec.matrix.org/v1.19/client-server-api/#fully-read-markers>).
async fn set_fully_read(
    accounts: &Accounts,
    user: &Authenticated,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<(), ApiError> {
    let content = json!({ "event_id": event_id }).to_string();
    let place = (Some(room_id), "m.fully_read");
    Ok(accounts.put_account_data(user.actor.user, place, &content).await?)
}

impl From<ReceiptError> for ApiError {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::NotJoined => ApiError::new(ErrorCode::Forbidden, error),
            ReceiptError::UnknownEvent(_) => ApiError::new(ErrorCode::NotFound, error),
            ReceiptError::InvalidThread => ApiError::new(ErrorCode::InvalidParam, error),
            ReceiptError::Read(error) => error.into(),
            ReceiptError::Room(error) => error.into(),
            ReceiptError::Commit(error) => error.into(),
        }
    }
}
