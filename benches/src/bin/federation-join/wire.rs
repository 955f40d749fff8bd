//! A wire as long as one likes: what goes in at one end comes out at the other after a time. It is as broad as the machine
//! can carry, and loses nothing.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

const CHUNK: usize = 64 << 10;

/// The far end of a connection to somebody who is so far away: bytes take half of `round_trip` in each direction, and the
/// first of them one round trip more, as setting up a TCP connection does.
pub(crate) fn stretched(near: TcpStream, round_trip: Duration) -> DuplexStream {
    let (far, middle) = duplex(CHUNK);
    let (from_far, to_far) = split(middle);
    let (from_near, to_near) = near.into_split();
    tokio::spawn(async move {
        sleep(round_trip).await;
        tokio::join!(carry(from_near, to_far, round_trip / 2), carry(from_far, to_near, round_trip / 2));
    });
    far
}

/// Carries what comes, each piece after the same time.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, time: Duration) {
    let (put, mut take) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let taking_in = async move {
        loop {
            let mut piece = vec![0; CHUNK];
            match from.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(length) => piece.truncate(length),
            }
            if put.send((Instant::now() + time, piece)).is_err() {
                return;
            }
        }
    };
    let giving_out = async move {
        while let Some((due, piece)) = take.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        // Whoever is gone by now needs no goodbye.
        let _ = to.shutdown().await;
    };
    tokio::join!(taking_in, giving_out);
}
