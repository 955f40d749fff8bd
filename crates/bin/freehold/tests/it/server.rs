//! A server in a folder of its own, and what asks it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A server that runs, until this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    /// What it said when it started.
    pub(crate) greeting: Vec<String>,
}

pub(crate) fn freehold(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freehold"));
    command.current_dir(folder).args(arguments).env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS");
    command
}

/// Runs a command to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    freehold(folder, arguments).output().unwrap()
}

/// What a command that succeeds prints.
pub(crate) fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Server {
    /// Starts a server with its data in `folder`, on a port that the system picks.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Server::start_configured(folder, &[&["--listen", "127.0.0.1:0"], arguments].concat())
    }

    /// Starts a server that listens where its arguments say.
    pub(crate) fn start_configured(folder: &Path, arguments: &[&str]) -> Self {
        Server::start_with(folder, arguments, &[])
    }

    /// Starts a server with more in its environment.
    pub(crate) fn start_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = freehold(folder, &["serve"]);
        command.args(arguments).envs(environment.iter().copied());
        Server::spawn(&mut command)
    }

    /// Starts a server that a command becomes.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeting = Vec::new();
        // The socket for commands is the last thing that it names before the token.
        for line in lines.by_ref() {
            let line = line.unwrap();
            let done = line.contains("admin.sock");
            greeting.push(line);
            if done {
                break;
            }
        }
        let address = greeting.iter().find_map(|line| line.split_once("://127.0.0.1:"));
        let port = address.expect("it says where it listens").1.parse().unwrap();
        let mut server = Server { child, port, greeting };
        server.rest(lines);
        server
    }

    fn rest(&mut self, lines: impl Iterator<Item = std::io::Result<String>> + Send + 'static) {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        // The token is in the same write as the lines before it.
        if let Ok(line) = receiver.recv_timeout(std::time::Duration::from_millis(300)) {
            self.greeting.push(line);
        }
    }

    /// Sends it SIGHUP.
    pub(crate) fn hang_up(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    /// Asks it to stop, waits, and says whether it stopped in order.
    pub(crate) fn stop(self) -> bool {
        self.ask_to_stop();
        self.wait()
    }

    /// Asks it to stop.
    pub(crate) fn ask_to_stop(&self) {
        let pid = self.child.id().to_string();
        Command::new("kill").arg(pid).status().unwrap();
    }

    /// Waits until it ends, and says whether it did so in order.
    pub(crate) fn wait(mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    pub(crate) fn get(&self, host: &str, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    }

    pub(crate) fn get_as(&self, host: &str, path: &str, token: &str) -> Answer {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        ))
    }

    pub(crate) fn post(&self, host: &str, path: &str, (token, body): (Option<&str>, &str)) -> Answer {
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let length = body.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{token}Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    pub(crate) fn put(&self, host: &str, path: &str, (token, body): (&str, &str)) -> Answer {
        let length = body.len();
        self.ask(&format!(
            "PUT {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    pub(crate) fn send(
        &self,
        (method, host, path): (&str, &str, &str),
        (token, body): (&str, &str),
    ) -> Answer {
        let length = body.len();
        self.ask(&format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    fn ask(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, body: body.to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}
