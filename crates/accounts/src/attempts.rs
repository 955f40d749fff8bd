//! Trying again when somebody else was first.

use freehold_store::{Batch, CommitError, Position, Store};

use crate::failure::ServerFailure;

/// More than one request at a time for the same rows is rare; so many in a row mean that something is wrong.
const ATTEMPTS_MAX: u32 = 32;

/// Counts how often a batch was made anew after a conflict.
#[derive(Debug, Default)]
pub(crate) struct Attempts(u32);

impl Attempts {
    /// Commits a batch: its position, or `None` if it has to be made again from a newer snapshot.
    pub(crate) async fn commit(
        &mut self,
        store: &Store,
        batch: Batch,
    ) -> Result<Option<Position>, ServerFailure> {
        match store.commit(batch).await {
            Ok(position) => Ok(Some(position)),
            Err(CommitError::Conflict { .. }) if self.0 < ATTEMPTS_MAX => {
                self.0 += 1;
                Ok(None)
            }
            Err(CommitError::Conflict { .. }) => Err(ServerFailure::Contended(self.0)),
            Err(error) => Err(error.into()),
        }
    }
}
