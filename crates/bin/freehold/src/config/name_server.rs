//! Who is asked for names.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameServer(pub(crate) SocketAddr);

/// The port of the DNS.
const PORT: u16 = 53;

impl FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |address: IpAddr| SocketAddr::new(address, PORT);
        let parsed = text.parse().or_else(|_| text.parse().map(plain));
        parsed.map(NameServer).map_err(|_| {
            format!("`{text}` is not a name server: expected an address as 192.0.2.53 or [2001:db8::53]:5353")
        })
    }
}

impl<'de> Deserialize<'de> for NameServer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_addresses_with_a_port_or_without() {
        for (text, expected) in [
            ("192.0.2.53", Some("192.0.2.53:53")),
            ("192.0.2.53:5353", Some("192.0.2.53:5353")),
            ("2001:db8::53", Some("[2001:db8::53]:53")),
            ("[2001:db8::53]:5353", Some("[2001:db8::53]:5353")),
            ("dns.example", None),
            ("", None),
        ] {
            let parsed = text.parse::<NameServer>().ok().map(|server| server.0.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
    }
}
