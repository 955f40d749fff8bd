//! What waits to be sent to other servers: who sends it sleeps until there is something.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use ruma_common::OwnedServerName;

use crate::number::TenantNumber;

/// For which tenants, and which servers, durable batches have put something out to be sent since that was last asked.
/// A hint: what is to be sent is in tables.
#[derive(Clone, Debug, Default)]
pub struct Outgoing(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<PutOut>,
    some: Event,
}

/// Where something was put out to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOut {
    /// Tenants who have events for the servers in their rooms.
    pub events: BTreeSet<TenantNumber>,
    /// Tenants who have something for one server.
    pub messages: BTreeSet<(TenantNumber, OwnedServerName)>,
    /// There was too much to remember: all tables have to be looked at.
    pub everything: bool,
}

/// How many pairs of tenant and server are remembered.
const MESSAGES_MAX: usize = 65_536;

impl Outgoing {
    /// Waits until something was put out, and gives what it is.
    pub async fn next(&self) -> PutOut {
        loop {
            let listener = self.0.some.listen();
            let put_out = std::mem::take(&mut *self.lock());
            if put_out != PutOut::default() {
                return put_out;
            }
            listener.await;
        }
    }

    pub(crate) fn put(&self, events: Vec<TenantNumber>, messages: Vec<(TenantNumber, OwnedServerName)>) {
        if events.is_empty() && messages.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        waiting.events.extend(events);
        waiting.messages.extend(messages);
        if waiting.messages.len() > MESSAGES_MAX {
            waiting.messages.clear();
            waiting.everything = true;
        }
        drop(waiting);
        self.0.some.notify(usize::MAX);
    }

    fn lock(&self) -> MutexGuard<'_, PutOut> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn now(outgoing: &Outgoing) -> Option<PutOut> {
        match pin!(outgoing.next()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(put_out) => Some(put_out),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_was_put_out_is_given_once() {
        let outgoing = Outgoing::default();
        assert_eq!(now(&outgoing), None);
        outgoing.put(vec![TenantNumber(1), TenantNumber(1)], vec![]);
        outgoing.put(vec![TenantNumber(2)], vec![]);
        assert_eq!(now(&outgoing).unwrap().events, BTreeSet::from([TenantNumber(1), TenantNumber(2)]));
        assert_eq!(now(&outgoing), None);
    }

    #[test]
    fn more_than_can_be_remembered_is_everything() {
        let outgoing = Outgoing::default();
        for number in 0..=MESSAGES_MAX {
            let server = OwnedServerName::try_from(format!("s{number}.example.org")).unwrap();
            outgoing.put(vec![], vec![(TenantNumber(1), server)]);
        }
        let put_out = now(&outgoing).unwrap();
        assert!(put_out.everything && put_out.messages.is_empty());
    }
}
