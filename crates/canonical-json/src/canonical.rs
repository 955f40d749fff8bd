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
    let mut walk = Walk::new(Lexer::new(text), Rewriter::new(text), limits);
    match walk.whole() {
        Ok(()) => Ok(walk.watch.finish(&walk.lexer)),
        Err(fault) => Err(fault.into_parse_error(&walk.lexer, limits)),
    }
}

/// The canonical text and, when it is an object, where in it each of the members starts.
pub(crate) fn canonical_members<'a>(
    text: &'a str,
    limits: &Limits,
) -> Result<(Cow<'a, str>, Vec<usize>), ParseError> {
    let watch = Rewriter { index: true, ..Rewriter::new(text) };
    let mut walk = Walk::new(Lexer::new(text), watch, limits);
    match walk.whole() {
        Ok(()) => {
            let starts = std::mem::take(&mut walk.watch.starts);
            Ok((walk.watch.finish(&walk.lexer), starts))
        }
        Err(fault) => Err(fault.into_parse_error(&walk.lexer, limits)),
    }
}

/// A member of an object that is still open.
#[derive(Clone, Copy, Debug)]
struct Member {
    key: Key,
    /// Where it starts in the output. It ends at the comma before the next one, or where the object
    /// ends.
    start: usize,
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
    /// Whether `starts` is wanted.
    index: bool,
    /// Where the members of the object that ended last start, the outermost one in the end.
    starts: Vec<usize>,
}

impl Rewriter {
    fn new(text: &str) -> Self {
        // Members of real events take some thirty bytes.
        Self { members: Vec::with_capacity(text.len() / 32), ..Self::default() }
    }

    /// Writes the run up to `end`; the next one starts at `next`.
    fn flush(&mut self, lexer: &Lexer<'_>, end: usize, next: usize) {
        if self.out.capacity() == 0 {
            self.out.reserve(lexer.bytes().len());
        }
        self.out.push_str(lexer.slice(self.pending, end));
        self.pending = next;
    }

    fn finish<'a>(mut self, lexer: &Lexer<'a>) -> Cow<'a, str> {
        let end = lexer.pos();
        if self.out.is_empty() {
            return Cow::Borrowed(lexer.slice(self.pending, end));
        }
        self.flush(lexer, end, end);
        Cow::Owned(self.out)
    }

    /// Moves the members from `mark` on, those of the object that ends here, into the order of
    /// their keys.
    fn sort(&mut self, lexer: &Lexer<'_>, mark: usize) {
        let all = std::mem::take(&mut self.members);
        let members = all.get(mark..).unwrap_or_default();
        if let Some(body) = members.first().map(|member| member.start) {
            let end = self.out.len().wrapping_add(lexer.pos()).wrapping_sub(self.pending);
            let pieces = Pieces { members, end, order: sorted(members, lexer) };
            self.starts.clear();
            if body >= self.out.len() {
                self.sort_from_input(lexer, &pieces, body);
            } else {
                self.flush(lexer, lexer.pos(), lexer.pos());
                self.sort_from_output(&pieces, body);
            }
        }
        self.members = all;
    }

    /// Nothing of the object was written yet: its members are copied from the input.
    fn sort_from_input(&mut self, lexer: &Lexer<'_>, pieces: &Pieces<'_>, body: usize) {
        let shift = self.pending.wrapping_sub(self.out.len());
        self.flush(lexer, body.wrapping_add(shift), lexer.pos());
        for (start, end) in pieces.iter() {
            let text = lexer.slice(start.wrapping_add(shift), end.wrapping_add(shift));
            append(text, body, &mut self.out, &mut self.starts);
        }
    }

    /// Some of the object was written already, and the rest is now.
    fn sort_from_output(&mut self, pieces: &Pieces<'_>, body: usize) {
        self.scratch.clear();
        self.scratch.reserve(self.out.len());
        // A short text before the object is cheaper to copy than the object itself.
        let whole = body < self.out.len() / 4;
        let before = if whole { body } else { 0 };
        self.scratch.push_str(self.out.get(..before).unwrap_or_default());
        for (start, end) in pieces.iter() {
            let text = self.out.get(start..end).unwrap_or_default();
            append(text, before, &mut self.scratch, &mut self.starts);
        }
        if whole {
            std::mem::swap(&mut self.out, &mut self.scratch);
        } else {
            self.out.truncate(body);
            self.out.push_str(&self.scratch);
            for start in &mut self.starts {
                *start = start.wrapping_add(body);
            }
        }
    }
}

/// Appends a member to an object whose first one starts at `body`.
#[inline]
fn append(text: &str, body: usize, out: &mut String, starts: &mut Vec<usize>) {
    if out.len() > body {
        out.push(',');
    }
    starts.push(out.len());
    out.push_str(text);
}

/// The members of an object that has ended.
struct Pieces<'m> {
    members: &'m [Member],
    end: usize,
    /// Places in `members`, in the lower half.
    order: Vec<u128>,
}

impl Pieces<'_> {
    /// Where each member starts and ends, in the order of the keys.
    fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        self.order.iter().filter_map(|&number| {
            let place = place(number);
            let next = self.members.get(place.wrapping_add(1));
            let end = next.map_or(self.end, |next| next.start.wrapping_sub(1));
            Some((self.members.get(place)?.start, end))
        })
    }
}

/// The order of members by their keys, of duplicates only the last; see [`Pieces::order`].
fn sorted(members: &[Member], lexer: &Lexer<'_>) -> Vec<u128> {
    let common = common_length(members, lexer);
    let word = |member: &Member| u128::from(member.key.word_after(common, lexer)) << 64;
    // Plain numbers are sorted without a branch to mispredict; the place in the text makes each one
    // unique and keeps the order of duplicates.
    let mut order: Vec<u128> =
        members.iter().zip(0_u128..).map(|(member, place)| word(member) | place).collect();
    order.sort_unstable();
    if order.iter().zip(order.iter().skip(1)).any(|(a, b)| a >> 64 == b >> 64) {
        sort_alike(&mut order, members, lexer);
    }
    order
}

/// Finishes the order where the words of the keys were the same.
#[cold]
fn sort_alike(order: &mut Vec<u128>, members: &[Member], lexer: &Lexer<'_>) {
    let compare = |a: u128, b: u128| match (members.get(place(a)), members.get(place(b))) {
        (Some(a), Some(b)) if a.start != b.start => a.key.compare(&b.key, lexer),
        _ => Ordering::Equal,
    };
    order.sort_by(|&a, &b| compare(a, b));
    order.dedup_by(|later, earlier| {
        let same = compare(*later, *earlier).is_eq();
        if same {
            *earlier = *later;
        }
        same
    });
}

fn place(number: u128) -> usize {
    usize::try_from(number & u128::from(u64::MAX)).unwrap_or(usize::MAX)
}

/// How many bytes all keys have in common: those of large objects are user or room ids, alike in
/// their first bytes.
fn common_length(members: &[Member], lexer: &Lexer<'_>) -> usize {
    let Some((first, rest)) = members.split_first() else { return 0 };
    let mut common = usize::MAX;
    for member in rest {
        if common == 0 {
            break;
        }
        common = common.min(first.key.common(&member.key, lexer));
    }
    common
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
        if self.depth == 0 && self.index && in_order {
            self.starts.clear();
            self.starts.extend(self.members.iter().map(|member| member.start));
        }
        self.members.truncate(mark);
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
