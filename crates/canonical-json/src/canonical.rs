//! Text to canonical text without a tree.
//!
//! The walk copies nothing while the text is canonical as it stands: what differs from the input is
//! written to a buffer together with the run before it, and the members of an object whose keys
//! turn out to be in the wrong order are moved into place when the object ends.

use std::{borrow::Cow, cmp::Ordering};

use crate::{
    Limits, ParseError, Sink,
    error::Fault,
    key::Key,
    lexer::{Form, Lexer, Num, NumKind, Str},
    number::python_float,
    string::{unescape, write_string},
    walk::{Walk, Watch, text_of},
};

/// Writes the canonical form of a JSON text to the end of `out`.
///
/// Of several members with the same key the last one counts, as in every other implementation on
/// the network. Nothing is written on failure.
///
/// # Errors
///
/// Returns where and why the text is not JSON within the limits.
///
/// ```
/// use freehold_canonical_json::{Limits, canonicalize};
///
/// let mut out = Vec::new();
/// canonicalize(br#" { "two": "\u0032", "one": 1 } "#, &Limits::STRICT, &mut out)?;
/// assert_eq!(out, br#"{"one":1,"two":"2"}"#);
/// # Ok::<(), freehold_canonical_json::ParseError>(())
/// ```
pub fn canonicalize(bytes: &[u8], limits: &Limits, out: &mut Vec<u8>) -> Result<(), ParseError> {
    canonicalize_to(bytes, limits, out)
}

/// Feeds the canonical form of a JSON text to a sink, such as a hasher.
///
/// A text that is canonical already is handed over as it is, in one piece and without a copy.
/// Nothing is written on failure.
///
/// # Errors
///
/// Returns where and why the text is not JSON within the limits.
pub fn canonicalize_to(bytes: &[u8], limits: &Limits, sink: &mut impl Sink) -> Result<(), ParseError> {
    sink.write(canonical_text(bytes, limits)?.as_bytes());
    Ok(())
}

/// The canonical form of a JSON text, borrowed when the text is canonical already.
///
/// # Errors
///
/// Returns where and why the text is not JSON within the limits.
pub fn canonical_text<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Cow<'a, str>, ParseError> {
    let text = text_of(bytes, limits)?;
    rewrite(text, limits).map(|(text, _)| text)
}

/// The canonical text and, when it is an object, its members in their final places.
pub(crate) fn rewrite<'a>(text: &'a str, limits: &Limits) -> Result<(Cow<'a, str>, Vec<Member>), ParseError> {
    // Members of real events take some thirty bytes; a text of nothing but tiny ones grows the list.
    let members = Vec::with_capacity((text.len() / 32).min(1024));
    let watch = Rewriter { members, ..Rewriter::default() };
    let mut walk = Walk::new(Lexer::new(text), watch, limits);
    match walk.whole() {
        Ok(()) => Ok(walk.watch.finish(&walk.lexer)),
        Err(fault) => Err(fault.into_parse_error(&walk.lexer, limits)),
    }
}

/// A member of an object that is still open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    key: Key,
    /// Where it starts in the output. It ends at the comma before the next one, or where the object
    /// ends.
    pub(crate) start: usize,
}

#[derive(Default)]
struct Rewriter {
    /// What was written so far.
    out: String,
    /// Where in the input the run starts that is canonical but not written yet.
    pending: usize,
    /// The members of all objects that are open, outermost first.
    members: Vec<Member>,
    /// How many objects are open.
    depth: usize,
    /// Where an object is put together anew.
    scratch: String,
}

impl Rewriter {
    /// Writes the run up to `end`; the next one starts at `next`.
    fn flush(&mut self, lexer: &Lexer<'_>, end: usize, next: usize) {
        if self.out.capacity() == 0 {
            self.out.reserve(lexer.bytes().len());
        }
        self.out.push_str(lexer.slice(self.pending, end));
        self.pending = next;
    }

    fn finish<'a>(mut self, lexer: &Lexer<'a>) -> (Cow<'a, str>, Vec<Member>) {
        let end = lexer.pos();
        if self.out.is_empty() {
            return (Cow::Borrowed(lexer.slice(self.pending, end)), self.members);
        }
        self.flush(lexer, end, end);
        (Cow::Owned(self.out), self.members)
    }

    /// Moves the members from `mark` on into the order of their keys.
    fn sort(&mut self, lexer: &Lexer<'_>, mark: usize) {
        self.flush(lexer, lexer.pos(), lexer.pos());
        let members = self.members.get_mut(mark..).unwrap_or_default();
        let Some(body) = members.first().map(|member| member.start) else { return };
        let mut order = Vec::with_capacity(members.len());
        let ends = members.iter().skip(1).map(|next| next.start.wrapping_sub(1));
        for (member, end) in members.iter().zip(ends.chain([self.out.len()])) {
            order.push((*member, end));
        }
        // A stable sort leaves duplicates in the order of the text.
        order.sort_by(|(a, _), (b, _)| a.key.compare(&b.key, lexer));

        self.scratch.clear();
        self.scratch.reserve(self.out.len().wrapping_sub(body));
        let mut kept = 0;
        let mut rest = order.iter();
        while let Some((member, end)) = rest.next() {
            let next = rest.as_slice().first();
            if next.is_some_and(|(next, _)| next.key.compare(&member.key, lexer).is_eq()) {
                continue;
            }
            if kept > 0 {
                self.scratch.push(',');
            }
            let start = body.wrapping_add(self.scratch.len());
            if let Some(slot) = members.get_mut(kept) {
                *slot = Member { key: member.key, start };
            }
            self.scratch.push_str(self.out.get(member.start..*end).unwrap_or_default());
            kept = kept.wrapping_add(1);
        }
        self.members.truncate(mark.wrapping_add(kept));
        self.out.truncate(body);
        self.out.push_str(&self.scratch);
    }
}

impl Watch for Rewriter {
    const KEYS: bool = true;

    #[cold]
    fn space(&mut self, lexer: &mut Lexer<'_>, start: usize) -> Result<(), Fault> {
        if start == self.pending {
            self.pending = lexer.pos();
        } else {
            self.flush(lexer, start, lexer.pos());
        }
        Ok(())
    }

    #[inline]
    fn string(&mut self, lexer: &mut Lexer<'_>, token: &Str) -> Result<(), Fault> {
        if token.form == Form::Other {
            self.flush(lexer, token.start.wrapping_sub(1), lexer.pos());
            let value = unescape(lexer.slice(token.start, token.end));
            write_string(&value, &mut Text(&mut self.out));
        }
        Ok(())
    }

    #[inline]
    fn number(&mut self, lexer: &mut Lexer<'_>, number: &Num) -> Result<(), Fault> {
        if let Some(printed) = other_form(lexer, number) {
            self.flush(lexer, number.start, number.end);
            self.out.push_str(&printed);
        }
        Ok(())
    }

    #[inline]
    fn key(&mut self, _: &mut Lexer<'_>, key: Key, _: Ordering) -> Result<(), Fault> {
        // The quotation mark is part of the run that is pending.
        let start = self.out.len().wrapping_add(key.start()).wrapping_sub(self.pending);
        self.members.push(Member { key, start: start.wrapping_sub(1) });
        Ok(())
    }

    #[inline]
    fn open_object(&mut self) -> usize {
        self.depth = self.depth.wrapping_add(1);
        self.members.len()
    }

    #[inline]
    fn close_object(&mut self, lexer: &Lexer<'_>, mark: usize, in_order: bool) {
        if !in_order {
            self.sort(lexer, mark);
        }
        self.depth = self.depth.wrapping_sub(1);
        // The members of the outermost object are what the index is made of.
        if self.depth > 0 {
            self.members.truncate(mark);
        }
    }
}

/// How a number is printed, unless it is printed as it stands.
pub(crate) fn other_form(lexer: &Lexer<'_>, number: &Num) -> Option<Cow<'static, str>> {
    match number.kind {
        NumKind::Integer(_) | NumKind::Big => None,
        NumKind::NegativeZero => Some(Cow::Borrowed("0")),
        NumKind::Float(value) => {
            let printed = python_float(value);
            (printed != lexer.slice(number.start, number.end)).then_some(Cow::Owned(printed))
        }
    }
}

/// Lets strings be written to text; only whole characters arrive.
struct Text<'a>(&'a mut String);

impl Sink for Text<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.0.push_str(std::str::from_utf8(bytes).unwrap_or_default());
    }
}
