//! Lies in answers: what an operator who lies tells those who ask.

use std::sync::Arc;

use freehold_federation::fake::Handler;
use freehold_federation::http::Response;
use freehold_rooms::Between;
use freehold_store::Order;
use freehold_testkit::Rng;
use hyper::body::Bytes;
use ruma_common::OwnedUserId;
use serde_json::{Value, json};

use super::requests::encoded;
use super::{Adversary, Scene, Trick};
use crate::crowd::RoomKnown;
use crate::process::Process;

/// What is asked, where it is worth lying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    StateIds,
    State,
    SendJoin,
    MissingEvents,
    EventAuth,
    Backfill,
    Event,
    /// The keys of others, of a notary.
    Keys,
}

/// What is done to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// Events of other rooms are among the true ones.
    Foreign,
    /// Events of other rooms are in the place of the true ones.
    Replaced,
    /// Some have another content.
    Changed,
    /// Some are said to be of another time, which their signatures do not cover.
    Postdated,
    /// Some are made up in the name of others, or do not exist.
    Forged,
    /// What authorises the others is left out.
    Unauthorised,
    /// Some are left out.
    Halved,
    /// There are none.
    Empty,
    /// They are no events.
    Nonsense,
}

impl Lie {
    const ALL: [Lie; 9] = [
        Lie::Foreign,
        Lie::Replaced,
        Lie::Changed,
        Lie::Postdated,
        Lie::Forged,
        Lie::Unauthorised,
        Lie::Halved,
        Lie::Empty,
        Lie::Nonsense,
    ];
}

/// Of what lies are made: events by id and text.
#[derive(Default)]
struct Material {
    /// Of other rooms.
    foreign: Vec<(String, String)>,
    /// Made up.
    forged: Vec<(String, String)>,
}

/// How many events of one room lies are made of.
const FOREIGN: usize = 6;

impl Asked {
    fn of(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix("/_matrix/")?.split('/');
        match (parts.next()?, parts.next()?, parts.next()?) {
            ("federation", "v1", "state_ids") => Some(Asked::StateIds),
            ("federation", "v1", "state") => Some(Asked::State),
            ("federation", "v2", "send_join") => Some(Asked::SendJoin),
            ("federation", "v1", "get_missing_events") => Some(Asked::MissingEvents),
            ("federation", "v1", "event_auth") => Some(Asked::EventAuth),
            ("federation", "v1", "backfill") => Some(Asked::Backfill),
            ("federation", "v1", "event") => Some(Asked::Event),
            ("key", "v2", "query") => Some(Asked::Keys),
            _ => None,
        }
    }

    /// The list that is asked for, and that of what authorises it.
    fn lists(self) -> (&'static str, Option<&'static str>) {
        match self {
            Asked::StateIds => ("pdu_ids", Some("auth_chain_ids")),
            Asked::State => ("pdus", Some("auth_chain")),
            Asked::SendJoin => ("state", Some("auth_chain")),
            Asked::MissingEvents => ("events", None),
            Asked::EventAuth => ("auth_chain", None),
            Asked::Backfill | Asked::Event => ("pdus", None),
            Asked::Keys => ("server_keys", None),
        }
    }

    /// How many answers of a hundred are lies: more of those for which others ask seldom.
    fn lies_percent(self) -> usize {
        match self {
            Asked::MissingEvents => 50,
            _ => 85,
        }
    }

    /// Whether a lie could be noticed. Whoever joins a room knows nothing yet that it could hold against a state from which
    /// something is left out: it has to believe who is there already, and that is how the protocol is.
    fn may_be_noticed(self, lie: Lie) -> bool {
        let leaves_out = matches!(lie, Lie::Halved | Lie::Postdated | Lie::Replaced);
        !(self == Asked::SendJoin && leaves_out)
    }
}

impl Adversary {
    /// What answers requests in the place of the operator's process.
    pub(crate) fn answering(self: &Arc<Self>, process: &Arc<Process>) -> Handler {
        let (this, process) = (Arc::downgrade(self), process.clone());
        Arc::new(move |request| {
            let (this, process) = (this.clone(), process.clone());
            Box::pin(async move {
                let path = request.uri().path().to_owned();
                let answer = process.answer(request).await;
                match this.upgrade() {
                    Some(this) => this.changed(&process, &path, answer).await,
                    None => answer,
                }
            })
        })
    }

    /// The answer that is given in the place of an honest one.
    async fn changed(&self, process: &Arc<Process>, path: &str, honest: Response<Bytes>) -> Response<Bytes> {
        let mut rng = self.lies.lock().unwrap().fork("lie");
        let Some(asked) = Asked::of(path).filter(|_| honest.status().is_success()) else { return honest };
        if !rng.chance(asked.lies_percent()) {
            return honest;
        }
        let lie = *rng.pick(&Lie::ALL).unwrap();
        let told: Option<Value> = serde_json::from_slice(honest.body()).ok();
        let Some(mut told) = told.filter(|_| asked.may_be_noticed(lie)) else { return honest };
        let material = self.material(process, path, &mut rng).await;
        let events = change((asked, lie), &mut told, &material, &mut rng);
        let body = told.to_string();
        self.world.trace.note(format!("p{} lies about {asked:?}: {lie:?}", self.place));
        {
            let mut sent = self.lock();
            sent.requests += 1;
            sent.events += events as u64;
            sent.bytes += body.len() as u64;
        }
        let (mut head, _) = honest.into_parts();
        head.headers.remove("content-length");
        Response::from_parts(head, Bytes::from(body))
    }

    /// Of what a lie about a room can be made.
    async fn material(&self, process: &Arc<Process>, path: &str, rng: &mut Rng) -> Material {
        let rooms = self.crowd.rooms();
        let is_meant = |room: &&RoomKnown| path.contains(&encoded(room.room_id.as_str()));
        let meant = rooms.iter().find(is_meant);
        let mut material = Material::default();
        for room in rooms.iter().filter(|room| Some(&room.room_id) != meant.map(|meant| &meant.room_id)) {
            material.foreign.extend(events_of(process, room).await.unwrap_or_default());
        }
        let who: OwnedUserId = rng.pick(&self.world.users(self.place)).unwrap().clone();
        if let Some(room) = meant {
            let scene = Scene { process, room, who: &who };
            for draft in self.drafts(Trick::Forge, &scene, rng).await.unwrap_or_default() {
                let Some(text) = self.made(&scene, draft).await else { continue };
                let Some(id) = self.id_of(&scene, &text).await else { continue };
                material.forged.push((id.to_string(), text));
            }
        }
        material
    }
}

/// The newest events that a process has of a room, by id.
async fn events_of(process: &Process, room: &RoomKnown) -> Option<Vec<(String, String)>> {
    let reader = process.rooms.reader().ok()?;
    let number = reader.room_number(&room.room_id).await.ok()??;
    let rows = reader.timeline(number, Between::ALL, Order::Descending, FOREIGN).await.ok()?;
    let numbers: Vec<_> = rows.into_iter().map(|(_, event)| event).collect();
    let events = reader.events(&numbers).await.ok()?;
    let texts =
        events.iter().map(|event| (event.pdu.event_id().to_string(), event.pdu.canonical_json().to_owned()));
    Some(texts.collect())
}

/// Changes an answer; gives how many events are in it then.
fn change((asked, lie): (Asked, Lie), told: &mut Value, material: &Material, rng: &mut Rng) -> usize {
    let (main, chain) = asked.lists();
    let new = |events: &[(String, String)]| -> Vec<Value> {
        let value = |(id, text): &(String, String)| match asked {
            Asked::StateIds => Some(json!(id)),
            _ => serde_json::from_str(text).ok(),
        };
        events.iter().filter_map(value).collect()
    };
    let mut events = 0;
    for name in std::iter::once(main).chain(chain) {
        let Some(list) = told.get_mut(name).and_then(Value::as_array_mut) else { continue };
        match lie {
            Lie::Foreign => list.extend(new(&material.foreign)),
            Lie::Replaced => *list = new(&material.foreign),
            Lie::Changed => list.iter_mut().filter(|_| rng.chance(50)).for_each(give_other_content),
            Lie::Postdated => list.iter_mut().filter(|_| rng.chance(50)).for_each(give_other_time),
            Lie::Forged => list.extend(new(&material.forged)),
            Lie::Unauthorised if Some(name) == chain || chain.is_none() => list.clear(),
            Lie::Unauthorised => {}
            Lie::Halved => list.retain(|_| rng.chance(50)),
            Lie::Empty => list.clear(),
            Lie::Nonsense => *list = vec![json!(1), json!("x"), json!(null), json!({}), json!([])],
        }
        events += list.len();
    }
    events
}

fn give_other_content(event: &mut Value) {
    match event {
        Value::String(id) => id.push('x'),
        event => {
            if let Some(content) = event.get_mut("content").and_then(Value::as_object_mut) {
                content.insert("lie".to_owned(), json!("la la"));
            }
            // Of key documents.
            if let Some(name) = event.get_mut("server_name") {
                *name = json!("somebody.example");
            }
        }
    }
}

fn give_other_time(event: &mut Value) {
    match event {
        Value::String(id) => id.push('y'),
        event => {
            for name in ["origin_server_ts", "valid_until_ts"] {
                if let Some(time) = event.get_mut(name) {
                    *time = json!(time.as_i64().unwrap_or_default() + 1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> (String, String) {
        (format!("${name}"), json!({ "type": name, "content": {} }).to_string())
    }

    #[test]
    fn every_lie_changes_every_answer() {
        let material = Material { foreign: vec![pair("foreign")], forged: vec![pair("forged")] };
        for asked in [Asked::StateIds, Asked::State, Asked::SendJoin, Asked::MissingEvents, Asked::Event] {
            let (main, chain) = asked.lists();
            let event = |number: i64| match asked {
                Asked::StateIds => json!(format!("${number}")),
                _ => json!({ "content": {}, "origin_server_ts": number }),
            };
            let list = |numbers: std::ops::Range<i64>| numbers.map(event).collect::<Vec<_>>();
            let mut honest = json!({ main: list(0..20) });
            if let Some(chain) = chain {
                honest[chain] = json!(list(20..40));
            }
            for lie in Lie::ALL {
                let mut told = honest.clone();
                change((asked, lie), &mut told, &material, &mut Rng::new(1));
                assert_ne!(told, honest, "{asked:?} {lie:?}");
            }
        }
    }

    #[test]
    fn what_is_asked_is_told_by_its_path() {
        for (path, asked) in [
            ("/_matrix/federation/v1/state_ids/%21a", Some(Asked::StateIds)),
            ("/_matrix/federation/v2/send_join/%21a/%24b", Some(Asked::SendJoin)),
            ("/_matrix/key/v2/query", Some(Asked::Keys)),
            ("/_matrix/key/v2/server", None),
            ("/_matrix/federation/v1/send/1", None),
        ] {
            assert_eq!(Asked::of(path), asked, "{path}");
        }
    }
}
