//! What a tenant has settled about its accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use freehold_store::{Batch, BoxFuture, Tenant};
use ruma_common::{OwnedUserId, ServerName, UserId};

use crate::failure::ServerFailure;

/// Knows what each tenant has settled.
pub trait Policies: Send + Sync {
    /// What `tenant` has settled, as it is now.
    fn policy<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, Result<Arc<AccountPolicy>, ServerFailure>>;

    /// Whether `asker` could ask the tenant of this process that has `server_name`, if both were servers of their own:
    /// there is one, it is in service, and neither refuses to speak with the other. A tenant reaches itself.
    fn reaches<'a>(
        &'a self,
        asker: &'a Tenant,
        server_name: &'a ServerName,
    ) -> BoxFuture<'a, Result<bool, ServerFailure>>;

    /// Adds to a batch, for the audit log of `tenant`, that a user of it did something administrative.
    fn record(&self, batch: &mut Batch, tenant: &Tenant, act: &AdministrativeAct<'_>);
}

/// Something that an administrator of a tenant does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdministrativeAct<'a> {
    /// Who does it.
    pub by: Doer<'a>,
    /// What it is called.
    pub name: &'static str,
    /// To whom it is done, if it is done to somebody.
    pub user_id: Option<&'a UserId>,
}

/// Who does something administrative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doer<'a> {
    /// The operator of the process.
    Operator,
    /// A user of the tenant.
    User(&'a UserId),
    /// A tool that knows the shared secret of the tenant.
    Tool,
}

/// The same for every tenant; each reaches every other, and there is no audit log.
impl Policies for Arc<AccountPolicy> {
    fn policy<'a>(&'a self, _: &'a Tenant) -> BoxFuture<'a, Result<Arc<AccountPolicy>, ServerFailure>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }

    fn reaches<'a>(&'a self, _: &'a Tenant, _: &'a ServerName) -> BoxFuture<'a, Result<bool, ServerFailure>> {
        Box::pin(std::future::ready(Ok(true)))
    }

    fn record(&self, _: &mut Batch, _: &Tenant, _: &AdministrativeAct<'_>) {}
}

/// What a tenant has settled about its accounts.
#[derive(Clone)]
pub struct AccountPolicy {
    /// Who may register.
    pub registration: Registration,
    /// What people have to accept to register.
    pub terms: Vec<TermsDocument>,
    /// How many accounts it may have, deactivated ones included.
    pub users_max: Option<u64>,
    /// How many characters a password has at least.
    pub password_length_min: usize,
    /// With what a tool may register accounts at `/_synapse/admin/v1/register`.
    pub shared_secret: Option<String>,
    /// Users who administer it, beside those whose accounts say so.
    pub admins: BTreeSet<OwnedUserId>,
}

impl Default for AccountPolicy {
    fn default() -> Self {
        AccountPolicy {
            registration: Registration::Closed,
            terms: Vec::new(),
            users_max: None,
            password_length_min: 8,
            shared_secret: None,
            admins: BTreeSet::new(),
        }
    }
}

impl fmt::Debug for AccountPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountPolicy")
            .field("registration", &self.registration)
            .field("terms", &self.terms)
            .field("users_max", &self.users_max)
            .field("password_length_min", &self.password_length_min)
            .field("shared_secret", &self.shared_secret.as_ref().map(|_| ".."))
            .field("admins", &self.admins)
            .finish()
    }
}

/// Who may register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Nobody; administrators make accounts.
    Closed,
    /// Who has a registration token.
    Token,
    /// Whom a user of the tenant invited.
    Invitation,
    /// Everybody.
    Open,
}

/// A document that people accept when they register
/// (<https://spec.matrix.org/v1.19/client-server-api/#terms-of-service-at-registration>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermsDocument {
    /// Its name among the documents of the tenant, such as `privacy_policy`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether people who did not accept this version say nothing until they do.
    pub required: bool,
    /// Where it is, by language code.
    pub translations: BTreeMap<String, Translation>,
}

/// A document in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Its title.
    pub name: String,
    /// Where it is.
    pub url: String,
}
