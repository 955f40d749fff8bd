//! Sends what one tenant has for one server, one transaction after the other.

use std::sync::atomic::Ordering;
use std::time::Duration;

use freehold_rooms::Unreadable;
use freehold_store::{Batch, Tenant};
use tokio::time::{sleep, timeout};

use super::course::{Course, Next, may_have_arrived};
use super::service::Outbound;
use super::state::Key;
use super::transaction::{Cargo, Transaction};
use crate::client::{Attempt, Door, Request, RequestError};
use crate::discovery::doubled;
use crate::limits::{
    MESSAGES_IN_A_ROW_MAX, REFUSED_WAIT_MAX_MS, REFUSED_WAIT_MIN_MS, TENDED_EVERY_MS, TRANSACTION_TIME_MS,
    WAKE_AFTER_MS,
};
use crate::remote::path;

/// What came of a turn.
enum Turn {
    /// There may be more to do.
    On,
    /// There is nothing to send, and nobody sends.
    Rest,
    /// It goes on after a while, in milliseconds.
    After(i64),
    /// It goes on after a while, or when the server shows that it lives.
    Later,
}

/// What is to be sent.
pub(super) enum Found {
    /// This.
    Transaction(Transaction),
    /// Something was cleared away; there may be more behind it.
    Look,
    /// Nothing.
    Nothing,
}

/// How long it waits when the store does not read or write.
const STORE_PAUSE: Duration = Duration::from_secs(5);

impl Outbound {
    /// Sends until there is nothing left.
    pub(super) async fn drive(&self, key: Key) {
        let mut course = Course::new();
        while !self.0.is_stopping.load(Ordering::SeqCst) {
            let Some(tenant) = self.0.parts.tenants.tenant(key.0) else {
                // It is not in service: what it has to say waits in the store.
                self.0.lock().park(&key);
                return self.0.announce();
            };
            if !self.0.parts.client.health().is_alive(&key.1) {
                self.wait_until_due(&key, &mut course).await;
                continue;
            }
            self.0.lock().queue(&key).end_to_wait();
            // In a box: most of those that send wait, and are to be small.
            match Box::pin(self.turn(&key, &tenant, &mut course)).await {
                Ok(Turn::On) => {}
                Ok(Turn::Rest) => return self.0.announce(),
                Ok(Turn::After(wait_ms)) => self.wait(&key, wait_ms).await,
                Ok(Turn::Later) => self.wait_for_grace(&key, course.refusals).await,
                Err(error) => {
                    tracing::error!(server = %key.1, %error, "what is to be sent cannot be read or written");
                    sleep(STORE_PAUSE).await;
                }
            }
            self.0.announce();
        }
    }

    async fn turn(&self, key: &Key, tenant: &Tenant, course: &mut Course) -> Result<Turn, Unreadable> {
        let _permit = self.0.permits.wait(&key.1).await;
        if self.0.is_stopping.load(Ordering::SeqCst) {
            return Ok(Turn::On);
        }
        let door = match self.knock(key, tenant).await {
            Ok(door) => door,
            Err(error) => return Ok(self.not_reached((key, tenant), &error, course)),
        };
        let transaction = match course.held.take() {
            Some(transaction) => transaction,
            None => match self.find(key, tenant, course).await? {
                Found::Transaction(transaction) => transaction,
                Found::Look => return Ok(Turn::On),
                Found::Nothing if self.0.lock().rest(key) => return Ok(Turn::Rest),
                Found::Nothing => return Ok(Turn::On),
            },
        };
        let attempt = if door.is_some() { Attempt::Always } else { Attempt::WhenDue };
        let answered = self.put(key, tenant, (&transaction, attempt)).await;
        drop(door);
        match answered {
            Ok(()) => {
                self.0.permits.proved(&key.1);
                course.ease();
                self.done(key, &transaction.cargo).await?;
                Ok(Turn::On)
            }
            Err(error) => self.failed((key, tenant), transaction, &error, course).await,
        }
    }

    /// Connects to a server that did not take the last transaction, or none yet, before it is read what it is to have.
    async fn knock(&self, key: &Key, tenant: &Tenant) -> Result<Option<Door<'_>>, RequestError> {
        if self.0.permits.is_proven(&key.1) {
            return Ok(None);
        }
        match self.0.parts.client.knock(tenant, &key.1).await {
            Ok(door) => Ok(Some(door)),
            // What waits for such a server is done with when it is to be sent.
            Err(RequestError::NotSpokenWith { .. } | RequestError::Local { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// There is no connection.
    fn not_reached(&self, (key, tenant): (&Key, &Tenant), error: &RequestError, course: &mut Course) -> Turn {
        tracing::debug!(tenant = %tenant.server_name(), server = %key.1, %error, "a server is not reached");
        self.0.permits.doubted(&key.1);
        let next = course.failed(error, &Cargo::Nothing, self.0.parts.clock.now_ts());
        self.turn_after(next, key, error)
    }

    /// What is sent next: messages first, as they bring the keys of events; but not for ever.
    async fn find(&self, key: &Key, tenant: &Tenant, course: &mut Course) -> Result<Found, Unreadable> {
        if course.messages_in_a_row < MESSAGES_IN_A_ROW_MAX {
            match self.messages(key, tenant, course.limit).await? {
                Found::Nothing => {}
                found => {
                    course.messages_in_a_row += 1;
                    return Ok(found);
                }
            }
        }
        match self.lists(key, tenant, course.limit).await? {
            Found::Nothing => course.messages_in_a_row = 0,
            found => return Ok(found),
        }
        match self.last_missed(key, tenant, course.limit).await? {
            Found::Nothing => {}
            found => return Ok(found),
        }
        self.events(key, tenant, course.limit).await
    }

    /// Makes the request.
    async fn put(
        &self,
        key: &Key,
        tenant: &Tenant,
        (transaction, attempt): (&Transaction, Attempt),
    ) -> Result<(), RequestError> {
        let uri = path("v1/send", &[&transaction.id], &[]);
        let time = Duration::from_millis(TRANSACTION_TIME_MS);
        let request = Request { attempt, ..Request::put(uri, transaction.body.clone()).within(time) };
        self.0.parts.client.request(tenant, &key.1, request).await.map(drop)
    }

    async fn failed(
        &self,
        (key, tenant): (&Key, &Tenant),
        transaction: Transaction,
        error: &RequestError,
        course: &mut Course,
    ) -> Result<Turn, Unreadable> {
        let (name, server) = (tenant.server_name(), &key.1);
        tracing::debug!(tenant = %name, %server, %error, "a transaction was not taken");
        self.0.permits.doubted(server);
        let may_have_arrived = may_have_arrived(error);
        if may_have_arrived {
            self.may_have_arrived(key, &transaction.cargo);
        }
        let limit = course.limit;
        let mut next = course.failed(error, &transaction.cargo, self.0.parts.clock.now_ts());
        if next == Next::Probe {
            next = match self.takes_anything(key, tenant).await {
                true => course.took_nothing(),
                false => Next::Later,
            };
            if next == Next::Done {
                tracing::error!(tenant = %name, %server, %error, cargo = ?transaction.cargo,
                    "what the server does not take is given up");
            }
        }
        if next == Next::Done {
            course.ease();
            self.done(key, &transaction.cargo).await?;
            return Ok(Turn::On);
        }
        if may_have_arrived && next != Next::Smaller && course.limit == limit && course.holds() {
            course.held = Some(transaction);
        }
        Ok(self.turn_after(next, key, error))
    }

    fn turn_after(&self, next: Next, key: &Key, error: &RequestError) -> Turn {
        match next {
            Next::After(wait_ms) => Turn::After(wait_ms),
            Next::Later | Next::Probe => Turn::Later,
            // It is no illness of the server's that it waits for: then it waits for time to pass.
            Next::WhenDue if !matches!(error, RequestError::Waiting { .. }) && self.is_alive(key) => {
                Turn::Later
            }
            Next::Done | Next::Smaller | Next::WhenDue => Turn::On,
        }
    }

    /// Whether the server takes a transaction with nothing in it.
    async fn takes_anything(&self, key: &Key, tenant: &Tenant) -> bool {
        let nonce = Some(self.0.nonce.fetch_add(1, Ordering::Relaxed));
        let now_ts = self.0.parts.clock.now_ts();
        match Transaction::new((tenant, now_ts), Cargo::Nothing, (&[], &[]), nonce) {
            Ok(empty) => self.put(key, tenant, (&empty, Attempt::WhenDue)).await.is_ok(),
            Err(_) => false,
        }
    }

    fn is_alive(&self, key: &Key) -> bool {
        self.0.parts.client.health().is_alive(&key.1)
    }

    /// What a transaction brought is there, or given up.
    pub(super) async fn done(&self, key: &Key, cargo: &Cargo) -> Result<(), Unreadable> {
        match cargo {
            Cargo::Messages(messages) => self.messages_done(key, messages).await,
            Cargo::Lists { devices, signing_keys } => self.lists_done(devices, signing_keys).await,
            Cargo::Missed(rooms) => self.last_missed_done(rooms).await,
            Cargo::Events { up_to, .. } => {
                if let Some(up_to) = up_to {
                    self.0.lock().sent(key, *up_to);
                }
                Ok(())
            }
            Cargo::Nothing => Ok(()),
        }
    }

    /// It is not known whether a transaction was taken.
    fn may_have_arrived(&self, key: &Key, cargo: &Cargo) {
        if matches!(cargo, Cargo::Messages(_))
            && let Some(queue) = self.0.lock().queues.get_mut(key)
        {
            queue.may_have_sent = true;
        }
    }

    /// Removes rows, unless somebody changed one of them meanwhile: then they are sent again. Whether they are removed.
    pub(super) async fn forget(&self, batch: Batch) -> Result<bool, Unreadable> {
        match self.0.parts.store.commit(batch).await {
            Ok(_) => Ok(true),
            Err(freehold_store::CommitError::Conflict { .. }) => Ok(false),
            Err(error) => Err(Unreadable::Damaged(Box::new(error))),
        }
    }

    /// Waits until the server may be tried. Meanwhile next to nothing of the queue is in memory.
    async fn wait_until_due(&self, key: &Key, course: &mut Course) {
        self.wait_begins(key).await;
        if !course.holds() {
            course.held = None;
        }
        let due = self.0.parts.client.health().wait_until_due(&key.1);
        // Now and then it is looked how much waits.
        let _ = timeout(Duration::from_millis(TENDED_EVERY_MS), due).await;
    }

    async fn wait(&self, key: &Key, wait_ms: i64) {
        self.wait_begins(key).await;
        sleep(Duration::from_millis(u64::try_from(wait_ms).unwrap_or_default())).await;
    }

    /// Waits until a server that refuses may have thought better of it: ever longer, but when it speaks to us, no longer
    /// than a minute.
    async fn wait_for_grace(&self, key: &Key, refusals: u32) {
        let wait_ms = doubled(refusals, REFUSED_WAIT_MIN_MS, REFUSED_WAIT_MAX_MS);
        let wait_ms = self.0.parts.randomness.around(wait_ms);
        self.wait(key, wait_ms.min(WAKE_AFTER_MS)).await;
        let rest_ms = u64::try_from(wait_ms.saturating_sub(WAKE_AFTER_MS)).unwrap_or_default();
        let heard = self.0.parts.client.health().wait_until_heard(&key.1);
        let _ = timeout(Duration::from_millis(rest_ms), heard).await;
    }

    async fn wait_begins(&self, key: &Key) {
        self.0.lock().begin_to_wait(key);
        self.0.announce();
        if let Err(error) = self.bound_messages(key).await {
            tracing::error!(server = %key.1, %error, "messages that wait cannot be counted");
        }
    }
}
