//! An object as its canonical text, with the places of its members.

use std::{borrow::Cow, cmp::Ordering, fmt};

use crate::{
    Limits, ParseError, RawValue, Sink,
    canonical::canonical_members,
    error::ParseErrorKind,
    lexer::Lexer,
    string::{unescape, write_string},
    walk::text_of,
};

/// A JSON object kept as its canonical text together with where its members are.
///
/// This is what an event is read into: one pass over the received bytes makes the text that is
/// hashed, stored and forwarded, and after that hashes over some of the members are fed from slices
/// of it, in order and without another look at the values.
///
/// ```
/// use freehold_canonical_json::{CanonicalObject, Limits};
///
/// let event = CanonicalObject::parse(
///     br#"{"type": "m.room.message", "hashes": {}, "depth": 7}"#,
///     &Limits::STRICT,
/// )?;
/// assert_eq!(event.as_str(), r#"{"depth":7,"hashes":{},"type":"m.room.message"}"#);
/// assert_eq!(event.get("depth").and_then(|value| value.as_i64()), Some(7));
///
/// let mut hashed = Vec::new();
/// event.write_if(|key| key != "hashes", &mut hashed);
/// assert_eq!(hashed, br#"{"depth":7,"type":"m.room.message"}"#);
/// # Ok::<(), freehold_canonical_json::ParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalObject {
    // INVARIANT: canonical JSON, an object.
    text: String,
    // INVARIANT: the members of `text`, in their order.
    members: Vec<Span>,
}

impl CanonicalObject {
    /// Reads an object and brings it into canonical form.
    ///
    /// # Errors
    ///
    /// Returns where and why the text is not JSON within the limits, or not an object
    /// ([`ParseErrorKind::Unexpected`]).
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        let text = text_of(bytes, limits)?;
        let (canonical, starts) = canonical_members(text, limits)?;
        if let Some(&byte) = canonical.as_bytes().first().filter(|&&byte| byte != b'{') {
            let offset = bytes.iter().position(|&own| own == byte).unwrap_or_default();
            return Err(ParseError { offset, kind: ParseErrorKind::Unexpected { byte } });
        }
        let members = spans(&canonical, &starts);
        Ok(Self { text: canonical.into_owned(), members })
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The canonical text itself.
    pub fn into_string(self) -> String {
        self.text
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members in canonical order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = CanonicalMember<'_>> {
        self.members.iter().map(|span| self.member(*span))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<RawValue<'_>> {
        let order = |span: &Span| self.member(*span).compare_key(key);
        let at = self.members.binary_search_by(order).ok()?;
        self.members.get(at).map(|span| self.member(*span).value())
    }

    /// Feeds the canonical form of the object without some of its members to a sink.
    ///
    /// Members that stand side by side go in one piece.
    pub fn write_if(&self, mut keep: impl FnMut(&str) -> bool, sink: &mut impl Sink) {
        let mut writer = ObjectWriter::new(sink);
        let mut run: Option<(usize, usize)> = None;
        for span in &self.members {
            if keep(&self.member(*span).key()) {
                let start = run.map_or(span.start, |(start, _)| start);
                run = Some((start, span.end));
            } else if let Some((start, end)) = run.take() {
                writer.members(self.slice(start, end));
            }
        }
        if let Some((start, end)) = run {
            writer.members(self.slice(start, end));
        }
        writer.finish();
    }

    fn member(&self, span: Span) -> CanonicalMember<'_> {
        let text = self.slice(span.start, span.end);
        CanonicalMember { text, value: span.value.wrapping_sub(span.start) }
    }

    fn slice(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).unwrap_or_default()
    }
}

impl fmt::Debug for CanonicalObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where the parts of a member are in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// The quotation mark that starts the key.
    start: usize,
    /// The first byte of the value.
    value: usize,
    /// The end of the value.
    end: usize,
}

/// The members of an object, given where each one starts.
fn spans(text: &str, starts: &[usize]) -> Vec<Span> {
    let ends = starts.iter().copied().skip(1).chain([text.len()]);
    let span = |(&start, next): (&usize, usize)| {
        let mut lexer = Lexer::new(text);
        lexer.set_pos(start);
        // A key of canonical text is a string and is followed by a colon.
        let key = lexer.string().map_or(start, |key| key.end);
        Span { start, value: key.wrapping_add(2), end: next.wrapping_sub(1) }
    };
    starts.iter().zip(ends).map(span).collect()
}

/// A member of a [`CanonicalObject`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanonicalMember<'a> {
    // INVARIANT: `"key":value`.
    text: &'a str,
    value: usize,
}

impl<'a> CanonicalMember<'a> {
    /// The canonical text of the whole member, `"key":value`.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The key, with escapes undone.
    pub fn key(&self) -> Cow<'a, str> {
        unescape(self.raw_key())
    }

    /// The value; its text is canonical.
    pub fn value(&self) -> RawValue<'a> {
        RawValue::trusted(self.text.get(self.value..).unwrap_or_default())
    }

    fn raw_key(&self) -> &'a str {
        self.text.get(1..self.value.wrapping_sub(2)).unwrap_or_default()
    }

    fn compare_key(&self, key: &str) -> Ordering {
        self.key().as_ref().cmp(key)
    }
}

/// Puts a canonical object together in a sink, from pieces that are canonical already.
///
/// The caller gives the members in canonical order.
///
/// ```
/// use freehold_canonical_json::ObjectWriter;
///
/// let mut out = Vec::new();
/// let mut redacted = ObjectWriter::new(&mut out);
/// redacted.value("content", "{}");
/// redacted.members(r#""depth":7,"type":"m.room.message""#);
/// redacted.finish();
/// assert_eq!(out, br#"{"content":{},"depth":7,"type":"m.room.message"}"#);
/// ```
#[derive(Debug)]
pub struct ObjectWriter<'s, S: Sink> {
    sink: &'s mut S,
    empty: bool,
}

impl<'s, S: Sink> ObjectWriter<'s, S> {
    /// Starts an object.
    pub fn new(sink: &'s mut S) -> Self {
        Self { sink, empty: true }
    }

    /// Adds members as they stand, `"key":value` with commas between them.
    pub fn members(&mut self, text: &str) {
        self.separate();
        self.sink.write(text.as_bytes());
    }

    /// Adds a member with a value that is canonical text.
    pub fn value(&mut self, key: &str, text: &str) {
        self.key(key);
        self.sink.write(text.as_bytes());
    }

    /// Adds a member whose value is a string.
    pub fn string(&mut self, key: &str, text: &str) {
        self.key(key);
        write_string(text, self.sink);
    }

    /// Adds a member whose value is an object; finish that one before going on.
    pub fn object(&mut self, key: &str) -> ObjectWriter<'_, S> {
        self.key(key);
        ObjectWriter::new(self.sink)
    }

    /// Ends the object.
    pub fn finish(self) {
        self.sink.write(if self.empty { b"{}" } else { b"}" });
    }

    fn key(&mut self, key: &str) {
        self.separate();
        write_string(key, self.sink);
        self.sink.write(b":");
    }

    fn separate(&mut self) {
        self.sink.write(if self.empty { b"{" } else { b"," });
        self.empty = false;
    }
}
