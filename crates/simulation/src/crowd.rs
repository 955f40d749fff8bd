//! What people do, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_rooms::{CreateRoom, Entry, InitialState, MemberAction, NewEvent, Preset, Redaction};
use freehold_store::Actor;
use freehold_store::tables::receipts::ReceiptKind;
use freehold_sync::NewReceipt;
use freehold_testkit::Rng;
use ruma_common::to_device::DeviceIdOrAllDevices;
use ruma_common::{EventId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::deed::{Act, Deed, Door};
use crate::devices::{Held, LookedUp};
use crate::ledger::{Acknowledged, Mark};
use crate::process::Process;
use crate::world::World;

/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// For how long somebody types.
const TYPING: Duration = Duration::from_secs(20);

/// Everybody, with what they know of rooms.
pub(crate) struct Crowd {
    world: Arc<World>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    rooms: Vec<RoomKnown>,
    messages: u64,
    /// Up to where users read at last, by room and user.
    read: Reads,
    /// What the clients of users hold of the devices of others.
    held: Holdings,
}

/// What the clients of users hold of the devices of others, by user and other.
pub(crate) type Holdings = BTreeMap<(OwnedUserId, OwnedUserId), Held>;

/// Up to which event users read, by room and user.
pub(crate) type Reads = BTreeMap<(String, String), String>;

/// Why something was not done.
pub(crate) type NotDone = Box<dyn Error + Send + Sync>;

/// A room as people know it.
#[derive(Clone, Debug)]
pub(crate) struct RoomKnown {
    pub(crate) room_id: OwnedRoomId,
    pub(crate) door: Door,
    /// Who joined, or was invited, as far as anybody heard.
    pub(crate) people: BTreeSet<OwnedUserId>,
    /// What was sent there and acknowledged, by whom.
    pub(crate) sent: Vec<(String, OwnedUserId)>,
}

/// The versions of rooms: the newest and some older ones, each with rules of its own.
const VERSIONS: [&str; 6] = ["12", "11", "10", "6", "2", "12"];
/// The first version with restricted joins; the others that are used here come after it.
const RESTRICTED_SINCE: u8 = 8;
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
        let door = self.door(version, is_public, rng);
        let preset = if door == Door::Open { Preset::PublicChat } else { Preset::PrivateChat };
        let initial = |event_type: &str, content: Value| InitialState {
            event_type: event_type.to_owned(),
            state_key: String::new(),
            content: raw(&content),
        };
        let history = initial("m.room.history_visibility", json!({ "history_visibility": visibility }));
        let rule = initial("m.room.join_rules", door.rule());
        // Of rooms without a name the first members are told to whoever joins, who names the room after them.
        let name = number.is_multiple_of(2).then(|| format!("room {number}"));
        let create = CreateRoom {
            preset: Some(preset),
            room_version: Some(version.to_owned()),
            name,
            initial_state: vec![history, rule],
            ..CreateRoom::default()
        };
        let Some((process, actor)) = self.at_home(creator).await else { return };
        let Some(Ok(room_id)) = process.life.during(process.rooms.create_room(&actor, create)).await else {
            self.world.trace.note(format!("{creator} makes no room"));
            return;
        };
        self.world.trace.note(format!(
            "{creator} makes room {number}, version {version}, {visibility}, {door:?}: {room_id}"
        ));
        self.world.ledger.concerned(number, creator.server_name().as_str());
        let people = BTreeSet::from([creator.to_owned()]);
        self.lock().rooms.push(RoomKnown { room_id, door, people, sent: Vec::new() });
    }

    /// Who is to get into a new room. Some let in whoever is in the first one.
    fn door(&self, version: &str, is_public: bool, rng: &mut Rng) -> Door {
        let first = self.lock().rooms.first().map(|room| room.room_id.clone());
        match first {
            Some(first)
                if version.parse().is_ok_and(|version: u8| version >= RESTRICTED_SINCE) && rng.chance(50) =>
            {
                Door::Restricted(first)
            }
            _ if is_public => Door::Open,
            _ => Door::Closed,
        }
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
            Ok(Some(Err(error))) => format!("not done: {error}{}", because(&*error)),
            Ok(None) => "nobody knows".to_owned(),
            Err(_) => "no answer".to_owned(),
        };
        self.world.trace.note(format!("{deed}: {outcome}"));
    }

    /// `None` if the process does not run, or died over it.
    async fn attempt(&self, deed: &Deed) -> Option<Result<(), NotDone>> {
        let (process, actor) = self.at_home(&deed.who).await?;
        let room = self.lock().rooms.get(deed.room)?.clone();
        process.life.during(self.act(&process, (&actor, &room), deed)).await
    }

    async fn act(
        &self,
        process: &Process,
        (actor, room): (&Actor, &RoomKnown),
        deed: &Deed,
    ) -> Result<(), NotDone> {
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
            Act::Redact { event_id } => self.redact(process, (actor, room_id), (deed, event_id)).await,
            Act::Join { via } => {
                self.concern(number, &actor.user_id);
                let via = self.liars_first(via);
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
            Act::Leave => Ok(rooms.leave(actor, room_id, None).await?),
            Act::Kick { target } => Ok(rooms.kick(actor, room_id, someone(target)).await?),
            Act::Ban { target } => {
                // A ban tells the server of who is banned.
                self.concern(number, target);
                Ok(rooms.ban(actor, room_id, someone(target)).await?)
            }
            Act::Unban { target } => Ok(rooms.unban(actor, room_id, someone(target)).await?),
            Act::Whisper { target } => self.whisper(process, actor, target).await,
            Act::Read { event_id } => self.read(process, (actor, room_id), event_id).await,
            Act::Type => Ok(process.sync.set_typing(actor, room_id, Some(TYPING)).await?),
            Act::Device { device_id, seed } => process.change_device(actor, (device_id, *seed)).await,
            Act::LookUp { target } => {
                let looked_up = process.look_up(actor, std::slice::from_ref(target)).await?;
                self.hold(process, actor, looked_up);
                Ok(())
            }
        }
    }

    /// Nobody knows who lies, and whoever comes in asks him first if he can: that is when lies do most.
    fn liars_first(&self, via: &[String]) -> Vec<String> {
        let mut via = via.to_vec();
        via.sort_by_key(|name| {
            self.world.hostile.is_none() || self.world.place_of(name) != self.world.hostile
        });
        via
    }

    async fn redact(
        &self,
        process: &Process,
        (actor, room_id): (&Actor, &RoomId),
        (deed, event_id): (&Deed, &str),
    ) -> Result<(), NotDone> {
        let event_id = EventId::parse(event_id).unwrap();
        let redaction = Redaction { event_id, reason: None, transaction_id: None };
        let sent = process.rooms.redact(actor, room_id, redaction).await?;
        self.acknowledge(process, (deed, sent.as_str()), None);
        Ok(())
    }

    async fn send(
        &self,
        process: &Process,
        (actor, deed): (&Actor, &Deed),
        (event_type, state_key, content): (&str, Option<&str>, Value),
        mark: Option<Mark>,
    ) -> Result<(), NotDone> {
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

    /// Tells all devices of somebody something.
    async fn whisper(&self, process: &Process, actor: &Actor, target: &OwnedUserId) -> Result<(), NotDone> {
        let number = {
            let mut known = self.lock();
            known.messages += 1;
            known.messages
        };
        let text = format!("whisper-{number}.");
        self.world.ledger.whispers(actor.user_id.as_str(), target.as_str(), &text);
        let content = json!({ "body": text }).to_string();
        let devices = BTreeMap::from([(DeviceIdOrAllDevices::AllDevices, content)]);
        let messages = BTreeMap::from([(target.clone(), devices)]);
        process.encryption.send_to_device(actor, "m.whisper", (&*text).into(), &messages).await?;
        if !process.life.is_over() {
            self.world.ledger.whispered(&text);
        }
        Ok(())
    }

    /// A user reads up to an event, and does not hide it.
    async fn read(
        &self,
        process: &Process,
        (actor, room_id): (&Actor, &RoomId),
        event_id: &str,
    ) -> Result<(), NotDone> {
        let read = EventId::parse(event_id)?;
        let receipt = NewReceipt { event_id: read, kind: ReceiptKind::Read, thread: None };
        process.sync.set_receipts(actor, room_id, vec![receipt]).await?;
        let place = (room_id.to_string(), actor.user_id.to_string());
        self.lock().read.insert(place, event_id.to_owned());
        Ok(())
    }

    /// A client holds what it was told, unless the process died over it.
    pub(crate) fn hold(&self, process: &Process, actor: &Actor, LookedUp { at, lists }: LookedUp) {
        if process.life.is_over() {
            return;
        }
        let mut known = self.lock();
        for (user, list) in lists {
            known.held.insert((actor.user_id.clone(), user), Held { at, list });
        }
    }

    /// What the clients of users hold of the devices of others.
    pub(crate) fn held(&self) -> Holdings {
        self.lock().held.clone()
    }

    fn acknowledge(&self, process: &Process, (deed, event_id): (&Deed, &str), mark: Option<Mark>) {
        // A dead process acknowledges nothing.
        if process.life.is_over() {
            return;
        }
        let mut known = self.lock();
        let room = &mut known.rooms[deed.room];
        // Nobody redacts redactions: before room version 11 they would not say any more what they redact, so that who comes to hear
        // of them later cannot know, and in versions 1 and 2 cannot tell whether they were allowed.
        if !matches!(deed.act, Act::Redact { .. }) {
            room.sent.push((event_id.to_owned(), deed.who.clone()));
        }
        self.world.ledger.acknowledged(Acknowledged {
            by: process.setting.place,
            room_id: room.room_id.to_string(),
            event_id: event_id.to_owned(),
            sender: deed.who.to_string(),
            mark,
        });
    }

    /// The power levels of a room with another level for somebody, as the process sees them.
    async fn levels(&self, process: &Process, room_id: &RoomId, (target, level): (&UserId, i64)) -> Value {
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

    /// Every honest process says something in every room that it is in, and its speaker reads up to there: what is new is
    /// seen by everybody who is there. Gives who read what.
    pub(crate) async fn everybody_speaks(&self) -> Reads {
        self.lock().read.clear();
        let rooms = self.rooms().len();
        for place in self.world.honest() {
            for number in 0..rooms {
                self.somebody_speaks(place, number).await;
            }
        }
        self.lock().read.clone()
    }

    async fn somebody_speaks(&self, place: usize, number: usize) {
        for who in self.world.users(place) {
            let deed = Deed { who: who.clone(), room: number, act: Act::Say };
            if let Some(Ok(())) = self.attempt(&deed).await {
                let sent = self.lock().rooms[number].sent.last().cloned();
                let Some((event_id, _)) = sent.filter(|(_, sender)| *sender == who) else { return };
                let deed = Deed { who, room: number, act: Act::Read { event_id } };
                drop(self.attempt(&deed).await);
                return;
            }
        }
    }

    /// The process of a user, if it runs, and the user there.
    pub(crate) async fn at_home(&self, user: &UserId) -> Option<(Arc<Process>, Actor)> {
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

fn because(error: &(dyn Error + 'static)) -> String {
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
