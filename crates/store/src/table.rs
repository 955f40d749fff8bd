//! Tables: a name and a number for a map from keys to rows.

use std::fmt;
use std::marker::PhantomData;

use crate::key::{self, Key, KeyError};
use crate::value::{self, Value, ValueError};

/// The number under which an engine files a table. All of them are listed in [`crate::tables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u8);

impl TableId {
    /// The table of examples and tests.
    pub const EXAMPLE: TableId = TableId(255);
    /// Where an engine keeps what it needs for itself, such as its position.
    pub const ENGINE: TableId = TableId(254);
}

/// A map from typed keys to typed rows.
pub struct Table<K, V> {
    /// Under which the engine files it.
    pub id: TableId,
    /// For people: in errors, metrics and reports.
    pub name: &'static str,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> Table<K, V> {
    /// A table; its number and name are its own among all tables.
    pub const fn new(id: TableId, name: &'static str) -> Self {
        Table { id, name, types: PhantomData }
    }

    /// The table without its types.
    pub const fn any(&self) -> AnyTable
    where
        K: Key,
        V: Value,
    {
        AnyTable { id: self.id, name: self.name, check: check_row::<K, V> }
    }
}

/// A table whose types are known to its check only.
#[derive(Clone, Copy)]
pub struct AnyTable {
    /// Under which the engine files it.
    pub id: TableId,
    /// For people: in errors, metrics and reports.
    pub name: &'static str,
    check: fn(&[u8], &[u8]) -> Result<(), RowDamage>,
}

/// What is wrong with a row, or with its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowDamage {
    /// The key is none of the table's.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The row is none of the table's.
    #[error(transparent)]
    Row(#[from] ValueError),
    /// The row is not what the table's row is written as: it has more bytes, or others.
    #[error("row is written in another way than this software writes it")]
    Form,
}

impl AnyTable {
    /// Whether bytes are a key and a row of the table.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self, key: &[u8], row: &[u8]) -> Result<(), RowDamage> {
        (self.check)(key, row)
    }
}

impl fmt::Debug for AnyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyTable({} {})", self.id.0, self.name)
    }
}

fn check_row<K: Key, V: Value>(key: &[u8], row: &[u8]) -> Result<(), RowDamage> {
    key::decoded::<K>(key)?;
    let value = value::decoded::<V>(row)?;
    if value::encoded(&value) == row { Ok(()) } else { Err(RowDamage::Form) }
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} {})", self.id.0, self.name)
    }
}
