//! What is forgotten without anybody asking, a little at a time.

use std::time::Duration;

use freehold_accounts::Accounts;
use freehold_encryption::{Encryption, ReceivedCursor, TransactionCursor};
use freehold_federation_api::{RememberedCursor, Transactions};
use freehold_rooms::{MessageGarbage, Rooms, SentCursor};
use freehold_store::Clock;

use crate::parts::Parts;
use crate::stop::Stop;

/// How often something is done, and how long the pause between two steps is: each step looks at some hundred rows, so at most a
/// few milliseconds of each second go to this.
const ROUND: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);
/// How many steps of each kind are done in a round; what is left is done in the next ones.
const STEPS: usize = 64;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// For how long a device may repeat a request that sent an event.
const SENT_REMEMBERED_MS: i64 = 2 * DAY_MS;
/// How many redactions wait for what they redact, in all rooms together.
const WAITING_REDACTIONS_MAX: usize = 10_000;
/// How often the states of rooms are looked through.
const STATES_EVERY_MS: i64 = 7 * DAY_MS;
/// How often what was forgotten is taken from the files of the store, too: they are all written anew for it.
const ERASED_EVERY_MS: i64 = DAY_MS / 24;
/// How many nodes of states are remembered while garbage is looked for: 40 bytes each.
const NODES_MAX: usize = 1_000_000;

/// Forgets what is old until it is time to stop. The first rounds come late, so that no start is slower for it.
pub(crate) async fn run(parts: Parts, stop: Stop) {
    let mut upkeep = Upkeep::of(&parts);
    loop {
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            () = stop.asked() => return,
        }
        tokio::select! {
            () = upkeep.round() => {}
            () = stop.asked() => return,
        }
    }
}

struct Upkeep {
    rooms: Rooms,
    accounts: Accounts,
    encryption: Encryption,
    clock: std::sync::Arc<dyn Clock>,
    sent: SentCursor,
    transactions: TransactionCursor,
    received: ReceivedCursor,
    taken: Transactions,
    remembered: RememberedCursor,
    messages: MessageGarbage,
    /// When files are erased again, if there is anything to erase, in milliseconds since the Unix epoch.
    erasing_due_ts: i64,
    /// When the states of rooms are looked through again, in milliseconds since the Unix epoch.
    states_due_ts: i64,
}

impl Upkeep {
    fn of(parts: &Parts) -> Self {
        let now_ts = parts.clock.now_ts();
        Upkeep {
            rooms: parts.rooms.clone(),
            accounts: parts.accounts.clone(),
            encryption: parts.encryption.clone(),
            clock: parts.clock.clone(),
            sent: SentCursor::default(),
            transactions: TransactionCursor::default(),
            received: ReceivedCursor::default(),
            taken: parts.transactions.clone(),
            remembered: RememberedCursor::default(),
            messages: parts.rooms.message_garbage(),
            erasing_due_ts: now_ts,
            states_due_ts: now_ts + DAY_MS,
        }
    }

    /// One round. What fails is logged and tried again in the next one.
    async fn round(&mut self) {
        self.sent().await;
        self.transactions().await;
        self.received().await;
        self.taken().await;
        self.waiting_redactions().await;
        self.messages().await;
        self.erase().await;
        warn("expired tokens", self.accounts.remove_expired_tokens().await);
        let now_ts = self.clock.now_ts();
        if self.states_due_ts <= now_ts {
            self.states_due_ts = now_ts + STATES_EVERY_MS;
            self.states().await;
        }
    }

    async fn sent(&mut self) {
        let before_ts = self.clock.now_ts() - SENT_REMEMBERED_MS;
        for _ in 0..STEPS {
            match self.rooms.forget_sent(before_ts, std::mem::take(&mut self.sent)).await {
                Ok(Some(next)) => self.sent = next,
                Ok(None) => return,
                Err(error) => return warn("transaction ids", Err(error)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn transactions(&mut self) {
        for _ in 0..STEPS {
            match self.encryption.forget_transactions(std::mem::take(&mut self.transactions)).await {
                Ok(Some(next)) => self.transactions = next,
                Ok(None) => return,
                Err(error) => return warn("transaction ids of to-device messages", Err(error)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn received(&mut self) {
        for _ in 0..STEPS {
            match self.encryption.forget_received(std::mem::take(&mut self.received)).await {
                Ok(Some(next)) => self.received = next,
                Ok(None) => return,
                Err(error) => return warn("ids of to-device messages of other servers", Err(error)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn taken(&mut self) {
        for _ in 0..STEPS {
            match self.taken.forget_old(std::mem::take(&mut self.remembered)).await {
                Ok(Some(next)) => self.remembered = next,
                Ok(None) => return,
                Err(error) => return warn("transactions of other servers", Err(error)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn messages(&mut self) {
        self.messages.refresh();
        for _ in 0..STEPS {
            match self.messages.step().await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.messages = self.rooms.message_garbage();
                    return;
                }
                Err(error) => return warn("messages", Err(error)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn erase(&mut self) {
        let now_ts = self.clock.now_ts();
        if now_ts < self.erasing_due_ts {
            return;
        }
        self.erasing_due_ts = now_ts + ERASED_EVERY_MS;
        match self.rooms.erase_forgotten().await {
            Ok(true) => {}
            Ok(false) => {
                tracing::info!("contents of messages that were forgotten are still in files of the store")
            }
            Err(error) => warn("files", Err(error)),
        }
    }

    async fn waiting_redactions(&self) {
        for _ in 0..STEPS {
            match self.rooms.forget_waiting_redactions(WAITING_REDACTIONS_MAX).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => return warn("redactions that wait", Err(error)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn states(&self) {
        let begun = self.rooms.state_garbage(NODES_MAX).await;
        let mut search = match begun {
            Ok(Some(search)) => search,
            Ok(None) => return,
            Err(error) => return warn("states", Err(error)),
        };
        loop {
            match search.step().await {
                Ok(Some(collected)) => {
                    return tracing::info!(
                        live = collected.live,
                        forgotten = collected.forgotten,
                        given_up = collected.given_up,
                        "states that nobody needs were looked for"
                    );
                }
                Ok(None) => {}
                Err(error) => return warn("states", Err(error)),
            }
            tokio::time::sleep(PAUSE / 10).await;
        }
    }
}

fn warn<E: std::error::Error>(what: &str, done: Result<(), E>) {
    if let Err(error) = done {
        tracing::warn!(what, %error, "what is old was not forgotten");
    }
}
