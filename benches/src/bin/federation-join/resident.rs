//! A server that is in a large room and helps others into it, over TLS and a long wire. It believes everything: what is
//! measured is who joins.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use freehold_canonical_json::{Limits, parse};
use freehold_signing::{KeyId, ServerSigner, SigningKey, sign_json};
use freehold_testkit::LargeRoom;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use ruma_common::OwnedServerName;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::http::Outcome;
use crate::wire::stretched;

/// A server that is in a large room, and knows everybody's keys.
pub(crate) struct Resident {
    pub(crate) name: OwnedServerName,
    pub(crate) room: LargeRoom,
    pub(crate) authority: PathBuf,
    /// How many events the answers to joins had, and how many bytes.
    pub(crate) sent: Sent,
    signers: BTreeMap<String, ServerSigner>,
    answers: Answers,
}

#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) joins: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) key_queries: AtomicU64,
}

/// What is asked for often, or is large.
struct Answers {
    /// Of `state` and `send_join`: the state, without its brackets.
    state: String,
    few: String,
    auth_chain: String,
    state_ids: Bytes,
    by_id: BTreeMap<String, usize>,
}

/// Where it listens, and whom that convinces.
pub(crate) struct Place {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    round_trip: Duration,
}

impl Place {
    /// A place on 127.0.0.1, with an authority for its certificate in the folder.
    pub(crate) async fn open(folder: &Path, round_trip: Duration) -> Outcome<(Self, SocketAddr, PathBuf)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let authority = folder.join("authority.pem");
        let config = tls(&authority).map_err(|error| format!("a certificate: {error}"))?;
        Ok((
            Place { listener, acceptor: TlsAcceptor::from(Arc::new(config)), round_trip },
            address,
            authority,
        ))
    }

    /// Serves for the rest of the process's life.
    pub(crate) fn serve(self, resident: Arc<Resident>) {
        tokio::spawn(async move {
            while let Ok((stream, _)) = self.listener.accept().await {
                let (acceptor, resident) = (self.acceptor.clone(), resident.clone());
                tokio::spawn(connection(stream, (acceptor, self.round_trip), resident));
            }
        });
    }
}

async fn connection(
    stream: TcpStream,
    (acceptor, round_trip): (TlsAcceptor, Duration),
    resident: Arc<Resident>,
) {
    // Whoever goes away in the middle is not waited for.
    let Ok(()) = stream.set_nodelay(true) else { return };
    let Ok(stream) = acceptor.accept(stretched(stream, round_trip)).await else { return };
    let service = service_fn(move |request| {
        let resident = resident.clone();
        async move { Ok::<_, Infallible>(resident.answer(request).await) }
    });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

fn tls(authority: &Path) -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parameters.distinguished_name.push(DnType::CommonName, "Authority of one run");
    let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?;
    std::fs::write(authority, issuer.pem())?;
    let mut parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    parameters.distinguished_name.push(DnType::CommonName, "127.0.0.1");
    parameters.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = parameters.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl Resident {
    /// A server in a room of which all keys are known.
    pub(crate) fn new(name: OwnedServerName, room: LargeRoom, authority: PathBuf) -> Outcome<Self> {
        let signer = |(server, seed): (&String, &[u8; 32])| {
            let name = OwnedServerName::try_from(server.as_str()).map_err(|error| error.to_string())?;
            let key_id = KeyId::ed25519("1").map_err(|error| error.to_string())?;
            Ok((server.clone(), ServerSigner::new(name, key_id, SigningKey::from_seed(seed))))
        };
        let signers = room.keys.iter().map(signer).collect::<Outcome<_>>()?;
        let answers = Answers::of(&room);
        Ok(Resident { name, room, authority, sent: Sent::default(), signers, answers })
    }

    /// The public key of the server itself, as Base64.
    pub(crate) fn own_key(&self) -> Outcome<String> {
        let seed = self.room.keys.get(self.name.as_str()).ok_or("the resident has no key")?;
        Ok(SigningKey::from_seed(seed).verifying_key().to_base64())
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or("").to_owned());
        let path = percent_decoded(&path);
        let body = match request.into_body().collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return status(StatusCode::BAD_REQUEST),
        };
        let answered = match path.strip_prefix("/_matrix/").unwrap_or_default() {
            "key/v2/server" => {
                self.key_document(self.name.as_str()).map(|document| document.to_string().into())
            }
            "key/v2/query" => self.notary_answer(&body),
            other => {
                self.about_the_room(other.strip_prefix("federation/").unwrap_or_default(), &query, &body)
            }
        };
        answered.map_or_else(|| status(StatusCode::NOT_FOUND), ok)
    }

    fn about_the_room(&self, path: &str, query: &str, body: &Bytes) -> Option<Bytes> {
        let mut parts = path.splitn(3, '/');
        let (_, what, about) = (parts.next(), parts.next()?, parts.next().unwrap_or_default());
        match what {
            "make_join" => Some(self.template(about)?.to_string().into()),
            "send_join" => Some(self.welcome(query.contains("omit_members=true"), body)),
            "state_ids" => Some(self.answers.state_ids.clone()),
            "state" => {
                let Answers { state, auth_chain, .. } = &self.answers;
                Some(format!("{{\"pdus\":[{state}],\"auth_chain\":[{auth_chain}]}}").into())
            }
            "event" => {
                let pdu = self.room.events.get(*self.answers.by_id.get(about)?)?.pdu.as_ref()?;
                let origin = &self.name;
                Some(format!("{{\"origin\":\"{origin}\",\"origin_server_ts\":0,\"pdus\":[{pdu}]}}").into())
            }
            "event_auth" => Some(format!("{{\"auth_chain\":[{}]}}", self.answers.auth_chain).into()),
            "backfill" => {
                Some(json!({"origin": self.name, "origin_server_ts": 0, "pdus": []}).to_string().into())
            }
            "get_missing_events" => Some(json!({"events": []}).to_string().into()),
            "send" => Some(json!({"pdus": {}}).to_string().into()),
            "version" => Some(json!({"server": {"name": "resident", "version": "1"}}).to_string().into()),
            _ => None,
        }
    }

    /// `about` is room and user.
    fn template(&self, about: &str) -> Option<Value> {
        let (room_id, user_id) = about.split_once('/')?;
        let needed = ["m.room.create", "m.room.power_levels", "m.room.join_rules"];
        let is_needed = |event_type: &str| {
            needed.contains(&event_type) && !(event_type == "m.room.create" && self.room.version.id() == "12")
        };
        let events = self.room.events.iter().filter(|event| is_needed(&event.event_type));
        let auth_events: Vec<&str> = events.map(|event| event.event_id.as_str()).collect();
        let last = self.room.events.last()?;
        Some(json!({
            "room_version": self.room.version.id(),
            "event": {
                "type": "m.room.member", "room_id": room_id, "sender": user_id, "state_key": user_id,
                "content": {"membership": "join"}, "origin_server_ts": last.origin_server_ts,
                "origin": self.name, "depth": last.depth + 1, "prev_events": [last.event_id],
                "auth_events": auth_events,
            },
        }))
    }

    fn welcome(&self, may_omit: bool, event: &Bytes) -> Bytes {
        let Answers { state, few, auth_chain, .. } = &self.answers;
        let (state, servers) = match may_omit {
            true => {
                (few, format!(",\"servers_in_room\":{}", json!(self.room.keys.keys().collect::<Vec<_>>())))
            }
            false => (state, String::new()),
        };
        let (origin, event) = (&self.name, String::from_utf8_lossy(event));
        let answer = format!(
            "{{\"origin\":\"{origin}\",\"members_omitted\":{may_omit}{servers},\"event\":{event},\
             \"auth_chain\":[{auth_chain}],\"state\":[{state}]}}"
        );
        self.sent.joins.fetch_add(1, Ordering::Relaxed);
        self.sent.bytes.fetch_add(answer.len() as u64, Ordering::Relaxed);
        answer.into()
    }

    fn notary_answer(&self, body: &[u8]) -> Option<Bytes> {
        self.sent.key_queries.fetch_add(1, Ordering::Relaxed);
        let asked: Value = serde_json::from_slice(body).ok()?;
        let servers = asked.get("server_keys")?.as_object()?;
        let signer = self.signers.get(self.name.as_str())?;
        let signed = servers.keys().filter_map(|server| signed(self.key_document(server)?, signer));
        Some(json!({"server_keys": signed.collect::<Vec<_>>()}).to_string().into())
    }

    fn key_document(&self, server: &str) -> Option<Value> {
        let key = SigningKey::from_seed(self.room.keys.get(server)?).verifying_key().to_base64();
        let document = json!({
            "server_name": server, "verify_keys": {"ed25519:1": {"key": key}}, "old_verify_keys": {},
            "valid_until_ts": now_ms() + 24 * 60 * 60 * 1000,
        });
        signed(document, self.signers.get(server)?)
    }
}

impl Answers {
    fn of(room: &LargeRoom) -> Self {
        let texts = |wanted: &dyn Fn(&str) -> bool| -> String {
            let events = room.events.iter().filter(|event| wanted(&event.event_type));
            let texts: Vec<&str> = events.filter_map(|event| event.pdu.as_deref()).collect();
            texts.join(",")
        };
        let ids = |count: usize| -> Vec<&str> {
            room.events.iter().take(count).map(|event| event.event_id.as_str()).collect()
        };
        // The beginning of the room authorises everything.
        let chain: Vec<&str> = room.events.iter().take(4).filter_map(|event| event.pdu.as_deref()).collect();
        let state_ids = json!({"pdu_ids": ids(usize::MAX), "auth_chain_ids": ids(4)});
        let by_id = room.events.iter().enumerate().map(|(place, event)| (event.event_id.clone(), place));
        Answers {
            state: texts(&|_| true),
            few: texts(&|event_type| event_type != "m.room.member"),
            auth_chain: chain.join(","),
            state_ids: state_ids.to_string().into(),
            by_id: by_id.collect(),
        }
    }
}

fn signed(document: Value, signer: &ServerSigner) -> Option<Value> {
    let text = document.to_string();
    let mut object = parse(text.as_bytes(), &Limits::RELAXED).ok()?.into_owned().into_object()?;
    sign_json(&mut object, signer).ok()?;
    serde_json::from_slice(&object.to_canonical_vec()).ok()
}

fn ok(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = ok(json!({"errcode": "M_NOT_FOUND", "error": "not here"}).to_string().into());
    *response.status_mut() = status;
    response
}

fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let pair = |rest: &mut std::str::Bytes<'_>| -> Option<u8> {
            let (high, low) =
                (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
            u8::try_from(high * 16 + low).ok()
        };
        bytes.push(if byte == b'%' { pair(&mut rest).unwrap_or(b'%') } else { byte });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
