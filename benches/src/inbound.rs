//! Everything that is done to a PDU from outside before the authorisation rules: parse, size and format, content hash,
//! reference hash, one signature with a key that is at hand.

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use freehold_canonical_json::{Limits, Object, parse};
use freehold_event::{Pdu, ProtoEvent, RoomVersion};
use freehold_signing::{
    KeyId, KeySource, KeyValidity, PreparedKeys, PublishedKey, ServerSigner, SigningKey, sign_event,
    signature_on, verify_event,
};
use ruma_common::{
    CanonicalJsonObject, OwnedServerName, ServerName, room_version_rules::RoomVersionRules, serde::Base64,
};
use ruma_signatures::{PublicKeyMap, PublicKeySet};
use serde_json::Value;

use crate::{
    measure::{self, Pair},
    pdus,
    table::{Table, Target},
};

const SERVER: &str = "example.org";
const KEY: &str = "ed25519:key";
/// As many keys with tables as `RemoteKeys` has.
const PREPARED: usize = 128;
const NOW_MS: i64 = 1_700_000_000_000;

pub(crate) fn rows(table: &mut Table) {
    for (what, event) in [("message", pdus::message()), ("member", pdus::member())] {
        let subject = Subject::new(&event);
        let name = format!("{what} PDU ({} bytes)", subject.text.len());
        table.against(
            &format!("{name}: whole inbound check against one raw verify"),
            Target::TimesSlowerAtMost(1.15),
            || subject.ours(),
            || subject.raw_verify(),
        );
        table.against(
            &format!("{name}: whole inbound check against ruma"),
            Target::TimesFaster(1.35),
            || subject.ours(),
            || subject.ruma(),
        );
        two_cores(table, &format!("{name}: whole inbound check on two cores"), &subject);
    }
}

/// The one server's key, known to the checker as `RemoteKeys` of keyring know them.
struct Keys(freehold_signing::VerifyingKey, PreparedKeys);

impl KeySource for Keys {
    fn key(&self, _: &ServerName, _: &KeyId) -> Option<PublishedKey<'_>> {
        Some(PublishedKey { key: &self.0, validity: KeyValidity::Current { valid_until_ts: NOW_MS } })
    }

    fn prepared(&self) -> Option<&PreparedKeys> {
        Some(&self.1)
    }
}

/// A signed event, and what each side needs to check it.
struct Subject {
    text: String,
    keys: Keys,
    raw_key: VerifyingKey,
    raw_signature: Signature,
    signed_bytes: Vec<u8>,
    ruma_keys: PublicKeyMap,
    ruma_rules: RoomVersionRules,
}

impl Subject {
    fn new(event: &Value) -> Self {
        let key = SigningKey::from_seed(&std::array::from_fn(|at| at as u8 * 7 + 1));
        let public = *key.verifying_key().as_bytes();
        let server: OwnedServerName = SERVER.try_into().expect("a server name");
        let signer = ServerSigner::new(server, KeyId::parse(KEY).expect("a key id"), key);
        let signed = sign_event(proto_event(event).build(RoomVersion::V11).expect("an event"), &signer);
        let pdu = signed.expect("a signed event").pdu().clone();
        let signature = signature_on(&pdu, SERVER, KEY).expect("the signature");
        let set: PublicKeySet = [(KEY.to_owned(), Base64::new(public.to_vec()))].into_iter().collect();
        Self {
            text: pdu.canonical_json().to_owned(),
            keys: Keys(
                freehold_signing::VerifyingKey::from_bytes(&public).expect("a key"),
                PreparedKeys::new(PREPARED),
            ),
            raw_key: VerifyingKey::from_bytes(&public).expect("a key"),
            raw_signature: Signature::from_bytes(signature.as_bytes()),
            signed_bytes: pdu.signed_bytes().to_vec(),
            ruma_keys: [(SERVER.to_owned(), set)].into_iter().collect(),
            ruma_rules: RoomVersionRules::V11,
        }
    }

    fn ours(&self) -> usize {
        let pdu = Pdu::parse(self.text.as_bytes(), RoomVersion::V11).expect("well-formed");
        let signed = verify_event(pdu.check_content_hash(), &self.keys, NOW_MS).expect("signed");
        signed.pdu().event_id().as_str().len()
    }

    fn raw_verify(&self) -> bool {
        self.raw_key.verify(&self.signed_bytes, &self.raw_signature).is_ok()
    }

    fn ruma(&self) -> usize {
        let object: CanonicalJsonObject = serde_json::from_str(&self.text).expect("JSON");
        let id = ruma_signatures::reference_hash(&object, &self.ruma_rules).expect("a hash");
        let verified = ruma_signatures::verify_event(&self.ruma_keys, &object, &self.ruma_rules);
        assert!(verified.is_ok());
        id.len()
    }
}

fn proto_event(event: &Value) -> ProtoEvent {
    let text = |name: &str| event[name].as_str().map(str::to_owned);
    let ids = |name: &str| {
        let ids = event[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        ids.filter_map(|id| id.try_into().ok()).map(|id: ruma_common::OwnedEventId| id.into()).collect()
    };
    let sender = text("sender").and_then(|id| id.try_into().ok()).expect("a user id");
    let mut proto = ProtoEvent::new(sender, text("type").expect("a type"));
    proto.room_id = text("room_id").and_then(|id| id.try_into().ok());
    proto.state_key = text("state_key");
    proto.content = content(&event["content"]);
    proto.origin_server_ts = NOW_MS;
    proto.depth = 12_345;
    proto.prev_events = ids("prev_events");
    proto.auth_events = ids("auth_events");
    proto
}

fn content(content: &Value) -> Object<'static> {
    let text = content.to_string();
    let value = parse(text.as_bytes(), &Limits::STRICT).expect("JSON").into_owned();
    value.into_object().expect("an object")
}

/// How much more two threads do than one, in the same time.
fn two_cores(table: &mut Table, name: &str, subject: &Subject) {
    if !table.wants(name) {
        return;
    }
    let time = if table.effort().is_smoke() { Duration::from_millis(1) } else { Duration::from_millis(100) };
    let rounds = if table.effort().is_smoke() { 1 } else { 9 };
    let pairs: Vec<(f64, f64)> =
        (0..rounds).map(|_| (rate(subject, 1, time), rate(subject, 2, time))).collect();
    let pair = Pair {
        ours: 1.0 / measure::median(pairs.iter().map(|(_, two)| *two)),
        peer: 1.0 / measure::median(pairs.iter().map(|(one, _)| *one)),
        ratio: measure::median(pairs.iter().map(|(one, two)| two / one)),
    };
    table.add_pair(name, Target::TimesFaster(1.9), pair);
}

/// Checks in a second.
fn rate(subject: &Subject, threads: usize, time: Duration) -> f64 {
    let started = Instant::now();
    let count = || {
        let mut count = 0_u32;
        while started.elapsed() < time {
            black_box(subject.ours());
            count += 1;
        }
        count
    };
    let total: u32 = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(count)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker")).sum()
    });
    f64::from(total) / started.elapsed().as_secs_f64()
}
