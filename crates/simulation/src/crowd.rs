//! What people do, and what becomes of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_rooms::{
    ActionError, CreateRoom, Entry, InitialState, MemberAction, NewEvent, Preset, Redaction,
};
use freehold_store::Actor;
use freehold_testkit::Rng;
use ruma_common::{EventId, OwnedRoomId, OwnedUserId, ServerName, UserId};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::deed::{Act, Deed};
use crate::ledger::{Acknowledged, Mark};
use crate::process::Process;
use crate::world::World;

/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Everybody, with what they know of rooms.
pub(crate) struct Crowd {
    world: Arc<World>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    rooms: Vec<RoomKnown>,
    messages: u64,
}

/// A room as people know it.
#[derive(Clone, Debug)]
pub(crate) struct RoomKnown {
    pub(crate) room_id: OwnedRoomId,
    pub(crate) is_public: bool,
    /// Who joined, or was invited, as far as anybody heard.
    pub(crate) people: BTreeSet<OwnedUserId>,
    /// What was sent there and acknowledged, by whom.
    pub(crate) sent: Vec<(String, OwnedUserId)>,
}

/// The versions of rooms: the newest and some older ones, each with rules of its own.
const VERSIONS: [&str; 5] = ["12", "11", "10", "6", "12"];
const VISIBILITIES: [&str; 4] = ["shared", "joined", "invited", "world_readable"];

impl Crowd {
    pub(crate) fn new(world: Arc<World>) -> Arc<Self> {
        Arc::new(Crowd { world, known: Mutex::default() })
    }

    /// The rooms that there are.
    pub(crate) fn rooms(&self) -> Vec<RoomKnown> {
        self.lock().rooms.clone()
    }

    /// Somebody makes a room.
    pub(crate) async fn create(&self, creator: &UserId, rng: &mut Rng) {
        let (version, is_public) = (*rng.pick(&VERSIONS).unwrap(), rng.chance(60));
        let visibility = *rng.pick(&VISIBILITIES).unwrap();
        let number = self.lock().rooms.len() as u64;
        let preset = if is_public { Preset::PublicChat } else { Preset::PrivateChat };
        let history = InitialState {
            event_type: "m.room.history_visibility".to_owned(),
            state_key: String::new(),
            content: raw(&json!({ "history_visibility": visibility })),
        };
        // Of rooms without a name the first members are told to whoever joins, who names the room after them.
        let name = number.is_multiple_of(2).then(|| format!("room {number}"));
        let create = CreateRoom {
            preset: Some(preset),
            room_version: Some(version.to_owned()),
            name,
            initial_state: vec![history],
            ..CreateRoom::default()
        };
        let Some((process, actor)) = self.at_home(creator).await else { return };
        let Some(Ok(room_id)) = process.life.during(process.rooms.create_room(&actor, create)).await else {
            self.world.trace.note(format!("{creator} makes no room"));
            return;
        };
        self.world
            .trace
            .note(format!("{creator} makes room {number}, version {version}, {visibility}: {room_id}"));
        self.world.ledger.concerned(number, creator.server_name().as_str());
        let people = BTreeSet::from([creator.to_owned()]);
        self.lock().rooms.push(RoomKnown { room_id, is_public, people, sent: Vec::new() });
    }

    /// Somebody begins to do something; it is done when it is done.
    pub(crate) fn begin(self: &Arc<Self>, deed: Deed) {
        let this = self.clone();
        tokio::spawn(async move { this.perform(deed).await });
    }

    /// Does something, and notes what became of it.
    pub(crate) async fn perform(&self, deed: Deed) {
        let outcome = match tokio::time::timeout(PATIENCE, self.attempt(&deed)).await {
            Ok(Some(Ok(()))) => "done".to_owned(),
            Ok(Some(Err(error))) => format!("not done: {error}{}", because(&error)),
            Ok(None) => "nobody knows".to_owned(),
            Err(_) => "no answer".to_owned(),
        };
        self.world.trace.note(format!("{deed}: {outcome}"));
    }

    /// `None` if the process does not run, or died over it.
    async fn attempt(&self, deed: &Deed) -> Option<Result<(), ActionError>> {
        let (process, actor) = self.at_home(&deed.who).await?;
        let room = self.lock().rooms.get(deed.room)?.clone();
        process.life.during(self.act(&process, (&actor, &room), deed)).await
    }

    async fn act(
        &self,
        process: &Process,
        (actor, room): (&Actor, &RoomKnown),
        deed: &Deed,
    ) -> Result<(), ActionError> {
        let rooms = &process.rooms;
        let (room_id, number) = (&*room.room_id, deed.room);
        let someone = |target: &OwnedUserId| MemberAction { user_id: target.clone(), reason: None };
        match &deed.act {
            Act::Say => {
                let mark = self.new_mark(number);
                let content = json!({ "msgtype": "m.text", "body": mark.text() });
                self.send(process, (actor, deed), ("m.room.message", None, content), Some(mark)).await
            }
            Act::State { event_type, state_key, content } => {
                let event = (event_type.as_str(), Some(state_key.as_str()), content.clone());
                self.send(process, (actor, deed), event, None).await
            }
            Act::Power { target, level } => {
                let content = self.levels(process, room_id, (target, *level)).await;
                self.send(process, (actor, deed), ("m.room.power_levels", Some(""), content), None).await
            }
            Act::Redact { event_id } => {
                let event_id = EventId::parse(event_id).unwrap();
                let redaction = Redaction { event_id, reason: None, transaction_id: None };
                let sent = rooms.redact(actor, room_id, redaction).await?;
                self.acknowledge(process, (deed, sent.as_str()), None);
                Ok(())
            }
            Act::Join { via } => {
                self.concern(number, &actor.user_id);
                let via = via.iter().filter_map(|name| ServerName::parse(name.as_str()).ok()).collect();
                let entry = Entry { room: room.room_id.clone().into(), via, reason: None };
                rooms.join(actor, entry).await?;
                self.entered(number, &actor.user_id);
                Ok(())
            }
            Act::Invite { target } => {
                self.concern(number, target);
                rooms.invite(actor, room_id, someone(target)).await?;
                self.entered(number, target);
                Ok(())
            }
            Act::Leave => rooms.leave(actor, room_id, None).await,
            Act::Kick { target } => rooms.kick(actor, room_id, someone(target)).await,
            Act::Ban { target } => {
                // A ban tells the server of who is banned.
                self.concern(number, target);
                rooms.ban(actor, room_id, someone(target)).await
            }
            Act::Unban { target } => rooms.unban(actor, room_id, someone(target)).await,
        }
    }

    async fn send(
        &self,
        process: &Process,
        (actor, deed): (&Actor, &Deed),
        (event_type, state_key, content): (&str, Option<&str>, Value),
        mark: Option<Mark>,
    ) -> Result<(), ActionError> {
        let room_id = self.lock().rooms[deed.room].room_id.clone();
        let event = NewEvent {
            event_type: event_type.to_owned(),
            state_key: state_key.map(ToOwned::to_owned),
            content: raw(&content),
            transaction_id: None,
        };
        let event_id = process.rooms.send(actor, &room_id, event).await?;
        self.acknowledge(process, (deed, event_id.as_str()), mark);
        Ok(())
    }

    fn acknowledge(&self, process: &Process, (deed, event_id): (&Deed, &str), mark: Option<Mark>) {
        // A dead process acknowledges nothing.
        if process.life.is_over() {
            return;
        }
        let mut known = self.lock();
        let room = &mut known.rooms[deed.room];
        room.sent.push((event_id.to_owned(), deed.who.clone()));
        self.world.ledger.acknowledged(Acknowledged {
            by: process.setting.place,
            room_id: room.room_id.to_string(),
            event_id: event_id.to_owned(),
            sender: deed.who.to_string(),
            mark,
        });
    }

    /// The power levels of a room with another level for somebody, as the process sees them.
    async fn levels(
        &self,
        process: &Process,
        room_id: &ruma_common::RoomId,
        (target, level): (&UserId, i64),
    ) -> Value {
        let mut content = json!({ "users": {} });
        if let Ok(reader) = process.rooms.reader()
            && let Ok(Some(number)) = reader.room_number(room_id).await
            && let Ok(state) = reader.current_state(number).await
            && let Ok(Some(event)) = state.get("m.room.power_levels", "").await
        {
            content = serde_json::from_str(event.pdu.content()).unwrap();
        }
        content["users"][target.as_str()] = json!(level);
        content
    }

    /// Every honest process says something in every room that it is in: what is new is seen by everybody who is there.
    pub(crate) async fn everybody_speaks(&self) {
        let rooms = self.rooms().len();
        for place in self.world.honest() {
            for number in 0..rooms {
                self.somebody_speaks(place, number).await;
            }
        }
    }

    async fn somebody_speaks(&self, place: usize, number: usize) {
        for who in self.world.users(place) {
            let deed = Deed { who, room: number, act: Act::Say };
            if let Some(Ok(())) = self.attempt(&deed).await {
                return;
            }
        }
    }

    /// The process of a user, if it runs, and the user there.
    async fn at_home(&self, user: &UserId) -> Option<(Arc<Process>, Actor)> {
        let place = self.world.place_of(user.server_name().as_str())?;
        let process = self.world.process(place)?;
        let actor = process.life.during(process.actor(user)).await??;
        Some((process, actor))
    }

    fn new_mark(&self, room: usize) -> Mark {
        let mut known = self.lock();
        known.messages += 1;
        Mark { room: room as u64, message: known.messages }
    }

    fn concern(&self, room: usize, user: &UserId) {
        self.world.ledger.concerned(room as u64, user.server_name().as_str());
    }

    fn entered(&self, room: usize, user: &UserId) {
        self.lock().rooms[room].people.insert(user.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn because(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}

fn raw(value: &Value) -> Box<serde_json::value::RawValue> {
    to_raw_value(value).unwrap()
}
