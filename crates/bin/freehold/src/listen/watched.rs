//! Connections on which nothing comes or goes: they end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long nothing may come or go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until the first byte.
    pub(super) first: Duration,
    /// After it.
    pub(super) idle: Duration,
}

/// A stream that breaks when nothing comes or goes for too long, whatever is being waited for: a request, or that the other side
/// takes an answer.
pub(super) struct Watched<S> {
    stream: S,
    /// For how long nothing may happen now.
    wait: Duration,
    idle: Duration,
    /// When something happened last.
    last: Instant,
    /// Goes off when it may be too late; then it is looked at `last`.
    alarm: Pin<Box<Sleep>>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, Patience { first, idle }: Patience) -> Self {
        Watched { stream, wait: first, idle, last: Instant::now(), alarm: Box::pin(sleep(first)) }
    }

    /// What came of an attempt; if nothing did, whether that has been so for too long.
    fn seen<T>(&mut self, cx: &mut Context<'_>, attempt: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if attempt.is_ready() {
            (self.last, self.wait) = (Instant::now(), self.idle);
            return attempt;
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            let due = self.last + self.wait;
            if due <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let attempt = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.seen(cx, attempt)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.seen(cx, attempt)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.seen(cx, attempt)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // That nothing was left to be flushed, or the end written, is no sign of the other side.

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => self.seen(cx, Poll::Pending),
            done => done,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending => self.seen(cx, Poll::Pending),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const PATIENCE: Patience = Patience { first: Duration::from_secs(30), idle: Duration::from_secs(600) };

    fn pair() -> (Watched<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(8);
        (Watched::new(ours, PATIENCE), theirs)
    }

    /// After how many seconds something fails.
    async fn fails(after: impl Future<Output = io::Result<()>>) -> u64 {
        let begun = Instant::now();
        assert_eq!(after.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_at_first_is_waited_for_less_long_than_who_did() {
        let (mut ours, mut theirs) = pair();
        assert_eq!(fails(async { ours.read_u8().await.map(drop) }).await, 30);
        theirs.write_u8(1).await.unwrap();
        ours.read_u8().await.unwrap();
        assert_eq!(fails(async { ours.read_u8().await.map(drop) }).await, 600);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_on_is_waited_for_and_who_takes_nothing_is_not() {
        let (mut ours, mut theirs) = pair();
        let slow = async {
            for _ in 0..5 {
                theirs.write_u8(1).await.unwrap();
                tokio::time::sleep(Duration::from_secs(599)).await;
                theirs.read_exact(&mut [0; 8]).await.unwrap();
            }
        };
        let served = async {
            for _ in 0..5 {
                ours.read_u8().await.unwrap();
                ours.write_all(&[0; 8]).await.unwrap();
            }
            // No more is taken of this than fits into the pipe.
            fails(ours.write_all(&[0; 100])).await
        };
        let ((), after) = tokio::join!(slow, served);
        assert!((600..1_200).contains(&after), "{after}");
    }
}
