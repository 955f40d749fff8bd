//! A signing key belongs to one tenant.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it did not expect")]

use freehold_keyring::{
    ChangeError, KeyLog, Keyring, KeyringSettings, MasterKey, MasterKeys, OldKey, Rotation, SecretKey,
};
use freehold_signing::KeyId;
use ruma_common::{OwnedServerName, ServerName};
use test_rng::TestRng;

#[path = "../src/test_rng.rs"]
mod test_rng;

const DAY: i64 = 24 * 60 * 60 * 1000;
const NOW: i64 = 1_800_000_000_000;

fn name(text: &str) -> OwnedServerName {
    ServerName::parse(text).unwrap()
}

fn over(log: &KeyLog<Vec<u8>>) -> Keyring<&KeyLog<Vec<u8>>> {
    let masters = MasterKeys::new(MasterKey::generate(&mut TestRng::new(1)).unwrap());
    Keyring::new(log, masters, KeyringSettings::default())
}

fn secret(version: &str, seed: u64) -> SecretKey {
    let mut bytes = [0; 32];
    rand_core::TryRng::try_fill_bytes(&mut TestRng::new(seed), &mut bytes).unwrap();
    SecretKey::new(KeyId::ed25519(version).unwrap(), &bytes).unwrap()
}

/// As Dendrite's virtual hosts do, all of which sign with the key of the first.
#[test]
fn no_two_tenants_sign_with_the_same_key() {
    let (ours, theirs) = (name("example.org"), name("example.com"));
    let mut rng = TestRng::new(5);
    let taken = ChangeError::KeyTaken { key: secret("a", 1).verifying_key().to_base64() };
    let old = OldKey {
        key_id: KeyId::ed25519("a").unwrap(),
        key: secret("a", 1).verifying_key().clone(),
        expired_ts: NOW - DAY,
    };
    let mut log = KeyLog::open(Vec::new()).unwrap();
    over(&log).create(&theirs, NOW, &mut rng).unwrap();
    over(&log).import(&ours, &[secret("a", 1)], NOW, &mut rng).unwrap();
    for _ in 0..2 {
        let keyring = over(&log);
        for secrets in [vec![secret("a", 1)], vec![secret("b", 2), secret("another_name", 1)]] {
            assert_eq!(keyring.import(&theirs, &secrets, NOW, &mut rng), Err(taken.clone()));
        }
        assert_eq!(keyring.keys(&theirs, NOW).unwrap().len(), 1, "nothing of it came in");
        keyring.import(&ours, &[secret("a", 1)], NOW, &mut rng).unwrap();
        log = KeyLog::open(log.into_blob()).unwrap();
    }
    let keyring = over(&log);
    // What it signed in the past, the other may publish; the secret does not come in that way either.
    keyring.import_old(&theirs, &[old]).unwrap();
    assert_eq!(keyring.import(&theirs, &[secret("a", 1)], NOW, &mut rng), Err(taken.clone()));
    // Nor do keys that were made here, or have expired since.
    keyring.rotate(&ours, Rotation::IMMEDIATE, NOW, &mut rng).unwrap();
    let export = keyring.export(&ours, NOW + DAY).unwrap();
    assert_eq!(export.secrets.len(), 2);
    for secret in export.secrets {
        let error = keyring.import(&theirs, &[secret], NOW, &mut rng).unwrap_err();
        assert!(matches!(error, ChangeError::KeyTaken { .. }));
    }
}
