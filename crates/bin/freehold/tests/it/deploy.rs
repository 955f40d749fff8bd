//! What is shipped for running the server: the units of systemd, the dashboard, the Dockerfile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::server::{Server, printed, run};

const SERVICE: &str = include_str!("../../../../../docs/deploy/freehold.service");
const SOCKET: &str = include_str!("../../../../../docs/deploy/freehold.socket");
const DASHBOARD: &str = include_str!("../../../../../docs/deploy/grafana.json");
const DOCKERFILE: &str = include_str!("../../../../../Dockerfile");

/// The settings of a unit, by section and name.
fn unit(text: &str) -> BTreeMap<(String, String), Vec<String>> {
    let mut section = String::new();
    let mut settings: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("not a setting: {line}"));
        settings.entry((section.clone(), name.to_owned())).or_default().push(value.to_owned());
    }
    settings
}

/// Whether the program takes a command line, as far as its `--help` shows.
fn is_command_line(arguments: &[&str]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &[arguments, &["--help"]].concat()).status.success()
}

#[test]
fn the_unit_starts_reloads_and_stops_the_server_as_it_wants_to_be() {
    let service = unit(SERVICE);
    let one = |section: &str, name: &str| {
        let values = service.get(&(section.to_owned(), name.to_owned()));
        values.and_then(|values| values.first()).unwrap_or_else(|| panic!("{section} has no {name}")).as_str()
    };
    let start: Vec<&str> = one("Service", "ExecStart").split(' ').collect();
    assert_eq!(start[0], "/usr/local/bin/freehold");
    assert!(is_command_line(&start[1..]), "{start:?}");
    assert_eq!(one("Service", "Type"), "notify");
    assert_eq!(one("Service", "ExecReload"), "/bin/kill -HUP $MAINPID");
    assert!(one("Service", "TimeoutStopSec").parse::<u32>().unwrap() > 5, "it is down within five seconds");
    let state = format!("/var/lib/{}", one("Service", "StateDirectory"));
    assert!(start.windows(2).any(|pair| pair == ["--data", state.as_str()]), "{start:?}");
    for hardening in ["NoNewPrivileges", "ProtectSystem", "PrivateTmp", "RestrictAddressFamilies"] {
        one("Service", hardening);
    }
    assert!(unit(SOCKET).contains_key(&("Socket".to_owned(), "ListenStream".to_owned())));
}

#[test]
fn systemd_is_told_when_the_server_is_ready_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let said = || {
        let mut bytes = [0; 4096];
        let length = systemd.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let listen = ["--listen", "127.0.0.1:0"];
    let server = Server::start_with(folder.path(), &listen, &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    assert!(said().lines().any(|line| line == "READY=1"));
    // It is ready indeed.
    assert_eq!(server.get("127.0.0.1", "/health").status, 200);
    server.ask_to_stop();
    assert!(said().lines().any(|line| line == "STOPPING=1"));
    assert!(server.wait());
}

#[test]
fn a_socket_that_systemd_opened_is_listened_on() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("freehold.toml"), "[[listener]]\naddress = \"systemd:0\"\n").unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    // As systemd does it: the socket is the first descriptor after the three that everybody has.
    let script = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_freehold"), "--config", "freehold.toml", "serve"]);
    command.current_dir(folder.path()).env_remove("NOTIFY_SOCKET").stdin(Stdio::from(OwnedFd::from(socket)));
    let server = Server::spawn(&mut command);
    assert_eq!(server.port, port);
    assert_eq!(server.get("127.0.0.1", "/health").status, 200);
    assert!(server.stop());
    // Without it, the server says what is missing.
    let refused = run(folder.path(), &["--config", "freehold.toml", "serve"]);
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && error.contains("systemd opened no such socket"), "{error}");
}

#[test]
fn the_image_runs_what_the_program_takes() {
    let instruction = |name: &str| {
        let line = DOCKERFILE.lines().rfind(|line| line.starts_with(name)).unwrap();
        serde_json::from_str::<Vec<String>>(line.strip_prefix(name).unwrap()).unwrap()
    };
    let command = [instruction("ENTRYPOINT "), instruction("CMD ")].concat();
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    assert_eq!(command[0], "freehold");
    assert!(is_command_line(&command[1..]), "{command:?}");
    let check = DOCKERFILE
        .lines()
        .find_map(|line| line.trim().strip_prefix("CMD [\"freehold\", \"--data\""))
        .unwrap();
    let check: Vec<String> = serde_json::from_str(&format!("[\"--data\"{check}")).unwrap();
    let check: Vec<&str> = check.iter().map(String::as_str).collect();
    assert_eq!(check, ["--data", "/var/lib/freehold", "status"], "of the server whose data it is");
    assert_eq!(command[1..3], check[..2]);
    let build = DOCKERFILE.lines().find_map(|line| line.strip_prefix("RUN cargo ")).unwrap();
    assert_eq!(build, "build --release --locked --bin freehold");
}

/// The names of metrics in a query.
fn metrics(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("freehold_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_metric_of_the_dashboard_is_there() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut wanted = BTreeSet::new();
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        let queries = targets.iter().map(|target| target["expr"].as_str().unwrap());
        let named: BTreeSet<String> = queries.flat_map(metrics).collect();
        assert!(!named.is_empty(), "{} shows nothing", panel["title"]);
        wanted.extend(named);
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    assert_eq!(server.get("alice.localhost", "/_matrix/client/versions").status, 200);
    let token = printed(folder.path(), &["token", "add", "dashboard"]);
    let token = token.lines().next().unwrap();
    assert_eq!(server.get("alice.localhost", "/metrics").status, 401);
    let answer = server.get_as("alice.localhost", "/metrics", token);
    assert_eq!(answer.status, 200);
    let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
    let shown: BTreeSet<&str> = lines.filter_map(|line| line.split(['{', ' ']).next()).collect();
    let missing: Vec<&String> = wanted.iter().filter(|name| !shown.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?} are none of {shown:?}");
    assert!(server.stop());
}
