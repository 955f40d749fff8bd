//! Events, and what rides with them.

use std::sync::atomic::Ordering;

use freehold_rooms::{Reader, Unreadable};
use freehold_store::{EventNumber, ReadError, Tenant};
use serde_json::value::{RawValue, to_raw_value};

use super::driving::Found;
use super::log::missed;
use super::service::Outbound;
use super::state::Key;
use super::transaction::{Cargo, Transaction};
use crate::limits::{TRANSACTION_EDUS_MAX, TRANSACTION_EVENTS_MAX};

impl Outbound {
    /// The next events, from memory or, if the queue does not keep up, from the log; with typing and receipts.
    pub(super) async fn events(&self, key: &Key, tenant: &Tenant, limit: usize) -> Result<Found, Unreadable> {
        let limit = limit.min(TRANSACTION_EVENTS_MAX);
        let (mut events, behind, edus) = {
            let mut state = self.0.lock();
            let queue = state.queue(key);
            let behind = queue.behind();
            let rides = if behind.is_none() { TRANSACTION_EDUS_MAX } else { 0 };
            (queue.next(limit), behind, queue.ephemeral.take(rides))
        };
        if events.is_empty() && edus.is_empty() && behind.is_none() {
            return Ok(Found::Nothing);
        }
        // Taken after that: it shows all that was given to the queue.
        let reader = self.0.parts.rooms.reader()?;
        let mut up_to = events.last().map(|(at, _)| *at);
        if let Some(after) = behind {
            let page = missed(&reader, (key.0, &key.1), after, limit).await?;
            if page.events.is_empty() {
                let (is_end, position) = (page.is_end, reader.position());
                let mut state = self.0.lock();
                state.keep_up(key, page.up_to, |dispatched| is_end && dispatched.0 <= position);
                return Ok(Found::Look);
            }
            (events, up_to) = (page.events, Some(page.up_to));
        }
        let numbers: Vec<EventNumber> = events.iter().map(|(_, event)| *event).collect();
        let pdus = pdus(&reader, &numbers).await?;
        let edus = edus.iter().map(to_raw_value).collect::<Result<Vec<_>, _>>().map_err(damaged)?;
        let cargo = Cargo::Events { events, up_to, rides: edus.len() };
        // That somebody types again says the same as before, and is to be heard again.
        let nonce = (!edus.is_empty()).then(|| self.0.nonce.fetch_add(1, Ordering::Relaxed));
        self.transaction(tenant, cargo, (&pdus, &edus), nonce)
    }

    /// A transaction that is made now.
    pub(super) fn transaction(
        &self,
        tenant: &Tenant,
        cargo: Cargo,
        contents: (&[Box<RawValue>], &[Box<RawValue>]),
        nonce: Option<u64>,
    ) -> Result<Found, Unreadable> {
        let now_ts = self.0.parts.clock.now_ts();
        let made = Transaction::new((tenant, now_ts), cargo, contents, nonce);
        made.map(Found::Transaction).map_err(damaged)
    }
}

/// Events as they go over the wire. One that is damaged is left out, and complained about.
///
/// # Errors
/// The store cannot be read now: then nothing is sent, so that nothing is left out that could be read later.
pub(super) async fn pdus(reader: &Reader, numbers: &[EventNumber]) -> Result<Vec<Box<RawValue>>, Unreadable> {
    let mut pdus = Vec::with_capacity(numbers.len());
    let together = reader.events(numbers).await.ok().filter(|events| events.len() == numbers.len());
    for (place, number) in numbers.iter().enumerate() {
        let event = match together.as_ref().and_then(|events| events.get(place)) {
            Some(event) => Ok(event.clone()),
            None => match reader.event(*number).await {
                Err(Unreadable::Read(error @ ReadError::Engine(_))) => return Err(error.into()),
                event => event,
            },
        };
        let text = event.map(|event| RawValue::from_string(event.pdu.canonical_json().to_owned()));
        match text {
            Ok(Ok(pdu)) => pdus.push(pdu),
            Ok(Err(error)) => tracing::error!(event = number.0, %error, "an event cannot be sent"),
            Err(error) => tracing::error!(event = number.0, %error, "an event cannot be sent"),
        }
    }
    Ok(pdus)
}

pub(super) fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> Unreadable {
    Unreadable::Damaged(Box::new(error))
}
