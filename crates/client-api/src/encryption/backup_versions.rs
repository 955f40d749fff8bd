//! Versions of the key backup:
//! [`/room_keys/version`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion).

use axum::extract::State;
use freehold_encryption::{Backup, BackupVersion, Encryption};
use ruma_client_api::backup::{
    BackupAlgorithm, create_backup_version, delete_backup_version, get_backup_info, get_latest_backup_info,
    update_backup_version,
};
use ruma_common::api::error::ErrorCode;
use ruma_common::serde::Raw;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{raw, small};
use crate::authenticated::{Authenticated, EvenSuspended};
use crate::endpoints::Endpoints;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::{Body, bad_json};

pub(super) fn routes() -> Endpoints {
    Endpoints::default().route(create).route(latest).route(get).route(update).route(delete)
}

/// What a version is made of. Its `auth_data` is signed, so it is kept as it came.
#[derive(Deserialize)]
struct Description {
    algorithm: String,
    auth_data: Box<RawValue>,
    version: Option<String>,
}

#[derive(Serialize)]
struct Shown<'b> {
    algorithm: &'b str,
    auth_data: &'b RawValue,
}

impl Description {
    fn read(body: &Raw<BackupAlgorithm>) -> Result<Self, ApiError> {
        let text = body.json().get();
        serde_json::from_str(text).map_err(|error| bad_json(&error, text.as_bytes()))
    }

    fn backup(self) -> Backup {
        Backup { algorithm: self.algorithm, auth_data: self.auth_data.get().to_owned() }
    }
}

fn shown(backup: &Backup) -> Result<Raw<BackupAlgorithm>, ApiError> {
    let auth_data: &RawValue = serde_json::from_str(&backup.auth_data).map_err(ApiError::internal)?;
    let shown = Shown { algorithm: &backup.algorithm, auth_data };
    raw(serde_json::to_string(&shown).map_err(ApiError::internal)?)
}

async fn create(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<create_backup_version::v3::Request>,
) -> Result<Reply<create_backup_version::v3::Response>, ApiError> {
    let backup = Description::read(&request.algorithm)?.backup();
    let version = encryption.create_backup(&actor, &backup).await?;
    Ok(Reply(create_backup_version::v3::Response::new(version)))
}

async fn latest(
    State(encryption): State<Encryption>,
    Authenticated { actor, .. }: Authenticated,
    _: Body<get_latest_backup_info::v3::Request>,
) -> Result<Reply<get_latest_backup_info::v3::Response>, ApiError> {
    let BackupVersion { version, backup, count, etag } = encryption.backup_version(&actor, None).await?;
    let count = small(count).into();
    let response = get_latest_backup_info::v3::Response::new(shown(&backup)?, count, etag, version);
    Ok(Reply(response))
}

async fn get(
    State(encryption): State<Encryption>,
    Authenticated { actor, .. }: Authenticated,
    Body(request): Body<get_backup_info::v3::Request>,
) -> Result<Reply<get_backup_info::v3::Response>, ApiError> {
    let found = encryption.backup_version(&actor, Some(&request.version)).await?;
    let BackupVersion { version, backup, count, etag } = found;
    let count = small(count).into();
    Ok(Reply(get_backup_info::v3::Response::new(shown(&backup)?, count, etag, version)))
}

async fn update(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<update_backup_version::v3::Request>,
) -> Result<Reply<update_backup_version::v3::Response>, ApiError> {
    let description = Description::read(&request.algorithm)?;
    if description.version.as_ref().is_some_and(|version| *version != request.version) {
        let message = "`version` in the body is not the one in the path";
        return Err(ApiError::new(ErrorCode::InvalidParam, message));
    }
    encryption.update_backup(&actor, &request.version, &description.backup()).await?;
    Ok(Reply(update_backup_version::v3::Response::new()))
}

async fn delete(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<delete_backup_version::v3::Request>,
) -> Result<Reply<delete_backup_version::v3::Response>, ApiError> {
    encryption.delete_backup(&actor, &request.version).await?;
    Ok(Reply(delete_backup_version::v3::Response::new()))
}
