//! Rounds of using the server, killing it, and looking what is left.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::people::{Change, Done, Person};
use crate::running::{Server, TENANTS, assert_in_order, assert_no_errors_logged, prepare};

/// How often one data directory is used; then a new one is begun, so that checks stay quick.
const ROUNDS_TOGETHER: u64 = 20;
/// How many people use the server at the same time.
const PEOPLE: usize = 6;
/// For how long they do so at most before it is killed, in milliseconds.
const LOAD_MS_MAX: u64 = 600;

/// Kills a server many times.
pub(crate) fn kill_many_times(times: u64) {
    let (mut acknowledged, mut under_way, mut slowest) = (0, 0, Duration::ZERO);
    for first in (0..times).step_by(usize::try_from(ROUNDS_TOGETHER).unwrap()) {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let mut town = Town::found(folder.path());
        for round in first..times.min(first + ROUNDS_TOGETHER) {
            town.use_and_kill(folder.path(), round);
            assert_in_order(folder.path());
            slowest = slowest.max(town.look_after(folder.path()));
        }
        town.end(folder.path());
        assert_no_errors_logged(folder.path());
        acknowledged += town.acknowledged;
        under_way += town.under_way;
        println!(
            "{} rounds: {acknowledged} changes acknowledged, none lost; {under_way} under way",
            first + ROUNDS_TOGETHER.min(times - first)
        );
    }
    assert!(acknowledged > 0, "the server was killed before it did anything");
    println!(
        "killed {times} times under load: {acknowledged} acknowledged changes are there, {under_way} under way were \
         repeated and took place once; fsck found nothing; slowest start {} ms",
        slowest.as_millis()
    );
}

/// People, their rooms, and what they were told.
struct Town {
    server: Option<Server>,
    people: Vec<Person>,
    rooms: Vec<String>,
    /// What was done since the server was started.
    done: Vec<Done>,
    /// The messages that must be in the rooms, by room.
    said: BTreeMap<String, Vec<String>>,
    /// The messages that must have come to each person's device.
    sent: BTreeMap<usize, Vec<String>>,
    /// What came to each person's device, and up to where.
    received: BTreeMap<usize, (Vec<String>, Option<String>)>,
    acknowledged: usize,
    under_way: usize,
}

impl Town {
    fn found(folder: &Path) -> Self {
        let server = Server::start(folder);
        let people: Vec<Person> = (0..PEOPLE)
            .map(|number| {
                let host = TENANTS[number % 2];
                let mut client = Client::new(server.port, host, None);
                Person::register(&mut client, host, &format!("person{number}"))
            })
            .collect();
        let mut rooms = Vec::new();
        for owner in &people[..3] {
            let made =
                json!({ "preset": "public_chat", "power_level_content_override": { "state_default": 0 } });
            let made = owner.client(server.port).get("POST", "/_matrix/client/v3/createRoom", &made);
            let room = made["room_id"].as_str().unwrap().to_owned();
            for other in people.iter().filter(|other| other.user_id != owner.user_id) {
                let via = owner.host;
                let path = format!("/_matrix/client/v3/join/{room}?via={via}");
                other.client(server.port).get("POST", &path, &json!({}));
            }
            rooms.push(room);
        }
        Town {
            server: Some(server),
            people,
            rooms,
            done: Vec::new(),
            said: BTreeMap::new(),
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            acknowledged: 0,
            under_way: 0,
        }
    }

    /// Everybody uses the server until it is killed.
    fn use_and_kill(&mut self, folder: &Path, round: u64) {
        let server = self.server.take().unwrap_or_else(|| Server::start(folder));
        let port = server.port;
        let is_over = AtomicBool::new(false);
        let (people, rooms) = (&self.people, &self.rooms);
        self.done = thread::scope(|scope| {
            let users: Vec<_> = (0..people.len())
                .map(|who| {
                    let is_over = &is_over;
                    scope.spawn(move || use_until_killed(port, (people, rooms, who), round, is_over))
                })
                .collect();
            thread::sleep(Duration::from_millis(mixed(round) % LOAD_MS_MAX));
            is_over.store(true, Ordering::SeqCst);
            server.kill();
            users.into_iter().flat_map(|user| user.join().unwrap()).collect()
        });
    }

    /// Starts the server, and looks whether everything acknowledged is there; what was under way is asked for again. Gives how long
    /// the start took.
    fn look_after(&mut self, folder: &Path) -> Duration {
        let server = Server::start(folder);
        let port = server.port;
        for done in std::mem::take(&mut self.done) {
            let mut client = self.people[done.who].client(port);
            let change = done.change.clone();
            self.acknowledged += usize::from(done.answer.is_some());
            self.under_way += usize::from(done.answer.is_none());
            match (&done.answer, change.can_be_repeated()) {
                (Some(answer), _) => self.assert_done(&mut client, port, &done, answer),
                (None, true) => {
                    let again = change.ask(&mut client, port, (&self.people, done.who)).unwrap();
                    assert_eq!(again.0, 200, "a change that was under way cannot be repeated: {}", again.1);
                    self.assert_done(&mut client, port, &done, &again.1);
                }
                (None, false) => {}
            }
        }
        let started_in = server.started_in;
        self.receive(port);
        self.server = Some(server);
        started_in
    }

    fn assert_done(&mut self, client: &mut Client, port: u16, done: &Done, answer: &Value) {
        let v3 = "/_matrix/client/v3";
        let person = &self.people[done.who];
        match &done.change {
            Change::Message { room, transaction } => {
                let event_id = answer["event_id"].as_str().unwrap();
                let event = client.get("GET", &format!("{v3}/rooms/{room}/event/{event_id}"), &json!({}));
                assert_eq!(event["content"]["body"], transaction.as_str());
                self.said.entry(room.clone()).or_default().push(transaction.clone());
            }
            Change::State { room, key } => {
                let path = format!("{v3}/rooms/{room}/state/org.example.counted/{key}");
                assert_eq!(client.get("GET", &path, &json!({}))["key"], key.as_str());
            }
            Change::ToDevice { to, transaction } => {
                self.sent.entry(*to).or_default().push(transaction.clone());
            }
            Change::AccountData { name } => {
                let path = format!("{v3}/user/{}/account_data/{name}", person.user_id);
                assert_eq!(client.get("GET", &path, &json!({}))["name"], name.as_str());
            }
            Change::Account { .. } => {
                let token = answer["access_token"].as_str().unwrap();
                let mut new = Client::new(port, person.host, Some(token));
                let who = new.get("GET", &format!("{v3}/account/whoami"), &json!({}));
                assert_eq!(who["user_id"], answer["user_id"]);
                let devices = new.get("GET", &format!("{v3}/devices"), &json!({}));
                assert_eq!(devices["devices"][0]["device_id"], answer["device_id"]);
            }
            Change::Room { name } => {
                let room = answer["room_id"].as_str().unwrap();
                let path = format!("{v3}/rooms/{room}/state/m.room.name");
                assert_eq!(client.get("GET", &path, &json!({}))["name"], name.as_str());
            }
        }
    }

    /// Everybody receives what was sent to their device: all that was acknowledged, each once.
    fn receive(&mut self, port: u16) {
        for (who, person) in self.people.iter().enumerate() {
            let mut client = person.client(port);
            let (received, since) = self.received.entry(who).or_default();
            loop {
                let filter = "%7B%22room%22%3A%7B%22rooms%22%3A%5B%5D%7D%7D";
                let since_part = since.as_ref().map(|since| format!("&since={since}")).unwrap_or_default();
                let path = format!("/_matrix/client/v3/sync?timeout=0&filter={filter}{since_part}");
                let synced = client.get("GET", &path, &json!({}));
                *since = Some(synced["next_batch"].as_str().unwrap().to_owned());
                let empty = Vec::new();
                let events = synced["to_device"]["events"].as_array().unwrap_or(&empty);
                if events.is_empty() {
                    break;
                }
                received
                    .extend(events.iter().map(|event| event["content"]["id"].as_str().unwrap().to_owned()));
            }
            for transaction in self.sent.get(&who).into_iter().flatten() {
                let times = received.iter().filter(|received| *received == transaction).count();
                assert_eq!(times, 1, "{} received `{transaction}` {times} times", person.user_id);
            }
        }
    }

    /// Each message that was acknowledged is in its room once.
    fn end(&mut self, folder: &Path) {
        let server = self.server.take().unwrap_or_else(|| Server::start(folder));
        for (room, said) in &self.said {
            let mut found: BTreeMap<String, usize> = BTreeMap::new();
            let mut from = String::new();
            let mut client = self.people[0].client(server.port);
            loop {
                let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=500{from}");
                let page = client.get("GET", &path, &json!({}));
                for event in page["chunk"].as_array().unwrap() {
                    if let Some(body) = event["content"]["body"].as_str() {
                        *found.entry(body.to_owned()).or_default() += 1;
                    }
                }
                let Some(end) = page["end"].as_str() else { break };
                from = format!("&from={end}");
            }
            for body in said {
                assert_eq!(found.get(body), Some(&1), "`{body}` in {room}");
            }
        }
    }
}

fn use_until_killed(
    port: u16,
    (people, rooms, who): (&[Person], &[String], usize),
    round: u64,
    is_over: &AtomicBool,
) -> Vec<Done> {
    let mut client = people[who].client(port);
    let mut done = Vec::new();
    let begin = Instant::now();
    let seed = round * PEOPLE as u64 + who as u64;
    for count in 0.. {
        let change = Change::nth(count, seed, rooms, people.len());
        let answer = match change.ask(&mut client, port, (people, who)) {
            Ok((200, answer)) => Some(answer),
            Ok((status, answer)) => panic!("{status}: {answer}"),
            Err(error) => {
                let is_over = is_over.load(Ordering::SeqCst);
                assert!(is_over || begin.elapsed() < Duration::from_secs(1), "{error} before the kill");
                None
            }
        };
        let is_last = answer.is_none();
        done.push(Done { who, change, answer });
        if is_last {
            break;
        }
    }
    done
}

/// A number at random, the same for the same `seed` (Fibonacci hashing).
fn mixed(seed: u64) -> u64 {
    (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}
