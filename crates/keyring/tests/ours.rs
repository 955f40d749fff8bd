//! The keys of tenants: laws and incidents.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at what it did not expect"
)]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use freehold_keyring::{
    ChangeError, KeyLog, KeyPhase, Keyring, KeyringSettings, MasterKey, MasterKeys, OldKey, OpenError,
    Purpose, Replaced, Rotation, SealedStore, SecretKey, SignerError, formats,
};
use freehold_signing::{KeyId, Signature, Signer, VerifyingKey};
use proptest::prelude::*;
use ruma_common::{OwnedServerName, ServerName, UserId};
use test_rng::TestRng;

#[path = "../src/test_rng.rs"]
mod test_rng;

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;
const NOW: i64 = 1_800_000_000_000;

fn name(text: &str) -> OwnedServerName {
    ServerName::parse(text).unwrap()
}

fn masters(seed: u64) -> MasterKeys {
    MasterKeys::new(MasterKey::generate(&mut TestRng::new(seed)).unwrap())
}

fn keyring() -> Keyring<KeyLog<Vec<u8>>> {
    Keyring::new(KeyLog::open(Vec::new()).unwrap(), masters(1), KeyringSettings::default())
}

fn secret(version: &str, seed: u64) -> SecretKey {
    let mut bytes = [0; 32];
    rand_core::TryRng::try_fill_bytes(&mut TestRng::new(seed), &mut bytes).unwrap();
    SecretKey::new(KeyId::ed25519(version).unwrap(), &bytes).unwrap()
}

fn document(keyring: &Keyring<impl SealedStore<Error: std::fmt::Debug>>, now: i64) -> serde_json::Value {
    let document = keyring.key_document(&name("example.org"), now).unwrap();
    serde_json::from_slice(&document.json).unwrap()
}

fn names_in(value: &serde_json::Value) -> Vec<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn a_tenant_signs_in_its_own_name_for_its_own_users_only() {
    let keyring = keyring();
    let (tenant, other) = (name("example.org"), name("example.com"));
    let mut rng = TestRng::new(5);
    let key_id = keyring.create(&tenant, NOW, &mut rng).unwrap();
    keyring.create(&other, NOW, &mut rng).unwrap();
    let alice = UserId::parse("@alice:example.org").unwrap();

    let signer = keyring.signer(&tenant, Purpose::Event { sender: &alice }, NOW).unwrap();
    assert_eq!((signer.server_name(), signer.key_id()), (&*tenant, &key_id));
    let keys = keyring.keys(&tenant, NOW).unwrap();
    assert!(keys[0].key.verify(b"message", &signer.sign(b"message")).is_ok());
    assert!(keyring.keys(&other, NOW).unwrap()[0].key.verify(b"message", &signer.sign(b"message")).is_err());

    let refused = keyring.signer(&other, Purpose::Event { sender: &alice }, NOW);
    assert!(matches!(refused, Err(SignerError::ForeignUser { .. })));
    let nobody = name("nobody.example");
    let notary = Purpose::Notary { server: &tenant };
    assert!(matches!(keyring.signer(&nobody, notary, NOW), Err(SignerError::NoTenant)));
    assert_eq!(keyring.key(&nobody, &key_id, NOW), Ok(None));
    assert_eq!(keyring.key(&tenant, &KeyId::ed25519("another").unwrap(), NOW), Ok(None));
}

#[test]
fn nothing_about_a_secret_is_shown() {
    let keyring = keyring();
    let tenant = name("example.org");
    keyring.import(&tenant, &[secret("a", 9)], NOW, &mut TestRng::new(5)).unwrap();
    let notary = Purpose::Notary { server: &name("example.com") };
    let signer = keyring.signer(&tenant, notary, NOW).unwrap();
    assert_eq!(format!("{keyring:?}"), "Keyring(..)");
    assert_eq!(format!("{signer:?}"), "TenantSigner(example.org ed25519:a)");
    let public = keyring.keys(&tenant, NOW).unwrap()[0].key.to_base64();
    assert_eq!(
        format!("{:?}", keyring.export(&tenant, NOW).unwrap()),
        format!("Export {{ secrets: [SecretKey(ed25519:a VerifyingKey({public}))], old: [] }}")
    );
}

#[test]
fn a_rotation_takes_place_by_itself() {
    let keyring = keyring();
    let tenant = name("example.org");
    let mut rng = TestRng::new(5);
    let first = keyring.create(&tenant, NOW, &mut rng).unwrap();
    let rotation = Rotation { announce_ms: HOUR, overlap_ms: DAY };
    let second = keyring.rotate(&tenant, rotation, NOW, &mut rng).unwrap();
    assert_ne!(first, second);
    for (now, phases, signing) in [
        (NOW, [KeyPhase::Signing, KeyPhase::Announced], &first),
        (NOW + HOUR - 1, [KeyPhase::Signing, KeyPhase::Announced], &first),
        (NOW + HOUR, [KeyPhase::Overlapping, KeyPhase::Signing], &second),
        (NOW + HOUR + DAY - 1, [KeyPhase::Overlapping, KeyPhase::Signing], &second),
        (NOW + HOUR + DAY, [KeyPhase::Old, KeyPhase::Signing], &second),
    ] {
        let keys = keyring.keys(&tenant, now).unwrap();
        assert_eq!(keys.iter().map(|key| key.phase).collect::<Vec<_>>(), phases, "at {now}");
        assert!(keys.iter().all(|key| keyring.key(&tenant, &key.key_id, now).unwrap().as_ref() == Some(key)));
        let notary = Purpose::Notary { server: &name("example.com") };
        assert_eq!(keyring.signer(&tenant, notary, now).unwrap().key_id(), signing);
        let document = document(&keyring, now);
        let old = phases.iter().filter(|phase| **phase == KeyPhase::Old).count();
        assert_eq!(names_in(&document["verify_keys"]).len(), 2 - old);
        assert_eq!(names_in(&document["old_verify_keys"]).len(), old);
    }
    let document = document(&keyring, NOW + 100 * DAY);
    assert_eq!(document["old_verify_keys"][first.as_str()]["expired_ts"], NOW + HOUR + DAY);
}

#[test]
fn the_document_is_signed_with_every_key_in_use_and_served_while_an_hour_is_left() {
    let keyring = keyring();
    let tenant = name("example.org");
    let mut rng = TestRng::new(5);
    keyring.create(&tenant, NOW, &mut rng).unwrap();
    keyring.rotate(&tenant, Rotation { announce_ms: DAY, overlap_ms: 90 * DAY }, NOW, &mut rng).unwrap();
    let mut made = 0;
    let mut last = None;
    for quarter in 0..400 {
        let now = NOW + quarter * HOUR / 4;
        let document = keyring.key_document(&tenant, now).unwrap();
        assert!(document.valid_until_ts >= now + HOUR);
        assert!(document.valid_until_ts <= now + DAY);
        if last.as_ref() != Some(&document) {
            made += 1;
            let json: serde_json::Value = serde_json::from_slice(&document.json).unwrap();
            let mut unsigned = json.clone();
            unsigned.as_object_mut().unwrap().remove("signatures");
            let bytes = serde_json::to_vec(&unsigned).unwrap();
            for key in keyring.keys(&tenant, now).unwrap() {
                let signature = json["signatures"]["example.org"][key.key_id.as_str()].as_str().unwrap();
                assert!(key.key.verify(&bytes, &Signature::from_base64(signature).unwrap()).is_ok());
            }
            last = Some(document);
        }
    }
    // One every half day of 100 hours.
    assert_eq!(made, 9);
}

#[test]
fn a_document_ends_with_the_first_of_its_keys_but_not_within_the_hour() {
    let keyring = keyring();
    let tenant = name("example.org");
    let mut rng = TestRng::new(5);
    keyring.create(&tenant, NOW, &mut rng).unwrap();
    keyring.rotate(&tenant, Rotation { announce_ms: 0, overlap_ms: 5 * HOUR }, NOW, &mut rng).unwrap();
    let made = |now| {
        let document = keyring.key_document(&tenant, now).unwrap();
        (document.valid_until_ts - NOW, document.renew_ts - NOW)
    };
    const MINUTE: i64 = 60 * 1000;
    assert_eq!(made(NOW), (5 * HOUR, 4 * HOUR));
    let late = 4 * HOUR + 10 * MINUTE;
    assert_eq!(made(NOW + late), (late + 65 * MINUTE, late + 5 * MINUTE));
    let later = 5 * HOUR - MINUTE;
    assert_eq!(made(NOW + later), (later + 65 * MINUTE, 5 * HOUR));
    assert_eq!(made(NOW + 5 * HOUR), (5 * HOUR + DAY, 5 * HOUR + DAY / 2));
}

#[test]
fn a_document_made_before_the_clock_was_set_back_is_made_again() {
    let keyring = keyring();
    let tenant = name("example.org");
    keyring.create(&tenant, NOW - 30 * DAY, &mut TestRng::new(5)).unwrap();
    assert_eq!(keyring.key_document(&tenant, NOW).unwrap().valid_until_ts, NOW + DAY);
    let back = NOW - 10 * DAY;
    assert_eq!(keyring.key_document(&tenant, back).unwrap().valid_until_ts, back + DAY);
}

#[test]
fn a_change_is_seen_at_once_also_by_tenants_in_use() {
    let keyring = keyring();
    let tenant = name("example.org");
    let mut rng = TestRng::new(5);
    let notary = || Purpose::Notary { server: <&ServerName>::try_from("example.com").unwrap() };
    let first = keyring.create(&tenant, NOW, &mut rng).unwrap();
    assert_eq!(keyring.signer(&tenant, notary(), NOW).unwrap().key_id(), &first);
    let second = keyring.rotate(&tenant, Rotation::IMMEDIATE, NOW, &mut rng).unwrap();
    assert_eq!(keyring.signer(&tenant, notary(), NOW).unwrap().key_id(), &second);
    assert_eq!(names_in(&document(&keyring, NOW)["verify_keys"]), [second.as_str()]);
}

/// synapse#3121: a server that uses one identifier for two keys makes events nobody can verify.
#[test]
fn synapse_3121_an_identifier_is_never_reused_and_a_key_never_renamed() {
    let keyring = keyring();
    let tenant = name("example.org");
    let mut rng = TestRng::new(5);
    keyring.import(&tenant, &[secret("a", 1)], NOW, &mut rng).unwrap();
    let a = KeyId::ed25519("a").unwrap();
    let reused = keyring.import(&tenant, &[secret("a", 2)], NOW, &mut rng).unwrap_err();
    assert_eq!(reused, ChangeError::KeyIdReused { key_id: a.clone() });
    let renamed = keyring.import(&tenant, &[secret("b", 1)], NOW, &mut rng).unwrap_err();
    let b = KeyId::ed25519("b").unwrap();
    assert_eq!(renamed, ChangeError::KeyRenamed { key_id: b, known_as: a.clone() });
    let old = OldKey { key_id: a.clone(), key: secret("x", 3).verifying_key().clone(), expired_ts: 1 };
    assert_eq!(keyring.import_old(&tenant, &[old]), Err(ChangeError::KeyIdReused { key_id: a }));
    // All or nothing: the second key of this import is refused, so the first does not come in.
    assert!(keyring.import(&tenant, &[secret("c", 4), secret("a", 2)], NOW, &mut rng).is_err());
    assert_eq!(keyring.keys(&tenant, NOW).unwrap().len(), 1);
    // Once more the same is no change.
    keyring.import(&tenant, &[secret("a", 1)], NOW + 1, &mut rng).unwrap();
    assert_eq!(keyring.keys(&tenant, NOW).unwrap()[0].signs_from_ts, NOW);
}

/// CVE-2026-24044.
#[test]
fn cve_2026_24044_predictable_keys_do_not_come_in() {
    let keyring = keyring();
    let tenant = name("example.org");
    let file = "ed25519 0 AZT9wvov/MBB0/8SBFtzyG5P+V/2YqXu6Cq99EotC3U=\n";
    let keys = formats::synapse::parse(file).unwrap();
    let error = keyring.import(&tenant, &keys, NOW, &mut TestRng::new(5)).unwrap_err();
    assert!(matches!(error, ChangeError::Predictable { .. }));
    let key_id = KeyId::ed25519("0").unwrap();
    let old = OldKey { key_id: key_id.clone(), key: keys[0].verifying_key().clone(), expired_ts: 1 };
    assert!(matches!(keyring.import_old(&tenant, &[old]), Err(ChangeError::Predictable { .. })));
    let zero = SecretKey::new(key_id, &[0; 32]).unwrap();
    let error = keyring.import(&tenant, &[zero], NOW, &mut TestRng::new(5)).unwrap_err();
    assert!(matches!(error, ChangeError::Predictable { .. }));
    assert_eq!(keyring.keys(&tenant, NOW).unwrap(), []);
}

/// A generator that is broken in the way virtual machines have been.
#[test]
fn cve_2026_24044_a_broken_generator_makes_no_key() {
    struct Stuck;
    impl rand_core::TryRng for Stuck {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(4)
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(4)
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.fill(4);
            Ok(())
        }
    }
    impl rand_core::TryCryptoRng for Stuck {}
    let error = keyring().create(&name("example.org"), NOW, &mut Stuck).unwrap_err();
    assert!(matches!(error, ChangeError::BadGenerator(_)));
}

/// tuwunel: "Keypair invalid. Deleting...". Whatever is wrong, what is stored stays as it is.
#[test]
fn a_record_that_cannot_be_read_is_never_replaced() {
    let tenant = name("example.org");
    let mut rng = TestRng::new(5);
    let store = MapStore::default();
    let keyring = Keyring::new(&store, masters(1), KeyringSettings::default());
    keyring.create(&tenant, NOW, &mut rng).unwrap();
    let good = store.records.lock().unwrap()[&tenant].clone();
    for damage in [&b""[..], &good[..good.len() - 1], b"\xff\xff", &[2, 0, 0]] {
        store.records.lock().unwrap().insert(tenant.clone(), damage.to_vec());
        keyring.forget_open(&tenant);
        let notary = Purpose::Notary { server: &name("example.com") };
        assert!(keyring.signer(&tenant, notary, NOW).is_err());
        assert!(keyring.key_document(&tenant, NOW).is_err());
        assert!(keyring.create(&tenant, NOW, &mut rng).is_err());
        assert!(keyring.rotate(&tenant, Rotation::IMMEDIATE, NOW, &mut rng).is_err());
        assert!(keyring.import(&tenant, &[secret("a", 1)], NOW, &mut rng).is_err());
        assert!(keyring.reseal(&tenant, &mut rng).is_err());
        assert_eq!(store.records.lock().unwrap()[&tenant], damage);
    }
}

#[test]
fn the_seal_of_another_tenant_does_not_open() {
    let store = MapStore::default();
    let keyring = Keyring::new(&store, masters(1), KeyringSettings::default());
    let (long, short) = (name("example.org"), name("example.com"));
    keyring.create(&long, NOW, &mut TestRng::new(5)).unwrap();
    let moved = store.records.lock().unwrap()[&long].clone();
    let moved: Vec<u8> = String::from_utf8_lossy(&moved[3..14]).replace("org", "com").bytes().collect();
    let mut record = store.records.lock().unwrap()[&long].clone();
    record.splice(3..14, moved);
    store.records.lock().unwrap().insert(short.clone(), record);
    let notary = Purpose::Notary { server: &long };
    let error = keyring.signer(&short, notary, NOW).unwrap_err();
    assert_eq!(error, SignerError::Seal(OpenError::Broken));
}

#[test]
fn a_new_master_key_takes_over_without_a_change_of_keys() {
    let store = MapStore::default();
    let tenant = name("example.org");
    let mut rng = TestRng::new(5);
    let master = |seed| MasterKey::generate(&mut TestRng::new(seed)).unwrap();
    let old = Keyring::new(&store, MasterKeys::new(master(1)), KeyringSettings::default());
    old.create(&tenant, NOW, &mut rng).unwrap();
    old.rotate(&tenant, Rotation::default(), NOW, &mut rng).unwrap();
    let keys = old.keys(&tenant, NOW).unwrap();

    let both = MasterKeys::new(master(2)).with_previous(master(1));
    let both = Keyring::new(&store, both, KeyringSettings::default());
    assert_eq!(both.reseal(&tenant, &mut rng), Ok(2));
    assert_eq!(both.reseal(&tenant, &mut rng), Ok(0));

    let new = Keyring::new(&store, MasterKeys::new(master(2)), KeyringSettings::default());
    assert_eq!(new.keys(&tenant, NOW).unwrap(), keys);
    assert!(new.key_document(&tenant, NOW).is_ok());
    old.forget_open(&tenant);
    let error = old.key_document(&tenant, NOW).unwrap_err();
    assert_eq!(error, SignerError::Seal(OpenError::NoMasterKey { master_key: master(2).id() }));
}

#[test]
fn the_last_key_does_not_expire_and_an_expired_one_does_not_come_back() {
    let keyring = keyring();
    let tenant = name("example.org");
    let mut rng = TestRng::new(5);
    let first = keyring.create(&tenant, NOW, &mut rng).unwrap();
    let refused = keyring.expire(&tenant, &first, NOW + 1);
    assert_eq!(refused, Err(ChangeError::LastKey { key_id: first.clone() }));
    keyring.rotate(&tenant, Rotation::default(), NOW, &mut rng).unwrap();
    // It turns out that the key was stolen yesterday.
    keyring.expire(&tenant, &first, NOW - DAY).unwrap();
    keyring.expire(&tenant, &first, NOW + DAY).unwrap();
    assert_eq!(keyring.keys(&tenant, NOW).unwrap()[0].expired_ts, Some(NOW - DAY));
}

#[test]
fn what_leaves_in_any_format_comes_in_again_as_the_same_keys() {
    let home = keyring();
    let tenant = name("example.org");
    let mut rng = TestRng::new(5);
    home.import(&tenant, &[secret("a_Zz09", 1), secret("b", 2)], NOW, &mut rng).unwrap();
    home.rotate(&tenant, Rotation { announce_ms: 0, overlap_ms: DAY }, NOW + 1, &mut rng).unwrap();
    let (later, export) = (NOW + 10 * DAY, home.export(&tenant, NOW + 10 * DAY).unwrap());
    assert_eq!((export.secrets.len(), export.old.len()), (3, 2));
    let notary = Purpose::Notary { server: &name("example.com") };
    assert_eq!(export.secrets[0].key_id(), home.signer(&tenant, notary, later).unwrap().key_id());

    let pem = |label| {
        let blocks: Vec<_> =
            export.secrets.iter().map(|key| formats::pem::write(key, label).to_string()).collect();
        formats::pem::parse(&blocks.concat()).unwrap()
    };
    let old = formats::synapse_config::parse(&formats::synapse_config::write(&export.old)).unwrap();
    for secrets in [
        formats::synapse::parse(&formats::synapse::write(&export.secrets)).unwrap(),
        pem(formats::pem::Label::Dendrite),
        pem(formats::pem::Label::MediaRepo),
        export
            .secrets
            .iter()
            .map(|key| formats::conduit::parse(&formats::conduit::write(key)).unwrap())
            .collect(),
    ] {
        let away = keyring();
        away.import_old(&tenant, &old).unwrap();
        away.import(&tenant, &secrets, later, &mut rng).unwrap();
        let mut before = document(&home, later);
        let mut after = document(&away, later);
        before.as_object_mut().unwrap().remove("signatures");
        after.as_object_mut().unwrap().remove("signatures");
        assert_eq!(before, after);
        assert!(away.keys(&tenant, later).unwrap().iter().all(|key| key.has_secret));
    }
}

#[test]
fn only_a_bounded_number_of_tenants_lies_open_and_each_is_loaded_once() {
    let store = MapStore::default();
    let settings = KeyringSettings { open_tenants_max: 10, ..KeyringSettings::default() };
    let keyring = Keyring::new(&store, masters(1), settings);
    let mut rng = TestRng::new(5);
    let tenants: Vec<_> = (0..50).map(|index| name(&format!("t{index}.example"))).collect();
    for tenant in &tenants {
        keyring.create(tenant, NOW, &mut rng).unwrap();
    }
    assert_eq!(keyring.open_tenant_count(), 0);
    let use_it = |tenant: &ServerName| {
        let notary = Purpose::Notary { server: <&ServerName>::try_from("example.com").unwrap() };
        keyring.signer(tenant, notary, NOW).unwrap().sign(b"x");
    };
    store.loads.store(0, Ordering::Relaxed);
    tenants.iter().for_each(|tenant| use_it(tenant));
    assert_eq!(keyring.open_tenant_count(), 10);
    assert_eq!(store.loads.load(Ordering::Relaxed), 50);
    tenants.iter().rev().take(10).for_each(|tenant| use_it(tenant));
    assert_eq!(store.loads.load(Ordering::Relaxed), 50);
}

#[test]
fn of_two_processes_that_rotate_at_once_neither_loses_a_key() {
    let store = MapStore::default();
    let tenant = name("example.org");
    let (one, two) = (
        Keyring::new(&store, masters(1), KeyringSettings::default()),
        Keyring::new(&store, masters(1), KeyringSettings::default()),
    );
    one.create(&tenant, NOW, &mut TestRng::new(5)).unwrap();
    *store.interrupt.lock().unwrap() = Some(Box::new({
        let (store, tenant) = (MapStore::default(), tenant.clone());
        move |record: &[u8]| {
            // What another process would have stored in between.
            store.records.lock().unwrap().insert(tenant.clone(), record.to_vec());
            let other = Keyring::new(&store, masters(1), KeyringSettings::default());
            other.rotate(&tenant, Rotation::IMMEDIATE, NOW, &mut TestRng::new(6)).unwrap();
            store.records.lock().unwrap()[&tenant].clone()
        }
    }));
    two.rotate(&tenant, Rotation::IMMEDIATE, NOW, &mut TestRng::new(7)).unwrap();
    one.forget_open(&tenant);
    assert_eq!(one.keys(&tenant, NOW).unwrap().len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens to a tenant: published keys stay published under their names, exactly one
    /// key signs, and the document verifies.
    #[test]
    fn keys_are_never_lost_or_renamed(steps in prop::collection::vec((0..5_u8, 0..3 * DAY, 0..2 * DAY), 1..20)) {
        let keyring = keyring();
        let tenant = name("example.org");
        let mut rng = TestRng::new(steps.len() as u64);
        let mut now = NOW;
        keyring.create(&tenant, now, &mut rng).unwrap();
        let mut seen: BTreeMap<KeyId, VerifyingKey> = BTreeMap::new();
        for (step, (action, wait, length)) in steps.into_iter().enumerate() {
            match action {
                0 => { keyring.rotate(&tenant, Rotation { announce_ms: length, overlap_ms: wait }, now, &mut rng).unwrap(); }
                1 => keyring.import(&tenant, &[secret(&format!("i{step}"), step as u64 + 50)], now, &mut rng).unwrap(),
                2 => { let _ = keyring.expire(&tenant, seen.keys().next().unwrap_or(&KeyId::ed25519("x").unwrap()), now + length); }
                3 => { prop_assert_eq!(keyring.reseal(&tenant, &mut rng), Ok(0)); }
                _ => keyring.forget_open(&tenant),
            }
            let keys = keyring.keys(&tenant, now).unwrap();
            let signing = keys.iter().filter(|key| key.phase == KeyPhase::Signing).count();
            prop_assert!(signing <= 1);
            for key in &keys {
                let known = seen.entry(key.key_id.clone()).or_insert_with(|| key.key.clone());
                prop_assert_eq!(known, &key.key);
            }
            prop_assert_eq!(keys.len(), seen.len());
            if signing == 1 {
                let document = document(&keyring, now);
                let published = names_in(&document["verify_keys"]).len() + names_in(&document["old_verify_keys"]).len();
                prop_assert_eq!(published, keys.len());
            }
            now += wait;
        }
    }
}

type Interrupt = Box<dyn FnOnce(&[u8]) -> Vec<u8> + Send>;

/// A store in a map that counts, and that can be changed between a load and a replace.
#[derive(Default)]
struct MapStore {
    records: Mutex<BTreeMap<OwnedServerName, Vec<u8>>>,
    loads: AtomicUsize,
    interrupt: Mutex<Option<Interrupt>>,
}

impl SealedStore for MapStore {
    type Error = Infallible;

    fn load(&self, tenant: &ServerName) -> Result<Option<Vec<u8>>, Infallible> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let mut records = self.records.lock().unwrap();
        let found = records.get(tenant).cloned();
        if let Some((interrupt, record)) = self.interrupt.lock().unwrap().take().zip(found.as_ref()) {
            records.insert(tenant.to_owned(), interrupt(record));
        }
        Ok(found)
    }

    fn replace(
        &self,
        tenant: &ServerName,
        expected: Option<&[u8]>,
        next: &[u8],
        _: &[[u8; 32]],
    ) -> Result<Replaced, Infallible> {
        let mut records = self.records.lock().unwrap();
        if records.get(tenant).map(Vec::as_slice) != expected {
            return Ok(Replaced::Stale);
        }
        records.insert(tenant.to_owned(), next.to_vec());
        Ok(Replaced::Done)
    }
}
