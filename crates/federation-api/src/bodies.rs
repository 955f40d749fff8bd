//! How much memory the bodies of requests take, from their first byte until they are answered. Who sends one has proved nothing before
//! its last byte is there.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::limits::{ADDRESS_BODIES_BYTES_MAX, BODIES_BYTES_MAX, BODY_TIME_MAX, SMALL_BODY_BYTES};

/// Counts the bytes of all bodies that are held at the same time. A clone counts together with the original.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bodies(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// By the network that they come from, where it is known.
    of: HashMap<IpAddr, usize>,
}

/// What a body adds to the count until this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    bodies: Bodies,
    of: Option<IpAddr>,
    bytes: usize,
}

/// Why a body was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyRefused {
    /// It is too large.
    TooLarge,
    /// It did not come in time.
    Slow,
    /// The connection broke.
    BrokeOff,
    /// Too many others are held at the same time, from there or in all.
    NoMemory,
}

impl Bodies {
    /// Takes in a body of at most `most` bytes that comes from somewhere.
    pub(crate) async fn take(
        &self,
        of: Option<IpAddr>,
        body: Body,
        most: usize,
    ) -> Result<(Bytes, Share), BodyRefused> {
        let share = Share { bodies: self.clone(), of, bytes: 0 };
        timeout(BODY_TIME_MAX, read(share, body, most)).await.unwrap_or(Err(BodyRefused::Slow))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(mut share: Share, body: Body, most: usize) -> Result<(Bytes, Share), BodyRefused> {
    let mut chunks = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BodyRefused::BrokeOff)?;
        let bytes = whole.len() + chunk.len();
        if bytes > most {
            return Err(BodyRefused::TooLarge);
        }
        share.grow_to(bytes)?;
        whole.extend_from_slice(&chunk);
    }
    Ok((whole.into(), share))
}

impl Share {
    /// Small bodies may use what large ones must leave, so that those hold up no event.
    fn grow_to(&mut self, bytes: usize) -> Result<(), BodyRefused> {
        let more = bytes.saturating_sub(self.bytes);
        let most = if bytes > SMALL_BODY_BYTES { BODIES_BYTES_MAX / 4 * 3 } else { BODIES_BYTES_MAX };
        let mut held = self.bodies.lock();
        let from_there = |of| held.of.get(&of).map_or(0, |bytes| *bytes) + more;
        let from_there = self.of.map(|of| (of, from_there(of)));
        let too_many = from_there.is_some_and(|(_, bytes)| bytes > ADDRESS_BODIES_BYTES_MAX);
        if held.all + more > most || too_many {
            return Err(BodyRefused::NoMemory);
        }
        held.all += more;
        held.of.extend(from_there);
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.bodies.lock();
        held.all = held.all.saturating_sub(self.bytes);
        let Some(of) = self.of else { return };
        let left = held.of.get(&of).map_or(0, |bytes| bytes.saturating_sub(self.bytes));
        if left == 0 {
            held.of.remove(&of)
        } else {
            held.of.insert(of, left)
        };
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::stream;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn from(address: u8) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, address)))
    }

    fn body(bytes: usize) -> Body {
        Body::from(vec![0; bytes])
    }

    #[tokio::test]
    async fn one_address_has_a_part_and_small_bodies_pass_when_large_ones_do_not() {
        let bodies = Bodies::default();
        let mut held = Vec::new();
        let (mut address, mut taken) = (1, 0);
        // Each address has its bound, and all together have theirs.
        let refused = loop {
            match bodies.take(from(address), body(10 * MIB), 10 * MIB).await {
                Ok((_, share)) => {
                    held.push(share);
                    taken += 1;
                }
                Err(BodyRefused::NoMemory) if taken == ADDRESS_BODIES_BYTES_MAX / (10 * MIB) => {
                    (address, taken) = (address + 1, 0);
                }
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused, BodyRefused::NoMemory);
        assert_eq!(held.len(), BODIES_BYTES_MAX / 4 * 3 / (10 * MIB));
        address += 1;
        assert!(bodies.take(from(address), body(SMALL_BODY_BYTES), MIB).await.is_ok());
        drop(held);
        assert_eq!(bodies.lock().all, 0);
        assert!(bodies.lock().of.is_empty());
        assert!(bodies.take(from(1), body(10 * MIB), 10 * MIB).await.is_ok());
        let too_large = bodies.take(from(1), body(10 * MIB + 1), 10 * MIB).await;
        assert_eq!(too_large.unwrap_err(), BodyRefused::TooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_given_up() {
        let bodies = Bodies::default();
        let endless = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![0; MIB]))]);
        let endless = Body::from_stream(endless.chain(stream::pending()));
        assert_eq!(bodies.take(from(1), endless, 10 * MIB).await.unwrap_err(), BodyRefused::Slow);
        assert_eq!(bodies.lock().all, 0);
    }
}
