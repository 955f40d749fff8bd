//! The server as a process that is killed, and its data when it is not running.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;

/// A server that runs, until it is killed.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    /// How long it took to its first answer.
    pub(crate) started_in: Duration,
}

/// How long a server may take to its first answer.
const START_MAX: Duration = Duration::from_secs(60);

/// The tenants.
pub(crate) const TENANTS: [&str; 2] = ["one.localhost", "two.localhost"];

/// Writes what a server is configured with.
pub(crate) fn prepare(folder: &Path) {
    let tenants: String = TENANTS
        .iter()
        .map(|name| {
            format!(
                "[[tenant]]\nserver_name = \"{name}\"\npolicy = {{ registration = {{ mode = \"open\" }} }}\n"
            )
        })
        .collect();
    std::fs::write(folder.join("tenants.toml"), tenants).unwrap();
}

fn freehold(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freehold"));
    command.current_dir(folder).env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS").stdin(Stdio::null());
    command
}

impl Server {
    pub(crate) fn start(folder: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let configuration = format!(
            "bootstrap = \"tenants.toml\"\n[rate_limits]\nenabled = false\n[log]\nlevel = \"warn\"\n\
             [[listener]]\naddress = \"127.0.0.1:{port}\"\n"
        );
        std::fs::write(folder.join("freehold.toml"), configuration).unwrap();
        let log = OpenOptions::new().create(true).append(true).open(folder.join("log.txt")).unwrap();
        let begin = Instant::now();
        let child = freehold(folder)
            .args(["serve", "--config", "freehold.toml"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Server { child, port, started_in: Duration::ZERO };
        let mut client = Client::new(port, TENANTS[0], None);
        while client.ask("GET", "/_matrix/client/versions", &json!({})).is_err() {
            let ended = server.child.try_wait().unwrap();
            let log = || std::fs::read_to_string(folder.join("log.txt")).unwrap();
            assert!(ended.is_none() && begin.elapsed() < START_MAX, "the start is not clean: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
        server.started_in = begin.elapsed();
        server
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "the server ended by itself");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole of the data is in order.
pub(crate) fn assert_in_order(folder: &Path) {
    let output = freehold(folder).args(["fsck", "--media", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let said = || format!("{}\n{}", report["findings"], String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "fsck: {}", said());
    assert!(report["events"].as_u64().is_some_and(|events| events > 0), "fsck read nothing: {report}");
}

/// What the server said that should not be said.
pub(crate) fn assert_no_errors_logged(folder: &Path) {
    let log = File::open(folder.join("log.txt")).and_then(std::io::read_to_string).unwrap();
    let wrong = log.lines().find(|line| line.contains("ERROR") || line.contains("panicked"));
    assert!(wrong.is_none(), "{wrong:?}");
}
