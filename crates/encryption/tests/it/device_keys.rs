//! Uploading and querying the keys of devices.

use std::collections::BTreeMap;

use freehold_encryption::{KeysUpload, Limits, Patience, UploadError, WantedDevices};
use serde_json::{Value, json};

use crate::world::{Person, World, parsed, signed};

fn all_of(people: &[&Person]) -> WantedDevices {
    people.iter().map(|person| (person.user_id().to_owned(), Vec::new())).collect()
}

fn only(device_keys: &Value) -> KeysUpload {
    KeysUpload { device_keys: Some(device_keys.to_string()), ..KeysUpload::default() }
}

#[tokio::test]
async fn uploaded_keys_are_found_with_signature_and_name_by_users_of_the_same_server() {
    let world = World::new().await;
    let (one, other) = (world.person("@a:one.example", 1).await, world.person("@b:one.example", 2).await);
    let counts = world.encryption.upload_keys(&one.actor, &one.upload(&["A", "B"])).await.unwrap();
    assert_eq!(counts, BTreeMap::from([("signed_curve25519".to_owned(), 2)]));

    let found =
        world.encryption.query_keys(&other.actor, &all_of(&[&one]), Patience::default()).await.unwrap();
    let mut expected = one.device_keys();
    expected["unsigned"] = json!({ "device_display_name": "name of DEVICE1" });
    assert_eq!(parsed(&found.device_keys[one.user_id()][&one.device.device_id]), expected);
}

#[tokio::test]
async fn another_tenant_sees_the_keys_without_the_name_of_the_device() {
    let world = World::new().await;
    let (one, stranger) = (world.person("@a:one.example", 1).await, world.person("@b:two.example", 2).await);
    world.encryption.upload_keys(&one.actor, &one.upload(&[])).await.unwrap();
    let found =
        world.encryption.query_keys(&stranger.actor, &all_of(&[&one]), Patience::default()).await.unwrap();
    assert_eq!(parsed(&found.device_keys[one.user_id()][&one.device.device_id]), one.device_keys());
}

#[tokio::test]
async fn unknown_users_look_like_users_without_devices_and_unknown_servers_like_silent_ones() {
    let world = World::new().await;
    let asker = world.person("@a:one.example", 1).await;
    let without_keys = world.person("@b:two.example", 2).await;
    let mut wanted = all_of(&[&without_keys]);
    wanted.insert("@nobody:two.example".try_into().unwrap(), Vec::new());
    wanted.insert("@nobody:elsewhere.example".try_into().unwrap(), Vec::new());
    let found = world.encryption.query_keys(&asker.actor, &wanted, Patience::default()).await.unwrap();
    assert_eq!(found.device_keys.len(), 2);
    assert!(found.device_keys.values().all(BTreeMap::is_empty));
    assert_eq!(found.failures.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["elsewhere.example"]);
}

#[tokio::test]
async fn only_wanted_devices_are_shown() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    let second = world.device_of("@a:one.example", 1, "SECOND").await;
    for device in [&one, &second] {
        world.encryption.upload_keys(&device.actor, &device.upload(&[])).await.unwrap();
    }
    let wanted = BTreeMap::from([(one.user_id().to_owned(), vec!["SECOND".into(), "THIRD".into()])]);
    let found = world.encryption.query_keys(&one.actor, &wanted, Patience::default()).await.unwrap();
    let found: Vec<_> = found.device_keys[one.user_id()].keys().map(|id| id.as_str()).collect();
    assert_eq!(found, ["SECOND"]);
}

/// Malformed keys that a server took in broke the federation of others (CVE-2025-61672).
#[tokio::test]
async fn cve_2025_61672_keys_that_are_not_of_this_device_or_not_well_formed_are_refused() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    let with = |member: &str, value: Value| {
        let mut keys = one.device_keys();
        keys[member] = value;
        signed(keys, one.user_id(), "ed25519:DEVICE1", &one.key())
    };
    let cases = [
        (with("user_id", json!("@b:one.example")), "`user_id`"),
        (with("device_id", json!("OTHER")), "`device_id`"),
        (with("algorithms", json!("m.olm")), "`algorithms`"),
        (with("keys", json!({ "ed25519:DEVICE1": 7 })), "`keys`"),
        (with("keys", json!({ "curve25519:DEVICE1": "AAAA" })), "`keys.ed25519:DEVICE1`"),
        (with("keys", json!({ "ed25519:OTHER": "AAAA" })), "`keys.ed25519:OTHER`"),
        (json!({ "signatures": { "@a:one.example": ["x"] } }), "`signatures`"),
        (json!([]), "``"),
    ];
    for (keys, named) in cases {
        let error = world.encryption.upload_keys(&one.actor, &only(&keys)).await.unwrap_err().to_string();
        assert!(error.contains(named), "{error} should name {named}");
    }
    let mut changed = one.device_keys();
    changed["algorithms"] = json!(["m.other"]);
    let error = world.encryption.upload_keys(&one.actor, &only(&changed)).await.unwrap_err();
    assert!(matches!(error, UploadError::NotSigned(key) if key == "ed25519:DEVICE1"));
    assert_eq!(world.keys_and_messages().await, 0);
}

#[tokio::test]
async fn the_same_upload_again_changes_nothing() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    let upload = one.upload(&["A", "B"]);
    let first = world.encryption.upload_keys(&one.actor, &upload).await.unwrap();
    let position = world.position();
    assert_eq!(world.encryption.upload_keys(&one.actor, &upload).await.unwrap(), first);
    assert_eq!(world.position(), position);
}

#[tokio::test]
async fn another_key_under_a_known_id_is_refused_in_the_words_that_clients_know() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    world.encryption.upload_keys(&one.actor, &one.upload(&["A"])).await.unwrap();
    let mut other = one.one_time_key("B");
    other.key_id = "A".to_owned();
    let upload = KeysUpload { one_time_keys: vec![one.one_time_key("C"), other], ..KeysUpload::default() };
    let error = world.encryption.upload_keys(&one.actor, &upload).await.unwrap_err().to_string();
    assert!(error.starts_with("One time key signed_curve25519:A already exists. Old key: {"), "{error}");
    let counts = world.encryption.one_time_key_counts(&world.snapshot(), one.device.number).await.unwrap();
    assert_eq!(counts["signed_curve25519"], 1, "nothing of a refused upload is kept");
}

#[tokio::test]
async fn a_device_has_no_more_one_time_keys_than_the_bound() {
    let world = World::with_limits(Limits { one_time_keys_per_device: 2, ..Limits::default() }).await;
    let one = world.person("@a:one.example", 1).await;
    world.encryption.upload_keys(&one.actor, &one.upload(&["A", "B"])).await.unwrap();
    let error = world.encryption.upload_keys(&one.actor, &one.upload(&["C"])).await.unwrap_err();
    assert!(matches!(error, UploadError::TooMany { count: 3, most: 2, .. }));
}

#[tokio::test]
async fn nothing_of_a_deleted_device_stays() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    let mut upload = one.upload(&["A", "B"]);
    upload.fallback_keys = vec![one.one_time_key("F")];
    world.encryption.upload_keys(&one.actor, &upload).await.unwrap();
    let wanted = BTreeMap::from([(
        one.user_id().to_owned(),
        BTreeMap::from([(one.device.device_id.clone(), "signed_curve25519".to_owned())]),
    )]);
    world.encryption.claim_keys(&one.actor, &wanted, Patience::default()).await.unwrap();
    world.delete_device(&one).await;
    assert_eq!(world.keys_and_messages().await, 0);
    let error = world.encryption.upload_keys(&one.actor, &upload).await.unwrap_err();
    assert!(matches!(error, UploadError::NoDevice));
}
