//! The rows of many numbers. Those that were given together lie together, and are read together: that takes a fraction of the time.

use std::collections::BTreeMap;

use crate::engine::Order;
use crate::interner::Numbered;
use crate::store::{ReadError, Snapshot};
use crate::table::Table;
use crate::value::Value;

/// Fewer numbers than these are looked up one by one.
const RUN_FROM: usize = 4;

/// How far apart two neighbours of a run are at most: what lies between them is read for nothing.
const APART_MAX: u64 = 3;

impl Snapshot {
    /// The rows of several numbers, in their order: what [`Snapshot::get_many`] gives.
    ///
    /// # Errors
    /// [`ReadError`], also when a row is damaged.
    pub async fn rows_of<N: Numbered, V: Value>(
        &self,
        table: &Table<N, V>,
        numbers: &[N],
    ) -> Result<Vec<Option<V>>, ReadError> {
        if numbers.len() < RUN_FROM {
            return self.get_many(table, numbers).await;
        }
        let mut sorted: Vec<u64> = numbers.iter().map(|number| (*number).into()).collect();
        sorted.sort_unstable();
        sorted.dedup();
        // Of a number that comes twice the row would be wanted twice.
        if sorted.len() < numbers.len() {
            return self.get_many(table, numbers).await;
        }
        let (runs, apart): (Vec<&[u64]>, Vec<&[u64]>) = runs(&sorted).partition(|run| run.len() >= RUN_FROM);
        let apart: Vec<N> = apart.into_iter().flatten().copied().map(N::from).collect();
        let rows = self.get_many(table, &apart).await?;
        let rows = apart.into_iter().zip(rows).filter_map(|(number, row)| Some((number.into(), row?)));
        let mut found: BTreeMap<u64, V> = rows.collect();
        for run in runs {
            found.extend(self.rows_of_run(table, run).await?);
        }
        Ok(numbers.iter().map(|number| found.remove(&(*number).into())).collect())
    }

    /// The rows from the first number of a run to its last one.
    async fn rows_of_run<N: Numbered, V: Value>(
        &self,
        table: &Table<N, V>,
        run: &[u64],
    ) -> Result<Vec<(u64, V)>, ReadError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(Vec::new()) };
        // The greatest number of all is never given.
        let range = (&N::from(*first), &N::from(last.saturating_add(1)));
        let rows = self.scan_range(table, range, Order::Ascending, usize::MAX).await?;
        Ok(rows.into_iter().map(|(number, row)| (number.into(), row)).collect())
    }
}

/// Numbers in ascending order, apart where much lies between them.
fn runs(sorted: &[u64]) -> impl Iterator<Item = &[u64]> {
    sorted.chunk_by(|one, next| next.saturating_sub(*one) <= APART_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_lie_together_are_a_run() {
        let sorted = [1, 2, 5, 9, 10, 11, 12, 100, u64::MAX - 1, u64::MAX];
        let runs: Vec<&[u64]> = runs(&sorted).collect();
        assert_eq!(runs, [&[1, 2, 5][..], &[9, 10, 11, 12], &[100], &[u64::MAX - 1, u64::MAX]]);
    }
}
