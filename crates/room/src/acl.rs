//! Server access control lists.

use freehold_canonical_json::member;
use ruma_common::ServerName;

/// The `m.room.server_acl` of a room
/// (<https://spec.matrix.org/v1.19/client-server-api/#server-access-control-lists-acls-for-rooms>), read once.
///
/// A room without one lets everybody take part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerAcl {
    lists: Option<Lists>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Lists {
    allow: Vec<String>,
    deny: Vec<String>,
    allow_ip_literals: bool,
}

impl ServerAcl {
    /// Reads the content of an `m.room.server_acl` event. Entries that are no strings are passed over.
    pub fn of_content(content: &str) -> Self {
        let allow_ip_literals =
            member(content, "allow_ip_literals").ok().flatten().and_then(|value| value.as_bool());
        ServerAcl {
            lists: Some(Lists {
                allow: globs(content, "allow"),
                deny: globs(content, "deny"),
                allow_ip_literals: allow_ip_literals.unwrap_or(true),
            }),
        }
    }

    /// Whether a server may take part.
    ///
    /// > 1. If there is no `m.room.server_acl` event in the room state, allow.
    /// > 2. If the server name is an IP address (v4 or v6) literal, and `allow_ip_literals` is present and
    /// >    `false`, deny.
    /// > 3. If the server name matches an entry in the `deny` list, deny.
    /// > 4. If the server name matches an entry in the `allow` list, allow.
    /// > 5. Otherwise, deny.
    ///
    /// The port of a server name is not looked at, and names compare without regard to case.
    pub fn allows(&self, server_name: &ServerName) -> bool {
        let Some(lists) = &self.lists else {
            return true;
        };
        if !lists.allow_ip_literals && server_name.is_ip_literal() {
            return false;
        }
        let host = server_name.host().to_ascii_lowercase();
        let matches =
            |globs: &[String]| globs.iter().any(|glob| glob_matches(glob.as_bytes(), host.as_bytes()));
        !matches(&lists.deny) && matches(&lists.allow)
    }
}

fn globs(content: &str, list: &str) -> Vec<String> {
    let entries = member(content, list).ok().flatten().and_then(|list| list.as_array());
    let entries = entries.into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| Some(entry.as_str()?.to_ascii_lowercase())).collect()
}

/// Whether a glob (`*` for any number of characters, `?` for one) matches a whole text.
///
/// Takes at most the product of the lengths, whatever the glob: it only ever returns to the last star.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut at_glob, mut at_text) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(at_text) {
        match glob.get(at_glob) {
            Some(b'*') => {
                star = Some((at_glob + 1, at_text));
                at_glob += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                at_glob += 1;
                at_text += 1;
            }
            _ => {
                let Some((after_star, taken)) = star else {
                    return false;
                };
                star = Some((after_star, taken + 1));
                at_glob = after_star;
                at_text = taken + 1;
            }
        }
    }
    glob.get(at_glob..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use ruma_common::ServerName;

    use super::*;

    #[test]
    fn lists_are_asked_in_the_order_of_the_specification() {
        for (content, server, allowed) in [
            (r#"{"allow":["*"]}"#, "example.org", true),
            (r#"{"allow":["*"],"deny":["example.org"]}"#, "example.org", false),
            (r#"{"allow":["*"],"deny":["example.org"]}"#, "example.org:8448", false),
            (r#"{"allow":["*"],"deny":["example.org"]}"#, "other.example.org", true),
            (r#"{"allow":["*"],"deny":["*.example.org"]}"#, "other.example.org", false),
            (r#"{"allow":["*"],"deny":["EXAMPLE.org"]}"#, "exAmple.org", false),
            (r#"{"allow":["*"],"deny":["e?ample.org"]}"#, "example.org", false),
            (r#"{"allow":["example.org"]}"#, "example.com", false),
            (r"{}", "example.org", false),
            (r#"{"allow":["*"],"allow_ip_literals":false}"#, "127.0.0.1", false),
            (r#"{"allow":["*"],"allow_ip_literals":false}"#, "[::1]:8448", false),
            (r#"{"allow":["*"],"allow_ip_literals":true}"#, "127.0.0.1", true),
            (r#"{"allow":["*"],"allow_ip_literals":"no"}"#, "127.0.0.1", true),
            (r#"{"allow":[7,"*"],"deny":"example.org"}"#, "example.org", true),
        ] {
            let server = ServerName::parse(server).unwrap();
            assert_eq!(ServerAcl::of_content(content).allows(&server), allowed, "{content} {server}");
        }
        assert!(ServerAcl::default().allows(&ServerName::parse("example.org").unwrap()));
    }

    #[test]
    fn globs_match_whole_texts() {
        for (glob, text, matches) in [
            ("", "", true),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("**a", "bca", true),
            ("?", "", false),
            ("ab", "abc", false),
        ] {
            assert_eq!(glob_matches(glob.as_bytes(), text.as_bytes()), matches, "{glob} {text}");
        }
    }

    /// CVE-2023-45129: a list made to be slow to match stopped servers.
    #[test]
    fn a_glob_of_many_stars_is_cheap() {
        let glob = "*a".repeat(2_000) + "b";
        assert!(!glob_matches(glob.as_bytes(), "a".repeat(255).as_bytes()));
    }
}
