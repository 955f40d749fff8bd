//! Tokens of JSON: white space, strings, numbers, literals.
//!
//! Everything that reads a text goes through this lexer, so that all of it accepts the same texts.

use crate::{
    error::Fault,
    limits::{MAX_INTEGER, MAX_INTEGER_DIGITS, Numbers},
};

/// A position in a text.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    pos: usize,
}

/// A string that was read; both ends exclude the quotation marks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Str {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) form: Form,
}

/// How the inside of a string is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Without escapes, so that it stands for itself.
    Plain,
    /// With escapes, all of them the ones that canonical JSON uses.
    Escaped,
    /// With escapes that canonical JSON writes differently.
    Other,
}

/// A number that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Num {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: NumKind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NumKind {
    Integer(i64),
    /// `-0`, which Python reads as the integer 0.
    NegativeZero,
    /// An integer beyond `i64`; its text is canonical as it stands.
    Big,
    /// A finite number with a fraction or an exponent.
    Float(f64),
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, pos: 0 }
    }

    #[inline]
    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    #[inline]
    pub(crate) fn set_pos(&mut self, pos: usize) {
        self.pos = pos;
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The text between two positions, both of which are next to ASCII.
    #[inline]
    pub(crate) fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The next byte, 0 at the end: no token starts with a zero byte.
    #[inline]
    pub(crate) fn peek(&self) -> u8 {
        self.byte(self.pos)
    }

    #[inline]
    fn byte(&self, pos: usize) -> u8 {
        self.bytes().get(pos).copied().unwrap_or(0)
    }

    #[inline]
    pub(crate) fn advance(&mut self) {
        self.pos = self.pos.wrapping_add(1);
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != byte {
            return Err(Fault::Unexpected);
        }
        self.advance();
        Ok(())
    }

    /// Skips white space; says whether there was some.
    #[inline]
    pub(crate) fn skip_space(&mut self) -> bool {
        if self.peek() > b' ' {
            return false;
        }
        self.skip_space_run()
    }

    fn skip_space_run(&mut self) -> bool {
        let start = self.pos;
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.advance();
        }
        self.pos != start
    }

    /// After the last value: only white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        if self.pos < self.text.len() { Err(Fault::TrailingData) } else { Ok(()) }
    }

    /// Reads `true`, `false` or `null`.
    #[inline]
    pub(crate) fn literal(&mut self, word: &str) -> Result<(), Fault> {
        let rest = self.bytes().get(self.pos..).unwrap_or_default();
        if rest.starts_with(word.as_bytes()) {
            self.pos = self.pos.wrapping_add(word.len());
            return Ok(());
        }
        let same = rest.iter().zip(word.as_bytes()).take_while(|(a, b)| a == b).count();
        self.pos = self.pos.wrapping_add(same);
        Err(Fault::Unexpected)
    }

    /// The fault for a byte that starts no value.
    #[cold]
    pub(crate) fn no_value(&self) -> Fault {
        let rest = self.text.get(self.pos..).unwrap_or_default();
        if rest.starts_with("NaN") || rest.starts_with("Infinity") {
            return Fault::NotFinite;
        }
        Fault::Unexpected
    }

    /// Reads a string, starting at its quotation mark.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Str, Fault> {
        self.expect(b'"')?;
        let start = self.pos;
        self.pos = find_special(self.bytes(), start);
        let form = if self.peek() == b'"' { Form::Plain } else { self.escapes()? };
        let end = self.pos;
        self.advance();
        Ok(Str { start, end, form })
    }

    /// Reads on to the end of a string from its first backslash.
    #[cold]
    fn escapes(&mut self) -> Result<Form, Fault> {
        let mut form = Form::Escaped;
        loop {
            match self.bytes().get(self.pos) {
                Some(b'"') => return Ok(form),
                Some(b'\\') => {
                    if !self.escape()? {
                        form = Form::Other;
                    }
                }
                Some(_) => return Err(Fault::ControlCharacter),
                None => return Err(Fault::Unexpected),
            }
            self.pos = find_special(self.bytes(), self.pos);
        }
    }

    /// Reads one escape; says whether canonical JSON uses it.
    fn escape(&mut self) -> Result<bool, Fault> {
        let canonical = match self.byte(self.pos.wrapping_add(1)) {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => true,
            b'/' => false,
            b'u' => return self.unicode_escape(),
            _ => {
                // A text that ends here has no byte to blame.
                if self.pos.wrapping_add(1) == self.text.len() {
                    self.advance();
                }
                return Err(Fault::InvalidEscape);
            }
        };
        self.pos = self.pos.wrapping_add(2);
        Ok(canonical)
    }

    fn unicode_escape(&mut self) -> Result<bool, Fault> {
        let start = self.pos;
        let unit = self.escaped_unit().ok_or(Fault::InvalidEscape)?;
        match unit {
            0xD800..=0xDBFF => {
                self.pos = start.wrapping_add(6);
                let low = self.escaped_unit();
                self.pos = start;
                if !matches!(low, Some(0xDC00..=0xDFFF)) {
                    return Err(Fault::LoneSurrogate);
                }
                self.pos = start.wrapping_add(12);
                Ok(false)
            }
            0xDC00..=0xDFFF => Err(Fault::LoneSurrogate),
            _ => {
                self.pos = start.wrapping_add(6);
                // Lower case hexadecimal, and only for what has no short escape.
                let last = self.byte(self.pos.wrapping_sub(1));
                let short = matches!(unit, 0x08 | 0x09 | 0x0A | 0x0C | 0x0D);
                Ok(unit < 0x20 && !short && !last.is_ascii_uppercase())
            }
        }
    }

    /// The code unit of the `\u` escape at the position, if there is one.
    pub(crate) fn escaped_unit(&self) -> Option<u16> {
        let digits = self.bytes().get(self.pos..)?.strip_prefix(b"\\u")?.first_chunk::<4>()?;
        digits.iter().try_fold(0_u16, |unit, &digit| {
            let digit = char::from(digit).to_digit(16)?;
            Some((unit << 4) | u16::try_from(digit).ok()?)
        })
    }

    /// Reads a number.
    #[inline]
    pub(crate) fn number(&mut self, numbers: Numbers) -> Result<Num, Fault> {
        let start = self.pos;
        let negative = self.peek() == b'-';
        if negative {
            self.advance();
        }
        let first = self.pos;
        let magnitude = self.digits();
        let count = self.pos.wrapping_sub(first);
        if count == 0 {
            return Err(self.no_digits(start));
        }
        if count > 1 && self.byte(first) == b'0' {
            self.pos = first;
            return Err(Fault::MalformedNumber);
        }
        if matches!(self.peek(), b'.' | b'e' | b'E') {
            return self.float(start, numbers);
        }
        let kind = match numbers {
            Numbers::Strict => strict_integer(negative, magnitude, count),
            Numbers::Relaxed => self.relaxed_integer(start, negative, magnitude, count),
        };
        let end = self.pos;
        match kind {
            Ok(kind) => Ok(Num { start, end, kind }),
            Err(fault) => {
                self.pos = start;
                Err(fault)
            }
        }
    }

    /// Reads digits; their value wraps, so that it is right for at most 19 of them.
    #[inline]
    fn digits(&mut self) -> u64 {
        let mut value = 0_u64;
        for byte in self.bytes().get(self.pos..).unwrap_or_default() {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.advance();
        }
        value
    }

    /// The fault for a number without digits.
    #[cold]
    fn no_digits(&mut self, start: usize) -> Fault {
        if self.no_value() == Fault::NotFinite {
            self.pos = start;
            return Fault::NotFinite;
        }
        Fault::MalformedNumber
    }

    fn relaxed_integer(
        &self,
        start: usize,
        negative: bool,
        magnitude: u64,
        count: usize,
    ) -> Result<NumKind, Fault> {
        if count > MAX_INTEGER_DIGITS {
            return Err(Fault::IntegerTooLong);
        }
        if count > 18 {
            let parsed = self.slice(start, self.pos).parse();
            return Ok(parsed.map_or(NumKind::Big, NumKind::Integer));
        }
        Ok(small_integer(negative, magnitude))
    }

    /// Reads the fraction and the exponent of a number whose integer part was read.
    #[cold]
    fn float(&mut self, start: usize, numbers: Numbers) -> Result<Num, Fault> {
        if numbers == Numbers::Strict {
            return Err(Fault::Float);
        }
        if self.peek() == b'.' {
            self.advance();
            self.some_digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.advance();
            if matches!(self.peek(), b'+' | b'-') {
                self.advance();
            }
            self.some_digits()?;
        }
        let end = self.pos;
        match self.slice(start, end).parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Num { start, end, kind: NumKind::Float(value) }),
            _ => {
                self.pos = start;
                Err(Fault::FloatOutOfRange)
            }
        }
    }

    fn some_digits(&mut self) -> Result<(), Fault> {
        let start = self.pos;
        self.digits();
        if self.pos == start { Err(Fault::MalformedNumber) } else { Ok(()) }
    }
}

#[inline]
fn strict_integer(negative: bool, magnitude: u64, count: usize) -> Result<NumKind, Fault> {
    if count > 16 || magnitude > MAX_INTEGER.unsigned_abs() {
        return Err(Fault::IntegerOutOfRange);
    }
    match small_integer(negative, magnitude) {
        NumKind::NegativeZero => Err(Fault::NegativeZero),
        kind => Ok(kind),
    }
}

/// An integer of at most 18 digits.
#[inline]
fn small_integer(negative: bool, magnitude: u64) -> NumKind {
    let magnitude = magnitude.cast_signed();
    match (negative, magnitude) {
        (true, 0) => NumKind::NegativeZero,
        (true, magnitude) => NumKind::Integer(magnitude.wrapping_neg()),
        (false, magnitude) => NumKind::Integer(magnitude),
    }
}

/// The first position from `pos` on at which a string ends or needs a closer look: a quotation
/// mark, a backslash or a control character; the length if there is none.
#[inline(always)]
pub(crate) fn find_special(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(word) = word_at(bytes, pos) {
        let special = special_bytes(word);
        if special != 0 {
            return pos.wrapping_add((special.trailing_zeros() >> 3) as usize);
        }
        pos = pos.wrapping_add(8);
    }
    while let Some(&byte) = bytes.get(pos) {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            return pos;
        }
        pos = pos.wrapping_add(1);
    }
    bytes.len()
}

/// Eight bytes as a little-endian word.
#[inline]
pub(crate) fn word_at(bytes: &[u8], pos: usize) -> Option<u64> {
    let chunk = bytes.get(pos..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*chunk))
}

/// Sets the high bit of the lowest byte that is special, and perhaps of higher ones that are not.
///
/// Flipping bit 1 takes `"` (0x22) to 0x20, so that one comparison with 0x21 finds both the
/// quotation mark and the control characters. Bytes of 0x80 and more are masked away; a borrow only
/// spoils bytes above the first that is found.
#[inline]
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let quote_or_control = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * 0x5C)).wrapping_sub(ONES);
    (quote_or_control | backslash) & !word & (ONES * 0x80)
}
