//! Work that takes processors and waits for nothing: where it is done.

use std::sync::{Arc, Mutex, PoisonError};

use freehold_store::BoxFuture;

use crate::error::ActionError;
use crate::rooms::Rooms;

/// A piece of work for a processor.
pub type Job = Box<dyn FnOnce() + Send>;

/// Who does work for processors, such as verifying the signatures of a large room.
pub trait Labour: Send + Sync {
    /// Begins a piece of work at once; ready when it is done.
    fn run(&self, job: Job) -> BoxFuture<'static, ()>;

    /// How many pieces are done at the same time.
    fn hands(&self) -> usize;
}

/// Everything is done at once by whoever asks for it, so that the same happens in the same order each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnHands;

impl Labour for OwnHands {
    fn run(&self, job: Job) -> BoxFuture<'static, ()> {
        job();
        Box::pin(std::future::ready(()))
    }

    fn hands(&self) -> usize {
        1
    }
}

impl Rooms {
    /// The same rooms, whose work for processors somebody does; otherwise [`OwnHands`] do it. Whoever came first stays.
    #[must_use]
    pub fn with_labour(self, labour: Arc<dyn Labour>) -> Self {
        // Who came later is not needed.
        let _ = self.0.labour.set(labour);
        self
    }

    /// Who does work for processors.
    pub(crate) fn labour(&self) -> &dyn Labour {
        self.0.labour.get().map_or(&OwnHands, |labour| &**labour)
    }

    /// Has a piece of work done: it begins at once, wherever [`Labour`] has it done.
    ///
    /// # Errors
    /// [`ActionError::Damaged`] when it did not come to its end.
    pub fn have_done<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ActionError>> {
        let made = Arc::new(Mutex::new(None));
        let place = Arc::clone(&made);
        let running = self.labour().run(Box::new(move || {
            let done = work();
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        }));
        Box::pin(async move {
            running.await;
            let done = made.lock().unwrap_or_else(PoisonError::into_inner).take();
            done.ok_or_else(|| ActionError::damaged("work for a processor was lost"))
        })
    }
}
