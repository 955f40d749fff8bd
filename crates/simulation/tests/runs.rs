//! The simulation itself: the same seed gives the same run, and what is broken is noticed.

use std::collections::BTreeSet;

use freehold_simulation::{Disks, run, run_as};

/// Seeds of small runs, with and without an operator who lies, which hold all laws.
const SEEDS: [u64; 4] = [3, 5, 6, 8];

#[test]
fn the_same_seed_gives_the_same_run_to_the_last_byte() {
    for seed in SEEDS {
        let (first, second) = (run(seed, None), run(seed, None));
        assert_eq!(first, second);
        assert_eq!(first.violations, []);
        assert!(first.happened > 20, "{first:?}");
    }
    assert_ne!(run(SEEDS[0], None).hash, run(SEEDS[1], None).hash);
}

#[test]
fn disks_that_forget_what_was_acknowledged_are_noticed() {
    let mut noticed = BTreeSet::new();
    for seed in 1..=20 {
        let outcome = run_as(seed, Disks::Forgetful, None);
        noticed.extend(outcome.violations.iter().map(|violation| violation.law));
        if noticed.is_superset(&FORGOTTEN.into()) {
            return;
        }
    }
    panic!("processes lost their disks, and only these laws noticed: {noticed:?}");
}

/// The laws about what was acknowledged: events, and messages to devices.
const FORGOTTEN: [&str; 2] = ["delivery", "durability"];
