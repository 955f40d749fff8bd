//! The request of [`PUT /profile/{userId}/{keyName}`](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname).
//!
//! Ruma's own cannot tell a missing member from a wrong one.

use ruma_client_api::profile::set_profile_field::v3::Response;
use ruma_common::api::IncomingRequest;
use ruma_common::api::auth_scheme::AccessToken;
use ruma_common::api::error::{DeserializationError, Error};
use ruma_common::{OwnedUserId, UserId, metadata};
use serde_json::{Map, Value};

metadata! {
    method: PUT,
    rate_limited: true,
    authentication: AccessToken,
    history: {
        unstable("uk.tcpip.msc4133") => "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{user_id}/{field}",
        1.0 => "/_matrix/client/r0/profile/{user_id}/{field}",
        1.1 => "/_matrix/client/v3/profile/{user_id}/{field}",
    }
}

/// A field to be set.
pub(crate) struct Request {
    /// Whose.
    pub(crate) user_id: OwnedUserId,
    /// The name of the field.
    pub(crate) field: String,
    /// What was sent: the value under the name of the field.
    pub(crate) body: Map<String, Value>,
}

impl IncomingRequest for Request {
    type EndpointError = Error;
    type OutgoingResponse = Response;

    fn try_from_http_request_inner(
        request: axum::http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let argument = |index: usize| path_args.get(index).copied().unwrap_or_default();
        Ok(Request {
            user_id: UserId::parse(argument(0))?,
            field: argument(1).to_owned(),
            body: serde_json::from_slice(request.body())?,
        })
    }
}
