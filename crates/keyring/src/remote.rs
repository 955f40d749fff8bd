//! The keys of other servers: what they publish, what is remembered, what is to be fetched.

mod batch;
mod known;
mod machine;
mod notary;
mod policy;
mod queue;
mod server_keys;
mod walk;

pub use known::{Finding, KeyIdReuse, Via, recorded_keys};
pub use machine::{
    Action, FetchFailure, FetchId, FetchRequest, Needed, Outcome, Refusal, RemoteKeys, Route, Usage, WaitId,
    Want,
};
pub use notary::{NotaryQuery, NotaryQueryError, notary_answer};
pub use policy::{FetchPolicy, Notary};
pub use server_keys::{DocumentError, ServerKeys};
