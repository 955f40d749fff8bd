//! The DNS and the web, as far as proofs of control need them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use freehold_store::BoxFuture;
use freehold_tenancy::{Outside, Unseen};
use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, LOCATION};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What begins TLS with servers whose certificates are of the authorities of the web, or of those in `extra_ca`.
///
/// # Errors
/// A file with certificates cannot be read; it is named.
pub(crate) fn tls_connector(extra_ca: &[PathBuf]) -> Result<TlsConnector, CaError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for file in extra_ca {
        let wrong = |error: String| CaError { file: file.clone(), error };
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))? {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| CaError { file: PathBuf::new(), error: error.to_string() })?;
    let config = versions.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The certificates of an authority cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("extra_ca `{}`: {error}", file.display())]
pub(crate) struct CaError {
    file: PathBuf,
    error: String,
}

/// The DNS and the web. Nothing is set up before it is needed.
#[derive(Default)]
pub(crate) struct Internet {
    /// Files with authorities that are trusted beside those of the web.
    extra_ca: Vec<PathBuf>,
    /// Networks that are asked although they are not of the internet.
    allowed_networks: Vec<IpNet>,
    resolver: OnceLock<TokioResolver>,
    tls: OnceLock<TlsConnector>,
}

/// How long one page may take, redirections included.
const PAGE_TIMEOUT: Duration = Duration::from_secs(15);
/// Well-known documents are small: "The maximum size … is 50 KiB" is what other servers allow, too.
const PAGE_BYTES_MAX: usize = 50 * 1024;
const REDIRECTIONS_MAX: usize = 5;

impl Internet {
    fn resolver(&self) -> Result<&TokioResolver, Unseen> {
        if let Some(resolver) = self.resolver.get() {
            return Ok(resolver);
        }
        let built = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        let built = built.map_err(|error| Unseen::because(format_args!("no resolver: {error}")))?;
        Ok(self.resolver.get_or_init(|| built))
    }

    fn tls(&self) -> Result<&TlsConnector, Unseen> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let tls = tls_connector(&self.extra_ca).map_err(Unseen::because)?;
        Ok(self.tls.get_or_init(|| tls))
    }

    async fn records(&self, name: &str, kind: Kind) -> Result<Vec<RData>, Unseen> {
        let resolver = self.resolver()?;
        let name = format!("{}.", name.trim_end_matches('.'));
        let looked_up = match kind {
            Kind::Txt => resolver.txt_lookup(name).await,
            Kind::Srv => resolver.srv_lookup(name).await,
        };
        match looked_up {
            Ok(lookup) => Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
            Err(error) => none_or_unseen(&error),
        }
    }

    /// An internet without anything in memory yet.
    pub(crate) fn new(extra_ca: &[PathBuf], allowed_networks: &[IpNet]) -> Self {
        let (extra_ca, allowed_networks) = (extra_ca.to_vec(), allowed_networks.to_vec());
        Internet { extra_ca, allowed_networks, ..Internet::default() }
    }

    fn may_ask(&self, address: &IpAddr) -> bool {
        is_public(address) || self.allowed_networks.iter().any(|network| network.contains(address))
    }

    async fn public_addresses(&self, host: &str) -> Result<Vec<IpAddr>, Unseen> {
        let addresses = self.addresses(host).await?;
        let public: Vec<IpAddr> = addresses.iter().copied().filter(|address| self.may_ask(address)).collect();
        if public.is_empty() && !addresses.is_empty() {
            return Err(Unseen::because("it has only addresses that are not of the internet"));
        }
        Ok(public)
    }

    async fn fetch(&self, mut uri: Uri) -> Result<Option<String>, Unseen> {
        for _ in 0..=REDIRECTIONS_MAX {
            let response = self.get(&uri).await?;
            let status = response.status();
            if status.is_redirection() {
                uri = redirected(&uri, &response)?;
                continue;
            }
            if status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            if status != StatusCode::OK {
                return Err(Unseen::because(format_args!("it answers {status}")));
            }
            let body = Limited::new(response.into_body(), PAGE_BYTES_MAX).collect().await;
            let body = body.map_err(Unseen::because)?.to_bytes();
            return Ok(Some(String::from_utf8_lossy(&body).into_owned()));
        }
        Err(Unseen::because("it redirects for ever"))
    }

    async fn get(&self, uri: &Uri) -> Result<Response<Incoming>, Unseen> {
        let host = uri.host().ok_or_else(|| Unseen::because("it has no host"))?;
        let port = uri.port_u16().unwrap_or(443);
        let stream = self.connect(host, port).await?;
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(Unseen::because)?;
        let stream = self.tls()?.connect(name, stream).await.map_err(Unseen::because)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(Unseen::because)?;
        // Its errors come out of the request, too.
        tokio::spawn(connection);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = uri.authority().map_or(host, |authority| authority.as_str());
        let request = Request::get(path).header(HOST, authority).header("user-agent", "Freehold");
        let request = request.body(Empty::<Bytes>::new()).map_err(Unseen::because)?;
        sender.send_request(request).await.map_err(Unseen::because)
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Unseen> {
        let mut last = Unseen::because("the name has no address");
        for address in self.public_addresses(host).await? {
            match TcpStream::connect((address, port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Unseen::because(format_args!("{address}: {error}")),
            }
        }
        Err(last)
    }
}

impl Outside for Internet {
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, Unseen>> {
        Box::pin(async move {
            let records = self.records(name, Kind::Txt).await?;
            let text = |record: RData| match record {
                RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
                _ => None,
            };
            Ok(records.into_iter().filter_map(text).collect())
        })
    }

    fn srv<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<(String, u16)>, Unseen>> {
        Box::pin(async move {
            let records = self.records(name, Kind::Srv).await?;
            let mut targets: Vec<(u16, String, u16)> = records
                .into_iter()
                .filter_map(|record| match record {
                    RData::SRV(srv) => Some((srv.priority, srv.target.to_ascii(), srv.port)),
                    _ => None,
                })
                .collect();
            targets.sort();
            Ok(targets.into_iter().map(|(_, target, port)| (target, port)).collect())
        })
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, Unseen>> {
        Box::pin(async move {
            let literal = name.trim_start_matches('[').trim_end_matches(']').parse();
            if let Ok(address) = literal {
                return Ok(vec![address]);
            }
            let name = format!("{}.", name.trim_end_matches('.'));
            match self.resolver()?.lookup_ip(name).await {
                Ok(lookup) => Ok(lookup.iter().collect()),
                Err(error) => none_or_unseen(&error),
            }
        })
    }

    fn page<'a>(&'a self, host: &'a str, path: &'a str) -> BoxFuture<'a, Result<Option<String>, Unseen>> {
        Box::pin(async move {
            let uri: Uri = format!("https://{host}{path}").parse().map_err(Unseen::because)?;
            let fetched = tokio::time::timeout(PAGE_TIMEOUT, self.fetch(uri)).await;
            fetched.unwrap_or_else(|_| Err(Unseen::because("it does not answer in time")))
        })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Txt,
    Srv,
}

fn none_or_unseen<T>(error: &NetError) -> Result<Vec<T>, Unseen> {
    if error.is_no_records_found() { Ok(Vec::new()) } else { Err(Unseen::because(error)) }
}

fn redirected(from: &Uri, response: &Response<Incoming>) -> Result<Uri, Unseen> {
    let wrong = || Unseen::because("it redirects nowhere");
    let location =
        response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).ok_or_else(wrong)?;
    let absolute = if location.starts_with('/') {
        let authority = from.authority().ok_or_else(wrong)?;
        format!("https://{authority}{location}")
    } else {
        location.to_owned()
    };
    let to: Uri = absolute.parse().map_err(|_| wrong())?;
    if to.scheme_str() == Some("https") {
        Ok(to)
    } else {
        Err(Unseen::because("it redirects away from https"))
    }
}

/// Whether an address is of the internet. What strangers name must not lead into the operator's own network.
fn is_public(address: &IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && (64..128).contains(&second);
            let benchmark = first == 198 && (second == 18 || second == 19);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || shared
                || benchmark
                || first == 0
                || first >= 240)
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            let documentation = first == 0x2001 && second == 0xdb8;
            // Global unicast is 2000::/3; within it, 6to4 and Teredo carry addresses that were not looked at.
            (first & 0xe000) == 0x2000
                && !documentation
                && first != 0x2002
                && !(first == 0x2001 && second == 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_asked() {
        for (address, expected) in [
            ("9.9.9.9", true),
            ("2620:fe::fe", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("::ffff:127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("2002:7f00:1::", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_public(&address.parse().unwrap()), expected, "{address}");
        }
    }
}
