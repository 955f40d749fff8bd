//! Takes what another server told about a room into the store: events that hold, as outliers, and which of them make the
//! state.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use freehold_event::{HashedPdu, Pdu, RoomVersion};
use freehold_room::{CreateError, Room};
use freehold_signing::{SignatureError, SignedPdu, verify_events};
use freehold_store::BoxFuture;
use freehold_store::tables::rooms::{ROOMS, Standing};
use ruma_common::{EventId, OwnedEventId, RoomId};

use super::BadAnswer;
use super::heard::{Heard, Lacking};
use super::keys::Keys;
use crate::error::ActionError;
use crate::ingest::Arrival;
use crate::limits::{BATCH_MAX, TAKEN_AT_ONCE};
use crate::receive::Incoming;
use crate::rooms::Rooms;
use crate::rows::event_rows;
use crate::send::tried;
use crate::work::Work;

/// Why nothing was taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// The other server is at fault.
    #[error(transparent)]
    Answer(#[from] BadAnswer),
    /// Something failed here.
    #[error(transparent)]
    Here(#[from] ActionError),
}

macro_rules! here {
    ($($error:ty),*) => {$(
        impl From<$error> for NotTaken {
            fn from(error: $error) -> Self {
                NotTaken::Here(error.into())
            }
        }
    )*};
}

here!(freehold_store::ReadError, freehold_store::NumberError, freehold_store::CommitError);

impl NotTaken {
    /// Whether somebody else was first, so that the same is to be tried anew.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, NotTaken::Here(error) if error.is_conflict())
    }
}

impl Rooms {
    /// Takes what another server told about a room: each event with its signatures and judged by its own auth events,
    /// which must hold themselves; what does not is left out. What holds is stored as outliers, some at a time, so that
    /// nothing is verified again if it comes to no end. Gives the events of the state, as far as they hold.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub(crate) async fn take_told(
        &self,
        (room_id, version): (&RoomId, &'static RoomVersion),
        heard: &mut Heard,
        keys: Keys,
    ) -> Result<Vec<OwnedEventId>, NotTaken> {
        let create = create_of(heard, version)?;
        let held = self.take_all(room_id, heard, (keys, Some(&create))).await?;
        if !held.contains(&create) {
            return Err(BadAnswer::NoCreate.into());
        }
        Ok(std::mem::take(&mut heard.state))
    }

    /// Takes events of a room that is known, of which some could not be verified before. Gives those of the state that hold now.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub(crate) async fn take_late(
        &self,
        room_id: &RoomId,
        heard: &mut Heard,
        keys: Keys,
    ) -> Result<Vec<OwnedEventId>, NotTaken> {
        self.take_all(room_id, heard, (keys, None)).await?;
        Ok(std::mem::take(&mut heard.state))
    }

    /// Takes events, each after those that authorise it, and first the one that begins the room. Gives those that hold; of the state
    /// only they are left.
    async fn take_all(
        &self,
        room_id: &RoomId,
        heard: &mut Heard,
        (keys, create): (Keys, Option<&EventId>),
    ) -> Result<BTreeSet<OwnedEventId>, NotTaken> {
        let mut held = self.take_known(room_id, heard).await?;
        if create.is_some() {
            self.expect_authorities(heard, &held).await?;
        }
        let mut order = heard.by_authority();
        // In some room versions no event names it.
        order.sort_by_key(|event_id| Some(&**event_id) != create);
        let mut verifying = Verifying::new(self, (order, std::mem::take(&mut heard.events)), keys);
        let mut waiting = Vec::new();
        while let Some(signed) = verifying.next().await? {
            if let Some(create) = create {
                if verifying.unverified.iter().any(|(event_id, _)| event_id == create) {
                    return Err(BadAnswer::Unverified(verifying.unverified.len()).into());
                }
                self.begin_with_create(room_id, &signed, create).await?;
            }
            let (taken, others) = tried!(self.try_take(room_id, &signed))?;
            held.extend(taken);
            waiting.extend(others);
        }
        let mut lacking = verifying.unverified;
        if !lacking.is_empty() {
            lacking.extend(waiting);
        }
        let of_state: BTreeSet<&OwnedEventId> = heard.state.iter().collect();
        heard.lacking = lacking
            .into_iter()
            .map(|(event_id, json)| Lacking { is_of_state: of_state.contains(&event_id), event_id, json })
            .collect();
        heard.state.retain(|event_id| held.contains(event_id));
        Ok(held)
    }

    /// Looks whether an answer has what authorises its events, as far as that is not known here: otherwise they would be left out of the
    /// state, and nobody would notice. As many may be missing as there are elements that nobody here can read: some rooms have such
    /// events, and are to be joined all the same.
    async fn expect_authorities(&self, heard: &Heard, held: &BTreeSet<OwnedEventId>) -> Result<(), NotTaken> {
        let cited = heard.events.values().flat_map(|event| event.pdu().auth_events());
        let is_beside = |id: &&OwnedEventId| !heard.events.contains_key(*id) && !held.contains(*id);
        let beside: BTreeSet<&OwnedEventId> = cited.filter(is_beside).collect();
        let beside: Vec<OwnedEventId> = beside.into_iter().cloned().collect();
        let snapshot = self.0.store.snapshot()?;
        let mut untold = 0;
        for page in beside.chunks(BATCH_MAX) {
            let rows = event_rows(&snapshot, page).await?;
            untold += rows.iter().filter(|row| row.is_none()).count();
        }
        if untold > heard.unreadable { Err(BadAnswer::Untold(untold).into()) } else { Ok(()) }
    }

    /// Takes the events out of an answer that are known already: they are not looked at again. Gives those that hold.
    async fn take_known(
        &self,
        room_id: &RoomId,
        heard: &mut Heard,
    ) -> Result<BTreeSet<OwnedEventId>, NotTaken> {
        let snapshot = self.0.store.snapshot()?;
        let room = snapshot.number_of(&room_id.to_owned()).await?;
        let ids: Vec<OwnedEventId> = heard.events.keys().cloned().collect();
        let mut held = std::mem::take(&mut heard.taken);
        for page in ids.chunks(BATCH_MAX) {
            for (event_id, row) in page.iter().zip(event_rows(&snapshot, page).await?) {
                let Some(row) = row else { continue };
                // In the first room versions an event of another room can have the same id.
                heard.events.remove(event_id);
                if Some(row.room) == room && row.standing != Standing::Rejected {
                    held.insert(event_id.clone());
                }
            }
        }
        Ok(held)
    }

    /// Begins a room that is not known here, if its create event is among some.
    async fn begin_with_create(
        &self,
        room_id: &RoomId,
        signed: &[SignedPdu],
        create: &EventId,
    ) -> Result<(), NotTaken> {
        let snapshot = self.0.store.snapshot()?;
        if let Some(room) = snapshot.number_of(&room_id.to_owned()).await?
            && snapshot.get(&ROOMS, &room).await?.is_some()
        {
            return Ok(());
        }
        let event = signed.first().filter(|event| event.pdu().event_id() == create);
        let event = event.ok_or(BadAnswer::NoCreate)?;
        match Work::first(self, event.clone(), Room::begin).await? {
            Ok((work, _)) => Ok(work.commit().await?),
            Err(CreateError::Refused(refusal)) => Err(BadAnswer::Refused(Box::new(refusal)).into()),
            Err(CreateError::Stop(stop)) => Err(ActionError::from(stop).into()),
        }
    }

    /// Takes some events, which come after all that authorise them; gives those that hold, and those that are authorised by something
    /// that is not here.
    pub(super) async fn try_take(
        &self,
        room_id: &RoomId,
        signed: &[SignedPdu],
    ) -> Result<(Vec<OwnedEventId>, Vec<Text>), ActionError> {
        let (mut held, mut waiting) = (Vec::with_capacity(signed.len()), Vec::new());
        if signed.is_empty() {
            return Ok((held, waiting));
        }
        let mut work = Work::begin(self, room_id).await?;
        work.prepare(signed).await?;
        work.read_ahead().await?;
        for event in signed {
            // What names an event that does not hold does not hold either.
            match work.receive_foreign(event.clone(), Arrival::Outlier).await? {
                Incoming::Known | Incoming::Kept(None) => held.push(event.pdu().event_id().to_owned()),
                Incoming::Fetch(_) => waiting.push(text_of(event.pdu())),
                _ => {}
            }
        }
        if !work.staged.is_empty() {
            work.commit().await?;
        }
        Ok((held, waiting))
    }
}

/// Events whose signatures are checked, some pages ahead of those that are taken.
struct Verifying<'a> {
    rooms: &'a Rooms,
    events: BTreeMap<OwnedEventId, HashedPdu>,
    order: std::vec::IntoIter<OwnedEventId>,
    keys: Arc<Keys>,
    under_way: VecDeque<BoxFuture<'static, Result<Verified, ActionError>>>,
    /// Those for which no key was had with which they could be verified.
    unverified: Vec<Text>,
}

/// An event, by id and as canonical JSON.
type Text = (OwnedEventId, String);

fn text_of(pdu: &Pdu) -> Text {
    (pdu.event_id().to_owned(), pdu.canonical_json().to_owned())
}

impl<'a> Verifying<'a> {
    fn new(
        rooms: &'a Rooms,
        (order, events): (Vec<OwnedEventId>, BTreeMap<OwnedEventId, HashedPdu>),
        keys: Keys,
    ) -> Self {
        let (order, keys, under_way) = (order.into_iter(), Arc::new(keys), VecDeque::new());
        Verifying { rooms, events, order, keys, under_way, unverified: Vec::new() }
    }

    /// The next events that are signed by all who must; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<SignedPdu>>, ActionError> {
        while self.under_way.len() <= self.rooms.labour().hands() && self.begin() {}
        match self.under_way.pop_front() {
            Some(verified) => {
                let Verified { signed, unverified } = verified.await?;
                self.unverified.extend(unverified);
                Ok(Some(signed))
            }
            None => Ok(None),
        }
    }

    /// Begins with a page; `false` when there is none.
    fn begin(&mut self) -> bool {
        let page = self.order.by_ref().take(TAKEN_AT_ONCE);
        let events: Vec<HashedPdu> = page.filter_map(|event_id| self.events.remove(&event_id)).collect();
        if events.is_empty() {
            return false;
        }
        let (keys, now_ts) = (Arc::clone(&self.keys), self.rooms.now_ts());
        self.under_way.push_back(self.rooms.have_done(move || {
            let mut verified = Verified::default();
            let texts: Vec<_> = events.iter().map(|event| text_of(event.pdu())).collect();
            for (text, signed) in texts.into_iter().zip(verify_events(events, &*keys, now_ts)) {
                match signed {
                    Ok(signed) => verified.signed.push(signed),
                    Err(SignatureError::NoUsableKey { .. }) => verified.unverified.push(text),
                    Err(_) => {}
                }
            }
            verified
        }));
        true
    }
}

/// A page of events of which the signatures were checked.
#[derive(Default)]
struct Verified {
    /// Those that are signed by all who must.
    signed: Vec<SignedPdu>,
    /// Those that may be, by keys that are not known.
    unverified: Vec<Text>,
}

/// The create event of an answer, of the version that is expected.
fn create_of(heard: &Heard, version: &'static RoomVersion) -> Result<OwnedEventId, BadAnswer> {
    let is_create = |event_id: &&OwnedEventId| {
        heard.events.get(*event_id).is_some_and(|event| {
            event.pdu().event_type() == "m.room.create" && event.pdu().state_key() == Some("")
        })
    };
    let create = heard.state.iter().find(is_create).ok_or(BadAnswer::NoCreate)?;
    let content = heard.events.get(create).map_or("{}", |event| event.pdu().content());
    match RoomVersion::of_create_content(content) {
        Ok(found) if found == version => Ok(create.clone()),
        Ok(_) => Err(BadAnswer::OtherVersion(None)),
        Err(unknown) => Err(BadAnswer::OtherVersion(Some(unknown))),
    }
}
