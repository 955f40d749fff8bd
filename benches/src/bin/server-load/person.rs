//! Somebody with an account, and what people do.

use std::sync::Arc;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::http::{Call, Http, Outcome, encode, json, text};

/// Somebody with an account and a session.
#[derive(Clone)]
pub(crate) struct Person {
    http: Http,
    host: Arc<str>,
    pub(crate) token: String,
}

/// What a sync gave.
pub(crate) struct Synced {
    pub(crate) next_batch: String,
    pub(crate) answer: Value,
    /// Seconds until the last byte was there.
    pub(crate) seconds: f64,
}

const REGISTER: &str = "/_matrix/client/v3/register";

impl Person {
    /// Makes an account, as far as a server asks for nothing but the dummy stage.
    pub(crate) async fn register(http: &Http, host: &Arc<str>, name: &str) -> Outcome<Self> {
        let password = format!("a long password of {name}");
        let body = |auth: Value| json!({"username": name, "password": password, "auth": auth});
        let call = async |body: Value| {
            let (path, body) = (REGISTER, Some(&body));
            http.exchange(Call { method: Method::POST, host, path, token: None, body }).await
        };
        let (mut status, mut answer) = call(body(json!({"type": "m.login.dummy"}))).await?;
        if status == StatusCode::UNAUTHORIZED {
            let session = text(&json(&answer)?, "session")?;
            (status, answer) = call(body(json!({"type": "m.login.dummy", "session": session}))).await?;
        }
        if !status.is_success() {
            return Err(format!("POST {REGISTER}: {status}: {}", String::from_utf8_lossy(&answer)));
        }
        let answer = json(&answer)?;
        let (token, user_id) = (text(&answer, "access_token")?, text(&answer, "user_id")?);
        if user_id.starts_with(&format!("@{name}:")) {
            Ok(Person { http: http.clone(), host: host.clone(), token })
        } else {
            Err(format!("`{name}` was registered as `{user_id}`"))
        }
    }

    /// The same person at a server that was started anew.
    pub(crate) fn at(self, http: &Http) -> Self {
        Person { http: http.clone(), ..self }
    }

    /// Makes a room, of the same version everywhere.
    pub(crate) async fn create_room(&self, preset: &str) -> Outcome<String> {
        let body = json!({"preset": preset, "room_version": "12", "name": "Load"});
        text(&self.ask(Method::POST, "createRoom", Some(&body)).await?, "room_id")
    }

    /// Joins a room in which somebody of the host `via` is.
    pub(crate) async fn join(&self, room_id: &str, via: &str) -> Outcome<()> {
        let path = format!("join/{}?via={}", encode(room_id), encode(via));
        let answer = self.ask(Method::POST, &path, Some(&json!({}))).await?;
        let joined = text(&answer, "room_id")?;
        if joined == room_id { Ok(()) } else { Err(format!("joined `{joined}` in place of `{room_id}`")) }
    }

    /// The host whose user this is.
    pub(crate) fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// Sends a message that says `body`.
    pub(crate) async fn send(&self, room_id: &str, body: &str) -> Outcome<String> {
        let path = format!("rooms/{}/send/m.room.message/{}", encode(room_id), encode(body));
        let content = json!({"msgtype": "m.text", "body": body});
        let event_id = text(&self.ask(Method::PUT, &path, Some(&content)).await?, "event_id")?;
        if event_id.starts_with('$') { Ok(event_id) } else { Err(format!("`{event_id}` is no event id")) }
    }

    /// Does to somebody's membership what `action` says: `ban` or `unban`.
    pub(crate) async fn moderate(&self, room_id: &str, action: &str, user_id: &str) -> Outcome<()> {
        let path = format!("rooms/{}/{action}", encode(room_id));
        self.ask(Method::POST, &path, Some(&json!({"user_id": user_id}))).await.map(drop)
    }

    /// Asks what is new.
    pub(crate) async fn sync(&self, since: Option<&str>, timeout_ms: u64) -> Outcome<Synced> {
        let since = since.map(|since| format!("&since={}", encode(since))).unwrap_or_default();
        let path = format!("/_matrix/client/v3/sync?timeout={timeout_ms}{since}");
        let started = std::time::Instant::now();
        let body = self.http.send(self.call(Method::GET, &path, None)).await?;
        let seconds = started.elapsed().as_secs_f64();
        let answer = json(&body)?;
        Ok(Synced { next_batch: text(&answer, "next_batch")?, answer, seconds })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Outcome<Value> {
        let path = format!("/_matrix/client/v3/{path}");
        json(&self.http.send(self.call(method, &path, body)).await?)
    }

    fn call<'a>(&'a self, method: Method, path: &'a str, body: Option<&'a Value>) -> Call<'a> {
        Call { method, host: &self.host, path, token: Some(&self.token), body }
    }
}

impl Synced {
    /// How many rooms the user is joined to, as far as they are in the answer.
    pub(crate) fn rooms(&self) -> usize {
        self.answer.pointer("/rooms/join").and_then(Value::as_object).map_or(0, serde_json::Map::len)
    }

    /// What the messages in the timeline of a room say.
    pub(crate) fn messages(&self, room_id: &str) -> Vec<&str> {
        let rooms = self.answer.pointer("/rooms/join").and_then(Value::as_object);
        let timeline =
            rooms.and_then(|rooms| rooms.get(room_id)).and_then(|room| room.pointer("/timeline/events"));
        let events = timeline.and_then(Value::as_array).into_iter().flatten();
        events.filter_map(|event| event.pointer("/content/body").and_then(Value::as_str)).collect()
    }
}
