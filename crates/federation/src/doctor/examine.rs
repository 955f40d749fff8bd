//! Looks at servers from outside.

use std::sync::Arc;
use std::time::Duration;

use freehold_keyring::{FetchPolicy, ServerKeys};
use freehold_rooms::Identities;
use freehold_store::{Clock, Tenant};
use futures_util::{StreamExt as _, stream};
use hyper::StatusCode;
use ruma_common::ServerName;
use serde_json::Value;

use super::diagnosis::{Contact, Diagnosis, Place, Reach, Seen, TenantReach};
use crate::client::{Client, Request, message};
use crate::discovery::{Memory, Sight, Target};
use crate::health::Outlook;
use crate::keys::OwnDocuments;
use crate::limits::{DOCTOR_TENANTS_AT_ONCE, DOCTOR_TIME_MS};
use crate::transport::Endpoint;

/// Looks at servers, and at tenants as others see them. It remembers nothing and believes nothing that is remembered.
#[derive(Clone)]
pub struct Doctor {
    /// Makes the requests.
    pub client: Client,
    /// Who is hosted here.
    pub identities: Arc<dyn Identities>,
    /// What our own tenants publish.
    pub documents: Arc<dyn OwnDocuments>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// What answered at an address, and the keys it showed.
struct Answered {
    contact: Contact,
    keys: Option<ServerKeys>,
}

impl Doctor {
    /// Looks how a server is reached, and how it and others reach tenants of ours: so many of those given at most.
    pub async fn examine(&self, server_name: &ServerName, tenants: &[Tenant], most: usize) -> Diagnosis {
        let hosted = self.identities.tenant(server_name);
        let (reach, _) = self.reach(server_name).await;
        let asks_there = hosted.is_none() && reach.is_reached();
        let looks = tenants.iter().take(most).cloned().map(|tenant| async move {
            let mut one = self.tenant(&tenant).await;
            if asks_there {
                one.known_there = self.known_there(server_name, &tenant).await;
            }
            one
        });
        let seen: Vec<TenantReach> = stream::iter(looks).buffered(DOCTOR_TENANTS_AT_ONCE).collect().await;
        Diagnosis {
            server_name: server_name.to_string(),
            hosted: hosted.is_some(),
            reach,
            health: self.health(server_name),
            tenants_left_out: tenants.len().saturating_sub(seen.len()),
            tenants: seen,
        }
    }

    /// Looks at a tenant as others do, and whether it is us whom they find.
    async fn tenant(&self, tenant: &Tenant) -> TenantReach {
        let (reach, documents) = self.reach(tenant.server_name()).await;
        let own = self.documents.key_document(tenant, self.clock.now_ts());
        let own = own.and_then(|json| ServerKeys::parse(&json).ok());
        let is_ours = |keys: &ServerKeys| own.as_ref().is_some_and(|own| own.verify_keys == keys.verify_keys);
        let problem = if !reach.is_reached() {
            Some("it is not reached: see above for what is to be published or opened".to_owned())
        } else if documents.iter().all(is_ours) {
            None
        } else {
            Some("another server answers in its place: its keys are not those that are kept here".to_owned())
        };
        TenantReach { server_name: tenant.server_name().to_string(), reach, problem, known_there: None }
    }

    async fn reach(&self, server_name: &ServerName) -> (Reach, Vec<ServerKeys>) {
        let walk = self.client.discovery().walk(server_name, Memory::LeftAside).await;
        let mut reach = Reach { steps: walk.trail.iter().map(seen).collect(), ..Reach::default() };
        let target = match walk.result {
            Ok(target) => target,
            Err(error) => {
                reach.failure = Some(error.to_string());
                return (reach, Vec::new());
            }
        };
        reach.place = Some(Place {
            step: target.step.number().to_owned(),
            host: target.host.clone(),
            certificate_name: target.certificate_name.clone(),
        });
        let mut documents = Vec::new();
        for endpoint in target.endpoints() {
            let answered = self.contact(server_name, &target, &endpoint).await;
            reach.contacts.push(answered.contact);
            documents.extend(answered.keys);
        }
        (reach, documents)
    }

    async fn contact(&self, server_name: &ServerName, target: &Target, endpoint: &Endpoint) -> Answered {
        let mut contact = Contact {
            address: endpoint.address.to_string(),
            software: None,
            keys: Vec::new(),
            keys_valid_until_ts: None,
            problem: None,
        };
        let fetched = self.fetch(target, endpoint, "/_matrix/key/v2/server").await;
        let checked = fetched.and_then(|body| match ServerKeys::parse(&body) {
            Ok(keys) if keys.server_name == server_name => Ok(keys),
            Ok(keys) => Err(format!("its keys are those of `{}`", keys.server_name)),
            Err(error) => Err(format!("its keys are not in order: {error}")),
        });
        match checked {
            Err(problem) => {
                contact.problem = Some(problem);
                Answered { contact, keys: None }
            }
            Ok(keys) => {
                contact.keys = keys.verify_keys.keys().map(ToString::to_string).collect();
                contact.keys_valid_until_ts = Some(keys.valid_until_ts);
                if keys.valid_until_ts < self.clock.now_ts() {
                    contact.problem = Some("its keys are past their time".to_owned());
                }
                let version = self.fetch(target, endpoint, "/_matrix/federation/v1/version").await;
                contact.software = version.ok().and_then(|body| software(&body));
                Answered { contact, keys: Some(keys) }
            }
        }
    }

    /// The body of a page at one address; the error is for people.
    async fn fetch(&self, target: &Target, endpoint: &Endpoint, path: &str) -> Result<Vec<u8>, String> {
        let message = message(target, &Request::get(path), None).map_err(|error| error.to_string())?;
        let time = Duration::from_millis(DOCTOR_TIME_MS);
        let sending = self.client.discovery().web().transport().send(endpoint, message);
        let sent = tokio::time::timeout(time, sending).await;
        let response =
            sent.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("{path}: the answer is {}", response.status()));
        }
        let body = response.into_body().bounded(FetchPolicy::DOCUMENT_BYTES_MAX, time).collect().await;
        body.map(|bytes| bytes.to_vec()).map_err(|error| error.to_string())
    }

    /// Whether a server has the keys of a tenant, which it can only have from there: asked of it as a notary
    /// (<https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server>).
    async fn known_there(&self, server_name: &ServerName, tenant: &Tenant) -> Option<bool> {
        let name = tenant.server_name().as_str().replace('[', "%5B").replace(']', "%5D");
        let request = Request::get(format!("/_matrix/key/v2/query/{name}")).at_once();
        let time = Duration::from_millis(2 * DOCTOR_TIME_MS);
        let answer = self.client.request_unsigned(server_name, request.within(time)).await.ok()?;
        let answer: Value = answer.json().ok()?;
        let documents = answer.get("server_keys")?.as_array()?;
        let of_tenant = |document: &Value| {
            document.get("server_name").and_then(Value::as_str) == Some(tenant.server_name().as_str())
        };
        Some(documents.iter().any(of_tenant))
    }

    fn health(&self, server_name: &ServerName) -> Option<String> {
        let minutes = |ts: i64| ts.saturating_sub(self.clock.now_ts()).abs() / 60_000;
        match self.client.health().outlook(server_name) {
            Outlook::Well => None,
            Outlook::Due { since_ts } => Some(format!(
                "it did not answer since {} minutes ago; it is tried again now",
                minutes(since_ts)
            )),
            Outlook::Waiting { since_ts, retry_ts, failures } => Some(format!(
                "it did not answer {failures} times since {} minutes ago; it is tried again in {} minutes",
                minutes(since_ts),
                minutes(retry_ts)
            )),
        }
    }
}

/// `{"server": {"name": "Synapse", "version": "1.2.3"}}`
fn software(body: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let server = document.get("server")?;
    let text = |member: &str| {
        let text = server.get(member).and_then(Value::as_str).unwrap_or_default();
        text.chars().filter(|letter| !letter.is_control()).take(100).collect::<String>()
    };
    Some(format!("{} {}", text("name"), text("version")).trim().to_owned()).filter(|text| !text.is_empty())
}

fn seen(sight: &Sight) -> Seen {
    match sight {
        Sight::WellKnown { host, answer } => Seen {
            asked: format!("https://{host}/.well-known/matrix/server"),
            answer: match answer {
                Ok(server_name) => format!("leads to `{server_name}`"),
                Err(error) => format!("leads nowhere: {error}"),
            },
        },
        Sight::Srv { name, answer } => Seen {
            asked: format!("SRV {name}"),
            answer: match answer {
                Ok(records) if records.is_empty() => "no such record".to_owned(),
                Ok(records) => {
                    let target = |record: &crate::SrvRecord| format!("{}:{}", record.target, record.port);
                    records.iter().map(target).collect::<Vec<_>>().join(", ")
                }
                Err(error) => error.to_string(),
            },
        },
        Sight::Addresses { host, answer } => Seen {
            asked: format!("addresses of {host}"),
            answer: match answer {
                Ok(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                Err(error) => error.to_string(),
            },
        },
    }
}
