//! The real network: the system's name servers, and sockets.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use freehold_store::BoxFuture;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use hyper::body::Bytes;
use hyper::{Request, Response};
use tokio::time::Instant;

use super::body::Body;
use super::pool::Pool;
use super::tls;
use super::{Endpoint, Looked, LookupError, SendError, SrvRecord, Transport};

/// The internet. Nothing is set up before it is needed.
pub struct Internet {
    /// Files with authorities that are trusted beside those of the web, in PEM format.
    extra_ca: Vec<PathBuf>,
    /// Who is asked for names; without any, those of the system.
    nameservers: Vec<SocketAddr>,
    resolver: OnceLock<TokioResolver>,
    pool: OnceLock<Arc<Pool>>,
}

/// For how long "there are no such records" is believed, in milliseconds.
const NOTHING_MS: i64 = 60_000;

impl Internet {
    /// The internet, with authorities that are trusted beside those of the web: files in PEM format.
    pub fn new(extra_ca: &[PathBuf]) -> Self {
        Internet {
            extra_ca: extra_ca.to_vec(),
            nameservers: Vec::new(),
            resolver: OnceLock::new(),
            pool: OnceLock::new(),
        }
    }

    /// The same, with these name servers in place of those of the system, if there are any.
    pub fn asking(self, nameservers: &[SocketAddr]) -> Self {
        Internet { nameservers: nameservers.to_vec(), ..self }
    }

    fn resolver(&self) -> Result<&TokioResolver, String> {
        if let Some(resolver) = self.resolver.get() {
            return Ok(resolver);
        }
        let builder = match self.nameservers.as_slice() {
            [] => TokioResolver::builder_tokio(),
            nameservers => Ok(asking(nameservers)),
        };
        let built = builder.and_then(|builder| builder.build());
        let built = built.map_err(|error| format!("no resolver: {error}"))?;
        Ok(self.resolver.get_or_init(|| built))
    }

    fn pool(&self) -> Result<&Arc<Pool>, SendError> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let config = tls::client_tls(&self.extra_ca)
            .map_err(|error| SendError::SetUp { reason: error.to_string() })?;
        Ok(self.pool.get_or_init(|| Arc::new(Pool::new(tls::for_both_versions(config)))))
    }

    async fn records<T>(
        &self,
        name: &str,
        kind: Kind,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Looked<T>, LookupError> {
        let failed = |reason: String| LookupError { name: name.to_owned(), reason };
        let resolver = self.resolver().map_err(failed)?;
        // A dot at the end: no search domains.
        let absolute = format!("{}.", name.trim_end_matches('.'));
        let looked = match kind {
            Kind::Addresses => resolver.lookup_ip(absolute).await.map(|found| found.as_lookup().clone()),
            Kind::Srv => resolver.srv_lookup(absolute).await.map(into_lookup),
            Kind::Txt => resolver.txt_lookup(absolute).await.map(into_lookup),
        };
        match looked {
            Ok(found) => Ok(Looked {
                records: found.answers().iter().filter_map(|record| read(&record.data)).collect(),
                valid_ms: left_ms(&found),
            }),
            Err(error) => nothing(&error).ok_or_else(|| failed(error.to_string())),
        }
    }
}

impl std::fmt::Debug for Internet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Internet").field("extra_ca", &self.extra_ca).finish_non_exhaustive()
    }
}

impl Transport for Internet {
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Looked<IpAddr>, LookupError>> {
        Box::pin(self.records(host, Kind::Addresses, |data| match data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        }))
    }

    fn srv<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Looked<SrvRecord>, LookupError>> {
        Box::pin(self.records(name, Kind::Srv, |data| match data {
            RData::SRV(srv) => Some(SrvRecord {
                priority: srv.priority,
                weight: srv.weight,
                target: srv.target.to_ascii().trim_end_matches('.').to_owned(),
                port: srv.port,
            }),
            _ => None,
        }))
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Looked<String>, LookupError>> {
        Box::pin(self.records(name, Kind::Txt, |data| match data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        }))
    }

    fn open<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move { self.pool()?.open(endpoint).await })
    }

    fn send<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        request: Request<Bytes>,
    ) -> BoxFuture<'a, Result<Response<Body>, SendError>> {
        Box::pin(async move { self.pool()?.send(endpoint, request).await })
    }
}

/// A resolver that asks some name servers, over UDP and, for long answers, TCP.
fn asking(nameservers: &[SocketAddr]) -> ResolverBuilder<TokioRuntimeProvider> {
    let server = |address: &SocketAddr| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        server.connections.iter_mut().for_each(|connection| connection.port = address.port());
        server
    };
    let servers = nameservers.iter().map(server).collect();
    TokioResolver::builder_with_config(
        ResolverConfig::from_name_servers(servers),
        TokioRuntimeProvider::default(),
    )
}

#[derive(Clone, Copy)]
enum Kind {
    Addresses,
    Srv,
    Txt,
}

fn into_lookup(found: impl Into<Lookup>) -> Lookup {
    found.into()
}

fn left_ms(found: &Lookup) -> i64 {
    let left = found.valid_until().saturating_duration_since(Instant::now().into_std());
    i64::try_from(left.as_millis()).unwrap_or(i64::MAX)
}

fn nothing<T>(error: &NetError) -> Option<Looked<T>> {
    error.is_no_records_found().then(|| Looked { records: Vec::new(), valid_ms: NOTHING_MS })
}
