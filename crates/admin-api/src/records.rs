//! What the owner of a domain publishes so that Matrix finds it here: one of three ways.

use std::fmt;

use freehold_tenancy::{CHALLENGE_LABEL, Control, TenantFacts};
use ruma_common::ServerName;
use serde::{Deserialize, Serialize};

/// What the owner of a domain publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// The tenant's name.
    pub server_name: String,
    /// How to prove control of the domain, if that is wanted.
    pub challenge: Option<Record>,
    /// Ways to lead clients and other servers here; one is enough.
    pub ways: Vec<Way>,
}

/// A way to lead clients and other servers here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// What is done.
    pub title: String,
    /// What is published, all of it.
    pub publish: Vec<Record>,
}

/// Something to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Record {
    /// A record in the DNS.
    Dns {
        /// Whose.
        name: String,
        /// Its type.
        r#type: String,
        /// Its value.
        value: String,
    },
    /// A file on the web server of the domain.
    File {
        /// Where.
        url: String,
        /// What is in it.
        body: String,
    },
}

impl Records {
    /// What is to be published for a tenant.
    pub(crate) fn of(facts: &TenantFacts) -> Self {
        let server_name = facts.tenant.server_name();
        let hostname = facts.row.hostnames.first().map_or(server_name.host(), String::as_str);
        let challenge = (facts.row.control == Control::Proved).then(|| Record::Dns {
            name: format!("{CHALLENGE_LABEL}.{}", server_name.host()),
            r#type: "TXT".to_owned(),
            value: format!("\"{}\"", facts.row.challenge),
        });
        let by_name = server_name.port().is_none() && !server_name.is_ip_literal();
        let ways = if by_name { ways(server_name, hostname) } else { vec![direct(server_name)] };
        Records { server_name: server_name.to_string(), challenge, ways }
    }
}

fn ways(server_name: &ServerName, hostname: &str) -> Vec<Way> {
    let (domain, well_known) = (server_name.host(), format!("https://{server_name}/.well-known/matrix"));
    let file = |name: &str, body: String| Record::File { url: format!("{well_known}/{name}"), body };
    let dns = |name: String, kind: &str, value: String| Record::Dns { name, r#type: kind.to_owned(), value };
    let client = file("client", format!("{{\"m.homeserver\": {{\"base_url\": \"https://{hostname}\"}}}}"));
    vec![
        Way {
            title: "publish two files on the domain's own web server, with `Access-Control-Allow-Origin: *`"
                .into(),
            publish: vec![file("server", format!("{{\"m.server\": \"{hostname}:443\"}}")), client.clone()],
        },
        Way {
            title: format!(
                "let the domain itself lead here, with a certificate for {domain} on a listener; the files are then served from here"
            ),
            publish: vec![dns(domain.to_owned(), "CNAME (or A and AAAA)", hostname.to_owned())],
        },
        Way {
            title: format!(
                "publish a record for other servers, which want to see a certificate for {domain} here, and one file for clients"
            ),
            publish: vec![
                dns(format!("_matrix-fed._tcp.{domain}"), "SRV", format!("10 5 443 {hostname}.")),
                client,
            ],
        },
    ]
}

/// Nobody looks for delegation of a name with a port or an IP literal: clients and servers connect to it as it is.
fn direct(server_name: &ServerName) -> Way {
    Way {
        title: format!("let {server_name} lead to a listener of this server, with a certificate for it"),
        publish: Vec::new(),
    }
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(challenge) = &self.challenge {
            writeln!(f, "To prove control of the domain, publish\n\n{challenge}\n")?;
        }
        write!(f, "To lead clients and other servers here, do one of these:")?;
        for (number, way) in (1..).zip(&self.ways) {
            write!(f, "\n\n{number}. {}", way.title)?;
            for record in &way.publish {
                write!(f, "\n\n{record}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::Dns { name, r#type, value } => write!(f, "   {name}.  {type}  {value}"),
            Record::File { url, body } => write!(f, "   {url}\n   {body}"),
        }
    }
}
