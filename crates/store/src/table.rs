//! Tables: a name and a number for a map from keys to rows.

use std::fmt;
use std::marker::PhantomData;

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
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} {})", self.id.0, self.name)
    }
}
