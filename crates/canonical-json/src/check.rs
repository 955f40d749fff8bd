//! Is a text canonical already? One pass, no memory.

use std::cmp::Ordering;

use crate::{
    Limits, NotCanonical, ParseError,
    canonical::other_form,
    error::{Fault, NotCanonicalKind},
    key::Key,
    lexer::{Form, Lexer, Num, Str},
    walk::{Walk, Watch, text_of},
};

/// Checks in a single pass that a text is canonical JSON: that
/// [`canonicalize`](crate::canonicalize) would return it unchanged.
///
/// # Errors
///
/// Returns the first place where the text is not canonical or not JSON within the limits.
///
/// ```
/// use freehold_canonical_json::{Limits, NotCanonicalKind, check_canonical};
///
/// assert!(check_canonical(br#"{"a":1,"b":2}"#, &Limits::STRICT).is_ok());
///
/// let error = check_canonical(br#"{"b":1,"a":2}"#, &Limits::STRICT).unwrap_err();
/// assert_eq!((error.offset, error.kind), (7, NotCanonicalKind::KeyOrder));
/// ```
pub fn check_canonical(bytes: &[u8], limits: &Limits) -> Result<(), NotCanonical> {
    let text = text_of(bytes, limits).map_err(|ParseError { offset, kind }| NotCanonical {
        offset,
        kind: NotCanonicalKind::Invalid(kind),
    })?;
    let mut walk = Walk::new(Lexer::new(text), Check, limits);
    walk.whole().map_err(|fault| fault.into_not_canonical(&walk.lexer, limits))
}

/// Whether a text is canonical JSON; see [`check_canonical`].
pub fn is_canonical(bytes: &[u8], limits: &Limits) -> bool {
    check_canonical(bytes, limits).is_ok()
}

/// Stops at the first departure from canonical form, with the position there.
struct Check;

impl Watch for Check {
    const KEYS: bool = true;

    #[cold]
    fn space(&mut self, lexer: &mut Lexer<'_>, start: usize) -> Result<(), Fault> {
        lexer.set_pos(start);
        Err(Fault::WhiteSpace)
    }

    #[inline]
    fn string(&mut self, lexer: &mut Lexer<'_>, token: &Str) -> Result<(), Fault> {
        if token.form != Form::Other {
            return Ok(());
        }
        lexer.set_pos(token.start.wrapping_sub(1));
        Err(Fault::Escape)
    }

    #[inline]
    fn number(&mut self, lexer: &mut Lexer<'_>, number: &Num) -> Result<(), Fault> {
        if other_form(lexer, number).is_none() {
            return Ok(());
        }
        lexer.set_pos(number.start);
        Err(Fault::NumberForm)
    }

    #[inline]
    fn key(&mut self, lexer: &mut Lexer<'_>, key: Key, order: Ordering) -> Result<(), Fault> {
        let fault = match order {
            Ordering::Less => return Ok(()),
            Ordering::Equal => Fault::DuplicateKey,
            Ordering::Greater => Fault::KeyOrder,
        };
        lexer.set_pos(key.start().wrapping_sub(1));
        Err(fault)
    }

    #[inline]
    fn open_object(&mut self) -> usize {
        0
    }

    #[inline]
    fn close_object(&mut self, _: &Lexer<'_>, _: usize, _: bool) {}
}
