//! The requests of `/_synapse/admin/v1/register`, with which existing tools make accounts
//! (<https://element-hq.github.io/synapse/latest/admin_api/register_api.html>).

pub(crate) mod nonce {
    //! For a nonce.

    use ruma_client_api::account::register::v3::Response;
    use ruma_common::api::IncomingRequest;
    use ruma_common::api::auth_scheme::NoAccessToken;
    use ruma_common::api::error::{DeserializationError, Error};
    use ruma_common::metadata;

    metadata! {
        method: GET,
        rate_limited: true,
        authentication: NoAccessToken,
        path: "/_synapse/admin/v1/register",
    }

    /// Asks for a nonce.
    pub(crate) struct Request;

    impl IncomingRequest for Request {
        type EndpointError = Error;
        type OutgoingResponse = Response;

        fn try_from_http_request_inner(
            _: axum::http::Request<&[u8]>,
            _: &[&str],
        ) -> Result<Self, DeserializationError> {
            Ok(Request)
        }
    }
}

pub(crate) mod register {
    //! For an account.

    use ruma_client_api::account::register::v3::Response;
    use ruma_common::api::IncomingRequest;
    use ruma_common::api::auth_scheme::NoAccessToken;
    use ruma_common::api::error::{DeserializationError, Error};
    use ruma_common::metadata;
    use serde::Deserialize;

    metadata! {
        method: POST,
        rate_limited: true,
        authentication: NoAccessToken,
        path: "/_synapse/admin/v1/register",
    }

    /// Asks for an account.
    #[derive(Deserialize)]
    pub(crate) struct Request {
        /// The nonce.
        pub(crate) nonce: String,
        /// The user name.
        pub(crate) username: String,
        /// What to show as the name of the user.
        pub(crate) displayname: Option<String>,
        /// The password.
        pub(crate) password: String,
        /// Whether the user administers the tenant.
        #[serde(default)]
        pub(crate) admin: bool,
        /// A kind of user that other servers know.
        pub(crate) user_type: Option<String>,
        /// The code that proves that the tool knows the secret.
        pub(crate) mac: String,
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
}
