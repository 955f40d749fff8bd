//! What tenants send to other servers: a queue for each tenant and server.
//!
//! A tenant's events are written down once, in order ([`OUTGOING`](freehold_store::tables::rooms::OUTGOING)), by the rooms
//! that they happen in. The [`Outbound`] service reads them from there and hands each to the queues of the servers
//! that are to have it. A queue that keeps up lives in memory alone; one whose server does not answer is no more than a
//! row that says how far it came, and reads what it missed from the same place when the server is back. So a server that
//! is dead costs nothing however long it is dead, and nothing is lost if this process ends.
//!
//! | what | where it waits |
//! |---|---|
//! | events | in the tenant's log, and in the memory of queues that keep up |
//! | messages to devices | a row for each server, written with the message |
//! | device lists that changed | a row for each server and user |
//! | typing, receipts | in memory: who misses them misses little |
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#transactions>

mod dispatch;
mod ephemeral;
mod log;
mod parcel;
mod progress;
mod queue;
mod sending;
mod service;

pub use ephemeral::ToldReceipt;
pub use service::{Outbound, OutboundParts, OutboundReport, TenantsByNumber};
