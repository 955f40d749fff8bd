//! Several servers, each a world of its own, that ask each other without a network between them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use freehold_rooms::Identities;
use freehold_rooms::{
    Accepted, AnswerBody, AskedTemplate, MakeMembership, Members, NotServed, NotShown, OwnStep,
    RemoteServers, ResolvedAlias, Rooms, SendInvite, SendMembership, SentInvite, SentMembership, Template,
    Unanswered,
};
use freehold_signing::{KeyId, KeySource, KeyValidity, PublishedKey, SigningKey, VerifyingKey, WantedKey};
use freehold_store::{BoxFuture, MemoryEngine, Position, Tenant};
use ruma_common::{EventId, OwnedServerName, RoomAliasId, RoomId, ServerName, UserId};
use serde_json::{Map, Value};

use crate::hosted::{Hosted, World};

/// What is done to answers on their way.
pub(crate) type Meddling = Box<dyn Fn(&str, String) -> String + Send + Sync>;

/// Servers that reach each other.
#[derive(Default)]
pub(crate) struct Network {
    servers: Mutex<BTreeMap<String, Server>>,
    /// What was asked, of whom.
    pub(crate) asked: Mutex<Vec<String>>,
    meddling: Mutex<Option<Meddling>>,
    /// A policy server: its name, its key, and what it does not sign.
    policy: Mutex<Option<(String, SigningKey, String)>>,
    /// Who answers about nothing before that many events were asked about.
    patience: Mutex<Option<Arc<tokio::sync::Barrier>>>,
    down: Mutex<Vec<String>>,
    /// Whose keys nobody tells.
    keyless: Mutex<Vec<String>>,
}

#[derive(Clone)]
struct Server {
    rooms: Rooms,
    tenant: Tenant,
    hosted: Arc<Hosted>,
}

/// The line of one world to the network.
struct Line(Arc<Network>);

impl Network {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A world of some tenants, which others reach by their names.
    pub(crate) async fn world(self: &Arc<Self>, servers: &[&str]) -> World {
        let line = Arc::new(Line(Arc::clone(self)));
        let world = World::among(Arc::new(MemoryEngine::new()), servers, line).await;
        for server in servers {
            let tenant = world.hosted.tenant(&ServerName::parse(*server).unwrap()).unwrap();
            let server_of = Server { rooms: world.rooms.clone(), tenant, hosted: Arc::clone(&world.hosted) };
            self.servers.lock().unwrap().insert((*server).to_owned(), server_of);
        }
        world
    }

    /// Does something to each answer whose name begins with that of the request.
    pub(crate) fn meddle(&self, meddling: impl Fn(&str, String) -> String + Send + Sync + 'static) {
        *self.meddling.lock().unwrap() = Some(Box::new(meddling));
    }

    pub(crate) fn leave_alone(&self) {
        *self.meddling.lock().unwrap() = None;
    }

    /// A server signs all events as a policy server but those that have this text in them.
    pub(crate) fn set_policy_server(&self, server: &str, key: SigningKey, refused: &str) {
        *self.policy.lock().unwrap() = Some((server.to_owned(), key, refused.to_owned()));
    }

    /// The policy server answers when it was asked about so many events.
    pub(crate) fn set_patience(&self, events: usize) {
        *self.patience.lock().unwrap() = Some(Arc::new(tokio::sync::Barrier::new(events)));
    }

    fn policy_signature(&self, at: &ServerName, event: &str) -> Result<String, Unanswered> {
        self.asked.lock().unwrap().push(format!("policy {at}"));
        let policy = self.policy.lock().unwrap();
        let (_, key, refused) = policy
            .as_ref()
            .filter(|(server, ..)| server == at.as_str())
            .ok_or_else(|| Unanswered::NotReached("no policy server".into()))?;
        if event.contains(refused) {
            return Err(Unanswered::Refused {
                status: 400,
                errcode: "M_FORBIDDEN".to_owned(),
                message: "not here".to_owned(),
                room_version: None,
            });
        }
        let pdu = freehold_event::Pdu::parse(event.as_bytes(), freehold_event::RoomVersion::V12).unwrap();
        Ok(key.sign(pdu.signed_bytes()).to_base64())
    }

    /// Nobody reaches a server any more, or everybody again.
    pub(crate) fn set_down(&self, servers: &[&str]) {
        *self.down.lock().unwrap() = servers.iter().map(|server| (*server).to_owned()).collect();
    }

    /// Nobody tells the keys of some servers any more, or those of all again.
    pub(crate) fn withhold_keys(&self, servers: &[&str]) {
        *self.keyless.lock().unwrap() = servers.iter().map(|server| (*server).to_owned()).collect();
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Sends everything that tenants of a world have for another world, and has it received there.
    pub(crate) async fn deliver(&self, from: &World, to: &World) {
        for server in from.all_servers() {
            let tenant = from.hosted.tenant(&ServerName::parse(server).unwrap()).unwrap();
            let reader = from.reader();
            let rows = reader.outgoing(tenant.number(), (Position(0), 0), usize::MAX).await.unwrap();
            for (_, row) in rows {
                let event = reader.event(row.event).await.unwrap();
                let json = event.pdu.canonical_json().as_bytes();
                let keys = self.all_keys();
                if to.rooms.reader().unwrap().room_number(event.pdu.room_id()).await.unwrap().is_some() {
                    let _judged = to.rooms.receive(event.pdu.room_id(), json, &keys).await;
                }
            }
        }
    }

    pub(crate) fn all_keys(&self) -> Keys {
        let servers = self.servers.lock().unwrap();
        let key_id = KeyId::parse("ed25519:1").unwrap();
        let key = |server: &Server| server.hosted.published_key(&server.tenant, &key_id, 0).unwrap().0;
        Keys(servers.iter().map(|(name, server)| (name.clone(), key(server))).collect())
    }

    fn reach(&self, at: &ServerName, what: &str) -> Result<Server, Unanswered> {
        self.asked.lock().unwrap().push(format!("{what} {at}"));
        let silent = || Unanswered::NotReached("no such server".into());
        if self.down.lock().unwrap().iter().any(|down| down == at.as_str()) {
            return Err(silent());
        }
        self.servers.lock().unwrap().get(at.as_str()).cloned().ok_or_else(silent)
    }

    fn meddled(&self, what: &str, answer: String) -> String {
        match &*self.meddling.lock().unwrap() {
            Some(meddling) => meddling(what, answer),
            None => answer,
        }
    }

    async fn accept<'a>(
        &self,
        server: &Server,
        origin: &Tenant,
        (send, step): (SendMembership<'a>, OwnStep),
    ) -> Result<Accepted, Unanswered> {
        let sent = SentMembership {
            origin: origin.server_name(),
            room_id: send.room_id,
            event_id: send.event_id,
            step,
            event: send.event.as_bytes(),
        };
        server.rooms.accept_membership(&server.tenant, sent).await.map_err(refusal)
    }
}

/// What a server answers that does not serve.
pub(crate) fn refusal(error: NotServed) -> Unanswered {
    let (status, errcode) = match &error {
        NotServed::UnknownRoom => (404, "M_NOT_FOUND"),
        NotServed::IncompatibleVersion { .. } | NotServed::UnknownVersion(_) => {
            (400, "M_INCOMPATIBLE_ROOM_VERSION")
        }
        NotServed::CannotAuthorise => (400, "M_UNABLE_TO_AUTHORISE_JOIN"),
        NotServed::CannotGrant => (400, "M_UNABLE_TO_GRANT_JOIN"),
        NotServed::ShutOut(_) | NotServed::Forbidden(_) | NotServed::MayNot(_) | NotServed::NoCondition => {
            (403, "M_FORBIDDEN")
        }
        NotServed::Failed(_) => (500, "M_UNKNOWN"),
        _ => (400, "M_INVALID_PARAM"),
    };
    let message = format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string));
    Unanswered::Refused { status, errcode: errcode.to_owned(), message, room_version: None }
}

/// What a server answers that does not show something.
fn not_shown(error: NotShown) -> Unanswered {
    let (errcode, message) = ("M_FORBIDDEN".to_owned(), error.to_string());
    Unanswered::Refused { status: 403, errcode, message, room_version: None }
}

/// An answer in small pieces.
struct Pieces(VecDeque<Vec<u8>>);

impl AnswerBody for Pieces {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, Unanswered>> {
        let chunk = self.0.pop_front();
        Box::pin(async move { Ok(chunk) })
    }
}

pub(crate) struct Keys(BTreeMap<String, VerifyingKey>);

impl KeySource for Keys {
    fn key(&self, server: &ServerName, _: &KeyId) -> Option<PublishedKey<'_>> {
        let validity = KeyValidity::Current { valid_until_ts: i64::MAX };
        Some(PublishedKey { key: self.0.get(server.as_str())?, validity })
    }
}

impl RemoteServers for Line {
    fn make_membership<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        ask: MakeMembership<'a>,
    ) -> BoxFuture<'a, Result<Template, Unanswered>> {
        Box::pin(async move {
            let what = format!("make_{}", ask.step.membership());
            let server = self.0.reach(at, &what)?;
            let versions: Vec<String> = ask.versions.iter().map(|version| (*version).to_owned()).collect();
            let asked = AskedTemplate {
                origin: tenant.server_name(),
                room_id: ask.room_id,
                user_id: ask.user_id,
                step: ask.step,
                versions: Some(&versions).filter(|_| ask.step != OwnStep::Leave).map(Vec::as_slice),
            };
            let template = server.rooms.template_for(&server.tenant, asked).await.map_err(refusal)?;
            Ok(Template { event: self.0.meddled(&what, template.event), ..template })
        })
    }

    fn send_join<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendMembership<'a>,
        members: Members,
    ) -> BoxFuture<'a, Result<Box<dyn AnswerBody>, Unanswered>> {
        Box::pin(async move {
            let server = self.0.reach(at, "send_join")?;
            let accepted = self.0.accept(&server, tenant, (send, OwnStep::Join)).await?;
            let mut answer = accepted.join_answer(members).await.map_err(refusal)?;
            let mut text = String::new();
            while let Some(chunk) = answer.chunk().await.unwrap() {
                text.push_str(&chunk);
            }
            let text = self.0.meddled("send_join", text);
            let pieces = text.as_bytes().chunks(1000).map(<[u8]>::to_vec).collect();
            Ok(Box::new(Pieces(pieces)) as Box<dyn AnswerBody>)
        })
    }

    fn send_leave<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendMembership<'a>,
    ) -> BoxFuture<'a, Result<(), Unanswered>> {
        Box::pin(async move {
            let server = self.0.reach(at, "send_leave")?;
            self.0.accept(&server, tenant, (send, OwnStep::Leave)).await.map(|_| ())
        })
    }

    fn send_knock<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendMembership<'a>,
    ) -> BoxFuture<'a, Result<Vec<String>, Unanswered>> {
        Box::pin(async move {
            let server = self.0.reach(at, "send_knock")?;
            let accepted = self.0.accept(&server, tenant, (send, OwnStep::Knock)).await?;
            accepted.knock_state().await.map_err(refusal)
        })
    }

    fn send_invite<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendInvite<'a>,
    ) -> BoxFuture<'a, Result<String, Unanswered>> {
        Box::pin(async move {
            let server = self.0.reach(at, "invite")?;
            let sent = SentInvite {
                origin: tenant.server_name(),
                room_id: send.room_id,
                event_id: send.event_id,
                room_version: send.room_version,
                event: send.event.as_bytes(),
                room_state: send.room_state,
            };
            let signed = server.rooms.take_invite(&server.tenant, sent).await.map_err(refusal)?;
            Ok(self.0.meddled("invite", signed))
        })
    }

    fn exchange_third_party_invite<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        exchange: (&'a RoomId, &'a str),
    ) -> BoxFuture<'a, Result<(), Unanswered>> {
        Box::pin(async move {
            let server = self.0.reach(at, "exchange_third_party_invite")?;
            let asked = (tenant.server_name(), exchange.0);
            server.rooms.exchange_third_party_invite(&server.tenant, asked, exchange.1).await.map_err(refusal)
        })
    }

    fn is_key_valid<'a>(&'a self, url: &'a str, _: &'a str) -> BoxFuture<'a, Result<bool, Unanswered>> {
        self.0.asked.lock().unwrap().push(format!("key {url}"));
        let answer = match url {
            "https://id.example/valid" => Ok(true),
            "https://id.example/revoked" => Ok(false),
            _ => Err(Unanswered::NotReached("no identity server".into())),
        };
        Box::pin(std::future::ready(answer))
    }

    fn state<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        (room_id, event_id): (&'a RoomId, &'a EventId),
    ) -> BoxFuture<'a, Result<Box<dyn AnswerBody>, Unanswered>> {
        Box::pin(async move {
            let server = self.0.reach(at, "state")?;
            let reader = server.rooms.reader().unwrap();
            let view = reader.for_server(&server.tenant, tenant.server_name(), room_id).await;
            let view = view.map_err(not_shown)?;
            let state = view.state_before(event_id).await.map_err(not_shown)?;
            let pdus = view.texts(&state.pdus).await.unwrap().join(",");
            let auth_chain = view.texts(&state.auth_chain).await.unwrap().join(",");
            let text = format!("{{\"pdus\":[{pdus}],\"auth_chain\":[{auth_chain}]}}");
            let text = self.0.meddled("state", text);
            let pieces = text.as_bytes().chunks(1000).map(<[u8]>::to_vec).collect();
            Ok(Box::new(Pieces(pieces)) as Box<dyn AnswerBody>)
        })
    }

    fn directory<'a>(
        &'a self,
        _: &'a Tenant,
        at: &'a ServerName,
        alias: &'a RoomAliasId,
    ) -> BoxFuture<'a, Result<ResolvedAlias, Unanswered>> {
        Box::pin(async move {
            let server = self.0.reach(at, "directory")?;
            let found = server.rooms.find_alias(&server.tenant, alias).await;
            found.map_err(|error| Unanswered::Refused {
                status: 404,
                errcode: "M_NOT_FOUND".to_owned(),
                message: error.to_string(),
                room_version: None,
            })
        })
    }

    fn policy_signature<'a>(
        &'a self,
        _: &'a Tenant,
        at: &'a ServerName,
        event: &'a str,
    ) -> BoxFuture<'a, Result<String, Unanswered>> {
        Box::pin(async move {
            let patience = self.0.patience.lock().unwrap().clone();
            if let Some(patience) = patience {
                patience.wait().await;
            }
            self.0.policy_signature(at, event)
        })
    }

    fn profile<'a>(
        &'a self,
        _: &'a Tenant,
        at: &'a ServerName,
        user_id: &'a UserId,
    ) -> BoxFuture<'a, Result<Map<String, Value>, Unanswered>> {
        Box::pin(async move {
            self.0.reach(at, "profile")?;
            let name = self.0.meddled("profile", user_id.localpart().to_owned());
            Ok([("displayname".to_owned(), Value::from(name))].into_iter().collect())
        })
    }

    fn keys<'a>(
        &'a self,
        _: &'a Tenant,
        wanted: &'a [WantedKey],
    ) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        Box::pin(async move {
            let wanted: Vec<OwnedServerName> = wanted.iter().map(|key| key.server.clone()).collect();
            let mut keys = self.0.all_keys();
            let keyless = self.0.keyless.lock().unwrap();
            keys.0.retain(|server, _| {
                wanted.iter().any(|wanted| wanted == server) && !keyless.contains(server)
            });
            Box::new(keys) as Box<dyn KeySource + Send + Sync>
        })
    }
}
