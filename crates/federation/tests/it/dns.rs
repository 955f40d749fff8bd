//! The doctor over the real network of this machine: a name server, well-known documents, SRV records, TLS.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use freehold_federation::fake::{RuntimeClock, Seeded, answer};
use freehold_federation::{
    AddressPolicy, Client, ClientParts, Diagnosis, Discovery, DiscoveryParts, Doctor, Health, HealthParts,
    Internet, Web,
};
use freehold_store::{MemoryEngine, Store};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, UdpSocket};

use crate::loopback::Authority;
use crate::world::{START_TS, Tenants, ordinary, server, tenant};

/// What the DNS says of names.
#[derive(Clone, Debug, Default)]
struct Zone(BTreeMap<String, Vec<Record>>);

#[derive(Clone, Debug)]
enum Record {
    Address(IpAddr),
    Srv(u16, String),
}

impl Zone {
    fn address(&mut self, name: &str, address: &str) {
        self.add(name, Record::Address(address.parse().unwrap()));
    }

    fn srv(&mut self, name: &str, (target, port): (&str, u16)) {
        self.add(name, Record::Srv(port, target.to_owned()));
    }

    fn add(&mut self, name: &str, record: Record) {
        self.0.entry(name.to_owned()).or_default().push(record);
    }

    /// Answers queries until the test ends; gives where.
    async fn serve(self) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut query = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                let _ = socket.send_to(&self.answer(&query[..length]), from).await;
            }
        });
        address
    }

    /// A message with the answer to the one question of another (<https://www.rfc-editor.org/rfc/rfc1035#section-4>).
    fn answer(&self, query: &[u8]) -> Vec<u8> {
        let (mut name, mut at) = (String::new(), 12);
        while query[at] > 0 {
            let end = at + 1 + usize::from(query[at]);
            name = format!("{name}{}.", String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
            at = end;
        }
        let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
        let question = &query[12..at + 5];
        let known = self.0.get(name.trim_end_matches('.'));
        let answers: Vec<Vec<u8>> =
            known.into_iter().flatten().filter_map(|record| record.data(kind)).collect();
        // An answer, authoritative, recursion wanted and offered; "no such name" where there is nothing of any kind.
        let flags: u16 = if known.is_some() { 0x8580 } else { 0x8583 };
        let mut message = query[..2].to_vec();
        for number in [flags, 1, u16::try_from(answers.len()).unwrap(), 0, 0] {
            message.extend(number.to_be_bytes());
        }
        message.extend(question);
        for data in answers {
            // The name of the question, the kind, the internet, a minute.
            message.extend([0xc0, 12]);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60]);
            message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend(data);
        }
        message
    }
}

impl Record {
    fn data(&self, kind: u16) -> Option<Vec<u8>> {
        match (self, kind) {
            (Record::Address(IpAddr::V4(v4)), 1) => Some(v4.octets().to_vec()),
            (Record::Address(IpAddr::V6(v6)), 28) => Some(v6.octets().to_vec()),
            (Record::Srv(port, target), 33) => {
                let mut data = vec![0, 10, 0, 5];
                data.extend(port.to_be_bytes());
                for label in target.split('.') {
                    data.push(u8::try_from(label.len()).unwrap());
                    data.extend(label.as_bytes());
                }
                data.push(0);
                Some(data)
            }
            _ => None,
        }
    }
}

/// Servers on this machine, each at an address of its own, and what the DNS says of them.
struct Machine {
    authority: Authority,
    zone: Zone,
    _folder: tempfile::TempDir,
}

type Handler = Arc<dyn Fn(Request<Bytes>) -> Response<Bytes> + Send + Sync>;

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Machine { authority: Authority::new(folder.path()), zone: Zone::default(), _folder: folder }
    }

    /// A server with a certificate for a name; gives its port, or `None` where this machine gives no such port to us.
    async fn host(
        &self,
        certificate_name: &str,
        place: &str,
        handler: impl Fn(Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Option<u16> {
        let tls = self.authority.tls(certificate_name, &[b"http/1.1"]);
        let listener = match TcpListener::bind(place).await {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
            listener => listener.unwrap(),
        };
        let port = listener.local_addr().unwrap().port();
        let handler: Handler = Arc::new(handler);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, handler) = (tls.clone(), Arc::clone(&handler));
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let service = service_fn(move |request| respond(Arc::clone(&handler), request));
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Some(port)
    }

    /// A doctor who asks our name server, and may look at this machine.
    async fn doctor(&self, name_server: SocketAddr) -> Doctor {
        let store = Store::open(Arc::new(MemoryEngine::new())).await.unwrap();
        let (clock, randomness) = (Arc::new(RuntimeClock::new(START_TS)), Arc::new(Seeded::new(1)));
        let parts = HealthParts { store, clock: clock.clone(), randomness: randomness.clone() };
        let health = Health::open(parts).await.unwrap();
        let internet = Internet::new(std::slice::from_ref(&self.authority.file)).asking(&[name_server]);
        let allowed = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let web = Web::new(Arc::new(internet), AddressPolicy::new(&allowed));
        let discovery = Discovery::new(DiscoveryParts { web, clock: clock.clone(), randomness });
        let identities = Arc::new(Tenants);
        let client = Client::new(ClientParts { discovery, identities, health, clock: clock.clone() });
        Doctor { client, identities: Arc::new(Tenants), documents: Arc::new(Tenants), clock }
    }
}

async fn respond(
    handler: Handler,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let request = Request::from_parts(head, body.collect().await?.to_bytes());
    Ok(handler(request).map(Full::new))
}

async fn examine(doctor: &Doctor, name: &str) -> Diagnosis {
    doctor.examine(&server(name), &[], usize::MAX).await
}

fn assert_says(diagnosis: &Diagnosis, lines: &[&str]) {
    let text = diagnosis.to_string();
    for line in lines {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

/// Port 8448 at an address of this machine that nobody else uses, where a test by another process might be at the same.
fn place(last: u8) -> String {
    format!("127.48.17.{last}:8448")
}

#[tokio::test]
async fn servers_are_found_by_srv_records_and_addresses_of_a_real_name_server() {
    let mut machine = Machine::new();
    machine.zone.address("plain.example", "127.48.17.1");
    machine.host("plain.example", &place(1), ordinary("plain.example")).await.unwrap();
    for (name, service) in [("srv.example", "_matrix-fed"), ("old.example", "_matrix")] {
        let port = machine.host(name, "127.48.17.2:0", ordinary(name)).await.unwrap();
        machine.zone.srv(&format!("{service}._tcp.{name}"), (&format!("matrix.{name}"), port));
        machine.zone.address(&format!("matrix.{name}"), "127.48.17.2");
    }
    // Of two families, one that does not answer keeps nobody from the other.
    machine.zone.address("both.example", "127.48.17.3");
    machine.zone.address("both.example", "::1");
    machine.host("both.example", &place(3), ordinary("both.example")).await.unwrap();
    let doctor = machine.doctor(machine.zone.clone().serve().await).await;
    for (name, step, lines) in [
        ("plain.example", "6", &["SRV _matrix-fed._tcp.plain.example", "no such record"][..]),
        ("srv.example", "4", &["SRV _matrix-fed._tcp.srv.example", "matrix.srv.example"]),
        ("old.example", "5", &["SRV _matrix._tcp.old.example", "matrix.old.example"]),
        ("both.example", "6", &["127.48.17.3:8448: Example 1.2", "[::1]:8448: "]),
    ] {
        let diagnosis = examine(&doctor, name).await;
        assert!(diagnosis.is_healthy(), "{diagnosis}");
        assert_eq!(diagnosis.reach.place.as_ref().unwrap().step, step, "{diagnosis}");
        assert_says(&diagnosis, lines);
    }
}

#[tokio::test]
async fn what_is_wrong_with_real_servers_is_said_where_it_is_wrong() {
    let mut machine = Machine::new();
    machine.zone.address("another.example", "127.48.17.4");
    machine.host("somebody.example", &place(4), ordinary("another.example")).await.unwrap();
    machine.zone.address("imposter.example", "127.48.17.5");
    machine.host("imposter.example", &place(5), ordinary("somebody.example")).await.unwrap();
    machine.zone.address("private.example", "10.1.2.3");
    machine.zone.address("mapped.example", "::ffff:192.168.1.1");
    machine.zone.address("closed.example", "127.48.17.6");
    let doctor = machine.doctor(machine.zone.clone().serve().await).await;
    for (name, line) in [
        ("another.example", "does not prove to be another.example"),
        ("imposter.example", "its keys are those of `somebody.example`"),
        ("private.example", "only addresses that are not of the internet"),
        ("mapped.example", "only addresses that are not of the internet"),
        ("closed.example", "127.48.17.6:8448 cannot be reached"),
        ("nowhere.example", "not found: "),
    ] {
        let diagnosis = examine(&doctor, name).await;
        assert!(!diagnosis.is_healthy(), "{diagnosis}");
        assert_says(&diagnosis, &[line, &format!("{name} is not reached")]);
    }
    // Nobody is there who could be asked for names.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let diagnosis = examine(&machine.doctor(silent).await, "plain.example").await;
    assert!(!diagnosis.is_healthy(), "{diagnosis}");
}

/// Well-known documents come from port 443, which not everybody may listen on.
#[tokio::test]
async fn well_known_documents_are_followed_through_redirects_and_to_srv_records() {
    let mut machine = Machine::new();
    let port = machine.host("deep.example", "127.48.17.7:0", ordinary("known.example")).await.unwrap();
    let delegation = format!("{{\"m.server\": \"deep.example:{port}\"}}");
    let well_known = move |_| answer(200, delegation.clone());
    if machine.host("known.example", "127.48.17.8:443", well_known).await.is_none() {
        eprintln!("well-known documents are not tested: this user may not listen on port 443");
        return;
    }
    machine.zone.address("deep.example", "127.48.17.7");
    machine.zone.address("known.example", "127.48.17.8");
    // A redirect, and a delegation to a host with an SRV record.
    let redirect = |_| {
        let mut redirect = answer(302, "");
        redirect.headers_mut().insert("location", "https://www.moved.example/here".parse().unwrap());
        redirect
    };
    machine.host("moved.example", "127.48.17.9:443", redirect).await.unwrap();
    machine.zone.address("moved.example", "127.48.17.9");
    let to_srv = |_| answer(200, "{\"m.server\": \"far.example\"}");
    machine.host("www.moved.example", "127.48.17.10:443", to_srv).await.unwrap();
    machine.zone.address("www.moved.example", "127.48.17.10");
    let port = machine.host("far.example", "127.48.17.11:0", ordinary("moved.example")).await.unwrap();
    machine.zone.srv("_matrix-fed._tcp.far.example", ("farther.example", port));
    machine.zone.address("farther.example", "127.48.17.11");
    // A redirect into the operator's own network.
    let inwards = |_| {
        let mut redirect = answer(302, "");
        redirect.headers_mut().insert("location", "https://10.0.0.1/secret".parse().unwrap());
        redirect
    };
    machine.host("sly.example", "127.48.17.12:443", inwards).await.unwrap();
    machine.zone.address("sly.example", "127.48.17.12");
    let doctor = machine.doctor(machine.zone.clone().serve().await).await;
    for (name, step, lines) in [
        ("known.example", "3.2", &["leads to `deep.example:", "a certificate for `deep.example`"][..]),
        ("moved.example", "3.3", &["leads to `far.example`", "SRV _matrix-fed._tcp.far.example"]),
    ] {
        let diagnosis = examine(&doctor, name).await;
        assert!(diagnosis.is_healthy(), "{diagnosis}");
        assert_eq!(diagnosis.reach.place.as_ref().unwrap().step, step, "{diagnosis}");
        assert_says(&diagnosis, lines);
    }
    let diagnosis = examine(&doctor, "sly.example").await;
    assert!(!diagnosis.is_healthy(), "{diagnosis}");
    assert_says(&diagnosis, &["leads nowhere: "]);
}

/// Both ways: how it is reached, and how it and others reach tenants of ours.
#[tokio::test]
async fn tenants_are_looked_at_through_the_real_dns() {
    let mut machine = Machine::new();
    let notary = |request: Request<Bytes>| match request.uri().path() {
        "/_matrix/key/v2/query/alice.example" => {
            answer(200, r#"{"server_keys":[{"server_name":"alice.example"}]}"#)
        }
        path if path.starts_with("/_matrix/key/v2/query/") => answer(200, r#"{"server_keys":[]}"#),
        _ => ordinary("remote.example")(request),
    };
    machine.zone.address("remote.example", "127.48.17.13");
    machine.host("remote.example", &place(13), notary).await.unwrap();
    machine.zone.address("alice.example", "127.48.17.14");
    machine.host("alice.example", &place(14), ordinary("alice.example")).await.unwrap();
    let doctor = machine.doctor(machine.zone.clone().serve().await).await;
    let tenants = [tenant("alice.example"), tenant("bob.example")];
    let diagnosis = doctor.examine(&server("remote.example"), &tenants, usize::MAX).await;
    assert!(diagnosis.reach.is_reached() && !diagnosis.is_healthy(), "{diagnosis}");
    let [alice, bob] = &diagnosis.tenants[..] else { panic!("{diagnosis}") };
    assert_eq!((&alice.problem, alice.known_there), (&None, Some(true)), "{diagnosis}");
    assert!(bob.problem.is_some() && bob.known_there == Some(false), "{diagnosis}");
    assert_says(
        &diagnosis,
        &[
            "remote.example has its keys",
            "remote.example does not reach it",
            "not reached from outside: bob.example",
        ],
    );
}
