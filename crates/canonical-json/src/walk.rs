//! One walk over a text, shared by everything that builds no tree.

use std::cmp::Ordering;

use crate::{
    Limits, Numbers, ParseError,
    error::{Fault, ParseErrorKind},
    key::Key,
    lexer::{Lexer, Num, Str},
};

/// What is told about a text as it is walked over. Positions are those of the lexer.
pub(crate) trait Watch {
    /// Whether the keys of objects are compared and [`Watch::key`] is called.
    const KEYS: bool;

    /// White space from `start` to the position.
    fn space(&mut self, lexer: &mut Lexer<'_>, start: usize) -> Result<(), Fault>;
    /// A string was read, a key or a value.
    fn string(&mut self, lexer: &mut Lexer<'_>, token: &Str) -> Result<(), Fault>;
    /// A number was read.
    fn number(&mut self, lexer: &mut Lexer<'_>, number: &Num) -> Result<(), Fault>;
    /// A key was read that has this order to the key before it; [`Watch::string`] comes next.
    fn key(&mut self, lexer: &mut Lexer<'_>, key: Key, order: Ordering) -> Result<(), Fault>;
    /// An object starts; what is returned comes back when it ends.
    fn open_object(&mut self) -> usize;
    /// The position is at the `}` of an object.
    fn close_object(&mut self, lexer: &Lexer<'_>, mark: usize, in_order: bool);
}

/// A walk over one text.
#[derive(Debug)]
pub(crate) struct Walk<'a, W> {
    pub(crate) lexer: Lexer<'a>,
    pub(crate) watch: W,
    numbers: Numbers,
    depth_left: usize,
}

impl<'a, W: Watch> Walk<'a, W> {
    pub(crate) fn new(lexer: Lexer<'a>, watch: W, limits: &Limits) -> Self {
        Self { lexer, watch, numbers: limits.numbers, depth_left: limits.depth }
    }

    /// Walks over a text that is one value and white space.
    pub(crate) fn whole(&mut self) -> Result<(), Fault> {
        self.space()?;
        self.value()?;
        self.space()?;
        self.lexer.end()
    }

    /// Walks over one value.
    pub(crate) fn value(&mut self) -> Result<(), Fault> {
        match self.lexer.peek() {
            b'"' => {
                let token = self.lexer.string()?;
                self.watch.string(&mut self.lexer, &token)
            }
            b'{' => self.object(),
            b'[' => self.array(),
            b'-' | b'0'..=b'9' => {
                let number = self.lexer.number(self.numbers)?;
                self.watch.number(&mut self.lexer, &number)
            }
            b't' => self.lexer.literal("true"),
            b'f' => self.lexer.literal("false"),
            b'n' => self.lexer.literal("null"),
            _ => Err(self.lexer.no_value()),
        }
    }

    #[inline]
    fn space(&mut self) -> Result<(), Fault> {
        let start = self.lexer.pos();
        if self.lexer.skip_space() {
            return self.watch.space(&mut self.lexer, start);
        }
        Ok(())
    }

    #[inline]
    fn enter(&mut self) -> Result<(), Fault> {
        self.deepen()?;
        self.lexer.advance();
        self.space()
    }

    /// Counts an array or object that is opened at the position.
    #[inline]
    pub(crate) fn deepen(&mut self) -> Result<(), Fault> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Fault::TooDeep)?;
        Ok(())
    }

    #[inline]
    fn leave(&mut self) {
        self.lexer.advance();
        self.depth_left = self.depth_left.wrapping_add(1);
    }

    fn array(&mut self) -> Result<(), Fault> {
        self.enter()?;
        if self.lexer.peek() != b']' {
            loop {
                self.value()?;
                self.space()?;
                if self.lexer.peek() == b']' {
                    break;
                }
                self.lexer.expect(b',')?;
                self.space()?;
            }
        }
        self.leave();
        Ok(())
    }

    fn object(&mut self) -> Result<(), Fault> {
        self.enter()?;
        let mark = self.watch.open_object();
        let mut in_order = true;
        if self.lexer.peek() != b'}' {
            let mut last = Key::default();
            let mut first = true;
            loop {
                let token = self.lexer.string()?;
                if W::KEYS {
                    let key = Key::new(&self.lexer, &token);
                    let order = if first { Ordering::Less } else { last.compare(&key, &self.lexer) };
                    self.watch.key(&mut self.lexer, key, order)?;
                    in_order &= order == Ordering::Less;
                    last = key;
                    first = false;
                }
                self.watch.string(&mut self.lexer, &token)?;
                self.space()?;
                self.lexer.expect(b':')?;
                self.space()?;
                self.value()?;
                self.space()?;
                if self.lexer.peek() == b'}' {
                    break;
                }
                self.lexer.expect(b',')?;
                self.space()?;
            }
        }
        self.watch.close_object(&self.lexer, mark, in_order);
        self.leave();
        Ok(())
    }
}

/// Watches nothing: the walk only finds out whether and where a value ends.
#[derive(Debug)]
pub(crate) struct Skip;

impl Watch for Skip {
    const KEYS: bool = false;

    #[inline]
    fn space(&mut self, _: &mut Lexer<'_>, _: usize) -> Result<(), Fault> {
        Ok(())
    }
    #[inline]
    fn string(&mut self, _: &mut Lexer<'_>, _: &Str) -> Result<(), Fault> {
        Ok(())
    }
    #[inline]
    fn number(&mut self, _: &mut Lexer<'_>, _: &Num) -> Result<(), Fault> {
        Ok(())
    }
    #[inline]
    fn key(&mut self, _: &mut Lexer<'_>, _: Key, _: Ordering) -> Result<(), Fault> {
        Ok(())
    }
    #[inline]
    fn open_object(&mut self) -> usize {
        0
    }
    #[inline]
    fn close_object(&mut self, _: &Lexer<'_>, _: usize, _: bool) {}
}

/// The text that bytes are, if they are short enough and UTF-8.
#[inline]
pub(crate) fn text_of<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, ParseError> {
    if bytes.len() > limits.bytes {
        let kind = ParseErrorKind::TooLong { length: bytes.len(), limit: limits.bytes };
        return Err(ParseError { offset: limits.bytes, kind });
    }
    std::str::from_utf8(bytes)
        .map_err(|error| ParseError { offset: error.valid_up_to(), kind: ParseErrorKind::InvalidUtf8 })
}
