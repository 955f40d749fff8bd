//! Asking over the client.

use std::fmt::Write as _;
use std::time::Duration;

use freehold_event::Pdu;
use freehold_signing::{KeySource, POLICY_SERVER_KEY_ID, Signature, WantedKey};
use freehold_store::BoxFuture;
use ruma_common::{EventId, OwnedEventId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::fetching::{Asking, Fetching, MissingQuery, NoAnswer, StateIds, WholeState};
use crate::client::{Client, Request, RequestError};
use crate::keys::RemoteKeyring;
use crate::limits::{FLIGHT_TIME_MS, WHOLE_STATE_BYTES_MAX};

/// Asks other servers over a client, and for keys over a keyring.
#[derive(Clone)]
pub struct ClientFetching {
    client: Client,
    keys: RemoteKeyring,
}

impl ClientFetching {
    /// Asks over these.
    pub fn new(client: Client, keys: RemoteKeyring) -> Self {
        ClientFetching { client, keys }
    }

    async fn ask<T: DeserializeOwned>(&self, asking: Asking<'_>, request: Request) -> Result<T, NoAnswer> {
        let mut request = request.within(Duration::from_millis(FLIGHT_TIME_MS));
        if asking.has_spoken {
            request = request.at_once();
        }
        let answer = self.client.request(asking.tenant, asking.at, request).await;
        let answer = answer.map_err(|error| unanswered(error, asking))?;
        answer.json().map_err(failed)
    }
}

/// Whether the server that spoke did not answer, or what else there was.
fn unanswered(error: RequestError, asking: Asking<'_>) -> NoAnswer {
    match error {
        RequestError::Waiting { .. }
        | RequestError::NotFound(_)
        | RequestError::NotReached(_)
        | RequestError::TooSlow
        | RequestError::BrokeOff { .. }
            if asking.has_spoken =>
        {
            NoAnswer::Unreached(Box::new(error))
        }
        error => failed(error),
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> NoAnswer {
    NoAnswer::Failed(Box::new(error))
}

#[derive(Deserialize)]
struct Events {
    #[serde(alias = "pdus", alias = "auth_chain")]
    events: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct State {
    pdus: Vec<Box<RawValue>>,
    auth_chain: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Ids {
    pdu_ids: Vec<OwnedEventId>,
    auth_chain_ids: Vec<OwnedEventId>,
}

#[derive(Deserialize)]
struct Nearest {
    event_id: OwnedEventId,
}

fn texts(values: Vec<Box<RawValue>>) -> Vec<String> {
    values.into_iter().map(|value| value.get().to_owned()).collect()
}

impl Fetching for ClientFetching {
    fn keys<'a>(&'a self, wanted: &'a [WantedKey]) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        Box::pin(async move {
            let keys: Box<dyn KeySource + Send + Sync> = Box::new(self.keys.keys_for(wanted).await);
            keys
        })
    }

    fn missing_events<'a>(
        &'a self,
        asking: Asking<'a>,
        query: &'a MissingQuery,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>> {
        Box::pin(async move {
            let body = json!({
                "earliest_events": query.earliest_events,
                "latest_events": query.latest_events,
                "limit": query.limit,
                "min_depth": 0,
            });
            let path = path("get_missing_events", &[asking.room_id.as_str()], &[]);
            let Events { events } = self.ask(asking, Request::post(path, body.to_string())).await?;
            Ok(texts(events))
        })
    }

    fn event<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<String, NoAnswer>> {
        Box::pin(async move {
            let path = path("event", &[event_id.as_str()], &[]);
            let Events { events } = self.ask(asking, Request::get(path)).await?;
            texts(events).into_iter().next().ok_or(NoAnswer::Useless("no event"))
        })
    }

    fn event_auth<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>> {
        Box::pin(async move {
            let path = path("event_auth", &[asking.room_id.as_str(), event_id.as_str()], &[]);
            let Events { events } = self.ask(asking, Request::get(path)).await?;
            Ok(texts(events))
        })
    }

    fn state_ids<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<StateIds, NoAnswer>> {
        Box::pin(async move {
            let path = path("state_ids", &[asking.room_id.as_str()], &[("event_id", event_id.as_str())]);
            let Ids { pdu_ids, auth_chain_ids } =
                self.ask(asking, Request::get(path).up_to(WHOLE_STATE_BYTES_MAX / 4)).await?;
            Ok(StateIds { pdu_ids, auth_chain_ids })
        })
    }

    fn state<'a>(
        &'a self,
        asking: Asking<'a>,
        event_id: &'a EventId,
    ) -> BoxFuture<'a, Result<WholeState, NoAnswer>> {
        Box::pin(async move {
            let path = path("state", &[asking.room_id.as_str()], &[("event_id", event_id.as_str())]);
            let State { pdus, auth_chain } =
                self.ask(asking, Request::get(path).up_to(WHOLE_STATE_BYTES_MAX)).await?;
            Ok(WholeState { pdus: texts(pdus), auth_chain: texts(auth_chain) })
        })
    }

    fn backfill<'a>(
        &'a self,
        asking: Asking<'a>,
        from: &'a [OwnedEventId],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, NoAnswer>> {
        Box::pin(async move {
            let limit = limit.to_string();
            let mut query: Vec<(&str, &str)> = from.iter().map(|id| ("v", id.as_str())).collect();
            query.push(("limit", &limit));
            let path = path("backfill", &[asking.room_id.as_str()], &query);
            let Events { events } = self.ask(asking, Request::get(path)).await?;
            Ok(texts(events))
        })
    }

    fn last_event<'a>(
        &'a self,
        asking: Asking<'a>,
        before_ts: i64,
    ) -> BoxFuture<'a, Result<OwnedEventId, NoAnswer>> {
        Box::pin(async move {
            let query = [("dir", "b"), ("ts", &*before_ts.to_string())];
            let path = path("timestamp_to_event", &[asking.room_id.as_str()], &query);
            let Nearest { event_id } = self.ask(asking, Request::get(path)).await?;
            Ok(event_id)
        })
    }

    fn policy_signature<'a>(
        &'a self,
        asking: Asking<'a>,
        event: &'a Pdu,
    ) -> BoxFuture<'a, Result<Signature, NoAnswer>> {
        Box::pin(async move {
            let body = event.canonical_json().to_owned();
            let request = Request::post("/_matrix/policy/v1/sign", body);
            let signatures: Map<String, Value> = self.ask(asking, request).await?;
            let signature = signatures
                .get(asking.at.as_str())
                .and_then(|keys| keys.get(POLICY_SERVER_KEY_ID))
                .and_then(Value::as_str)
                .ok_or(NoAnswer::Useless("no signature of a policy server"))?;
            Signature::from_base64(signature).ok_or(NoAnswer::Useless("no signature"))
        })
    }
}

/// A path of the server-server API with parameters, percent-encoded.
fn path(endpoint: &str, parameters: &[&str], query: &[(&str, &str)]) -> String {
    let mut path = format!("/_matrix/federation/v1/{endpoint}");
    for parameter in parameters {
        path.push('/');
        encode(parameter, &mut path);
    }
    for (place, (key, value)) in query.iter().enumerate() {
        path.push(if place == 0 { '?' } else { '&' });
        path.push_str(key);
        path.push('=');
        encode(value, &mut path);
    }
    path
}

/// "Unreserved" characters as they are, all others as their bytes (RFC 3986, section 2).
fn encode(text: &str, path: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte))
            }
            _ => {
                // Writing into a text never fails.
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_stand_in_paths_percent_encoded() {
        assert_eq!(
            path("state_ids", &["!a/b:one.example"], &[("event_id", "$c+d"), ("x", "y")]),
            "/_matrix/federation/v1/state_ids/%21a%2Fb%3Aone.example?event_id=%24c%2Bd&x=y"
        );
    }
}
