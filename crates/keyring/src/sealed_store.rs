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

    /// Stores `next` if the record of the tenant still is `expected`.
    ///
    /// Compare and replace are one step: of two callers who change the same record, one is told to
    /// start over, so no key is lost between them.
    ///
    /// # Errors
    ///
    /// The store's own.
    fn replace(
        &self,
        tenant: &ServerName,
        expected: Option<&[u8]>,
        next: &[u8],
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
    ) -> Result<Replaced, Self::Error> {
        (**self).replace(tenant, expected, next)
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
}
