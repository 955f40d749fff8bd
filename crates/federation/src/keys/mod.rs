//! The keys of other servers: fetched, kept, and told to others.

mod driver;
mod notary;
mod snapshot;

pub use driver::{RemoteKeyring, RemoteKeyringParts};
pub use notary::{NotaryError, OwnDocuments};
pub use snapshot::KeySnapshot;
