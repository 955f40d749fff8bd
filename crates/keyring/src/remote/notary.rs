//! Answering as a notary: `/_matrix/key/v2/query`.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server>

use std::collections::BTreeMap;

use freehold_canonical_json::{Limits, Object, ParseError, Value, parse};
use freehold_signing::{MalformedSignatures, Signer, sign_json};
use ruma_common::{OwnedServerName, ServerName};
use thiserror::Error;

use super::{
    machine::{Needed, RemoteKeys, Route, WaitId, Want},
    policy::FetchPolicy,
};

/// The servers somebody asks us about, and until when their keys are to be valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotaryQuery {
    servers: BTreeMap<OwnedServerName, Option<i64>>,
}

impl NotaryQuery {
    /// The query of `GET /_matrix/key/v2/query/{serverName}`.
    pub fn single(server: OwnedServerName, minimum_valid_until_ts: Option<i64>) -> Self {
        Self { servers: [(server, minimum_valid_until_ts)].into() }
    }

    /// Reads the body of `POST /_matrix/key/v2/query`.
    ///
    /// Of the key identifiers only the latest `minimum_valid_until_ts` counts: the answer always
    /// has all keys of a server, as the specification allows. Names that are no server names are
    /// left out, like servers that cannot be reached.
    ///
    /// # Errors
    ///
    /// [`NotaryQueryError`]; the server that asks is at fault.
    pub fn parse(json: &[u8]) -> Result<Self, NotaryQueryError> {
        let limits = Limits { bytes: FetchPolicy::QUERY_BYTES_MAX, depth: 8, ..Limits::RELAXED };
        let value = parse(json, &limits)?;
        let asked = value.as_object().and_then(|body| body.get("server_keys")?.as_object());
        let asked = asked.ok_or(NotaryQueryError::NoServerKeys)?;
        if asked.len() > FetchPolicy::QUERY_SERVERS_MAX {
            return Err(NotaryQueryError::TooManyServers { count: asked.len() });
        }
        let mut servers = BTreeMap::new();
        for (name, criteria) in asked {
            let criteria = criteria.as_object().ok_or(NotaryQueryError::Criteria)?;
            let minimum = |entry: &Value<'_>| entry.as_object()?.get("minimum_valid_until_ts")?.as_i64();
            let minimum_ts = criteria.values().filter_map(minimum).max();
            if let Ok(name) = ServerName::parse(name) {
                servers.insert(name, minimum_ts);
            }
        }
        Ok(Self { servers })
    }

    /// The part of the query that is about these servers.
    #[must_use]
    pub fn about(&self, servers: &[&ServerName]) -> Self {
        let asked = self.servers.iter().filter(|(server, _)| servers.contains(&&***server));
        Self { servers: asked.map(|(server, minimum_ts)| (server.clone(), *minimum_ts)).collect() }
    }

    /// The servers asked about.
    pub fn servers(&self) -> impl ExactSizeIterator<Item = &ServerName> {
        self.servers.keys().map(|name| &**name)
    }
}

/// Why a notary query is not answered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotaryQueryError {
    /// No JSON, or longer than [`FetchPolicy::QUERY_BYTES_MAX`].
    #[error("the query cannot be read: {0}")]
    Json(#[from] ParseError),
    /// `server_keys` is missing or no object.
    #[error("`server_keys` is missing or no object")]
    NoServerKeys,
    /// The criteria of a server are no object.
    #[error("the criteria of a server are no object")]
    Criteria,
    /// More servers than are answered for at a time.
    #[error("{count} servers are asked for, more than {}", FetchPolicy::QUERY_SERVERS_MAX)]
    TooManyServers {
        /// The number of servers.
        count: usize,
    },
}

impl RemoteKeys {
    /// Sees to it that the documents a query asks for are there, as far as they can be had.
    ///
    /// A document is cached for half of its life. Answer when all waits returned are woken, or at
    /// once when there are none; servers that back off are answered from what is there. Only the
    /// servers themselves are asked, no other notaries.
    pub fn need_documents(&mut self, query: &NotaryQuery, now_ts: i64) -> Vec<WaitId> {
        let needs = query.servers.iter().filter_map(|(server, minimum_ts)| {
            // "If not supplied, the notary server MUST use the current time."
            let minimum_valid_until_ts = minimum_ts.unwrap_or(now_ts);
            let want = Want { server, key_id: None, minimum_valid_until_ts, route: Route::Direct };
            match self.need(want, now_ts) {
                Needed::Waiting(wait) => Some(wait),
                Needed::Ready | Needed::Refused(_) => None,
            }
        });
        needs.collect()
    }

    /// The last document of a server, with its own signatures only or those of notaries too. It may
    /// be past its time, when the server is down.
    pub fn document(&self, server: &ServerName) -> Option<&[u8]> {
        let newest = self.servers.get(server)?.known.newest.as_ref()?;
        Some(&newest.json)
    }
}

/// The answer to a query: the documents there are, each signed by the notary.
///
/// Documents of our own tenants come from [`Keyring::key_document`](crate::Keyring::key_document),
/// the others from [`RemoteKeys::document`]. The signer is a tenant's, for
/// [`Purpose::Notary`](crate::Purpose::Notary). Servers without a document are left out.
///
/// # Errors
///
/// [`MalformedSignatures`] for a document that was not checked before.
pub fn notary_answer<'d>(
    documents: impl IntoIterator<Item = &'d [u8]>,
    signer: &impl Signer,
) -> Result<Vec<u8>, MalformedSignatures> {
    let limits = Limits { bytes: 2 * FetchPolicy::DOCUMENT_BYTES_MAX, depth: 18, ..Limits::RELAXED };
    let mut signed = Vec::new();
    for document in documents {
        let document = parse(document, &limits).ok().and_then(Value::into_object);
        let mut document = document.ok_or(MalformedSignatures)?;
        sign_json(&mut document, signer)?;
        signed.push(Value::Object(document));
    }
    let mut answer = Object::new();
    answer.insert("server_keys", signed);
    Ok(answer.to_canonical_vec())
}
