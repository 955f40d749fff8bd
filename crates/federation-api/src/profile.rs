//! [`GET /query/profile`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use freehold_accounts::{Accounts, ProfileError};
use ruma_common::OwnedUserId;
use ruma_common::api::error::ErrorCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::asker::Asker;
use crate::endpoints::Endpoints;
use crate::error::ApiError;
use crate::input::Query;

/// The endpoints of this file.
pub(crate) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get("/_matrix/federation/v1/query/profile", profile)
        .get("/_matrix/federation/v1/query/{query_type}", other)
}

#[derive(Deserialize)]
struct Parameters {
    user_id: OwnedUserId,
    field: Option<String>,
}

/// The profile of a user of the tenant. Those of neighbours are as unknown here as those of strangers.
async fn profile(
    State(accounts): State<Accounts>,
    asker: Asker,
    Query(Parameters { user_id, field }): Query<Parameters>,
) -> Result<Json<Map<String, Value>>, ApiError> {
    if !asker.tenant.owns(&user_id) {
        return Err(ProfileError::NotFound.into());
    }
    let mut profile = accounts.profile(&user_id).await?;
    if let Some(field) = field {
        profile.retain(|name, _| *name == field);
    }
    Ok(Json(profile))
}

/// Kinds of queries that the specification does not have.
async fn other(_: Asker) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, ErrorCode::Unrecognized, "there is no such query")
}

impl From<ProfileError> for ApiError {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::NotFound => ApiError::not_found("there is no such user"),
            error => ApiError::internal(error),
        }
    }
}
