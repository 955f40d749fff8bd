//! Sends what one tenant has for one server, one transaction after the other.

use std::sync::atomic::Ordering;
use std::time::Duration;

use freehold_rooms::{Reader, Unreadable};
use freehold_store::tables::outbound::BEHIND;
use freehold_store::{Batch, EventNumber, Position, Tenant};

use super::log::{Page, missed};
use super::parcel::Parcel;
use super::progress::At;
use super::queue::Queue;
use super::service::{Key, Outbound};
use crate::client::{Request, RequestError};
use crate::discovery::doubled;
use crate::limits::{REFUSED_WAIT_MAX_MS, REFUSED_WAIT_MIN_MS, TRANSACTION_EVENTS_MAX, TRANSACTION_TIME_MS};
use crate::remote::path;

/// The next transaction, and where its events stand.
struct Next {
    parcel: Parcel,
    events: Vec<(At, EventNumber)>,
    /// For a queue that is behind: how far it came, as it is written down, and what was read of the log since.
    read: Option<(At, Page)>,
    reader: Reader,
}

/// What came of trying to send something.
enum Turn {
    /// There may be more.
    Sent,
    /// It was not taken, with how many events were in it.
    Refused(RequestError, usize),
    /// There is nothing more, and nobody sends.
    Idle,
}

/// How sending goes on after a failure.
#[derive(Debug, PartialEq, Eq)]
enum After {
    /// As if it had been sent: the server is not to have it, or cannot take it.
    Skip,
    /// In smaller pieces: something in it is refused.
    Smaller,
    /// When the server answers again.
    WhenDue,
    /// After a while: it answers, and does not take it now.
    Later,
}

/// How long it waits when the store does not read or write.
const STORE_PAUSE: Duration = Duration::from_secs(5);

impl Outbound {
    /// Has somebody send what a queue holds, unless somebody does.
    pub(super) fn send(&self, key: Key) {
        {
            let mut state = self.0.lock();
            let Some(queue) = state.queues.get_mut(&key) else { return };
            if queue.sending {
                return;
            }
            queue.sending = true;
        }
        let this = self.clone();
        tokio::spawn(async move { this.send_all(key).await });
    }

    async fn send_all(&self, key: Key) {
        let (mut limit, mut refusals) = (TRANSACTION_EVENTS_MAX, 0);
        loop {
            let Some(tenant) = self.0.parts.tenants.tenant(key.0) else {
                // It is not in service: what it has to say waits in the store.
                let kept = self.fall_behind(&key).await;
                if let Err(error) = kept {
                    tracing::error!(server = %key.1, %error, "what is to be sent is not written down");
                }
                self.cease(&key);
                return;
            };
            match self.send_next(&key, &tenant, limit).await {
                Ok(Turn::Sent) => (limit, refusals) = (TRANSACTION_EVENTS_MAX, 0),
                Ok(Turn::Refused(error, count)) => match after(&error, count) {
                    After::Skip => limit = TRANSACTION_EVENTS_MAX,
                    After::Smaller => limit = (count / 2).max(1),
                    After::WhenDue | After::Later => {
                        refusals += 1;
                        self.wait(&key, &error, refusals).await;
                    }
                },
                Ok(Turn::Idle) => return,
                Err(error) => {
                    tracing::error!(server = %key.1, %error, "what is to be sent cannot be read");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Sends the next transaction.
    async fn send_next(&self, key: &Key, tenant: &Tenant, limit: usize) -> Result<Turn, Unreadable> {
        let next = self.next(key, limit).await?;
        if next.parcel.is_empty() {
            return Ok(if self.is_done(key, &next).await { Turn::Idle } else { Turn::Sent });
        }
        let body = next.parcel.body(&next.reader, tenant, self.0.parts.clock.now_ts()).await;
        let body = body.map_err(|error| Unreadable::Damaged(Box::new(error)))?;
        let number = self.0.transactions.fetch_add(1, Ordering::Relaxed);
        let uri = path("v1/send", &[&format!("{}-{number}", self.0.started_ts)], &[]);
        let request = Request::put(uri, body).within(Duration::from_millis(TRANSACTION_TIME_MS));
        let count = next.events.len();
        let Err(error) = self.0.parts.client.request(tenant, &key.1, request).await else {
            self.sent(key, &next).await?;
            return Ok(Turn::Sent);
        };
        if after(&error, count) == After::Skip {
            tracing::warn!(tenant = %tenant.server_name(), server = %key.1, %error, "a transaction is given up");
            self.sent(key, &next).await?;
        } else {
            tracing::debug!(tenant = %tenant.server_name(), server = %key.1, %error, "a transaction was not taken");
            self.put_back(key);
        }
        Ok(Turn::Refused(error, count))
    }

    /// What is sent next.
    async fn next(&self, key: &Key, limit: usize) -> Result<Next, Unreadable> {
        let (held, behind, has_messages) = {
            let mut state = self.0.lock();
            let queue = state.queues.entry(key.clone()).or_default();
            (queue.next(limit), queue.behind, std::mem::take(&mut queue.has_messages))
        };
        // Read after that: what is put out from now on says so.
        let reader = self.0.parts.rooms.reader()?;
        let mut next = Next { parcel: Parcel::default(), events: held, read: None, reader };
        if let Some(after) = behind {
            let mut page = missed(&next.reader, (key.0, &key.1), after, limit).await?;
            next.events = std::mem::take(&mut page.events);
            next.read = Some((after, page));
        }
        next.parcel.events = next.events.iter().map(|(_, event)| *event).collect();
        if has_messages {
            next.parcel.add_messages(next.reader.snapshot(), (key.0, &key.1)).await?;
        }
        let mut state = self.0.lock();
        if let Some(queue) = state.queues.get_mut(key) {
            queue.has_messages |= has_messages && !next.parcel.has_all_messages();
            next.parcel.add_ephemeral(queue.ephemeral.take(next.parcel.edus_left()));
        }
        Ok(next)
    }

    /// Notes that a transaction went through.
    async fn sent(&self, key: &Key, next: &Next) -> Result<(), Unreadable> {
        let mut batch = Batch::new();
        next.parcel.forget(&self.0.parts.store.snapshot()?, &mut batch).await?;
        if let Some((_, page)) = &next.read {
            batch.put(&BEHIND, key, &page.up_to);
        }
        if !batch.is_empty()
            && let Err(error) = self.0.parts.store.commit(batch).await
        {
            // It is sent twice, and known there by its id.
            tracing::debug!(server = %key.1, %error, "what was sent is not written down");
            self.put_back(key);
        }
        let mut state = self.0.lock();
        if let Some(queue) = state.queues.get_mut(key) {
            match &next.read {
                Some((_, page)) => queue.behind = Some(page.up_to),
                None => queue.sent(next.events.len()),
            }
        }
        if next.read.is_none() {
            let progress = state.progress(key.0);
            next.events.iter().for_each(|(at, _)| progress.done(*at));
        }
        Ok(())
    }

    /// There was nothing to send: a queue that was behind may keep up from now on, and one that is empty goes away. Whether
    /// it did.
    async fn is_done(&self, key: &Key, next: &Next) -> bool {
        if let Some((written, page)) = &next.read {
            let keeps_up = page.is_end && self.keeps_up(key, next.reader.position());
            let mut batch = Batch::new();
            // Unless it fell behind again meanwhile.
            batch.expect_unchanged(&BEHIND, key, Some(written));
            if keeps_up {
                batch.delete(&BEHIND, key)
            } else {
                batch.put(&BEHIND, key, &page.up_to)
            }
            if let Err(error) = self.0.parts.store.commit(batch).await {
                tracing::debug!(server = %key.1, %error, "how far a server has come is not written down");
            } else if !keeps_up && let Some(queue) = self.0.lock().queues.get_mut(key) {
                queue.behind = Some(page.up_to);
            }
            if !keeps_up {
                return false;
            }
        }
        let mut state = self.0.lock();
        let is_idle = state.queues.get(key).is_none_or(Queue::is_idle);
        if is_idle {
            state.queues.remove(key);
        }
        is_idle
    }

    /// Has events come to a queue in memory from now on, if the log was read up to all that were handed over.
    fn keeps_up(&self, key: &Key, read_up_to: Position) -> bool {
        let mut state = self.0.lock();
        let dispatched = state.progress(key.0).dispatched;
        if dispatched.0 > read_up_to {
            return false;
        }
        if let Some(queue) = state.queues.get_mut(key) {
            queue.behind = None;
        }
        true
    }

    /// Messages that were not taken are still in their tables.
    fn put_back(&self, key: &Key) {
        if let Some(queue) = self.0.lock().queues.get_mut(key) {
            queue.has_messages = true;
        }
    }

    /// Somebody ceases to send although there is something.
    fn cease(&self, key: &Key) {
        if let Some(queue) = self.0.lock().queues.get_mut(key) {
            queue.sending = false;
        }
    }

    /// Waits until it is worth trying again.
    async fn wait(&self, key: &Key, error: &RequestError, refusals: u32) {
        if let Err(error) = self.fall_behind(key).await {
            tracing::error!(server = %key.1, %error, "what is to be sent is not written down");
            tokio::time::sleep(STORE_PAUSE).await;
        }
        let health = self.0.parts.client.health();
        match error.retry_ts() {
            Some(until_ts) if matches!(error, RequestError::ToldToWait { .. }) => {
                let wait_ms = until_ts.saturating_sub(self.0.parts.clock.now_ts());
                tokio::time::sleep(Duration::from_millis(u64::try_from(wait_ms).unwrap_or_default())).await;
            }
            _ if !health.is_alive(&key.1) => health.wait_until_due(&key.1).await,
            _ => {
                let wait_ms = doubled(refusals, REFUSED_WAIT_MIN_MS, REFUSED_WAIT_MAX_MS);
                let wait_ms = self.0.parts.randomness.around(wait_ms);
                tokio::time::sleep(Duration::from_millis(u64::try_from(wait_ms).unwrap_or_default())).await;
            }
        }
    }
}

/// How sending goes on after a failure of a transaction with that many events.
fn after(error: &RequestError, events: usize) -> After {
    match error {
        RequestError::NotSpokenWith { .. } | RequestError::Local { .. } => After::Skip,
        RequestError::Refused(refusal) => match refusal.status {
            // What is wrong is in the transaction: it is found by sending less.
            400 | 413 | 422 if events > 1 => After::Smaller,
            400 | 413 | 422 => After::Skip,
            _ => After::Later,
        },
        RequestError::NotReached(_)
        | RequestError::NotFound(_)
        | RequestError::TooSlow
        | RequestError::BrokeOff { .. }
        | RequestError::Waiting { .. } => After::WhenDue,
        _ => After::Later,
    }
}
