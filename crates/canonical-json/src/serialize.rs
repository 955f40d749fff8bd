//! Any `Serialize` type to canonical JSON.

use std::{borrow::Cow, fmt};

use serde::{
    Serialize,
    ser::{
        Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

use crate::{Limits, MAX_INTEGER, Number, Numbers, Object, Value};

/// A value cannot be written as canonical JSON; the program that made it is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SerializeError {
    /// More bytes than [`Limits::bytes`] lets there be.
    #[error("canonical form of {length} bytes is longer than {limit}")]
    TooLong {
        /// The length of the canonical form in bytes.
        length: usize,
        /// The bound that was given.
        limit: usize,
    },
    /// More arrays and objects inside each other than [`Limits::depth`] lets be.
    #[error("arrays and objects nested more than {limit} deep")]
    TooDeep {
        /// The bound that was given.
        limit: usize,
    },
    /// An integer outside [`MIN_INTEGER`](crate::MIN_INTEGER) to [`MAX_INTEGER`] under
    /// [`Numbers::Strict`].
    #[error("integer {value} is outside -(2^53)+1 to (2^53)-1")]
    IntegerOutOfRange {
        /// The integer in decimal digits.
        value: String,
    },
    /// A float under [`Numbers::Strict`].
    #[error("floats are not canonical JSON")]
    Float,
    /// NaN or an infinity.
    #[error("`NaN` and infinities are not JSON")]
    NotFinite,
    /// A key of a map is not a string.
    #[error("key is not a string")]
    KeyNotString,
    /// The same key twice in one object. What to sign would be a matter of taste, so that unlike in
    /// text that is read this is refused.
    #[error("key `{key}` occurs twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// Byte strings have no JSON form.
    #[error("byte strings have no JSON form")]
    Bytes,
    /// The `Serialize` implementation itself failed.
    #[error("{0}")]
    Custom(String),
}

impl Error for SerializeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

/// The canonical form of any `Serialize` type.
///
/// # Errors
///
/// Returns why the value has no canonical form within the limits.
///
/// ```
/// use freehold_canonical_json::{Limits, to_canonical_vec_from};
///
/// let bytes = to_canonical_vec_from(&[("b", 1), ("a", 2)], &Limits::STRICT)?;
/// assert_eq!(bytes, br#"[["b",1],["a",2]]"#);
/// # Ok::<(), freehold_canonical_json::SerializeError>(())
/// ```
pub fn to_canonical_vec_from<T: Serialize + ?Sized>(
    value: &T,
    limits: &Limits,
) -> Result<Vec<u8>, SerializeError> {
    let out = to_value(value, limits)?.to_canonical_vec();
    if out.len() > limits.bytes {
        return Err(SerializeError::TooLong { length: out.len(), limit: limits.bytes });
    }
    Ok(out)
}

/// Any `Serialize` type as a tree. [`Limits::bytes`] is not looked at.
///
/// # Errors
///
/// Returns why the value has no canonical form within the limits.
pub fn to_value<T: Serialize + ?Sized>(value: &T, limits: &Limits) -> Result<Value<'static>, SerializeError> {
    value.serialize(Serializer { limits, depth_left: limits.depth })
}

type Outcome = Result<Value<'static>, SerializeError>;

#[derive(Clone, Copy)]
struct Serializer<'l> {
    limits: &'l Limits,
    depth_left: usize,
}

impl<'l> Serializer<'l> {
    fn deeper(self) -> Result<Self, SerializeError> {
        let too_deep = SerializeError::TooDeep { limit: self.limits.depth };
        let depth_left = self.depth_left.checked_sub(1).ok_or(too_deep)?;
        Ok(Self { depth_left, ..self })
    }

    fn array(self) -> Result<ArraySerializer<'l>, SerializeError> {
        Ok(ArraySerializer { inner: self.deeper()?, values: Vec::new(), variant: None })
    }

    fn object(self) -> Result<ObjectSerializer<'l>, SerializeError> {
        let inner = self.deeper()?;
        Ok(ObjectSerializer { inner, object: Object::new(), key: None, variant: None })
    }

    fn integer(self, value: impl Into<i128>) -> Outcome {
        let value = value.into();
        let in_range = value.unsigned_abs() <= u128::from(MAX_INTEGER.unsigned_abs());
        if !in_range && self.limits.numbers == Numbers::Strict {
            return Err(SerializeError::IntegerOutOfRange { value: value.to_string() });
        }
        Ok(Value::from_integer(value))
    }
}

impl<'l> serde::Serializer for Serializer<'l> {
    type Ok = Value<'static>;
    type Error = SerializeError;
    type SerializeSeq = ArraySerializer<'l>;
    type SerializeTuple = ArraySerializer<'l>;
    type SerializeTupleStruct = ArraySerializer<'l>;
    type SerializeTupleVariant = ArraySerializer<'l>;
    type SerializeMap = ObjectSerializer<'l>;
    type SerializeStruct = ObjectSerializer<'l>;
    type SerializeStructVariant = ObjectSerializer<'l>;

    fn serialize_bool(self, value: bool) -> Outcome {
        Ok(Value::Bool(value))
    }
    fn serialize_i8(self, value: i8) -> Outcome {
        self.integer(value)
    }
    fn serialize_i16(self, value: i16) -> Outcome {
        self.integer(value)
    }
    fn serialize_i32(self, value: i32) -> Outcome {
        self.integer(value)
    }
    fn serialize_i64(self, value: i64) -> Outcome {
        self.integer(value)
    }
    fn serialize_i128(self, value: i128) -> Outcome {
        self.integer(value)
    }
    fn serialize_u8(self, value: u8) -> Outcome {
        self.integer(value)
    }
    fn serialize_u16(self, value: u16) -> Outcome {
        self.integer(value)
    }
    fn serialize_u32(self, value: u32) -> Outcome {
        self.integer(value)
    }
    fn serialize_u64(self, value: u64) -> Outcome {
        self.integer(value)
    }

    fn serialize_u128(self, value: u128) -> Outcome {
        if let Ok(value) = i128::try_from(value) {
            return self.integer(value);
        }
        match self.limits.numbers {
            Numbers::Relaxed => Ok(Value::from_integer(value)),
            Numbers::Strict => Err(SerializeError::IntegerOutOfRange { value: value.to_string() }),
        }
    }

    fn serialize_f32(self, value: f32) -> Outcome {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Outcome {
        let number = Number::from_f64(value).ok_or(SerializeError::NotFinite)?;
        match self.limits.numbers {
            Numbers::Strict => Err(SerializeError::Float),
            Numbers::Relaxed => Ok(Value::Number(number)),
        }
    }

    fn serialize_char(self, value: char) -> Outcome {
        Ok(Value::from(value.to_string()))
    }
    fn serialize_str(self, value: &str) -> Outcome {
        Ok(Value::from(value.to_owned()))
    }
    fn serialize_bytes(self, _: &[u8]) -> Outcome {
        Err(SerializeError::Bytes)
    }
    fn serialize_none(self) -> Outcome {
        Ok(Value::Null)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Outcome {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Outcome {
        Ok(Value::Null)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Outcome {
        Ok(Value::Null)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Outcome {
        Ok(Value::from(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Outcome {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Outcome {
        Ok(tagged(Some(variant), value.serialize(self.deeper()?)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, SerializeError> {
        self.array()
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, SerializeError> {
        self.array()
    }
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, SerializeError> {
        self.array()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, SerializeError> {
        Ok(ArraySerializer { variant: Some(variant), ..self.deeper()?.array()? })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, SerializeError> {
        self.object()
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, SerializeError> {
        self.object()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, SerializeError> {
        Ok(ObjectSerializer { variant: Some(variant), ..self.deeper()?.object()? })
    }
}

/// The value, or an object that names the variant it belongs to.
fn tagged(variant: Option<&'static str>, value: Value<'static>) -> Value<'static> {
    match variant {
        Some(variant) => Value::Object([(variant, value)].into_iter().collect()),
        None => value,
    }
}

struct ArraySerializer<'l> {
    inner: Serializer<'l>,
    values: Vec<Value<'static>>,
    variant: Option<&'static str>,
}

impl ArraySerializer<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        self.values.push(value.serialize(self.inner)?);
        Ok(())
    }

    fn finish(self) -> Outcome {
        Ok(tagged(self.variant, Value::Array(self.values)))
    }
}

/// The traits of serde for arrays differ in the name of one method.
macro_rules! array_serializer {
    ($($name:ident $method:ident),*) => {$(
        impl $name for ArraySerializer<'_> {
            type Ok = Value<'static>;
            type Error = SerializeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
                self.push(value)
            }

            fn end(self) -> Outcome {
                self.finish()
            }
        }
    )*};
}

array_serializer!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

struct ObjectSerializer<'l> {
    inner: Serializer<'l>,
    object: Object<'static>,
    key: Option<Cow<'static, str>>,
    variant: Option<&'static str>,
}

impl ObjectSerializer<'_> {
    fn insert<T: Serialize + ?Sized>(
        &mut self,
        key: Cow<'static, str>,
        value: &T,
    ) -> Result<(), SerializeError> {
        if self.object.contains_key(&key) {
            return Err(SerializeError::DuplicateKey { key: key.into_owned() });
        }
        let value = value.serialize(self.inner)?;
        self.object.insert(key, value);
        Ok(())
    }

    fn finish(self) -> Outcome {
        Ok(tagged(self.variant, Value::Object(self.object)))
    }
}

impl SerializeMap for ObjectSerializer<'_> {
    type Ok = Value<'static>;
    type Error = SerializeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerializeError> {
        match key.serialize(self.inner)? {
            Value::String(key) => self.key = Some(key),
            _ => return Err(SerializeError::KeyNotString),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        let key = self.key.take().ok_or(SerializeError::KeyNotString)?;
        self.insert(key, value)
    }

    fn end(self) -> Outcome {
        self.finish()
    }
}

/// The traits of serde for structs have the same methods.
macro_rules! object_serializer {
    ($($name:ident),*) => {$(
        impl $name for ObjectSerializer<'_> {
            type Ok = Value<'static>;
            type Error = SerializeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), SerializeError> {
                self.insert(Cow::Borrowed(key), value)
            }

            fn end(self) -> Outcome {
                self.finish()
            }
        }
    )*};
}

object_serializer!(SerializeStruct, SerializeStructVariant);
