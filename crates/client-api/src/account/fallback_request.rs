//! What the pages of [fallback authentication](https://spec.matrix.org/v1.19/client-server-api/#fallback) send.

use ruma_client_api::uiaa::get_uiaa_fallback_page::v3::Response;
use ruma_common::api::IncomingRequest;
use ruma_common::api::auth_scheme::NoAccessToken;
use ruma_common::api::error::{DeserializationError, Error};
use ruma_common::metadata;
use serde::Deserialize;

metadata! {
    method: POST,
    rate_limited: true,
    authentication: NoAccessToken,
    history: {
        1.0 => "/_matrix/client/r0/auth/{auth_type}/fallback/web",
        1.1 => "/_matrix/client/v3/auth/{auth_type}/fallback/web",
    }
}

/// A stage that somebody did on a page.
pub(crate) struct Request {
    /// Which stage.
    pub(crate) auth_type: String,
    /// What was typed.
    pub(crate) form: Form,
}

/// The fields of the pages.
#[derive(Deserialize)]
pub(crate) struct Form {
    /// The session.
    pub(crate) session: String,
    /// A registration token.
    pub(crate) token: Option<String>,
    /// A user name.
    pub(crate) user: Option<String>,
    /// A password.
    pub(crate) password: Option<String>,
}

impl IncomingRequest for Request {
    type EndpointError = Error;
    type OutgoingResponse = Response;

    fn try_from_http_request_inner(
        request: axum::http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let auth_type = path_args.first().copied().unwrap_or_default().to_owned();
        Ok(Request { auth_type, form: serde_html_form::from_bytes(request.body())? })
    }
}
