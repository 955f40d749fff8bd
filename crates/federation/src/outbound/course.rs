//! How sending goes on after a failure.

use super::transaction::{Cargo, Transaction};
use crate::client::RequestError;
use crate::limits::{HELD_FAILURES_MAX, REFUSALS_OF_MANY_MAX, TRANSACTION_EDUS_MAX};

/// How sending to one server goes.
#[derive(Debug)]
pub(super) struct Course {
    /// How much goes into a transaction: less, after some was refused.
    pub(super) limit: usize,
    /// How often in a row the server answered, and took nothing.
    pub(super) refusals: u32,
    /// How often in a row it did not answer.
    failures: u32,
    /// Whether the server took a transaction with nothing in it after it refused what is to be sent.
    pub(super) is_suspect: bool,
    /// How many transactions with messages followed each other.
    pub(super) messages_in_a_row: usize,
    /// What is sent again as it is.
    pub(super) held: Option<Transaction>,
}

/// How sending goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// As if it had been sent: the server has it, or is not to have it.
    Done,
    /// At once, with less.
    Smaller,
    /// It is looked whether the server takes anything at all. If it does, twice, what was in the transaction is given up.
    Probe,
    /// Again, when the server is due.
    WhenDue,
    /// Again, after as long as the server said, in milliseconds.
    After(i64),
    /// Again, after a while.
    Later,
}

impl Course {
    pub(super) fn new() -> Self {
        Course {
            limit: TRANSACTION_EDUS_MAX,
            refusals: 0,
            failures: 0,
            is_suspect: false,
            messages_in_a_row: 0,
            held: None,
        }
    }

    /// Something went through, or was given up: more is tried the next time.
    pub(super) fn ease(&mut self) {
        self.limit = self.limit.saturating_mul(2).min(TRANSACTION_EDUS_MAX);
        (self.refusals, self.failures, self.is_suspect) = (0, 0, false);
    }

    /// Whether what may have been taken is kept in memory to be sent again as it is. It is not for long: whoever is away for
    /// longer takes no memory, and misses no more than that somebody typed.
    pub(super) fn holds(&self) -> bool {
        self.refusals.saturating_add(self.failures) <= HELD_FAILURES_MAX
    }

    /// A transaction failed. `now_ts` is in milliseconds since the Unix epoch.
    pub(super) fn failed(&mut self, error: &RequestError, cargo: &Cargo, now_ts: i64) -> Next {
        match error {
            // It was taken; what was answered is not read.
            RequestError::TooLarge { .. } => return Next::Done,
            RequestError::NotSpokenWith { .. } | RequestError::Local { .. } => return Next::Done,
            RequestError::Waiting { .. } => return Next::WhenDue,
            RequestError::ToldToWait { until_ts } => return Next::After(until_ts.saturating_sub(now_ts)),
            RequestError::Refused(refusal) if refusal.status == 429 => {
                self.refusals = self.refusals.saturating_add(1);
                return refusal.retry_after_ms.map_or(Next::Later, Next::After);
            }
            _ => {}
        }
        if is_unreached(error) {
            self.failures = self.failures.saturating_add(1);
            // It may be too much for the server. What became of it is not known, but events are known by their ids.
            if matches!((error, cargo), (RequestError::TooSlow, Cargo::Events { .. })) && cargo.count() > 1 {
                self.limit = cargo.count() / 2;
            }
            return Next::WhenDue;
        }
        self.refusals = self.refusals.saturating_add(1);
        self.refused(error, cargo)
    }

    /// The server took a transaction with nothing in it just after it had refused another. It may have come to its senses
    /// in between: only when it was so twice, what was in the other is to blame.
    pub(super) fn took_nothing(&mut self) -> Next {
        match std::mem::replace(&mut self.is_suspect, true) {
            true => Next::Done,
            false => Next::Smaller,
        }
    }

    /// The server answered, and did not take it.
    fn refused(&mut self, error: &RequestError, cargo: &Cargo) -> Next {
        let status = error.refusal().map(|refusal| refusal.status);
        // What is wrong is in the transaction: it is found by sending less.
        let is_contents = matches!(status, Some(400 | 413 | 422));
        if !is_contents && self.refusals <= REFUSALS_OF_MANY_MAX {
            return Next::Later;
        }
        match cargo.count() {
            // What rides with it does not ride again.
            _ if cargo.has_rides() && is_contents => Next::Smaller,
            0 => Next::Later,
            1 => Next::Probe,
            count => {
                self.limit = count / 2;
                if is_contents { Next::Smaller } else { Next::Later }
            }
        }
    }
}

/// Whether a transaction may have been taken although it failed.
pub(super) fn may_have_arrived(error: &RequestError) -> bool {
    match error {
        RequestError::TooSlow | RequestError::BrokeOff { .. } => true,
        RequestError::NotReached(error) => !error.was_not_sent(),
        RequestError::Refused(refusal) => refusal.status >= 500,
        _ => false,
    }
}

/// Whether nobody answered, or only somebody in front of the server.
fn is_unreached(error: &RequestError) -> bool {
    match error {
        RequestError::NotReached(_)
        | RequestError::NotFound(_)
        | RequestError::TooSlow
        | RequestError::BrokeOff { .. } => true,
        RequestError::Refused(refusal) => matches!(refusal.status, 502..=504 | 520..=530),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use freehold_store::{EventNumber, Position};
    use serde_json::Map;

    use super::*;
    use crate::client::Refusal;

    fn refusal(status: u16) -> RequestError {
        let (errcode, message) = (String::new(), String::new());
        RequestError::Refused(Refusal { status, errcode, message, retry_after_ms: None, body: Map::new() })
    }

    fn events(count: usize, rides: usize) -> Cargo {
        let event = ((Position(1), 0), EventNumber(1));
        Cargo::Events { events: vec![event; count], up_to: None, rides }
    }

    #[test]
    fn what_is_wrong_is_found_by_sending_less_and_given_up_only_alone() {
        let mut course = Course::new();
        let mut count = 50;
        while count > 1 {
            assert_eq!(course.failed(&refusal(400), &events(count, 0), 0), Next::Smaller);
            assert_eq!(course.limit, count / 2);
            count /= 2;
        }
        assert_eq!(course.failed(&refusal(413), &events(1, 0), 0), Next::Probe);
        assert_eq!(course.failed(&refusal(400), &events(1, 3), 0), Next::Smaller, "it may be what rides");
    }

    #[test]
    fn a_fault_of_the_server_is_waited_for_before_less_is_sent() {
        let mut course = Course::new();
        for _ in 0..REFUSALS_OF_MANY_MAX {
            assert_eq!(course.failed(&refusal(500), &events(50, 0), 0), Next::Later);
            assert_eq!(course.limit, TRANSACTION_EDUS_MAX);
        }
        assert_eq!(course.failed(&refusal(500), &events(50, 0), 0), Next::Later);
        assert_eq!(course.limit, 25);
        assert_eq!(course.failed(&refusal(500), &events(1, 0), 0), Next::Probe);
        course.ease();
        assert_eq!((course.limit, course.failed(&refusal(500), &events(1, 0), 0)), (50, Next::Later));
    }

    #[test]
    fn nobody_is_blamed_for_what_did_not_arrive() {
        let mut course = Course::new();
        for error in [refusal(502), refusal(503), RequestError::BrokeOff { reason: String::new() }] {
            assert_eq!(course.failed(&error, &events(1, 0), 0), Next::WhenDue);
        }
        assert_eq!(course.failed(&RequestError::TooSlow, &events(8, 0), 0), Next::WhenDue);
        assert_eq!((course.limit, course.refusals), (4, 0));
        assert_eq!(
            course.failed(&RequestError::ToldToWait { until_ts: 9 }, &events(1, 0), 2),
            Next::After(7)
        );
        assert_eq!(course.failed(&refusal(429), &events(1, 0), 0), Next::Later);
        assert_eq!(course.failed(&RequestError::Waiting { until_ts: 9 }, &events(1, 0), 0), Next::WhenDue);
        let may_have = |error| may_have_arrived(&error);
        assert!(may_have(RequestError::TooSlow) && may_have(refusal(504)) && !may_have(refusal(400)));
    }
}
