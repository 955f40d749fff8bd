//! Filters that users upload (<https://spec.matrix.org/v1.19/client-server-api/#filtering>).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use freehold_store::tables::accounts::FILTERS;
use freehold_store::{Batch, Order, ReadError, UserNumber};
use sha2::{Digest, Sha256};

use crate::accounts::Accounts;
use crate::failure::{ServerFailure, server_failures};

/// Bytes of the hash that are a filter's id: enough that two filters of a user do not meet.
const ID_BYTES: usize = 12;

/// Why a filter is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The filter is too long.
    #[error("filter has {found} bytes; {max} are allowed")]
    TooLarge {
        /// Its length.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// The user has as many as there may be.
    #[error("user has {max} filters, which is the most there may be")]
    TooMany {
        /// The bound.
        max: usize,
    },
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(FilterError);

impl Accounts {
    /// Keeps a filter, as JSON; its id. The same filter has the same id.
    ///
    /// # Errors
    /// [`FilterError`].
    pub async fn new_filter(&self, user: UserNumber, filter: &str) -> Result<String, FilterError> {
        let limits = self.limits();
        let (found, max) = (filter.len(), limits.filter_bytes);
        if found > max {
            return Err(FilterError::TooLarge { found, max });
        }
        let digest = Sha256::digest(filter.as_bytes());
        let id = BASE64_URL_SAFE_NO_PAD.encode(digest.iter().copied().take(ID_BYTES).collect::<Vec<u8>>());
        let key = (user, id.clone());
        let snapshot = self.store().snapshot()?;
        if snapshot.get(&FILTERS, &key).await?.is_some() {
            return Ok(id);
        }
        let max = limits.filters;
        if snapshot.scan_prefix(&FILTERS, &(user,), Order::Ascending, max).await?.len() >= max {
            return Err(FilterError::TooMany { max });
        }
        let mut batch = Batch::new();
        batch.put(&FILTERS, &key, &filter.to_owned());
        self.store().commit(batch).await.map_err(ServerFailure::from)?;
        Ok(id)
    }

    /// A filter of a user, as JSON.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn filter(&self, user: UserNumber, id: &str) -> Result<Option<String>, ReadError> {
        self.store().snapshot()?.get(&FILTERS, &(user, id.to_owned())).await
    }
}
