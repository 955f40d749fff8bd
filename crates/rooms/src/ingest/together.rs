//! Events that passed checks 1 to 3, received together: those that wait for the same room go in with one change and one
//! commit, whoever brought them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use freehold_event::ReferenceLimits;
use freehold_room::{Dropped, Fetch};
use freehold_signing::SignedPdu;
use freehold_store::RoomNumber;
use ruma_common::{OwnedEventId, RoomId};

use super::{Arrival, Known};
use crate::error::ActionError;
use crate::limits::{BATCH_MAX, TOGETHER_MAX};
use crate::read::RoomFacts;
use crate::receive::Incoming;
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::Work;

/// What came of each of some events.
type Answers = Vec<Result<Incoming, ActionError>>;

/// The events that wait for their rooms.
#[derive(Default)]
pub(crate) struct Arrivals(Mutex<BTreeMap<RoomNumber, Vec<Weak<Arrived>>>>);

/// Events that somebody brought, in their order, and what came of them.
pub(crate) struct Arrived {
    events: Vec<SignedPdu>,
    answers: Mutex<Option<Answers>>,
}

/// What came of the events of some who brought them.
type Settled = Vec<(Arc<Arrived>, Answers)>;

impl Arrivals {
    fn put(&self, room: RoomNumber, arrived: &Arc<Arrived>) {
        locked(&self.0).entry(room).or_default().push(Arc::downgrade(arrived));
    }

    /// Takes what waits for a room, as much as goes in at once, with `own` among it. What nobody waits for any more is left out.
    fn take(&self, room: RoomNumber, own: &Arc<Arrived>) -> Vec<Arc<Arrived>> {
        let mut all = locked(&self.0);
        let waiting = all.remove(&room).unwrap_or_default();
        let others = waiting.into_iter().filter_map(|waiting| waiting.upgrade());
        let (mut taken, mut left) = (vec![Arc::clone(own)], Vec::new());
        let mut count = own.events.len();
        for other in others.filter(|other| !Arc::ptr_eq(other, own)) {
            count = count.saturating_add(other.events.len());
            if count <= TOGETHER_MAX { taken.push(other) } else { left.push(Arc::downgrade(&other)) }
        }
        if !left.is_empty() {
            all.insert(room, left);
        }
        taken
    }
}

impl Arrived {
    fn is_answered(&self) -> bool {
        locked(&self.answers).is_some()
    }

    fn answer(&self, answers: Answers) {
        *locked(&self.answers) = Some(answers);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rooms {
    /// Receives events of a room that passed checks 1 to 3, each after those of the list that it follows if they are in that order:
    /// checks 4 to 7, and what follows from them, in one change. The answers are in the order of the list; an inner error is
    /// about one event.
    ///
    /// Those that several bring to the same room at the same time go in together, so that a busy room waits for the
    /// disk once and not for each of them.
    ///
    /// # Errors
    /// As those of [`Rooms::receive`].
    pub async fn receive_verified(
        &self,
        room_id: &RoomId,
        events: Vec<SignedPdu>,
    ) -> Result<Vec<Result<Incoming, ActionError>>, ActionError> {
        let room = Arc::clone(&self.entrance(room_id, Known::Settled).await?.room);
        let (mut answers, mut good): (Vec<Option<Dropped>>, Vec<SignedPdu>) = (Vec::new(), Vec::new());
        for event in events {
            let dropped = expect_of_room(&event, &room)?.err();
            good.extend(dropped.is_none().then_some(event));
            answers.push(dropped);
        }
        let mut received = Vec::with_capacity(answers.len());
        let (ready, rest) = good.split_at(good.len().min(BATCH_MAX));
        for part in std::iter::once(ready).chain(rest.chunks(BATCH_MAX)) {
            received.extend(self.receive_part(&room, part.to_vec()).await?);
        }
        let mut received = received.into_iter();
        let answers = answers.into_iter().map(|dropped| match dropped {
            Some(dropped) => Ok(Incoming::Dropped(dropped)),
            None => received.next().unwrap_or(Ok(Incoming::Known)),
        });
        Ok(answers.collect())
    }

    async fn receive_part(&self, room: &RoomFacts, events: Vec<SignedPdu>) -> Result<Answers, ActionError> {
        if events.is_empty() {
            return Ok(Answers::new());
        }
        let own = Arc::new(Arrived { events, answers: Mutex::default() });
        self.0.arrivals.put(room.number, &own);
        let heads = match tried!(self.try_receive_together(room, &own)) {
            Ok(heads) => heads,
            // One event can fail all that go in with it. So that it fails nobody else's, each goes in alone.
            Err(_) => {
                own.answer(self.receive_apart(room, &own.events).await);
                0
            }
        };
        self.tie_up(&room.room_id, heads).await;
        let answers = locked(&own.answers).take();
        answers.ok_or_else(|| ActionError::damaged("events without answers"))
    }

    /// One change with all that waits for the room. Gives how many forward extremities there are then; 0 if somebody else had
    /// received what is `own`.
    async fn try_receive_together(&self, room: &RoomFacts, own: &Arc<Arrived>) -> Result<usize, ActionError> {
        let guard = self.cell(room.number).lock_owned().await;
        if own.is_answered() {
            return Ok(0);
        }
        let together = self.0.arrivals.take(room.number, own);
        let mut work = Work::with(self, room.number, guard)
            .await?
            .ok_or_else(|| ActionError::UnknownRoom(room.room_id.clone()))?;
        work.read_ahead().await?;
        let settled = work.receive_all(together).await?;
        let heads = work.machine.forward_extremities().len();
        let answer = move || settled.into_iter().for_each(|(arrived, answers)| arrived.answer(answers));
        if work.staged.is_empty() {
            answer();
        } else {
            work.when_durable = Some(Box::new(answer));
            work.commit().await?;
        }
        Ok(heads)
    }

    /// Each event with a change of its own.
    async fn receive_apart(&self, room: &RoomFacts, events: &[SignedPdu]) -> Answers {
        let mut answers = Answers::with_capacity(events.len());
        for event in events {
            answers.push(tried!(self.receive_alone(&room.room_id, event.clone(), Arrival::New(None))));
        }
        answers
    }

    /// Receives one event that passed checks 1 to 3.
    pub(crate) async fn receive_alone(
        &self,
        room_id: &RoomId,
        signed: SignedPdu,
        arrival: Arrival<'_>,
    ) -> Result<Incoming, ActionError> {
        let mut work = Work::begin(self, room_id).await?;
        let kept = match work.receive_foreign(signed, arrival).await? {
            Incoming::Kept(refused) => refused,
            other => return Ok(other),
        };
        let heads = work.machine.forward_extremities().len();
        work.commit().await?;
        self.tie_up(room_id, heads).await;
        Ok(Incoming::Kept(kept))
    }
}

impl Work {
    async fn receive_all(&mut self, together: Vec<Arc<Arrived>>) -> Result<Settled, ActionError> {
        self.look_for(together.iter().flat_map(|arrived| &arrived.events)).await?;
        let mut settled = Settled::with_capacity(together.len());
        for arrived in together {
            let mut answers = Answers::with_capacity(arrived.events.len());
            for event in &arrived.events {
                answers.push(Ok(self.receive_next(event).await?));
            }
            settled.push((arrived, answers));
        }
        // What one brought may follow what another one did.
        for (arrived, answers) in &mut settled {
            for (event, answer) in arrived.events.iter().zip(answers) {
                if matches!(answer, Ok(Incoming::Fetch(_))) {
                    *answer = Ok(self.receive_next(event).await?);
                }
            }
        }
        Ok(settled)
    }

    /// Receives an event of several. One that names what is not here gets no number, as it may never be kept.
    async fn receive_next(&mut self, event: &SignedPdu) -> Result<Incoming, ActionError> {
        let pdu = event.pdu();
        let prev_events = self.unknown(pdu.prev_events()).await?;
        let auth_events = self.unknown(pdu.auth_events()).await?;
        if prev_events.is_empty() && auth_events.is_empty() {
            return self.receive_foreign(event.clone(), Arrival::New(None)).await;
        }
        Ok(Incoming::Fetch(Fetch { prev_events, auth_events }))
    }

    /// Which of some events are not known at all.
    async fn unknown(&mut self, event_ids: &[OwnedEventId]) -> Result<Vec<OwnedEventId>, ActionError> {
        let numbers = self.computed(|_, shelf| shelf.numbers(event_ids)).await?;
        let unknown = event_ids.iter().zip(numbers).filter(|(_, number)| number.is_none());
        Ok(unknown.map(|(event_id, _)| event_id.clone()).collect())
    }
}

/// Whether an event is one of the room and has no more references than a new event may have.
fn expect_of_room(event: &SignedPdu, room: &RoomFacts) -> Result<Result<(), Dropped>, ActionError> {
    let (pdu, limits) = (event.pdu(), ReferenceLimits::STRICT);
    if pdu.version() != room.version {
        return Err(ActionError::damaged("an event that was read as one of another room version"));
    }
    let is_within =
        pdu.auth_events().len() <= limits.auth_events && pdu.prev_events().len() <= limits.prev_events;
    if is_within && pdu.room_id() == room.room_id {
        return Ok(Ok(()));
    }
    Ok(freehold_room::parse(pdu.canonical_json().as_bytes(), room.version, &room.room_id).map(drop))
}
