//! What can go wrong without anybody's fault but the server's.

use freehold_store::{CommitError, NumberError, ReadError};

/// The server failed, not who asked.
#[derive(Debug, thiserror::Error)]
pub enum ServerFailure {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be written.
    #[error("store did not take the change")]
    Commit(#[from] CommitError),
    /// There is no number for an identifier.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// Other requests changed the same rows again and again.
    #[error("other requests changed the same rows {0} times in a row")]
    Contended(u32),
    /// There are no random bytes.
    #[error("operating system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// A password could not be hashed.
    #[error("password cannot be hashed: {0}")]
    Hash(String),
    /// What the store holds is not what this crate wrote.
    #[error("damaged {0} in the store")]
    Damaged(&'static str),
    /// What a tenant has settled cannot be read.
    #[error("policy of a tenant cannot be read: {0}")]
    Policy(String),
    /// What belongs to a device could not be removed.
    #[error("keys of a device cannot be reached: {0}")]
    DeviceKeys(String),
    /// Rooms could not be changed.
    #[error("member event cannot be sent: {0}")]
    MemberEvent(String),
}

/// Lets `?` turn failures of the store into the `Server` variant of an operation's error.
macro_rules! server_failures {
    ($($error:ty),*) => {$(
        impl From<freehold_store::ReadError> for $error {
            fn from(error: freehold_store::ReadError) -> Self {
                Self::Server(error.into())
            }
        }

        impl From<freehold_store::NumberError> for $error {
            fn from(error: freehold_store::NumberError) -> Self {
                Self::Server(error.into())
            }
        }
    )*};
}

pub(crate) use server_failures;
