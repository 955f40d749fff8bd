//! `old_private_keys` of Dendrite's configuration: keys no longer in use.
//!
//! ```yaml
//! global:
//!   old_private_keys:
//!   - private_key: old_matrix_key.pem
//!     expired_at: 1601024554498
//!   - public_key: mn59Kxfdq9VziYHSBzI7+EDPDcBS2Xl7jeUdiiQcOnM=
//!     key_id: ed25519:mykeyid
//!     expired_at: 1601024554498
//! ```
//!
//! Read inside a whole `dendrite.yaml` or on its own. An entry has the public key, or names a file
//! with the secret one, which the caller reads with [`pem`](super::pem); its key is imported as an
//! old one first, and its secret after that. As in [`synapse_config`](super::synapse_config), what
//! is not understood is refused with its line.
//!
//! Dendrite's virtual hosts sign with the key of the first one, whatever file they name
//! (<https://github.com/matrix-org/dendrite/blob/06c319d580598479ab812b82e68b4c2d314164df/setup/config/config.go>):
//! only one tenant can take that key over, the others publish it as old and get a new one.

use super::old_keys::{Fields, Line, OldKeyProblem, OldKeysError, check_new};
use crate::OldKey;

/// An entry of `old_private_keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The key is in a file.
    File {
        /// Where, as the configuration says: relative to where the server was started.
        path: String,
        /// When the server stopped to use the key, in Unix milliseconds.
        expired_ts: i64,
    },
    /// The public key itself.
    Public(OldKey),
}

/// Reads the old keys of a configuration file, or of its `old_private_keys` section alone.
///
/// A configuration with an empty section has no old keys. One without the section is refused, so
/// that the wrong file is not taken for one without old keys.
///
/// # Errors
///
/// [`OldKeysError`], with the number of the line, counted from 1.
pub fn parse(text: &str) -> Result<Vec<Entry>, OldKeysError> {
    let mut lines = section(Line::all(text)?)?.into_iter().peekable();
    let mut entries: Vec<Entry> = Vec::new();
    while let Some(line) = lines.next() {
        let first = line.text.strip_prefix('-').ok_or(line.error(OldKeyProblem::NotUnderstood))?.trim();
        let mut fields = Fields::new(&["private_key", "public_key", "key_id", "expired_at"]);
        match first {
            "" => {}
            braces if braces.starts_with('{') => fields.read_braces(&line, braces)?,
            field => fields.read(&line, field)?,
        }
        while let Some(child) = lines.next_if(|child| child.indent > line.indent) {
            fields.read(&child, child.text)?;
        }
        let entry = finish(&line, &fields)?;
        if let Entry::Public(key) = &entry {
            let known = entries.iter().filter_map(|entry| match entry {
                Entry::Public(known) => Some(known),
                Entry::File { .. } => None,
            });
            check_new(&line, known, &key.key_id)?;
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Writes the section, or nothing when there are no old keys.
pub fn write<'a>(keys: impl IntoIterator<Item = &'a OldKey>) -> String {
    let mut text = String::new();
    for OldKey { key_id, key, expired_ts } in keys {
        if text.is_empty() {
            text.push_str("  old_private_keys:\n");
        }
        let key = key.to_base64();
        text.push_str(&format!(
            "  - public_key: {key}\n    key_id: \"{key_id}\"\n    expired_at: {expired_ts}\n"
        ));
    }
    text
}

const SECTION: &str = "old_private_keys";

/// The lines below the heading, or all when there is no heading. The dashes of a list may stand
/// right below the heading's first letter.
fn section(lines: Vec<Line<'_>>) -> Result<Vec<Line<'_>>, OldKeysError> {
    let Some(start) = lines.iter().position(|line| line.heading(SECTION).is_some()) else {
        let is_list = lines.first().is_some_and(|first| first.text.starts_with('-'));
        return if is_list { Ok(lines) } else { Err(OldKeysError::NoSection { section: SECTION }) };
    };
    let mut rest = lines.into_iter().skip(start);
    let Some(head) = rest.next() else { return Ok(Vec::new()) };
    match head.heading(SECTION) {
        Some("") => {}
        Some("[]" | "null" | "~") => return Ok(Vec::new()),
        _ => return Err(head.error(OldKeyProblem::NotUnderstood)),
    }
    let is_below = |line: &Line<'_>| {
        line.indent > head.indent || line.indent == head.indent && line.text.starts_with('-')
    };
    Ok(rest.take_while(is_below).collect())
}

fn finish(line: &Line<'_>, fields: &Fields<'_>) -> Result<Entry, OldKeysError> {
    let expired_ts = fields.time(line, "expired_at")?;
    let Some(path) = fields.get("private_key") else {
        let key = fields.key(line, "public_key")?;
        let key_id = line.key_id(fields.get("key_id").unwrap_or_default())?;
        return Ok(Entry::Public(OldKey { key_id, key, expired_ts }));
    };
    // Dendrite would take the file and say nothing; whoever wrote both may have meant the other.
    if fields.get("public_key").or(fields.get("key_id")).is_some() {
        return Err(line.error(OldKeyProblem::Field));
    }
    Ok(Entry::File { path: path.to_owned(), expired_ts })
}

#[cfg(test)]
mod tests {
    use freehold_signing::{InvalidKey, KeyId, VerifyingKey};

    use super::*;

    const KEY: &str = "Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw";

    fn old(version: &str, expired_ts: i64) -> OldKey {
        let key = VerifyingKey::from_base64(KEY).unwrap();
        OldKey { key_id: KeyId::ed25519(version).unwrap(), key, expired_ts }
    }

    #[test]
    fn keys_and_files_are_read_in_every_layout() {
        let file = Entry::File { path: "old_matrix_key.pem".into(), expired_ts: 1_601_024_554_498 };
        let expected = vec![file, Entry::Public(old("mykeyid", 5))];
        for text in [
            // As in the sample configuration, with what stands around it.
            format!(
                "version: 2\nglobal:\n  private_key: matrix_key.pem\n  old_private_keys:\n  # If the file is \
                 there:\n  - private_key: old_matrix_key.pem\n    expired_at: 1601024554498\n  - public_key: \
                 {KEY}=\n    key_id: ed25519:mykeyid # by hand\n    expired_at: 5\n  key_validity_period: \
                 168h0m0s\n"
            ),
            format!(
                "old_private_keys:\n    -\n        expired_at: 1601024554498\n        private_key: \
                 'old_matrix_key.pem'\n    - {{ public_key: \"{KEY}\", key_id: \"ed25519:mykeyid\", expired_at: 5 \
                 }}\n"
            ),
            format!(
                "- private_key: old_matrix_key.pem\n  expired_at: 1601024554498\n- key_id: \
                 ed25519:mykeyid\n  expired_at: 5\n  public_key: {KEY}"
            ),
        ] {
            assert_eq!(parse(&text), Ok(expected.clone()), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let keys = [old("a", 0), old("b_2", i64::MAX)];
        let read = parse(&write(&keys)).unwrap();
        assert_eq!(read, keys.map(Entry::Public));
        assert_eq!(write(&[]), "");
    }

    #[test]
    fn an_empty_section_has_no_keys_and_a_missing_one_is_refused() {
        for text in ["global:\n  old_private_keys:\n\n  key_validity_period: 1h\n", "old_private_keys: []"] {
            assert_eq!(parse(text), Ok(vec![]), "{text}");
        }
        for text in ["", "global:\n  private_key: matrix_key.pem\n"] {
            assert_eq!(parse(text), Err(OldKeysError::NoSection { section: SECTION }), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let entry = |inner: &str| format!("old_private_keys:\n- {inner}\n");
        for (text, line, problem) in [
            ("old_private_keys: x\n".into(), 1, OldKeyProblem::NotUnderstood),
            ("old_private_keys:\n  a: b\n".into(), 2, OldKeyProblem::NotUnderstood),
            (entry("x"), 2, OldKeyProblem::NotUnderstood),
            (entry("{}"), 2, OldKeyProblem::ExpiredTs),
            (entry("{ expired_at: soon }"), 2, OldKeyProblem::ExpiredTs),
            (entry("expired_at: 5"), 2, OldKeyProblem::NoKey),
            (entry("expired_at: 5\n  expired_at: 5"), 3, OldKeyProblem::Field),
            (entry("seed: x"), 2, OldKeyProblem::Field),
            (entry("{ public_key: AAAA, expired_at: 5 }"), 2, OldKeyProblem::Key(InvalidKey::Base64)),
            (entry(&format!("{{ public_key: {KEY}, expired_at: 5 }}")), 2, OldKeyProblem::KeyId),
            (entry("{ private_key: a.pem, key_id: ed25519:a, expired_at: 5 }"), 2, OldKeyProblem::Field),
            (
                entry(&format!(
                    "{{ public_key: {KEY}, key_id: ed25519:a, expired_at: 5 }}\n- {{ public_key: {KEY}, key_id: \
                     ed25519:a, expired_at: 6 }}"
                )),
                3,
                OldKeyProblem::KeyIdTwice,
            ),
        ] {
            assert_eq!(parse(&text), Err(OldKeysError::Line { line, problem }), "{text}");
        }
    }
}
