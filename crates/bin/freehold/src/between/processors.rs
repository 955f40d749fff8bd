//! Work for processors, done where it holds up no request.

use freehold_rooms::{Job, Labour};
use freehold_store::BoxFuture;

/// Threads beside those that answer requests; as many pieces of work at a time as there are processors.
pub(crate) struct Processors;

impl Labour for Processors {
    fn run(&self, job: Job) -> BoxFuture<'static, ()> {
        let running = tokio::task::spawn_blocking(job);
        Box::pin(async move {
            if let Err(error) = running.await {
                tracing::error!(%error, "work for a processor was lost");
            }
        })
    }

    fn hands(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}
