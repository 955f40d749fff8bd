//! The ledger of the specification's endpoints, for the tests that hold a router against it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// What becomes of each endpoint, by page of the specification.
type Pages = BTreeMap<String, BTreeMap<String, String>>;

/// `spec-tests/endpoints.toml`. Endpoints are written `GET /path/{variable}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Capabilities that come later, and what they are.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "it is read by people, and held against the endpoints")
    )]
    later: BTreeMap<String, String>,
    /// The client-server API.
    endpoints: Pages,
    /// The server-server API.
    servers: Pages,
    /// Endpoints that the specification does not have, and why they are there.
    beyond: BTreeMap<String, String>,
}

/// What becomes of the endpoints of one of the APIs.
#[derive(Clone, Debug)]
pub struct Ledger {
    pages: Pages,
    beyond: BTreeMap<String, String>,
}

/// What becomes of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// It is there.
    Done,
    /// The process serves it, but not by the router of the API.
    Beside,
    /// It is not there.
    Later,
}

impl Written {
    #[expect(clippy::expect_used, reason = "a test whose input is wrong must stop")]
    fn read() -> Self {
        toml::from_str(include_str!("../../../spec-tests/endpoints.toml")).expect("the ledger is readable")
    }
}

impl Ledger {
    /// That of the client-server API.
    pub fn of_clients() -> Self {
        let Written { endpoints, beyond, .. } = Written::read();
        Ledger { pages: endpoints, beyond }
    }

    /// That of the server-server API.
    pub fn of_servers() -> Self {
        let Written { servers, beyond, .. } = Written::read();
        Ledger { pages: servers, beyond }
    }

    /// Method, path and state of every endpoint of the specification.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str, EndpointState)> {
        self.pages.values().flatten().filter_map(|(endpoint, state)| {
            let (method, path) = endpoint.split_once(' ')?;
            Some((method, path, EndpointState::of(state)))
        })
    }

    /// What a router may have, [`without_names`]: what is done, and what is beyond the specification.
    pub fn listed(&self) -> BTreeSet<String> {
        let done = self.entries().filter(|(.., state)| *state == EndpointState::Done);
        let done = done.map(|(method, path, _)| (method, path));
        let beyond = self.beyond.keys().filter_map(|endpoint| endpoint.split_once(' '));
        done.chain(beyond).map(|(method, path)| without_names(method, path)).collect()
    }
}

impl EndpointState {
    fn of(written: &str) -> Self {
        match written {
            "done" => EndpointState::Done,
            "beside" => EndpointState::Beside,
            _ => EndpointState::Later,
        }
    }
}

/// An endpoint with every variable called the same, because routers call them otherwise than the specification.
pub fn without_names(method: &str, path: &str) -> String {
    let segments: Vec<&str> =
        path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect();
    format!("{method} {}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_done_names_a_capability_and_every_capability_is_named() {
        let Written { later, endpoints, servers, .. } = Written::read();
        let states = endpoints.values().chain(servers.values()).flatten();
        let mut named = BTreeSet::new();
        for (endpoint, state) in states {
            assert!(endpoint.contains(" /"), "{endpoint}");
            if EndpointState::of(state) == EndpointState::Later {
                let capability =
                    state.strip_prefix("later: ").unwrap_or_else(|| panic!("{endpoint}: {state}"));
                named.insert(capability);
            }
        }
        assert_eq!(named, later.keys().map(String::as_str).collect());
    }
}
