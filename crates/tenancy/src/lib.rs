//! Who is hosted: tenants, the hostnames under which they are reached, what they may do, on which terms,
//! with which keys, and why we believe that they control their domains.
//!
//! A tenant is found by the Host of a request ([`Tenancy::by_host`]) or by its server name
//! ([`Tenancy::by_server_name`]); both look into a compact index in memory, a few hundred bytes for each tenant.
//! Everything else about a tenant lies in the store and is read when it is needed, so that a tenant in which
//! nothing happens costs nothing but its place in the index.
//!
//! # What always holds
//!
//! - A hostname belongs to one tenant, and so does a server name; a number is never given twice.
//! - A tenant's row, the index and the audit log change together, through [`Tenancy`].
//! - Nothing is destroyed here: a tenant that leaves becomes [`Departed`](TenantState::Departed), and its name,
//!   number and keys stay reserved, so that whoever registers the domain next inherits nothing.
//! - A development tenant is below `.localhost`; no other name escapes the proof of control without the
//!   operator's word.
//!
//! # What it does not do
//!
//! It serves no HTTP and starts no task; the server does, and calls [`Tenancy`] from there.

mod add;
mod audit;
mod federation;
mod hostname;
mod index;
mod keys;
mod operator_token;
mod policy;
mod proof;
mod published;
mod settle;
mod state;
mod tenancy;

pub use add::{AddError, NewTenant};
pub use audit::{Act, By};
pub use federation::Federation;
pub use freehold_store::tables::tenancy::{AuditRow, Control, ProofRow, TenantRow, TenantState};
pub use hostname::{BaseDomain, Hostname, HostnameError, is_development};
pub use keys::{KeyFile, KeyFileError, MasterKeyFileError, TenantKeyring, open_keys};
pub use operator_token::OperatorToken;
pub use policy::{
    Contact, Document, Media, Policy, PolicyError, Quotas, Registration, RegistrationMode, Retention, Support,
};
pub use proof::{CHALLENGE_LABEL, Finding, Outside, ProofError, Report, Unseen, Verdict, examine};
pub use published::{client_well_known, server_well_known, support_well_known};
pub use settle::{HOSTNAMES_MAX, Haste, NewFacts, NewKey, OldHostnames, SettleError};
pub use state::{Change, StateError};
pub use tenancy::{Found, OpenTenancyError, Tenancy, TenancyError, TenancySettings, TenantFacts};
