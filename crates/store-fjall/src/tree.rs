//! The tree: rows sorted in memory and in files, of every version that somebody still reads.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use freehold_store::{Bytes, EngineError, Operation, Position, TableId};
use lsm_tree::compaction::{Leveled, MoveDown};
use lsm_tree::config::{BlockSizePolicy, CompressionPolicy};
use lsm_tree::{
    AbstractTree, AnyTree, Cache, CompressionType, Config, DescriptorTable, SequenceNumberCounter,
};

use crate::settings::{Memory, Settings};

/// Where the position of the last batch is kept, in [`TableId::ENGINE`].
const POSITION: &[u8] = b"position";

/// How large a sorted file is at most, in bytes.
const FILE_BYTES: u64 = 16 << 20;

/// The level of files below which there is none. The tree always has seven.
const LAST_LEVEL: u8 = 6;

/// How many bytes of files are written anew at once at most: it takes seconds, in which nothing else is sorted.
const REWRITTEN_MAX: u64 = 512 << 20;

/// The tree. Only one thread writes; any may read what it showed.
pub(crate) struct Tree {
    tree: AnyTree,
    sequence: SequenceNumberCounter,
    visible: SequenceNumberCounter,
    readers: Mutex<Readers>,
    /// Held while what is shown changes, so that a position and its rows are seen together.
    showing: Mutex<Showing>,
    /// Whether the table in memory is to be sealed though it is not full.
    seal_soon: AtomicBool,
}

/// Whether a group has its sequence number and is not in memory yet.
///
/// Sorting takes sequence numbers too, and greater ones become visible by it. What is shown in between would have
/// the group's rows appear in it afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Showing {
    Everything,
    ButTheNext,
}

/// What was shown: the newest, and whatever somebody still holds.
struct Readers {
    newest: Arc<Shown>,
    held: Vec<(u64, Weak<Shown>)>,
}

impl Tree {
    /// Opens the tree in a folder, which is made if it is not there.
    pub(crate) fn open(folder: &Path, settings: &Settings) -> Result<Self, EngineError> {
        let (sequence, visible) = (SequenceNumberCounter::default(), SequenceNumberCounter::default());
        let tree = Config::new(folder, sequence.clone(), visible.clone())
            .use_cache(Arc::new(Cache::with_capacity_bytes(settings.cache_bytes)))
            .use_descriptor_table(Some(Arc::new(DescriptorTable::new(128))))
            .data_block_size_policy(BlockSizePolicy::all(4 << 10))
            .data_block_compression_policy(CompressionPolicy::new([
                CompressionType::None,
                CompressionType::Lz4,
            ]))
            .open()
            .map_err(engine_error)?;
        let newest = Arc::new(Shown { tree: tree.clone(), instant: 0, position: Position(0) });
        let readers = Mutex::new(Readers { newest, held: Vec::new() });
        let (showing, seal_soon) = (Mutex::new(Showing::Everything), AtomicBool::new(false));
        let opened = Tree { tree, sequence, visible, readers, showing, seal_soon };
        opened.pass(opened.sorted().unwrap_or(0));
        Ok(opened)
    }

    /// The sequence number of the newest group that is sorted into files.
    pub(crate) fn sorted(&self) -> Option<u64> {
        self.tree.get_highest_persisted_seqno()
    }

    /// A sequence number for the next group, which is then either applied or abandoned.
    pub(crate) fn next_sequence(&self) -> u64 {
        *lock(&self.showing) = Showing::ButTheNext;
        self.sequence.next()
    }

    /// The group that has the last sequence number was not written.
    pub(crate) fn abandon(&self) {
        *lock(&self.showing) = Showing::Everything;
    }

    /// The row that says at which position a group ends.
    pub(crate) fn position_row(position: Position) -> Operation {
        Operation::Put {
            table: TableId::ENGINE,
            key: POSITION.to_vec(),
            value: position.0.to_be_bytes().into(),
        }
    }

    /// Puts a group of the journal into memory, at start.
    pub(crate) fn replay(&self, sequence: u64, operations: Vec<Operation>) {
        self.insert(sequence, operations);
        self.pass(sequence);
    }

    /// Shows what is there, at start.
    pub(crate) fn show_recovered(&self) -> Result<(), EngineError> {
        let mut shown = Shown { tree: self.tree.clone(), instant: self.visible.get(), position: Position(0) };
        if let Some(row) = shown.get(TableId::ENGINE, POSITION)? {
            let bytes = row.try_into().map_err(|_| EngineError("damaged position".to_owned()))?;
            shown.position = Position(u64::from_be_bytes(bytes));
        }
        self.readers().show(shown);
        Ok(())
    }

    /// Puts a durable group into memory and shows it.
    pub(crate) fn apply(&self, sequence: u64, operations: Vec<Operation>, position: Position) {
        let mut showing = lock(&self.showing);
        self.insert(sequence, operations);
        self.pass(sequence);
        self.show(position);
        *showing = Showing::Everything;
    }

    /// What is durable now.
    pub(crate) fn shown(&self) -> Arc<Shown> {
        self.readers().newest.clone()
    }

    /// How many bytes of rows are in memory and take more.
    pub(crate) fn unsealed_bytes(&self) -> u64 {
        self.tree.active_memtable().size()
    }

    /// How many bytes of memory are used, by what.
    pub(crate) fn memory(&self) -> Memory {
        let indexes = self.tree.pinned_block_index_size() + self.tree.pinned_filter_size();
        Memory {
            cache: self.tree.tree_config().cache.size(),
            changes: self.tree.version_memtable_size_sum(),
            indexes: indexes as u64,
        }
    }

    /// How many tables in memory wait to be sorted into files.
    pub(crate) fn sealed(&self) -> usize {
        self.tree.sealed_memtable_count()
    }

    /// How many files wait to be merged with others.
    pub(crate) fn unmerged(&self) -> usize {
        self.tree.l0_run_count()
    }

    /// Has the thread that writes seal the table in memory with the next group, full or not.
    pub(crate) fn ask_to_seal(&self) {
        self.seal_soon.store(true, Ordering::SeqCst);
    }

    /// Whether that was asked since this was.
    pub(crate) fn is_to_be_sealed(&self) -> bool {
        self.seal_soon.swap(false, Ordering::SeqCst)
    }

    /// Begins a new table in memory; the old one waits to be sorted. Called by the thread that writes.
    pub(crate) fn seal(&self) {
        self.tree.rotate_memtable();
    }

    /// Sorts all sealed tables into files, durably.
    pub(crate) fn flush(&self) -> Result<(), EngineError> {
        let flushing = self.tree.get_flush_lock();
        self.tree.flush(&flushing, self.unread()).map_err(engine_error)?;
        drop(flushing);
        self.show_anew();
        Ok(())
    }

    /// Whoever reads from now on holds nothing that was before. With a group under way, that comes with it.
    fn show_anew(&self) {
        let showing = lock(&self.showing);
        if *showing == Showing::Everything {
            self.show(self.shown().position);
        }
    }

    /// Writes all files anew without what was overwritten, and removes the old ones. `false` when some of it may still be there:
    /// somebody reads it, or there is too much.
    pub(crate) fn erase_overwritten(&self) -> Result<bool, EngineError> {
        let begun = self.shown().instant;
        if self.tree.disk_space() > REWRITTEN_MAX || self.readers().oldest() < begun {
            return Ok(false);
        }
        self.tree.major_compact(FILE_BYTES, self.unread()).map_err(engine_error)?;
        // Files stay as long as there are only newer lists of files than what somebody may read: that makes two more lists.
        let mut before = begun;
        for _ in 0..2 {
            self.show_anew();
            let now = self.readers().oldest();
            if now <= before {
                return Ok(false);
            }
            before = now;
            let same = Arc::new(MoveDown(LAST_LEVEL, LAST_LEVEL));
            self.tree.compact(same, self.unread()).map_err(engine_error)?;
        }
        Ok(true)
    }

    /// Merges some files, if that is due.
    pub(crate) fn compact(&self) -> Result<(), EngineError> {
        let strategy = Arc::new(Leveled::default().with_table_target_size(FILE_BYTES));
        self.tree.compact(strategy, self.unread()).map_err(engine_error)
    }

    fn insert(&self, sequence: u64, operations: Vec<Operation>) {
        for operation in operations {
            match operation {
                Operation::Put { table, key, value } => {
                    self.tree.insert(stored(table, &key), value, sequence);
                }
                Operation::Delete { table, key } => {
                    self.tree.remove(stored(table, &key), sequence);
                }
            }
        }
    }

    /// Nothing gets this sequence number any more, and what has it is visible.
    fn pass(&self, sequence: u64) {
        self.sequence.fetch_max(sequence + 1);
        self.visible.fetch_max(sequence + 1);
    }

    fn show(&self, position: Position) {
        self.readers().show(Shown { tree: self.tree.clone(), instant: self.visible.get(), position });
    }

    /// Versions below this that were overwritten are read by nobody.
    fn unread(&self) -> u64 {
        self.readers().oldest().saturating_sub(1)
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        lock(&self.readers)
    }
}

impl Readers {
    fn show(&mut self, shown: Shown) {
        if self.held.len() == self.held.capacity() {
            self.held.retain(|(_, held)| held.strong_count() > 0);
        }
        let before = std::mem::replace(&mut self.newest, Arc::new(shown));
        if Arc::strong_count(&before) > 1 {
            self.held.push((before.instant, Arc::downgrade(&before)));
        }
    }

    fn oldest(&self) -> u64 {
        let held = self.held.iter().filter(|(_, held)| held.strong_count() > 0);
        held.map(|(instant, _)| *instant).min().unwrap_or(self.newest.instant).min(self.newest.instant)
    }
}

/// What was durable at one position.
pub(crate) struct Shown {
    pub(crate) tree: AnyTree,
    /// Everything with a lower sequence number is seen.
    pub(crate) instant: u64,
    pub(crate) position: Position,
}

impl Shown {
    pub(crate) fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let row = self.tree.get(stored(table, key), self.instant).map_err(engine_error)?;
        Ok(row.map(|row| row.to_vec()))
    }
}

/// A key as it lies in the tree, which holds all tables.
pub(crate) fn stored(table: TableId, key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(1 + key.len());
    stored.push(table.0);
    stored.extend_from_slice(key);
    stored
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn engine_error(error: lsm_tree::Error) -> EngineError {
    EngineError(error.to_string())
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
