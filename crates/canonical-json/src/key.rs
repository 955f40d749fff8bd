//! The order of keys: by Unicode code point, which is the byte order of UTF-8.

use std::cmp::Ordering;

use crate::{
    lexer::{Lexer, Str, word_at},
    string::unescape,
};

/// A key of a text together with its first eight bytes, on which nearly every comparison ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// The first bytes of what the key stands for, big-endian, padded with zeros: where two of
    /// these differ, they differ as the keys do.
    prefix: u64,
    token: Str,
}

impl Key {
    #[inline]
    pub(crate) fn new(lexer: &Lexer<'_>, token: Str) -> Self {
        let prefix = if token.escaped {
            prefix_of(unescape(lexer.slice(token.start, token.end)).as_bytes())
        } else {
            plain_word(lexer, &token, 0)
        };
        Self { prefix, token }
    }

    /// Where the key starts in its text, after the quotation mark.
    #[inline]
    pub(crate) fn start(&self) -> usize {
        self.token.start
    }

    /// How two keys of the same text are ordered.
    #[inline]
    pub(crate) fn compare(&self, other: &Self, lexer: &Lexer<'_>) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| self.compare_whole(other, lexer))
    }

    fn compare_whole(&self, other: &Self, lexer: &Lexer<'_>) -> Ordering {
        if self.token.escaped || other.token.escaped {
            let [ours, theirs] = [self, other].map(|key| lexer.slice(key.token.start, key.token.end));
            return unescape(ours).cmp(&unescape(theirs));
        }
        // A key without escapes has no zero byte, so that equal words of padding mean that both
        // have ended.
        let longest = self.token.len().max(other.token.len());
        for skipped in (8..longest).step_by(8) {
            let [ours, theirs] = [self, other].map(|key| plain_word(lexer, &key.token, skipped));
            if ours != theirs {
                return ours.cmp(&theirs);
            }
        }
        Ordering::Equal
    }
}

/// Eight bytes of a key without escapes, padded with zeros where it ends.
#[inline]
fn plain_word(lexer: &Lexer<'_>, token: &Str, skipped: usize) -> u64 {
    let length = token.len().saturating_sub(skipped);
    let start = token.start.wrapping_add(skipped);
    match (length, word_at(lexer.bytes(), start)) {
        (0, _) => 0,
        (1..8, Some(word)) => word.swap_bytes() & (u64::MAX << (64 - 8 * length)),
        (_, Some(word)) => word.swap_bytes(),
        (_, None) => prefix_of(lexer.slice(start, token.end).as_bytes()),
    }
}

/// The first eight bytes, padded with zeros.
fn prefix_of(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .copied()
        .chain(std::iter::repeat(0))
        .take(8)
        .fold(0, |prefix, byte| (prefix << 8) | u64::from(byte))
}
