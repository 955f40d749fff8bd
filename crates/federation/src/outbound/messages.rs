//! Messages to devices: what must not be lost, and arrives once.
//!
//! Each has an id by which the other server knows it
//! (<https://spec.matrix.org/v1.19/server-server-api/#mdirect_to_device-schema>). Some servers know whole transactions
//! only, so that the same messages are sent together again when it is not known what became of them, also after a
//! restart. Those of one position always go together; when more go together, it is written down first up to where.

use freehold_rooms::Unreadable;
use freehold_store::tables::outbound::{MessageRow, OUTGOING_MESSAGES, SENDING_MESSAGES, WAITING_MESSAGES};
use freehold_store::{Batch, Order, Position, Tenant};

use super::driving::Found;
use super::events::damaged;
use super::service::Outbound;
use super::state::Key;
use super::transaction::{Cargo, MessageKey, edu};
use crate::limits::{
    MESSAGES_PAGE, TRANSACTION_EDUS_MAX, WAITING_MESSAGES_BYTES_MAX, WAITING_MESSAGES_MAX,
    WAITING_MESSAGES_MS,
};

/// How many of the messages that wait go together.
#[derive(Debug, PartialEq, Eq)]
struct Together {
    count: usize,
    /// Whether it is written down first.
    is_written: bool,
}

impl Outbound {
    /// The next messages.
    pub(super) async fn messages(
        &self,
        key: &Key,
        tenant: &Tenant,
        limit: usize,
    ) -> Result<Found, Unreadable> {
        let may_have_sent = {
            let mut state = self.0.lock();
            let queue = state.queue(key);
            if !std::mem::take(&mut queue.has_messages) {
                return Ok(Found::Nothing);
            }
            queue.may_have_sent
        };
        // Read after that: what is put out from now on says so.
        let found = self.read_messages(key, tenant, (limit, may_have_sent)).await;
        if !matches!(found, Ok(Found::Nothing)) {
            self.0.lock().queue(key).has_messages = true;
        }
        found
    }

    async fn read_messages(
        &self,
        key: &Key,
        tenant: &Tenant,
        (limit, may_have_sent): (usize, bool),
    ) -> Result<Found, Unreadable> {
        let snapshot = self.0.parts.store.snapshot()?;
        let rows =
            snapshot.scan_prefix(&OUTGOING_MESSAGES, key, Order::Ascending, TRANSACTION_EDUS_MAX).await?;
        let places: Vec<(Position, u16)> = rows.iter().map(|((_, _, at, place), _)| (*at, *place)).collect();
        let sending = snapshot.get(&SENDING_MESSAGES, key).await?;
        let together = together(&places, sending, (limit, may_have_sent));
        let Some(last) = together.count.checked_sub(1).and_then(|last| places.get(last)) else {
            return Ok(Found::Nothing);
        };
        if together.is_written {
            let mut batch = Batch::new();
            batch.put(&SENDING_MESSAGES, key, last);
            self.0.parts.store.commit(batch).await.map_err(damaged)?;
        }
        let rows: Vec<(MessageKey, MessageRow)> = rows.into_iter().take(together.count).collect();
        let mut edus = Vec::with_capacity(rows.len());
        for (_, row) in &rows {
            match edu(&row.edu_type, &row.content) {
                Ok(edu) => edus.push(edu),
                Err(error) => tracing::error!(server = %key.1, %error, "a message cannot be sent"),
            }
        }
        let cargo = Cargo::Messages(rows.into_iter().map(|(key, _)| key).collect());
        self.transaction(tenant, cargo, (&[], &edus), None)
    }

    /// Messages are there, or given up.
    pub(super) async fn messages_done(&self, key: &Key, messages: &[MessageKey]) -> Result<(), Unreadable> {
        let mut batch = Batch::new();
        messages.iter().for_each(|message| batch.delete(&OUTGOING_MESSAGES, message));
        if self.0.parts.store.snapshot()?.get(&SENDING_MESSAGES, key).await?.is_some() {
            batch.delete(&SENDING_MESSAGES, key);
        }
        let has_waited = self.0.lock().queue(key).has_waited;
        if has_waited {
            batch.delete(&WAITING_MESSAGES, key);
        }
        self.0.parts.store.commit(batch).await.map_err(damaged)?;
        let mut state = self.0.lock();
        let queue = state.queue(key);
        (queue.may_have_sent, queue.has_waited) = (false, false);
        Ok(())
    }

    /// Drops messages that wait for a server that does not take them, from the oldest on, as far as there are too many,
    /// they are too large together, or they are too old: what they brought is asked for again by then, or of no use.
    pub(super) async fn bound_messages(&self, key: &Key) -> Result<(), Unreadable> {
        let has_more = {
            let mut state = self.0.lock();
            let queue = state.queue(key);
            if !queue.has_messages {
                return Ok(());
            }
            std::mem::take(&mut queue.has_more_messages)
        };
        let kept_from = if has_more { self.kept_from(key).await? } else { None };
        let old = self.old(key).await?;
        let mut dropped = 0;
        loop {
            let snapshot = self.0.parts.store.snapshot()?;
            let rows = snapshot.scan_prefix(&OUTGOING_MESSAGES, key, Order::Ascending, MESSAGES_PAGE).await?;
            let is_spare = |(_, _, at, place): &MessageKey| {
                kept_from.is_some_and(|kept| (*at, *place) < kept) || old.is_some_and(|old| *at <= old)
            };
            let spare: Vec<MessageKey> = rows.into_iter().map(|(key, _)| key).take_while(is_spare).collect();
            if spare.is_empty() {
                break;
            }
            dropped += spare.len();
            let mut batch = Batch::new();
            spare.iter().for_each(|message| batch.delete(&OUTGOING_MESSAGES, message));
            self.0.parts.store.commit(batch).await.map_err(damaged)?;
        }
        if dropped > 0 {
            tracing::warn!(tenant = key.0.0, server = %key.1, dropped,
                "messages to devices are dropped: the server takes none");
        }
        Ok(())
    }

    /// The first of the newest messages that may wait, if there are others.
    async fn kept_from(&self, key: &Key) -> Result<Option<(Position, u16)>, Unreadable> {
        let snapshot = self.0.parts.store.snapshot()?;
        let (mut count, mut bytes) = (0_usize, 0_usize);
        let mut first = (Position(u64::MAX), u16::MAX);
        loop {
            let end = (key.0, key.1.clone(), first.0, first.1);
            let range = (key, &end);
            let rows =
                snapshot.scan_range(&OUTGOING_MESSAGES, range, Order::Descending, MESSAGES_PAGE).await?;
            if rows.is_empty() {
                return Ok(None);
            }
            for ((_, _, position, place), row) in rows {
                (count, bytes) = (count + 1, bytes.saturating_add(row.content.len()));
                if count > WAITING_MESSAGES_MAX || bytes > WAITING_MESSAGES_BYTES_MAX {
                    return Ok(Some(first));
                }
                first = (position, place);
            }
        }
    }

    /// Up to where messages are too old, if any are. They have no age: now and then it is written down what waits, and
    /// dropped when that is too long ago.
    async fn old(&self, key: &Key) -> Result<Option<Position>, Unreadable> {
        let now_ts = self.0.parts.clock.now_ts();
        let snapshot = self.0.parts.store.snapshot()?;
        let noted = snapshot.get(&WAITING_MESSAGES, key).await?;
        if noted.is_some_and(|(ts, _)| now_ts < ts.saturating_add(WAITING_MESSAGES_MS)) {
            return Ok(None);
        }
        let last = snapshot.scan_prefix(&OUTGOING_MESSAGES, key, Order::Descending, 1).await?.pop();
        let Some(((_, _, last, _), _)) = last else { return Ok(None) };
        let mut batch = Batch::new();
        batch.put(&WAITING_MESSAGES, key, &(now_ts, last));
        self.0.parts.store.commit(batch).await.map_err(damaged)?;
        self.0.lock().queue(key).has_waited = true;
        Ok(noted.map(|(_, position)| position))
    }
}

/// How many of the messages at some places, the first of those that wait, go together. `sending` is the last one of
/// those that were to go together before; if nothing is written of it, and they may have been sent, it was those of one
/// position.
fn together(
    places: &[(Position, u16)],
    sending: Option<(Position, u16)>,
    (limit, may_have_sent): (usize, bool),
) -> Together {
    let limit = limit.clamp(1, TRANSACTION_EDUS_MAX);
    let as_before = places.iter().take_while(|place| sending.is_some_and(|last| **place <= last)).count();
    let of_one =
        places.iter().take_while(|(at, _)| places.first().is_some_and(|(first, _)| at == first)).count();
    let (count, is_known) = match as_before {
        0 if may_have_sent || of_one == places.len() => (of_one, true),
        0 => (places.len(), false),
        count => (count, true),
    };
    Together { count: count.min(limit), is_written: !is_known || count > limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64, place: u16) -> (Position, u16) {
        (Position(position), place)
    }

    #[test]
    fn messages_go_together_again_as_they_went_before() {
        let places = [at(1, 0), at(1, 1), at(2, 0), at(3, 0)];
        let cases = [
            // What waits, what was written, the limit, whether it may have been sent: how many, whether it is written.
            (&places[..2], None, 100, false, (2, false)),
            (&places[..2], None, 100, true, (2, false)),
            (&places[..], None, 100, false, (4, true)),
            (&places[..], None, 100, true, (2, false)),
            (&places[..], Some(at(2, 0)), 100, false, (3, false)),
            (&places[..], Some(at(2, 0)), 100, true, (3, false)),
            // What was to go together is gone.
            (&places[2..], Some(at(1, 1)), 100, false, (2, true)),
            // Less, after more was refused.
            (&places[..], Some(at(2, 0)), 1, true, (1, true)),
            (&places[..2], None, 1, true, (1, true)),
            (&places[..], None, 3, false, (3, true)),
            (&places[..0], None, 3, false, (0, false)),
        ];
        for (places, sending, limit, may_have_sent, (count, is_written)) in cases {
            let found = together(places, sending, (limit, may_have_sent));
            assert_eq!(
                found,
                Together { count, is_written },
                "{places:?} {sending:?} {limit} {may_have_sent}"
            );
        }
    }
}
