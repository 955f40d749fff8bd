//! Every parser of this crate on damaged input: it refuses or reads, it never stops the process, and
//! it never shows a part of a secret.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at what it did not expect"
)]

use freehold_keyring::{KeyLog, MasterKey, NotaryQuery, SecretKey, ServerKeys, formats};
use freehold_signing::KeyId;
use proptest::prelude::*;
use world::{NOW, Origin};

#[path = "support/world.rs"]
mod world;

fn secret(version: &str, seed: [u8; 32]) -> SecretKey {
    SecretKey::new(KeyId::parse(&format!("ed25519:{version}")).unwrap(), &seed).unwrap()
}

/// One good input per parser, to be damaged.
fn good_inputs() -> Vec<Vec<u8>> {
    let seed = std::array::from_fn(|index| (index * 37 + 11) as u8);
    let key = secret("a_1", seed);
    let old = "old_signing_keys:\n  \"ed25519:auto\": { key: \"Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw\", \
               expired_ts: 1 }\n  ed25519:b:\n    key: Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw\n    \
               expired_ts: 2\n";
    vec![
        formats::synapse::write([&key]).as_bytes().to_vec(),
        formats::pem::write(&key, formats::pem::Label::Dendrite).as_bytes().to_vec(),
        formats::pem::write(&key, formats::pem::Label::MediaRepo).as_bytes().to_vec(),
        formats::conduit::write(&key).to_vec(),
        old.as_bytes().to_vec(),
        Origin::new("a.example").key("a", 1).old_key("b", 2, 5).document(NOW),
        br#"{"server_keys":{"a.example":{"ed25519:x":{"minimum_valid_until_ts":1}}}}"#.to_vec(),
        b"6wLwrqFvdT2q3PGRYQ9p1T7DLM2iTVyGdDzqbBxIcgY\n".to_vec(),
    ]
}

/// Reads bytes with every parser and collects what they complain about.
fn read_all(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut errors = vec![
        formats::synapse::parse(&text).map(drop).map_err(|error| format!("{error} {error:?}")),
        formats::pem::parse(&text).map(drop).map_err(|error| format!("{error} {error:?}")),
        formats::conduit::parse(bytes).map(drop).map_err(|error| format!("{error} {error:?}")),
        formats::synapse_config::parse(&text).map(drop).map_err(|error| format!("{error} {error:?}")),
        MasterKey::parse(bytes).map(drop).map_err(|error| format!("{error} {error:?}")),
    ];
    // These read what everybody may see.
    errors.push(ServerKeys::parse(bytes).map(drop).map_err(|_| String::new()));
    errors.push(NotaryQuery::parse(bytes).map(drop).map_err(|_| String::new()));
    errors.push(KeyLog::open(bytes.to_vec()).map(drop).map_err(|_| String::new()));
    errors.into_iter().filter_map(Result::err).collect()
}

/// Two edits of a good input: what bit rot and text editors do.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0..4_u8, any::<u8>());
    let input = prop::sample::select(good_inputs());
    (input, prop::collection::vec(edit, 0..3)).prop_map(|(mut bytes, edits)| {
        for (place, kind, byte) in edits {
            let at = place.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match kind {
                _ if bytes.is_empty() => bytes.push(byte),
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn damaged_input_is_refused_or_read_without_showing_a_secret(bytes in damaged()) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for error in read_all(&bytes) {
            // A long word of the input in a message would be a secret, or a part of one.
            for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '+' && c != '/') {
                prop_assert!(word.len() < 20 || !error.contains(word), "{error}");
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn keys_survive_every_format(version in "[a-zA-Z0-9_]{1,20}|[!-~]{1,20}", seed: [u8; 32]) {
        let key = secret(&version, seed);
        let again = [
            formats::synapse::parse(&formats::synapse::write([&key])).unwrap().remove(0),
            formats::pem::parse(&formats::pem::write(&key, formats::pem::Label::Dendrite)).unwrap().remove(0),
            formats::pem::parse(&formats::pem::write(&key, formats::pem::Label::MediaRepo)).unwrap().remove(0),
            formats::conduit::parse(&formats::conduit::write(&key)).unwrap(),
        ];
        for read in again {
            prop_assert_eq!(read.key_id(), key.key_id());
            prop_assert_eq!(read.verifying_key(), key.verifying_key());
        }
    }
}
