//! Proof that a tenant controls its domain: asked for before it is active, and again and again after that.
//!
//! A domain proves control by publishing the tenant's challenge in the DNS, or by delegating to a hostname below the
//! provider's base domain, which nobody but us gives out. Delegation to a hostname of somebody's own proves nothing: whoever
//! owns the domain may have meant another server there.

mod examine;
mod outside;
mod schedule;

pub use examine::{CHALLENGE_LABEL, Finding, Report, Verdict, examine};
pub use outside::{Outside, Unseen};
pub use schedule::ProofError;
pub(crate) use schedule::minute_of;
