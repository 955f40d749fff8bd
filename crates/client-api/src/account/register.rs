//! [Registering](https://spec.matrix.org/v1.19/client-server-api/#legacy-account-registration).

use std::time::Duration;

use axum::extract::State;
use freehold_accounts::{Accounts, DeviceRequest, NewAccount, Password, Purpose};
use freehold_store::Tenant;
use ruma_client_api::account::check_registration_token_validity::v1 as token_validity;
use ruma_client_api::account::get_username_availability::v3 as availability;
use ruma_client_api::account::register::v3::{Request, Response};
use ruma_client_api::account::register::{LoginType, RegistrationKind};
use ruma_common::api::error::ErrorCode;

use super::interactive::{Refusal, interact, refused};
use super::login::refresh;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;
use crate::tenant_of_host::TenantOfHost;

/// Makes an account and opens a session, when the user did what the tenant asks of people.
pub(crate) async fn register(
    TenantOfHost(tenant): TenantOfHost,
    State(accounts): State<Accounts>,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, Refusal> {
    if request.kind != RegistrationKind::User {
        return Err(ApiError::new(ErrorCode::GuestAccessForbidden, "this server has no guests").into());
    }
    if matches!(request.login_type, Some(LoginType::ApplicationService)) {
        let error = "this server knows no application service with this token";
        return Err(ApiError::new(ErrorCode::Forbidden, error).into());
    }
    let flows = accounts.registration_flows(&tenant).await?;
    let account = check(&accounts, &tenant, &request).await?;
    let purpose = (Purpose::registration(&tenant), flows);
    let completed = interact(&accounts, &tenant, purpose, request.auth.as_ref()).await?;
    if account.password.is_none() {
        return Err(ApiError::new(ErrorCode::MissingParam, "`password` is missing").into());
    }
    let registered = accounts.register(&tenant, account, completed.admission()).await?;
    accounts.end_interaction(&completed);
    let mut response = Response::new(registered.user_id);
    if let Some((device_id, tokens)) = registered.session {
        response.device_id = Some(device_id);
        response.access_token = Some(tokens.access_token);
        response.refresh_token = tokens.refresh_token;
        response.expires_in = tokens.expires_in_ms.map(Duration::from_millis);
    }
    Ok(Reply(response))
}

/// Says at once what would be refused in the end.
async fn check(accounts: &Accounts, tenant: &Tenant, request: &Request) -> Result<NewAccount, ApiError> {
    if let Some(username) = &request.username {
        accounts.check_username(tenant, username).await?;
    }
    let password = request.password.as_deref().map(Password::new);
    if let Some(password) = &password {
        accounts.check_password(tenant, password).await?;
    }
    let device = DeviceRequest {
        device_id: request.device_id.clone(),
        display_name: request.initial_device_display_name.clone(),
    };
    let session = (!request.inhibit_login).then(|| (device, refresh(request.refresh_token)));
    Ok(NewAccount { localpart: request.username.clone(), password, session, ..NewAccount::default() })
}

/// Answers whether a user name can be had.
pub(crate) async fn is_available(
    TenantOfHost(tenant): TenantOfHost,
    State(accounts): State<Accounts>,
    Body(request): Body<availability::Request>,
) -> Result<Reply<availability::Response>, ApiError> {
    // Who cannot register has no need to know who did.
    accounts.registration_flows(&tenant).await.map_err(refused)?;
    accounts.check_username(&tenant, &request.username).await?;
    Ok(Reply(availability::Response::new(true)))
}

/// Answers whether a registration token can be used.
pub(crate) async fn is_token_valid(
    TenantOfHost(tenant): TenantOfHost,
    State(accounts): State<Accounts>,
    Body(request): Body<token_validity::Request>,
) -> Result<Reply<token_validity::Response>, ApiError> {
    accounts.registration_flows(&tenant).await.map_err(refused)?;
    let valid = accounts.is_registration_token_valid(&tenant, &request.token).await?;
    Ok(Reply(token_validity::Response::new(valid)))
}
