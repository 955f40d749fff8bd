//! When to stop: on SIGTERM or SIGINT.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells everybody when to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Begins to listen for signals.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            sender.send_replace(true);
            // A receiver must not take the end of the sender for news.
            sender.closed().await;
        });
        Ok(Stop(receiver))
    }

    /// Waits until it is time to stop.
    pub(crate) async fn asked(&self) {
        // An error means that nobody can ask any more, which is as good.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }
}
