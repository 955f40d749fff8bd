//! What `freehold doctor` says: why a server cannot be reached, and why tenants cannot be.

mod diagnosis;
mod examine;

pub use diagnosis::{Contact, Diagnosis, Place, Reach, Seen, TenantReach};
pub use examine::Doctor;
