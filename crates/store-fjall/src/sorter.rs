//! The thread that sorts what is in memory into files, merges files, and removes journal that is not needed any more.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use async_channel::Sender;
use freehold_store::EngineError;

use crate::tree::{Tree, lock};

/// When to try again what failed.
const PAUSE: Duration = Duration::from_millis(500);

/// How many steps of merging follow a flush at most; what is left then is done after the next.
const MERGES: usize = 8;

/// Whether what was overwritten is gone.
type Erased = Result<bool, EngineError>;

/// Asks the thread for what is done now and then only.
#[derive(Clone)]
pub(crate) struct Eraser {
    wake: SyncSender<()>,
    work: Arc<Work>,
}

impl Eraser {
    /// Has what was overwritten taken from the files.
    pub(crate) async fn erase_overwritten(&self) -> Erased {
        let (reply, erased) = async_channel::bounded(1);
        lock(&self.work.erasing).push(reply);
        // When a wake waits already, one is enough.
        let _ = self.wake.try_send(());
        erased.recv().await.map_err(|_| EngineError("closed".to_owned()))?
    }
}

/// The thread, and what it has to do. Dropping it ends the thread after the task at hand.
pub(crate) struct Sorter {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    work: Arc<Work>,
}

struct Work {
    tree: Arc<Tree>,
    /// Segments of the journal that are complete, with the last sequence number of each.
    segments: Mutex<Vec<(u64, PathBuf)>>,
    failure: Mutex<Option<EngineError>>,
    /// Who waits for what was overwritten to be gone from the files.
    erasing: Mutex<Vec<Sender<Erased>>>,
    /// Whether the store is being closed: then no more files are merged.
    closing: AtomicBool,
}

impl Sorter {
    /// Starts the thread.
    pub(crate) fn start(tree: Arc<Tree>) -> io::Result<Self> {
        let work = Arc::new(Work {
            tree,
            segments: Mutex::default(),
            failure: Mutex::default(),
            erasing: Mutex::default(),
            closing: AtomicBool::new(false),
        });
        let (wake, woken) = sync_channel(1);
        let thread = Builder::new().name("store-sorter".to_owned()).spawn({
            let work = work.clone();
            move || work.run(&woken)
        })?;
        Ok(Sorter { wake: Some(wake), thread: Some(thread), work })
    }

    /// What others may ask the thread for, as long as this is there.
    pub(crate) fn eraser(&self) -> Option<Eraser> {
        let wake = self.wake.clone()?;
        Some(Eraser { wake, work: self.work.clone() })
    }

    /// Takes over a complete segment of the journal, whose table in memory is sealed.
    pub(crate) fn take(&self, segment: Option<(u64, PathBuf)>) {
        lock(&self.work.segments).extend(segment);
        if let Some(wake) = &self.wake {
            // When a wake waits already, one is enough.
            let _ = wake.try_send(());
        }
    }

    /// Why it makes no progress, if it does not.
    pub(crate) fn failure(&self) -> Option<EngineError> {
        lock(&self.work.failure).clone()
    }
}

impl Drop for Sorter {
    fn drop(&mut self) {
        self.work.closing.store(true, Ordering::Relaxed);
        if let Some(wake) = self.wake.take() {
            // Others may hold the way to the thread open. When a wake waits already, one is enough.
            let _ = wake.try_send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by itself.
            let _ = thread.join();
        }
    }
}

impl Work {
    fn run(&self, woken: &Receiver<()>) {
        while self.wait(woken) {
            let outcome = self.sort();
            self.erase(outcome.as_ref().err());
            *lock(&self.failure) = outcome.err();
        }
        // Who still waits learns that the store is closed.
        lock(&self.erasing).clear();
        // What is in memory is in the journal too: if this fails, the next start does it.
        let _ = self.flush();
    }

    /// Waits until there is something to do, or to be tried again; `false` when the store is closed.
    fn wait(&self, woken: &Receiver<()>) -> bool {
        let failed = lock(&self.failure).is_some();
        match if failed { woken.recv_timeout(PAUSE) } else { woken.recv().map_err(RecvTimeoutError::from) } {
            Ok(()) | Err(RecvTimeoutError::Timeout) => !self.closing.load(Ordering::Relaxed),
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }

    fn sort(&self) -> Result<(), EngineError> {
        self.flush()?;
        for _ in 0..MERGES {
            if self.closing.load(Ordering::Relaxed) {
                break;
            }
            self.tree.compact()?;
        }
        Ok(())
    }

    /// Answers those who want what was overwritten to be gone.
    fn erase(&self, failure: Option<&EngineError>) {
        let waiting = std::mem::take(&mut *lock(&self.erasing));
        if waiting.is_empty() {
            return;
        }
        let erased = match failure {
            Some(failure) => Err(failure.clone()),
            None => self.tree.erase_overwritten(),
        };
        for reply in waiting {
            // Whoever does not wait any more does not want to know.
            let _ = reply.try_send(erased.clone());
        }
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.tree.flush()?;
        self.remove_segments()
    }

    /// Removes the segments of which everything is sorted, oldest first.
    fn remove_segments(&self) -> Result<(), EngineError> {
        let Some(sorted) = self.tree.sorted() else { return Ok(()) };
        let mut segments = lock(&self.segments);
        while let Some((_, path)) = segments.first().filter(|(last, _)| *last <= sorted) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(EngineError(error.to_string()));
                }
                _ => segments.remove(0),
            };
        }
        Ok(())
    }
}
