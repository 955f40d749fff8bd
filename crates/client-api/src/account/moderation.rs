//! What [administrators of a tenant](https://spec.matrix.org/v1.19/client-server-api/#account-moderation) do to its
//! accounts.

use axum::extract::State;
use freehold_accounts::{Accounts, Device, Restraint};
use ruma_client_api::admin::get_user_info::v3 as who_is;
use ruma_client_api::admin::get_user_info::v3::{ConnectionInfo, DeviceInfo, SessionInfo};
use ruma_client_api::admin::{
    is_user_locked::v1 as is_locked, is_user_suspended::v1 as is_suspended, lock_user::v1 as lock,
    suspend_user::v1 as suspend,
};

use super::devices::time;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Answers whether an account is locked.
pub(crate) async fn is_user_locked(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<is_locked::Request>,
) -> Result<Reply<is_locked::Response>, ApiError> {
    let locked = accounts.is_restrained(&user.actor, &request.user_id, Restraint::Locked).await?;
    Ok(Reply(is_locked::Response::new(locked)))
}

/// Locks an account, or unlocks it.
pub(crate) async fn lock_user(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<lock::Request>,
) -> Result<Reply<lock::Response>, ApiError> {
    let what = (Restraint::Locked, request.locked);
    accounts.restrain(&user.actor, &request.user_id, what).await?;
    Ok(Reply(lock::Response::new(request.locked)))
}

/// Answers whether an account is suspended.
pub(crate) async fn is_user_suspended(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<is_suspended::Request>,
) -> Result<Reply<is_suspended::Response>, ApiError> {
    let suspended = accounts.is_restrained(&user.actor, &request.user_id, Restraint::Suspended).await?;
    Ok(Reply(is_suspended::Response::new(suspended)))
}

/// Suspends an account, or ends its suspension.
pub(crate) async fn suspend_user(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<suspend::Request>,
) -> Result<Reply<suspend::Response>, ApiError> {
    let what = (Restraint::Suspended, request.suspended);
    accounts.restrain(&user.actor, &request.user_id, what).await?;
    Ok(Reply(suspend::Response::new(request.suspended)))
}

/// Answers with the devices of a user and when they were last seen.
pub(crate) async fn get_user_info(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<who_is::Request>,
) -> Result<Reply<who_is::Response>, ApiError> {
    let devices = accounts.who_is(&user.actor, &request.user_id).await?;
    let mut response = who_is::Response::new();
    response.user_id = Some(request.user_id);
    response.devices =
        devices.into_iter().map(|device| (device.device_id.to_string(), info(device))).collect();
    Ok(Reply(response))
}

fn info(device: Device) -> DeviceInfo {
    let connections = device.seen.map(|seen| {
        let mut connection = ConnectionInfo::new();
        connection.ip = seen.ip;
        connection.user_agent = seen.user_agent;
        connection.last_seen = time(seen.ts);
        connection
    });
    let mut session = SessionInfo::new();
    session.connections = connections.into_iter().collect();
    let mut info = DeviceInfo::new();
    info.sessions = vec![session];
    info
}
