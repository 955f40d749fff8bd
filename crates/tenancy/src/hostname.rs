//! Hostnames: under which names clients and other servers reach a tenant.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ruma_common::ServerName;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// A hostname or IP literal in one form: lower case, without port and final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(String);

impl Hostname {
    /// Reads a hostname as people, certificates and `Host` headers write it, with or without a port.
    ///
    /// # Errors
    /// [`HostnameError`].
    pub fn parse(text: &str) -> Result<Self, HostnameError> {
        let wrong = || HostnameError { text: text.chars().take(HOST_CHARS_MAX).collect() };
        let host = without_port(text).ok_or_else(wrong)?;
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if is_ip_literal(&host) || is_dns_name(&host) { Ok(Hostname(host)) } else { Err(wrong()) }
    }

    /// The hostname part of a server name.
    pub fn of(server_name: &ServerName) -> Self {
        Hostname(server_name.host().to_ascii_lowercase())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was given is no hostname.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not a hostname")]
pub struct HostnameError {
    /// What was given, or its beginning.
    pub text: String,
}

/// The provider's own domain: each tenant has a name below it, so that one wildcard DNS record and one wildcard
/// certificate serve everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseDomain(Hostname);

impl BaseDomain {
    /// A base domain such as `matrix.example.net`.
    ///
    /// # Errors
    /// [`HostnameError`], also for IP literals.
    pub fn parse(text: &str) -> Result<Self, HostnameError> {
        let host = Hostname::parse(text)?;
        if !is_ip_literal(host.as_str()) {
            Ok(BaseDomain(host))
        } else {
            Err(HostnameError { text: text.into() })
        }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether `hostname` lies directly below it, where only we give out names.
    pub fn is_above(&self, hostname: &str) -> bool {
        let label = hostname.strip_suffix(self.0.as_str()).and_then(|rest| rest.strip_suffix('.'));
        label.is_some_and(|label| !label.is_empty() && !label.contains('.'))
    }

    /// The name that a tenant gets below it.
    pub fn hostname_of(&self, server_name: &ServerName) -> Hostname {
        Hostname(format!("{}.{}", label(server_name), self.0))
    }
}

/// Whether a server name is one that everybody has for himself: `localhost` and what is below it, which never leaves
/// the machine (<https://www.rfc-editor.org/rfc/rfc6761#section-6.3>).
pub fn is_development(host: &str) -> bool {
    host == "localhost" || host.strip_suffix(".localhost").is_some_and(|label| !label.is_empty())
}

/// One DNS label for a server name, different for different names: `.` becomes `-`, `-` becomes `--`, and a port or
/// a name that is too long ends in a piece of its hash.
fn label(server_name: &ServerName) -> String {
    let name = server_name.as_str().to_ascii_lowercase();
    let plain: String = name.replace('-', "--").replace('.', "-");
    let edges = plain.starts_with('-') || plain.ends_with('-');
    if plain.len() <= LABEL_BYTES_MAX && !edges && plain.bytes().all(is_label_byte) {
        return plain;
    }
    let kept: String =
        plain.chars().filter(|c| c.is_ascii_alphanumeric()).take(LABEL_BYTES_MAX - 20).collect();
    let digest: String =
        Sha256::digest(name.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("x{kept}---{digest}")
}

const LABEL_BYTES_MAX: usize = 63;
const HOST_CHARS_MAX: usize = 255;

/// Cuts a port off; `None` when what follows the colon is none.
fn without_port(text: &str) -> Option<&str> {
    let host_end =
        if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, rest) = text.split_at_checked(host_end)?;
    match rest.strip_prefix(':') {
        None => rest.is_empty().then_some(host),
        Some(port) => port.parse::<u16>().is_ok().then_some(host),
    }
}

fn is_ip_literal(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    }
}

fn is_dns_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(is_label_byte)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= HOST_CHARS_MAX - 2 && host.split('.').all(is_label)
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_hostname_has_one_form() {
        for (text, expected) in [
            ("Example.ORG", Some("example.org")),
            ("example.org:8008", Some("example.org")),
            ("example.org.", Some("example.org")),
            ("alice.localhost", Some("alice.localhost")),
            ("127.0.0.1:8008", Some("127.0.0.1")),
            ("[::1]:8448", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("", None),
            ("::1", None),
            ("example..org", None),
            ("-a.org", None),
            ("a_b.org", None),
            ("example.org:port", None),
            ("example.org/path", None),
            ("[::1]x", None),
        ] {
            assert_eq!(Hostname::parse(text).ok().as_ref().map(Hostname::as_str), expected, "{text}");
        }
    }

    #[test]
    fn different_server_names_get_different_labels() {
        let base = BaseDomain::parse("m.example.net").unwrap();
        let long = format!("{}.{}.org", "a".repeat(60), "b".repeat(60));
        let longer = format!("{}.{}.com", "a".repeat(60), "b".repeat(60));
        let names =
            ["a-b.org", "a.b.org", "a--b.org", "a-b-org", "a.b.org:8448", "1.2.3.4", "[::1]", &long, &longer];
        let labels: BTreeSet<String> = names
            .iter()
            .map(|name| base.hostname_of(&ServerName::parse(*name).unwrap()).into_string())
            .collect();
        assert_eq!(labels.len(), names.len(), "{labels:?}");
        for label in &labels {
            assert_eq!(Hostname::parse(label).map(Hostname::into_string).as_deref(), Ok(label.as_str()));
            assert!(base.is_above(label), "{label}");
        }
    }

    #[test]
    fn only_names_directly_below_the_base_domain_are_ours_to_give() {
        let base = BaseDomain::parse("example.net").unwrap();
        for (host, expected) in [
            ("a.example.net", true),
            ("a.b.example.net", false),
            ("example.net", false),
            ("aexample.net", false),
        ] {
            assert_eq!(base.is_above(host), expected, "{host}");
        }
        assert!(BaseDomain::parse("127.0.0.1").is_err());
    }

    #[test]
    fn development_names_are_below_localhost_only() {
        for (host, expected) in [
            ("localhost", true),
            ("alice.localhost", true),
            ("localhost.example.org", false),
            ("alicelocalhost", false),
            (".localhost", false),
        ] {
            assert_eq!(is_development(host), expected, "{host}");
        }
    }
}
