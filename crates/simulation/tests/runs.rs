//! The simulation itself: the same seed gives the same run, and what is broken is noticed.

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
    let broken = |seed| {
        let outcome = run_as(seed, Disks::Forgetful, None);
        outcome.violations.iter().any(|violation| violation.law == "durability")
    };
    assert!((1..=20).any(broken), "processes lost their disks, and no law noticed");
}
