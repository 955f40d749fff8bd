//! [`PUT /3pid/onbind`](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv13pidonbind): an identity
//! server tells that a third-party identifier is bound to a user of the tenant, and who invited that.
//!
//! Anybody may say so; what they say comes to something only if it is signed as the room wants it. The identity servers that there
//! are send it with `POST`, as other homeservers take it (<https://github.com/matrix-org/matrix-spec/issues/524>).

use axum::Json;
use axum::extract::State;
use freehold_accounts::Accounts;
use freehold_rooms::{NotServed, Rooms};
use ruma_common::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::error::ApiError;
use crate::input::Json as Body;
use crate::limits::BOUND_INVITES_MAX;

#[derive(Deserialize)]
pub(super) struct Bound {
    mxid: OwnedUserId,
    invites: Vec<Invite>,
}

#[derive(Deserialize)]
struct Invite {
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    signed: Box<RawValue>,
}

/// Has the invites made that wait for a user. One that cannot be had keeps nobody from the others, and whoever tells of them
/// can do nothing about it.
pub(super) async fn on_bind(
    State(rooms): State<Rooms>,
    State(accounts): State<Accounts>,
    Connection { tenant, .. }: Connection,
    Body(Bound { mxid, invites }): Body<Bound>,
) -> Result<Json<Value>, ApiError> {
    if !tenant.owns(&mxid) {
        return Err(ApiError::not_found("there is no such user"));
    }
    accounts.profile(&mxid).await?;
    if invites.len() > BOUND_INVITES_MAX {
        let message = format!("{} invites; {BOUND_INVITES_MAX} are taken", invites.len());
        return Err(ApiError::too_large(message));
    }
    for Invite { room_id, sender, signed } in invites {
        let users = (&*sender, &*mxid);
        match rooms.redeem_third_party_invite(&tenant, users, (&room_id, signed.get())).await {
            Ok(()) => {}
            Err(NotServed::Failed(error)) => {
                tracing::info!(%room_id, %error, "a third-party invite cannot be redeemed");
            }
            Err(error) => tracing::debug!(%room_id, %error, "a third-party invite is ignored"),
        }
    }
    Ok(Json(json!({})))
}
