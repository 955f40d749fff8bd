//! The keys in a backup, all or by room or session:
//! [`/room_keys/keys`](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeys).

use std::collections::BTreeMap;

use axum::extract::State;
use freehold_encryption::{BackupChange, BackupScope, Encryption, RoomKeys, SessionKeys};
use freehold_store::Actor;
use ruma_client_api::backup::{
    KeyBackupData, RoomKeyBackup, add_backup_keys, add_backup_keys_for_room, add_backup_keys_for_session,
    delete_backup_keys, delete_backup_keys_for_room, delete_backup_keys_for_session, get_backup_keys,
    get_backup_keys_for_room, get_backup_keys_for_session,
};
use ruma_common::serde::Raw;

use super::{raw, text};
use crate::authenticated::{Authenticated, EvenSuspended};
use crate::endpoints::Endpoints;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

pub(super) fn routes() -> Endpoints {
    Endpoints::default()
        .route(put_all)
        .route(put_room)
        .route(put_session)
        .route(get_all)
        .route(get_room)
        .route(get_session)
        .route(delete_all)
        .route(delete_room)
        .route(delete_session)
}

fn texts(sessions: &BTreeMap<String, Raw<KeyBackupData>>) -> SessionKeys {
    sessions.iter().map(|(session, key)| (session.clone(), text(key))).collect()
}

fn raws(sessions: SessionKeys) -> Result<BTreeMap<String, Raw<KeyBackupData>>, ApiError> {
    sessions.into_iter().map(|(session, key)| Ok((session, raw(key)?))).collect()
}

/// `etag` and `count`, in the order in which ruma takes them.
fn parts(BackupChange { count, etag }: BackupChange) -> (String, u32) {
    (etag, super::small(count))
}

async fn put_all(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<add_backup_keys::v3::Request>,
) -> Result<Reply<add_backup_keys::v3::Response>, ApiError> {
    let keys: RoomKeys =
        request.rooms.iter().map(|(room_id, room)| (room_id.clone(), texts(&room.sessions))).collect();
    let (etag, count) = parts(encryption.put_backup_keys(&actor, &request.version, &keys).await?);
    Ok(Reply(add_backup_keys::v3::Response::new(etag, count.into())))
}

async fn put_room(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<add_backup_keys_for_room::v3::Request>,
) -> Result<Reply<add_backup_keys_for_room::v3::Response>, ApiError> {
    let keys = RoomKeys::from([(request.room_id, texts(&request.sessions))]);
    let (etag, count) = parts(encryption.put_backup_keys(&actor, &request.version, &keys).await?);
    Ok(Reply(add_backup_keys_for_room::v3::Response::new(etag, count.into())))
}

async fn put_session(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<add_backup_keys_for_session::v3::Request>,
) -> Result<Reply<add_backup_keys_for_session::v3::Response>, ApiError> {
    let session = SessionKeys::from([(request.session_id, text(&request.session_data))]);
    let keys = RoomKeys::from([(request.room_id, session)]);
    let (etag, count) = parts(encryption.put_backup_keys(&actor, &request.version, &keys).await?);
    Ok(Reply(add_backup_keys_for_session::v3::Response::new(etag, count.into())))
}

async fn get_all(
    State(encryption): State<Encryption>,
    Authenticated { actor, .. }: Authenticated,
    Body(request): Body<get_backup_keys::v3::Request>,
) -> Result<Reply<get_backup_keys::v3::Response>, ApiError> {
    let keys = encryption.backup_keys(&actor, &request.version, &BackupScope::All).await?;
    let rooms = keys.into_iter().map(|(room_id, keys)| Ok((room_id, RoomKeyBackup::new(raws(keys)?))));
    Ok(Reply(get_backup_keys::v3::Response::new(rooms.collect::<Result<_, ApiError>>()?)))
}

async fn get_room(
    State(encryption): State<Encryption>,
    Authenticated { actor, .. }: Authenticated,
    Body(request): Body<get_backup_keys_for_room::v3::Request>,
) -> Result<Reply<get_backup_keys_for_room::v3::Response>, ApiError> {
    let scope = BackupScope::Room(request.room_id);
    let sessions = only_room(&encryption, &actor, &request.version, &scope).await?;
    Ok(Reply(get_backup_keys_for_room::v3::Response::new(raws(sessions)?)))
}

async fn get_session(
    State(encryption): State<Encryption>,
    Authenticated { actor, .. }: Authenticated,
    Body(request): Body<get_backup_keys_for_session::v3::Request>,
) -> Result<Reply<get_backup_keys_for_session::v3::Response>, ApiError> {
    let scope = BackupScope::Session(request.room_id, request.session_id);
    let sessions = only_room(&encryption, &actor, &request.version, &scope).await?;
    let key = sessions.into_values().next().unwrap_or_default();
    Ok(Reply(get_backup_keys_for_session::v3::Response::new(raw(key)?)))
}

/// The sessions of the one room of a scope.
async fn only_room(
    encryption: &Encryption,
    actor: &Actor,
    version: &str,
    scope: &BackupScope,
) -> Result<SessionKeys, ApiError> {
    let keys = encryption.backup_keys(actor, version, scope).await?;
    Ok(keys.into_values().next().unwrap_or_default())
}

async fn delete_all(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<delete_backup_keys::v3::Request>,
) -> Result<Reply<delete_backup_keys::v3::Response>, ApiError> {
    let change = encryption.delete_backup_keys(&actor, &request.version, &BackupScope::All).await?;
    let (etag, count) = parts(change);
    Ok(Reply(delete_backup_keys::v3::Response::new(etag, count.into())))
}

async fn delete_room(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<delete_backup_keys_for_room::v3::Request>,
) -> Result<Reply<delete_backup_keys_for_room::v3::Response>, ApiError> {
    let scope = BackupScope::Room(request.room_id);
    let (etag, count) = parts(encryption.delete_backup_keys(&actor, &request.version, &scope).await?);
    Ok(Reply(delete_backup_keys_for_room::v3::Response::new(etag, count.into())))
}

async fn delete_session(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<delete_backup_keys_for_session::v3::Request>,
) -> Result<Reply<delete_backup_keys_for_session::v3::Response>, ApiError> {
    let scope = BackupScope::Session(request.room_id, request.session_id);
    let (etag, count) = parts(encryption.delete_backup_keys(&actor, &request.version, &scope).await?);
    Ok(Reply(delete_backup_keys_for_session::v3::Response::new(etag, count.into())))
}
