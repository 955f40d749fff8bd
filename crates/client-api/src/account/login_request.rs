//! The request of [`POST /login`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login).
//!
//! Ruma's own reads `type` by indexing, which panics when it is missing.

use ruma_client_api::session::login::v3::Response;
use ruma_client_api::uiaa::UserIdentifier;
use ruma_common::api::IncomingRequest;
use ruma_common::api::auth_scheme::AppserviceTokenOptional;
use ruma_common::api::error::{DeserializationError, Error};
use ruma_common::{OwnedDeviceId, metadata};
use serde::Deserialize;

metadata! {
    method: POST,
    rate_limited: true,
    authentication: AppserviceTokenOptional,
    history: {
        1.0 => "/_matrix/client/r0/login",
        1.1 => "/_matrix/client/v3/login",
    }
}

/// A login of any type: what a type does not need is not set.
#[derive(Deserialize)]
pub(crate) struct Request {
    /// How the user proves who they are.
    #[serde(rename = "type")]
    pub(crate) login_type: String,
    /// Who logs in.
    pub(crate) identifier: Option<UserIdentifier>,
    /// Who logs in, as clients said it before there were identifiers.
    pub(crate) user: Option<String>,
    /// The password, for `m.login.password`.
    pub(crate) password: Option<String>,
    /// The login token, for `m.login.token`.
    pub(crate) token: Option<String>,
    /// The device to log in with.
    pub(crate) device_id: Option<OwnedDeviceId>,
    /// What to call the device if it is new.
    pub(crate) initial_device_display_name: Option<String>,
    /// Whether the client can use a refresh token.
    #[serde(default)]
    pub(crate) refresh_token: bool,
}

impl IncomingRequest for Request {
    type EndpointError = Error;
    type OutgoingResponse = Response;

    fn try_from_http_request_inner(
        request: axum::http::Request<&[u8]>,
        _: &[&str],
    ) -> Result<Self, DeserializationError> {
        Ok(serde_json::from_slice(request.body())?)
    }
}
