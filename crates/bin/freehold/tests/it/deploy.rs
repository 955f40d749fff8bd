//! What is shipped for running the server: the units of systemd, the dashboard, the Dockerfile.

use std::collections::{BTreeMap, BTreeSet};

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
fn the_image_runs_what_the_program_takes() {
    let instruction = |name: &str| {
        let line = DOCKERFILE.lines().rfind(|line| line.starts_with(name)).unwrap();
        serde_json::from_str::<Vec<String>>(line.strip_prefix(name).unwrap()).unwrap()
    };
    let command = [instruction("ENTRYPOINT "), instruction("CMD ")].concat();
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    assert_eq!(command[0], "freehold");
    assert!(is_command_line(&command[1..]), "{command:?}");
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
