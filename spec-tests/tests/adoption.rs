//! What an author of another server relies on without thinking about it.

use std::collections::BTreeMap;

use freehold_canonical_json::Object;
use freehold_event::{EventSource, Pdu, RawPdu, RoomVersion};
use freehold_event_auth::{AuthState, AuthorizedPdu, Denial, PreparedState, check};
use freehold_keyring::{KeyLog, Keyring, RemoteKeys, TenantSigner};
use freehold_signing::{
    KeyId, KeySource, PublishedKey, ServerSigner, SignatureError, SignedPdu, Signer, SigningKey, XMatrix,
    sign_json, verify_json,
};
use freehold_state_map::{LoadError, MemoryStore, StateMap};
use freehold_state_res::{PlainForks, Resolution, ResolveBudget, ResolveError, resolve};
use ruma_common::{OwnedEventId, ServerName, owned_server_name};

fn crosses_threads<T: Send + Sync>() {}

fn is_an_error<T: std::error::Error + Send + Sync + 'static>() {}

#[test]
fn everything_that_is_kept_crosses_threads() {
    crosses_threads::<freehold_canonical_json::Value<'static>>();
    crosses_threads::<Pdu>();
    crosses_threads::<SignedPdu>();
    crosses_threads::<AuthorizedPdu>();
    crosses_threads::<PreparedState<u64>>();
    crosses_threads::<StateMap>();
    crosses_threads::<MemoryStore>();
    crosses_threads::<PlainForks<'static, u64>>();
    crosses_threads::<Resolution<'static, u64>>();
    crosses_threads::<SigningKey>();
    crosses_threads::<XMatrix>();
    crosses_threads::<Keyring<KeyLog<Vec<u8>>>>();
    crosses_threads::<TenantSigner>();
    crosses_threads::<RemoteKeys>();
}

#[test]
fn errors_fit_into_the_boxes_of_any_server() {
    is_an_error::<freehold_canonical_json::ParseError>();
    is_an_error::<freehold_event::FormatError>();
    is_an_error::<freehold_event::BuildError>();
    is_an_error::<SignatureError>();
    is_an_error::<Denial>();
    is_an_error::<freehold_event_auth::UnauthorizedPdu>();
    is_an_error::<LoadError>();
    is_an_error::<ResolveError<u64>>();
    is_an_error::<ResolveError<OwnedEventId>>();
}

#[test]
fn sources_and_states_may_be_behind_a_pointer_of_unknown_type() {
    let json = br#"{
        "auth_events": [], "content": {"room_version": "12"}, "depth": 1,
        "hashes": {"sha256": "/Is2LF+XgGdfCVjcqU13VI3gndrzRjw5RD80bhkKxcI"},
        "origin_server_ts": 1700000000000, "prev_events": [], "sender": "@al:example.org",
        "signatures": {}, "state_key": "", "type": "m.room.create"
    }"#;
    let create = RawPdu::new(json).parse(RoomVersion::V12).unwrap();
    let events = BTreeMap::from([(create.event_id().to_owned(), create.clone())]);
    let source: &dyn EventSource<Id = OwnedEventId> = &events;
    let id = create.event_id().to_owned();
    let fork = BTreeMap::from([(("m.room.create", ""), &id)]);
    let forks = PlainForks::new([fork.clone(), fork]);
    let resolution = resolve(create.version(), &forks, &source, &ResolveBudget::default()).unwrap();
    assert_eq!(forks.state(&resolution).len(), 1);

    let state = PreparedState::new(create.version());
    let state: &dyn AuthState<Id = OwnedEventId> = &state;
    assert_eq!(check(&create.view(), &state, create.version()), Ok(()));
}

#[test]
fn keys_and_signers_may_be_behind_a_pointer_of_unknown_type() {
    struct NoKeys;
    impl KeySource for NoKeys {
        fn key(&self, _: &ServerName, _: &KeyId) -> Option<PublishedKey<'_>> {
            None
        }
    }
    let key = SigningKey::from_seed(&[1; 32]);
    let signer = ServerSigner::new(owned_server_name!("example.org"), KeyId::ed25519("a").unwrap(), key);
    let (signer, keys): (&dyn Signer, &dyn KeySource) = (&signer, &NoKeys);
    let mut object = Object::new();
    sign_json(&mut object, &signer).unwrap();
    let refused = verify_json(&object, signer.server_name(), &keys);
    assert!(matches!(refused, Err(SignatureError::NoUsableKey { .. })));
}
