//! How much memory and disk the engine takes.

/// How much memory and disk the engine takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most memory for blocks that were read, in bytes.
    pub cache_bytes: u64,
    /// How many bytes of changes are collected in memory before they are sorted into files. Twice as much is used while
    /// that goes on; a crash has to read as much again from the journal.
    pub write_buffer_bytes: u64,
    /// Writes are refused when the disk has less room than this, in bytes, so that what was taken already can
    /// still be sorted into files.
    pub reserve_bytes: u64,
}

impl Default for Settings {
    /// For a small process: 8 MiB of cache, 4 MiB of changes, 256 MiB of room.
    fn default() -> Self {
        Settings { cache_bytes: 8 << 20, write_buffer_bytes: 4 << 20, reserve_bytes: 256 << 20 }
    }
}

/// How much memory the engine uses, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Blocks that were read; at most [`Settings::cache_bytes`].
    pub cache: u64,
    /// Changes that are not sorted into files yet; at most four times [`Settings::write_buffer_bytes`] and one group.
    pub changes: u64,
    /// Indexes and filters of the newest files, which stay in memory.
    pub indexes: u64,
}
