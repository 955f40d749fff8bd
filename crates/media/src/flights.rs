//! What is being fetched from other servers, each file once for each tenant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_store::TenantNumber;
use ruma_common::OwnedServerName;
use tokio::sync::{Semaphore, watch};

use crate::media_id::MediaId;
use crate::origins::FetchError;

/// A file of another server, and who wants it.
pub(crate) type Place = (TenantNumber, OwnedServerName, MediaId);

/// How a file can be waited for.
pub(crate) type Flight = watch::Receiver<Progress>;

/// How far the fetching of a file is.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    /// The server is asked.
    Asked,
    /// The file comes.
    Coming,
    /// It is kept, or it is not had.
    Done(Result<(), FetchError>),
}

/// What whoever begins to fetch a file needs.
pub(crate) struct Takeoff {
    /// Held while fetching.
    pub(crate) turn: Arc<Semaphore>,
    pub(crate) progress: watch::Sender<Progress>,
}

/// Everything that is being fetched.
#[derive(Default)]
pub(crate) struct Flights(Mutex<State>);

#[derive(Default)]
struct State {
    flights: BTreeMap<Place, Flight>,
    tenants: BTreeMap<TenantNumber, OfTenant>,
}

/// One tenant that fetches much does not keep the others waiting.
struct OfTenant {
    flights: usize,
    turns: Arc<Semaphore>,
}

/// How many files wait for their turn for each that is fetched.
const WAITING_FOR_EACH: usize = 32;

impl Flights {
    /// The flight that is under way to a place, or a new one.
    pub(crate) fn join_or_begin(
        &self,
        place: &Place,
        at_once: usize,
    ) -> Result<(Flight, Option<Takeoff>), FetchError> {
        let mut state = self.lock();
        // One that nobody flies any more was broken off.
        if let Some(flight) = state.flights.get(place).filter(|flight| flight.has_changed().is_ok()) {
            return Ok((flight.clone(), None));
        }
        let most = at_once.saturating_mul(WAITING_FOR_EACH);
        let new = || OfTenant { flights: 0, turns: Arc::new(Semaphore::new(at_once.max(1))) };
        let of_tenant = state.tenants.entry(place.0).or_insert_with(new);
        if of_tenant.flights >= most {
            return Err(FetchError::TooMany { most });
        }
        of_tenant.flights += 1;
        let turn = of_tenant.turns.clone();
        let (progress, flight) = watch::channel(Progress::Asked);
        state.flights.insert(place.clone(), flight.clone());
        Ok((flight, Some(Takeoff { turn, progress })))
    }

    /// A flight has come to its end.
    pub(crate) fn land(
        &self,
        place: &Place,
        progress: watch::Sender<Progress>,
        outcome: Result<(), FetchError>,
    ) {
        let mut state = self.lock();
        state.flights.remove(place);
        if let Some(of_tenant) = state.tenants.get_mut(&place.0) {
            of_tenant.flights = of_tenant.flights.saturating_sub(1);
            if of_tenant.flights == 0 {
                state.tenants.remove(&place.0);
            }
        }
        drop(state);
        progress.send_replace(Progress::Done(outcome));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(tenant: u32, media_id: &str) -> Place {
        let server = OwnedServerName::try_from("remote.example").unwrap();
        (TenantNumber(tenant), server, MediaId::parse(media_id).unwrap())
    }

    #[test]
    fn a_place_has_one_flight_for_each_tenant_and_no_tenant_has_endless_ones() {
        let flights = Flights::default();
        let first = flights.join_or_begin(&place(1, "a"), 1).unwrap().1.unwrap();
        assert!(flights.join_or_begin(&place(1, "a"), 1).unwrap().1.is_none());
        assert!(flights.join_or_begin(&place(2, "a"), 1).unwrap().1.is_some());
        for number in 1..WAITING_FOR_EACH {
            assert!(flights.join_or_begin(&place(1, &number.to_string()), 1).unwrap().1.is_some());
        }
        let refused = flights.join_or_begin(&place(1, "b"), 1);
        assert!(matches!(refused, Err(FetchError::TooMany { most: WAITING_FOR_EACH })));
        assert!(flights.join_or_begin(&place(2, "b"), 1).unwrap().1.is_some());
        flights.land(&place(1, "a"), first.progress, Ok(()));
        assert!(flights.join_or_begin(&place(1, "a"), 1).unwrap().1.is_some());
    }

    #[test]
    fn nothing_is_left_of_flights_that_have_landed() {
        let flights = Flights::default();
        let (mut flight, takeoff) = flights.join_or_begin(&place(1, "a"), 1).unwrap();
        flights.land(&place(1, "a"), takeoff.unwrap().progress, Err(FetchError::Unknown));
        assert!(matches!(*flight.borrow_and_update(), Progress::Done(Err(FetchError::Unknown))));
        let state = flights.lock();
        assert!(state.flights.is_empty() && state.tenants.is_empty());
    }
}
