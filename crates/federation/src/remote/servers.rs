//! Asks other servers on behalf of rooms.

use std::time::Duration;

use freehold_rooms::{
    AnswerBody, MakeMembership, Members, OwnStep, RemoteServers, ResolvedAlias, SendInvite, SendMembership,
    Template, Unanswered,
};
use freehold_signing::{KeySource, POLICY_SERVER_KEY_ID, WantedKey};
use freehold_store::{BoxFuture, Tenant};
use hyper::body::Bytes;
use ruma_common::{EventId, RoomAliasId, RoomId, ServerName, UserId};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::answers::{Found, Invited, Knocked, Made, is_unknown_endpoint, of_first_version, unanswered};
use super::key_validity::is_valid;
use super::path::path;
use crate::client::{Client, Request, RequestError, Streamed};
use crate::keys::RemoteKeyring;
use crate::limits::{OLD_ROOM_BYTES_MAX, POLICY_TIME_MS, ROOM_BYTES_MAX, ROOM_TIME_MS};

/// Other servers, as rooms ask them.
#[derive(Clone)]
pub struct Remote {
    client: Client,
    keys: RemoteKeyring,
}

impl Remote {
    /// Asks with a client, and has keys from a keyring.
    pub fn new(client: Client, keys: RemoteKeyring) -> Self {
        Remote { client, keys }
    }

    async fn make(
        &self,
        (tenant, at): (&Tenant, &ServerName),
        ask: MakeMembership<'_>,
    ) -> Result<Template, RequestError> {
        let start = match ask.step {
            OwnStep::Join => "v1/make_join",
            OwnStep::Knock => "v1/make_knock",
            OwnStep::Leave => "v1/make_leave",
        };
        // Who leaves does so in any version.
        let versions = if ask.step == OwnStep::Leave { &[] } else { ask.versions };
        let query: Vec<(&str, &str)> = versions.iter().map(|version| ("ver", *version)).collect();
        let uri = path(start, &[ask.room_id.as_str(), ask.user_id.as_str()], &query);
        Ok(self.get(tenant, at, uri).await?.json::<Made>()?.into())
    }

    async fn join(
        &self,
        (tenant, at): (&Tenant, &ServerName),
        send: SendMembership<'_>,
        members: Members,
    ) -> Result<Box<dyn AnswerBody>, RequestError> {
        let omit = if members == Members::Few { "true" } else { "false" };
        let segments = [send.room_id.as_str(), send.event_id.as_str()];
        let request = |uri| long(Request::put(uri, send.event.to_owned()));
        let second = request(path("v2/send_join", &segments, &[("omit_members", omit)]));
        match self.client.stream(tenant, at, second).await {
            Err(error) if is_unknown_endpoint(&error) => {
                let first = request(path("v1/send_join", &segments, &[])).up_to(OLD_ROOM_BYTES_MAX);
                let answer = self.client.request(tenant, at, first).await?;
                Ok(Box::new(Held(Some(of_first_version(&answer)?))))
            }
            answer => Ok(Box::new(Coming(answer?))),
        }
    }

    async fn leave(
        &self,
        (tenant, at): (&Tenant, &ServerName),
        send: SendMembership<'_>,
    ) -> Result<(), RequestError> {
        let segments = [send.room_id.as_str(), send.event_id.as_str()];
        let request = |start| Request::put(path(start, &segments, &[]), send.event.to_owned());
        match self.client.request(tenant, at, request("v2/send_leave")).await {
            Err(error) if is_unknown_endpoint(&error) => {
                self.client.request(tenant, at, request("v1/send_leave")).await.map(drop)
            }
            answer => answer.map(drop),
        }
    }

    async fn knock(
        &self,
        (tenant, at): (&Tenant, &ServerName),
        send: SendMembership<'_>,
    ) -> Result<Vec<String>, RequestError> {
        let uri = path("v1/send_knock", &[send.room_id.as_str(), send.event_id.as_str()], &[]);
        let answer = self.client.request(tenant, at, Request::put(uri, send.event.to_owned())).await?;
        let state = answer.json::<Knocked>()?.knock_room_state;
        Ok(state.into_iter().map(|event| event.get().to_owned()).collect())
    }

    async fn invite(
        &self,
        (tenant, at): (&Tenant, &ServerName),
        send: SendInvite<'_>,
    ) -> Result<String, RequestError> {
        let segments = [send.room_id.as_str(), send.event_id.as_str()];
        let second = Request::put(path("v2/invite", &segments, &[]), invite_of_second_version(send)?);
        let answered = match self.client.request(tenant, at, second).await {
            // > If the server receives a 400 or 404 …, it should retry with the v1 API, for room versions 1 and 2.
            Err(error) if matches!(send.room_version, "1" | "2") && is_old(&error) => {
                let first = Request::put(path("v1/invite", &segments, &[]), invite_of_first_version(send)?);
                let answer = self.client.request(tenant, at, first).await?;
                of_first_version(&answer)?
            }
            answer => answer?.json()?,
        };
        let invited: Invited = serde_json::from_str(answered.get()).map_err(malformed)?;
        Ok(invited.event.get().to_owned())
    }

    async fn alias(
        &self,
        (tenant, at): (&Tenant, &ServerName),
        alias: &RoomAliasId,
    ) -> Result<ResolvedAlias, RequestError> {
        let uri = path("v1/query/directory", &[], &[("room_alias", alias.as_str())]);
        Ok(self.get(tenant, at, uri).await?.json::<Found>()?.into())
    }

    async fn get(
        &self,
        tenant: &Tenant,
        at: &ServerName,
        uri: String,
    ) -> Result<crate::client::Answer, RequestError> {
        // Somebody waits for it.
        self.client.request(tenant, at, Request::get(uri).at_once()).await
    }
}

/// A request whose answer may be a whole room's state.
fn long(request: Request) -> Request {
    request.at_once().within(Duration::from_millis(ROOM_TIME_MS)).up_to(ROOM_BYTES_MAX)
}

fn malformed(error: serde_json::Error) -> RequestError {
    RequestError::Malformed { reason: error.to_string() }
}

/// Whether a server may be one that does not have the second version of invites.
fn is_old(error: &RequestError) -> bool {
    error.refusal().is_some_and(|refusal| matches!(refusal.status, 400 | 404))
}

fn invite_of_second_version(send: SendInvite<'_>) -> Result<Bytes, RequestError> {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).map_err(malformed);
    let state = send.room_state.iter().map(|event| raw(event)).collect::<Result<Vec<_>, _>>()?;
    let body =
        InviteBody { room_version: send.room_version, event: raw(send.event)?, invite_room_state: state };
    Ok(serde_json::to_vec(&body).map_err(malformed)?.into())
}

#[derive(serde::Serialize)]
struct InviteBody<'a> {
    room_version: &'a str,
    event: Box<RawValue>,
    invite_room_state: Vec<Box<RawValue>>,
}

fn invite_of_first_version(send: SendInvite<'_>) -> Result<Bytes, RequestError> {
    let mut event: Map<String, Value> = serde_json::from_str(send.event).map_err(malformed)?;
    let state = send.room_state.iter().map(|event| serde_json::from_str(event));
    let state = state.collect::<Result<Vec<Value>, _>>().map_err(malformed)?;
    event.insert("unsigned".to_owned(), json!({ "invite_room_state": state }));
    Ok(to_raw_value(&event).map_err(malformed)?.get().to_owned().into())
}

/// An answer that comes over the network.
struct Coming(Streamed);

impl AnswerBody for Coming {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, Unanswered>> {
        Box::pin(async { Ok(self.0.chunk().await.map_err(unanswered)?.map(Into::into)) })
    }
}

/// An answer that is there.
struct Held(Option<Box<RawValue>>);

impl AnswerBody for Held {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, Unanswered>> {
        let held = self.0.take().map(|content| content.get().as_bytes().to_vec());
        Box::pin(std::future::ready(Ok(held)))
    }
}

impl RemoteServers for Remote {
    fn make_membership<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        ask: MakeMembership<'a>,
    ) -> BoxFuture<'a, Result<Template, Unanswered>> {
        Box::pin(async move { self.make((tenant, at), ask).await.map_err(unanswered) })
    }

    fn send_join<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendMembership<'a>,
        members: Members,
    ) -> BoxFuture<'a, Result<Box<dyn AnswerBody>, Unanswered>> {
        Box::pin(async move { self.join((tenant, at), send, members).await.map_err(unanswered) })
    }

    fn send_leave<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendMembership<'a>,
    ) -> BoxFuture<'a, Result<(), Unanswered>> {
        Box::pin(async move { self.leave((tenant, at), send).await.map_err(unanswered) })
    }

    fn send_knock<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendMembership<'a>,
    ) -> BoxFuture<'a, Result<Vec<String>, Unanswered>> {
        Box::pin(async move { self.knock((tenant, at), send).await.map_err(unanswered) })
    }

    fn send_invite<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendInvite<'a>,
    ) -> BoxFuture<'a, Result<String, Unanswered>> {
        Box::pin(async move { self.invite((tenant, at), send).await.map_err(unanswered) })
    }

    fn exchange_third_party_invite<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        (room_id, body): (&'a RoomId, &'a str),
    ) -> BoxFuture<'a, Result<(), Unanswered>> {
        let uri = path("v1/exchange_third_party_invite", &[room_id.as_str()], &[]);
        let request = Request::put(uri, body.to_owned());
        Box::pin(async move { self.client.request(tenant, at, request).await.map(drop).map_err(unanswered) })
    }

    fn is_key_valid<'a>(
        &'a self,
        key_validity_url: &'a str,
        public_key: &'a str,
    ) -> BoxFuture<'a, Result<bool, Unanswered>> {
        let web = self.client.discovery().web();
        Box::pin(async move {
            let said = is_valid(web, (key_validity_url, public_key)).await;
            said.map_err(|error| {
                tracing::info!(url = key_validity_url, %error, "it is not known whether a key is valid");
                Unanswered::NotReached(Box::new(error))
            })
        })
    }

    fn state<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        (room_id, event_id): (&'a RoomId, &'a EventId),
    ) -> BoxFuture<'a, Result<Box<dyn AnswerBody>, Unanswered>> {
        let uri = path("v1/state", &[room_id.as_str()], &[("event_id", event_id.as_str())]);
        Box::pin(async move {
            let answer = self.client.stream(tenant, at, long(Request::get(uri))).await.map_err(unanswered)?;
            Ok(Box::new(Coming(answer)) as Box<dyn AnswerBody>)
        })
    }

    fn directory<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        alias: &'a RoomAliasId,
    ) -> BoxFuture<'a, Result<ResolvedAlias, Unanswered>> {
        Box::pin(async move { self.alias((tenant, at), alias).await.map_err(unanswered) })
    }

    fn profile<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        user_id: &'a UserId,
    ) -> BoxFuture<'a, Result<Map<String, Value>, Unanswered>> {
        let uri = path("v1/query/profile", &[], &[("user_id", user_id.as_str())]);
        Box::pin(async move {
            let answer = self.get(tenant, at, uri).await.map_err(unanswered)?;
            answer.json().map_err(unanswered)
        })
    }

    fn policy_signature<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        event: &'a str,
    ) -> BoxFuture<'a, Result<String, Unanswered>> {
        let time = Duration::from_millis(POLICY_TIME_MS);
        let request = Request::post("/_matrix/policy/v1/sign", event.to_owned()).within(time);
        Box::pin(async move {
            let answer = self.client.request(tenant, at, request).await.map_err(unanswered)?;
            let signatures: Value = answer.json().map_err(unanswered)?;
            let signature = signatures.get(at.as_str()).and_then(|keys| keys.get(POLICY_SERVER_KEY_ID));
            let none = || Unanswered::Malformed("no signature of the policy server".into());
            signature.and_then(Value::as_str).map(str::to_owned).ok_or_else(none)
        })
    }

    fn keys<'a>(
        &'a self,
        _: &'a Tenant,
        wanted: &'a [WantedKey],
    ) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        Box::pin(
            async move { Box::new(self.keys.keys_for(wanted).await) as Box<dyn KeySource + Send + Sync> },
        )
    }
}
