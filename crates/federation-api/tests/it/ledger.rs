//! The ledger of endpoints and the router say the same.

use freehold_federation_api::Access;
use freehold_testkit::{EndpointState, Ledger, without_names};

use crate::server::{Ask, Server};

/// A path with something in the place of every variable that passes for it.
pub(crate) fn example(path: &str) -> String {
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| {
            match segment.trim_matches(['{', '}']).to_ascii_lowercase().replace('_', "").as_str() {
                _ if !segment.starts_with('{') => segment,
                "roomid" => "!nothing:alice.example",
                "eventid" => "$nothing",
                "userid" => "@nobody:alice.example",
                "servername" => "remote.example",
                _ => "something",
            }
        })
        .collect();
    segments.join("/")
}

#[test]
fn the_ledger_has_the_36_endpoints_of_the_specification() {
    assert_eq!(Ledger::of_servers().entries().count(), 36);
}

#[tokio::test]
async fn a_done_endpoint_is_recognized_and_a_later_one_is_not() {
    let server = Server::start();
    let ledger = Ledger::of_servers();
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

#[tokio::test]
async fn what_the_router_has_is_done_in_the_ledger_or_explained_there() {
    let listed = Ledger::of_servers().listed();
    let unlisted: Vec<String> = Server::start()
        .endpoints()
        .iter()
        .map(|endpoint| without_names(endpoint.method.as_str(), endpoint.path))
        .filter(|endpoint| !listed.contains(endpoint))
        .collect();
    assert!(unlisted.is_empty(), "not in spec-tests/endpoints.toml: {unlisted:#?}");
}

#[tokio::test]
async fn what_wants_a_signature_is_refused_without_one() {
    let server = Server::start();
    for endpoint in server.endpoints().iter().filter(|endpoint| endpoint.access == Access::Servers) {
        let answer = server.send(Ask::new(endpoint.method.as_str(), &example(endpoint.path))).await;
        assert_eq!(answer.error(), (401, "M_UNAUTHORIZED"), "{} {}", endpoint.method, endpoint.path);
    }
}

/// What the specification asks no signature for; everything else asks for one.
#[tokio::test]
async fn only_what_comes_before_keys_and_belongs_to_nobody_is_open_to_everybody() {
    let open = [
        "/_matrix/key/",
        "/_matrix/federation/v1/version",
        "/_matrix/federation/v1/openid/userinfo",
        // Identity servers have no keys of the federation; what they bring is signed for the room.
        "/_matrix/federation/v1/3pid/onbind",
    ];
    for endpoint in Server::start().endpoints() {
        let is_open = open.iter().any(|beginning| endpoint.path.starts_with(beginning));
        assert_eq!(endpoint.access == Access::Everybody, is_open, "{} {}", endpoint.method, endpoint.path);
    }
}
