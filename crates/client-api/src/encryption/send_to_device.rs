//! [`PUT /sendToDevice`](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid).

use axum::extract::State;
use freehold_encryption::{Encryption, Messages};
use ruma_client_api::to_device::send_event_to_device::v3::{Request, Response};

use super::text;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Sends messages to devices.
pub(crate) async fn send_to_device(
    State(encryption): State<Encryption>,
    Authenticated { actor, .. }: Authenticated,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let messages: Messages = request
        .messages
        .into_iter()
        .map(|(user_id, devices)| {
            let devices = devices.into_iter().map(|(device, content)| (device, text(&content)));
            (user_id, devices.collect())
        })
        .collect();
    let event_type = request.event_type.to_string();
    encryption.send_to_device(&actor, &event_type, &request.txn_id, &messages).await?;
    Ok(Reply(Response::new()))
}
