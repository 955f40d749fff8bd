//! A person with an account on a peer's server, acting through the client-server interface.

use serde_json::{Value, json};

use crate::{
    failure::{Context, Result},
    http::{Call, Client},
    synapse::Synapse,
};

/// A logged-in user.
pub(crate) struct User {
    client: Client,
    base: String,
    token: String,
    user_id: String,
}

impl User {
    /// Registers an account.
    pub(crate) fn register(client: &Client, server: &Synapse, localpart: &str) -> Result<Self> {
        let url = format!("{}/_matrix/client/v3/register", server.client_url());
        let body = json!({
            "username": localpart, "password": "of one run", "auth": {"type": "m.login.dummy"},
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
        self.call("GET", &format!("/rooms/{}/event/{}", escaped(room), escaped(event_id)), None).is_ok()
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

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        self.client.send(Call {
            method,
            url: format!("{}{path}", self.base),
            authorization: Some(format!("Bearer {}", self.token)),
            body: body.map(|body| body.to_string().into()),
        })
    }
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
