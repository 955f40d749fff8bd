//! The ledger of endpoints and the router say the same.

use freehold_client_api::{Access, endpoints};
use freehold_testkit::{EndpointState, Ledger, without_names};

use crate::server::{Ask, Server};

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
    let ledger = Ledger::of_clients();
    let mut wrong = Vec::new();
    for (method, path, state) in ledger.entries().filter(|(.., state)| *state != EndpointState::Beside) {
        let answer = server.send(Ask::new(method, &example(path))).await;
        let recognized = !matches!(answer.error(), (404 | 405, "M_UNRECOGNIZED"));
        if recognized != (state == EndpointState::Done) {
            wrong.push(format!(
                "\"{method} {path}\": {state:?} in the ledger, recognized by the router: {recognized}"
            ));
        }
    }
    assert!(wrong.is_empty(), "spec-tests/endpoints.toml and the router disagree:\n{}", wrong.join("\n"));
}

#[test]
fn what_the_router_has_at_stable_paths_is_done_in_the_ledger_or_explained_there() {
    let listed = Ledger::of_clients().listed();
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
