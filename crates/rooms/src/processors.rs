//! Work for processors, on threads beside those that answer requests.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_store::BoxFuture;
use tokio::sync::oneshot;

use crate::labour::{Job, Labour};

/// Threads of the runtime for work that takes processors: as many as there are hands, however many pieces of work wait, and
/// none while there is nothing to do. A clone has the same hands.
#[derive(Clone)]
pub struct Processors(Arc<Line>);

struct Line {
    hands: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// In the order in which they came; whoever waits for one hears it when the sender is dropped.
    jobs: VecDeque<(Job, oneshot::Sender<()>)>,
    at_work: usize,
}

/// One that works until nothing waits any more.
struct Hand {
    line: Arc<Line>,
    has_left: bool,
}

impl Processors {
    /// This many pieces of work are done at the same time, at least one.
    pub fn new(hands: usize) -> Self {
        Processors(Arc::new(Line { hands: hands.max(1), waiting: Mutex::default() }))
    }
}

impl Labour for Processors {
    fn run(&self, job: Job) -> BoxFuture<'static, ()> {
        let (done, ready) = oneshot::channel();
        if let Some(hand) = self.0.put(job, done) {
            tokio::task::spawn_blocking(move || hand.work());
        }
        // Nothing is ever sent.
        Box::pin(async move { drop(ready.await) })
    }

    fn hands(&self) -> usize {
        self.0.hands
    }
}

impl Line {
    /// Puts a piece of work into the line; gives one more to work on it, unless there are enough.
    fn put(self: &Arc<Self>, job: Job, done: oneshot::Sender<()>) -> Option<Hand> {
        let mut waiting = self.lock();
        waiting.jobs.push_back((job, done));
        let is_wanted = waiting.at_work < self.hands;
        waiting.at_work += usize::from(is_wanted);
        is_wanted.then(|| Hand { line: Arc::clone(self), has_left: false })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hand {
    fn work(mut self) {
        while let Some((job, done)) = self.next() {
            // Whoever waits for it finds that nothing was made, and says so.
            drop(catch_unwind(AssertUnwindSafe(job)));
            drop(done);
        }
    }

    /// The next piece of work. Who finds none has left in the same moment, so that whoever brings more brings a hand, too.
    fn next(&mut self) -> Option<(Job, oneshot::Sender<()>)> {
        let mut waiting = self.line.lock();
        let next = waiting.jobs.pop_front();
        if next.is_none() {
            waiting.at_work = waiting.at_work.saturating_sub(1);
            self.has_left = true;
        }
        next
    }
}

impl Drop for Hand {
    /// The runtime has ended before it began: what nobody will do is given up.
    fn drop(&mut self) {
        if self.has_left {
            return;
        }
        let mut waiting = self.line.lock();
        waiting.at_work = waiting.at_work.saturating_sub(1);
        let left = if waiting.at_work == 0 { std::mem::take(&mut waiting.jobs) } else { VecDeque::new() };
        // Jobs may hold anything, also what puts others here.
        drop(waiting);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn all_is_done_by_as_many_at_a_time_as_there_are_hands_and_by_others_when_they_left() {
        let processors = Processors::new(2);
        let (now, most, done) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..3 {
            let running: Vec<_> = (0..20)
                .map(|_| {
                    let (now, most, done) = (now.clone(), most.clone(), done.clone());
                    processors.run(Box::new(move || {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                        done.fetch_add(1, Ordering::SeqCst);
                    }))
                })
                .collect();
            for running in running {
                running.await;
            }
        }
        assert_eq!(done.load(Ordering::SeqCst), 60);
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn one_that_panics_is_over_and_the_others_are_done() {
        let processors = Processors::new(1);
        let done = Arc::new(AtomicUsize::new(0));
        let counted = |done: &Arc<AtomicUsize>| -> Job {
            let done = Arc::clone(done);
            Box::new(move || {
                done.fetch_add(1, Ordering::SeqCst);
            })
        };
        let running = [
            processors.run(counted(&done)),
            processors.run(Box::new(|| panic!("a fault in a piece of work"))),
            processors.run(counted(&done)),
        ];
        for running in running {
            running.await;
        }
        assert_eq!(done.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn nobody_waits_for_what_is_not_done_because_the_runtime_has_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        let processors = Processors::new(2);
        let running = {
            let _within = handle.enter();
            processors.run(Box::new(|| ()))
        };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(running);
    }
}
