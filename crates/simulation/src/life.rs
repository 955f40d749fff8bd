//! Whether a process still runs.

use std::sync::Arc;

use tokio::sync::watch;

/// The life of one run of a process. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Life(Arc<watch::Sender<bool>>);

impl Life {
    /// A life that begins.
    pub(crate) fn new() -> Self {
        Life(Arc::new(watch::Sender::new(false)))
    }

    /// Ends it: what it was about to do is not done.
    pub(crate) fn end(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is over.
    pub(crate) async fn over(&self) {
        let mut ended = self.0.subscribe();
        if ended.wait_for(|over| *over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What a future gives while the life lasts; `None` if it ends first.
    pub(crate) async fn during<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.over() => None,
            done = future => Some(done),
        }
    }
}
