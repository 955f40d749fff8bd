//! `/_synapse/admin/v1/register`: accounts made by tools that know the shared secret of the tenant.

use axum::Json;
use axum::extract::State;
use freehold_accounts::{Accounts, ToolRegistration};
use serde_json::{Value, json};

use super::tool_request::{nonce, register};
use crate::error::ApiError;
use crate::request::Body;
use crate::tenant_of_host::TenantOfHost;

/// Answers with a nonce.
pub(crate) async fn tool_nonce(
    TenantOfHost(tenant): TenantOfHost,
    State(accounts): State<Accounts>,
    _: Body<nonce::Request>,
) -> Result<Json<Value>, ApiError> {
    let nonce = accounts.new_nonce(&tenant).await?;
    Ok(Json(json!({ "nonce": nonce })))
}

/// Makes an account and logs it in.
pub(crate) async fn tool_register(
    TenantOfHost(tenant): TenantOfHost,
    State(accounts): State<Accounts>,
    Body(request): Body<register::Request>,
) -> Result<Json<Value>, ApiError> {
    let wanted = ToolRegistration {
        nonce: request.nonce,
        username: request.username,
        display_name: request.displayname,
        password: request.password,
        admin: request.admin,
        user_type: request.user_type,
        mac: request.mac,
    };
    let registered = accounts.register_for_tool(&tenant, wanted).await?;
    let mut body = json!({ "user_id": registered.user_id, "home_server": tenant.server_name() });
    if let (Some((device_id, tokens)), Some(body)) = (registered.session, body.as_object_mut()) {
        body.insert("device_id".to_owned(), json!(device_id));
        body.insert("access_token".to_owned(), json!(tokens.access_token));
    }
    Ok(Json(body))
}
