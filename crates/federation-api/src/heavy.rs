//! How many answers are put together at the same time that take a whole state or auth chain, which are as long as rooms are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_rooms::ServerView;
use ruma_common::{OwnedServerName, ServerName};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::error::ApiError;
use crate::limits::{
    STATES_ASKED_MAX, STATES_ASKED_OF_ORIGIN_MAX, STATES_MAX, STATES_OF_ORIGIN_MAX, STATES_TURN_MAX,
    STATES_WAIT_MS,
};

/// Has those who ask for such an answer wait for their turn. A clone counts together with the original.
#[derive(Clone, Debug)]
pub(crate) struct HeavyAnswers {
    all: Arc<Semaphore>,
    origins: Arc<Mutex<Origins>>,
}

/// The servers that have an answer, or wait for one.
type Origins = BTreeMap<OwnedServerName, Origin>;

#[derive(Debug)]
struct Origin {
    turns: Arc<Semaphore>,
    /// How many answers it has or waits for.
    asked: usize,
}

/// An answer that is being put together, until this is dropped.
#[derive(Debug)]
pub(crate) struct HeavyAnswer {
    _turns: [OwnedSemaphorePermit; 2],
    // Dropped after its turns.
    _place: Place,
}

/// A place among those who have or await an answer.
#[derive(Debug)]
struct Place {
    answers: HeavyAnswers,
    origin: OwnedServerName,
    turns: Arc<Semaphore>,
}

impl Default for HeavyAnswers {
    fn default() -> Self {
        HeavyAnswers { all: Arc::new(Semaphore::new(STATES_MAX)), origins: Arc::default() }
    }
}

impl HeavyAnswers {
    /// Begins an answer to a server, whichever tenant it asked, when it has its turn: what is saved is the work of all. A server that
    /// catches up asks about many rooms at once, and loses events for which it gets no answer: so it waits for some time.
    ///
    /// # Errors
    /// 429 when too many wait, or for too long.
    pub(crate) async fn begin(&self, origin: &ServerName) -> Result<HeavyAnswer, ApiError> {
        let place = self.place(origin).ok_or_else(limited)?;
        let (own, all) = (Arc::clone(&place.turns), Arc::clone(&self.all));
        let turns = async { Ok::<_, AcquireError>([own.acquire_owned().await?, all.acquire_owned().await?]) };
        match timeout(STATES_TURN_MAX, turns).await {
            Ok(Ok(turns)) => Ok(HeavyAnswer { _turns: turns, _place: place }),
            Ok(Err(AcquireError { .. })) | Err(_) => Err(limited()),
        }
    }

    /// The same for an answer that takes so much only if the server, or the tenant, has left the room.
    ///
    /// # Errors
    /// The same.
    pub(crate) async fn begin_for(
        &self,
        view: &ServerView,
        origin: &ServerName,
    ) -> Result<Option<HeavyAnswer>, ApiError> {
        if view.is_former() { self.begin(origin).await.map(Some) } else { Ok(None) }
    }

    /// A place, if there is one.
    fn place(&self, origin: &ServerName) -> Option<Place> {
        let mut origins = self.lock();
        let asked = |of: &Origin| of.asked;
        let of_origin = origins.get(origin).map_or(0, asked);
        if of_origin >= STATES_ASKED_OF_ORIGIN_MAX
            || origins.values().map(asked).sum::<usize>() >= STATES_ASKED_MAX
        {
            return None;
        }
        let new = || Origin { turns: Arc::new(Semaphore::new(STATES_OF_ORIGIN_MAX)), asked: 0 };
        let of_origin = origins.entry(origin.to_owned()).or_insert_with(new);
        of_origin.asked += 1;
        let turns = Arc::clone(&of_origin.turns);
        Some(Place { answers: self.clone(), origin: origin.to_owned(), turns })
    }

    fn lock(&self) -> MutexGuard<'_, Origins> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limited() -> ApiError {
    ApiError::limited(STATES_WAIT_MS)
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut origins = self.answers.lock();
        match origins.get_mut(&self.origin) {
            Some(origin) if origin.asked > 1 => origin.asked -= 1,
            _ => drop(origins.remove(&self.origin)),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn server(number: usize) -> OwnedServerName {
        OwnedServerName::try_from(format!("server{number}.example")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_has_some_at_a_time_and_all_servers_together_have_more() {
        let answers = HeavyAnswers::default();
        let mut begun = Vec::new();
        let (mut number, mut refusals) = (0, 0);
        // Each server begins as many as it may, until nobody may begin any.
        while refusals < 2 {
            match answers.begin(&server(number)).await {
                Ok(answer) => {
                    begun.push(answer);
                    refusals = 0;
                }
                Err(refusal) => {
                    assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS);
                    assert_eq!(refusal.extra["retry_after_ms"], STATES_WAIT_MS);
                    (number, refusals) = (number + 1, refusals + 1);
                }
            }
        }
        assert_eq!(begun.len(), STATES_MAX);
        let of_first = begun.iter().filter(|answer| answer._place.origin == server(0)).count();
        assert_eq!(of_first, STATES_OF_ORIGIN_MAX);
        begun.pop();
        drop(answers.begin(&server(99)).await.unwrap());
        begun.clear();
        assert!(answers.lock().is_empty());
    }

    #[tokio::test]
    async fn who_asks_for_more_waits_for_a_turn_and_who_is_gone_is_forgotten() {
        let answers = HeavyAnswers::default();
        let mut begun = Vec::new();
        for _ in 0..STATES_OF_ORIGIN_MAX {
            begun.push(answers.begin(&server(0)).await.unwrap());
        }
        let origin = server(0);
        let more = begun.len()..STATES_ASKED_OF_ORIGIN_MAX;
        let mut waiting: Vec<_> = more.map(|_| Box::pin(answers.begin(&origin))).collect();
        for waiting in &mut waiting {
            assert!(futures_util::poll!(waiting).is_pending());
        }
        // There are as many as there may be: no more wait.
        assert!(answers.begin(&server(0)).await.is_err());
        drop(answers.begin(&server(1)).await.unwrap());
        begun.pop();
        drop(waiting.remove(0).await.unwrap());
        drop((waiting, begun));
        assert!(answers.lock().is_empty());
    }
}
