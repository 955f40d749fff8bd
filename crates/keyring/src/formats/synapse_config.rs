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

use freehold_signing::KeyId;

use super::old_keys::{Fields, Line, OldKeyProblem, OldKeysError, check_new};
use crate::OldKey;

/// Reads the old keys of a configuration file, or of its `old_signing_keys` section alone.
///
/// A configuration with an empty section has no old keys. One without the section is refused, so
/// that the wrong file is not taken for one without old keys.
///
/// # Errors
///
/// [`OldKeysError`], with the number of the line, counted from 1.
pub fn parse(text: &str) -> Result<Vec<OldKey>, OldKeysError> {
    let mut lines = section(Line::all(text)?)?.into_iter().peekable();
    let mut keys: Vec<OldKey> = Vec::new();
    while let Some(line) = lines.next() {
        let mut fields = Fields::new(&["key", "expired_ts"]);
        let (key_id, rest) = split_key(&line)?;
        if rest.is_empty() {
            while let Some(child) = lines.next_if(|child| child.indent > line.indent) {
                fields.read(&child, child.text)?;
            }
        } else {
            fields.read_braces(&line, rest)?;
        }
        let key = fields.key(&line, "key")?;
        check_new(&line, keys.iter(), &key_id)?;
        keys.push(OldKey { key_id, key, expired_ts: fields.time(&line, "expired_ts")? });
    }
    Ok(keys)
}

/// Writes the section, or nothing when there are no old keys.
pub fn write<'a>(keys: impl IntoIterator<Item = &'a OldKey>) -> String {
    let mut text = String::new();
    for OldKey { key_id, key, expired_ts } in keys {
        if text.is_empty() {
            text.push_str("old_signing_keys:\n");
        }
        let key = key.to_base64();
        text.push_str(&format!("  \"{key_id}\": {{ key: \"{key}\", expired_ts: {expired_ts} }}\n"));
    }
    text
}

const SECTION: &str = "old_signing_keys";

/// Splits `"ed25519:a": rest` and `ed25519:a: rest`.
fn split_key<'a>(line: &Line<'a>) -> Result<(KeyId, &'a str), OldKeysError> {
    let quoted = |quote| {
        let (name, rest) = line.text.strip_prefix(quote)?.split_once(quote)?;
        Some((name, rest.trim_start().strip_prefix(':')?.trim()))
    };
    let plain = || match line.text.split_once(": ") {
        Some((name, rest)) => Some((name, rest.trim())),
        None => Some((line.text.strip_suffix(':')?, "")),
    };
    let found = quoted('"').or_else(|| quoted('\'')).or_else(plain);
    let (name, rest) = found.ok_or(line.error(OldKeyProblem::NotUnderstood))?;
    Ok((line.key_id(name)?, rest))
}

/// The lines with keys: those below the heading, or all when there is no heading.
fn section(lines: Vec<Line<'_>>) -> Result<Vec<Line<'_>>, OldKeysError> {
    let is_heading = |line: &Line<'_>| line.indent == 0 && line.heading(SECTION).is_some();
    let Some(start) = lines.iter().position(is_heading) else {
        let is_key = lines.first().is_some_and(|first| split_key(first).is_ok());
        return if is_key { Ok(lines) } else { Err(OldKeysError::NoSection { section: SECTION }) };
    };
    let mut rest = lines.into_iter().skip(start);
    let Some(head) = rest.next() else { return Ok(Vec::new()) };
    match head.heading(SECTION) {
        Some("") => Ok(rest.take_while(|line| line.indent > 0).collect()),
        Some("{}" | "null" | "~") => Ok(Vec::new()),
        _ => Err(head.error(OldKeyProblem::NotUnderstood)),
    }
}

#[cfg(test)]
mod tests {
    use freehold_signing::{InvalidKey, VerifyingKey};

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
        assert_eq!(parse(""), Err(OldKeysError::NoSection { section: SECTION }));
        assert_eq!(parse("server_name: example.org\n"), Err(OldKeysError::NoSection { section: SECTION }));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let entry = |inner: &str| format!("old_signing_keys:\n  ed25519:a: {inner}\n");
        for (text, line, problem) in [
            ("old_signing_keys: [1]\n".into(), 1, OldKeyProblem::NotUnderstood),
            ("old_signing_keys:\n  - a\n".into(), 2, OldKeyProblem::NotUnderstood),
            ("old_signing_keys:\n  a: {}\n".into(), 2, OldKeyProblem::KeyId),
            (entry("x"), 2, OldKeyProblem::NotUnderstood),
            (entry("{}"), 2, OldKeyProblem::NoKey),
            (entry(&format!("{{ key: {KEY} }}")), 2, OldKeyProblem::ExpiredTs),
            (entry(&format!("{{ key: {KEY}, expired_ts: soon }}")), 2, OldKeyProblem::ExpiredTs),
            (entry("{ key: AAAA, expired_ts: 1 }"), 2, OldKeyProblem::Key(InvalidKey::Base64)),
            (entry("{ seed: x }"), 2, OldKeyProblem::Field),
            (entry(&format!("{{ key: {KEY}, key: {KEY} }}")), 2, OldKeyProblem::Field),
            (
                entry(&format!("{{key: {KEY}, expired_ts: 1}}\n  ed25519:a: {{key: {KEY}, expired_ts: 2}}")),
                3,
                OldKeyProblem::KeyIdTwice,
            ),
        ] {
            assert_eq!(parse(&text), Err(OldKeysError::Line { line, problem }), "{text}");
        }
    }
}
