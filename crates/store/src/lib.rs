//! The storage interface: ordered keys, typed tables, atomic batches, snapshots and positions.
//!
//! What the server keeps, it keeps in [`tables`]: each is a named map from a typed key to a typed row.
//! An [`Engine`] holds the bytes; this crate holds what they mean.
//!
//! - **Reading** is done on a [`Snapshot`]: what was durable at one [`Position`], and nothing newer.
//! - **Writing** is a [`Batch`]: conditions and changes that take effect together or not at all.
//!   [`Store::commit`] returns when the batch is durable, with the position it was given. Many batches
//!   share one flush.
//! - **Positions** are one counter over all durable changes. Who has seen a position has seen all
//!   changes before it, so a sync token need hold nothing else.
//! - **Waking**: a batch names the users whom it concerns; whoever waits for them
//!   ([`Store::wakes`]) wakes when the batch is durable.
//!
//! # What it does not do
//!
//! It opens no file and starts no thread or task: engines do, in crates of their own. It has no queries; who wants
//! another order keeps another table.
//!
//! # Where to start
//!
//! [`Store`] and [`Batch`]; then [`tables`], which is the schema.
//!
//! ```
//! use std::sync::Arc;
//!
//! use freehold_store::{Batch, MemoryEngine, Store, Table, TableId, UserNumber};
//!
//! const NAMES: Table<UserNumber, String> = Table::new(TableId::EXAMPLE, "names");
//!
//! # fn main() { run(example()) }
//! async fn example() {
//!     let store = Store::open(Arc::new(MemoryEngine::new())).await.unwrap();
//!     let mut batch = Batch::new();
//!     batch.expect_absent(&NAMES, &UserNumber(7));
//!     batch.put(&NAMES, &UserNumber(7), &"a new user".to_owned());
//!     let position = store.commit(batch).await.unwrap();
//!
//!     let snapshot = store.snapshot().unwrap();
//!     assert_eq!(snapshot.position(), position);
//!     assert_eq!(snapshot.get(&NAMES, &UserNumber(7)).await.unwrap().as_deref(), Some("a new user"));
//! }
//! # fn run(example: impl Future<Output = ()>) {
//! #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
//! #     assert!(std::pin::pin!(example).poll(&mut context).is_ready());
//! # }
//! ```

mod actor;
pub mod backup;
mod batch;
pub mod check;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod counter;
mod engine;
mod group;
mod interner;
mod key;
mod memory;
mod migration;
mod number;
mod numbered;
mod outgoing;
mod overlay;
mod pending;
mod places;
mod recent;
mod store;
mod table;
pub mod tables;
mod tenant;
mod value;
mod wakes;

pub use actor::Actor;
pub use batch::{Batch, Writes};
pub use clock::Clock;
pub use counter::CounterError;
pub use engine::{
    BoxFuture, Bytes, Check, CommitError, Engine, EngineError, EngineSnapshot, Expected, Operation, Order,
    ScanRange,
};
pub use group::{Assembled, MAX_KEY_BYTES, MAX_ROW_BYTES, assemble};
pub use interner::{Identifier, Interner, NumberError, Numbered};
pub use key::{Key, KeyError};
pub use memory::MemoryEngine;
pub use migration::{MigratingRow, Migration, MigrationError, Progress, Step, migrate};
pub use number::{
    DeviceNumber, EventNumber, Position, RoomNumber, StateKeyNumber, TenantNumber, TimelineIndex, UserNumber,
};
pub use outgoing::{Outgoing, PutOut};
pub use overlay::Overlay;
pub use places::{Place, Places};
pub use store::{OpenError, ReadError, Snapshot, Store};
pub use table::{AnyTable, RowDamage, Table, TableId};
pub use tenant::Tenant;
pub use value::{Value, ValueError};
pub use wakes::{Waiting, Wakes};
