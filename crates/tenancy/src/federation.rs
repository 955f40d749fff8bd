//! With which servers a tenant speaks.

use std::collections::BTreeSet;

use ruma_common::ServerName;
use serde::{Deserialize, Serialize};

/// With which servers a tenant speaks: patterns of server names with `*` and `?`, as in `m.room.server_acl`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Federation {
    /// Only with these; without any, with all that are not denied.
    pub allow: BTreeSet<String>,
    /// Not with these.
    pub deny: BTreeSet<String>,
}

impl Federation {
    /// Whether the tenant speaks with `server`.
    pub fn allows(&self, server: &ServerName) -> bool {
        let name = server.host().to_ascii_lowercase();
        let among = |patterns: &BTreeSet<String>| {
            patterns.iter().any(|pattern| matches(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()))
        };
        !among(&self.deny) && (self.allow.is_empty() || among(&self.allow))
    }
}

/// Whether a name matches a pattern with `*` and `?`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut of, mut star) = (0, 0, None);
    while let Some(byte) = name.get(of) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(b'?') => (at, of) = (at + 1, of + 1),
            Some(other) if other == byte => (at, of) = (at + 1, of + 1),
            _ => match star {
                // The last star takes one byte more.
                Some((star_at, taken)) => {
                    star = Some((star_at, taken + 1));
                    (at, of) = (star_at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_servers_match_as_in_server_acls() {
        for (pattern, name, expected) in [
            ("*", "example.org", true),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "example.org", false),
            ("ex?mple.org", "example.org", true),
            ("ex?ample.org", "example.org", false),
            ("*a*b", "xaxbxab", true),
            ("*a*b", "xaxbxa", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        let federation = Federation { allow: ["*.org".into()].into(), deny: ["Evil.org".into()].into() };
        for (server, expected) in [("good.org", true), ("EVIL.ORG:8448", false), ("good.com", false)] {
            assert_eq!(federation.allows(&ServerName::parse(server).unwrap()), expected, "{server}");
        }
    }
}
