//! Devices and keys of users of the tenant
//! (<https://spec.matrix.org/v1.19/server-server-api/#end-to-end-encryption>).

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use freehold_encryption::{
    ClaimedKeys, DevicesOfUser, Encryption, Failure, QueriedKeys, WantedDevices, WantedKeys,
};
use ruma_common::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::asker::Asker;
use crate::endpoints::Endpoints;
use crate::error::ApiError;
use crate::input::{Json as Body, Path};
use crate::limits::KEY_USERS_MAX;

/// The endpoints of this file.
pub(crate) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get("/_matrix/federation/v1/user/devices/{user_id}", devices)
        .post("/_matrix/federation/v1/user/keys/query", query)
        .post("/_matrix/federation/v1/user/keys/claim", claim)
}

/// A key, as JSON text.
type Key = Box<RawValue>;

#[derive(Serialize)]
struct Devices {
    user_id: OwnedUserId,
    stream_id: u64,
    devices: Vec<Device>,
    #[serde(skip_serializing_if = "Option::is_none")]
    master_key: Option<Key>,
    #[serde(skip_serializing_if = "Option::is_none")]
    self_signing_key: Option<Key>,
}

#[derive(Serialize)]
struct Device {
    device_id: OwnedDeviceId,
    keys: Key,
}

/// The devices of a user of the tenant. Names of devices stay at home.
async fn devices(
    State(encryption): State<Encryption>,
    asker: Asker,
    Path(user_id): Path<OwnedUserId>,
) -> Result<Json<Devices>, ApiError> {
    if !asker.tenant.owns(&user_id) {
        return Err(ApiError::invalid("the user is none of this server"));
    }
    let DevicesOfUser { stream_id, devices, master_key, self_signing_key } =
        encryption.devices_for_server(&user_id).await?;
    let devices = devices.into_iter().map(|(device_id, keys)| Ok(Device { device_id, keys: key(keys)? }));
    Ok(Json(Devices {
        user_id,
        stream_id: stream_id.0,
        devices: devices.collect::<Result<_, ApiError>>()?,
        master_key: master_key.map(key).transpose()?,
        self_signing_key: self_signing_key.map(key).transpose()?,
    }))
}

#[derive(Deserialize)]
struct Query {
    device_keys: WantedDevices,
}

#[derive(Serialize)]
struct Queried {
    device_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, Key>>,
    master_keys: BTreeMap<OwnedUserId, Key>,
    self_signing_keys: BTreeMap<OwnedUserId, Key>,
}

/// Keys of users of the tenant; those of neighbours are left out like those of strangers.
async fn query(
    State(encryption): State<Encryption>,
    asker: Asker,
    Body(Query { device_keys }): Body<Query>,
) -> Result<Json<Queried>, ApiError> {
    check(device_keys.len())?;
    let QueriedKeys { device_keys, master_keys, self_signing_keys, .. } =
        encryption.query_keys_for_server(&asker.tenant, &device_keys).await?;
    let of_user = |(user_id, devices): (OwnedUserId, BTreeMap<_, _>)| Ok((user_id, keys(devices)?));
    Ok(Json(Queried {
        device_keys: device_keys.into_iter().map(of_user).collect::<Result<_, ApiError>>()?,
        master_keys: keys(master_keys)?,
        self_signing_keys: keys(self_signing_keys)?,
    }))
}

#[derive(Deserialize)]
struct Claim {
    one_time_keys: WantedKeys,
}

#[derive(Serialize)]
struct Claimed {
    one_time_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, BTreeMap<String, Key>>>,
}

/// One-time keys of devices of the tenant.
async fn claim(
    State(encryption): State<Encryption>,
    asker: Asker,
    Body(Claim { one_time_keys }): Body<Claim>,
) -> Result<Json<Claimed>, ApiError> {
    check(one_time_keys.values().map(BTreeMap::len).sum())?;
    let ClaimedKeys { one_time_keys, .. } =
        encryption.claim_keys_for_server(&asker.tenant, &one_time_keys).await?;
    let mut claimed = BTreeMap::new();
    for (user_id, devices) in one_time_keys {
        let of_user: &mut BTreeMap<_, _> = claimed.entry(user_id).or_default();
        for (device_id, (key_id, text)) in devices {
            of_user.insert(device_id, BTreeMap::from([(key_id, key(text)?)]));
        }
    }
    Ok(Json(Claimed { one_time_keys: claimed }))
}

fn check(asked: usize) -> Result<(), ApiError> {
    match asked {
        0..=KEY_USERS_MAX => Ok(()),
        _ => Err(ApiError::too_large(format!("keys of {asked} are asked for; {KEY_USERS_MAX} are answered"))),
    }
}

fn key(text: String) -> Result<Key, ApiError> {
    RawValue::from_string(text).map_err(ApiError::internal)
}

fn keys<I: Ord>(texts: BTreeMap<I, String>) -> Result<BTreeMap<I, Key>, ApiError> {
    texts.into_iter().map(|(id, text)| Ok((id, key(text)?))).collect()
}

impl From<Failure> for ApiError {
    fn from(error: Failure) -> Self {
        ApiError::internal(error)
    }
}
