//! Where parts of an event lie in its canonical text.

use std::borrow::Cow;

use freehold_canonical_json::RawValue;

/// A stretch of the text of an event, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Where `part`, a slice of `text`, lies in it. Empty when it is no slice of a text that an
    /// event can have.
    pub(crate) fn within(text: &str, part: &str) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
        let end = start.wrapping_add(part.len());
        if end > text.len() {
            return Self::default();
        }
        match (u32::try_from(start), u32::try_from(end)) {
            (Ok(start), Ok(end)) => Self { start, end },
            _ => Self::default(),
        }
    }

    pub(crate) fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    pub(crate) fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// A string of a text: where it lies when it has no escapes, and otherwise a copy.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Plain(Span),
    Unescaped(String),
}

impl Text {
    /// The string that is a value of `text`; `None` when the value is none.
    pub(crate) fn within(text: &str, value: RawValue<'_>) -> Option<Self> {
        Some(match value.as_str()? {
            Cow::Borrowed(inside) => Self::Plain(Span::within(text, inside)),
            Cow::Owned(string) => Self::Unescaped(string),
        })
    }

    pub(crate) fn of<'a>(&'a self, text: &'a str) -> &'a str {
        match self {
            Self::Plain(span) => span.of(text),
            Self::Unescaped(string) => string,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_finds_a_part_again() {
        let text = "abcdef".to_owned();
        let slice = |range| text.get::<std::ops::Range<usize>>(range).unwrap();
        for range in [0..0, 0..6, 2..4, 6..6] {
            let part = slice(range);
            assert_eq!(Span::within(&text, part).of(&text), part);
        }
        assert_eq!(Span::within(slice(0..3), slice(2..5)), Span::default());
        assert_eq!(Span::within(slice(3..6), slice(0..3)), Span::default());
    }

    #[test]
    fn strings_with_escapes_are_copied() {
        for (json, expected) in [(r#""plain""#, "plain"), (r#""a\"b""#, "a\"b"), (r#""""#, "")] {
            let text = Text::within(json, RawValue::new(json).unwrap()).unwrap();
            assert_eq!(text.of(json), expected);
        }
        assert!(Text::within("7", RawValue::new("7").unwrap()).is_none());
    }
}
