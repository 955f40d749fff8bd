//! The journal: what was committed and is not yet sorted into the tree.
//!
//! It consists of numbered segments, one for each memory table of the tree; a segment is deleted when its table
//! is sorted into files. A segment is a row of records; a record is one group of batches:
//!
//! ```text
//! 4 bytes  length of the content, little-endian; 0 ends the segment
//! 8 bytes  sequence number, little-endian
//! 8 bytes  xxh3 of the sequence number and the content, little-endian
//! content  for each key: 1 byte (1 put, 2 delete), table, 4 bytes length of the key, key; and for a put 4 bytes length of the row, row
//! ```
//!
//! Records are written and synced one at a time, and a group is acknowledged after that. So a power cut can tear only
//! the last record of the newest segment, and nobody was told of that one. A damaged record anywhere else is an error.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use freehold_store::{Operation, TableId};
use xxhash_rust::xxh3::xxh3_64;

const HEADER: usize = 4 + 8 + 8;
/// What an operation has at most beside its key and its row: what it is, its table, two lengths.
const MARKS: usize = 1 + 1 + 4 + 4;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// One group of batches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) sequence: u64,
    pub(crate) operations: Vec<Operation>,
}

/// The segment that is being written.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    file: File,
    /// Where the next record begins.
    length: u64,
    /// The sequence number of the last record.
    pub(crate) last: Option<u64>,
}

/// Why a record was not written.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// It was not, and the segment is as before.
    Refused(io::Error),
    /// Nobody knows what is on the disk.
    Broken(io::Error),
}

impl Segment {
    /// Makes a new segment in a folder, with room for `room` bytes set aside on the disk.
    pub(crate) fn create(folder: &Path, number: u64, room: u64) -> io::Result<Self> {
        let path = folder.join(format!("{number:016}.journal"));
        let made = OpenOptions::new().write(true).create_new(true).open(&path).and_then(|file| {
            set_aside(&file, room)?;
            file.sync_all()?;
            sync_folder(folder)?;
            Ok(file)
        });
        match made {
            Ok(file) => Ok(Segment { number, path, file, length: 0, last: None }),
            Err(error) => {
                // A segment without records says nothing; the next start removes it if this cannot.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Writes a record and syncs it.
    pub(crate) fn append(&mut self, record: &Record) -> Result<(), AppendError> {
        let bytes = encoded(record);
        if let Err(error) = self.file.write_all(&bytes) {
            self.cut_back().map_err(AppendError::Broken)?;
            return Err(AppendError::Refused(error));
        }
        self.file.sync_data().map_err(AppendError::Broken)?;
        self.length += bytes.len() as u64;
        self.last = Some(record.sequence);
        Ok(())
    }

    /// Writes go to a device from now on, to see what happens when it fails.
    #[cfg(test)]
    pub(crate) fn divert(&mut self, device: &str) {
        self.file = OpenOptions::new().write(true).open(device).unwrap();
    }

    /// How many bytes of records it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.length
    }

    /// Removes a record that was written in part.
    fn cut_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.sync_all()
    }
}

/// A segment that is there when the store is opened.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
}

/// The segments of a folder, oldest first.
pub(crate) fn find(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == "journal");
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let (true, Some(number)) = (is_segment, number) {
            found.push(Found { number, path });
        }
    }
    found.sort_by_key(|found| found.number);
    Ok(found)
}

/// Which place in the row of segments one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its last record may be torn.
    Newest,
    /// Every record was synced before the next segment began.
    Older,
}

/// Where a segment is damaged, in bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) usize);

/// Reads a segment that is there when the store is opened. A torn record at the end of the newest one is cut off, so that
/// the segment is whole when others follow it.
pub(crate) fn recover(path: &Path, place: Place) -> io::Result<Result<Vec<Record>, Damage>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let (records, length) = match records(&bytes, place) {
        Ok(found) => found,
        Err(damage) => return Ok(Err(damage)),
    };
    if place == Place::Newest && length < bytes.len() {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(length as u64)?;
        file.sync_all()?;
    }
    Ok(Ok(records))
}

/// The records of a segment, and how many bytes they have.
fn records(segment: &[u8], place: Place) -> Result<(Vec<Record>, usize), Damage> {
    let (mut records, mut rest) = (Vec::new(), segment);
    while let Some(next) = record(rest) {
        records.push(next.0);
        rest = next.1;
    }
    let ended = rest.iter().all(|byte| *byte == 0);
    // A later whole record proves that the one before it had been synced.
    let later = records.last().map_or(0, |record: &Record| record.sequence);
    if ended || (place == Place::Newest && !has_later_record(rest, later)) {
        Ok((records, segment.len() - rest.len()))
    } else {
        Err(Damage(segment.len() - rest.len()))
    }
}

/// Whether a whole record with a greater sequence number begins anywhere behind the first byte.
fn has_later_record(bytes: &[u8], sequence: u64) -> bool {
    (1..bytes.len()).any(|at| {
        let candidate = bytes.get(at..).unwrap_or_default();
        // Most places do not even begin like a record; only those that do cost a checksum.
        header(candidate).is_some_and(|header| {
            header.sequence > sequence && header.sequence < sequence.saturating_add(1 << 32)
        }) && record(candidate).is_some()
    })
}

struct Header {
    length: usize,
    sequence: u64,
    checksum: u64,
}

fn header(mut input: &[u8]) -> Option<Header> {
    let length = usize::try_from(u32::from_le_bytes(take(&mut input)?)).ok()?;
    let sequence = u64::from_le_bytes(take(&mut input)?);
    let checksum = u64::from_le_bytes(take(&mut input)?);
    (length > 0 && length <= input.len()).then_some(Header { length, sequence, checksum })
}

/// The whole record at the beginning of `input`, and what follows it.
fn record(input: &[u8]) -> Option<(Record, &[u8])> {
    let header = header(input)?;
    let (checked, rest) = input.split_at_checked(HEADER + header.length)?;
    let content = checked.get(HEADER..)?;
    if header.checksum != checksum(header.sequence, content) {
        return None;
    }
    Some((Record { sequence: header.sequence, operations: operations(content)? }, rest))
}

fn checksum(sequence: u64, content: &[u8]) -> u64 {
    xxh3_64(content) ^ xxh3_64(&sequence.to_le_bytes())
}

fn encoded(record: &Record) -> Vec<u8> {
    // Grown step by step, a long record would be copied again and again.
    let room: usize = record.operations.iter().map(|operation| MARKS + operation.bytes()).sum();
    let mut bytes = Vec::with_capacity(HEADER + room);
    bytes.resize(HEADER, 0);
    for operation in &record.operations {
        match operation {
            Operation::Put { table, key, value } => {
                bytes.extend_from_slice(&[PUT, table.0]);
                push(key, &mut bytes);
                push(value, &mut bytes);
            }
            Operation::Delete { table, key } => {
                bytes.extend_from_slice(&[DELETE, table.0]);
                push(key, &mut bytes);
            }
        }
    }
    let length = u32::try_from(bytes.len() - HEADER).unwrap_or(u32::MAX);
    let sum = checksum(record.sequence, bytes.get(HEADER..).unwrap_or_default());
    let header =
        length.to_le_bytes().into_iter().chain(record.sequence.to_le_bytes()).chain(sum.to_le_bytes());
    bytes.iter_mut().zip(header).for_each(|(byte, header)| *byte = header);
    bytes
}

fn push(part: &[u8], bytes: &mut Vec<u8>) {
    // Keys and rows are bounded far below this by the store.
    bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(part);
}

fn operations(mut content: &[u8]) -> Option<Vec<Operation>> {
    let mut operations = Vec::new();
    while !content.is_empty() {
        let [kind, table] = take(&mut content)?;
        let (table, key) = (TableId(table), part(&mut content)?);
        operations.push(match kind {
            PUT => Operation::Put { table, key, value: part(&mut content)? },
            DELETE => Operation::Delete { table, key },
            _ => return None,
        });
    }
    Some(operations)
}

fn part(input: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(u32::from_le_bytes(take(input)?)).ok()?;
    let (part, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(part.to_vec())
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

/// Sets room aside, so that writing into it does not find the disk full; where that is not possible, makes the file as
/// long.
fn set_aside(file: &File, room: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, room) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(room),
        other => other.map_err(io::Error::from),
    }
}

/// Makes durable which files a folder has.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(sequence: u64, bytes: usize) -> Record {
        let (key, value) = (vec![sequence as u8; 9], (0..bytes).map(|at| (at * 7 % 251) as u8).collect());
        let put = Operation::Put { table: TableId(3), key: key.clone(), value };
        Record { sequence, operations: vec![put, Operation::Delete { table: TableId(4), key }] }
    }

    fn read(segment: &[u8], place: Place) -> Result<Vec<Record>, Damage> {
        records(segment, place).map(|(records, _)| records)
    }

    #[test]
    fn a_torn_record_is_cut_off_so_that_other_segments_can_follow() {
        let folder = tempfile::tempdir().unwrap();
        let mut segment = Segment::create(folder.path(), 1, 4096).unwrap();
        segment.append(&sample(1, 100)).unwrap();
        let torn = encoded(&sample(2, 300));
        segment.file.write_all(&torn[..200]).unwrap();
        assert_eq!(recover(&segment.path, Place::Newest).unwrap(), Ok(vec![sample(1, 100)]));
        assert_eq!(recover(&segment.path, Place::Older).unwrap(), Ok(vec![sample(1, 100)]));
    }

    fn segment(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn records_come_back_as_they_were_and_zeros_end_them() {
        let (one, two) = (sample(1, 0), sample(7, 3000));
        let bytes = segment(&[&encoded(&one), &encoded(&two), &[0; 500]]);
        for place in [Place::Newest, Place::Older] {
            assert_eq!(read(&bytes, place), Ok(vec![sample(1, 0), sample(7, 3000)]));
            assert_eq!(read(&[], place), Ok(vec![]));
        }
    }

    /// Whatever sectors of the last write are missing, it is as if it had not been made; and the same damage where
    /// it cannot come from a power cut is reported.
    #[test]
    fn a_torn_record_is_dropped_at_the_end_and_an_error_elsewhere() {
        let (whole, last) = (encoded(&sample(1, 100)), encoded(&sample(2, 5000)));
        let after = encoded(&sample(3, 10));
        for sector in 0..last.len().div_ceil(512) {
            for fill in [0, 0xa5] {
                let mut torn = last.clone();
                let end = torn.len().min((sector + 1) * 512);
                torn[sector * 512..end].fill(fill);
                let bytes = segment(&[&whole, &torn, &[0; 700]]);
                assert_eq!(read(&bytes, Place::Newest), Ok(vec![sample(1, 100)]), "sector {sector}");
                let bytes = segment(&[&whole, &torn, &after]);
                for place in [Place::Newest, Place::Older] {
                    assert_eq!(read(&bytes, place), Err(Damage(whole.len())), "sector {sector}");
                }
            }
        }
    }

    #[test]
    fn a_record_that_ends_too_early_is_dropped() {
        let (whole, last) = (encoded(&sample(1, 100)), encoded(&sample(2, 300)));
        for length in 0..last.len() {
            let bytes = segment(&[&whole, &last[..length]]);
            assert_eq!(read(&bytes, Place::Newest), Ok(vec![sample(1, 100)]));
        }
    }
}
