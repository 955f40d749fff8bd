//! Looks at everything that a domain publishes, and says record by record what is seen and what is wrong.

use std::fmt;

use freehold_store::tables::tenancy::Control;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hostname::{BaseDomain, Hostname};
use crate::proof::outside::{Outside, Unseen};
use crate::tenancy::TenantFacts;

/// Below which name of its domain a tenant publishes its challenge.
pub const CHALLENGE_LABEL: &str = "_freehold-challenge";

/// What was seen of a tenant's domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The tenant's name.
    pub server_name: String,
    /// Why control of its domain is believed.
    pub control: Control,
    /// By what control is proved, if it is.
    pub proved_by: Option<String>,
    /// Whether other servers find their way here.
    pub reached_by_servers: bool,
    /// Whether clients find their way here.
    pub reached_by_clients: bool,
    /// What was looked at.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether the domain publishes everything that it should. One for which the operator vouches, and one that is for trying
    /// out, need publish nothing.
    pub fn is_in_order(&self) -> bool {
        let is_seen = self.proved_by.is_some() && self.reached_by_servers && self.reached_by_clients;
        is_seen || self.control != Control::Proved
    }
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What: a DNS record or an address on the web.
    pub record: String,
    /// What is there, or why it could not be seen; `None` if there is nothing.
    pub seen: Option<String>,
    /// What that means.
    pub verdict: Verdict,
    /// What it should be, if it is wrong.
    pub expected: Option<String>,
}

/// What something that was looked at means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It proves control of the domain.
    Proves,
    /// It is right, and proves nothing.
    Right,
    /// It is there, and leads elsewhere.
    Wrong,
    /// It is not there.
    Absent,
    /// It could not be looked at.
    Unseen,
}

impl Verdict {
    fn is_right(self) -> bool {
        matches!(self, Verdict::Proves | Verdict::Right)
    }
}

/// Looks at everything that the domain of a tenant publishes.
pub async fn examine(facts: &TenantFacts, base: Option<&BaseDomain>, outside: &dyn Outside) -> Report {
    let look = Look { facts, base, outside };
    let (challenge, server) = (look.challenge().await, look.well_known("server", "m.server").await);
    let (srv, client) = (look.srv().await, look.well_known("client", "base_url").await);
    let delegated = [Some(&server), srv.as_ref()];
    let reached_by_servers = delegated.into_iter().flatten().any(|finding| finding.verdict.is_right());
    let reached_by_clients = client.verdict.is_right();
    let findings: Vec<Finding> =
        [Some(challenge), Some(server), srv, Some(client)].into_iter().flatten().collect();
    let proved = findings.iter().find(|finding| finding.verdict == Verdict::Proves);
    Report {
        server_name: facts.tenant.server_name().to_string(),
        control: facts.row.control,
        proved_by: proved.map(|finding| finding.record.clone()),
        reached_by_servers,
        reached_by_clients,
        findings,
    }
}

struct Look<'a> {
    facts: &'a TenantFacts,
    base: Option<&'a BaseDomain>,
    outside: &'a dyn Outside,
}

impl Look<'_> {
    fn domain(&self) -> &str {
        self.facts.tenant.server_name().host()
    }

    async fn challenge(&self) -> Finding {
        let name = format!("{CHALLENGE_LABEL}.{}", self.domain());
        let expected = &self.facts.row.challenge;
        let records = self.outside.txt(&name).await;
        let verdict = |records: &[String]| match records {
            [] => Verdict::Absent,
            records if records.iter().any(|record| record == expected) => Verdict::Proves,
            _ => Verdict::Wrong,
        };
        let verdict = records.as_deref().map_or(Verdict::Unseen, verdict);
        let seen = shown(records.map(|records| (!records.is_empty()).then(|| records.join(" | "))));
        finding(format!("TXT {name}"), seen, verdict, expected)
    }

    /// `/.well-known/matrix/server` and `client` (<https://spec.matrix.org/v1.19/client-server-api/#well-known-uris>).
    async fn well_known(&self, name: &str, member: &str) -> Finding {
        let path = format!("/.well-known/matrix/{name}");
        let record = format!("https://{}{path}", self.domain());
        let hostname = self.facts.row.hostnames.first().map_or(self.domain(), String::as_str);
        let expected =
            if name == "server" { format!("{hostname}:443") } else { format!("https://{hostname}") };
        let page = self.outside.page(self.domain(), &path).await;
        let named = page.map(|page| page.map(|body| named(&body, member)));
        let verdict = match &named {
            Err(_) => Verdict::Unseen,
            Ok(None) => Verdict::Absent,
            // What clients are told is no delegation: it proves nothing.
            Ok(Some(target)) => match self.lead(target) {
                Verdict::Proves if name == "client" => Verdict::Right,
                verdict => verdict,
            },
        };
        finding(record, shown(named), verdict, &expected)
    }

    /// SRV records (<https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names>), for names without a
    /// port that are no IP literals.
    async fn srv(&self) -> Option<Finding> {
        let server_name = self.facts.tenant.server_name();
        if server_name.port().is_some() || server_name.is_ip_literal() {
            return None;
        }
        let name = format!("_matrix-fed._tcp.{}", self.domain());
        let targets = self.outside.srv(&name).await;
        let best = targets.map(|targets| {
            targets
                .into_iter()
                .next()
                .map(|(target, port)| format!("{}:{port}", target.trim_end_matches('.')))
        });
        let verdict = match &best {
            Err(_) => Verdict::Unseen,
            Ok(None) => Verdict::Absent,
            Ok(Some(target)) => self.lead(target),
        };
        let hostname = self.facts.row.hostnames.first().map_or(self.domain(), String::as_str);
        Some(finding(format!("SRV {name}"), shown(best), verdict, &format!("{hostname}:443")))
    }

    /// What it means that something leads to `target`.
    fn lead(&self, target: &str) -> Verdict {
        let target = target.trim_start_matches("https://").trim_end_matches('/');
        let Ok(host) = Hostname::parse(target) else { return Verdict::Wrong };
        let ours = self.facts.row.hostnames.iter().any(|hostname| hostname == host.as_str());
        match (ours, self.base.is_some_and(|base| base.is_above(host.as_str()))) {
            (true, true) => Verdict::Proves,
            (true, false) => Verdict::Right,
            (false, _) => Verdict::Wrong,
        }
    }
}

/// What a well-known document names.
fn named(body: &str, member: &str) -> String {
    let document: Value = match serde_json::from_str(body) {
        Ok(document) => document,
        Err(_) => return "(not JSON)".to_owned(),
    };
    let named = match member {
        "m.server" => document.get(member),
        _ => document.get("m.homeserver").and_then(|homeserver| homeserver.get(member)),
    };
    named
        .and_then(Value::as_str)
        .map_or_else(|| format!("(no `{member}`)"), |text| text.chars().take(300).collect())
}

fn shown(seen: Result<Option<String>, Unseen>) -> Option<String> {
    seen.unwrap_or_else(|unseen| Some(format!("({unseen})")))
}

fn finding(record: String, seen: Option<String>, verdict: Verdict, expected: &str) -> Finding {
    let expected = (!verdict.is_right()).then(|| expected.to_owned());
    Finding { record, seen, verdict, expected }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}\n")?;
        }
        match &self.proved_by {
            Some(record) => writeln!(f, "control of {} is proved by {record}", self.server_name)?,
            None => writeln!(f, "control of {} is not proved", self.server_name)?,
        }
        let yes = |reached| if reached { "find" } else { "do not find" };
        write!(f, "other servers {} it here; ", yes(self.reached_by_servers))?;
        write!(f, "clients {} it here", yes(self.reached_by_clients))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Proves => "right, and proves control",
            Verdict::Right => "right",
            Verdict::Wrong => "wrong",
            Verdict::Absent => "not there",
            Verdict::Unseen => "not to be seen",
        };
        write!(f, "{}: {verdict}", self.record)?;
        if let Some(seen) = &self.seen {
            write!(f, "\n    seen      {seen}")?;
        }
        match &self.expected {
            Some(expected) => write!(f, "\n    expected  {expected}"),
            None => Ok(()),
        }
    }
}
