//! [`/_matrix/key/v2/query`](https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use freehold_keyring::{NotaryQuery, NotaryQueryError};
use freehold_store::Tenant;
use ruma_common::OwnedServerName;
use ruma_common::api::error::ErrorCode;
use serde::Deserialize;

use super::own::{JsonText, json};
use crate::connection::Connection;
use crate::error::ApiError;
use crate::input::{Path, Query};
use crate::limits::NOTARY_WAIT_MS;
use crate::outside::{Notary, NotaryRefusal};

#[derive(Deserialize)]
pub(super) struct Parameters {
    minimum_valid_until_ts: Option<i64>,
}

/// The keys of one server.
pub(super) async fn one(
    State(notary): State<Arc<dyn Notary>>,
    Connection { tenant, .. }: Connection,
    Path(server_name): Path<OwnedServerName>,
    Query(parameters): Query<Parameters>,
) -> Result<JsonText, ApiError> {
    let query = NotaryQuery::single(server_name, parameters.minimum_valid_until_ts);
    answer(notary.as_ref(), &tenant, &query).await
}

/// The keys of several servers.
pub(super) async fn several(
    State(notary): State<Arc<dyn Notary>>,
    Connection { tenant, .. }: Connection,
    body: Bytes,
) -> Result<JsonText, ApiError> {
    let query = NotaryQuery::parse(&body).map_err(|error| bad_query(&error))?;
    answer(notary.as_ref(), &tenant, &query).await
}

async fn answer(notary: &dyn Notary, tenant: &Tenant, query: &NotaryQuery) -> Result<JsonText, ApiError> {
    notary.answer(tenant, query).await.map(json).map_err(|error| match error {
        NotaryRefusal::Busy => ApiError::limited(NOTARY_WAIT_MS),
        NotaryRefusal::Unserved(error) => ApiError::internal(error),
    })
}

fn bad_query(error: &NotaryQueryError) -> ApiError {
    let (status, errcode) = match error {
        NotaryQueryError::Json(_) => (StatusCode::BAD_REQUEST, ErrorCode::NotJson),
        NotaryQueryError::TooManyServers { .. } => (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge),
        _ => (StatusCode::BAD_REQUEST, ErrorCode::BadJson),
    };
    ApiError::new(status, errcode, error)
}
