//! Real sockets and real TLS, on this machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use freehold_federation::{Endpoint, Internet, SendError, Transport};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An authority of tests, and servers with certificates of it.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) file: PathBuf,
}

impl Authority {
    pub(crate) fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let file = folder.join("ca.pem");
        #[expect(clippy::disallowed_methods, reason = "the file is read by what is tested")]
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), file }
    }

    pub(crate) fn tls(&self, name: &str, protocols: &[&[u8]]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = config.unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A server that answers with version, host, path and body of the request; counts its connections.
#[derive(Clone)]
struct Echo {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];
const ONE: &[&[u8]] = &[b"http/1.1"];

impl Echo {
    async fn start(tls: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let echo = Echo { address: listener.local_addr().unwrap(), connections: Arc::default() };
        let connections = echo.connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let tls = tls.clone();
                tokio::spawn(async move {
                    // A client that does not like the certificate goes away.
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service_fn(respond)).await;
                });
            }
        });
        echo
    }

    fn endpoint(&self, name: &str) -> Endpoint {
        Endpoint { address: self.address, certificate_name: name.to_owned() }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let authority = request.uri().authority().map(ToString::to_string);
    let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
    let head = format!(
        "{:?} {} {}",
        request.version(),
        authority.or(host).unwrap_or_default(),
        request.uri().path_and_query().unwrap()
    );
    let close = request.uri().path() == "/close";
    let body = request.into_body().collect().await?.to_bytes();
    let mut response = Response::new(Full::new(Bytes::from([head.as_bytes(), b" ", &body].concat())));
    if close {
        response.headers_mut().insert("connection", "close".parse().unwrap());
    }
    Ok(response)
}

async fn get(internet: &Internet, endpoint: &Endpoint, path: &str) -> Result<String, SendError> {
    let uri = format!("https://matrix.example:8448{path}");
    let request = Request::put(uri).body(Bytes::from("body")).unwrap();
    let response = internet.send(endpoint, request).await?;
    Ok(String::from_utf8(response.into_body().collect().await.unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_with_the_host_and_path_that_were_given() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let internet = Internet::new(std::slice::from_ref(&authority.file));
    for (protocols, version) in [(BOTH, "HTTP/2.0"), (ONE, "HTTP/1.1"), (&[], "HTTP/1.1")] {
        let echo = Echo::start(authority.tls("127.0.0.1", protocols)).await;
        let answered = get(&internet, &echo.endpoint("127.0.0.1"), "/a%20b?c=d").await.unwrap();
        assert_eq!(answered, format!("{version} matrix.example:8448 /a%20b?c=d body"));
    }
}

#[tokio::test]
async fn connections_are_kept_and_shared() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let internet = Internet::new(std::slice::from_ref(&authority.file));
    for (protocols, at_once_max) in [(BOTH, 1), (ONE, 16)] {
        let echo = Echo::start(authority.tls("127.0.0.1", protocols)).await;
        let endpoint = echo.endpoint("127.0.0.1");
        for number in 0..10 {
            get(&internet, &endpoint, &format!("/{number}")).await.unwrap();
            // The connection is given back when its task has seen the end of the answer.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(echo.connections(), 1, "{protocols:?}");
        let many = (0..40).map(|_| get(&internet, &endpoint, "/many"));
        for answered in futures_util::future::join_all(many).await {
            assert!(answered.unwrap().contains("/many"));
        }
        assert!(echo.connections() <= at_once_max, "{protocols:?}: {}", echo.connections());
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_is_replaced_without_anybody_noticing() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let internet = Internet::new(std::slice::from_ref(&authority.file));
    let echo = Echo::start(authority.tls("127.0.0.1", ONE)).await;
    for _ in 0..5 {
        get(&internet, &echo.endpoint("127.0.0.1"), "/close").await.unwrap();
    }
    assert_eq!(echo.connections(), 5);
}

#[tokio::test]
async fn a_server_has_to_prove_the_name_under_which_it_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let echo = Echo::start(authority.tls("matrix.example", BOTH)).await;
    let trusting = Internet::new(std::slice::from_ref(&authority.file));
    get(&trusting, &echo.endpoint("matrix.example"), "/").await.unwrap();
    for (internet, name) in
        [(&trusting, "other.example"), (&trusting, "127.0.0.1"), (&Internet::new(&[]), "matrix.example")]
    {
        let error = get(internet, &echo.endpoint(name), "/").await.unwrap_err();
        assert!(matches!(&error, SendError::Tls { .. }) && error.was_not_sent(), "{name}: {error}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = Endpoint { address: nobody, certificate_name: "matrix.example".to_owned() };
    let error = get(&trusting, &nobody, "/").await.unwrap_err();
    assert!(matches!(&error, SendError::Connect { .. }), "{error}");
    let no_file = Internet::new(&[folder.path().join("none.pem")]);
    let error = get(&no_file, &echo.endpoint("matrix.example"), "/").await.unwrap_err();
    assert!(matches!(&error, SendError::SetUp { .. }), "{error}");
}

#[tokio::test]
async fn a_connection_that_was_opened_is_the_one_that_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let internet = Internet::new(std::slice::from_ref(&authority.file));
    for protocols in [BOTH, ONE] {
        let echo = Echo::start(authority.tls("127.0.0.1", protocols)).await;
        let endpoint = echo.endpoint("127.0.0.1");
        internet.open(&endpoint).await.unwrap();
        // It is there for the next request when its task has seen that it is ready.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        internet.open(&endpoint).await.unwrap();
        get(&internet, &endpoint, "/").await.unwrap();
        assert_eq!(echo.connections(), 1, "{protocols:?}");
    }
}
