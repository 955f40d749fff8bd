//! The ledger of endpoints and the router say the same.

use std::collections::{BTreeMap, BTreeSet};

use freehold_client_api::{Access, endpoints};
use serde::Deserialize;

use crate::server::{Ask, Server};

/// `spec-tests/endpoints.toml`. Endpoints are written `GET /path/{variable}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ledger {
    /// Capabilities that come later, and what they are.
    later: BTreeMap<String, String>,
    /// What becomes of each endpoint, by page of the specification.
    endpoints: BTreeMap<String, BTreeMap<String, String>>,
    /// The same of the server-server API.
    #[serde(rename = "servers")]
    _servers: serde::de::IgnoredAny,
    /// Endpoints that the specification does not have, and why they are there.
    beyond: BTreeMap<String, String>,
}

/// What becomes of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is there.
    Done,
    /// The process serves it, but not by this router.
    Beside,
    /// It is not there.
    Later,
}

impl Ledger {
    pub(crate) fn read() -> Self {
        toml::from_str(include_str!("../../../../spec-tests/endpoints.toml")).unwrap()
    }

    /// Method, path and state of every endpoint of the specification.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &str, State)> {
        self.endpoints.values().flatten().map(|(endpoint, state)| {
            let (method, path) = endpoint.split_once(' ').unwrap();
            (method, path, self.state(endpoint, state))
        })
    }

    fn state(&self, endpoint: &str, state: &str) -> State {
        match state {
            "done" => State::Done,
            "beside" => State::Beside,
            _ => {
                let capability = state.strip_prefix("later: ").unwrap_or_default();
                assert!(self.later.contains_key(capability), "{endpoint}: no state is called `{state}`");
                State::Later
            }
        }
    }
}

/// A path with every variable called the same, because ruma calls them otherwise than the specification.
fn without_names(method: &str, path: &str) -> String {
    let segments: Vec<&str> =
        path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect();
    format!("{method} {}", segments.join("/"))
}

/// A path with something in the place of every variable that passes for it.
pub(crate) fn example(path: &str) -> String {
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| {
            match segment.trim_matches(['{', '}']).to_ascii_lowercase().replace('_', "").as_str() {
                _ if !segment.starts_with('{') => segment,
                "roomid" | "roomidoralias" => "!nothing:alice.example",
                "roomalias" => "%23nothing:alice.example",
                "eventid" => "$nothing",
                "userid" => "@nobody:alice.example",
                "servername" => "alice.example",
                "receipttype" => "m.read",
                "reltype" => "m.thread",
                "kind" => "override",
                _ => "something",
            }
        })
        .collect();
    segments.join("/")
}

#[tokio::test]
async fn a_done_endpoint_is_recognized_and_a_later_one_is_not() {
    let server = Server::start();
    let ledger = Ledger::read();
    let mut wrong = Vec::new();
    for (method, path, state) in ledger.entries().filter(|(.., state)| *state != State::Beside) {
        let answer = server.send(Ask::new(method, &example(path))).await;
        let recognized = !matches!(answer.error(), (404 | 405, "M_UNRECOGNIZED"));
        if recognized != (state == State::Done) {
            wrong.push(format!(
                "\"{method} {path}\": {state:?} in the ledger, recognized by the router: {recognized}"
            ));
        }
    }
    assert!(wrong.is_empty(), "spec-tests/endpoints.toml and the router disagree:\n{}", wrong.join("\n"));
}

#[test]
fn what_the_router_has_at_stable_paths_is_done_in_the_ledger_or_explained_there() {
    let ledger = Ledger::read();
    let listed: BTreeSet<String> = ledger
        .entries()
        .filter(|(.., state)| *state == State::Done)
        .map(|(method, path, _)| without_names(method, path))
        .chain(ledger.beyond.keys().map(|endpoint| {
            let (method, path) = endpoint.split_once(' ').unwrap();
            without_names(method, path)
        }))
        .collect();
    let unstable = |path: &str| path.contains("/unstable/") || path.contains("/r0/");
    let unlisted: Vec<String> = endpoints()
        .list()
        .iter()
        .filter(|endpoint| !unstable(endpoint.path))
        .map(|endpoint| without_names(endpoint.method.as_str(), endpoint.path))
        .filter(|endpoint| !listed.contains(endpoint))
        .collect();
    assert!(unlisted.is_empty(), "not in spec-tests/endpoints.toml: {unlisted:#?}");
}

#[tokio::test]
async fn what_wants_a_token_is_refused_without_one() {
    let server = Server::start();
    for endpoint in endpoints().list().iter().filter(|endpoint| endpoint.access == Access::Users) {
        let answer = server.send(Ask::new(endpoint.method.as_str(), &example(endpoint.path))).await;
        assert_eq!(answer.error(), (401, "M_MISSING_TOKEN"), "{} {}", endpoint.method, endpoint.path);
    }
}
