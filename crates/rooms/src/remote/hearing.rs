//! Hears a long answer: it is taken apart as it comes and read by as many hands as there are, while the keys of those who
//! signed what came are fetched.

use freehold_event::{HashedPdu, RawPdu, ReferenceLimits, RoomVersion};
use freehold_signing::{KeySource, WantedKey, wanted_keys};
use freehold_store::{BoxFuture, Tenant};
use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, RoomId};

use super::BadAnswer;
use super::ahead::{Ahead, Member};
use super::answer_parts::{AnswerParts, Part};
use super::heard::Heard;
use super::import::NotTaken;
use super::keys::{Keys, KeysOfMany};
use crate::error::ActionError;
use crate::limits::{ANSWER_BYTES_MAX, READ_BYTES, READ_EVENTS};
use crate::outside::AnswerBody;
use crate::rooms::Rooms;

/// An answer that is coming.
struct Hearing<'a> {
    rooms: &'a Rooms,
    tenant: &'a Tenant,
    room: (&'a RoomId, &'static RoomVersion),
    heard: Heard,
    keys: KeysOfMany,
    /// If members are taken as they come.
    ahead: Option<Ahead>,
    page: Page,
    /// How many pages are being read.
    reading: usize,
    under_way: FuturesUnordered<BoxFuture<'a, Done>>,
}

/// Elements that came and nobody has read yet; with whether they are of the state.
#[derive(Default)]
struct Page {
    elements: Vec<(bool, Vec<u8>)>,
    bytes: usize,
}

/// What was under way.
enum Done {
    Read(Result<ReadPage, ActionError>),
    Keys(Vec<OwnedServerName>, Box<dyn KeySource + Send + Sync>),
    Taken(Result<Vec<OwnedEventId>, ActionError>),
}

/// Those elements of a page that are events of the room, and how many are not.
type ReadPage = (Vec<Element>, usize);

/// An element that is an event of the room.
struct Element {
    is_of_state: bool,
    event: HashedPdu,
    signed_with: Vec<WantedKey>,
}

impl Rooms {
    /// Hears an answer to its end; gives what it says, and the keys of those who signed that, as far as they can be had.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub(crate) async fn hear(
        &self,
        tenant: &Tenant,
        room: (&RoomId, &'static RoomVersion),
        body: &mut dyn AnswerBody,
    ) -> Result<(Heard, Keys), NotTaken> {
        Hearing::of(self, tenant, room).whole(body).await
    }

    /// Hears an answer about a room that is known, and takes members of it as outliers while others still come, as far as they are
    /// authorised by what is here.
    ///
    /// # Errors
    /// [`NotTaken`]; what was taken stays.
    pub(crate) async fn hear_of_known(
        &self,
        tenant: &Tenant,
        room: (&RoomId, &'static RoomVersion),
        body: &mut dyn AnswerBody,
    ) -> Result<(Heard, Keys), NotTaken> {
        let hearing = Hearing { ahead: Some(Ahead::default()), ..Hearing::of(self, tenant, room) };
        hearing.whole(body).await
    }
}

impl<'a> Hearing<'a> {
    fn of(rooms: &'a Rooms, tenant: &'a Tenant, room: (&'a RoomId, &'static RoomVersion)) -> Self {
        Hearing {
            rooms,
            tenant,
            room,
            heard: Heard::default(),
            keys: KeysOfMany::default(),
            ahead: None,
            page: Page::default(),
            reading: 0,
            under_way: FuturesUnordered::new(),
        }
    }

    async fn whole(mut self, body: &mut dyn AnswerBody) -> Result<(Heard, Keys), NotTaken> {
        let (mut reader, mut parts, mut bytes) = (AnswerParts::new(), Vec::new(), 0_u64);
        while let Some(chunk) = self.chunk(body).await? {
            bytes = bytes.saturating_add(chunk.len() as u64);
            if bytes > ANSWER_BYTES_MAX {
                return Err(BadAnswer::TooLarge { what: "bytes", limit: ANSWER_BYTES_MAX }.into());
            }
            reader.feed(&chunk, &mut parts)?;
            for part in parts.drain(..) {
                self.add(part)?;
            }
        }
        if !reader.is_over() {
            return Err(BadAnswer::Form("it ends too early").into());
        }
        self.finished().await
    }

    /// The next piece of the answer. Meanwhile, what is under way goes on.
    async fn chunk(&mut self, body: &mut dyn AnswerBody) -> Result<Option<Vec<u8>>, NotTaken> {
        while self.reading > self.rooms.labour().hands() || self.ahead.as_ref().is_some_and(Ahead::is_full) {
            let done = self.under_way.next().await;
            self.take(done)?;
        }
        let mut coming = body.chunk();
        loop {
            if self.under_way.is_empty() {
                return Ok(coming.await.map_err(BadAnswer::BrokeOff)?);
            }
            // What is under way first: it may hold the room, and bytes can come without end.
            match select(self.under_way.next(), coming).await {
                Either::Left((done, still_coming)) => {
                    coming = still_coming;
                    self.take(done)?;
                }
                Either::Right((chunk, _)) => return Ok(chunk.map_err(BadAnswer::BrokeOff)?),
            }
        }
    }

    fn add(&mut self, part: Part) -> Result<(), BadAnswer> {
        match part {
            Part::Element { list: "servers_in_room", json } => return self.heard.add_server(&json),
            Part::Element { list, json } => {
                self.page.bytes += json.len();
                self.page.elements.push((list != "auth_chain", json));
                if self.page.bytes >= READ_BYTES || self.page.elements.len() >= READ_EVENTS {
                    self.read_page();
                }
            }
            Part::Member { name, json } => self.heard.add_member(&name, json),
        }
        Ok(())
    }

    /// Has the elements read that came.
    fn read_page(&mut self) {
        let elements = std::mem::take(&mut self.page).elements;
        let (room_id, version) = (self.room.0.to_owned(), self.room.1);
        let reading = self.rooms.have_done(move || read(elements, &room_id, version));
        self.reading += 1;
        self.under_way.push(Box::pin(async move { Done::Read(reading.await) }));
    }

    fn take(&mut self, done: Option<Done>) -> Result<(), NotTaken> {
        match done {
            Some(Done::Read(read)) => {
                self.reading -= 1;
                let (elements, unreadable) = read?;
                self.heard.unreadable += unreadable;
                let mut new = Vec::new();
                for Element { is_of_state, event, signed_with } in elements {
                    let member = Member::of(self.rooms, &event, &signed_with).filter(|_| is_of_state);
                    new.extend(self.keys.note(self.rooms, signed_with));
                    let is_new = self.heard.add_event(event, is_of_state)?;
                    if let (Some(ahead), Some(member), true) = (&mut self.ahead, member, is_new) {
                        ahead.came(member, &self.keys);
                    }
                }
                self.ask_for_keys(new);
            }
            Some(Done::Keys(servers, source)) => {
                self.keys.came(servers.clone(), source);
                if let Some(ahead) = &mut self.ahead {
                    ahead.keys_came(&servers, &self.keys);
                }
            }
            Some(Done::Taken(taken)) => {
                if let Some(ahead) = &mut self.ahead {
                    ahead.taken();
                }
                match taken {
                    Ok(taken) => self.heard.were_taken(taken),
                    // They are taken with the others in the end.
                    Err(ActionError::Busy) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            None => {}
        }
        self.take_ahead();
        Ok(())
    }

    /// Has members taken for which all is here.
    fn take_ahead(&mut self) {
        let Some(ahead) = &mut self.ahead else { return };
        while let Some((members, keys)) = ahead.next(&self.keys) {
            let (rooms, room_id) = (self.rooms, self.room.0);
            self.under_way
                .push(Box::pin(async move { Done::Taken(rooms.take_ahead(room_id, members, keys).await) }));
        }
    }

    fn ask_for_keys(&mut self, wanted: Vec<WantedKey>) {
        if wanted.is_empty() {
            return;
        }
        let (remote, tenant) = (&self.rooms.0.outside.remote, self.tenant);
        self.under_way.push(Box::pin(async move {
            let source = remote.keys(tenant, &wanted).await;
            Done::Keys(wanted.into_iter().map(|key| key.server).collect(), source)
        }));
    }

    async fn finished(mut self) -> Result<(Heard, Keys), NotTaken> {
        self.read_page();
        while let Some(done) = self.under_way.next().await {
            self.take(Some(done))?;
            if self.under_way.is_empty() {
                let late = self.keys.late();
                self.ask_for_keys(late);
            }
        }
        // As it came is one order of many when there are many hands.
        self.heard.state.sort();
        Ok((self.heard, self.keys.into_keys(self.rooms)))
    }
}

/// Those of some elements that are events of the room, with what their hashes cover.
fn read(elements: Vec<(bool, Vec<u8>)>, room_id: &OwnedRoomId, version: &'static RoomVersion) -> ReadPage {
    let all = elements.len();
    let events = elements.into_iter().filter_map(|(is_of_state, json)| {
        let pdu = RawPdu::new(&json).parse_with(version, ReferenceLimits::BACKFILL).ok()?;
        if pdu.room_id() != room_id {
            return None;
        }
        let signed_with = wanted_keys(&pdu).unwrap_or_default();
        Some(Element { is_of_state, event: pdu.check_content_hash(), signed_with })
    });
    let events: Vec<Element> = events.collect();
    let unreadable = all - events.len();
    (events, unreadable)
}
