//! [`POST /account/password`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword).
//!
//! Who has forgotten the password asks an administrator: there are no e-mail addresses here to prove anything with.

use axum::extract::State;
use freehold_accounts::{Accounts, OtherSessions, Password};
use ruma_client_api::account::change_password::v3::{Request, Response};

use super::interactive::{Refusal, require_password};
use crate::authenticated::EvenSuspended;
use crate::reply::Reply;
use crate::request::Body;

/// Gives the user a new password, for the old one.
pub(crate) async fn change_password(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, Refusal> {
    let password = Password::new(&request.new_password);
    accounts.check_password(&user.actor.tenant, &password).await?;
    let others = if request.logout_devices { OtherSessions::End } else { OtherSessions::Keep };
    let ends = if request.logout_devices { "end" } else { "keep" };
    let what: (&'static str, &[&str]) = ("account/password", &[ends]);
    let completed = require_password(&accounts, &user.actor, what, request.auth.as_ref()).await?;
    accounts.change_password(&user.actor, &password, others).await?;
    accounts.end_interaction(&completed);
    Ok(Reply(Response::new()))
}
