//! Public keys of servers, read from files.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use freehold_canonical_json::{Limits, Value as CanonicalValue, parse};
use freehold_signing::{
    InvalidKey, InvalidKeyId, KeyId, KeySource, KeyValidity, PublishedKey, VerifyingKey, verify_json,
};
use ruma_common::{OwnedServerName, ServerName};
use serde_json::{Map, Value};

use crate::failure::{BAD_INPUT, IO};

/// Keys of servers, current and old.
#[derive(Debug, Default)]
pub(crate) struct KeyFile {
    keys: BTreeMap<OwnedServerName, BTreeMap<KeyId, (VerifyingKey, KeyValidity)>>,
}

/// Why a file holds no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("cannot read {file}")]
    Read { file: String, source: io::Error },
    #[error("{file}:{line}: {problem}")]
    Line { file: String, line: usize, problem: KeyProblem },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyProblem {
    #[error("not JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("neither a key document nor an object {{server: {{key id: base64}}}}")]
    NotKeys,
    #[error("{0:?} is no server name")]
    ServerName(String),
    #[error("{text:?} is no key id: {source}")]
    KeyId { text: String, source: InvalidKeyId },
    #[error("the key {key_id} of {server} is no string")]
    NotAString { server: OwnedServerName, key_id: KeyId },
    #[error("the key {key_id} of {server}: {source}")]
    Key { server: OwnedServerName, key_id: KeyId, source: InvalidKey },
    #[error("the document of {server} has no {member}")]
    NoTime { server: OwnedServerName, member: &'static str },
    #[error("the document of {server} is not signed by itself: {reason}")]
    NotSigned { server: OwnedServerName, reason: String },
}

impl KeysError {
    pub(crate) fn code(&self) -> u8 {
        match self {
            KeysError::Read { .. } => IO,
            KeysError::Line { .. } => BAD_INPUT,
        }
    }
}

impl KeySource for KeyFile {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        let (key, validity) = self.keys.get(server)?.get(key_id)?;
        Some(PublishedKey { key, validity: *validity })
    }
}

impl KeyFile {
    /// Reads a file of JSON Lines (or of a single JSON value), each the document of a server, the
    /// answer of a notary, or an object `{server: {key id: base64}}`.
    pub(crate) fn read(&mut self, path: &Path) -> Result<(), KeysError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| KeysError::Read { file: file.clone(), source })?;
        let failure = |line, problem| KeysError::Line { file: file.clone(), line, problem };
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            return self.add(&value).map_err(|problem| failure(1, problem));
        }
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            serde_json::from_str(text)
                .map_err(KeyProblem::NotJson)
                .and_then(|value| self.add(&value))
                .map_err(|problem| failure(line, problem))?;
        }
        Ok(())
    }

    fn add(&mut self, value: &Value) -> Result<(), KeyProblem> {
        let object = value.as_object().ok_or(KeyProblem::NotKeys)?;
        if let Some(documents) = object.get("server_keys").and_then(Value::as_array) {
            return documents.iter().try_for_each(|document| self.add(document));
        }
        if object.contains_key("server_name") {
            return self.add_document(object);
        }
        for (server, keys) in object {
            let server = server_name(server)?;
            for (key_id, text) in keys.as_object().ok_or(KeyProblem::NotKeys)? {
                // Somebody's word: good for ever.
                let validity = KeyValidity::Current { valid_until_ts: i64::MAX };
                self.add_key(&server, key_id, text, validity)?;
            }
        }
        Ok(())
    }

    /// Adds the keys of an answer to
    /// [`/_matrix/key/v2/server`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server).
    fn add_document(&mut self, document: &Map<String, Value>) -> Result<(), KeyProblem> {
        let server = server_name(document.get("server_name").and_then(Value::as_str).unwrap_or_default())?;
        let time = |object: &Map<String, Value>, member| {
            let time = object.get(member).and_then(Value::as_i64);
            time.ok_or_else(|| KeyProblem::NoTime { server: server.clone(), member })
        };
        let keys = |member| document.get(member).and_then(Value::as_object).into_iter().flatten();
        let mut own = KeyFile::default();
        let current = KeyValidity::Current { valid_until_ts: time(document, "valid_until_ts")? };
        for (key_id, key) in keys("verify_keys") {
            own.add_key(&server, key_id, key.get("key").unwrap_or(&Value::Null), current)?;
        }
        check_signed(document, &server, &own)?;
        for (key_id, key) in keys("old_verify_keys") {
            let key = key.as_object().ok_or(KeyProblem::NotKeys)?;
            let old = KeyValidity::Old { expired_ts: time(key, "expired_ts")? };
            own.add_key(&server, key_id, key.get("key").unwrap_or(&Value::Null), old)?;
        }
        for (key_id, (key, validity)) in own.keys.into_values().flatten() {
            self.keep(&server, key_id, key, validity);
        }
        Ok(())
    }

    fn add_key(
        &mut self,
        server: &ServerName,
        key_id: &str,
        key: &Value,
        validity: KeyValidity,
    ) -> Result<(), KeyProblem> {
        let key_id =
            KeyId::parse(key_id).map_err(|source| KeyProblem::KeyId { text: key_id.to_owned(), source })?;
        if !key_id.is_ed25519() {
            return Ok(());
        }
        let Some(text) = key.as_str() else {
            return Err(KeyProblem::NotAString { server: server.to_owned(), key_id });
        };
        match VerifyingKey::from_base64(text) {
            Ok(key) => {
                self.keep(server, key_id, key, validity);
                Ok(())
            }
            Err(source) => Err(KeyProblem::Key { server: server.to_owned(), key_id, source }),
        }
    }

    /// Of several documents of one server the one that is valid longest speaks; an expired key stays expired.
    fn keep(&mut self, server: &ServerName, key_id: KeyId, key: VerifyingKey, validity: KeyValidity) {
        let keys = self.keys.entry(server.to_owned()).or_default();
        let known = keys.get(&key_id).map(|(_, validity)| *validity);
        let outdated = match (known, validity) {
            (Some(KeyValidity::Old { .. }), KeyValidity::Current { .. }) => true,
            (
                Some(KeyValidity::Current { valid_until_ts: known }),
                KeyValidity::Current { valid_until_ts },
            ) => known > valid_until_ts,
            _ => false,
        };
        if !outdated {
            keys.insert(key_id, (key, validity));
        }
    }
}

fn server_name(text: &str) -> Result<OwnedServerName, KeyProblem> {
    ServerName::parse(text).map_err(|_| KeyProblem::ServerName(text.to_owned()))
}

fn check_signed(document: &Map<String, Value>, server: &ServerName, own: &KeyFile) -> Result<(), KeyProblem> {
    let refuse = |reason: String| KeyProblem::NotSigned { server: server.to_owned(), reason };
    let text = Value::Object(document.clone()).to_string();
    let parsed = parse(text.as_bytes(), &Limits::RELAXED).map_err(|error| refuse(error.to_string()))?;
    let CanonicalValue::Object(object) = &parsed else { return Err(KeyProblem::NotKeys) };
    verify_json(object, server, own).map_err(|error| refuse(crate::failure::chain(&error)))
}
