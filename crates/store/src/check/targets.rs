//! What a row of a table claims about others.

use crate::engine::Bytes;
use crate::key::{self, Key};
use crate::table::{Table, TableId};
use crate::value::{self, Value};

/// What one row claims: other rows that must be there, and what is wrong with it already.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) targets: Vec<Target>,
    pub(super) misfiled: Option<&'static str>,
}

/// A row that must be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) table: TableId,
    pub(super) name: &'static str,
    pub(super) key: Bytes,
}

impl Claims {
    /// A row of this table has this key.
    pub(super) fn to<K: Key, V>(&mut self, table: &Table<K, V>, key: &K) {
        self.targets.push(Target { table: table.id, name: table.name, key: key::encoded(key) });
    }

    /// The row belongs under its key.
    pub(super) fn must(&mut self, holds: bool, otherwise: &'static str) {
        if !holds {
            self.misfiled = Some(otherwise);
        }
    }
}

type Read = Box<dyn Fn(&[u8], &[u8]) -> Option<Claims> + Send + Sync>;

/// A table whose rows refer to others.
pub(super) struct Referring {
    pub(super) id: TableId,
    pub(super) name: &'static str,
    read: Read,
}

impl Referring {
    /// A table, and what each of its rows claims.
    pub(super) fn new<K: Key + 'static, V: Value + 'static>(
        table: &Table<K, V>,
        claim: fn(&K, &V, &mut Claims),
    ) -> Self {
        let read = move |key: &[u8], row: &[u8]| {
            let (key, row) = (key::decoded::<K>(key).ok()?, value::decoded::<V>(row).ok()?);
            let mut claims = Claims::default();
            claim(&key, &row, &mut claims);
            Some(claims)
        };
        Referring { id: table.id, name: table.name, read: Box::new(read) }
    }

    /// What a row claims; `None` for one that cannot be read.
    pub(super) fn claims(&self, key: &[u8], row: &[u8]) -> Option<Claims> {
        (self.read)(key, row)
    }
}
