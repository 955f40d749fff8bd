//! The server-server API over real parts: what a transaction goes through, from its request on.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use freehold_accounts::{
    AccountParts, AccountPolicy, AccountSettings, Accounts, NoDeviceKeys, NoMemberEvents,
};
use freehold_encryption::Encryption;
use freehold_event::Pdu;
use freehold_federation::{
    Asking, Fetching, Ingest, IngestParts, MissingQuery, NoAnswer, StateIds, WholeState,
};
use freehold_federation_api::{
    Connection, Limits, LimitsSettings, Notary, NotaryRefusal, OriginKeys, Services, Tenants, Transactions,
    Unserved, router,
};
use freehold_keyring::NotaryQuery;
use freehold_media::{Media, MediaPolicy, MediaSettings};
use freehold_signing::{KeyId, KeySource, Request as SignedRequest, Signature, WantedKey, sign_request};
use freehold_store::{BoxFuture, Tenant};
use freehold_sync::{NoNews, SyncService};
use ruma_common::{EventId, OwnedEventId, ServerName};
use tower::ServiceExt as _;

use super::ground::{Ground, Hosted, KnownKeys, Now, signer};
use crate::rows::Outcome;

/// The API, and the way in behind it.
pub(crate) struct Api {
    router: Router,
}

/// A transaction, signed for one tenant.
#[derive(Clone)]
pub(crate) struct Sent {
    tenant: Tenant,
    uri: String,
    authorization: String,
    body: axum::body::Bytes,
}

impl Sent {
    /// Events of a server in a transaction.
    pub(crate) fn of(origin: &ServerName, tenant: &Tenant, (id, events): (&str, &[&str])) -> Outcome<Self> {
        let body = format!(
            "{{\"origin\":\"{origin}\",\"origin_server_ts\":1700000000000,\"pdus\":[{}]}}",
            events.join(",")
        );
        let uri = format!("/_matrix/federation/v1/send/{id}");
        let request = SignedRequest {
            method: "PUT",
            uri: &uri,
            destination: tenant.server_name(),
            content: Some(body.as_bytes()),
        };
        let authorization = sign_request(&request, &signer(origin)).map_err(|error| error.to_string())?;
        Ok(Sent { tenant: tenant.clone(), uri, authorization: authorization.to_string(), body: body.into() })
    }
}

impl Api {
    /// The API over a ground, where the keys of others are known and nobody has to be asked for anything.
    pub(crate) fn over(ground: &Ground, keys: &KnownKeys) -> Self {
        let ingest = ingest(ground, Arc::new(Asked(keys.clone())));
        Api { router: router(services(ground, keys, ingest)) }
    }

    /// Sends a transaction and expects that all its events are accepted.
    pub(crate) async fn accepts(&self, sent: Sent) -> Outcome<()> {
        let host = sent.tenant.server_name().to_string();
        let request = Request::builder().method("PUT").uri(sent.uri).header("host", host);
        let request = request.header("authorization", sent.authorization).body(Body::from(sent.body));
        let mut request = request.map_err(|error| error.to_string())?;
        request.extensions_mut().insert(Connection { tenant: sent.tenant, address: None });
        let response = self.router.clone().oneshot(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&body);
        match status.is_success() && !text.contains("\"error\"") {
            true => Ok(()),
            false => Err(format!("a transaction was answered {status}: {text}")),
        }
    }
}

/// The one way in for events.
pub(crate) fn ingest(ground: &Ground, fetching: Arc<dyn Fetching>) -> Ingest {
    Ingest::new(IngestParts {
        rooms: ground.rooms.clone(),
        identities: Arc::new(ground.hosted),
        fetching,
        clock: Arc::new(Now),
    })
}

fn services(ground: &Ground, keys: &KnownKeys, ingest: Ingest) -> Services {
    let (store, hosted) = (ground.store.clone(), ground.hosted);
    let media = Media::new(
        store.clone(),
        Arc::new(object_store::memory::InMemory::new()),
        Arc::new(hosted),
        Arc::new(Now),
        MediaSettings::default(),
    );
    let encryption = freehold_encryption::Limits::default();
    Services {
        tenants: Arc::new(hosted),
        origin_keys: Arc::new(Asked(keys.clone())),
        notary: Arc::new(hosted),
        accounts: accounts(ground),
        rooms: ground.rooms.clone(),
        ingest: Arc::new(ingest),
        transactions: Transactions::new(store.clone(), Arc::new(Now)),
        encryption: Encryption::new(store, Arc::new(hosted), Arc::new(Now), encryption),
        sync: sync(ground),
        media,
        limits: Limits::new(LimitsSettings::OFF),
        clock: Arc::new(Now),
    }
}

fn accounts(ground: &Ground) -> Accounts {
    Accounts::new(AccountParts {
        store: ground.store.clone(),
        interner: ground.interner.clone(),
        clock: Arc::new(Now),
        policies: Arc::new(Arc::new(AccountPolicy::default())),
        device_keys: Arc::new(NoDeviceKeys),
        member_events: Arc::new(NoMemberEvents),
        settings: AccountSettings::default(),
    })
}

fn sync(ground: &Ground) -> SyncService {
    let outside = freehold_sync::Outside {
        accounts: Arc::new(NoNews),
        devices: Arc::new(NoNews),
        servers: Arc::new(freehold_sync::NoOtherServers),
        presence: Arc::new(freehold_sync::PresenceForAll),
        clock: Arc::new(Now),
    };
    SyncService::new(ground.store.clone(), ground.rooms.clone(), outside)
}

/// Everybody's keys, and nobody who could be asked for anything else.
struct Asked(KnownKeys);

impl OriginKeys for Asked {
    fn keys<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: &'a KeyId,
    ) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        let keys: Box<dyn KeySource + Send + Sync> = Box::new(self.0.clone());
        Box::pin(std::future::ready(keys))
    }
}

/// What is answered by somebody who is not there.
type Nobody<'a, T> = BoxFuture<'a, Result<T, NoAnswer>>;

fn nobody<'a, T: Send + 'a>() -> Nobody<'a, T> {
    Box::pin(std::future::ready(Err(NoAnswer::Nobody)))
}

impl Fetching for Asked {
    fn keys<'a>(&'a self, _: &'a [WantedKey]) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        let keys: Box<dyn KeySource + Send + Sync> = Box::new(self.0.clone());
        Box::pin(std::future::ready(keys))
    }

    fn missing_events<'a>(&'a self, _: Asking<'a>, _: &'a MissingQuery) -> Nobody<'a, Vec<String>> {
        nobody()
    }

    fn event<'a>(&'a self, _: Asking<'a>, _: &'a EventId) -> Nobody<'a, String> {
        nobody()
    }

    fn event_auth<'a>(&'a self, _: Asking<'a>, _: &'a EventId) -> Nobody<'a, Vec<String>> {
        nobody()
    }

    fn state_ids<'a>(&'a self, _: Asking<'a>, _: &'a EventId) -> Nobody<'a, StateIds> {
        nobody()
    }

    fn state<'a>(&'a self, _: Asking<'a>, _: &'a EventId) -> Nobody<'a, WholeState> {
        nobody()
    }

    fn backfill<'a>(&'a self, _: Asking<'a>, _: &'a [OwnedEventId], _: usize) -> Nobody<'a, Vec<String>> {
        nobody()
    }

    fn last_event<'a>(&'a self, _: Asking<'a>, _: i64) -> Nobody<'a, OwnedEventId> {
        nobody()
    }

    fn policy_signature<'a>(&'a self, _: Asking<'a>, _: &'a Pdu) -> Nobody<'a, Signature> {
        nobody()
    }
}

impl Tenants for Hosted {
    fn speaks_with(&self, _: &Tenant, _: &ServerName) -> bool {
        true
    }

    fn key_document(&self, _: &Tenant, _: i64) -> Result<Vec<u8>, Unserved> {
        Err(Unserved("nobody asks for keys here".into()))
    }
}

impl Notary for Hosted {
    fn answer<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a NotaryQuery,
    ) -> BoxFuture<'a, Result<Vec<u8>, NotaryRefusal>> {
        let refusal = NotaryRefusal::Unserved(Unserved("nobody asks a notary here".into()));
        Box::pin(std::future::ready(Err(refusal)))
    }
}

impl freehold_encryption::Servers for Hosted {
    fn reach(&self, _: &Tenant, server_name: &ServerName) -> Option<Tenant> {
        self.named(server_name.as_str())
    }
}

impl freehold_media::Policies for Hosted {
    fn policy<'a>(&'a self, _: &'a Tenant) -> BoxFuture<'a, MediaPolicy> {
        Box::pin(std::future::ready(MediaPolicy::default()))
    }

    fn reach<'a>(&'a self, _: &'a Tenant, server_name: &'a ServerName) -> BoxFuture<'a, Option<Tenant>> {
        Box::pin(std::future::ready(self.named(server_name.as_str())))
    }
}
