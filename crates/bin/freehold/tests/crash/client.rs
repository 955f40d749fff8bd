//! HTTP as a client speaks it whose server may die at any moment.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// A connection to the server, for one tenant and with one access token.
pub(crate) struct Client {
    port: u16,
    host: String,
    token: Option<String>,
    stream: Option<BufReader<TcpStream>>,
}

/// How long an answer may take before the server counts as stalled.
const PATIENCE: Duration = Duration::from_secs(60);

impl Client {
    pub(crate) fn new(port: u16, host: &str, token: Option<&str>) -> Self {
        Client { port, host: host.to_owned(), token: token.map(str::to_owned), stream: None }
    }

    /// Asks; an error means that nobody knows what became of the request.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &Value) -> io::Result<(u16, Value)> {
        let answered = self.exchange(method, path, body);
        if answered.is_err() {
            self.stream = None;
        }
        answered
    }

    /// Asks a server that is not killed; the answer must be 200.
    pub(crate) fn get(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body).unwrap();
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    fn exchange(&mut self, method: &str, path: &str, body: &Value) -> io::Result<(u16, Value)> {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{}Content-Length: {}\r\n\r\n{body}",
            self.host,
            token.unwrap_or_default(),
            body.len(),
        );
        let stream = match self.stream.as_mut() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(("127.0.0.1", self.port))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                self.stream.insert(BufReader::new(stream))
            }
        };
        stream.get_mut().write_all(request.as_bytes())?;
        answer(stream)
    }
}

fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<(u16, Value)> {
    let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(ended)?;
    let (mut length, mut chunked) = (0_usize, false);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(ended());
        }
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| ended())?;
        }
        chunked |= header.starts_with("transfer-encoding:");
    }
    assert!(!chunked, "answers have a length");
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((status, serde_json::from_slice(&body).unwrap()))
}
