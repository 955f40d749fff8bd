//! What a tenant publishes below `/.well-known/matrix/`.

use ruma_common::ServerName;
use serde_json::{Value, json};

use crate::policy::{Policy, Support};

/// `GET /.well-known/matrix/client` (<https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixclient>).
///
/// `base_url` is where clients reach the tenant, such as `https://example-org.m.example.net`.
pub fn client_well_known(base_url: &str) -> Value {
    json!({ "m.homeserver": { "base_url": base_url } })
}

/// `GET /.well-known/matrix/server` (<https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver>).
///
/// `None` for a server name with a port or an IP literal, for which nobody asks it.
pub fn server_well_known(server_name: &ServerName, delegated: &str) -> Option<Value> {
    let asked = server_name.port().is_none() && !server_name.is_ip_literal();
    asked.then(|| json!({ "m.server": delegated }))
}

/// `GET /.well-known/matrix/support` (<https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixsupport>).
///
/// `None` when the tenant names neither a contact nor a page; contacts without any address are left out.
pub fn support_well_known(policy: &Policy) -> Option<Value> {
    let Support { contacts, page } = &policy.support;
    let contacts: Vec<_> = contacts
        .iter()
        .filter(|contact| contact.matrix_id.is_some() || contact.email_address.is_some())
        .collect();
    let mut document = serde_json::Map::new();
    if !contacts.is_empty() {
        document.insert("contacts".to_owned(), json!(contacts));
    }
    if let Some(page) = page {
        document.insert("support_page".to_owned(), json!(page));
    }
    (!document.is_empty()).then_some(Value::Object(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delegation_is_published_for_names_for_which_it_is_looked_up() {
        let document = |name| server_well_known(&ServerName::parse(name).unwrap(), "a.example.net:443");
        assert_eq!(document("example.org"), Some(json!({ "m.server": "a.example.net:443" })));
        assert_eq!(document("example.org:8448"), None);
        assert_eq!(document("127.0.0.1"), None);
    }

    #[test]
    fn support_is_published_when_there_is_some() {
        let policy = |patch| Policy::default().merged(&patch).unwrap();
        assert_eq!(support_well_known(&Policy::default()), None);
        assert_eq!(
            support_well_known(&policy(json!({ "support": { "contacts": [{ "role": "m.role.admin" }] } }))),
            None
        );
        let contact = json!({ "role": "m.role.admin", "matrix_id": "@admin:example.org" });
        assert_eq!(
            support_well_known(&policy(json!({ "support": { "contacts": [contact.clone()] } }))),
            Some(json!({ "contacts": [contact] }))
        );
    }
}
