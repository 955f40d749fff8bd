//! [Profiles](https://spec.matrix.org/v1.19/client-server-api/#profiles).

use axum::extract::State;
use freehold_accounts::{Accounts, ProfileError};
use freehold_rooms::Rooms;
use freehold_store::Tenant;
use ruma_client_api::profile::{
    delete_profile_field::v3 as delete_field, get_profile::v3 as get_all, get_profile_field::v3 as get_field,
    set_profile_field::v3 as set_field,
};
use ruma_common::UserId;
use ruma_common::api::error::ErrorCode;
use ruma_common::profile::ProfileFieldValue;
use serde_json::{Map, Value};

use super::own::require_oneself;
use super::profile_request;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;
use crate::tenant_of_host::TenantOfHost;

/// Answers with the profile of a user.
pub(crate) async fn get_profile(
    TenantOfHost(tenant): TenantOfHost,
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    Body(request): Body<get_all::Request>,
) -> Result<Reply<get_all::Response>, ApiError> {
    let profile = find((&accounts, &rooms), &tenant, &request.user_id).await?;
    Ok(Reply(profile.into_iter().collect()))
}

/// Answers with one field of the profile of a user.
pub(crate) async fn get_profile_field(
    TenantOfHost(tenant): TenantOfHost,
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    Body(request): Body<get_field::Request>,
) -> Result<Reply<get_field::Response>, ApiError> {
    let mut profile = find((&accounts, &rooms), &tenant, &request.user_id).await?;
    let name = request.field.as_str();
    let value = profile.remove(name).ok_or(ProfileError::NotFound)?;
    let value = ProfileFieldValue::new(name, value).map_err(ApiError::internal)?;
    Ok(Reply(get_field::Response::new(value)))
}

/// Sets one field of the profile of the user.
pub(crate) async fn set_profile_field(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(mut request): Body<profile_request::Request>,
) -> Result<Reply<set_field::Response>, ApiError> {
    require_oneself(&user.actor, &request.user_id)?;
    let value = request
        .body
        .remove(&request.field)
        .ok_or_else(|| ApiError::new(ErrorCode::MissingParam, format!("`{}` is missing", request.field)))?;
    accounts.set_profile_field(&user.actor, &request.field, Some(value)).await?;
    Ok(Reply(set_field::Response::new()))
}

/// Removes one field of the profile of the user.
pub(crate) async fn delete_profile_field(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<delete_field::Request>,
) -> Result<Reply<delete_field::Response>, ApiError> {
    require_oneself(&user.actor, &request.user_id)?;
    accounts.set_profile_field(&user.actor, request.field.as_str(), None).await?;
    Ok(Reply(delete_field::Response::new()))
}

/// The profile of a user, as far as the tenant could ask for it if every tenant were a server of its own: other servers are
/// asked for theirs.
async fn find(
    (accounts, rooms): (&Accounts, &Rooms),
    tenant: &Tenant,
    user_id: &UserId,
) -> Result<Map<String, Value>, ApiError> {
    if let Some(profile) = rooms.profile_elsewhere(tenant, user_id).await? {
        return Ok(Map::clone(&profile));
    }
    if !accounts.reaches(tenant, user_id.server_name()).await? {
        return Err(ProfileError::NotFound.into());
    }
    Ok(accounts.profile(user_id).await?)
}
