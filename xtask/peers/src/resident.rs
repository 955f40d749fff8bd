//! A server of our own in the peers' rooms: it joins, and asks for what it wants to know, over the federation interface.

use std::collections::BTreeMap;

use freehold_event::{MembershipTemplate, Pdu, RoomVersion};
use freehold_keyring::{KeyLog, Keyring, KeyringSettings, MasterKey, MasterKeys, Purpose, TenantSigner};
use freehold_signing::{Request, sign_event, sign_request};
use getrandom::SysRng;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, ServerName};
use serde_json::Value;

use crate::{
    failure::{Context, Failure, Result},
    http::{Call, Client},
    user::{escaped, string},
};

const BACKFILL_EVENTS: usize = 100;
const BACKFILL_ROUNDS_MAX: usize = 200;

/// Our server, talking to one other.
pub(crate) struct Resident<'a> {
    client: &'a Client,
    keyring: Keyring<KeyLog<Vec<u8>>>,
    tenant: OwnedServerName,
    peer: OwnedServerName,
}

/// The event graph of a room: every event by its id, with the text it was received as.
#[derive(Default)]
pub(crate) struct Graph {
    events: BTreeMap<OwnedEventId, (Pdu, String)>,
}

impl Graph {
    /// The events with the text they were received as, in order of depth.
    pub(crate) fn events(&self) -> Vec<&(Pdu, String)> {
        let mut events: Vec<_> = self.events.values().collect();
        events.sort_by_key(|(pdu, _)| (pdu.depth(), pdu.event_id().to_owned()));
        events
    }

    fn add(&mut self, event: &Value, version: &'static RoomVersion) -> Result<OwnedEventId> {
        let text = event.to_string();
        let pdu = Pdu::parse(text.as_bytes(), version).context(format!("an event of the peer: {text}"))?;
        let event_id = pdu.event_id().to_owned();
        self.events.insert(event_id.clone(), (pdu, text));
        Ok(event_id)
    }

    fn missing(&self, references: fn(&Pdu) -> &[OwnedEventId]) -> Vec<OwnedEventId> {
        let referred = self.events.values().flat_map(|(pdu, _)| references(pdu));
        let mut missing: Vec<_> = referred.filter(|id| !self.events.contains_key(*id)).cloned().collect();
        missing.sort();
        missing.dedup();
        missing
    }
}

impl<'a> Resident<'a> {
    /// A server with a new key, that will ask the peer.
    pub(crate) fn create(client: &'a Client, server_name: &str, peer: &str) -> Result<Self> {
        let tenant: OwnedServerName = server_name.try_into().context("our server name")?;
        let peer: OwnedServerName = peer.try_into().context("the peer's server name")?;
        let master = MasterKey::generate(&mut SysRng).context("a master key")?;
        let log = KeyLog::open(Vec::new()).context("an empty key log")?;
        let keyring = Keyring::new(log, MasterKeys::new(master), KeyringSettings::default());
        keyring.create(&tenant, now_ms(), &mut SysRng).context("a signing key")?;
        Ok(Self { client, keyring, tenant, peer })
    }

    /// Our server name.
    pub(crate) fn server_name(&self) -> &ServerName {
        &self.tenant
    }

    /// The document in which other servers find our key.
    pub(crate) fn key_document(&self) -> Result<String> {
        let document = self.keyring.key_document(&self.tenant, now_ms()).context("our key document")?;
        String::from_utf8(document.json.clone()).context("our key document")
    }

    /// Joins a room and exports its whole event graph.
    pub(crate) fn export(&self, room_id: &str, version: &'static RoomVersion) -> Result<Graph> {
        let mut graph = Graph::default();
        self.join(room_id, version, &mut graph)?;
        for _ in 0..BACKFILL_ROUNDS_MAX {
            let missing = graph.missing(Pdu::prev_events);
            if missing.is_empty() {
                break;
            }
            self.backfill(room_id, version, &missing, &mut graph)?;
        }
        for event_id in graph.missing(Pdu::prev_events).into_iter().chain(graph.missing(Pdu::auth_events)) {
            let answer = self.call(
                "GET",
                &format!("/_matrix/federation/v1/event/{}", escaped(event_id.as_str())),
                None,
            )?;
            for event in array(&answer, "pdus")? {
                graph.add(event, version)?;
            }
        }
        Ok(graph)
    }

    /// Joins a room, so that the peer answers.
    pub(crate) fn enter(&self, room_id: &str, version: &'static RoomVersion) -> Result<()> {
        self.join(room_id, version, &mut Graph::default())
    }

    /// The ids of the state before an event, as the peer tells it, in order.
    pub(crate) fn state_before(&self, room_id: &str, event_id: &str) -> Result<Vec<String>> {
        let path =
            format!("/_matrix/federation/v1/state_ids/{}?event_id={}", escaped(room_id), escaped(event_id));
        let answer = self.call("GET", &path, None)?;
        let ids = array(&answer, "pdu_ids")?.iter().filter_map(Value::as_str).map(str::to_owned);
        let mut ids: Vec<String> = ids.collect();
        ids.sort();
        Ok(ids)
    }

    fn join(&self, room_id: &str, version: &'static RoomVersion, graph: &mut Graph) -> Result<()> {
        let user_id: OwnedUserId = format!("@roomlab:{}", self.tenant).try_into().context("our user id")?;
        let (room, user) = (escaped(room_id), escaped(user_id.as_str()));
        let template = self.call(
            "GET",
            &format!("/_matrix/federation/v1/make_join/{room}/{user}?ver={}", version.id()),
            None,
        )?;
        let template = template.get("event").context("the template of a join")?.to_string();
        let template =
            MembershipTemplate::parse(template.as_bytes(), version).context("the template of a join")?;
        let room_id: OwnedRoomId = room_id.to_owned().try_into().context("the room id")?;
        let signer = self.signer(Purpose::Event { sender: &user_id })?;
        let mut event = template.event(room_id, user_id.clone(), "join");
        event.origin_server_ts = now_ms();
        if version.rules().event_format.require_event_id {
            let event_id = format!("$join{}:{}", now_ms(), self.tenant);
            event.event_id = Some(event_id.try_into().context("our event id")?);
        }
        let event = event.build(version).context("our join")?;
        let join = sign_event(event, &signer).context("sign our join")?;
        let body = join.pdu().canonical_json().to_owned();
        let path =
            format!("/_matrix/federation/v2/send_join/{room}/{}", escaped(join.pdu().event_id().as_str()));
        let answer = self.call("PUT", &path, Some(body.clone()))?;
        graph.add(&serde_json::from_str(&body).context("our join")?, version)?;
        for event in array(&answer, "state")?.iter().chain(array(&answer, "auth_chain")?) {
            graph.add(event, version)?;
        }
        Ok(())
    }

    fn backfill(
        &self,
        room_id: &str,
        version: &'static RoomVersion,
        from: &[OwnedEventId],
        graph: &mut Graph,
    ) -> Result<()> {
        let from: String = from.iter().map(|id| format!("&v={}", escaped(id.as_str()))).collect();
        let path =
            format!("/_matrix/federation/v1/backfill/{}?limit={BACKFILL_EVENTS}{from}", escaped(room_id));
        let before = graph.events.len();
        for event in array(&self.call("GET", &path, None)?, "pdus")? {
            graph.add(event, version)?;
        }
        if graph.events.len() == before {
            return Err(Failure::new(format!("backfill gave nothing new for {from}")));
        }
        Ok(())
    }

    fn signer(&self, purpose: Purpose<'_>) -> Result<TenantSigner> {
        self.keyring.signer(&self.tenant, purpose, now_ms()).context("a signer")
    }

    fn call(&self, method: &str, uri: &str, body: Option<String>) -> Result<Value> {
        let body = body.map(String::into_bytes);
        let request = Request { method, uri, destination: &self.peer, content: body.as_deref() };
        let signer = self.signer(Purpose::Request { destination: &self.peer, user: None })?;
        let authorization = sign_request(&request, &signer).context("sign a request")?;
        self.client.send(Call {
            method,
            url: format!("https://{}{uri}", self.peer),
            authorization: Some(authorization.to_string()),
            body,
        })
    }
}

/// A server's key document, in one line.
pub(crate) fn key_document(client: &Client, server_name: &str) -> Result<String> {
    let url = format!("https://{server_name}/_matrix/key/v2/server");
    let document = client.send(Call { method: "GET", url, authorization: None, body: None })?;
    let named = string(&document, "server_name")?;
    if named == server_name {
        return Ok(document.to_string());
    }
    Err(Failure::new(format!("{server_name} gives the keys of {named}")))
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn array<'v>(object: &'v Value, field: &str) -> Result<&'v Vec<Value>> {
    object.get(field).and_then(Value::as_array).context(format!("the list `{field}`"))
}
