//! Asking several servers, the next whenever one is slow or of no use.

use std::time::Duration;

use freehold_store::BoxFuture;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ruma_common::OwnedServerName;
use tokio::time::timeout;

use super::fetching::NoAnswer;
use crate::limits::{INGEST_ANSWER_MS, INGEST_HEDGE_MS};

/// An answer, unless it takes too long.
pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, NoAnswer>>) -> Result<T, NoAnswer> {
    timeout(Duration::from_millis(INGEST_ANSWER_MS), answer).await.unwrap_or(Err(NoAnswer::TooSlow))
}

/// The first answer that is of use. Servers are asked in their order: the next one when one before it failed, or when
/// nobody answered for a while. Those that are slower than another are given up, and those that take too long.
pub(super) async fn hedged<'a, T>(
    servers: &'a [OwnedServerName],
    ask: impl Fn(&'a OwnedServerName) -> BoxFuture<'a, Result<T, NoAnswer>>,
) -> Result<T, NoAnswer> {
    let hedge = Duration::from_millis(INGEST_HEDGE_MS);
    let ask = |server| in_time(ask(server));
    let mut asked = FuturesUnordered::new();
    let mut next = servers.iter();
    let mut last = NoAnswer::Nobody;
    loop {
        if asked.is_empty() {
            let Some(server) = next.next() else { return Err(last) };
            asked.push(ask(server));
        }
        let answer = match next.len() {
            0 => Ok(asked.next().await),
            _ => timeout(hedge, asked.next()).await,
        };
        match answer {
            Ok(Some(Ok(answer))) => return Ok(answer),
            Ok(Some(Err(error))) => last = last.or(error),
            Ok(None) => {}
            Err(_) => asked.extend(next.next().map(&ask)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use ruma_common::ServerName;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_next_server_is_asked_when_one_fails_or_is_slow() {
        let servers: Vec<OwnedServerName> =
            ["fails.example", "hangs.example", "good.example", "spared.example"]
                .into_iter()
                .map(|name| ServerName::parse(name).unwrap())
                .collect();
        let asked = RefCell::new(Vec::new());
        let answer = hedged(&servers, |server| {
            asked.borrow_mut().push(server.to_string());
            match server.as_str() {
                "fails.example" => Box::pin(std::future::ready(Err(NoAnswer::Useless("nothing")))),
                "hangs.example" => Box::pin(std::future::pending()),
                name => Box::pin(std::future::ready(Ok(name))),
            }
        });
        assert_eq!(answer.await.unwrap(), "good.example");
        assert_eq!(*asked.borrow(), ["fails.example", "hangs.example", "good.example"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_too_long_is_given_up_when_there_is_no_other() {
        let servers = [OwnedServerName::try_from("hangs.example").unwrap()];
        let answer: Result<(), NoAnswer> = hedged(&servers, |_| Box::pin(std::future::pending())).await;
        assert!(matches!(answer, Err(NoAnswer::TooSlow)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_failure_is_told_when_nobody_answers() {
        let nobody: BoxFuture<'_, Result<(), NoAnswer>> =
            Box::pin(hedged(&[], |_| Box::pin(std::future::pending())));
        assert!(matches!(nobody.await, Err(NoAnswer::Nobody)));
    }
}
