//! What discovery finds.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use crate::transport::Endpoint;

/// Where a server is, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// By which step it was found.
    pub step: Step,
    /// What goes into the `Host` header.
    pub host: String,
    /// The host name or IP address (without brackets) that the certificate must be for.
    pub certificate_name: String,
    /// Where it listens, in the order in which the addresses are tried; never empty.
    pub addresses: Vec<SocketAddr>,
}

impl Target {
    /// The places to try, in order.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        let endpoint = |address: &SocketAddr| Endpoint {
            address: *address,
            certificate_name: self.certificate_name.clone(),
        };
        self.addresses.iter().map(endpoint)
    }
}

/// A step of the specification by which a server is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Step {
    /// 1: the name is an IP literal.
    #[serde(rename = "1")]
    IpLiteral,
    /// 2: the name has a port.
    #[serde(rename = "2")]
    Port,
    /// 3.1: the well-known document names an IP literal.
    #[serde(rename = "3.1")]
    DelegatedIpLiteral,
    /// 3.2: the well-known document names a host with a port.
    #[serde(rename = "3.2")]
    DelegatedPort,
    /// 3.3: the host that the well-known document names has an SRV record `_matrix-fed._tcp`.
    #[serde(rename = "3.3")]
    DelegatedSrv,
    /// 3.4: it has an SRV record of the deprecated service `_matrix._tcp`.
    #[serde(rename = "3.4")]
    DelegatedDeprecatedSrv,
    /// 3.5: it has none, and is spoken to on port 8448.
    #[serde(rename = "3.5")]
    Delegated,
    /// 4: there is no delegation, but an SRV record `_matrix-fed._tcp`.
    #[serde(rename = "4")]
    Srv,
    /// 5: there is an SRV record of the deprecated service `_matrix._tcp`.
    #[serde(rename = "5")]
    DeprecatedSrv,
    /// 6: there is nothing, and the host of the name is spoken to on port 8448.
    #[serde(rename = "6")]
    Host,
}

impl Step {
    /// The number in the specification.
    pub fn number(self) -> &'static str {
        match self {
            Step::IpLiteral => "1",
            Step::Port => "2",
            Step::DelegatedIpLiteral => "3.1",
            Step::DelegatedPort => "3.2",
            Step::DelegatedSrv => "3.3",
            Step::DelegatedDeprecatedSrv => "3.4",
            Step::Delegated => "3.5",
            Step::Srv => "4",
            Step::DeprecatedSrv => "5",
            Step::Host => "6",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.number())
    }
}
