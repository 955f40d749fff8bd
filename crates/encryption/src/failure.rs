//! What can go wrong without anybody's fault: the store.

use freehold_store::{CommitError, ReadError};

/// A failure of the store under a request.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be written.
    #[error("store did not take the change")]
    Commit(#[source] CommitError),
    /// So many others change the same thing that this request gave up. Nothing was changed.
    #[error("gave up after {0} attempts to change what others change too")]
    Busy(usize),
}
