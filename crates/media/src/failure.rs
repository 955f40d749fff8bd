//! What can go wrong without anybody's fault.

use freehold_store::{CommitError, ReadError};

/// Why the rest of an upload did not come.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A failure of the store, or of where the bytes lie.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be written.
    #[error("store did not take the change")]
    Commit(#[source] CommitError),
    /// The bytes cannot be read or written.
    #[error("media storage")]
    Objects(#[from] object_store::Error),
    /// So many others change the same thing that this request gave up. Nothing was changed.
    #[error("gave up after {0} attempts to change what others change too")]
    Busy(usize),
    /// The operating system gives no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
    /// A thread that made a thumbnail was stopped.
    #[error("work on a picture was stopped")]
    Stopped,
}
