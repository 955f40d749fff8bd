//! [`GET /account/whoami`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3accountwhoami).

use ruma_client_api::account::whoami::v3::{Request, Response};

use crate::authenticated::Authenticated;
use crate::reply::Reply;
use crate::request::Body;

/// Answers with whose the access token is.
pub(crate) async fn whoami(user: Authenticated, _: Body<Request>) -> Reply<Response> {
    let mut response = Response::new(user.actor.user_id, false);
    response.device_id = user.device_id;
    Reply(response)
}
