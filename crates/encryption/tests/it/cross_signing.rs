//! Cross-signing keys and signatures.

use std::collections::BTreeMap;

use freehold_encryption::{
    Consent, CrossSigningError, CrossSigningKeys, Patience, SignatureFailure, SignedKeys,
};
use freehold_signing::SigningKey;
use serde_json::{Value, json};

use crate::world::{Person, World, parsed, signed};

pub(crate) struct Identity {
    master: (SigningKey, Value),
    pub(crate) self_signing: (SigningKey, Value),
    user_signing: (SigningKey, Value),
}

pub(crate) fn identity(person: &Person, nth: u8) -> Identity {
    let master = person.cross_signing_key("master", nth, None);
    let self_signing = person.cross_signing_key("self_signing", nth, Some(&master.0));
    let user_signing = person.cross_signing_key("user_signing", nth, Some(&master.0));
    Identity { master, self_signing, user_signing }
}

impl Identity {
    pub(crate) fn upload(&self) -> CrossSigningKeys {
        CrossSigningKeys {
            master: Some(self.master.1.to_string()),
            self_signing: Some(self.self_signing.1.to_string()),
            user_signing: Some(self.user_signing.1.to_string()),
        }
    }

    fn master_id(&self) -> String {
        self.master.0.verifying_key().to_base64()
    }
}

pub(crate) fn key_id(key: &SigningKey) -> String {
    format!("ed25519:{}", key.verifying_key().to_base64())
}

async fn master_key_as_seen_by(world: &World, viewer: &Person, of: &Person) -> Value {
    let wanted = BTreeMap::from([(of.user_id().to_owned(), Vec::new())]);
    let found = world.encryption.query_keys(&viewer.actor, &wanted, Patience::default()).await.unwrap();
    parsed(&found.master_keys[of.user_id()])
}

pub(crate) fn one_signature(of: &Person, key: &str, document: &Value) -> SignedKeys {
    BTreeMap::from([(of.user_id().to_owned(), BTreeMap::from([(key.to_owned(), document.to_string())]))])
}

#[tokio::test]
async fn the_first_keys_need_a_token_only_others_need_authentication_and_the_same_again_nothing() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    let (first, second) = (identity(&one, 0), identity(&one, 1));
    let upload = |keys: CrossSigningKeys, consent| {
        let (encryption, actor) = (world.encryption.clone(), one.actor.clone());
        async move { encryption.upload_cross_signing_keys(&actor, &keys, consent).await }
    };
    upload(first.upload(), Consent::Token).await.unwrap();
    let position = world.position();
    upload(first.upload(), Consent::Token).await.unwrap();
    assert_eq!(world.position(), position, "the same again changes nothing");
    let error = upload(second.upload(), Consent::Token).await.unwrap_err();
    assert!(matches!(error, CrossSigningError::NeedsAuthentication));
    assert_eq!(master_key_as_seen_by(&world, &one, &one).await, first.master.1);
    upload(second.upload(), Consent::Interactive).await.unwrap();
    assert_eq!(master_key_as_seen_by(&world, &one, &one).await, second.master.1);
}

#[tokio::test]
async fn two_first_uploads_at_once_do_not_replace_each_other_without_authentication() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    let (first, second) = (identity(&one, 0).upload(), identity(&one, 1).upload());
    let results = tokio::join!(
        world.encryption.upload_cross_signing_keys(&one.actor, &first, Consent::Token),
        world.encryption.upload_cross_signing_keys(&one.actor, &second, Consent::Token),
    );
    assert_eq!([results.0.is_ok(), results.1.is_ok()].iter().filter(|ok| **ok).count(), 1);
}

#[tokio::test]
async fn keys_need_the_signature_of_the_master_key_and_a_master_key() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    let (right, wrong) = (identity(&one, 0), identity(&one, 1));
    let mut mixed = right.upload();
    mixed.self_signing = wrong.upload().self_signing;
    let upload = |keys: CrossSigningKeys| {
        let (encryption, actor) = (world.encryption.clone(), one.actor.clone());
        async move { encryption.upload_cross_signing_keys(&actor, &keys, Consent::Token).await.unwrap_err() }
    };
    assert!(matches!(upload(mixed).await, CrossSigningError::NotSigned("self_signing_key")));
    let without_master = CrossSigningKeys { master: None, ..right.upload() };
    assert!(matches!(upload(without_master).await, CrossSigningError::NoMasterKey));
    let wrong_usage = CrossSigningKeys { master: right.upload().user_signing, ..CrossSigningKeys::default() };
    assert!(matches!(upload(wrong_usage).await, CrossSigningError::Key { key: "master_key", .. }));
    assert_eq!(world.keys_and_messages().await, 0);
}

#[tokio::test]
async fn a_key_whose_id_is_that_of_a_device_is_refused() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    let keys = identity(&one, 0);
    world.device_of("@a:one.example", 1, &keys.master_id()).await;
    let error = world.encryption.upload_cross_signing_keys(&one.actor, &keys.upload(), Consent::Token).await;
    assert!(matches!(error, Err(CrossSigningError::IdInUse(id)) if id == keys.master_id()));
}

#[tokio::test]
async fn the_user_signing_key_is_shown_to_its_user_only() {
    let world = World::new().await;
    let (one, other) = (world.person("@a:one.example", 1).await, world.person("@b:one.example", 2).await);
    let keys = identity(&one, 0);
    world.encryption.upload_cross_signing_keys(&one.actor, &keys.upload(), Consent::Token).await.unwrap();
    let wanted = BTreeMap::from([(one.user_id().to_owned(), Vec::new())]);
    for (viewer, shown) in [(&one, 1), (&other, 0)] {
        let found = world.encryption.query_keys(&viewer.actor, &wanted, Patience::default()).await.unwrap();
        assert_eq!(parsed(&found.self_signing_keys[one.user_id()]), keys.self_signing.1);
        assert_eq!(found.user_signing_keys.len(), shown);
    }
}

#[tokio::test]
async fn a_device_signed_with_the_self_signing_key_is_shown_so_to_everybody() {
    let world = World::new().await;
    let (one, other) = (world.person("@a:one.example", 1).await, world.person("@b:two.example", 2).await);
    let keys = identity(&one, 0);
    world.encryption.upload_keys(&one.actor, &one.upload(&[])).await.unwrap();
    world.encryption.upload_cross_signing_keys(&one.actor, &keys.upload(), Consent::Token).await.unwrap();
    let device =
        signed(one.device_keys(), one.user_id(), &key_id(&keys.self_signing.0), &keys.self_signing.0);
    let failures = world
        .encryption
        .upload_signatures(&one.actor, &one_signature(&one, "DEVICE1", &device))
        .await
        .unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    let wanted = BTreeMap::from([(one.user_id().to_owned(), Vec::new())]);
    let found = world.encryption.query_keys(&other.actor, &wanted, Patience::default()).await.unwrap();
    assert_eq!(parsed(&found.device_keys[one.user_id()][&one.device.device_id]), device);
}

/// Who verified whom is known to the one who did.
#[tokio::test]
async fn a_signature_of_anothers_master_key_is_shown_to_the_signer_only() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    let other = world.person("@b:two.example", 2).await;
    let third = world.person("@c:two.example", 3).await;
    let (keys, others) = (identity(&one, 0), identity(&other, 0));
    for (person, keys) in [(&one, &keys), (&other, &others)] {
        let upload = keys.upload();
        world.encryption.upload_cross_signing_keys(&person.actor, &upload, Consent::Token).await.unwrap();
    }
    let verified =
        signed(others.master.1.clone(), one.user_id(), &key_id(&keys.user_signing.0), &keys.user_signing.0);
    let upload = one_signature(&other, &others.master_id(), &verified);
    let from = world.position();
    assert!(world.encryption.upload_signatures(&one.actor, &upload).await.unwrap().is_empty());
    assert_eq!(master_key_as_seen_by(&world, &one, &other).await, verified);
    for viewer in [&other, &third] {
        assert_eq!(master_key_as_seen_by(&world, viewer, &other).await, others.master.1);
    }
    // The signer's other devices learn of it; the one who was signed does not.
    for (person, changed) in [(&one, vec![other.user_id().to_owned()]), (&other, vec![])] {
        let changes =
            world.encryption.device_list_changes(&world.snapshot(), &person.actor, from).await.unwrap();
        assert_eq!(changes.changed, changed);
    }
}

#[tokio::test]
async fn wrong_signatures_and_keys_are_named_and_not_kept() {
    let world = World::new().await;
    let (one, other) = (world.person("@a:one.example", 1).await, world.person("@b:one.example", 2).await);
    let (keys, others) = (identity(&one, 0), identity(&other, 0));
    for person in [&one, &other] {
        world.encryption.upload_keys(&person.actor, &person.upload(&[])).await.unwrap();
    }
    for (person, keys) in [(&one, &keys), (&other, &others)] {
        let upload = keys.upload();
        world.encryption.upload_cross_signing_keys(&person.actor, &upload, Consent::Token).await.unwrap();
    }
    let by_self_signing = |document: Value| {
        signed(document, one.user_id(), &key_id(&keys.self_signing.0), &keys.self_signing.0)
    };
    let mut forged = by_self_signing(one.device_keys());
    forged["signatures"][one.user_id().as_str()][key_id(&keys.self_signing.0)] =
        forged["signatures"][one.user_id().as_str()]["ed25519:DEVICE1"].clone();
    let mut changed = one.device_keys();
    changed["algorithms"] = json!([]);
    let cases = [
        (&one, "DEVICE1".to_owned(), forged, SignatureFailure::WrongSignature),
        (&one, "DEVICE1".to_owned(), by_self_signing(changed), SignatureFailure::OtherKey),
        (&one, "DEVICE1".to_owned(), one.device_keys(), SignatureFailure::NoSignature),
        (&one, "NONE".to_owned(), one.device_keys(), SignatureFailure::UnknownKey),
        (&other, "DEVICE2".to_owned(), by_self_signing(other.device_keys()), SignatureFailure::UnknownKey),
        (&other, others.master_id(), by_self_signing(others.master.1.clone()), SignatureFailure::NoSignature),
    ];
    let position = world.position();
    for (of, key, document, expected) in cases {
        let upload = one_signature(of, &key, &document);
        let failures = world.encryption.upload_signatures(&one.actor, &upload).await.unwrap();
        assert_eq!(failures[of.user_id()][&key], expected);
    }
    assert_eq!(world.position(), position);
}

#[tokio::test]
async fn new_master_keys_take_the_signatures_of_the_old_one_with_them() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    world.encryption.upload_keys(&one.actor, &one.upload(&[])).await.unwrap();
    let (first, second) = (identity(&one, 0), identity(&one, 1));
    world.encryption.upload_cross_signing_keys(&one.actor, &first.upload(), Consent::Token).await.unwrap();
    let by_device = signed(first.master.1.clone(), one.user_id(), "ed25519:DEVICE1", &one.key());
    let upload = one_signature(&one, &first.master_id(), &by_device);
    assert!(world.encryption.upload_signatures(&one.actor, &upload).await.unwrap().is_empty());
    assert_eq!(master_key_as_seen_by(&world, &one, &one).await, by_device);
    let only_master =
        CrossSigningKeys { master: Some(second.master.1.to_string()), ..CrossSigningKeys::default() };
    let consent = Consent::Interactive;
    world.encryption.upload_cross_signing_keys(&one.actor, &only_master, consent).await.unwrap();
    assert_eq!(master_key_as_seen_by(&world, &one, &one).await, second.master.1);
    let wanted = BTreeMap::from([(one.user_id().to_owned(), Vec::new())]);
    let found = world.encryption.query_keys(&one.actor, &wanted, Patience::default()).await.unwrap();
    assert!(found.self_signing_keys.is_empty(), "it was signed by the old master key");
    assert_eq!(
        parsed(&found.device_keys[one.user_id()][&one.device.device_id])["signatures"],
        one.device_keys()["signatures"]
    );
}
