//! [`POST /login/get_token`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token).

use std::time::Duration;

use axum::extract::State;
use freehold_accounts::Accounts;
use ruma_client_api::session::get_login_token::v1::{Request, Response};

use super::interactive::{Refusal, require_password};
use crate::authenticated::EvenSuspended;
use crate::reply::Reply;
use crate::request::Body;

/// Makes a token with which another device can log in as the same user, once.
pub(crate) async fn get_login_token(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, Refusal> {
    let what: (&'static str, &[&str]) = ("login/get_token", &[]);
    let completed = require_password(&accounts, &user.actor, what, request.auth.as_ref()).await?;
    let (token, expires_in_ms) = accounts.new_login_token(&user.actor).await?;
    accounts.end_interaction(&completed);
    Ok(Reply(Response::new(Duration::from_millis(expires_in_ms), token)))
}
