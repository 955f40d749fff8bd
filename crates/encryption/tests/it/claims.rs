//! Claiming one-time keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_encryption::{KeysUpload, Limits, Patience, WantedKeys};
use proptest::prelude::*;

use crate::world::{Person, World};

fn key_of(person: &Person) -> WantedKeys {
    let algorithm = "signed_curve25519".to_owned();
    BTreeMap::from([(
        person.user_id().to_owned(),
        BTreeMap::from([(person.device.device_id.clone(), algorithm)]),
    )])
}

/// The id of the key that a claim gets.
async fn claim(world: &World, claimer: &Person, of: &Person) -> Option<String> {
    let claimed =
        world.encryption.claim_keys(&claimer.actor, &key_of(of), Patience::default()).await.unwrap();
    let key = claimed.one_time_keys.get(of.user_id())?.get(&of.device.device_id)?;
    Some(key.0.strip_prefix("signed_curve25519:").unwrap().to_owned())
}

#[tokio::test]
async fn keys_are_claimed_in_the_order_of_upload_and_then_the_fallback_key_again_and_again() {
    let world = World::new().await;
    let (one, other) = (world.person("@a:one.example", 1).await, world.person("@b:two.example", 2).await);
    world.encryption.upload_keys(&one.actor, &one.upload(&["Z"])).await.unwrap();
    let mut upload = one.upload(&["A"]);
    upload.fallback_keys = vec![one.one_time_key("F")];
    world.encryption.upload_keys(&one.actor, &upload).await.unwrap();
    assert_eq!(unused_fallbacks(&world, &one).await, ["signed_curve25519"]);
    for expected in ["Z", "A", "F", "F"] {
        assert_eq!(claim(&world, &other, &one).await.as_deref(), Some(expected));
    }
    assert!(unused_fallbacks(&world, &one).await.is_empty());
    world.encryption.upload_keys(&one.actor, &upload).await.unwrap();
    assert!(unused_fallbacks(&world, &one).await.is_empty(), "the same key again has been used all the same");
    upload.fallback_keys = vec![one.one_time_key("G")];
    world.encryption.upload_keys(&one.actor, &upload).await.unwrap();
    assert_eq!(unused_fallbacks(&world, &one).await, ["signed_curve25519"]);
    assert_eq!(claim(&world, &other, &one).await.as_deref(), Some("G"));
}

async fn unused_fallbacks(world: &World, person: &Person) -> Vec<String> {
    world.encryption.unused_fallback_types(&world.snapshot(), person.device.number).await.unwrap()
}

#[tokio::test]
async fn a_repeated_upload_does_not_bring_a_claimed_key_back() {
    let world = World::new().await;
    let (one, other) = (world.person("@a:one.example", 1).await, world.person("@b:two.example", 2).await);
    let upload = one.upload(&["A", "B"]);
    world.encryption.upload_keys(&one.actor, &upload).await.unwrap();
    assert_eq!(claim(&world, &other, &one).await.as_deref(), Some("A"));
    let counts = world.encryption.upload_keys(&one.actor, &upload).await.unwrap();
    assert_eq!(counts["signed_curve25519"], 1);
    assert_eq!(claim(&world, &other, &one).await.as_deref(), Some("B"));
    assert_eq!(claim(&world, &other, &one).await, None);
}

#[tokio::test]
async fn claimed_keys_are_remembered_up_to_the_bound() {
    let world = World::with_limits(Limits { claimed_keys_remembered: 1, ..Limits::default() }).await;
    let one = world.person("@a:one.example", 1).await;
    world.encryption.upload_keys(&one.actor, &one.upload(&["A", "B"])).await.unwrap();
    claim(&world, &one, &one).await;
    claim(&world, &one, &one).await;
    let again = KeysUpload { device_keys: None, ..one.upload(&["A", "B"]) };
    let counts = world.encryption.upload_keys(&one.actor, &again).await.unwrap();
    assert_eq!(counts["signed_curve25519"], 1, "A was forgotten, B was not");
}

#[tokio::test]
async fn unknown_devices_and_algorithms_have_no_keys_and_unknown_servers_fail() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    world.encryption.upload_keys(&one.actor, &one.upload(&["A"])).await.unwrap();
    let wanted: WantedKeys = [
        ("@a:one.example", "DEVICE1", "curve25519"),
        ("@nobody:one.example", "X", "signed_curve25519"),
        ("@nobody:elsewhere.example", "X", "signed_curve25519"),
    ]
    .into_iter()
    .map(|(user, device, algorithm)| {
        (user.try_into().unwrap(), BTreeMap::from([(device.into(), algorithm.to_owned())]))
    })
    .collect();
    let claimed = world.encryption.claim_keys(&one.actor, &wanted, Patience::default()).await.unwrap();
    assert!(claimed.one_time_keys.is_empty());
    assert_eq!(claimed.failures.len(), 1);
}

/// What happens at the same time.
#[derive(Clone, Debug)]
enum Act {
    Claim,
    Upload(Vec<u8>),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let upload = proptest::collection::vec(0_u8..40, 1..6).prop_map(Act::Upload);
    proptest::collection::vec(prop_oneof![3 => Just(Act::Claim), 1 => upload], 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However claims and uploads (also repeated ones) fall together, no key is handed out twice, none is lost, and the count is
    /// that of the keys that are left.
    #[test]
    fn each_key_is_claimed_once_however_claims_and_uploads_fall_together(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
        runtime.block_on(async {
            let world = Arc::new(World::new().await);
            let one = world.person("@a:one.example", 1).await;
            let other = world.person("@b:two.example", 2).await;
            let mut uploaded = BTreeSet::new();
            let mut tasks = Vec::new();
            for act in acts {
                let (world, one, other) = (world.clone(), one.clone(), other.clone());
                if let Act::Upload(ids) = &act {
                    uploaded.extend(ids.iter().map(|id| format!("K{id:02}")));
                }
                tasks.push(tokio::spawn(async move {
                    match act {
                        Act::Claim => claim(&world, &other, &one).await,
                        Act::Upload(ids) => {
                            let ids: BTreeSet<String> = ids.iter().map(|id| format!("K{id:02}")).collect();
                            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                            world.encryption.upload_keys(&one.actor, &one.upload(&ids)).await.unwrap();
                            None
                        }
                    }
                }));
            }
            let mut claimed = Vec::new();
            for task in tasks {
                claimed.extend(task.await.unwrap());
            }
            let counts =
                world.encryption.one_time_key_counts(&world.snapshot(), one.device.number).await.unwrap();
            let left = counts.get("signed_curve25519").copied().unwrap_or(0);
            let mut rest = Vec::new();
            while let Some(key) = claim(&world, &other, &one).await {
                rest.push(key);
            }
            assert_eq!(rest.len() as u64, left, "the count is that of the keys left");
            let all: Vec<String> = claimed.into_iter().chain(rest).collect();
            let distinct: BTreeSet<String> = all.iter().cloned().collect();
            assert_eq!(distinct.len(), all.len(), "a key was handed out twice: {all:?}");
            assert_eq!(distinct, uploaded, "all keys that were uploaded were there to be claimed");
        });
    }
}
