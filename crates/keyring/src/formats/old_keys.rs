//! The little of YAML in which configurations name old keys.

use std::collections::BTreeMap;

use freehold_signing::{InvalidKey, KeyId, VerifyingKey};
use thiserror::Error;

use crate::OldKey;

/// The longest file that is read, in bytes.
const BYTES_MAX: usize = 1024 * 1024;

/// Why old signing keys cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OldKeysError {
    /// Longer than 1 MiB.
    #[error("the configuration has {bytes} bytes, more than {BYTES_MAX}")]
    TooLong {
        /// Length of the file.
        bytes: usize,
    },
    /// There is neither the section nor a key.
    #[error("there is no `{section}` section")]
    NoSection {
        /// The name of the section.
        section: &'static str,
    },
    /// A line is wrong.
    #[error("line {line} of the configuration: {problem}")]
    Line {
        /// The number of the line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: OldKeyProblem,
    },
}

/// What is wrong with a line about an old signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OldKeyProblem {
    /// Not the part of YAML this reader knows.
    #[error("not understood")]
    NotUnderstood,
    /// Not the name of an Ed25519 key, or none.
    #[error("not the name of an ed25519 key")]
    KeyId,
    /// A field that has no meaning there, or stands there twice.
    #[error("a field that is not expected here, or stands here twice")]
    Field,
    /// The key is missing.
    #[error("the key is missing")]
    NoKey,
    /// The key is no public key.
    #[error("the key is no public key: {0}")]
    Key(#[from] InvalidKey),
    /// The time of expiry is missing or no whole number of milliseconds.
    #[error("the time of expiry is missing or no whole number")]
    ExpiredTs,
    /// The identifier stands there already.
    #[error("the key id stands there twice")]
    KeyIdTwice,
}

/// What is in no key id that anybody uses, and would have to be escaped when it is written again.
const UNWRITABLE: [char; 4] = ['"', '\'', '\\', '#'];

/// A line that is neither empty nor a comment.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    number: usize,
    pub(super) indent: usize,
    pub(super) text: &'a str,
}

impl<'a> Line<'a> {
    pub(super) fn all(text: &'a str) -> Result<Vec<Self>, OldKeysError> {
        if text.len() > BYTES_MAX {
            return Err(OldKeysError::TooLong { bytes: text.len() });
        }
        Ok(text.lines().enumerate().filter_map(|(index, raw)| Self::new(index, raw)).collect())
    }

    fn new(index: usize, raw: &'a str) -> Option<Self> {
        let code = match raw.split_once(" #") {
            Some((code, _)) => code,
            None => raw,
        };
        let text = code.trim();
        let indent = code.len() - code.trim_start().len();
        (!text.is_empty() && !text.starts_with('#')).then_some(Self { number: index + 1, indent, text })
    }

    /// What stands behind `section:`, if that is the line.
    pub(super) fn heading(&self, section: &str) -> Option<&'a str> {
        self.text.strip_prefix(section)?.strip_prefix(':').map(str::trim)
    }

    pub(super) fn error(&self, problem: OldKeyProblem) -> OldKeysError {
        OldKeysError::Line { line: self.number, problem }
    }

    /// The name of an Ed25519 key on this line.
    pub(super) fn key_id(&self, name: &str) -> Result<KeyId, OldKeysError> {
        match KeyId::parse(name) {
            Ok(key_id) if key_id.is_ed25519() && !name.contains(UNWRITABLE) => Ok(key_id),
            _ => Err(self.error(OldKeyProblem::KeyId)),
        }
    }
}

/// The fields of one entry.
pub(super) struct Fields<'a> {
    expected: &'static [&'static str],
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(expected: &'static [&'static str]) -> Self {
        Self { expected, values: BTreeMap::new() }
    }

    /// Reads `name: value`.
    pub(super) fn read(&mut self, line: &Line<'_>, field: &'a str) -> Result<(), OldKeysError> {
        let (name, value) = field.split_once(':').ok_or(line.error(OldKeyProblem::NotUnderstood))?;
        let name = unquote(name);
        if !self.expected.contains(&name) || self.values.insert(name, unquote(value)).is_some() {
            return Err(line.error(OldKeyProblem::Field));
        }
        Ok(())
    }

    /// Reads `{ name: value, name: value }`.
    pub(super) fn read_braces(&mut self, line: &Line<'_>, text: &'a str) -> Result<(), OldKeysError> {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let inner = inner.ok_or(line.error(OldKeyProblem::NotUnderstood))?;
        let mut members = inner.split(',').map(str::trim).filter(|member| !member.is_empty());
        members.try_for_each(|member| self.read(line, member))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).copied()
    }

    pub(super) fn key(&self, line: &Line<'_>, name: &str) -> Result<VerifyingKey, OldKeysError> {
        let key = self.get(name).ok_or(line.error(OldKeyProblem::NoKey))?;
        VerifyingKey::from_base64(key).map_err(|error| line.error(error.into()))
    }

    /// A time in Unix milliseconds.
    pub(super) fn time(&self, line: &Line<'_>, name: &str) -> Result<i64, OldKeysError> {
        let time = self.get(name).and_then(|text| text.parse().ok());
        time.ok_or(line.error(OldKeyProblem::ExpiredTs))
    }
}

/// Refuses a second key of one name.
pub(super) fn check_new<'a>(
    line: &Line<'_>,
    mut known: impl Iterator<Item = &'a OldKey>,
    key_id: &KeyId,
) -> Result<(), OldKeysError> {
    if known.any(|known| known.key_id == *key_id) {
        return Err(line.error(OldKeyProblem::KeyIdTwice));
    }
    Ok(())
}

fn unquote(text: &str) -> &str {
    let text = text.trim();
    let inside = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}
