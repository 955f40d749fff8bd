//! The page for clients that know no way to log in
//! (<https://spec.matrix.org/v1.19/client-server-api/#login-fallback>).

use axum::http::Method;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS};
use axum::response::{IntoResponse, Response};

use crate::endpoints::{Access, Endpoint};
use crate::tenant_of_host::TenantOfHost;

/// Where the page is.
pub(crate) const ENDPOINT: Endpoint =
    Endpoint { method: Method::GET, path: "/_matrix/static/client/login/", access: Access::Everybody };

/// Does the whole login itself: it asks for user name and password, and calls `window.matrixLogin.onLogin`.
const PAGE: &str = include_str!("login_page.html");

/// Answers with the page, which is the same for all tenants.
pub(crate) async fn login_page(_: TenantOfHost) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'unsafe-inline'; connect-src 'self'; form-action 'none'; \
             frame-ancestors 'none'; base-uri 'none'",
        ),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, PAGE).into_response()
}
