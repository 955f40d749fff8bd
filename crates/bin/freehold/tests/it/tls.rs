//! Listeners with TLS: certificates by name, and hosts that belong to the name with which TLS began.

use std::fs::write;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::server::Server;

/// Writes a certificate for `names` and its key; gives the certificate back.
pub(crate) fn certificate(folder: &Path, (file, names): (&str, &[&str])) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    write(folder.join(format!("{file}.pem")), cert.pem()).unwrap();
    write(folder.join(format!("{file}.key")), signing_key.serialize_pem()).unwrap();
    cert.der().clone()
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

/// A connection that begins with a name once something is sent.
fn connection(server: &Server, trusted: &CertificateDer<'static>, name: &str) -> Connection {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", server.port)).unwrap())
}

/// The status of the answer to one more request on a connection.
fn kept_alive(stream: &mut Connection, host: &str) -> Option<u16> {
    let request = format!("HEAD /_matrix/client/versions HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        bytes.extend(byte);
    }
    String::from_utf8(bytes).unwrap().split(' ').nth(1)?.parse().ok()
}

/// The status of an answer over TLS that began with one name, to a request for a host; `None` if TLS did not begin.
fn status(server: &Server, trusted: &CertificateDer<'static>, (name, host): (&str, &str)) -> Option<u16> {
    let mut stream = connection(server, trusted, name);
    let path = "/_matrix/client/versions";
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    // The end may come without the farewell of TLS.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    Some(text.split(' ').nth(1).unwrap().parse().unwrap())
}

#[test]
fn certificates_are_read_anew_on_sighup_and_connections_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, bob) = ("alice.localhost", "bob.localhost");
    let old = certificate(folder.path(), ("one", &[alice]));
    let config =
        "[[listener]]\naddress = \"127.0.0.1:0\"\ntls = [{ certificate = \"one.pem\", key = \"one.key\" }]\n";
    write(folder.path().join("freehold.toml"), config).unwrap();
    let server = Server::start_configured(folder.path(), &["--config", "freehold.toml"]);
    let mut open = connection(&server, &old, alice);
    assert_eq!(kept_alive(&mut open, alice), Some(200));

    let new = certificate(folder.path(), ("one", &[alice, bob]));
    assert_eq!(status(&server, &old, (alice, alice)), Some(200), "nobody said that it changed");
    server.hang_up();
    let shown = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        status(&server, &new, (bob, bob))
    });
    assert_eq!(shown, Some(200));
    assert_eq!(status(&server, &old, (alice, alice)), None);
    assert_eq!(kept_alive(&mut open, alice), Some(200), "a connection outlives its certificate");

    write(folder.path().join("one.pem"), "no certificate").unwrap();
    server.hang_up();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(status(&server, &new, (alice, alice)), Some(200));
    assert!(server.stop());
}

#[test]
fn a_host_is_asked_for_over_tls_that_began_with_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let one = certificate(folder.path(), ("one", &["alice.localhost", "bob.localhost"]));
    let other = certificate(folder.path(), ("other", &["*.tenants.localhost"]));
    let tls =
        ["one", "other"].map(|file| format!("{{ certificate = \"{file}.pem\", key = \"{file}.key\" }}"));
    let config = format!("[[listener]]\naddress = \"127.0.0.1:0\"\ntls = [{}]\n", tls.join(", "));
    write(folder.path().join("freehold.toml"), config).unwrap();
    let server = Server::start_configured(folder.path(), &["--config", "freehold.toml"]);

    let (alice, bob) = ("alice.localhost", "bob.localhost");
    assert_eq!(status(&server, &one, (alice, alice)), Some(200));
    assert_eq!(status(&server, &one, (bob, bob)), Some(200));
    // A request signed or made for one tenant is not one to another, though the certificate names both.
    assert_eq!(status(&server, &one, (alice, bob)), Some(421));
    assert_eq!(status(&server, &other, ("carol.tenants.localhost", "carol.tenants.localhost")), Some(200));
    assert_eq!(status(&server, &other, (alice, alice)), None, "each name has its own certificate");
}
