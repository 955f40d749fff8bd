//! What was seen of a server, for programs and for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What was seen of a server, and how tenants are seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The server.
    pub server_name: String,
    /// Whether it is hosted here; then it was looked at from outside, like any other.
    pub hosted: bool,
    /// How it is reached.
    pub reach: Reach,
    /// What is remembered of its health, if it did not answer lately.
    pub health: Option<String>,
    /// How tenants are reached by it.
    pub tenants: Vec<TenantReach>,
    /// How many tenants were not looked at, because there are too many.
    pub tenants_left_out: usize,
}

/// How a server is reached, step by step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// What was asked on the way, in order.
    pub steps: Vec<Seen>,
    /// Where the steps lead.
    pub place: Option<Place>,
    /// Why they lead nowhere.
    pub failure: Option<String>,
    /// What is at each address.
    pub contacts: Vec<Contact>,
}

/// A question, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What was asked for.
    pub asked: String,
    /// What came.
    pub answer: String,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The number of the step in the specification.
    pub step: String,
    /// What goes into the `Host` header.
    pub host: String,
    /// What the certificate must be for.
    pub certificate_name: String,
}

/// What is at one address of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The address and port.
    pub address: String,
    /// Name and version of the software, if it says.
    pub software: Option<String>,
    /// The identifiers of its keys, if the document is in order.
    pub keys: Vec<String>,
    /// Until when they are good, in milliseconds since the Unix epoch.
    pub keys_valid_until_ts: Option<i64>,
    /// What is wrong.
    pub problem: Option<String>,
}

/// How a tenant is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantReach {
    /// The tenant.
    pub server_name: String,
    /// How it is seen from outside, as far as this machine can tell.
    pub reach: Reach,
    /// What is wrong with that.
    pub problem: Option<String>,
    /// Whether the server under examination has the tenant's keys, asked of it as a notary; `None`, if it does not say.
    pub known_there: Option<bool>,
}

impl Diagnosis {
    /// Whether nothing is wrong.
    pub fn is_healthy(&self) -> bool {
        self.reach.is_reached()
            && self.tenants.iter().all(|tenant| tenant.problem.is_none() && tenant.known_there != Some(false))
    }
}

impl Reach {
    /// Whether the server answers at one of its addresses at least, with its keys.
    pub fn is_reached(&self) -> bool {
        self.contacts.iter().any(|contact| contact.problem.is_none())
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Seen { asked, answer } in &self.steps {
            writeln!(f, "  {asked}\n      {answer}")?;
        }
        if let Some(Place { step, host, certificate_name }) = &self.place {
            writeln!(f, "  found by step {step}: Host `{host}`, a certificate for `{certificate_name}`")?;
        }
        if let Some(failure) = &self.failure {
            writeln!(f, "  not found: {failure}")?;
        }
        self.contacts.iter().try_for_each(|contact| writeln!(f, "  {contact}"))
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.address)?;
        if let Some(problem) = &self.problem {
            return f.write_str(problem);
        }
        let software = self.software.as_deref().unwrap_or("software that does not say what it is");
        write!(f, "{software}, keys {}", self.keys.join(", "))
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosted = if self.hosted { " (hosted here; seen from outside)" } else { "" };
        writeln!(f, "{}{hosted}", self.server_name)?;
        self.reach.write(f)?;
        if let Some(health) = &self.health {
            writeln!(f, "  {health}")?;
        }
        for tenant in &self.tenants {
            writeln!(f, "\n{}, as others see it", tenant.server_name)?;
            tenant.reach.write(f)?;
            if let Some(problem) = &tenant.problem {
                writeln!(f, "  {problem}")?;
            }
            match tenant.known_there {
                Some(true) => writeln!(f, "  {} has its keys", self.server_name)?,
                Some(false) => writeln!(f, "  {} does not reach it: it has no keys of it", self.server_name)?,
                None => {}
            }
        }
        if self.tenants_left_out > 0 {
            writeln!(
                f,
                "\n{} more tenants were not looked at; name them with --tenant, or look at --all",
                self.tenants_left_out
            )?;
        }
        let verdict = if self.reach.is_reached() { "is reached" } else { "is not reached" };
        write!(f, "\n{} {verdict}", self.server_name)?;
        let unreached = self.tenants.iter().filter(|tenant| tenant.problem.is_some());
        let names: Vec<&str> = unreached.map(|tenant| tenant.server_name.as_str()).collect();
        if names.is_empty() { Ok(()) } else { write!(f, "; not reached from outside: {}", names.join(", ")) }
    }
}
