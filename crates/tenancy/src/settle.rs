//! What changes about a tenant in the course of time: where it is reached, how to reach its owner, with what it signs.

use std::io;

use freehold_keyring::{ChangeError, KeyLogError, OldKey, Rotation};
use freehold_store::tables::tenancy::{HOSTNAMES, TenantState};
use freehold_store::{Batch, CommitError, ReadError};
use getrandom::SysRng;
use ruma_common::ServerName;
use serde_json::json;
use thiserror::Error;

use crate::audit::{self, Act, By};
use crate::hostname::{Hostname, HostnameError};
use crate::index::hosts_of;
use crate::tenancy::{Tenancy, TenancyError, TenantFacts};

/// What is to change about a tenant; what is not set stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewFacts {
    /// Where it is to be reached; the first is published.
    pub hostnames: Vec<String>,
    /// What becomes of the hostnames that it has.
    pub old_hostnames: OldHostnames,
    /// How to reach the owner; an empty text takes it back.
    pub owner: Option<String>,
}

/// What becomes of hostnames that others take the place of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OldHostnames {
    /// They go on leading to the tenant, after the new ones: what its domain publishes names them until it is changed, and
    /// others remember it for some time after that.
    #[default]
    Kept,
    /// They lead nowhere any more, and may become another tenant's.
    Dropped,
}

/// Most hostnames of a tenant.
pub const HOSTNAMES_MAX: usize = 8;

/// How soon a new key takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// It is published for an hour before it signs, and those before it are valid for a day more, so that nothing that was
    /// signed before is refused.
    InTime,
    /// At once, for a key that has got out. What others have of the tenant's keys is wrong until they ask again.
    AtOnce,
}

/// A key that takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Its id.
    pub key_id: String,
    /// From when it signs, in milliseconds since the Unix epoch.
    pub signs_from_ts: i64,
    /// Until when those before it are valid, in milliseconds since the Unix epoch. They stay published as old ones for ever.
    pub others_until_ts: i64,
}

impl Tenancy {
    /// Changes where a tenant is reached, or how to reach its owner. What its domain publishes is not looked at: whoever
    /// changes a hostname has control proved anew.
    ///
    /// # Errors
    /// [`SettleError`].
    pub async fn settle(
        &self,
        server_name: &ServerName,
        new: NewFacts,
        by: &By,
    ) -> Result<TenantFacts, SettleError> {
        let _changing = self.changing().await;
        let mut facts = self.facts(server_name).await?;
        let before = facts.row.clone();
        if before.state == TenantState::Departed {
            return Err(SettleError::Departed);
        }
        if !new.hostnames.is_empty() {
            facts.row.hostnames = hostnames(&new, &before.hostnames)?;
        }
        if let Some(owner) = &new.owner {
            facts.row.owner = Some(owner.clone()).filter(|owner| !owner.is_empty());
        }
        let number = facts.tenant.number();
        let (held, wanted) = (hosts_of(&before), hosts_of(&facts.row));
        let mut batch = Batch::new();
        for host in wanted.iter().filter(|host| !held.contains(host)) {
            if self.index().by_hostname(host).is_some() {
                return Err(SettleError::HostnameTaken { hostname: host.clone() });
            }
            batch.expect_absent(&HOSTNAMES, host);
            batch.put(&HOSTNAMES, host, &number);
        }
        for host in held.iter().filter(|host| !wanted.contains(host)) {
            batch.delete(&HOSTNAMES, host);
        }
        let details = json!({ "hostnames": facts.row.hostnames, "owner": facts.row.owner });
        let act = Act { by, name: "tenant set", details };
        self.replace_row(&facts.tenant, (&before, &facts.row), &act, batch).await?;
        Ok(facts)
    }

    /// Makes a new signing key for a tenant, which takes over from those that it has.
    ///
    /// # Errors
    /// [`SettleError`].
    pub async fn rotate_key(
        &self,
        server_name: &ServerName,
        haste: Haste,
        by: &By,
    ) -> Result<NewKey, SettleError> {
        let _changing = self.changing().await;
        let facts = self.facts(server_name).await?;
        if facts.row.state == TenantState::Departed {
            return Err(SettleError::Departed);
        }
        let rotation = match haste {
            Haste::InTime => Rotation::default(),
            Haste::AtOnce => Rotation::IMMEDIATE,
        };
        let now_ts = self.now_ts();
        let key_id = self.keys().rotate(server_name, rotation, now_ts, &mut SysRng)?.to_string();
        let signs_from_ts = now_ts.saturating_add(rotation.announce_ms);
        let others_until_ts = signs_from_ts.saturating_add(rotation.overlap_ms);
        let details = json!({ "key_id": key_id, "signs_from_ts": signs_from_ts });
        let mut batch = Batch::new();
        let act = Act { by, name: "tenant rotate-key", details };
        audit::record(&mut batch, Some(facts.tenant.number()), &act, now_ts);
        self.store().commit(batch).await?;
        Ok(NewKey { key_id, signs_from_ts, others_until_ts })
    }
}

impl Tenancy {
    /// Publishes a key with which a tenant signed before it came here, as an old one: what it signed then can be verified for ever.
    /// A key that is published so already stays as it is.
    ///
    /// # Errors
    /// [`SettleError`].
    pub async fn publish_old_key(
        &self,
        server_name: &ServerName,
        key: &OldKey,
        by: &By,
    ) -> Result<(), SettleError> {
        let _changing = self.changing().await;
        let facts = self.facts(server_name).await?;
        let now_ts = self.now_ts();
        if facts.row.state == TenantState::Departed {
            return Err(SettleError::Departed);
        }
        if key.expired_ts > now_ts {
            return Err(SettleError::NotOld);
        }
        self.keys().import_old(server_name, std::slice::from_ref(key))?;
        let details = json!({ "key_id": key.key_id.as_str(), "expired_ts": key.expired_ts });
        let mut batch = Batch::new();
        let act = Act { by, name: "tenant add-old-key", details };
        audit::record(&mut batch, Some(facts.tenant.number()), &act, now_ts);
        self.store().commit(batch).await?;
        Ok(())
    }
}

fn hostnames(new: &NewFacts, held: &[String]) -> Result<Vec<String>, SettleError> {
    let mut hostnames: Vec<String> = Vec::new();
    let kept = held.iter().filter(|_| new.old_hostnames == OldHostnames::Kept);
    for hostname in new.hostnames.iter().chain(kept) {
        let hostname = Hostname::parse(hostname)?.into_string();
        if !hostnames.contains(&hostname) {
            hostnames.push(hostname);
        }
    }
    match hostnames.len() {
        count if count > HOSTNAMES_MAX => Err(SettleError::TooManyHostnames { count }),
        _ => Ok(hostnames),
    }
}

/// Why a tenant was not changed.
#[derive(Debug, Error)]
pub enum SettleError {
    /// A hostname is none.
    #[error(transparent)]
    Hostname(#[from] HostnameError),
    /// Another tenant has the hostname.
    #[error("`{hostname}` leads to another tenant")]
    HostnameTaken {
        /// The hostname.
        hostname: String,
    },
    /// There would be more hostnames than a tenant may have.
    #[error("a tenant has at most {HOSTNAMES_MAX} hostnames, and would have {count} with its old ones")]
    TooManyHostnames {
        /// How many.
        count: usize,
    },
    /// The tenant departed.
    #[error("the tenant departed")]
    Departed,
    /// The key is to be in use for longer than until now.
    #[error("an old key is one that is in use no longer")]
    NotOld,
    /// No key could be made, or taken over.
    #[error(transparent)]
    Keys(#[from] ChangeError<KeyLogError<io::Error>>),
    /// There is no such tenant, or the store failed.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
}

impl From<CommitError> for SettleError {
    fn from(error: CommitError) -> Self {
        SettleError::Tenancy(error.into())
    }
}

impl From<ReadError> for SettleError {
    fn from(error: ReadError) -> Self {
        SettleError::Tenancy(error.into())
    }
}
