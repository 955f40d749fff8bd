//! [`GET /_matrix/key/v2/server`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server), also with the
//! key id that older servers add, which makes no difference.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use freehold_store::Clock;

use crate::connection::Connection;
use crate::error::ApiError;
use crate::outside::Tenants;

/// A body of JSON that is text already.
pub(super) type JsonText = ([(HeaderName, &'static str); 1], Vec<u8>);

/// The keys of the tenant of the host: the request names nobody else.
pub(super) async fn keys(
    State(tenants): State<Arc<dyn Tenants>>,
    State(clock): State<Arc<dyn Clock>>,
    connection: Connection,
) -> Result<JsonText, ApiError> {
    let document = tenants.key_document(&connection.tenant, clock.now_ts()).map_err(ApiError::internal)?;
    Ok(json(document))
}

pub(super) fn json(text: Vec<u8>) -> JsonText {
    ([(CONTENT_TYPE, "application/json")], text)
}
