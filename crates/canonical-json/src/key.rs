//! The order of keys: by Unicode code point, which is the byte order of UTF-8.

use std::{borrow::Cow, cmp::Ordering};

use crate::{
    lexer::{Form, Lexer, Str, word_at},
    string::unescape,
};

/// A key of a text together with its first eight bytes, on which nearly every comparison ends.
///
/// Made of words only, so that it stays in registers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Key {
    /// The first bytes of what the key stands for, big-endian, padded with zeros: where two of
    /// these differ, they differ as the keys do.
    prefix: u64,
    /// Where the key starts in its text, after the quotation mark.
    start: usize,
    /// Its length in bytes times two, plus one if it has escapes.
    length: usize,
}

impl Key {
    #[inline(always)]
    pub(crate) fn new(lexer: &Lexer<'_>, token: &Str) -> Self {
        let &Str { start, end, form } = token;
        let length = end.wrapping_sub(start);
        if form == Form::Plain {
            let prefix = plain_word(lexer, start, length);
            return Self { prefix, start, length: length << 1 };
        }
        Self { prefix: escaped_prefix(lexer, start, end), start, length: (length << 1) | 1 }
    }

    /// Where the key starts in its text, after the quotation mark.
    #[inline]
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    #[inline]
    fn len(&self) -> usize {
        self.length >> 1
    }

    /// How two keys of the same text are ordered.
    #[inline]
    pub(crate) fn compare(&self, other: &Self, lexer: &Lexer<'_>) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| self.compare_rest(other, lexer))
    }

    /// How two keys are ordered whose first eight bytes are the same.
    pub(crate) fn compare_rest(&self, other: &Self, lexer: &Lexer<'_>) -> Ordering {
        if (self.length | other.length) & 1 == 1 {
            return self.value(lexer).cmp(&other.value(lexer));
        }
        // A key without escapes has no zero byte, so that equal words of padding mean that both
        // have ended.
        let longest = self.len().max(other.len());
        for skipped in (8..longest).step_by(8) {
            let (ours, theirs) = (self.word(lexer, skipped), other.word(lexer, skipped));
            if ours != theirs {
                return ours.cmp(&theirs);
            }
        }
        Ordering::Equal
    }

    /// How many bytes two keys have in common at their start; 0 if one has escapes.
    pub(crate) fn common(&self, other: &Self, lexer: &Lexer<'_>) -> usize {
        if (self.length | other.length) & 1 == 1 {
            return 0;
        }
        let shortest = self.len().min(other.len());
        for skipped in (0..shortest).step_by(8) {
            let differ = self.word(lexer, skipped) ^ other.word(lexer, skipped);
            if differ != 0 {
                return skipped.wrapping_add((differ.leading_zeros() >> 3) as usize).min(shortest);
            }
        }
        shortest
    }

    /// Eight bytes of what the key stands for after the first `common`, padded with zeros.
    pub(crate) fn word_after(&self, common: usize, lexer: &Lexer<'_>) -> u64 {
        if common == 0 { self.prefix } else { self.word(lexer, common) }
    }

    /// Eight bytes of a key without escapes.
    #[inline]
    fn word(&self, lexer: &Lexer<'_>, skipped: usize) -> u64 {
        let start = self.start.wrapping_add(skipped);
        plain_word(lexer, start, self.len().saturating_sub(skipped))
    }

    fn value<'a>(&self, lexer: &Lexer<'a>) -> Cow<'a, str> {
        unescape(lexer.slice(self.start, self.start.wrapping_add(self.len())))
    }
}

/// The first eight bytes of a text without escapes, padded with zeros where it ends.
#[inline]
fn plain_word(lexer: &Lexer<'_>, start: usize, length: usize) -> u64 {
    let Some(word) = word_at(lexer.bytes(), start) else {
        return prefix_of(lexer.slice(start, start.wrapping_add(length)).as_bytes());
    };
    let word = word.swap_bytes();
    match length {
        0 => 0,
        1..8 => word & (u64::MAX << (64 - 8 * length)),
        _ => word,
    }
}

#[cold]
fn escaped_prefix(lexer: &Lexer<'_>, start: usize, end: usize) -> u64 {
    prefix_of(unescape(lexer.slice(start, end)).as_bytes())
}

/// The first eight bytes, padded with zeros.
#[cold]
fn prefix_of(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .copied()
        .chain(std::iter::repeat(0))
        .take(8)
        .fold(0, |prefix, byte| (prefix << 8) | u64::from(byte))
}
