//! People who use the server until it dies, and what they were told.

use serde_json::{Value, json};

use crate::client::Client;
use crate::running::TENANTS;

/// Somebody with an account and a device.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) host: &'static str,
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) token: String,
}

/// A change that somebody asked for.
#[derive(Clone)]
pub(crate) enum Change {
    /// A message in a room.
    Message { room: String, transaction: String },
    /// A state event; its key is the transaction.
    State { room: String, key: String },
    /// A message to a device of somebody.
    ToDevice { to: usize, transaction: String },
    /// A piece of account data of its own name.
    AccountData { name: String },
    /// A new account.
    Account { username: String },
    /// A new room of somebody's own.
    Room { name: String },
}

/// What became of a change.
#[derive(Clone)]
pub(crate) struct Done {
    pub(crate) who: usize,
    pub(crate) change: Change,
    /// What the server answered; `None` if it died before.
    pub(crate) answer: Option<Value>,
}

impl Person {
    pub(crate) fn register(client: &mut Client, host: &'static str, username: &str) -> Self {
        let answer = client.get("POST", "/_matrix/client/v3/register", &registration(username));
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Person { host, user_id: text("user_id"), device_id: text("device_id"), token: text("access_token") }
    }

    pub(crate) fn client(&self, port: u16) -> Client {
        Client::new(port, self.host, Some(&self.token))
    }
}

fn registration(username: &str) -> Value {
    json!({ "username": username, "password": "a password", "auth": { "type": "m.login.dummy" } })
}

impl Change {
    /// One change after the other, of all kinds; `seed` makes it a new one.
    pub(crate) fn nth(count: u64, seed: u64, rooms: &[String], people: usize) -> Self {
        let name = format!("c{seed}-{count}");
        let room = rooms[usize::try_from(seed % rooms.len() as u64).unwrap()].clone();
        match count % 16 {
            3 | 9 => Change::State { room, key: name },
            1 | 6 | 11 => Change::ToDevice { to: usize::try_from(seed).unwrap() % people, transaction: name },
            4 | 12 => Change::AccountData { name },
            7 => Change::Account { username: name },
            14 => Change::Room { name },
            _ => Change::Message { room, transaction: name },
        }
    }

    /// Asks for it. Asking again is the same change, except for accounts and rooms.
    pub(crate) fn ask(
        &self,
        client: &mut Client,
        port: u16,
        (people, who): (&[Person], usize),
    ) -> std::io::Result<(u16, Value)> {
        let v3 = "/_matrix/client/v3";
        let own = &people[who].user_id;
        match self {
            Change::Message { room, transaction } => {
                let path = format!("{v3}/rooms/{room}/send/m.room.message/{transaction}");
                client.ask("PUT", &path, &json!({ "msgtype": "m.text", "body": transaction }))
            }
            Change::State { room, key } => {
                let path = format!("{v3}/rooms/{room}/state/org.example.counted/{key}");
                client.ask("PUT", &path, &json!({ "key": key }))
            }
            Change::ToDevice { to, transaction } => {
                let to = &people[*to];
                let messages = json!({ to.user_id.clone(): { to.device_id.clone(): { "id": transaction } } });
                let path = format!("{v3}/sendToDevice/org.example.said/{transaction}");
                client.ask("PUT", &path, &json!({ "messages": messages }))
            }
            Change::AccountData { name } => {
                client.ask("PUT", &format!("{v3}/user/{own}/account_data/{name}"), &json!({ "name": name }))
            }
            Change::Account { username } => Client::new(port, people[who].host, None).ask(
                "POST",
                &format!("{v3}/register"),
                &registration(username),
            ),
            Change::Room { name } => {
                let (host, path) = (people[who].host, format!("{v3}/createRoom"));
                assert!(TENANTS.contains(&host));
                client.ask("POST", &path, &json!({ "name": name, "preset": "private_chat" }))
            }
        }
    }

    /// Whether it is the same change if it is asked for again.
    pub(crate) fn can_be_repeated(&self) -> bool {
        !matches!(self, Change::Account { .. } | Change::Room { .. })
    }
}
