//! What can be wrong with a JSON text, and where.

use crate::{Limits, lexer::Lexer};

/// A text was refused; whoever wrote the text is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid JSON at byte {offset}: {kind}")]
pub struct ParseError {
    /// Where the fault is, in bytes from the start of the text.
    pub offset: usize,
    /// What the fault is.
    pub kind: ParseErrorKind,
}

/// The kinds of fault for which a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The text has more bytes than [`Limits::bytes`] lets it have.
    #[error("text of {length} bytes is longer than {limit}")]
    TooLong {
        /// The length of the text in bytes.
        length: usize,
        /// The bound that was given.
        limit: usize,
    },
    /// More arrays and objects are open at the same time than [`Limits::depth`] lets be.
    #[error("arrays and objects nested more than {limit} deep")]
    TooDeep {
        /// The bound that was given.
        limit: usize,
    },
    /// The text is not UTF-8.
    #[error("not UTF-8")]
    InvalidUtf8,
    /// The text ends in the middle of a value.
    #[error("unexpected end")]
    UnexpectedEnd,
    /// A byte that the grammar does not have at this place.
    #[error("unexpected byte {byte:#04x}")]
    Unexpected {
        /// The byte.
        byte: u8,
    },
    /// A whole value was read and something other than white space follows it.
    #[error("trailing data starting with byte {byte:#04x}")]
    TrailingData {
        /// The first byte after the value.
        byte: u8,
    },
    /// A byte below 0x20 stands in a string without being escaped.
    #[error("unescaped control character {byte:#04x}")]
    ControlCharacter {
        /// The byte.
        byte: u8,
    },
    /// A backslash that starts none of JSON's escapes.
    #[error("invalid escape")]
    InvalidEscape,
    /// A `\u` escape is half of a surrogate pair and the other half is missing: such a string
    /// cannot be written in UTF-8, so that it has no canonical form.
    #[error("lone surrogate {unit:#06x}")]
    LoneSurrogate {
        /// The UTF-16 code unit.
        unit: u16,
    },
    /// Leading zeros, or digits missing after a sign, a decimal point or an exponent sign.
    #[error("malformed number")]
    MalformedNumber,
    /// `NaN`, `Infinity` or `-Infinity`, which Python's `json` reads unless told otherwise
    /// (CVE-2020-26890).
    #[error("`NaN` and `Infinity` are not JSON")]
    NotFinite,
    /// A number with a fraction or an exponent under [`Numbers::Strict`](crate::Numbers::Strict).
    #[error("number with a fraction or an exponent")]
    Float,
    /// `-0` under [`Numbers::Strict`](crate::Numbers::Strict).
    #[error("negative zero")]
    NegativeZero,
    /// An integer outside [`MIN_INTEGER`](crate::MIN_INTEGER) to
    /// [`MAX_INTEGER`](crate::MAX_INTEGER) under [`Numbers::Strict`](crate::Numbers::Strict).
    #[error("integer outside -(2^53)+1 to (2^53)-1")]
    IntegerOutOfRange,
    /// An integer of more than [`MAX_INTEGER_DIGITS`](crate::MAX_INTEGER_DIGITS) digits.
    #[error("integer of more than 4300 digits")]
    IntegerTooLong,
    /// A number with a fraction or an exponent that is too large for an IEEE 754 double.
    #[error("number too large for a double")]
    FloatOutOfRange,
}

/// A text is not in canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical JSON at byte {offset}: {kind}")]
pub struct NotCanonical {
    /// Where the first departure is, in bytes from the start of the text.
    pub offset: usize,
    /// What the departure is.
    pub kind: NotCanonicalKind,
}

/// How a text departs from canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotCanonicalKind {
    /// It is not even JSON within the limits.
    #[error(transparent)]
    Invalid(#[from] ParseErrorKind),
    /// White space between tokens.
    #[error("white space")]
    WhiteSpace,
    /// A key that belongs before the one before it.
    #[error("keys out of order")]
    KeyOrder,
    /// A key that the same object had already.
    #[error("duplicate key")]
    DuplicateKey,
    /// A character is escaped that need not be, or has a shorter escape.
    #[error("needless or long escape")]
    Escape,
    /// A number that is printed differently, such as `1E5` for `100000.0`.
    #[error("number in another form")]
    NumberForm,
}

/// What stops a walk. One byte, so that results travel in registers; where it happened is the
/// position of the lexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    TooDeep,
    Unexpected,
    TrailingData,
    ControlCharacter,
    InvalidEscape,
    LoneSurrogate,
    MalformedNumber,
    NotFinite,
    Float,
    NegativeZero,
    IntegerOutOfRange,
    IntegerTooLong,
    FloatOutOfRange,
    WhiteSpace,
    KeyOrder,
    DuplicateKey,
    Escape,
    NumberForm,
}

impl Fault {
    /// The public error for a fault of the text itself.
    #[cold]
    pub(crate) fn into_parse_error(self, lexer: &Lexer<'_>, limits: &Limits) -> ParseError {
        let offset = lexer.pos();
        let kind = match lexer.bytes().get(offset) {
            None => ParseErrorKind::UnexpectedEnd,
            Some(&byte) => self.kind(byte, lexer, limits),
        };
        ParseError { offset, kind }
    }

    /// The public error for a fault of the text or of its form.
    #[cold]
    pub(crate) fn into_not_canonical(self, lexer: &Lexer<'_>, limits: &Limits) -> NotCanonical {
        let kind = match self {
            Self::WhiteSpace => NotCanonicalKind::WhiteSpace,
            Self::KeyOrder => NotCanonicalKind::KeyOrder,
            Self::DuplicateKey => NotCanonicalKind::DuplicateKey,
            Self::Escape => NotCanonicalKind::Escape,
            Self::NumberForm => NotCanonicalKind::NumberForm,
            _ => NotCanonicalKind::Invalid(self.into_parse_error(lexer, limits).kind),
        };
        NotCanonical { offset: lexer.pos(), kind }
    }

    fn kind(self, byte: u8, lexer: &Lexer<'_>, limits: &Limits) -> ParseErrorKind {
        match self {
            Self::TooDeep => ParseErrorKind::TooDeep { limit: limits.depth },
            Self::TrailingData => ParseErrorKind::TrailingData { byte },
            Self::ControlCharacter => ParseErrorKind::ControlCharacter { byte },
            Self::InvalidEscape => ParseErrorKind::InvalidEscape,
            Self::LoneSurrogate => {
                ParseErrorKind::LoneSurrogate { unit: lexer.escaped_unit().unwrap_or_default() }
            }
            Self::MalformedNumber => ParseErrorKind::MalformedNumber,
            Self::NotFinite => ParseErrorKind::NotFinite,
            Self::Float => ParseErrorKind::Float,
            Self::NegativeZero => ParseErrorKind::NegativeZero,
            Self::IntegerOutOfRange => ParseErrorKind::IntegerOutOfRange,
            Self::IntegerTooLong => ParseErrorKind::IntegerTooLong,
            Self::FloatOutOfRange => ParseErrorKind::FloatOutOfRange,
            // The faults of form are only raised by the check, which maps them itself.
            Self::Unexpected
            | Self::WhiteSpace
            | Self::KeyOrder
            | Self::DuplicateKey
            | Self::Escape
            | Self::NumberForm => ParseErrorKind::Unexpected { byte },
        }
    }
}
