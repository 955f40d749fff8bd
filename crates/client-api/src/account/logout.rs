//! [Logging out](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logout).

use axum::extract::State;
use freehold_accounts::Accounts;
use ruma_client_api::session::{logout::v3 as logout, logout_all::v3 as logout_all};

use crate::authenticated::EvenLocked;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Ends the session of the request with its device.
pub(crate) async fn logout(
    EvenLocked(user): EvenLocked,
    State(accounts): State<Accounts>,
    _: Body<logout::Request>,
) -> Result<Reply<logout::Response>, ApiError> {
    accounts.log_out(&user.actor).await?;
    Ok(Reply(logout::Response::new()))
}

/// Ends all sessions of the user with their devices.
pub(crate) async fn logout_all(
    EvenLocked(user): EvenLocked,
    State(accounts): State<Accounts>,
    _: Body<logout_all::Request>,
) -> Result<Reply<logout_all::Response>, ApiError> {
    accounts.log_out_everywhere(user.actor.user).await?;
    Ok(Reply(logout_all::Response::new()))
}
