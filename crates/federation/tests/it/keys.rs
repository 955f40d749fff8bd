//! Keys of other servers.

use freehold_canonical_json::{Limits, Object, Value, parse};
use freehold_federation::fake::{Trouble, answer};
use freehold_keyring::{NotaryQuery, ServerKeys, notary_answer};
use freehold_signing::{KeySource, KeyValidity, PublishedKey, VerifyingKey, verify_json};
use ruma_common::ServerName;

use crate::world::{
    HOUR_MS, START_TS, World, key_document, key_id, pass, server, signer, signing_key, tenant, wanted,
};

const DIRECT: &str = "/_matrix/key/v2/server";
const QUERY: &str = "/_matrix/key/v2/query";

fn has(keys: &impl KeySource, name: &str) -> bool {
    let key = keys.key(&server(name), &key_id());
    key.is_some_and(|key| *key.key == *signing_key(name).verifying_key())
}

#[tokio::test(start_paused = true)]
async fn keys_are_asked_of_their_server_once_and_kept() {
    let world = World::new().await;
    let address = world.ordinary_server("remote.example");
    let keyring = world.keyring(&[]);
    let want = [wanted("remote.example", START_TS)];
    let many = (0..20).map(|_| keyring.keys_for(&want));
    for keys in futures_util::future::join_all(many).await {
        assert!(has(&keys, "remote.example"));
    }
    assert!(has(&keyring.keys_for(&want).await, "remote.example"));
    assert_eq!(world.sent(DIRECT), 1);

    // Another process over the same store needs nobody.
    world.network.trouble(address, Trouble::Refuses);
    let again = World::over(world.network.clone(), world.store.clone(), world.clock.clone()).await;
    assert!(has(&again.keyring(&[]).keys_for(&want).await, "remote.example"));
    assert_eq!(again.sent(DIRECT), 0);
}

#[tokio::test(start_paused = true)]
async fn keys_of_tenants_are_at_hand() {
    let world = World::new().await;
    let keys = world.keyring(&[]).keys_for(&[wanted("alice.example", START_TS)]).await;
    assert!(has(&keys, "alice.example"));
    assert!(world.network.sent().is_empty());
}

/// A notary that has the documents of some servers.
fn notary(world: &World, known: &'static [&'static str]) {
    let own = key_document("notary.example", START_TS + 24 * HOUR_MS);
    world.network.host("notary.example", 8448, move |request| match request.uri().path() {
        DIRECT => answer(200, own.clone()),
        _ => {
            let asked: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
            let asked = asked["server_keys"].as_object().unwrap();
            let documents: Vec<Vec<u8>> = known
                .iter()
                .filter(|name| asked.contains_key(**name))
                .map(|name| key_document(name, START_TS + 24 * HOUR_MS))
                .collect();
            let texts = documents.iter().map(Vec::as_slice);
            answer(200, notary_answer(texts, &signer("notary.example")).unwrap())
        }
    });
}

#[tokio::test(start_paused = true)]
async fn dead_servers_are_asked_of_notaries_many_in_one_question() {
    let world = World::new().await;
    notary(&world, &["one.example", "two.example", "three.example"]);
    let keyring = world.keyring(&["notary.example"]);
    let names = ["one.example", "two.example", "three.example", "nowhere.example"];
    let want: Vec<_> = names.iter().map(|name| wanted(name, START_TS)).collect();
    let keys = keyring.keys_for(&want).await;
    let found: Vec<bool> = names.iter().map(|name| has(&keys, name)).collect();
    assert_eq!((found, keys.len()), (vec![true, true, true, false], 3));
    assert_eq!(world.sent(QUERY), 1);

    // What nobody has is not asked for at every event.
    keyring.keys_for(&want).await;
    assert_eq!(world.sent(QUERY), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_keys_waits_a_minute_at_the_longest() {
    let world = World::new().await;
    let address = world.ordinary_server("remote.example");
    world.network.trouble(address, Trouble::Hangs);
    let before = tokio::time::Instant::now();
    let keys = world.keyring(&[]).keys_for(&[wanted("remote.example", START_TS)]).await;
    assert!(keys.is_empty() && before.elapsed().as_secs() <= 60);
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_not_the_servers_is_not_believed() {
    for body in [
        key_document("other.example", START_TS + HOUR_MS),
        b"{}".to_vec(),
        b"<html>".to_vec(),
        vec![b' '; 1 << 20],
    ] {
        let world = World::new().await;
        world.network.host("remote.example", 8448, move |_| answer(200, body.clone()));
        let want = [wanted("remote.example", START_TS), wanted("other.example", START_TS)];
        assert!(world.keyring(&[]).keys_for(&want).await.is_empty());
    }
}

struct Pinned(VerifyingKey);

impl KeySource for Pinned {
    fn key(&self, _: &ServerName, _: &freehold_signing::KeyId) -> Option<PublishedKey<'_>> {
        Some(PublishedKey { key: &self.0, validity: KeyValidity::Current { valid_until_ts: i64::MAX } })
    }
}

/// The documents of a notary's answer, by server; each checked for the signatures of its server and of the tenant.
fn documents(answer: &[u8]) -> Vec<String> {
    let answer = parse(answer, &Limits::RELAXED).unwrap().into_owned().into_object().unwrap();
    let Some(Value::Array(documents)) = answer.get("server_keys") else { panic!("no list") };
    let check = |document: &Value<'_>| {
        let object: &Object<'_> = document.as_object().unwrap();
        let keys = ServerKeys::parse(&object.to_canonical_vec()).unwrap();
        let alice = Pinned(signing_key("alice.example").verifying_key().clone());
        verify_json(object, "alice.example".try_into().unwrap(), &alice).unwrap();
        keys.server_name.to_string()
    };
    documents.iter().map(check).collect()
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_a_notary_for_anybody_and_signs_what_it_tells() {
    let world = World::new().await;
    world.ordinary_server("remote.example");
    let keyring = world.keyring(&[]);
    let body = br#"{"server_keys":{"remote.example":{},"bob.example":{},"nowhere.example":{}}}"#;
    let query = NotaryQuery::parse(body).unwrap();
    let answer = keyring.notary(&tenant("alice.example"), &query).await.unwrap();
    assert_eq!(documents(&answer), ["bob.example", "remote.example"]);
    world.network.sent();
    keyring.notary(&tenant("alice.example"), &query).await.unwrap();
    assert_eq!(world.sent(DIRECT), 0, "a document is kept for half of its life");

    let nobody = NotaryQuery::single(server("nowhere.example"), None);
    let answer = keyring.notary(&tenant("alice.example"), &nobody).await.unwrap();
    assert_eq!(answer, br#"{"server_keys":[]}"#);
}

#[tokio::test(start_paused = true)]
async fn a_notary_tells_the_last_known_keys_of_a_server_that_died() {
    let world = World::new().await;
    let address = world.ordinary_server("remote.example");
    let keyring = world.keyring(&[]);
    let query = NotaryQuery::single(server("remote.example"), None);
    keyring.notary(&tenant("alice.example"), &query).await.unwrap();
    world.network.trouble(address, Trouble::Refuses);
    pass(48 * HOUR_MS).await;
    let answer = keyring.notary(&tenant("alice.example"), &query).await.unwrap();
    assert_eq!(documents(&answer), ["remote.example"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_asked_for_again() {
    let world = World::new().await;
    world.ordinary_server("remote.example");
    let keyring = world.keyring(&[]);
    let want = [wanted("remote.example", START_TS)];
    keyring.keys_for(&want).await;
    keyring.forget(&server("remote.example"));
    world.network.sent();
    assert!(has(&keyring.keys_for(&want).await, "remote.example"));
    assert_eq!(world.sent(DIRECT), 1);
}
