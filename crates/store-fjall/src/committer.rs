//! The one thread that writes: it takes all batches that wait and commits them together.

use std::io;
use std::thread::{Builder, JoinHandle};

use async_channel::{Receiver, Sender};
use freehold_store::{Batch, CommitError, EngineError, Position};

use crate::writer::Writer;

/// How many batches may wait. More wait in their callers.
const WAITING: usize = 1024;

/// How many batches one group has at most, so that none waits long for others.
const GROUP: usize = 256;

/// How many bytes of changes a group collects before it is closed.
const GROUP_BYTES: usize = 4 << 20;

/// What came of a batch.
pub(crate) type Outcome = Result<Position, CommitError>;

/// Hands batches to the writing thread. Dropping it commits what waits and ends the thread.
pub(crate) struct Committer {
    requests: Sender<Request>,
    thread: Option<JoinHandle<()>>,
}

struct Request {
    batch: Batch,
    reply: Sender<Outcome>,
}

impl Committer {
    /// Starts the thread, which commits with the writer.
    pub(crate) fn start(writer: Writer) -> io::Result<Self> {
        let (requests, waiting) = async_channel::bounded(WAITING);
        let thread = Builder::new().name("store".to_owned()).spawn(move || run(&waiting, writer))?;
        Ok(Committer { requests, thread: Some(thread) })
    }

    /// Ready when the batch is durable, or refused.
    pub(crate) async fn commit(&self, batch: Batch) -> Outcome {
        let (reply, outcome) = async_channel::bounded(1);
        self.requests.send(Request { batch, reply }).await.map_err(|_| closed())?;
        outcome.recv().await.map_err(|_| closed())?
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.requests.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by itself.
            let _ = thread.join();
        }
    }
}

fn run(waiting: &Receiver<Request>, mut writer: Writer) {
    while let Ok(first) = waiting.recv_blocking() {
        let (batches, replies): (Vec<Batch>, Vec<Sender<Outcome>>) =
            group(first, waiting).into_iter().map(|request| (request.batch, request.reply)).unzip();
        for (reply, outcome) in replies.into_iter().zip(writer.commit(batches)) {
            // Whoever does not wait any more does not want to know.
            let _ = reply.try_send(outcome);
        }
        writer.settle();
    }
}

/// A batch and those that wait behind it, within the bounds of a group.
fn group(first: Request, waiting: &Receiver<Request>) -> Vec<Request> {
    let mut bytes = first.batch.bytes();
    let mut group = vec![first];
    while group.len() < GROUP && bytes < GROUP_BYTES {
        let Ok(next) = waiting.try_recv() else { break };
        bytes += next.batch.bytes();
        group.push(next);
    }
    group
}

fn closed() -> CommitError {
    CommitError::Engine(EngineError("closed".to_owned()))
}
