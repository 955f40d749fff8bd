//! What every engine must do, as tests: [`conformance_suite`](crate::conformance_suite) makes them for one engine.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at what they do not expect"
)]

mod batches;
mod concurrency;
pub mod crash;
mod durability;
mod model;
mod reading;
mod wait;

pub use batches::*;
pub use concurrency::*;
pub use durability::*;
pub use model::*;
pub use reading::*;
pub use wait::wait;

use std::sync::Arc;

use crate::batch::Batch;
use crate::engine::{Bytes, CommitError, Engine, EngineSnapshot, Order, ScanRange};
use crate::number::{Position, UserNumber};
use crate::table::{Table, TableId};

/// A place where an engine lies, to open it, close it and open it again.
pub trait Place {
    /// Opens the engine; it was closed before, that is, dropped.
    fn open(&self) -> Arc<dyn Engine>;
}

/// A table of the suite.
pub const NAMES: Table<UserNumber, String> = Table::new(TableId::EXAMPLE, "names");
/// Another one, with keys of many lengths.
pub const TEXTS: Table<String, Vec<u8>> = Table::new(TableId(253), "texts");

/// Makes one test of each law for an engine: `conformance_suite!(place)`, where `place` is a function that returns a new
/// [`Place`].
#[macro_export]
macro_rules! conformance_suite {
    ($place:path) => {
        $crate::conformance_suite! { $place:
            an_empty_engine_is_at_position_zero
            rows_are_found_in_the_order_asked_for
            ranges_are_read_in_both_directions_and_end_at_their_table
            a_range_without_keys_is_empty
            snapshots_do_not_change
            snapshots_survive_whatever_is_overwritten
            a_batch_whose_condition_fails_has_no_effect
            each_condition_holds_when_it_should
            later_changes_of_a_key_win
            positions_rise_by_one_and_are_known_to_the_batch
            what_is_too_large_is_refused_and_what_is_not_comes_back
            who_is_to_know_is_told_even_if_nobody_waits
            what_was_committed_is_seen_at_once
            counters_lose_nothing_between_threads
            identifiers_have_one_number_between_threads
            what_was_committed_is_there_after_reopening
            an_engine_can_be_reopened_many_times
            any_script_does_what_it_does_to_a_map
        }
    };
    ($place:path: $($law:ident)*) => {$(
        #[test]
        fn $law() {
            $crate::conformance::$law(&$place());
        }
    )*};
}

/// A batch that gives a user a name.
fn named(user: u64, name: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(&NAMES, &UserNumber(user), &name.to_owned());
    batch
}

fn commit(engine: &dyn Engine, batch: Batch) -> Result<Position, CommitError> {
    wait(engine.commit(batch))
}

/// All rows of a table.
fn all(snapshot: &dyn EngineSnapshot, table: TableId) -> Vec<(Bytes, Bytes)> {
    let range = ScanRange { start: Vec::new(), end: None };
    wait(snapshot.scan(table, range, Order::Ascending, usize::MAX)).unwrap()
}
