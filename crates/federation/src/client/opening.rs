//! Which of a server's addresses answers first.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::limits::NEXT_ADDRESS_MS;
use crate::transport::{Endpoint, SendError, Transport};

/// The addresses of a server in the order in which they are asked: first the one to which there is a connection first.
/// Each has a moment before the next is tried beside it, so that a network that swallows what goes to one family of
/// addresses costs that moment only ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305)).
pub(super) async fn in_order(transport: &dyn Transport, mut endpoints: Vec<Endpoint>) -> Vec<Endpoint> {
    if endpoints.len() > 1 {
        let first = first(transport, &endpoints).await.ok();
        if let Some(winner) = first.filter(|first| *first < endpoints.len()) {
            let winner = endpoints.remove(winner);
            endpoints.insert(0, winner);
        }
    }
    endpoints
}

/// The place of the first of a server's addresses to which there is a connection.
///
/// # Errors
/// What the last one said; nothing if there is none.
pub(super) async fn first(
    transport: &dyn Transport,
    endpoints: &[Endpoint],
) -> Result<usize, Option<SendError>> {
    let attempts = endpoints.iter().zip(0_u32..).zip(0_usize..);
    let mut attempts: FuturesUnordered<_> = attempts
        .map(|((endpoint, before), place)| async move {
            tokio::time::sleep(Duration::from_millis(NEXT_ADDRESS_MS) * before).await;
            transport.open(endpoint).await.map(|()| place)
        })
        .collect();
    let mut last = None;
    while let Some(opened) = attempts.next().await {
        match opened {
            Ok(place) => return Ok(place),
            Err(error) => last = Some(error),
        }
    }
    Err(last)
}
