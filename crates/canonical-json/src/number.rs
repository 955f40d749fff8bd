//! The numbers of room versions 1 to 5 that strict canonical JSON does not have.

use std::{borrow::Cow, fmt};

use crate::{
    Numbers,
    lexer::{Lexer, Num, NumKind},
};

/// A number that is not an `i64`: a finite float, or an integer of any size.
///
/// It is kept as the text that Python's `canonicaljson` prints for it, so that two of them are equal
/// exactly when their canonical forms are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Number<'a> {
    text: Cow<'a, str>,
}

impl<'a> Number<'a> {
    /// The number for a finite float.
    ///
    /// Returns `None` for NaN and the infinities, which have no canonical form.
    pub fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then(|| Self { text: Cow::Owned(python_float(value)) })
    }

    /// The number as it stands in canonical JSON.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the number is an integer, of more than 18 digits then.
    pub fn is_integer(&self) -> bool {
        self.text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit())
    }

    /// The nearest double; an infinity for an integer beyond all doubles.
    pub fn as_f64(&self) -> f64 {
        self.text.parse().unwrap_or(f64::NAN)
    }

    /// The same number, borrowing from nothing.
    pub fn into_owned(self) -> Number<'static> {
        Number { text: Cow::Owned(self.text.into_owned()) }
    }

    /// An integer beyond `i64`, given as its digits.
    pub(crate) fn from_digits(digits: String) -> Self {
        Self { text: Cow::Owned(digits) }
    }
}

impl fmt::Debug for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A number of a text, as the tree has it.
pub(crate) enum Scanned<'a> {
    Integer(i64),
    Number(Number<'a>),
}

/// What a number that was read stands for.
pub(crate) fn scanned<'a>(lexer: &Lexer<'a>, number: &Num) -> Scanned<'a> {
    match number.kind {
        NumKind::Integer(value) => Scanned::Integer(value),
        NumKind::NegativeZero => Scanned::Integer(0),
        NumKind::Big => {
            let text = Cow::Borrowed(lexer.slice(number.start, number.end));
            Scanned::Number(Number { text })
        }
        NumKind::Float(value) => {
            let printed = python_float(value);
            let raw = lexer.slice(number.start, number.end);
            let text = if printed == raw { Cow::Borrowed(raw) } else { Cow::Owned(printed) };
            Scanned::Number(Number { text })
        }
    }
}

/// The number that a whole text is, by the relaxed rules.
pub(crate) fn number_of(text: &str) -> Option<Scanned<'_>> {
    let mut lexer = Lexer::new(text);
    let number = lexer.number(Numbers::Relaxed).ok()?;
    lexer.end().ok()?;
    Some(scanned(&lexer, &number))
}

/// A finite float as Python's `float.__repr__` prints it: the shortest digits that read back as
/// the same double, as `123.0` for exponents from −4 to 15 and as `1e+16` otherwise.
///
/// <https://docs.python.org/3/tutorial/floatingpoint.html>
pub(crate) fn python_float(value: f64) -> String {
    // Rust prints the same shortest digits: `-1.25e-7`, without a decimal point for one digit.
    let shortest = format!("{value:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        return positional(mantissa, exponent);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// Moves the decimal point by the exponent.
fn positional(mantissa: &str, exponent: i32) -> String {
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(|&digit| digit != '.').collect();
    let shift = exponent.unsigned_abs() as usize;
    if exponent < 0 {
        let zeros = "0".repeat(shift.saturating_sub(1));
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = shift.saturating_add(1);
    let (integer, fraction) = digits.split_at_checked(whole).unwrap_or((&digits, ""));
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    format!("{sign}{integer:0<whole$}.{fraction}")
}
