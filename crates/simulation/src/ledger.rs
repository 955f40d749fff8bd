//! What was told to whom, and what was acknowledged: facts of a run for its laws.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::delivery::Whisper;
use crate::wires::Place;

/// The facts of one run. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Facts>>);

#[derive(Default)]
struct Facts {
    told: BTreeSet<Told>,
    acknowledged: Vec<Acknowledged>,
    /// The servers that somebody invited to a room, or that wanted in, by the number of the room.
    concerned: BTreeMap<u64, BTreeSet<String>>,
    /// Messages to devices, by their texts.
    whispers: BTreeMap<String, Whisper>,
}

/// A mark that was in something that a process told a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told {
    /// Which process told it.
    pub(crate) by: Place,
    /// Which server was told.
    pub(crate) server: String,
    /// What it was.
    pub(crate) mark: Mark,
}

/// A mark that is in the content of a message: which room it is of, and which of the run's messages it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// The number of the room.
    pub(crate) room: u64,
    /// The number of the message.
    pub(crate) message: u64,
}

/// An event whose sending was answered with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// The process that answered.
    pub(crate) by: Place,
    /// The room.
    pub(crate) room_id: String,
    /// The event.
    pub(crate) event_id: String,
    /// Who sent it.
    pub(crate) sender: String,
    /// Its mark, if it has one.
    pub(crate) mark: Option<Mark>,
}

impl Mark {
    /// The text by which a mark is found.
    pub(crate) fn text(self) -> String {
        format!("mark-{}-{}.", self.room, self.message)
    }

    /// The marks in some text.
    pub(crate) fn all_in(text: &[u8]) -> Vec<Mark> {
        let text = String::from_utf8_lossy(text);
        text.split("mark-").skip(1).filter_map(Mark::at_start).collect()
    }

    fn at_start(text: &str) -> Option<Mark> {
        let (numbers, _) = text.split_once('.')?;
        let (room, message) = numbers.split_once('-')?;
        Some(Mark { room: room.parse().ok()?, message: message.parse().ok()? })
    }
}

impl Ledger {
    /// A process told a server something.
    pub(crate) fn told(&self, by: Place, server: &str, text: &[u8]) {
        let marks = Mark::all_in(text);
        if !marks.is_empty() {
            let told = marks.into_iter().map(|mark| Told { by, server: server.to_owned(), mark });
            self.lock().told.extend(told);
        }
    }

    /// The sending of an event was answered.
    pub(crate) fn acknowledged(&self, what: Acknowledged) {
        self.lock().acknowledged.push(what);
    }

    /// A server has something to do with a room from now on.
    pub(crate) fn concerned(&self, room: u64, server: &str) {
        self.lock().concerned.entry(room).or_default().insert(server.to_owned());
    }

    /// A message to a device is about to be sent.
    pub(crate) fn whispers(&self, from: &str, to: &str, text: &str) {
        let (from, to) = (from.to_owned(), to.to_owned());
        let whisper = Whisper { from, to, text: text.to_owned(), is_acknowledged: false };
        self.lock().whispers.insert(text.to_owned(), whisper);
    }

    /// The sending of a message to a device was answered.
    pub(crate) fn whispered(&self, text: &str) {
        if let Some(whisper) = self.lock().whispers.get_mut(text) {
            whisper.is_acknowledged = true;
        }
    }

    /// All messages to devices.
    pub(crate) fn all_whispers(&self) -> Vec<Whisper> {
        self.lock().whispers.values().cloned().collect()
    }

    /// Everything that was told.
    pub(crate) fn all_told(&self) -> Vec<Told> {
        self.lock().told.iter().cloned().collect()
    }

    /// Everything that was acknowledged.
    pub(crate) fn all_acknowledged(&self) -> Vec<Acknowledged> {
        self.lock().acknowledged.clone()
    }

    /// Which servers have something to do with which rooms.
    pub(crate) fn all_concerned(&self) -> BTreeMap<u64, BTreeSet<String>> {
        self.lock().concerned.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_wherever_they_are() {
        let one = Mark { room: 3, message: 41 };
        let text =
            format!("{{\"a\":\"{}\",\"b\":\"mark-x-1. mark-5\",\"c\":\"{}\"}}", one.text(), one.text());
        assert_eq!(Mark::all_in(text.as_bytes()), [one, one]);
        assert_eq!(Mark::all_in(b"remarkable"), []);
    }
}
