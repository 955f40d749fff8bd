//! Documents and files that hold keys.

use freehold_keyring::{
    NotaryQuery, ServerKeys,
    formats::{self, dendrite_config::Entry},
};

/// Key documents of other servers and the queries of those that ask us as a notary.
///
/// # Panics
///
/// When a document is accepted without a key that signed it.
pub fn key_document(data: &[u8]) {
    if let Ok(keys) = ServerKeys::parse(data) {
        assert!(!keys.verify_keys.is_empty(), "an accepted document is signed with one of its keys");
    }
    let _ = NotaryQuery::parse(data).map(|query| query.servers().len());
}

/// The signing key files of other servers: what is read is written so that it reads the same.
///
/// # Panics
///
/// When it is not.
pub fn key_file(data: &[u8]) {
    if let Ok(key) = formats::conduit::parse(data) {
        let again = formats::conduit::parse(&formats::conduit::write(&key));
        assert!(again.is_ok_and(|again| again.verifying_key() == key.verifying_key()));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(keys) = formats::synapse::parse(text) {
        let again = formats::synapse::parse(&formats::synapse::write(&keys)).unwrap_or_default();
        let ids = |keys: &[freehold_keyring::SecretKey]| {
            keys.iter().map(|key| (key.key_id().clone(), *key.verifying_key().as_bytes())).collect::<Vec<_>>()
        };
        assert_eq!(ids(&again), ids(&keys));
    }
    let _ = formats::pem::parse(text);
    if let Ok(keys) = formats::synapse_config::parse(text) {
        let again =
            formats::synapse_config::parse(&formats::synapse_config::write(&keys)).unwrap_or_default();
        assert_eq!(again.len(), keys.len());
    }
    if let Ok(entries) = formats::dendrite_config::parse(text) {
        let public = entries.iter().filter_map(|entry| match entry {
            Entry::Public(key) => Some(key),
            Entry::File { .. } => None,
        });
        let public: Vec<_> = public.cloned().collect();
        let again = formats::dendrite_config::parse(&formats::dendrite_config::write(&public));
        assert!(public.is_empty() || again.is_ok_and(|again| again.len() == public.len()));
    }
}
