//! Generated rooms, judged and resolved by us, the naive twin and `ruma-state-res`. As many as one
//! likes are compared by the binary `compare-rooms`.

use freehold_event::RoomVersion;
use freehold_spec_tests::{Tally, compare};
use freehold_testkit::{GenerateConfig, generate};

#[test]
fn everybody_agrees_on_three_hundred_rooms() {
    let mut total = Tally::default();
    for version in RoomVersion::ALL {
        for seed in 0..25 {
            let config = GenerateConfig { version: Some(version), ..GenerateConfig::with_trouble_of(seed) };
            total.add(compare(&generate(seed, &config)));
        }
    }
    assert_eq!(total.rooms, 300);
    assert!(total.conflicted > 1000, "{total:?}");
    assert!(total.with_ruma > 1000, "{total:?}");
    let disagreements: Vec<_> = total.disagreements.iter().map(|found| found.to_report()).collect();
    assert!(disagreements.is_empty(), "{disagreements:#?}");
}
