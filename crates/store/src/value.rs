//! How rows become bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A row: anything serde can write, as postcard writes it.
///
/// Fields are written in order and without names, so a row's fields are never reordered or removed; a
/// new shape of a row is a new table, or a migration.
pub trait Value: Serialize + DeserializeOwned {}

impl<T: Serialize + DeserializeOwned> Value for T {}

/// Bytes of the store that are no row of the table in which they lie.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row cannot be read: {0}")]
pub struct ValueError(pub postcard::Error);

/// The bytes of a row.
///
/// Writing to memory fails for a type that cannot be written at all (a map of unknown length), and the tests of each
/// table write one; then the row is empty, and reading it says so.
pub(crate) fn encoded<V: Value>(value: &V) -> Vec<u8> {
    // Roughly as long as it will be, if it has no long texts: a row is written byte by byte.
    let bytes = Vec::with_capacity(size_of::<V>().min(256));
    postcard::to_extend(value, bytes).unwrap_or_default()
}

pub(crate) fn decoded<V: Value>(bytes: &[u8]) -> Result<V, ValueError> {
    postcard::from_bytes(bytes).map_err(ValueError)
}
