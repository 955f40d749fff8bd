//! `old_signing_keys` of Synapse's configuration: public keys no longer in use.
//!
//! ```yaml
//! old_signing_keys:
//!   "ed25519:auto": { key: "Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw", expired_ts: 1576767829750 }
//!   ed25519:a_abcd:
//!     key: VGhpcyBpcyBub3QgYSBrZXksIGJ1dCB0ZXh0ISEhISE
//!     expired_ts: 1532645052628
//! ```
//!
//! Both layouts are read, inside a whole `homeserver.yaml` or on their own (the one-line layout is
//! what Synapse's `export_signing_key` prints). This is the part of YAML the setting needs and no
//! more; what is not understood is refused with its line.

use freehold_signing::{InvalidKey, InvalidKeyId, KeyId, VerifyingKey};
use thiserror::Error;

/// A public key a server used to sign with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldKey {
    /// The identifier it was published under.
    pub key_id: KeyId,
    /// The key.
    pub key: VerifyingKey,
    /// When the server stopped to use it, in Unix milliseconds.
    pub expired_ts: i64,
}

/// Reads the old keys of a configuration file, or of its `old_signing_keys` section alone.
///
/// A configuration with an empty section has no old keys. One without the section is refused, so
/// that the wrong file is not taken for one without old keys.
///
/// # Errors
///
/// [`OldKeysError`], with the number of the line, counted from 1.
pub fn parse(text: &str) -> Result<Vec<OldKey>, OldKeysError> {
    if text.len() > BYTES_MAX {
        return Err(OldKeysError::TooLong { bytes: text.len() });
    }
    let mut lines = section(text)?.into_iter().peekable();
    let mut keys: Vec<OldKey> = Vec::new();
    while let Some(line) = lines.next() {
        let mut fields = Fields::default();
        let (key_id, rest) = line.split_key()?;
        if rest.is_empty() {
            while let Some(child) = lines.next_if(|child| child.indent > line.indent) {
                fields.read(&child, child.text)?;
            }
        } else {
            let inner = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let inner = inner.ok_or(line.error(LineProblem::NotUnderstood))?;
            for member in inner.split(',').map(str::trim).filter(|member| !member.is_empty()) {
                fields.read(&line, member)?;
            }
        }
        let key = fields.finish(&line, key_id)?;
        if keys.iter().any(|known| known.key_id == key.key_id) {
            return Err(line.error(LineProblem::KeyIdTwice));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Writes the section, or nothing when there are no old keys.
pub fn write<'a>(keys: impl IntoIterator<Item = &'a OldKey>) -> String {
    let mut text = String::new();
    for OldKey { key_id, key, expired_ts } in keys {
        if text.is_empty() {
            text.push_str(SECTION);
            text.push('\n');
        }
        let key = key.to_base64();
        text.push_str(&format!("  \"{key_id}\": {{ key: \"{key}\", expired_ts: {expired_ts} }}\n"));
    }
    text
}

/// The longest file that is read, in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;

/// Why old signing keys cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OldKeysError {
    /// Longer than [`BYTES_MAX`].
    #[error("the configuration has {bytes} bytes, more than {BYTES_MAX}")]
    TooLong {
        /// Length of the file.
        bytes: usize,
    },
    /// There is neither the section nor a key.
    #[error("there is no `old_signing_keys` section")]
    NoSection,
    /// A line is wrong.
    #[error("line {line} of the configuration: {problem}")]
    Line {
        /// The number of the line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: LineProblem,
    },
}

/// What is wrong with a line about an old signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// Not the part of YAML this reader knows.
    #[error("not understood")]
    NotUnderstood,
    /// Not the name of an Ed25519 key.
    #[error("not the name of an ed25519 key")]
    KeyId,
    /// A field other than `key` and `expired_ts`, or one of them twice.
    #[error("expected `key` and `expired_ts`, once each")]
    Field,
    /// `key` is missing.
    #[error("`key` is missing")]
    NoKey,
    /// `key` is no public key.
    #[error("`key` is no public key: {0}")]
    Key(#[from] InvalidKey),
    /// `expired_ts` is missing or no whole number of milliseconds.
    #[error("`expired_ts` is missing or no whole number")]
    ExpiredTs,
    /// The identifier stands there already.
    #[error("the key id stands there twice")]
    KeyIdTwice,
}

/// What is in no key id that anybody uses, and would have to be escaped when it is written again.
const UNWRITABLE: [char; 4] = ['"', '\'', '\\', '#'];

const SECTION: &str = "old_signing_keys:";

#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn new(index: usize, raw: &'a str) -> Option<Self> {
        let code = match raw.split_once(" #") {
            Some((code, _)) => code,
            None => raw,
        };
        let text = code.trim();
        let indent = code.len() - code.trim_start().len();
        (!text.is_empty() && !text.starts_with('#')).then_some(Self { number: index + 1, indent, text })
    }

    fn error(&self, problem: LineProblem) -> OldKeysError {
        OldKeysError::Line { line: self.number, problem }
    }

    /// Splits `"ed25519:a": rest` and `ed25519:a: rest`.
    fn split_key(&self) -> Result<(KeyId, &'a str), OldKeysError> {
        let quoted = |quote| {
            let (name, rest) = self.text.strip_prefix(quote)?.split_once(quote)?;
            Some((name, rest.trim_start().strip_prefix(':')?.trim()))
        };
        let plain = || match self.text.split_once(": ") {
            Some((name, rest)) => Some((name, rest.trim())),
            None => Some((self.text.strip_suffix(':')?, "")),
        };
        let found = quoted('"').or_else(|| quoted('\'')).or_else(plain);
        let (name, rest) = found.ok_or(self.error(LineProblem::NotUnderstood))?;
        let key_id: Result<KeyId, InvalidKeyId> = KeyId::parse(name);
        match key_id {
            Ok(key_id) if key_id.is_ed25519() && !name.contains(UNWRITABLE) => Ok((key_id, rest)),
            _ => Err(self.error(LineProblem::KeyId)),
        }
    }
}

/// The lines with keys: those below the heading, or all when there is no heading.
fn section(text: &str) -> Result<Vec<Line<'_>>, OldKeysError> {
    let mut lines = text.lines().enumerate().filter_map(|(index, raw)| Line::new(index, raw)).peekable();
    let all: Vec<_> = lines.clone().collect();
    let Some(heading) = lines.by_ref().find(|line| line.indent == 0 && line.text.starts_with(SECTION)) else {
        let first = all.first().ok_or(OldKeysError::NoSection)?;
        return first.split_key().map(|_| all).map_err(|_| OldKeysError::NoSection);
    };
    match heading.text.strip_prefix(SECTION).map(str::trim) {
        Some("") => Ok(lines.take_while(|line| line.indent > 0).collect()),
        Some("{}" | "null" | "~") => Ok(Vec::new()),
        _ => Err(heading.error(LineProblem::NotUnderstood)),
    }
}

#[derive(Default)]
struct Fields<'a> {
    key: Option<&'a str>,
    expired_ts: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, line: &Line<'_>, member: &'a str) -> Result<(), OldKeysError> {
        let (name, value) = member.split_once(':').ok_or(line.error(LineProblem::NotUnderstood))?;
        let field = match unquote(name) {
            "key" => &mut self.key,
            "expired_ts" => &mut self.expired_ts,
            _ => return Err(line.error(LineProblem::Field)),
        };
        match field.replace(unquote(value)) {
            None => Ok(()),
            Some(_) => Err(line.error(LineProblem::Field)),
        }
    }

    fn finish(self, line: &Line<'_>, key_id: KeyId) -> Result<OldKey, OldKeysError> {
        let key = self.key.ok_or(line.error(LineProblem::NoKey))?;
        let key = VerifyingKey::from_base64(key).map_err(|error| line.error(error.into()))?;
        let expired_ts = self.expired_ts.and_then(|text| text.parse().ok());
        let expired_ts = expired_ts.ok_or(line.error(LineProblem::ExpiredTs))?;
        Ok(OldKey { key_id, key, expired_ts })
    }
}

fn unquote(text: &str) -> &str {
    let text = text.trim();
    let inside = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw";

    #[test]
    fn both_layouts_are_read_with_and_without_the_configuration_around_them() {
        for text in [
            format!("  \"ed25519:auto\": {{ key: \"{KEY}\", expired_ts: 1576767829750 }}\n"),
            format!("ed25519:auto: {{expired_ts: 1576767829750, key: {KEY}}}"),
            format!(
                "old_signing_keys:\n  'ed25519:auto':\n    key: '{KEY}'\n    expired_ts: 1576767829750\n"
            ),
            format!(
                "server_name: \"example.org\" # ours\nold_signing_keys:\n\n  # left\n  ed25519:auto:\n    \
                 expired_ts: 1576767829750\n    key: {KEY}\nreport_stats: false\n"
            ),
        ] {
            let keys = parse(&text).unwrap();
            assert_eq!(keys.len(), 1, "{text}");
            assert_eq!(keys[0].key_id.as_str(), "ed25519:auto");
            assert_eq!(keys[0].key.to_base64(), KEY);
            assert_eq!(keys[0].expired_ts, 1_576_767_829_750);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let old = |version: &str, expired_ts| OldKey {
            key_id: KeyId::ed25519(version).unwrap(),
            key: VerifyingKey::from_base64(KEY).unwrap(),
            expired_ts,
        };
        let keys = vec![old("a", 0), old("b_2", i64::MAX)];
        assert_eq!(parse(&write(&keys)).unwrap(), keys);
        assert_eq!(write(&[]), "");
    }

    #[test]
    fn an_empty_section_has_no_keys_and_a_missing_one_is_refused() {
        assert_eq!(parse("old_signing_keys: {}\n"), Ok(vec![]));
        assert_eq!(parse("a: b\nold_signing_keys:\nc: d\n"), Ok(vec![]));
        assert_eq!(parse(""), Err(OldKeysError::NoSection));
        assert_eq!(parse("server_name: example.org\n"), Err(OldKeysError::NoSection));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let entry = |inner: &str| format!("old_signing_keys:\n  ed25519:a: {inner}\n");
        for (text, line, problem) in [
            ("old_signing_keys: [1]\n".into(), 1, LineProblem::NotUnderstood),
            ("old_signing_keys:\n  - a\n".into(), 2, LineProblem::NotUnderstood),
            ("old_signing_keys:\n  a: {}\n".into(), 2, LineProblem::KeyId),
            (entry("x"), 2, LineProblem::NotUnderstood),
            (entry("{}"), 2, LineProblem::NoKey),
            (entry(&format!("{{ key: {KEY} }}")), 2, LineProblem::ExpiredTs),
            (entry(&format!("{{ key: {KEY}, expired_ts: soon }}")), 2, LineProblem::ExpiredTs),
            (entry("{ key: AAAA, expired_ts: 1 }"), 2, LineProblem::Key(InvalidKey::Base64)),
            (entry("{ seed: x }"), 2, LineProblem::Field),
            (entry(&format!("{{ key: {KEY}, key: {KEY} }}")), 2, LineProblem::Field),
            (
                entry(&format!("{{key: {KEY}, expired_ts: 1}}\n  ed25519:a: {{key: {KEY}, expired_ts: 2}}")),
                3,
                LineProblem::KeyIdTwice,
            ),
        ] {
            assert_eq!(parse(&text), Err(OldKeysError::Line { line, problem }), "{text}");
        }
    }
}
