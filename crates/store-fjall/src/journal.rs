//! A journal whose last write was torn.
//!
//! A write that was under way when the power went may be on the disk in part: some sectors of it, in any order. fjall
//! drops such a write when it ends too early, but refuses to open when its end is there and something before it is not.
//! As every write is synced before the next begins, and acknowledged after that, only the last one can be torn,
//! and nobody was told that it succeeded: it is cut off here. Anything else that is wrong stays as it is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const TRAILER: &[u8; 4] = b"FJL\x03";

/// Cuts a torn last write off the newest journal of a database that is not open. Returns whether there was one.
pub(crate) fn mend(database: &Path) -> io::Result<bool> {
    let Some(journal) = newest(database)? else { return Ok(false) };
    let mut bytes = Vec::new();
    File::open(&journal)?.read_to_end(&mut bytes)?;
    let Some(length) = torn_at(&bytes) else { return Ok(false) };
    let file = OpenOptions::new().write(true).open(&journal)?;
    file.set_len(length as u64)?;
    file.sync_all()?;
    Ok(true)
}

fn newest(database: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in std::fs::read_dir(database)? {
        let path = entry?.path();
        let is_journal = path.extension().is_some_and(|extension| extension == "jnl");
        let number =
            path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let (true, Some(number)) = (is_journal, number) {
            newest = newest.max(Some((number, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Where the last write of a journal begins, if it has an end but is not whole, and nothing follows it.
fn torn_at(journal: &[u8]) -> Option<usize> {
    let mut rest = journal;
    loop {
        let begin = journal.len() - rest.len();
        match write(&mut rest)? {
            Standing::Whole => {}
            Standing::Torn => return rest.iter().all(|byte| *byte == 0).then_some(begin),
        }
    }
}

enum Standing {
    Whole,
    Torn,
}

/// Takes one write from the front, up to its end; `None` if there is no end.
fn write(input: &mut &[u8]) -> Option<Standing> {
    let [START] = take(input)? else { return None };
    let count = u32::from_le_bytes(take(input)?);
    let _sequence: [u8; 8] = take(input)?;
    let items = *input;
    let mut found = 0;
    while input.first() == Some(&ITEM) {
        item(input)?;
        found += 1;
    }
    let items = items.get(..items.len() - input.len())?;
    let [END] = take(input)? else { return None };
    let checksum = u64::from_le_bytes(take(input)?);
    if take(input)? != *TRAILER {
        return None;
    }
    let whole = found == count && checksum == xxh3_64(items);
    Some(if whole { Standing::Whole } else { Standing::Torn })
}

/// Takes one changed key. Values are not compressed in journals of this engine.
fn item(input: &mut &[u8]) -> Option<()> {
    let _item_kind_compression: [u8; 3] = take(input)?;
    let _keyspace: [u8; 8] = take(input)?;
    let key = u16::from_le_bytes(take(input)?);
    let _value: [u8; 4] = take(input)?;
    let stored_value = u32::from_le_bytes(take(input)?);
    let length = usize::from(key) + usize::try_from(stored_value).ok()?;
    *input = input.get(length..)?;
    Some(())
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_write(value: &[u8]) -> Vec<u8> {
        let mut items = vec![ITEM, 0, 0];
        items.extend(1_u64.to_le_bytes());
        items.extend(3_u16.to_le_bytes());
        items.extend([value.len() as u32; 2].into_iter().flat_map(u32::to_le_bytes));
        items.extend_from_slice(b"key");
        items.extend_from_slice(value);
        let mut bytes = vec![START];
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(7_u64.to_le_bytes());
        bytes.extend_from_slice(&items);
        bytes.push(END);
        bytes.extend(xxh3_64(&items).to_le_bytes());
        bytes.extend_from_slice(TRAILER);
        bytes
    }

    fn torn(value: &[u8]) -> Vec<u8> {
        let mut bytes = one_write(value);
        let middle = bytes.len() - TRAILER.len() - 9 - value.len() / 2;
        bytes[middle] ^= 0xff;
        bytes
    }

    #[test]
    fn only_a_torn_write_with_nothing_behind_it_is_found() {
        let (whole, torn) = (one_write(&[5; 40]), torn(&[6; 40]));
        let zeros = vec![0; 100];
        let cases = [
            (vec![], None),
            (vec![&whole, &whole, &zeros], None),
            (vec![&whole, &torn], Some(whole.len())),
            (vec![&whole, &torn, &zeros], Some(whole.len())),
            (vec![&torn], Some(0)),
            (vec![&whole, &torn, &whole], None),
        ];
        for (parts, expected) in cases {
            let journal: Vec<u8> = parts.into_iter().flatten().copied().collect();
            assert_eq!(torn_at(&journal), expected);
        }
        assert_eq!(torn_at(&whole[..whole.len() - 1]), None, "a write without an end is left to fjall");
    }
}
