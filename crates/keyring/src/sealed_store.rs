//! Where sealed keys lie when nobody uses them.

use ruma_common::ServerName;

/// Storage of one record per tenant, owned by the caller: a database table, a
/// [`KeyLog`](crate::KeyLog), a map in a test.
///
/// A record holds public keys, times and sealed secrets; the store needs no secrecy of its own, but
/// it must not lose or forget a record, and it must be durable when
/// [`replace`](Self::replace) returns.
pub trait SealedStore {
    /// Why the store failed.
    type Error;

    /// The record of a tenant as last stored, or `None` if there never was one.
    ///
    /// # Errors
    ///
    /// The store's own; a store that cannot tell whether there is a record must not answer `None`.
    fn load(&self, tenant: &ServerName) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Stores `next` if the record of the tenant still is `expected`, and no other tenant has one of
    /// `new_keys`: the public halves of the keys whose secrets are in `next` and not in `expected`.
    ///
    /// All of it is one step: of two callers who change the same record, one is told to start over,
    /// so no key is lost between them; and of two tenants who bring the same key, one is refused. In
    /// a database `new_keys` are rows of a second table with a unique key, inserted in the same
    /// transaction.
    ///
    /// # Errors
    ///
    /// The store's own.
    fn replace(
        &self,
        tenant: &ServerName,
        expected: Option<&[u8]>,
        next: &[u8],
        new_keys: &[[u8; 32]],
    ) -> Result<Replaced, Self::Error>;
}

impl<S: SealedStore + ?Sized> SealedStore for &S {
    type Error = S::Error;

    fn load(&self, tenant: &ServerName) -> Result<Option<Vec<u8>>, Self::Error> {
        (**self).load(tenant)
    }

    fn replace(
        &self,
        tenant: &ServerName,
        expected: Option<&[u8]>,
        next: &[u8],
        new_keys: &[[u8; 32]],
    ) -> Result<Replaced, Self::Error> {
        (**self).replace(tenant, expected, next, new_keys)
    }
}

/// What became of a [`SealedStore::replace`].
#[must_use = "what is stale has to be read and changed anew"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The record is stored.
    Done,
    /// The record is another than expected; nothing was stored.
    Stale,
    /// Another tenant has one of the new keys; nothing was stored.
    KeyTaken {
        /// Its public half.
        key: [u8; 32],
    },
}
