//! JSON values as a tree.

use std::borrow::Cow;

use crate::{Number, Object, Sink, string::write_string};

/// A JSON value that borrows from the text it was parsed from where it can.
///
/// Two values are equal exactly when their canonical forms are.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Value<'a> {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer. Strict parsing yields only those from [`MIN_INTEGER`](crate::MIN_INTEGER) to
    /// [`MAX_INTEGER`](crate::MAX_INTEGER).
    Integer(i64),
    /// A number of room versions 1 to 5 that is not an `i64`; only relaxed parsing yields these.
    Number(Number<'a>),
    /// A string, with escapes undone.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object.
    Object(Object<'a>),
}

impl<'a> Value<'a> {
    /// Feeds the canonical form to a sink.
    pub fn write_canonical(&self, sink: &mut impl Sink) {
        match self {
            Self::Null => sink.write(b"null"),
            Self::Bool(true) => sink.write(b"true"),
            Self::Bool(false) => sink.write(b"false"),
            Self::Integer(value) => write_integer(*value, sink),
            Self::Number(number) => sink.write(number.as_str().as_bytes()),
            Self::String(value) => write_string(value, sink),
            Self::Array(values) => write_array(values, sink),
            Self::Object(object) => object.write_canonical(sink),
        }
    }

    /// The canonical form.
    pub fn to_canonical_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_canonical(&mut out);
        out
    }

    /// The same value, borrowing from nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Integer(value) => Value::Integer(value),
            Self::Number(number) => Value::Number(number.into_owned()),
            Self::String(value) => Value::String(Cow::Owned(value.into_owned())),
            Self::Array(values) => Value::Array(values.into_iter().map(Value::into_owned).collect()),
            Self::Object(object) => Value::Object(object.into_owned()),
        }
    }

    /// Whether the value is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, if it is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<&[Value<'a>]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The elements for change, if it is an array.
    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Value<'a>>> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The object for change, if it is one.
    pub fn as_object_mut(&mut self) -> Option<&mut Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The object itself, if it is one.
    pub fn into_object(self) -> Option<Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// An integer of any type.
    pub(crate) fn from_integer<I: Copy + ToString + TryInto<i64>>(value: I) -> Self {
        match value.try_into() {
            Ok(value) => Self::Integer(value),
            Err(_) => Self::Number(Number::from_digits(value.to_string())),
        }
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::String(Cow::Borrowed(value))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::String(Cow::Owned(value))
    }
}

impl<'a> From<Vec<Value<'a>>> for Value<'a> {
    fn from(values: Vec<Value<'a>>) -> Self {
        Self::Array(values)
    }
}

impl<'a> From<Object<'a>> for Value<'a> {
    fn from(object: Object<'a>) -> Self {
        Self::Object(object)
    }
}

fn write_integer(value: i64, sink: &mut impl Sink) {
    let mut buffer = [0_u8; 20];
    let mut rest = value.unsigned_abs();
    let mut start = buffer.len();
    for (i, slot) in buffer.iter_mut().enumerate().rev() {
        *slot = b'0'.wrapping_add(u8::try_from(rest % 10).unwrap_or_default());
        start = i;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        sink.write(b"-");
    }
    sink.write(buffer.get(start..).unwrap_or_default());
}

fn write_array(values: &[Value<'_>], sink: &mut impl Sink) {
    sink.write(b"[");
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            sink.write(b",");
        }
        value.write_canonical(sink);
    }
    sink.write(b"]");
}
