//! Adding a tenant.

use std::io;

use freehold_keyring::{ChangeError, KeyLogError};
use freehold_store::tables::tenancy::{
    Control, HOSTNAMES, POLICIES, TENANT_NUMBERS, TENANTS, TenantRow, TenantState,
};
use freehold_store::{Batch, CommitError, TenantNumber};
use getrandom::SysRng;
use getrandom::rand_core::TryRng as _;
use ruma_common::{OwnedServerName, ServerName};
use serde_json::{Value, json};
use thiserror::Error;

use crate::audit::{self, Act, By};
use crate::hostname::{Hostname, HostnameError, is_development};
use crate::index::{Entry, hosts_of};
use crate::policy::{Policy, PolicyError, without_secret_of};
use crate::tenancy::{Tenancy, TenantFacts};

/// A tenant to be.
#[derive(Clone, Debug, Default)]
pub struct NewTenant {
    /// Its name in Matrix: a domain or IP literal, with a port if it wants one.
    pub server_name: String,
    /// Where clients and other servers will reach it; without any, one below the base domain.
    pub hostnames: Vec<String>,
    /// How to reach the owner.
    pub owner: Option<String>,
    /// Whether the operator vouches that the owner controls the domain.
    pub vouched: bool,
    /// What is merged into its policy (RFC 7396), if it is to have one of its own from the start.
    pub policy: Option<Value>,
}

impl Tenancy {
    /// Adds a tenant: makes its keys, gives it a hostname and a challenge to prove control of its domain with.
    ///
    /// It is active at once if the operator vouches for it or it is a development tenant; otherwise it waits for the
    /// proof.
    ///
    /// # Errors
    /// [`AddError`]; nothing was changed but, at worst, keys made for a tenant that is not there yet.
    pub async fn add(&self, new: NewTenant, by: &By) -> Result<TenantFacts, AddError> {
        let server_name = parse_server_name(&new.server_name)?;
        let now_ts = self.now_ts();
        let _changing = self.changing().await;
        let row = self.new_row(&new, &server_name, now_ts)?;
        let policy = new.policy.as_ref().map(|patch| Policy::first(patch, (row.control, &server_name)));
        let policy = policy.transpose()?;
        let hosts = hosts_of(&row);
        self.check_free(&server_name, &hosts)?;
        self.make_keys(&server_name, now_ts)?;
        let number = TenantNumber(u32::try_from(self.count()).unwrap_or(u32::MAX).saturating_add(1));
        let mut batch = Batch::new();
        batch.expect_absent(&TENANTS, &number);
        batch.expect_absent(&TENANT_NUMBERS, &server_name);
        batch.put(&TENANTS, &number, &row);
        batch.put(&TENANT_NUMBERS, &server_name, &number);
        for host in &hosts {
            batch.expect_absent(&HOSTNAMES, host);
            batch.put(&HOSTNAMES, host, &number);
        }
        if let Some(policy) = &policy {
            batch.put(&POLICIES, &number, &policy.to_text()?);
        }
        let details = json!({
            "server_name": server_name, "hostnames": row.hostnames, "owner": row.owner, "vouched": new.vouched,
            "policy": new.policy.as_ref().map(without_secret_of),
        });
        audit::record(&mut batch, Some(number), &Act { by, name: "tenant add", details }, now_ts);
        self.store().commit(batch).await?;
        let entry = Entry::new(number, &row);
        let tenant = entry.tenant.clone();
        let mut index = self.index_mut();
        if !index.set(entry) {
            tracing::error!(%number, "a tenant was added out of order");
        }
        if let Some(policy) = &policy {
            index.set_policy(number, policy);
        }
        drop(index);
        Ok(TenantFacts { tenant, row, proof: None })
    }

    fn make_keys(&self, server_name: &ServerName, now_ts: i64) -> Result<(), AddError> {
        match self.keys().create(server_name, now_ts, &mut SysRng) {
            // Keys from an attempt that did not get as far as the store: nobody else has had the name.
            Ok(_) | Err(ChangeError::HasKeys) => Ok(()),
            Err(error) => Err(AddError::Keys(error)),
        }
    }

    fn new_row(&self, new: &NewTenant, name: &ServerName, now_ts: i64) -> Result<TenantRow, AddError> {
        let development = is_development(name.host());
        let control = match (development, new.vouched) {
            (true, _) => Control::Development,
            (false, true) => Control::Vouched,
            (false, false) if name.is_ip_literal() => return Err(AddError::Unprovable),
            (false, false) => Control::Proved,
        };
        let state = if control == Control::Proved { TenantState::Pending } else { TenantState::Active };
        Ok(TenantRow {
            server_name: name.to_owned(),
            hostnames: self.hostnames_for(&new.hostnames, name, control)?,
            state,
            since_ts: now_ts,
            created_ts: now_ts,
            control,
            challenge: challenge()?,
            owner: new.owner.clone(),
        })
    }

    fn hostnames_for(
        &self,
        given: &[String],
        server_name: &ServerName,
        control: Control,
    ) -> Result<Vec<String>, AddError> {
        if !given.is_empty() {
            let parsed = given.iter().map(|text| Hostname::parse(text).map(Hostname::into_string));
            let mut hostnames: Vec<String> = Vec::new();
            for hostname in parsed.collect::<Result<Vec<String>, HostnameError>>()? {
                if !hostnames.contains(&hostname) {
                    hostnames.push(hostname);
                }
            }
            return Ok(hostnames);
        }
        let on_its_own = control == Control::Development || server_name.is_ip_literal();
        let hostname = match &self.settings().base_domain {
            _ if on_its_own => Hostname::of(server_name),
            Some(base) => base.hostname_of(server_name),
            None => return Err(AddError::NoHostname),
        };
        Ok(vec![hostname.into_string()])
    }

    fn check_free(&self, server_name: &ServerName, hosts: &[String]) -> Result<(), AddError> {
        let index = self.index();
        if let Some(entry) = index.by_server_name(server_name.as_str()) {
            return Err(AddError::Exists { state: entry.state });
        }
        match hosts.iter().find(|host| index.by_hostname(host).is_some()) {
            Some(host) => Err(AddError::HostnameTaken { hostname: host.clone() }),
            None => Ok(()),
        }
    }
}

fn parse_server_name(text: &str) -> Result<OwnedServerName, AddError> {
    let wrong = || AddError::ServerName { text: text.chars().take(255).collect() };
    let server_name = ServerName::parse(text).map_err(|_| wrong())?;
    let lower_case = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    (lower_case && Hostname::parse(server_name.host()).is_ok()).then_some(server_name).ok_or_else(wrong)
}

/// 128 random bits.
fn challenge() -> Result<String, AddError> {
    let mut bytes = [0; 16];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| AddError::Generator)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Why a tenant was not added.
#[derive(Debug, Error)]
pub enum AddError {
    /// The name is no server name in lower case.
    #[error("`{text}` is not a server name: a domain in lower case or an IP literal, with or without a port")]
    ServerName {
        /// What was given.
        text: String,
    },
    /// A hostname is none.
    #[error(transparent)]
    Hostname(#[from] HostnameError),
    /// There is a tenant of this name, or was one.
    #[error("there is a tenant of this name already ({})", format!("{state:?}").to_lowercase())]
    Exists {
        /// Its state.
        state: TenantState,
    },
    /// Another tenant has the hostname.
    #[error("`{hostname}` leads to another tenant")]
    HostnameTaken {
        /// The hostname.
        hostname: String,
    },
    /// No hostname was given and there is no base domain.
    #[error("no hostname was given, and there is no `base_domain` below which to give it one")]
    NoHostname,
    /// Nobody can prove that an IP literal is his.
    #[error("control of an IP literal cannot be proved: the operator must vouch for it")]
    Unprovable,
    /// The operating system gave no random bytes.
    #[error("the random number generator failed")]
    Generator,
    /// No keys could be made.
    #[error(transparent)]
    Keys(ChangeError<KeyLogError<io::Error>>),
    /// Its first policy makes no sense.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The store cannot be written.
    #[error("store did not take the change")]
    Commit(#[from] CommitError),
}
