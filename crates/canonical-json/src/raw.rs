//! Reading a few members out of JSON text without building a tree.

use std::borrow::Cow;

use crate::{
    Limits, ParseError, Value,
    error::Fault,
    lexer::{Form, Lexer},
    number::{Scanned, number_of},
    string::unescape,
    tree::parse,
    walk::{Skip, Walk},
};

/// What sort of value a JSON value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number, integer or not.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// The text of one JSON value, without white space around it.
///
/// There is only well-formed text inside, by the rules of [`Limits::RELAXED`]. The accessors
/// decode on demand; strings and keys without escapes are borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawValue<'a> {
    text: &'a str,
}

impl<'a> RawValue<'a> {
    /// The value that a text is.
    ///
    /// # Errors
    ///
    /// Returns where and why the text is not one JSON value within [`Limits::RELAXED`].
    pub fn new(text: &'a str) -> Result<Self, ParseError> {
        let mut walk = Walk::new(Lexer::new(text), Skip, &Limits::RELAXED);
        match walk.whole() {
            Ok(()) => Ok(Self { text: text.trim_matches([' ', '\t', '\n', '\r']) }),
            Err(fault) => Err(fault.into_parse_error(&walk.lexer, &Limits::RELAXED)),
        }
    }

    /// A text that is known to be well-formed and without white space around it.
    pub(crate) fn trusted(text: &'a str) -> Self {
        Self { text }
    }

    /// The text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// What sort of value it is.
    pub fn kind(&self) -> Kind {
        match self.text.as_bytes().first() {
            Some(b'"') => Kind::String,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// Whether the value is `null`.
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The integer, if it is one that fits; numbers with a fraction or an exponent are none.
    pub fn as_i64(&self) -> Option<i64> {
        match number_of(self.text)? {
            Scanned::Integer(value) => Some(value),
            Scanned::Number(_) => None,
        }
    }

    /// The number as the nearest double, if it is a number.
    pub fn as_f64(&self) -> Option<f64> {
        if self.kind() == Kind::Number { self.text.parse().ok() } else { None }
    }

    /// The string with escapes undone, if it is one.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        let inner = self.text.strip_prefix('"')?.strip_suffix('"')?;
        Some(unescape(inner))
    }

    /// The members, if it is an object.
    pub fn as_object(&self) -> Option<Fields<'a>> {
        (self.kind() == Kind::Object).then(|| fields(self.text))
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<Elements<'a>> {
        (self.kind() == Kind::Array).then(|| elements(self.text))
    }

    /// The value as a tree.
    ///
    /// # Errors
    ///
    /// Returns where and why the text is outside the limits.
    pub fn parse(&self, limits: &Limits) -> Result<Value<'a>, ParseError> {
        parse(self.text.as_bytes(), limits)
    }
}

/// Goes over the members of a JSON object given as text, in the order of the text.
///
/// Nothing is allocated unless a key has escapes. Duplicate keys are all yielded; the last one is
/// the one that counts. The values are checked as they are passed, by the rules of
/// [`Limits::RELAXED`]: once the iterator is exhausted without an error, the text was well-formed.
/// After an error it ends.
///
/// ```
/// use freehold_canonical_json::fields;
///
/// let mut level = 0;
/// for field in fields(r#"{"users": {"@a:b": 50}, "ban": 60}"#) {
///     let (key, value) = field?;
///     if key == "ban" {
///         level = value.as_i64().unwrap_or(0);
///     }
/// }
/// assert_eq!(level, 60);
/// # Ok::<(), freehold_canonical_json::ParseError>(())
/// ```
pub fn fields(text: &str) -> Fields<'_> {
    Fields { items: Items::new(text, b'{', b'}') }
}

/// Goes over the elements of a JSON array given as text; see [`fields`].
pub fn elements(text: &str) -> Elements<'_> {
    Elements { items: Items::new(text, b'[', b']') }
}

/// The value of a key in a JSON object given as text, the last one if there are several.
///
/// # Errors
///
/// Returns where and why the text is not an object within [`Limits::RELAXED`]; the whole of it is
/// looked at.
pub fn member<'a>(text: &'a str, key: &str) -> Result<Option<RawValue<'a>>, ParseError> {
    let mut found = None;
    for field in fields(text) {
        let (own, value) = field?;
        if own == key {
            found = Some(value);
        }
    }
    Ok(found)
}

/// The string that is the value of a key in a JSON object given as text; `None` also if the value is no string, or the text no
/// object ([`member`]).
///
/// ```
/// use freehold_canonical_json::string_member;
///
/// let content = r#"{"membership":"join","via":7}"#;
/// assert_eq!(string_member(content, "membership").as_deref(), Some("join"));
/// assert_eq!(string_member(content, "via"), None);
/// assert_eq!(string_member("[]", "via"), None);
/// ```
pub fn string_member<'a>(text: &'a str, key: &str) -> Option<Cow<'a, str>> {
    member(text, key).ok().flatten()?.as_str()
}

/// The members of a JSON object given as text; see [`fields`].
#[derive(Debug)]
pub struct Fields<'a> {
    items: Items<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(Cow<'a, str>, RawValue<'a>), ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.items.next(Items::field)
    }
}

/// The elements of a JSON array given as text; see [`elements`].
#[derive(Debug)]
pub struct Elements<'a> {
    items: Items<'a>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<RawValue<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.items.next(Items::value)
    }
}

/// Where an iteration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Start,
    Inside,
    Done,
}

/// An iteration over what is between two brackets.
#[derive(Debug)]
struct Items<'a> {
    walk: Walk<'a, Skip>,
    stage: Stage,
    open: u8,
    close: u8,
}

impl<'a> Items<'a> {
    fn new(text: &'a str, open: u8, close: u8) -> Self {
        let walk = Walk::new(Lexer::new(text), Skip, &Limits::RELAXED);
        Self { walk, stage: Stage::Start, open, close }
    }

    #[inline]
    fn next<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Option<Result<T, ParseError>> {
        let more = match self.stage {
            Stage::Start => self.begin(),
            Stage::Inside => self.again(),
            Stage::Done => return None,
        };
        let item = match more {
            Ok(false) => return None,
            Ok(true) => read(self),
            Err(fault) => Err(fault),
        };
        Some(item.map_err(|fault| self.fail(fault)))
    }

    #[cold]
    fn fail(&mut self, fault: Fault) -> ParseError {
        self.stage = Stage::Done;
        fault.into_parse_error(&self.walk.lexer, &Limits::RELAXED)
    }

    fn begin(&mut self) -> Result<bool, Fault> {
        self.stage = Stage::Inside;
        self.walk.lexer.skip_space();
        if self.walk.lexer.peek() == self.open {
            self.walk.deepen()?;
        }
        self.walk.lexer.expect(self.open)?;
        self.walk.lexer.skip_space();
        if self.walk.lexer.peek() == self.close {
            return self.finish();
        }
        Ok(true)
    }

    #[inline]
    fn again(&mut self) -> Result<bool, Fault> {
        self.walk.lexer.skip_space();
        if self.walk.lexer.peek() == self.close {
            return self.finish();
        }
        self.walk.lexer.expect(b',')?;
        self.walk.lexer.skip_space();
        Ok(true)
    }

    fn finish(&mut self) -> Result<bool, Fault> {
        self.walk.lexer.advance();
        self.walk.lexer.skip_space();
        self.walk.lexer.end()?;
        self.stage = Stage::Done;
        Ok(false)
    }

    #[inline]
    fn field(&mut self) -> Result<(Cow<'a, str>, RawValue<'a>), Fault> {
        let token = self.walk.lexer.string()?;
        let key = self.walk.lexer.slice(token.start, token.end);
        let key = if token.form == Form::Plain { Cow::Borrowed(key) } else { unescape(key) };
        self.walk.lexer.skip_space();
        self.walk.lexer.expect(b':')?;
        self.walk.lexer.skip_space();
        Ok((key, self.value()?))
    }

    #[inline]
    fn value(&mut self) -> Result<RawValue<'a>, Fault> {
        let start = self.walk.lexer.pos();
        self.walk.value()?;
        Ok(RawValue { text: self.walk.lexer.slice(start, self.walk.lexer.pos()) })
    }
}
