//! Which addresses may be asked.

use std::net::IpAddr;

use ipnet::IpNet;

/// Which addresses may be asked: those of the internet, and networks that the operator allows.
///
/// What strangers name must not lead into the operator's own network: not by an address, not by a name that resolves to
/// one, not by a redirect, and not in another notation (CVE-2024-52594).
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    allowed: Vec<IpNet>,
}

impl AddressPolicy {
    /// The internet, and these networks.
    pub fn new(allowed: &[IpNet]) -> Self {
        AddressPolicy { allowed: allowed.to_vec() }
    }

    /// Whether an address may be asked.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.allowed.iter().any(|network| network.contains(&address))
    }
}

/// Whether an address is of the internet.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, third, _] = v4.octets();
            let shared = first == 100 && (64..128).contains(&second);
            let benchmark = first == 198 && (second == 18 || second == 19);
            let protocols = first == 192 && second == 0 && third == 0;
            let relays = first == 192 && second == 88 && third == 99;
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || shared
                || benchmark
                || protocols
                || relays
                || first == 0
                || first >= 240)
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            let documentation = first == 0x2001 && second == 0xdb8;
            // Global unicast is 2000::/3; within it, 6to4 and Teredo carry addresses that were not looked at, and
            // 2001::/23 is for protocols.
            (first & 0xe000) == 0x2000
                && !documentation
                && first != 0x2002
                && !(first == 0x2001 && second < 0x200)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_asked() {
        for (address, expected) in [
            ("9.9.9.9", true),
            ("2620:fe::fe", true),
            ("2001:4860:4860::8888", true),
            ("::ffff:9.9.9.9", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("192.0.0.1", false),
            ("192.0.2.1", false),
            ("192.88.99.1", false),
            ("198.18.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("fd00::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("::127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2002:7f00:1::", false),
            ("ff02::1", false),
        ] {
            assert_eq!(AddressPolicy::default().permits(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn networks_that_the_operator_allows_are_asked_in_every_notation() {
        let policy = AddressPolicy::new(&["127.0.0.0/8".parse().unwrap()]);
        assert!(policy.permits("127.0.0.1".parse().unwrap()));
        assert!(policy.permits("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!policy.permits("10.0.0.1".parse().unwrap()));
        assert!(!policy.permits("::1".parse().unwrap()));
    }
}
