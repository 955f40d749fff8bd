//! Backups: everything that a snapshot shows, as a row of frames that prove themselves.
//!
//! A backup is made while the server works: a snapshot does not change. Frames are bytes, for whoever writes them to a
//! file; each ends with the SHA-256 of itself and of all before it, and the last one counts the rows, so that nothing can
//! be missing, damaged or out of order without being noticed.
//!
//! ```text
//! 4 bytes   length of the content, big-endian
//! content   a frame, as postcard writes it
//! 32 bytes  SHA-256 of the digest of the frame before (32 zeros at first), and the content
//! ```

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::batch::Batch;
use crate::check::after;
use crate::engine::{Bytes, CommitError, Engine};
use crate::number::Position;
use crate::store::{ReadError, Snapshot};
use crate::table::TableId;
use crate::tables::encryption::{CLAIMED_KEYS, ONE_TIME_KEY_COUNTS, ONE_TIME_KEY_IDS, ONE_TIME_KEYS};
use crate::tables::{ALL, SCHEMA, SCHEMA_VERSION};

/// How many bytes before a frame say how long it is.
pub const PREFIX: usize = 4;

/// The longest content of a frame, in bytes: one row of the greatest size, and room for others.
pub const MAX_CONTENT: usize = 32 << 20;

/// How many rows a frame has at most.
const ROWS: usize = 100;

/// How many bytes of rows close a frame.
const BYTES: usize = 8 << 20;

/// How many bytes of digest end a frame.
const DIGEST: usize = 32;

#[derive(Serialize, Deserialize)]
enum Frame {
    Begin { format: u32, schema: u32, position: Position },
    Rows { table: u8, rows: Vec<(Bytes, Bytes)> },
    End { rows: u64 },
}

/// The layout of frames.
const FORMAT: u32 = 1;

/// A backup being made.
pub struct Backup {
    snapshot: Snapshot,
    chain: Chain,
    next: Next,
    rows: u64,
}

/// What comes next in a backup.
enum Next {
    Begin,
    Rows(TableId, Bytes),
    Nothing,
}

#[derive(Default)]
struct Chain([u8; DIGEST]);

impl Chain {
    /// The digest of the next frame.
    fn link(&mut self, content: &[u8]) -> [u8; DIGEST] {
        self.0 = Sha256::new().chain_update(self.0).chain_update(content).finalize().into();
        self.0
    }
}

impl Backup {
    /// A backup of what a snapshot shows.
    pub fn new(snapshot: Snapshot) -> Self {
        Backup { snapshot, chain: Chain::default(), next: Next::Begin, rows: 0 }
    }

    /// The next frame, `None` after the last.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn frame(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let frame = match &self.next {
            Next::Begin => {
                self.next = Next::Rows(TableId(0), Vec::new());
                let position = self.snapshot.position();
                Frame::Begin { format: FORMAT, schema: SCHEMA_VERSION, position }
            }
            Next::Rows(table, start) => {
                let (table, start) = (*table, start.clone());
                self.rows_frame(table, start).await?
            }
            Next::Nothing => return Ok(None),
        };
        Ok(Some(self.seal(&frame)))
    }

    /// The next rows, of the first table from `table` on that has some.
    async fn rows_frame(&mut self, mut table: TableId, mut start: Bytes) -> Result<Frame, ReadError> {
        while table < TableId::ENGINE {
            let rows = within_bytes(self.snapshot.scan_bytes(table, start, ROWS).await?);
            if let Some((last, _)) = rows.last() {
                self.next = Next::Rows(table, after(last));
                self.rows += rows.len() as u64;
                return Ok(Frame::Rows { table: table.0, rows });
            }
            (table, start) = (TableId(table.0 + 1), Vec::new());
        }
        self.next = Next::Nothing;
        Ok(Frame::End { rows: self.rows })
    }

    fn seal(&mut self, frame: &Frame) -> Vec<u8> {
        let content = postcard::to_allocvec(frame).unwrap_or_default();
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let digest = self.chain.link(&content);
        [&length.to_be_bytes(), content.as_slice(), &digest].concat()
    }
}

/// As many rows as close a frame.
fn within_bytes(mut rows: Vec<(Bytes, Bytes)>) -> Vec<(Bytes, Bytes)> {
    let mut bytes = 0;
    let fit = rows.iter().position(|(key, row)| {
        bytes += key.len() + row.len();
        bytes >= BYTES
    });
    rows.truncate(fit.map_or(rows.len(), |last| last + 1));
    rows
}

/// A backup being read: frame by frame, in order.
#[derive(Default)]
pub struct Verify {
    chain: Chain,
    position: Option<Position>,
    rows: u64,
    ended: bool,
}

/// What a whole backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The position of the snapshot from which it was made.
    pub position: Position,
    /// How many rows it has.
    pub rows: u64,
}

impl Verify {
    /// How many bytes follow a prefix: the frame without it.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] for a length that no frame has.
    pub fn length(prefix: [u8; PREFIX]) -> Result<usize, BackupError> {
        let content = usize::try_from(u32::from_be_bytes(prefix)).map_err(|_| BackupError::Damaged)?;
        if content > MAX_CONTENT { Err(BackupError::Damaged) } else { Ok(content + DIGEST) }
    }

    /// Takes the next frame, without its prefix, and looks whether it follows those before it and whether
    /// each of its rows can be read.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn frame(&mut self, frame: &[u8]) -> Result<(), BackupError> {
        self.take(frame).map(|_| ())
    }

    /// What the backup holds, if it was read to its end.
    ///
    /// # Errors
    /// [`BackupError::Incomplete`].
    pub fn end(&self) -> Result<Contents, BackupError> {
        match self.position {
            Some(position) if self.ended => Ok(Contents { position, rows: self.rows }),
            _ => Err(BackupError::Incomplete),
        }
    }

    fn take(&mut self, frame: &[u8]) -> Result<Frame, BackupError> {
        let (content, digest) = frame
            .len()
            .checked_sub(DIGEST)
            .and_then(|at| frame.split_at_checked(at))
            .ok_or(BackupError::Damaged)?;
        if self.ended || self.chain.link(content) != digest {
            return Err(BackupError::Damaged);
        }
        let frame = postcard::from_bytes(content).map_err(|_| BackupError::Damaged)?;
        match &frame {
            Frame::Begin { format, schema, position } => self.begin((*format, *schema), *position)?,
            Frame::Rows { table, rows } => self.check(TableId(*table), rows)?,
            Frame::End { rows } if *rows == self.rows && self.position.is_some() => self.ended = true,
            Frame::End { .. } => return Err(BackupError::Damaged),
        }
        Ok(frame)
    }

    fn begin(&mut self, versions: (u32, u32), position: Position) -> Result<(), BackupError> {
        if versions != (FORMAT, SCHEMA_VERSION) {
            return Err(BackupError::Version { format: versions.0, schema: versions.1 });
        }
        if self.position.replace(position).is_some() {
            return Err(BackupError::Damaged);
        }
        Ok(())
    }

    fn check(&mut self, id: TableId, rows: &[(Bytes, Bytes)]) -> Result<(), BackupError> {
        let table = ALL.iter().find(|table| table.id == id).ok_or(BackupError::Damaged)?;
        self.rows += rows.len() as u64;
        if self.position.is_none() || rows.iter().any(|(key, row)| table.check(key, row).is_err()) {
            return Err(BackupError::Row { table: table.name });
        }
        Ok(())
    }
}

/// What is in a backup and is not restored: one-time keys, and what is known of them. Some were claimed since the backup was made; to
/// give a key away twice would let its second holder's messages be read with the first one's, so devices upload new
/// ones, as they do whenever they have none here
/// ([element-meta#2155](https://github.com/element-hq/element-meta/issues/2155)).
const NOT_RESTORED: [TableId; 4] =
    [ONE_TIME_KEYS.id, ONE_TIME_KEY_IDS.id, CLAIMED_KEYS.id, ONE_TIME_KEY_COUNTS.id];

/// A backup being put into an empty engine, but for one-time keys. Until it is there to its end, no store opens on that engine.
pub struct Restore<'a> {
    engine: &'a dyn Engine,
    verify: Verify,
    /// The schema version, which is written last.
    schema: Vec<(Bytes, Bytes)>,
}

impl<'a> Restore<'a> {
    /// Begins to restore.
    ///
    /// # Errors
    /// [`BackupError::NotEmpty`] when something was ever written to the engine.
    pub fn new(engine: &'a dyn Engine) -> Result<Self, BackupError> {
        if engine.snapshot().map_err(ReadError::from)?.position() > Position(0) {
            return Err(BackupError::NotEmpty);
        }
        Ok(Restore { engine, verify: Verify::default(), schema: Vec::new() })
    }

    /// Takes the next frame, without its prefix.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn frame(&mut self, frame: &[u8]) -> Result<(), BackupError> {
        match self.verify.take(frame)? {
            Frame::Rows { table, rows } if TableId(table) == SCHEMA.id => self.schema = rows,
            Frame::Rows { table, .. } if NOT_RESTORED.contains(&TableId(table)) => {}
            Frame::Rows { table, rows } => self.put(TableId(table), rows, Position(0)).await?,
            Frame::Begin { .. } | Frame::End { .. } => {}
        }
        Ok(())
    }

    /// Makes the store complete; it goes on at the position of the backup.
    ///
    /// # Errors
    /// [`BackupError::Incomplete`] when frames are missing.
    pub async fn end(mut self) -> Result<Contents, BackupError> {
        let contents = self.verify.end()?;
        let schema = std::mem::take(&mut self.schema);
        self.put(SCHEMA.id, schema, contents.position).await?;
        Ok(contents)
    }

    async fn put(
        &self,
        table: TableId,
        rows: Vec<(Bytes, Bytes)>,
        least: Position,
    ) -> Result<(), BackupError> {
        let mut batch = Batch::new();
        rows.into_iter().for_each(|(key, row)| batch.put_bytes(table, key, row));
        batch.raise_to(least);
        self.engine.commit(batch).await?;
        Ok(())
    }
}

/// Why a backup cannot be read or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A frame is not what it was, or not where it was.
    #[error("backup is damaged")]
    Damaged,
    /// A row cannot be read, though it is as it was written.
    #[error("backup has a damaged row in table `{table}`")]
    Row {
        /// The name of the table.
        table: &'static str,
    },
    /// The backup ends too early.
    #[error("backup is not complete")]
    Incomplete,
    /// Another version of the software wrote it.
    #[error("backup has format {format} and schema version {schema}")]
    Version {
        /// The layout of its frames.
        format: u32,
        /// The version of its tables.
        schema: u32,
    },
    /// Backups are restored into empty stores only.
    #[error("store is not empty")]
    NotEmpty,
    /// The engine cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The engine cannot be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}
