//! A person with an account on a peer's server, acting through the client-server interface.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    failure::{Context, Failure, Result},
    home::Home,
    http::{Call, Client, Downloaded},
};

/// How long anything may take to come from one server to another.
const ARRIVE_SECONDS_MAX: u64 = 30;

/// How many pages of a history are read at most.
const PAGES_MAX: usize = 200;

/// The password of every account.
pub(crate) const PASSWORD: &str = "of one run";

/// A logged-in user.
pub(crate) struct User {
    client: Client,
    base: String,
    token: String,
    user_id: String,
}

impl User {
    /// Registers an account.
    pub(crate) fn register(client: &Client, server: &dyn Home, localpart: &str) -> Result<Self> {
        let url = format!("{}/_matrix/client/v3/register", server.client_url());
        let body = json!({
            "username": localpart, "password": PASSWORD, "auth": {"type": "m.login.dummy"},
        });
        let answer = client.send(Call {
            method: "POST",
            url,
            authorization: None,
            body: Some(body.to_string().into()),
        })?;
        Ok(Self {
            client: client.clone(),
            base: format!("{}/_matrix/client/v3", server.client_url()),
            token: string(&answer, "access_token")?,
            user_id: string(&answer, "user_id")?,
        })
    }

    /// The user's id.
    pub(crate) fn id(&self) -> &str {
        &self.user_id
    }

    /// Creates a room and returns its id.
    pub(crate) fn create_room(&self, body: &Value) -> Result<String> {
        string(&self.call("POST", "/createRoom", Some(body))?, "room_id")
    }

    /// Joins a room through a server that is in it.
    pub(crate) fn join(&self, room: &str, via: &str) -> Result<()> {
        let via = escaped(via);
        let path = format!("/join/{}?server_name={via}&via={via}", escaped(room));
        self.call("POST", &path, Some(&json!({}))).map(drop)
    }

    /// Knocks at a room through a server that is in it.
    pub(crate) fn knock(&self, room: &str, via: &str) -> Result<()> {
        let via = escaped(via);
        let path = format!("/knock/{}?server_name={via}&via={via}", escaped(room));
        self.call("POST", &path, Some(&json!({}))).map(drop)
    }

    /// Does something to another user: `invite`, `kick`, `ban`, `unban`.
    pub(crate) fn act(&self, room: &str, action: &str, target: &User) -> Result<()> {
        let path = format!("/rooms/{}/{action}", escaped(room));
        self.call("POST", &path, Some(&json!({"user_id": target.user_id}))).map(drop)
    }

    /// Leaves a room.
    pub(crate) fn leave(&self, room: &str) -> Result<()> {
        self.call("POST", &format!("/rooms/{}/leave", escaped(room)), Some(&json!({}))).map(drop)
    }

    /// Sends a state event with an empty state key.
    pub(crate) fn set(&self, room: &str, event_type: &str, content: &Value) -> Result<String> {
        let path = format!("/rooms/{}/state/{event_type}/", escaped(room));
        string(&self.call("PUT", &path, Some(content))?, "event_id")
    }

    /// The content of a state event with an empty state key.
    pub(crate) fn get(&self, room: &str, event_type: &str) -> Result<Value> {
        self.call("GET", &format!("/rooms/{}/state/{event_type}/", escaped(room)), None)
    }

    /// Sends a text message.
    pub(crate) fn say(&self, room: &str, text: &str) -> Result<String> {
        let path = format!("/rooms/{}/send/m.room.message/{}", escaped(room), escaped(text));
        string(&self.call("PUT", &path, Some(&json!({"msgtype": "m.text", "body": text})))?, "event_id")
    }

    /// Redacts an event.
    pub(crate) fn redact(&self, room: &str, event_id: &str) -> Result<()> {
        let path = format!("/rooms/{}/redact/{}/once", escaped(room), escaped(event_id));
        self.call("PUT", &path, Some(&json!({}))).map(drop)
    }

    /// Whether the server shows this user the event.
    pub(crate) fn sees(&self, room: &str, event_id: &str) -> bool {
        self.event(room, event_id).is_ok()
    }

    /// The event as the server shows it to this user.
    pub(crate) fn event(&self, room: &str, event_id: &str) -> Result<Value> {
        self.call("GET", &format!("/rooms/{}/event/{}", escaped(room), escaped(event_id)), None)
    }

    /// The ids of all events of a room that the server shows this user, newest first.
    pub(crate) fn all_events(&self, room: &str) -> Result<Vec<String>> {
        let mut read = Vec::new();
        let mut from = String::new();
        for _ in 0..PAGES_MAX {
            let path = format!("/rooms/{}/messages?dir=b&limit=100{from}", escaped(room));
            let page = self.call("GET", &path, None)?;
            let chunk = page.get("chunk").and_then(Value::as_array).context("a page of events")?;
            for event in chunk {
                read.push(string(event, "event_id")?);
            }
            match page.get("end").and_then(Value::as_str) {
                Some(end) => from = format!("&from={}", escaped(end)),
                None => return Ok(read),
            }
        }
        Err(Failure::new(format!("the history did not end within {PAGES_MAX} pages")))
    }

    /// The membership that the server shows this user of somebody.
    pub(crate) fn membership(&self, room: &str, user_id: &str) -> Option<String> {
        let path = format!("/rooms/{}/state/m.room.member/{}", escaped(room), escaped(user_id));
        let content = self.call("GET", &path, None).ok()?;
        content.get("membership").and_then(Value::as_str).map(str::to_owned)
    }

    /// The stripped state of an invitation to a room, if there is one.
    pub(crate) fn invite(&self, room: &str) -> Result<Option<Value>> {
        let answer = self.call("GET", "/sync?timeout=0", None)?;
        let invites = answer.get("rooms").and_then(|rooms| rooms.get("invite"));
        Ok(invites.and_then(|invites| invites.get(room)).cloned())
    }

    /// What the server tells this user of their own membership, also of rooms that they are not in: `leave` of those of which it tells
    /// nothing.
    pub(crate) fn standing(&self, room: &str) -> Result<String> {
        let filter = json!({"room": {"include_leave": true, "rooms": [room]}}).to_string();
        let answer = self.call("GET", &format!("/sync?timeout=0&filter={}", escaped(&filter)), None)?;
        let of = |section: &str| answer.get("rooms")?.get(section)?.get(room);
        if let Some(section) = ["join", "invite", "knock"].into_iter().find(|section| of(section).is_some()) {
            return Ok(section.to_owned());
        }
        let parts =
            ["state", "timeline"].into_iter().filter_map(|part| of("leave")?.get(part)?.get("events"));
        let events = parts.filter_map(Value::as_array).flatten();
        let says = |event: &Value, field: &str, text: &str| event.get(field).is_some_and(|said| said == text);
        let mut own = events
            .filter(|event| says(event, "type", "m.room.member") && says(event, "state_key", &self.user_id));
        let last = own.next_back().and_then(|event| event.get("content")?.get("membership")?.as_str());
        Ok(last.unwrap_or("leave").to_owned())
    }

    /// Uploads a file and gives its `mxc://` URI.
    pub(crate) fn upload(&self, content_type: &str, bytes: &[u8]) -> Result<String> {
        let url = format!("{}/_matrix/media/v3/upload?filename=file", self.origin()?);
        let answer = self.client.upload(("POST", &url), (&self.authorization(), content_type), bytes)?;
        string(&answer, "content_uri")
    }

    /// Makes an `mxc://` URI to which something is uploaded later.
    pub(crate) fn reserve(&self) -> Result<String> {
        let answer = self.client.send(Call {
            method: "POST",
            url: format!("{}/_matrix/media/v1/create", self.origin()?),
            authorization: Some(self.authorization()),
            body: Some(b"{}".to_vec()),
        })?;
        string(&answer, "content_uri")
    }

    /// Uploads to a reserved `mxc://` URI.
    pub(crate) fn fill(&self, uri: &str, bytes: &[u8]) -> Result<()> {
        let url = format!("{}/_matrix/media/v3/upload/{}", self.origin()?, place_of(uri)?);
        self.client.upload(("PUT", &url), (&self.authorization(), "text/plain"), bytes).map(drop)
    }

    /// Downloads what an `mxc://` URI names.
    pub(crate) fn download(&self, uri: &str, query: &str) -> Result<Downloaded> {
        let url = format!("{}/_matrix/client/v1/media/download/{}{query}", self.origin()?, place_of(uri)?);
        self.client.download(&url, &self.authorization())
    }

    /// Downloads a thumbnail of what an `mxc://` URI names.
    pub(crate) fn thumbnail(&self, uri: &str, query: &str) -> Result<Downloaded> {
        let url = format!("{}/_matrix/client/v1/media/thumbnail/{}{query}", self.origin()?, place_of(uri)?);
        self.client.download(&url, &self.authorization())
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn origin(&self) -> Result<&str> {
        self.base.strip_suffix("/_matrix/client/v3").context("the address of the server")
    }

    /// The current state as the server tells it: (type, state key, event id), in order.
    pub(crate) fn state(&self, room: &str) -> Result<Vec<(String, String, String)>> {
        let events = self.call("GET", &format!("/rooms/{}/state", escaped(room)), None)?;
        let events = events.as_array().context("a list of state events")?;
        let mut state = events
            .iter()
            .map(|event| {
                Ok((string(event, "type")?, string(event, "state_key")?, string(event, "event_id")?))
            })
            .collect::<Result<Vec<_>>>()?;
        state.sort();
        Ok(state)
    }

    /// Sends a request below `/_matrix/client/v3`.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        self.client.send(Call {
            method,
            url: format!("{}{path}", self.base),
            authorization: Some(format!("Bearer {}", self.token)),
            body: body.map(|body| body.to_string().into()),
        })
    }
}

/// Server and media id of an `mxc://` URI.
fn place_of(uri: &str) -> Result<&str> {
    uri.strip_prefix("mxc://").context("an mxc URI")
}

/// The text of a field.
pub(crate) fn string(object: &Value, field: &str) -> Result<String> {
    Ok(object.get(field).and_then(Value::as_str).context(format!("`{field}` in {object}"))?.to_owned())
}

/// A path segment or query value with everything but unreserved characters escaped.
pub(crate) fn escaped(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(ARRIVE_SECONDS_MAX);
    while Instant::now() < deadline {
        if holds() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(Failure::new(format!("waited {ARRIVE_SECONDS_MAX} s for {what}")))
}
