//! A server that is asked to stop while people use it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::server::{Server, printed};

/// It is down in five seconds, whatever is under way; twice that on a machine that runs other tests, and far less than the
/// long polls would take.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn a_server_stops_in_order_while_long_polls_are_open_and_requests_are_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let host = "alice.localhost";
    server.get(host, "/_matrix/client/versions");
    printed(folder.path(), &["tenant", "policy", host, "--set", r#"{"registration": {"mode": "open"}}"#]);
    let register = r#"{"username": "a", "password": "long enough", "auth": {"type": "m.login.dummy"}}"#;
    let registered = server.post(host, "/_matrix/client/v3/register", (None, register)).json();
    let token = registered["access_token"].as_str().unwrap().to_owned();
    let room = server.post(host, "/_matrix/client/v3/createRoom", (Some(&token), "{}")).json();
    let room = room["room_id"].as_str().unwrap().to_owned();

    let head = format!("Host: {host}\r\nAuthorization: Bearer {token}\r\n");
    let open = |text: String| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    // Connections on which nothing is asked, long polls, and a body that never ends.
    let _idle: Vec<_> = (0..10).map(|_| open(String::new())).collect();
    let first = server.get_as(host, "/_matrix/client/v3/sync?timeout=0", &token).json();
    let since = first["next_batch"].as_str().unwrap();
    let poll = format!("GET /_matrix/client/v3/sync?timeout=30000&since={since} HTTP/1.1\r\n{head}\r\n");
    let _polls: Vec<_> = (0..20).map(|_| open(poll.clone())).collect();
    let path = format!("PUT /_matrix/client/v3/rooms/{room}/send/m.room.message");
    let _endless = open(format!("{path}/endless HTTP/1.1\r\n{head}Content-Length: 1000\r\n\r\n{{"));
    // A request whose body is under way when the server is asked to stop is carried out.
    let body = r#"{"msgtype": "m.text", "body": "the last words"}"#;
    let (begin, rest) = body.split_at(10);
    let length = body.len();
    let mut last = open(format!("{path}/last HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{begin}"));
    std::thread::sleep(Duration::from_millis(300));

    let asked = Instant::now();
    server.ask_to_stop();
    std::thread::sleep(Duration::from_millis(100));
    last.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let event_id = answer.split("event_id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(server.wait(), "it ends without an error");
    assert!(asked.elapsed() < STOPPED_WITHIN, "{:?}", asked.elapsed());

    let server = Server::start(folder.path(), &[]);
    let event = server.get_as(host, &format!("/_matrix/client/v3/rooms/{room}/event/{event_id}"), &token);
    assert_eq!(event.json()["content"]["body"], "the last words");
    assert!(server.stop());
    assert!(printed(folder.path(), &["fsck"]).ends_with("everything is in order\n"));
}
