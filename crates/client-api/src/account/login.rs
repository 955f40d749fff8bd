//! [Logging in](https://spec.matrix.org/v1.19/client-server-api/#legacy-login).

use std::time::Duration;

use axum::extract::State;
use freehold_accounts::{Accounts, DeviceRequest, Password, Proof, Refresh};
use ruma_client_api::session::get_login_types::v3 as get_login_types;
use ruma_client_api::session::get_login_types::v3::{LoginType, PasswordLoginType, TokenLoginType};
use ruma_client_api::session::login::v3::Response;
use ruma_common::api::error::ErrorCode;

use super::interactive::user;
use super::login_request::Request;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;
use crate::tenant_of_host::TenantOfHost;

/// Answers with how people can log in.
pub(crate) async fn login_types(
    _: TenantOfHost,
    _: Body<get_login_types::Request>,
) -> Reply<get_login_types::Response> {
    let mut token = TokenLoginType::new();
    token.get_login_token = true;
    let types = vec![LoginType::Password(PasswordLoginType::new()), LoginType::Token(token)];
    Reply(get_login_types::Response::new(types))
}

/// Opens a session.
pub(crate) async fn login(
    TenantOfHost(tenant): TenantOfHost,
    State(accounts): State<Accounts>,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let proof = proof(&request)?;
    let device_id = request.device_id;
    let device = DeviceRequest { device_id, display_name: request.initial_device_display_name };
    let session = accounts.log_in(&tenant, proof, (device, refresh(request.refresh_token))).await?;
    let tokens = session.tokens;
    let mut response = Response::new(session.user_id, tokens.access_token, session.device_id);
    response.refresh_token = tokens.refresh_token;
    response.expires_in = tokens.expires_in_ms.map(Duration::from_millis);
    Ok(Reply(response))
}

/// Whether a client asked for a refresh token.
pub(crate) fn refresh(asked: bool) -> Refresh {
    if asked { Refresh::Asked } else { Refresh::NotAsked }
}

fn proof(request: &Request) -> Result<Proof, ApiError> {
    match request.login_type.as_str() {
        "m.login.password" => {
            let password = request.password.as_deref().ok_or_else(|| missing("password"))?;
            let user = match (&request.identifier, &request.user) {
                (Some(identifier), _) => user(identifier)?,
                (None, Some(user)) => user.clone(),
                (None, None) => return Err(missing("identifier")),
            };
            Ok(Proof::Password { user, password: Password::new(password) })
        }
        "m.login.token" => request.token.clone().map(Proof::Token).ok_or_else(|| missing("token")),
        _ => Err(ApiError::new(ErrorCode::Unknown, "`type` is not a login type of this server")),
    }
}

fn missing(field: &str) -> ApiError {
    ApiError::new(ErrorCode::MissingParam, format!("`{field}` is missing"))
}
