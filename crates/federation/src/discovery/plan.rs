//! The six steps, without any I/O.

use std::net::{IpAddr, SocketAddr};

use ruma_common::{OwnedServerName, ServerName};

use super::error::DiscoveryError;
use super::step::{Step, Target};
use crate::limits::{ADDRESSES_MAX, SRV_RECORDS_MAX};
use crate::transport::{LookupError, SrvRecord};

/// The steps of <https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names> for one name.
///
/// [`turn`](Self::turn) says what is to be asked next; [`told`](Self::told) takes the answer.
#[derive(Clone, Debug)]
pub struct Plan {
    server_name: OwnedServerName,
    /// The name that leads on: the server's own, or the one it delegates to.
    current: OwnedServerName,
    delegated: bool,
    doubtful: bool,
    state: State,
}

/// What is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `https://{host}/.well-known/matrix/server`.
    WellKnown {
        /// The host.
        host: String,
    },
    /// The SRV records of a name.
    Srv {
        /// The name.
        name: String,
    },
    /// The addresses of a host.
    Addresses {
        /// The host.
        host: String,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// To whom the well-known document delegates; `None`, if there is no valid one.
    WellKnown(Option<OwnedServerName>),
    /// The SRV records, in the order in which they are tried.
    Srv(Result<Vec<SrvRecord>, LookupError>),
    /// The addresses, in the order in which they are tried, without those that may not be asked.
    Addresses(Result<Vec<IpAddr>, DiscoveryError>),
}

/// How a plan goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Ask this.
    Ask(Ask),
    /// The server is found.
    Found(Target),
    /// It is not.
    Failed(DiscoveryError),
}

/// The port of servers that name none.
const PORT: u16 = 8448;

#[derive(Clone, Debug)]
enum State {
    WellKnown,
    Srv(Service),
    Addresses(Resolving),
    End(Result<Target, DiscoveryError>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Registered,
    Deprecated,
}

#[derive(Clone, Debug)]
struct Resolving {
    step: Step,
    /// Hosts and ports whose addresses are still to be looked up, the last first.
    left: Vec<(String, u16)>,
    found: Vec<SocketAddr>,
    failure: Option<DiscoveryError>,
}

impl Service {
    fn label(self) -> &'static str {
        match self {
            Service::Registered => "_matrix-fed._tcp",
            Service::Deprecated => "_matrix._tcp",
        }
    }
}

impl Plan {
    /// The plan to find a server.
    pub fn new(server_name: &ServerName) -> Self {
        let mut plan = Plan {
            server_name: server_name.to_owned(),
            current: server_name.to_owned(),
            delegated: false,
            doubtful: false,
            state: State::WellKnown,
        };
        if let Some(state) = plan.without_lookup() {
            plan.state = state;
        }
        plan
    }

    /// What to do now.
    pub fn turn(&self) -> Turn {
        match &self.state {
            State::WellKnown => Turn::Ask(Ask::WellKnown { host: self.server_name.host().to_owned() }),
            State::Srv(service) => Turn::Ask(Ask::Srv { name: self.srv_name(*service) }),
            State::Addresses(resolving) => match resolving.left.last() {
                Some((host, _)) => Turn::Ask(Ask::Addresses { host: host.clone() }),
                None => Turn::Failed(DiscoveryError::NoAddress { host: self.current.host().to_owned() }),
            },
            State::End(Ok(target)) => Turn::Found(target.clone()),
            State::End(Err(error)) => Turn::Failed(error.clone()),
        }
    }

    /// Takes the answer to what was asked. An answer to anything else is ignored.
    pub fn told(&mut self, told: Told) {
        let state = match (&mut self.state, told) {
            (State::WellKnown, Told::WellKnown(Some(delegated))) => {
                self.current = delegated;
                self.delegated = true;
                self.without_lookup().unwrap_or(State::Srv(Service::Registered))
            }
            // 4. If the `/.well-known` request resulted in an error response, a server is found by resolving an SRV
            //    record for `_matrix-fed._tcp.<hostname>`.
            (State::WellKnown, Told::WellKnown(None)) => State::Srv(Service::Registered),
            (State::Srv(service), Told::Srv(records)) => {
                let service = *service;
                self.after_srv(service, records)
            }
            (State::Addresses(resolving), Told::Addresses(addresses)) => {
                resolving.take(addresses);
                let resolving = resolving.clone();
                self.after_addresses(resolving)
            }
            _ => return,
        };
        self.state = state;
    }

    /// Whether a failure of the DNS led here, so that the result is better not believed for long.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Where the current name leads if nothing but addresses is to be looked up for it.
    fn without_lookup(&self) -> Option<State> {
        let name = &self.current;
        let host = bare(name.host());
        if let Ok(address) = host.parse::<IpAddr>() {
            // 1. If the hostname is an IP literal, then that IP address should be used, together with the given port
            //    number, or 8448 if no port is given.
            // 3.1. The same for `<delegated_hostname>`.
            let step = if self.delegated { Step::DelegatedIpLiteral } else { Step::IpLiteral };
            let port = name.port().unwrap_or(PORT);
            return Some(self.resolve(step, vec![(address.to_string(), port)]));
        }
        // 2. If the hostname is not an IP literal, and the server name includes an explicit port, resolve the hostname
        //    to an IP address using CNAME, AAAA or A records.
        // 3.2. The same for `<delegated_hostname>` and `<delegated_port>`.
        let port = name.port()?;
        let step = if self.delegated { Step::DelegatedPort } else { Step::Port };
        Some(self.resolve(step, vec![(name.host().to_owned(), port)]))
    }

    fn srv_name(&self, service: Service) -> String {
        format!("{}.{}", service.label(), self.current.host())
    }

    fn after_srv(&mut self, service: Service, records: Result<Vec<SrvRecord>, LookupError>) -> State {
        let records = records.unwrap_or_else(|_| {
            // Some name servers cannot answer for SRV records at all; who has none is reached all the same.
            self.doubtful = true;
            Vec::new()
        });
        if records.is_empty() {
            return self.without_srv(service);
        }
        let offered: Vec<(String, u16)> = records
            .into_iter()
            .filter(|record| !record.target.is_empty())
            .take(SRV_RECORDS_MAX)
            .map(|record| (record.target, record.port))
            .collect();
        if offered.is_empty() {
            return State::End(Err(DiscoveryError::NotOffered { name: self.srv_name(service) }));
        }
        let step = match (self.delegated, service) {
            (true, Service::Registered) => Step::DelegatedSrv,
            (true, Service::Deprecated) => Step::DelegatedDeprecatedSrv,
            (false, Service::Registered) => Step::Srv,
            (false, Service::Deprecated) => Step::DeprecatedSrv,
        };
        self.resolve(step, offered)
    }

    fn without_srv(&self, service: Service) -> State {
        match service {
            // 3.4 and 5: the deprecated service.
            Service::Registered => State::Srv(Service::Deprecated),
            // 3.5. If no SRV record is found, an IP address is resolved using CNAME, AAAA or A records. Requests are
            //      then made to the resolved IP address and a port of 8448.
            // 6.   The same for `<hostname>`.
            Service::Deprecated => {
                let step = if self.delegated { Step::Delegated } else { Step::Host };
                self.resolve(step, vec![(self.current.host().to_owned(), PORT)])
            }
        }
    }

    fn resolve(&self, step: Step, mut hosts: Vec<(String, u16)>) -> State {
        hosts.reverse();
        State::Addresses(Resolving { step, left: hosts, found: Vec::new(), failure: None })
    }

    fn after_addresses(&mut self, resolving: Resolving) -> State {
        if !resolving.left.is_empty() && resolving.found.len() < ADDRESSES_MAX {
            return State::Addresses(resolving);
        }
        let Resolving { step, mut found, failure, .. } = resolving;
        found.truncate(ADDRESSES_MAX);
        if found.is_empty() {
            let no_address = || DiscoveryError::NoAddress { host: self.current.host().to_owned() };
            return State::End(Err(failure.unwrap_or_else(no_address)));
        }
        // With SRV, `Host` and certificate are for the name before the record: "the target of the delegation must
        // prove that it is a valid delegate for `<hostname>` via TLS".
        let certificate_name = bare(self.current.host()).to_owned();
        let host = self.current.as_str().to_owned();
        State::End(Ok(Target { step, host, certificate_name, addresses: found }))
    }
}

impl Resolving {
    fn take(&mut self, addresses: Result<Vec<IpAddr>, DiscoveryError>) {
        let Some((host, port)) = self.left.pop() else { return };
        match addresses {
            Ok(addresses) if addresses.is_empty() => self.failure = Some(DiscoveryError::NoAddress { host }),
            Ok(addresses) => {
                for address in addresses.into_iter().map(|address| SocketAddr::new(address, port)) {
                    if !self.found.contains(&address) {
                        self.found.push(address);
                    }
                }
            }
            Err(error) => self.failure = Some(error),
        }
    }
}

/// An IPv6 literal without its brackets; any other host as it is.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use ruma_common::owned_server_name;

    use super::*;

    fn lookup_error() -> LookupError {
        LookupError { name: "name".to_owned(), reason: "SERVFAIL".to_owned() }
    }

    /// Every answer that a question may have.
    fn answers(ask: &Ask) -> Vec<Told> {
        let record = |target: &str| SrvRecord { priority: 1, weight: 1, target: target.to_owned(), port: 9 };
        match ask {
            Ask::WellKnown { .. } => [
                None,
                Some(owned_server_name!("delegated.example")),
                Some(owned_server_name!("delegated.example:1")),
                Some(owned_server_name!("9.9.9.9")),
            ]
            .map(Told::WellKnown)
            .into(),
            Ask::Srv { .. } => [
                Ok(Vec::new()),
                Ok(vec![record("target.example")]),
                Ok(vec![record("target.example"); 100]),
                Ok(vec![record("")]),
                Err(lookup_error()),
            ]
            .map(Told::Srv)
            .into(),
            Ask::Addresses { .. } => [
                Ok(Vec::new()),
                Ok(vec!["8.1.0.1".parse().unwrap()]),
                Ok((0..100).map(|last| std::net::Ipv4Addr::new(8, 1, 0, last).into()).collect()),
                Err(DiscoveryError::Lookup(lookup_error())),
            ]
            .map(Told::Addresses)
            .into(),
        }
    }

    /// Follows all ways from here on; gives the number of ends.
    fn follow(plan: &Plan, questions: usize) -> usize {
        assert!(questions <= 3 + SRV_RECORDS_MAX, "{plan:?}");
        match plan.turn() {
            Turn::Failed(_) => 1,
            Turn::Found(target) => {
                let count = target.addresses.len();
                assert!((1..=ADDRESSES_MAX).contains(&count), "{target:?}");
                assert_ne!(target.certificate_name, "target.example", "the DNS does not say who is trusted");
                assert!(target.host.starts_with(&target.certificate_name), "{target:?}");
                1
            }
            Turn::Ask(ask) => {
                let ways = answers(&ask).into_iter().map(|told| {
                    let mut next = plan.clone();
                    next.told(told);
                    // The same answer for all targets of a record: their number alone matters here.
                    if let (Turn::Ask(Ask::Addresses { .. }), Ask::Addresses { .. }) = (next.turn(), &ask) {
                        let mut last = next.clone();
                        while let Turn::Ask(ask) = last.turn() {
                            last.told(answers(&ask).swap_remove(0));
                        }
                        return follow(&last, questions + 1);
                    }
                    follow(&next, questions + 1)
                });
                ways.sum()
            }
        }
    }

    #[test]
    fn every_way_ends_and_no_record_decides_who_is_trusted() {
        for (name, ways) in [
            (owned_server_name!("plain.example"), 94),
            (owned_server_name!("plain.example:1"), 4),
            (owned_server_name!("9.9.9.9"), 4),
        ] {
            assert_eq!(follow(&Plan::new(&name), 0), ways, "{name}");
        }
    }

    #[test]
    fn an_answer_to_another_question_changes_nothing() {
        let mut plan = Plan::new("plain.example".try_into().unwrap());
        let before = plan.turn();
        plan.told(Told::Addresses(Ok(vec!["8.1.0.1".parse().unwrap()])));
        plan.told(Told::Srv(Ok(Vec::new())));
        assert_eq!(plan.turn(), before);
    }

    #[test]
    fn a_failure_of_the_dns_on_the_way_makes_the_end_doubtful() {
        let mut plan = Plan::new("plain.example".try_into().unwrap());
        plan.told(Told::WellKnown(None));
        plan.told(Told::Srv(Err(lookup_error())));
        plan.told(Told::Srv(Ok(Vec::new())));
        plan.told(Told::Addresses(Ok(vec!["8.1.0.1".parse().unwrap()])));
        assert!(plan.is_doubtful() && matches!(plan.turn(), Turn::Found(_)));
    }
}
