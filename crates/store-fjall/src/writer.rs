//! What the committing thread does with a group of batches.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use freehold_store::{Assembled, Batch, CommitError, EngineError, assemble};

use crate::committer::Outcome;
use crate::journal::{AppendError, Record, Segment};
use crate::settings::Settings;
use crate::sorter::Sorter;
use crate::tree::Tree;

/// How many tables in memory may wait to be sorted before writes wait for that.
const SEALED: usize = 3;

/// How many files may wait to be merged before writes wait for that: reads have to look into each.
const UNMERGED: usize = 24;

/// How long a group waits for the sorter before it is refused.
const PATIENCE: Duration = Duration::from_secs(10);

/// Owns the journal, and is the only one who writes into the tree.
pub(crate) struct Writer {
    pub(crate) folder: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) tree: Arc<Tree>,
    pub(crate) segment: Segment,
    pub(crate) sorter: Sorter,
    /// Why nothing is written any more, until the store is opened again.
    pub(crate) broken: Option<EngineError>,
}

impl Writer {
    /// Commits a group: durably, or not at all.
    pub(crate) fn commit(&mut self, batches: Vec<Batch>) -> Vec<Outcome> {
        let count = batches.len();
        let outcomes = self.expect_writable().and_then(|()| self.write(batches));
        if self.tree.is_to_be_sealed() {
            self.seal();
        }
        outcomes.unwrap_or_else(|error| vec![Err(error); count])
    }

    /// What is left to do when those who waited for a group have their answers: it would keep them waiting for several syncs.
    pub(crate) fn settle(&mut self) {
        let full = self.settings.write_buffer_bytes;
        if self.tree.unsealed_bytes() >= full || self.segment.bytes() >= full {
            self.seal();
        }
    }

    fn write(&mut self, batches: Vec<Batch>) -> Result<Vec<Outcome>, CommitError> {
        let shown = self.tree.shown();
        let mut assembled = assemble(batches, shown.position, |table, key| shown.get(table, key))
            .map_err(CommitError::Engine)?;
        if assembled.last == shown.position {
            return Ok(assembled.outcomes);
        }
        drop(shown);
        match self.append(&mut assembled) {
            Ok(record) => {
                self.tree.apply(record.sequence, record.operations, assembled.last);
                assembled.announce();
                Ok(assembled.outcomes)
            }
            Err(error) => Ok(assembled.failed(&error)),
        }
    }

    fn append(&mut self, assembled: &mut Assembled) -> Result<Record, CommitError> {
        let mut operations = std::mem::take(&mut assembled.operations);
        operations.push(Tree::position_row(assembled.last));
        let record = Record { sequence: self.tree.next_sequence(), operations };
        self.segment.append(&record).map_err(|error| {
            self.tree.abandon();
            self.append_error(error)
        })?;
        Ok(record)
    }

    fn append_error(&mut self, error: AppendError) -> CommitError {
        match error {
            AppendError::Refused(error) if is_full(&error) => CommitError::Full,
            AppendError::Refused(error) => CommitError::Engine(EngineError(error.to_string())),
            // After a failed sync the system may say that all is well while the disk has nothing. Only reading the
            // disk anew tells, so nothing is written until then.
            AppendError::Broken(error) => {
                let error = EngineError(format!("what is on the disk is not known any more: {error}"));
                self.broken = Some(error.clone());
                CommitError::Engine(error)
            }
        }
    }

    /// Whether there is room on the disk and in memory; waits for the sorter if it is behind.
    fn expect_writable(&self) -> Result<(), CommitError> {
        if let Some(broken) = &self.broken {
            return Err(CommitError::Engine(broken.clone()));
        }
        if free_bytes(&self.folder).is_ok_and(|free| free < self.settings.reserve_bytes) {
            return Err(CommitError::Full);
        }
        let deadline = Instant::now() + PATIENCE;
        while self.tree.sealed() >= SEALED || self.tree.unmerged() >= UNMERGED {
            if let Some(failure) = self.sorter.failure() {
                return Err(self.stuck(failure));
            }
            if Instant::now() > deadline {
                return Err(CommitError::Engine(EngineError("sorting is too far behind".to_owned())));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// What it means for a batch that the sorter failed.
    fn stuck(&self, failure: EngineError) -> CommitError {
        let needed = self.settings.reserve_bytes.max(self.settings.write_buffer_bytes * 4);
        match free_bytes(&self.folder) {
            Ok(free) if free < needed => CommitError::Full,
            _ => CommitError::Engine(failure),
        }
    }

    /// Begins a new table in memory and a new segment. Without room for a new segment the old one grows on.
    fn seal(&mut self) {
        let Ok(next) = new_segment(&self.folder, self.segment.number + 1, &self.settings) else { return };
        let sealed = std::mem::replace(&mut self.segment, next);
        self.tree.seal();
        self.sorter.take(sealed.last.map(|last| (last, sealed.path)));
    }
}

impl Drop for Writer {
    /// Sorts what is in memory, so that the next start has nothing to replay.
    fn drop(&mut self) {
        if self.broken.is_none() {
            self.tree.seal();
            self.sorter.take(self.segment.last.map(|last| (last, self.segment.path.clone())));
        }
    }
}

/// A segment with room for a table in memory and the group that fills it.
pub(crate) fn new_segment(folder: &Path, number: u64, settings: &Settings) -> io::Result<Segment> {
    Segment::create(folder, number, settings.write_buffer_bytes)
}

/// How much room the disk has for us.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

#[cfg(test)]
mod tests {
    use freehold_store::conformance::NAMES;
    use freehold_store::{TableId, UserNumber};

    use super::*;

    fn writer(folder: &Path) -> Writer {
        let settings = Settings { reserve_bytes: 0, ..Settings::default() };
        let tree = Arc::new(Tree::open(&folder.join("tree"), &settings).unwrap());
        tree.show_recovered().unwrap();
        let segment = new_segment(folder, 1, &settings).unwrap();
        let sorter = Sorter::start(tree.clone()).unwrap();
        Writer { folder: folder.to_owned(), settings, tree, segment, sorter, broken: None }
    }

    fn named(user: u64) -> Batch {
        let mut batch = Batch::new();
        batch.put(&NAMES, &UserNumber(user), &"new".to_owned());
        batch
    }

    /// Whether a user has a row.
    fn is_there(writer: &Writer, user: u64) -> bool {
        writer.tree.shown().get(TableId::EXAMPLE, &user.to_be_bytes()).unwrap().is_some()
    }

    /// On Linux `/dev/null` takes what is written and cannot be synced; `/dev/full` takes nothing and cannot be cut back.
    #[test]
    fn after_a_failed_sync_nothing_is_written_and_reading_goes_on() {
        for device in ["/dev/null", "/dev/full"] {
            let folder = tempfile::tempdir().unwrap();
            let mut writer = writer(folder.path());
            assert!(matches!(writer.commit(vec![named(1)])[..], [Ok(_)]));
            writer.segment.divert(device);
            for user in [2, 3] {
                let outcomes = writer.commit(vec![named(user), named(user)]);
                assert!(matches!(outcomes[..], [Err(CommitError::Engine(_)), Err(CommitError::Engine(_))]));
            }
            assert!(is_there(&writer, 1) && !is_there(&writer, 2) && !is_there(&writer, 3));
            assert_eq!(writer.tree.shown().position.0, 1);
        }
    }

    #[test]
    fn writes_are_refused_before_the_disk_is_full_and_taken_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path());
        writer.settings.reserve_bytes = u64::MAX;
        assert!(matches!(writer.commit(vec![named(1)])[..], [Err(CommitError::Full)]));
        writer.settings.reserve_bytes = 0;
        assert!(matches!(writer.commit(vec![named(1)])[..], [Ok(_)]));
        assert!(is_there(&writer, 1));
    }
}
