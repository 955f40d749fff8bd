//! Who waits for what: long polls sleep until something concerns their user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::{Event, EventListener};

use crate::number::UserNumber;

/// The users for whom somebody waits. Costs memory only for those.
#[derive(Clone, Debug, Default)]
pub struct Wakes(Arc<Mutex<HashMap<UserNumber, Arc<Event>>>>);

impl Wakes {
    /// Begins to wait for a user. Look for news after this call and before waiting, so that none is missed.
    pub fn wait_for(&self, user: UserNumber) -> Waiting {
        let event = self.lock().entry(user).or_default().clone();
        Waiting { listener: Some(event.listen()), event, user, wakes: self.clone() }
    }

    /// Wakes everybody who waits for a user.
    pub fn wake(&self, user: UserNumber) {
        let event = self.lock().get(&user).cloned();
        if let Some(event) = event {
            event.notify(usize::MAX);
        }
    }

    /// For how many users somebody waits.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserNumber, Arc<Event>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a user.
#[derive(Debug)]
pub struct Waiting {
    listener: Option<EventListener>,
    event: Arc<Event>,
    user: UserNumber,
    wakes: Wakes,
}

impl Waiting {
    /// Waits until the user is woken, also if that was after [`Wakes::wait_for`] and before this call.
    pub async fn woken(mut self) {
        if let Some(listener) = self.listener.take() {
            listener.await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.listener = None;
        let mut waiting = self.wakes.lock();
        // The map and this hold one each; more belong to others who wait for the same user.
        if Arc::strong_count(&self.event) <= 2 {
            waiting.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn is_woken(waiting: Waiting) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(waiting.woken()).poll(&mut context) == Poll::Ready(())
    }

    #[test]
    fn everybody_who_waits_for_the_user_wakes_and_nobody_else() {
        let wakes = Wakes::default();
        let (one, two, other) =
            (wakes.wait_for(UserNumber(1)), wakes.wait_for(UserNumber(1)), wakes.wait_for(UserNumber(2)));
        wakes.wake(UserNumber(1));
        assert!(is_woken(one) && is_woken(two) && !is_woken(other));
    }

    #[test]
    fn who_gave_up_waiting_leaves_nothing_behind() {
        let wakes = Wakes::default();
        let one = wakes.wait_for(UserNumber(1));
        let two = wakes.wait_for(UserNumber(1));
        drop(one);
        assert_eq!(wakes.len(), 1);
        drop(two);
        assert!(wakes.is_empty());
    }
}
