//! [`PUT /sendToDevice`](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid).

use axum::extract::State;
use freehold_encryption::{Encryption, Messages};
use ruma_client_api::to_device::send_event_to_device::v3::{Request, Response};

use super::text;
use crate::authenticated::{Authenticated, EvenSuspended, Standing, suspended};
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Sends messages to devices. Suspended users reach their own, so that they can verify them.
pub(crate) async fn send_to_device(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, standing, .. }): EvenSuspended,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    if standing == Standing::Suspended && request.messages.keys().any(|user_id| *user_id != actor.user_id) {
        return Err(suspended());
    }
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
