//! How keys become bytes: prefix-free and in the order of the values.

use ruma_common::{OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId};

/// A value that can be a key of a table, or a part of one.
///
/// # Laws
/// - No encoding is a prefix of another, so that encodings can follow each other.
/// - Encodings compare, byte by byte, as the values do.
/// - `decode` gives back what was encoded, and takes exactly its bytes.
pub trait Key: Sized {
    /// Appends the encoding.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes one value from the front of `input`.
    ///
    /// # Errors
    /// [`KeyError`] when `input` does not begin with an encoding.
    fn decode(input: &mut &[u8]) -> Result<Self, KeyError>;
}

/// Bytes of the store that are no key of the table in which they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key ends too early.
    #[error("key ends in the middle of a value")]
    Short,
    /// The key goes on after its last part.
    #[error("{0} bytes after the end of the key")]
    Trailing(usize),
    /// A text is not UTF-8.
    #[error("text in a key is not UTF-8")]
    NotUtf8,
    /// A byte that no encoding has there.
    #[error("byte {0:#04x} has no meaning there")]
    Unexpected(u8),
    /// An identifier is not one of its kind.
    #[error("key holds no valid {0}")]
    Identifier(&'static str),
}

/// Takes the first `N` bytes.
fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], KeyError> {
    let (head, rest) = input.split_first_chunk::<N>().ok_or(KeyError::Short)?;
    *input = rest;
    Ok(*head)
}

macro_rules! unsigned {
    ($($kind:ty),*) => {$(
        impl Key for $kind {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
                take(input).map(<$kind>::from_be_bytes)
            }
        }
    )*};
}

unsigned!(u8, u16, u32, u64);

/// The sign is flipped, so that negative numbers come first.
impl Key for i64 {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.cast_unsigned() ^ (1 << 63)).encode(out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
        u64::decode(input).map(|bits| (bits ^ (1 << 63)).cast_signed())
    }
}

impl<const N: usize> Key for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
        take(input)
    }
}

const END: u8 = 0;
const ZERO: u8 = 1;

/// A zero byte inside is followed by `ZERO`, the one at the end by `END`, which is less.
impl Key for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        for byte in self {
            out.push(*byte);
            if *byte == 0 {
                out.push(ZERO);
            }
        }
        out.extend_from_slice(&[0, END]);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
        let mut bytes = Vec::new();
        loop {
            match take::<1>(input)? {
                [0] => match take::<1>(input)? {
                    [END] => return Ok(bytes),
                    [ZERO] => bytes.push(0),
                    [other] => return Err(KeyError::Unexpected(other)),
                },
                [byte] => bytes.push(byte),
            }
        }
    }
}

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_text(self, out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
        String::from_utf8(Vec::decode(input)?).map_err(|_| KeyError::NotUtf8)
    }
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    text.as_bytes().to_vec().encode(out);
}

macro_rules! identifiers {
    ($($kind:ty = $name:literal),*) => {$(
        impl Key for $kind {
            fn encode(&self, out: &mut Vec<u8>) {
                encode_text(self.as_str(), out);
            }

            fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
                let text = String::decode(input)?;
                <$kind>::try_from(text).map_err(|_| KeyError::Identifier($name))
            }
        }
    )*};
}

identifiers!(
    OwnedUserId = "user id",
    OwnedRoomId = "room id",
    OwnedRoomAliasId = "room alias",
    OwnedEventId = "event id",
    OwnedServerName = "server name"
);

/// `None` comes first.
impl<K: Key> Key for Option<K> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(key) => {
                out.push(1);
                key.encode(out);
            }
        }
    }

    fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
        match take::<1>(input)? {
            [0] => Ok(None),
            [1] => K::decode(input).map(Some),
            [other] => Err(KeyError::Unexpected(other)),
        }
    }
}

/// The only key of a table with one row, and the empty prefix of every key.
impl Key for () {
    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(_: &mut &[u8]) -> Result<Self, KeyError> {
        Ok(())
    }
}

macro_rules! tuples {
    ($(($($part:ident $index:tt),*);)*) => {$(
        impl<$($part: Key),*> Key for ($($part,)*) {
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$index.encode(out);)*
            }

            fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
                Ok(($($part::decode(input)?,)*))
            }
        }
    )*};
}

tuples! {
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
}

/// The bytes of a whole key.
pub(crate) fn encoded<K: Key>(key: &K) -> Vec<u8> {
    // As long as the id of an event; most keys are numbers.
    let mut bytes = Vec::with_capacity(48);
    key.encode(&mut bytes);
    bytes
}

/// A whole key from its bytes.
pub(crate) fn decoded<K: Key>(mut bytes: &[u8]) -> Result<K, KeyError> {
    let key = K::decode(&mut bytes)?;
    if bytes.is_empty() { Ok(key) } else { Err(KeyError::Trailing(bytes.len())) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Sample = (u32, String, i64, Option<Vec<u8>>);

    proptest! {
        #[test]
        fn keys_come_back_as_they_were(key: Sample) {
            prop_assert_eq!(decoded::<Sample>(&encoded(&key)).unwrap(), key);
        }

        #[test]
        fn bytes_compare_as_keys_do(one: Sample, other: Sample) {
            prop_assert_eq!(encoded(&one).cmp(&encoded(&other)), one.cmp(&other));
        }

        #[test]
        fn no_key_is_a_prefix_of_another(one: Vec<u8>, other: Vec<u8>) {
            prop_assume!(one != other);
            prop_assert!(!encoded(&one).starts_with(&encoded(&other)));
        }
    }

    #[test]
    fn zero_bytes_neither_end_a_text_nor_change_its_order() {
        let ordered = ["", "\0", "\0\0", "\0\u{1}", "a", "a\0", "a\0b", "a\u{1}", "ab"];
        let encodings: Vec<Vec<u8>> = ordered.iter().map(|text| encoded(&(*text).to_owned())).collect();
        assert!(encodings.is_sorted());
    }

    #[test]
    fn what_follows_a_key_is_an_error() {
        let mut bytes = encoded(&7_u32);
        bytes.push(1);
        assert_eq!(decoded::<u32>(&bytes), Err(KeyError::Trailing(1)));
        assert_eq!(decoded::<u64>(&bytes), Err(KeyError::Short));
    }
}
