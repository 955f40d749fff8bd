//! [Third-party identifiers](https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information):
//! nobody has one here.

use ruma_client_api::account::get_3pids::v3::{Request, Response};

use crate::authenticated::Authenticated;
use crate::reply::Reply;
use crate::request::Body;

/// Answers with the third-party identifiers of the user, of which there are none.
pub(crate) async fn get_3pids(_: Authenticated, _: Body<Request>) -> Reply<Response> {
    Reply(Response::new(Vec::new()))
}
