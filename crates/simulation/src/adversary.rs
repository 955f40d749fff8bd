//! An operator who lies: with the keys of the tenants of one process, and all that it knows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_canonical_json::Object;
use freehold_event::{EventReference, ProtoEvent};
use freehold_federation::Request;
use freehold_signing::Signer as _;
use freehold_store::Tenant;
use freehold_testkit::Rng;
use ruma_common::{EventId, OwnedEventId, OwnedUserId, ServerName, UserId};
use serde_json::json;
use serde_json::value::RawValue;

use crate::crowd::{Crowd, RoomKnown};
use crate::hosted::signer;
use crate::process::{Process, pass};
use crate::world::World;

/// The operator.
pub(crate) struct Adversary {
    world: Arc<World>,
    crowd: Arc<Crowd>,
    place: usize,
    sent: Mutex<Sent>,
}

/// How much was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Transactions and questions.
    pub(crate) requests: u64,
    /// Events, however often, to whomever.
    pub(crate) events: u64,
    /// Bytes of bodies.
    pub(crate) bytes: u64,
}

/// One thing that the operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trick {
    /// A valid event that only one server gets, and others have to ask for.
    Withhold,
    /// An event of somebody else's user, signed with the wrong key in the right name.
    Forge,
    /// A valid event whose content was changed afterwards.
    Tamper,
    /// An event that is too large.
    Oversize,
    /// An event that follows events that do not exist.
    Phantoms,
    /// An event that the rules of the room do not allow.
    Overreach,
    /// An event that follows something old, as if nothing had happened since.
    Backdate,
    /// Two events in one place, one for each half of the world.
    Equivocate,
    /// An event before the one that it follows.
    Reorder,
    /// An event to everybody, whoever is in the room, and one of a room that nobody knows.
    Misaddress,
    /// What others sent, again.
    Replay,
    /// Transactions that are none.
    Garbage,
    /// Questions about rooms that are none of its business.
    Snoop,
}

impl Trick {
    /// All of them.
    pub(crate) const ALL: [Trick; 13] = [
        Trick::Withhold,
        Trick::Forge,
        Trick::Tamper,
        Trick::Oversize,
        Trick::Phantoms,
        Trick::Overreach,
        Trick::Backdate,
        Trick::Equivocate,
        Trick::Reorder,
        Trick::Misaddress,
        Trick::Replay,
        Trick::Garbage,
        Trick::Snoop,
    ];
}

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many old events are sent again at a time.
const REPLAYED: usize = 20;

/// What an event is made from.
struct Draft {
    sender: OwnedUserId,
    /// In whose name it is signed; always with the operator's key.
    signed_as: String,
    event_type: &'static str,
    state_key: Option<String>,
    content: Vec<(&'static str, String)>,
    /// What it follows; the newest events where nothing is said.
    follows: Option<Vec<OwnedEventId>>,
}

impl Draft {
    fn message(sender: &UserId, text: String) -> Self {
        Draft {
            sender: sender.to_owned(),
            signed_as: sender.server_name().to_string(),
            event_type: "m.room.message",
            state_key: None,
            content: vec![("msgtype", "m.text".to_owned()), ("body", text)],
            follows: None,
        }
    }
}

impl Adversary {
    /// The operator of a process.
    pub(crate) fn new(world: Arc<World>, crowd: Arc<Crowd>, place: usize) -> Arc<Self> {
        Arc::new(Adversary { world, crowd, place, sent: Mutex::default() })
    }

    /// How much was sent so far.
    pub(crate) fn sent(&self) -> Sent {
        *self.lock()
    }

    /// Begins a trick; it is done when it is done.
    pub(crate) fn begin(self: &Arc<Self>, mut rng: Rng) {
        let this = self.clone();
        tokio::spawn(async move {
            let trick = *rng.pick(&Trick::ALL).unwrap();
            this.play(trick, &mut rng).await;
        });
    }

    /// Plays a trick in a room.
    pub(crate) async fn play(&self, trick: Trick, rng: &mut Rng) {
        let rooms = self.crowd.rooms();
        let Some(process) = self.world.process(self.place) else { return };
        let Some(room) = rng.pick(&rooms).cloned() else { return };
        let who = rng.pick(&self.world.users(self.place)).unwrap().clone();
        self.world.trace.note(format!("{who} plays {trick:?} in {}", room.room_id));
        let scene = Scene { process: &process, room: &room, who: &who };
        match trick {
            Trick::Garbage => self.garbage(&scene, rng).await,
            Trick::Snoop => self.snoop(&scene).await,
            Trick::Replay => self.replay(&scene).await,
            _ => self.speak(trick, &scene, rng).await,
        }
    }

    /// Tricks with events of its own.
    async fn speak(&self, trick: Trick, scene: &Scene<'_>, rng: &mut Rng) {
        let Some(mut drafts) = self.drafts(trick, scene, rng).await else { return };
        let mut texts = Vec::new();
        for draft in drafts.drain(..) {
            texts.extend(self.made(scene, draft).await);
        }
        let Some(first) = texts.first().cloned() else { return };
        let servers = self.others(rng);
        match trick {
            Trick::Withhold => {
                self.keep(scene, &first).await;
                self.send(scene, &servers[..1], vec![first]).await;
            }
            Trick::Tamper => {
                let changed = first.replacen("lie", "lye", 1);
                self.send(scene, &servers, vec![changed]).await;
            }
            Trick::Oversize => {
                let padding = format!("{{\"padding\":\"{}\",", "x".repeat(70_000));
                self.send(scene, &servers, vec![first.replacen('{', &padding, 1)]).await;
            }
            Trick::Equivocate => {
                let (one, other) = servers.split_at(servers.len() / 2);
                self.send(scene, one, vec![first]).await;
                self.send(scene, other, texts.split_off(1)).await;
            }
            Trick::Reorder => self.reorder(scene, &servers, first).await,
            Trick::Misaddress => {
                let elsewhere = first.replace(scene.room.room_id.as_str(), "!nowhere:nowhere.example");
                self.send(scene, &servers, vec![first, elsewhere]).await;
            }
            _ => self.send(scene, &servers, texts).await,
        }
    }

    async fn drafts(&self, trick: Trick, scene: &Scene<'_>, rng: &mut Rng) -> Option<Vec<Draft>> {
        let lie = |number: usize| format!("lie {number} {}", "la ".repeat(number % 40));
        let number = rng.below(1_000_000);
        let message = Draft::message(scene.who, lie(number));
        Some(match trick {
            Trick::Forge => {
                let honest = self.honest_user(scene.room, rng)?;
                vec![Draft::message(&honest, lie(number))]
            }
            Trick::Phantoms => {
                let phantom = |_| {
                    let name: String = (0..43).map(|_| char::from(b'a' + rng.below(26) as u8)).collect();
                    EventId::parse(format!("${name}")).unwrap()
                };
                vec![Draft { follows: Some((0..2).map(phantom).collect()), ..message }]
            }
            Trick::Overreach => {
                let victim = self.honest_user(scene.room, rng)?;
                let ban = Draft {
                    event_type: "m.room.member",
                    state_key: Some(victim.to_string()),
                    content: vec![("membership", "ban".to_owned())],
                    ..Draft::message(scene.who, String::new())
                };
                let rule = Draft {
                    event_type: "m.room.join_rules",
                    state_key: Some(String::new()),
                    content: vec![("join_rule", "public".to_owned())],
                    ..message
                };
                vec![ban, rule]
            }
            Trick::Backdate => {
                let (event_id, _) = rng.pick(&scene.room.sent)?.clone();
                vec![Draft { follows: Some(vec![EventId::parse(event_id).unwrap()]), ..message }]
            }
            Trick::Equivocate => vec![message, Draft::message(scene.who, lie(number + 1))],
            _ => vec![message],
        })
    }

    /// The event that a draft becomes, as the operator's process sees the room.
    async fn made(&self, scene: &Scene<'_>, draft: Draft) -> Option<String> {
        let reader = scene.process.rooms.reader().ok()?;
        let number = reader.room_number(&scene.room.room_id).await.ok()??;
        let version = reader.room(number).await.ok()??.version;
        let state = reader.current_state(number).await.ok()?;
        let mut proto = ProtoEvent::new(draft.sender.clone(), draft.event_type);
        let mut keys =
            vec![("m.room.power_levels", String::new()), ("m.room.member", draft.sender.to_string())];
        if !version.rules().authorization.room_create_event_id_as_room_id {
            keys.push(("m.room.create", String::new()));
        }
        if let Some(target) = draft.state_key.as_ref().filter(|_| draft.event_type == "m.room.member") {
            keys.push(("m.room.member", target.clone()));
        }
        for (event_type, state_key) in keys {
            if let Some(event) = state.get(event_type, &state_key).await.ok()? {
                proto.auth_events.push(EventReference::from(&event.pdu));
            }
        }
        let heads = reader.forward_extremities(number).await.ok()?;
        let follows = draft.follows.unwrap_or(heads);
        proto.prev_events = follows.into_iter().map(EventReference::from).collect();
        proto.room_id = Some(scene.room.room_id.clone());
        proto.state_key = draft.state_key;
        let mut content = Object::new();
        for (name, text) in draft.content {
            content.insert(name, text);
        }
        proto.content = content;
        proto.origin_server_ts = freehold_store::Clock::now_ts(&scene.process.setting.clock);
        proto.depth = 1_000;
        let new = proto.build(version).ok()?;
        let key = signer(scene.who.server_name());
        let signature = key.sign(new.signed_bytes()).to_base64();
        let signed = new.with_signature(&draft.signed_as, key.key_id().as_str(), &signature).ok()?;
        Some(signed.pdu().canonical_json().to_owned())
    }

    /// Sends the child first, and the parent a while later; the operator's process knows neither.
    async fn reorder(&self, scene: &Scene<'_>, servers: &[String], parent: String) {
        let Some(parent_id) = self.id_of(scene, &parent).await else { return };
        let child =
            Draft { follows: Some(vec![parent_id]), ..Draft::message(scene.who, "lie after".to_owned()) };
        let Some(child) = self.made(scene, child).await else { return };
        self.send(scene, servers, vec![child]).await;
        pass(500).await;
        self.send(scene, servers, vec![parent]).await;
    }

    async fn id_of(&self, scene: &Scene<'_>, text: &str) -> Option<OwnedEventId> {
        let reader = scene.process.rooms.reader().ok()?;
        let number = reader.room_number(&scene.room.room_id).await.ok()??;
        let version = reader.room(number).await.ok()??.version;
        Some(freehold_event::Pdu::parse(text.as_bytes(), version).ok()?.event_id().to_owned())
    }

    /// The operator's own process takes an event, so that others can ask for it.
    async fn keep(&self, scene: &Scene<'_>, text: &str) {
        let tenant = scene.tenant();
        let room_id = &scene.room.room_id;
        let taken = scene.process.ingest.take(&tenant, tenant.server_name(), room_id, vec![text.to_owned()]);
        drop(scene.process.life.during(taken).await);
    }

    /// What others sent, again, to everybody.
    async fn replay(&self, scene: &Scene<'_>) {
        let mut texts = Vec::new();
        if let Ok(reader) = scene.process.rooms.reader()
            && let Ok(Some(number)) = reader.room_number(&scene.room.room_id).await
            && let Ok(rows) = reader
                .timeline(number, freehold_rooms::Between::ALL, freehold_store::Order::Descending, REPLAYED)
                .await
        {
            let numbers: Vec<_> = rows.into_iter().map(|(_, event)| event).collect();
            let events = reader.events(&numbers).await.unwrap_or_default();
            texts.extend(events.iter().map(|event| event.pdu.canonical_json().to_owned()));
        }
        let servers = self.all_others();
        self.send(scene, &servers, texts).await;
    }

    async fn garbage(&self, scene: &Scene<'_>, rng: &mut Rng) {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let pdu = json!({ "room_id": scene.room.room_id, "type": "m.room.message" });
        let bodies = [
            "{\"pdus\":".to_owned(),
            format!("{{\"pdus\":[{deep}]}}"),
            json!({ "pdus": vec![pdu; 51] }).to_string(),
            json!({ "pdus": [], "edus": vec![json!({ "edu_type": "m.typing", "content": {} }); 101] })
                .to_string(),
            json!({ "pdus": [1, "x", null, {}, { "room_id": scene.room.room_id }] }).to_string(),
        ];
        let body = rng.pick(&bodies).unwrap().clone();
        for server in self.others(rng) {
            self.transact(scene, &server, body.clone()).await;
        }
    }

    /// Asks every tenant of every process for what a room holds.
    async fn snoop(&self, scene: &Scene<'_>) {
        let room_id = encoded(scene.room.room_id.as_str());
        let known: Vec<String> = scene.room.sent.iter().map(|(id, _)| id.clone()).collect();
        let last = known.last().cloned().unwrap_or_else(|| "$nothing".to_owned());
        let (event, user) = (encoded(&last), encoded(scene.who.as_str()));
        let missing = json!({ "earliest_events": [], "latest_events": known, "limit": 50 }).to_string();
        for server in self.all_others() {
            let questions = [
                Request::get(format!("/_matrix/federation/v1/event/{event}")),
                Request::get(format!("/_matrix/federation/v1/state/{room_id}?event_id={event}")),
                Request::get(format!("/_matrix/federation/v1/state_ids/{room_id}?event_id={event}")),
                Request::get(format!("/_matrix/federation/v1/event_auth/{room_id}/{event}")),
                Request::get(format!("/_matrix/federation/v1/backfill/{room_id}?v={event}&limit=100")),
                Request::post(
                    format!("/_matrix/federation/v1/get_missing_events/{room_id}"),
                    missing.clone(),
                ),
                Request::get(format!(
                    "/_matrix/federation/v1/timestamp_to_event/{room_id}?ts=1800000000000&dir=f"
                )),
                Request::get(format!(
                    "/_matrix/federation/v1/make_join/{room_id}/{user}?ver=12&ver=11&ver=10&ver=6"
                )),
                Request::get(format!("/_matrix/federation/v1/hierarchy/{room_id}")),
            ];
            for question in questions {
                self.ask(scene, &server, question).await;
            }
        }
    }

    /// Sends events to some servers, in one transaction each.
    async fn send(&self, scene: &Scene<'_>, servers: &[String], texts: Vec<String>) {
        let pdus: Vec<Box<RawValue>> =
            texts.iter().filter_map(|text| RawValue::from_string(text.clone()).ok()).collect();
        if pdus.is_empty() {
            return;
        }
        let body =
            json!({ "origin": scene.who.server_name(), "origin_server_ts": 1, "pdus": pdus }).to_string();
        for server in servers {
            self.lock().events += texts.len() as u64;
            self.transact(scene, server, body.clone()).await;
        }
    }

    async fn transact(&self, scene: &Scene<'_>, server: &str, body: String) {
        let number = self.lock().requests;
        let uri = format!("/_matrix/federation/v1/send/lie-{number}");
        self.ask(scene, server, Request::put(uri, body)).await;
    }

    async fn ask(&self, scene: &Scene<'_>, server: &str, request: Request) {
        {
            let mut sent = self.lock();
            sent.requests += 1;
            sent.bytes += request.content.as_ref().map_or(0, |body| body.len() as u64);
        }
        let server = ServerName::parse(server).unwrap();
        let tenant = scene.tenant();
        let asked = scene.process.client.request(&tenant, &server, request.within(PATIENCE).at_once());
        // Whatever the answer is: what was told is noted on the way.
        drop(scene.process.life.during(asked).await);
    }

    /// The tenants of the other processes, in any order; one of each process at least.
    fn others(&self, rng: &mut Rng) -> Vec<String> {
        let mut servers = self.all_others();
        rng.shuffle(&mut servers);
        servers
    }

    fn all_others(&self) -> Vec<String> {
        let places = self.world.places().filter(|place| *place != self.place);
        places.flat_map(|place| self.world.names(place).to_vec()).collect()
    }

    fn honest_user(&self, room: &RoomKnown, rng: &mut Rng) -> Option<OwnedUserId> {
        let honest =
            |user: &&OwnedUserId| self.world.place_of(user.server_name().as_str()) != Some(self.place);
        let people: Vec<OwnedUserId> = room.people.iter().filter(honest).cloned().collect();
        rng.pick(&people).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a trick is played, and by whom.
struct Scene<'s> {
    process: &'s Arc<Process>,
    room: &'s RoomKnown,
    who: &'s OwnedUserId,
}

impl Scene<'_> {
    fn tenant(&self) -> Tenant {
        self.process.setting.hosted.find(self.who.server_name().as_str()).unwrap()
    }
}

/// An identifier in a path.
fn encoded(id: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    id.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_encoded_for_paths() {
        assert_eq!(encoded("!a:b.example"), "%21a%3Ab.example");
    }

    #[test]
    fn every_trick_is_listed_once() {
        let names: std::collections::BTreeSet<String> =
            Trick::ALL.iter().map(|trick| format!("{trick:?}")).collect();
        assert_eq!(names.len(), Trick::ALL.len());
    }
}
