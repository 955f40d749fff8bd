//! What signals ask for: to stop, on SIGTERM or SIGINT; to read certificates anew, on SIGHUP.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The times at which SIGHUP comes.
#[derive(Debug)]
pub(crate) struct Hangups(Signal);

impl Hangups {
    /// Begins to listen for the signal.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Hangups)
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // There will be no more.
            std::future::pending::<()>().await;
        }
    }
}

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
