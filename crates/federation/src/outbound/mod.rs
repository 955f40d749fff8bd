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
//! | messages to devices | a row for each server, written with the message |
//! | device lists and signing keys that changed | a row for each server and user |
//! | events | in the tenant's log, and in the memory of queues that keep up |
//! | typing, receipts | in memory: who misses them misses little |
//!
//! They go in this order, each kind in transactions of its own, one transaction at a time to each server: messages
//! bring the keys of events that follow. Typing and receipts ride with events.
//!
//! # Once, in effect
//!
//! The id of a transaction is a hash of what is in it ([`transaction`]). Whoever gets the same again knows it, also
//! after a restart of this process: events are read in the same order, and which messages were sent together is written
//! down. What is different has another id.
//!
//! # What cannot be sent
//!
//! A server that does not answer is left in peace by all tenants ([`Health`](crate::Health)) until it is due or shows a sign
//! of life. One that answers and refuses is tried again by the tenant that it refuses, with less and less at a time. When
//! it refuses a single thing, but takes a transaction with nothing in it, that thing is given up ([`course`]); if it takes
//! nothing at all, everything waits.
//!
//! A server that is away for too long is given up ([`giving_up`]): from then on only the last event of each room waits
//! for it, from which it finds the others, and the log is cut. Messages to devices are bounded by number, size and age
//! ([`messages`]). [`limits`](crate::limits) has the numbers.
//!
//! Server access control lists are no business of a sender: whom a room does not let speak may still be in it and listen
//! (<https://spec.matrix.org/v1.19/server-server-api/#server-access-control-lists-acls>). Servers with which a tenant does
//! not speak, by its own settings, are sent nothing.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#transactions>

mod audience;
mod checkpoint;
mod course;
mod devices;
mod dispatch;
mod driving;
mod ephemeral;
mod events;
mod giving_up;
mod lists;
mod log;
mod messages;
mod permits;
mod progress;
mod queue;
mod service;
mod state;
mod telling;
mod transaction;
mod waiting;

pub use devices::{DeviceNews, NoDevices, OwnDevices};
pub use ephemeral::{ToldPresence, ToldReceipt};
pub use service::{Outbound, OutboundParts, OutboundReport, TenantsByNumber};
