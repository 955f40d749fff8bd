//! [Devices](https://spec.matrix.org/v1.19/client-server-api/#device-management).

use std::time::{Duration, UNIX_EPOCH};

use axum::extract::State;
use freehold_accounts::{Accounts, Device as KnownDevice};
use ruma_client_api::device::{
    Device, delete_device::v3 as delete_one, delete_devices::v3 as delete_many, get_device::v3 as get_one,
    get_devices::v3 as get_all, update_device::v3 as update,
};
use ruma_common::{DeviceId, MilliSecondsSinceUnixEpoch};

use super::interactive::{Refusal, require_password};
use crate::authenticated::{Authenticated, EvenSuspended};
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Answers with the devices of the user.
pub(crate) async fn get_devices(
    user: Authenticated,
    State(accounts): State<Accounts>,
    _: Body<get_all::Request>,
) -> Result<Reply<get_all::Response>, ApiError> {
    let devices = accounts.own_devices(&user.actor).await?;
    Ok(Reply(get_all::Response::new(devices.into_iter().map(shown).collect())))
}

/// Answers with one device of the user.
pub(crate) async fn get_device(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<get_one::Request>,
) -> Result<Reply<get_one::Response>, ApiError> {
    let device = accounts.device(user.actor.user, request.device_id.as_str()).await?;
    Ok(Reply(get_one::Response::new(shown(device))))
}

/// Names a device of the user.
pub(crate) async fn update_device(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<update::Request>,
) -> Result<Reply<update::Response>, ApiError> {
    accounts.rename_device(&user.actor, request.device_id.as_str(), request.display_name).await?;
    Ok(Reply(update::Response::new()))
}

/// Ends a device of the user, who has to type the password.
pub(crate) async fn delete_device(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<delete_one::Request>,
) -> Result<Reply<delete_one::Response>, Refusal> {
    let what: (&'static str, &[&str]) = ("devices", &[request.device_id.as_str()]);
    let completed = require_password(&accounts, &user.actor, what, request.auth.as_ref()).await?;
    accounts.delete_devices(user.actor.user, &[request.device_id]).await?;
    accounts.end_interaction(&completed);
    Ok(Reply(delete_one::Response::new()))
}

/// Ends devices of the user, who has to type the password.
pub(crate) async fn delete_devices(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<delete_many::Request>,
) -> Result<Reply<delete_many::Response>, Refusal> {
    let mut devices: Vec<&str> = request.devices.iter().map(|id| DeviceId::as_str(id)).collect();
    devices.sort_unstable();
    let what = ("delete_devices", devices.as_slice());
    let completed = require_password(&accounts, &user.actor, what, request.auth.as_ref()).await?;
    accounts.delete_devices(user.actor.user, &request.devices).await?;
    accounts.end_interaction(&completed);
    Ok(Reply(delete_many::Response::new()))
}

fn shown(known: KnownDevice) -> Device {
    let mut device = Device::new(known.device_id);
    device.display_name = known.display_name;
    if let Some(seen) = known.seen {
        device.last_seen_ts = time(seen.ts);
        device.last_seen_ip = seen.ip;
    }
    device
}

/// A time in milliseconds since the Unix epoch, as ruma has it.
pub(super) fn time(ts: i64) -> Option<MilliSecondsSinceUnixEpoch> {
    let since = Duration::from_millis(u64::try_from(ts).ok()?);
    MilliSecondsSinceUnixEpoch::from_system_time(UNIX_EPOCH.checked_add(since)?)
}
