//! Key backup.

use std::collections::BTreeMap;

use freehold_encryption::{Backup, BackupError, BackupLimits, BackupScope, Limits, RoomKeys};
use freehold_store::Order;
use freehold_store::tables::encryption::{BACKED_UP_KEYS, BACKUP_VERSIONS};
use ruma_common::OwnedRoomId;
use serde_json::json;

use crate::world::{Person, World};

fn backup() -> Backup {
    Backup {
        algorithm: "m.megolm_backup.v1.curve25519-aes-sha2".to_owned(),
        auth_data: r#"{"public_key":"abc","more":[1.5]}"#.to_owned(),
    }
}

fn room(name: &str) -> OwnedRoomId {
    OwnedRoomId::try_from(format!("!{name}:one.example")).unwrap()
}

fn entry(index: u64, verified: bool) -> String {
    json!({ "first_message_index": index, "forwarded_count": 0, "is_verified": verified,
        "session_data": { "ciphertext": "x" } })
    .to_string()
}

fn keys(entries: &[(&str, &str, String)]) -> RoomKeys {
    let mut keys = RoomKeys::new();
    for (name, session, entry) in entries {
        keys.entry(room(name)).or_default().insert((*session).to_owned(), entry.clone());
    }
    keys
}

async fn with_backup() -> (World, Person, String) {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    let version = world.encryption.create_backup(&one.actor, &backup()).await.unwrap();
    (world, one, version)
}

#[tokio::test]
async fn a_backup_comes_back_as_it_was_made() {
    let (world, one, version) = with_backup().await;
    let found = world.encryption.backup_version(&one.actor, None).await.unwrap();
    assert_eq!((found.version.as_str(), found.backup, found.count), (version.as_str(), backup(), 0));
    let other = world.person("@b:one.example", 2).await;
    let error = world.encryption.backup_version(&other.actor, Some(&version)).await.unwrap_err();
    assert!(matches!(error, BackupError::UnknownVersion), "backups are each user's own");
}

#[tokio::test]
async fn keys_are_counted_and_read_by_room_and_session() {
    let (world, one, version) = with_backup().await;
    let all = keys(&[("r", "1", entry(0, false)), ("r", "2", entry(0, false)), ("q", "1", entry(0, false))]);
    let first = world.encryption.put_backup_keys(&one.actor, &version, &all).await.unwrap();
    assert_eq!(first.count, 3);
    let again = world.encryption.put_backup_keys(&one.actor, &version, &all).await.unwrap();
    assert_eq!(again, first, "keys that are no better change nothing");
    let read = |scope: BackupScope| {
        let (encryption, actor, version) = (world.encryption.clone(), one.actor.clone(), version.clone());
        async move { encryption.backup_keys(&actor, &version, &scope).await }
    };
    assert_eq!(read(BackupScope::All).await.unwrap(), all);
    assert_eq!(read(BackupScope::Room(room("r"))).await.unwrap()[&room("r")].len(), 2);
    assert!(read(BackupScope::Room(room("none"))).await.unwrap().is_empty());
    let missing = read(BackupScope::Session(room("r"), "3".to_owned())).await.unwrap_err();
    assert!(matches!(missing, BackupError::UnknownKey));

    let scope = BackupScope::Session(room("r"), "1".to_owned());
    let change = world.encryption.delete_backup_keys(&one.actor, &version, &scope).await.unwrap();
    assert_eq!(change.count, 2);
    assert_ne!(change.etag, first.etag);
    let change = world.encryption.delete_backup_keys(&one.actor, &version, &BackupScope::All).await.unwrap();
    assert_eq!(change.count, 0);
}

#[tokio::test]
async fn the_better_of_two_keys_stays() {
    let (world, one, version) = with_backup().await;
    let mut held = None;
    for (new, kept) in [
        ((5, false), (5, false)),
        ((3, false), (3, false)),
        ((4, false), (3, false)),
        ((9, true), (9, true)),
        ((0, false), (9, true)),
    ] {
        let upload = keys(&[("r", "1", entry(new.0, new.1))]);
        held = Some(world.encryption.put_backup_keys(&one.actor, &version, &upload).await.unwrap());
        let found = world.encryption.backup_keys(&one.actor, &version, &BackupScope::All).await.unwrap();
        assert_eq!(found, keys(&[("r", "1", entry(kept.0, kept.1))]));
    }
    assert_eq!(held.unwrap().count, 1);
}

#[tokio::test]
async fn keys_are_written_to_the_newest_version_only() {
    let (world, one, old) = with_backup().await;
    let new = world.encryption.create_backup(&one.actor, &backup()).await.unwrap();
    let upload = keys(&[("r", "1", entry(0, false))]);
    let put = |version: String| {
        let (encryption, actor, upload) = (world.encryption.clone(), one.actor.clone(), upload.clone());
        async move { encryption.put_backup_keys(&actor, &version, &upload).await }
    };
    assert!(matches!(put(old.clone()).await, Err(BackupError::WrongVersion { current }) if current == new));
    assert!(matches!(put("77".to_owned()).await, Err(BackupError::UnknownVersion)));
    put(new.clone()).await.unwrap();
    world.encryption.delete_backup(&one.actor, &new).await.unwrap();
    put(old.clone()).await.unwrap();
}

#[tokio::test]
async fn a_deleted_version_is_gone_with_its_keys_and_its_number_is_not_given_again() {
    let (world, one, version) = with_backup().await;
    let many: Vec<_> = (0..2_500).map(|n| ("r".to_owned(), n.to_string(), entry(0, false))).collect();
    let many: Vec<_> = many.iter().map(|(r, s, e)| (r.as_str(), s.as_str(), e.clone())).collect();
    world.encryption.put_backup_keys(&one.actor, &version, &keys(&many)).await.unwrap();
    for _ in 0..2 {
        world.encryption.delete_backup(&one.actor, &version).await.unwrap();
    }
    let snapshot = world.snapshot();
    let left = snapshot.scan_prefix(&BACKED_UP_KEYS, &(), Order::Ascending, usize::MAX).await.unwrap();
    assert!(left.is_empty());
    let error = world.encryption.backup_version(&one.actor, None).await.unwrap_err();
    assert!(matches!(error, BackupError::UnknownVersion));
    assert!(matches!(
        world.encryption.delete_backup(&one.actor, "2").await,
        Err(BackupError::UnknownVersion)
    ));
    let next = world.encryption.create_backup(&one.actor, &backup()).await.unwrap();
    assert_ne!(next, version);
    world.encryption.delete_backup(&one.actor, &version).await.unwrap();
    let rows = world.snapshot().scan_prefix(&BACKUP_VERSIONS, &(), Order::Ascending, 9).await.unwrap();
    assert_eq!(rows.len(), 1, "a deleted version leaves no row when a later one has the next number");
}

#[tokio::test]
async fn uploads_at_the_same_time_are_all_counted() {
    let (world, one, version) = with_backup().await;
    let mut tasks = Vec::new();
    for n in 0..20 {
        let (encryption, actor, version) = (world.encryption.clone(), one.actor.clone(), version.clone());
        tasks.push(tokio::spawn(async move {
            let upload = keys(&[("r", &n.to_string(), entry(0, false))]);
            encryption.put_backup_keys(&actor, &version, &upload).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let found = world.encryption.backup_version(&one.actor, Some(&version)).await.unwrap();
    assert_eq!((found.count, found.etag.as_str()), (20, "20"));
}

#[tokio::test]
async fn only_auth_data_of_a_version_changes() {
    let (world, one, version) = with_backup().await;
    let changed = Backup { auth_data: "{}".to_owned(), ..backup() };
    world.encryption.update_backup(&one.actor, &version, &changed).await.unwrap();
    assert_eq!(world.encryption.backup_version(&one.actor, None).await.unwrap().backup, changed);
    let other = Backup { algorithm: "other".to_owned(), ..backup() };
    let error = world.encryption.update_backup(&one.actor, &version, &other).await.unwrap_err();
    assert!(matches!(error, BackupError::OtherAlgorithm(_)));
    let broken = Backup { auth_data: "[]".to_owned(), ..backup() };
    let error = world.encryption.update_backup(&one.actor, &version, &broken).await.unwrap_err();
    assert!(matches!(error, BackupError::AuthData));
}

#[tokio::test]
async fn malformed_and_too_many_entries_are_refused_as_a_whole() {
    let limits = BackupLimits { entries: 2, versions: 1, ..BackupLimits::default() };
    let world = World::with_limits(Limits { backup: limits, ..Limits::default() }).await;
    let one = world.person("@a:one.example", 1).await;
    let version = world.encryption.create_backup(&one.actor, &backup()).await.unwrap();
    let put = |upload: RoomKeys| {
        let (encryption, actor, version) = (world.encryption.clone(), one.actor.clone(), version.clone());
        async move { encryption.put_backup_keys(&actor, &version, &upload).await.unwrap_err() }
    };
    let malformed = put(keys(&[("r", "1", entry(0, true)), ("r", "2", "{}".to_owned())])).await.to_string();
    assert!(malformed.contains("!r:one.example.sessions.2") && malformed.contains("first_message_index"));
    let three: BTreeMap<_, _> = ["1", "2", "3"].map(|n| (n.to_owned(), entry(0, true))).into();
    let error = put(RoomKeys::from([(room("r"), three)])).await;
    assert!(matches!(error, BackupError::TooMuch { count: 3, most: 2, .. }));
    let error = world.encryption.create_backup(&one.actor, &backup()).await.unwrap_err();
    assert!(matches!(error, BackupError::TooMuch { count: 1, most: 1, .. }));
    assert_eq!(world.encryption.backup_version(&one.actor, None).await.unwrap().count, 0);
}
