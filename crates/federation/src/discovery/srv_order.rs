//! The order in which SRV records are tried.

use crate::randomness::Randomness;
use crate::transport::SrvRecord;

/// Orders records by priority, and within a priority at random by weight, as
/// [RFC 2782](https://www.rfc-editor.org/rfc/rfc2782) says.
pub(super) fn ordered(mut records: Vec<SrvRecord>, randomness: &dyn Randomness) -> Vec<SrvRecord> {
    // "those with weight 0 are placed at the beginning of the list".
    records.sort();
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let of_priority = records.partition_point(|record| record.priority == priority);
        let chosen = choose(records.get(..of_priority).unwrap_or_default(), randomness);
        ordered.push(records.remove(chosen));
    }
    ordered
}

/// "select the RR whose running sum value is the first in the selected order which is greater than or equal to the
/// random number selected".
fn choose(records: &[SrvRecord], randomness: &dyn Randomness) -> usize {
    let sum: u64 = records.iter().map(|record| u64::from(record.weight)).sum();
    let selected = randomness.below(sum + 1);
    let mut running = 0;
    records
        .iter()
        .position(|record| {
            running += u64::from(record.weight);
            running >= selected
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u64);

    impl Randomness for Fixed {
        fn next(&self) -> u64 {
            self.0
        }

        fn below(&self, bound: u64) -> u64 {
            self.0.min(bound - 1)
        }
    }

    fn record(priority: u16, weight: u16, target: &str) -> SrvRecord {
        SrvRecord { priority, weight, target: target.to_owned(), port: 1 }
    }

    #[test]
    fn records_are_tried_by_priority_and_then_by_weight() {
        let records = vec![record(2, 9, "last"), record(1, 3, "three"), record(1, 1, "one")];
        let order = |selected| -> Vec<String> {
            let ordered = ordered(records.clone(), &Fixed(selected));
            ordered.into_iter().map(|record| record.target).collect()
        };
        assert_eq!(order(0), ["one", "three", "last"]);
        assert_eq!(order(4), ["three", "one", "last"]);
    }
}
