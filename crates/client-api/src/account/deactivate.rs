//! [`POST /account/deactivate`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate).

use axum::extract::State;
use freehold_accounts::{Accounts, Erase};
use ruma_client_api::account::ThirdPartyIdRemovalStatus;
use ruma_client_api::account::deactivate::v3::{Request, Response};

use super::interactive::{Refusal, require_password};
use crate::authenticated::EvenSuspended;
use crate::reply::Reply;
use crate::request::Body;

/// Gives the account of the user up.
pub(crate) async fn deactivate(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, Refusal> {
    let (erase, name) = if request.erase { (Erase::Yes, "erase") } else { (Erase::No, "keep") };
    let what: (&'static str, &[&str]) = ("account/deactivate", &[name]);
    let completed = require_password(&accounts, &user.actor, what, request.auth.as_ref()).await?;
    accounts.deactivate(user.actor.user, erase).await?;
    accounts.end_interaction(&completed);
    // Nothing was ever bound to an identity server, so nothing is left bound.
    Ok(Reply(Response::new(ThirdPartyIdRemovalStatus::Success)))
}
