//! The HTTPS face of servers of our own: a key document and an open ear for transactions, or whatever answers they have.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::{
    certificates::Authority,
    failure::{Context, Result},
};

const BODY_BYTES_MAX: u64 = 64 << 20;

/// A listening socket whose address is already known, so that its name can go into the key document.
pub(crate) struct Reserved {
    listener: TcpListener,
    server_name: String,
}

impl Reserved {
    /// Takes a free port on 127.0.0.1.
    pub(crate) fn take() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("listen as a server of our own")?;
        let server_name = listener.local_addr().context("address of our own server")?.to_string();
        Ok(Self { listener, server_name })
    }

    /// The server name.
    pub(crate) fn server_name(&self) -> &str {
        &self.server_name
    }

    /// Answers requests for the key document and acknowledges transactions, for the rest of the process's life.
    pub(crate) fn serve(self, authority: &Authority, key_document: String) -> Result<()> {
        self.answer_with(authority, move |target| match target {
            _ if target.starts_with("/_matrix/key/v2/server") => Some(key_document.clone()),
            _ if target.starts_with("/_matrix/federation/v1/send/") => Some(r#"{"pdus":{}}"#.to_owned()),
            _ => None,
        })
    }

    /// Answers requests by their target, for the rest of the process's life; where there is no answer, that nothing is served.
    pub(crate) fn answer_with(
        self,
        authority: &Authority,
        answers: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Result<()> {
        let (certificate, key) = authority.sign("127.0.0.1")?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let configuration = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .context("certificate of our own server")?;
        let configuration = Arc::new(configuration);
        let answers: Answers = Arc::new(answers);
        thread::spawn(move || {
            for stream in self.listener.incoming().flatten() {
                let (configuration, answers) = (Arc::clone(&configuration), Arc::clone(&answers));
                // A peer that closes early has had what it wanted.
                thread::spawn(move || answer(stream, configuration, &answers).unwrap_or_default());
            }
        });
        Ok(())
    }
}

/// What is answered to a request with a target.
type Answers = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

fn answer(stream: TcpStream, configuration: Arc<ServerConfig>, answers: &Answers) -> Option<()> {
    let connection = ServerConnection::new(configuration).ok()?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    while let Some(target) = read_request(&mut stream) {
        let (status, body) = match answers(&target) {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", r#"{"errcode":"M_UNRECOGNIZED","error":"not served here"}"#.to_owned()),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let socket = stream.get_mut();
        socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body.as_bytes())).ok()?;
        socket.flush().ok()?;
    }
    Some(())
}

/// Reads one request, body included, and returns its target.
fn read_request(stream: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let target = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).ok()?;
        let Some((name, value)) = header.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let copied = std::io::copy(&mut stream.take(length.min(BODY_BYTES_MAX)), &mut std::io::sink()).ok()?;
    (copied == length).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_to_their_end_one_after_the_other() {
        let mut stream =
            "PUT /a?b HTTP/1.1\r\nHost: x\r\ncontent-length: 2\r\n\r\n{}GET /c HTTP/1.1\r\n\r\n".as_bytes();
        assert_eq!(read_request(&mut stream).unwrap(), "/a?b");
        assert_eq!(read_request(&mut stream).unwrap(), "/c");
        assert_eq!(read_request(&mut stream), None);
    }
}
