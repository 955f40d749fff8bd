//! Requests that an operator who lies makes.

use freehold_federation::Request;
use freehold_testkit::Rng;
use ruma_common::ServerName;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Adversary, PATIENCE, Scene};

/// How many old events are sent again at a time.
const REPLAYED: usize = 20;

impl Adversary {
    /// What others sent, again, to everybody.
    pub(super) async fn replay(&self, scene: &Scene<'_>) {
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

    pub(super) async fn garbage(&self, scene: &Scene<'_>, rng: &mut Rng) {
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

    /// Tells everybody what others do, who do not.
    pub(super) async fn gossip(&self, scene: &Scene<'_>, rng: &mut Rng) {
        let Some(victim) = self.honest_user(scene.room, rng) else { return };
        let Some(other) = self.honest_user(scene.room, rng) else { return };
        let (room_id, who) = (&scene.room.room_id, scene.who);
        let read = scene.room.sent.first().map_or("$nothing", |(event_id, _)| event_id.as_str());
        let receipt = json!({ "event_ids": [read], "data": { "ts": 1 } });
        let to = |target: &str, text: &str| json!({ target: { "*": { "body": text } } });
        let whisper = |sender: &str, id: usize, text: &str| {
            let message_id = format!("gossip-{id}");
            let messages = to(other.as_str(), text);
            json!({ "edu_type": "m.direct_to_device", "content": {
                "sender": sender, "type": "m.whisper", "message_id": message_id, "messages": messages,
            } })
        };
        let number = rng.below(1_000_000);
        let edus = json!([
            { "edu_type": "m.typing", "content": { "room_id": room_id, "user_id": victim, "typing": true } },
            { "edu_type": "m.typing", "content": { "room_id": "!no:where.example", "user_id": who, "typing": true } },
            { "edu_type": "m.receipt", "content": { room_id.as_str(): { "m.read": { victim.as_str(): receipt } } } },
            { "edu_type": "m.receipt", "content": { room_id.as_str(): { "m.read": { who.as_str(): { "event_ids": ["$no"], "data": {} } } } } },
            whisper(victim.as_str(), number, "gossip of others"),
            whisper(who.as_str(), number, "gossip of ours"),
            whisper(who.as_str(), number, "gossip of ours, again"),
            { "edu_type": "m.device_list_update", "content": { "user_id": victim, "device_id": "X", "stream_id": 1 } },
            { "edu_type": "m.signing_key_update", "content": { "user_id": victim } },
            { "edu_type": "m.presence", "content": { "push": [{ "user_id": victim, "presence": "online" }] } },
            { "edu_type": "m.unheard_of", "content": {} },
        ]);
        let body = json!({ "origin": who.server_name(), "origin_server_ts": 1, "pdus": [], "edus": edus });
        for server in self.others(rng) {
            self.lock().events += 11;
            self.transact(scene, &server, body.to_string()).await;
        }
    }

    /// Asks every tenant of every process for what a room holds.
    pub(super) async fn snoop(&self, scene: &Scene<'_>) {
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
    pub(super) async fn send(&self, scene: &Scene<'_>, servers: &[String], texts: Vec<String>) {
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
}

/// An identifier in a path.
pub(super) fn encoded(id: &str) -> String {
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
}
