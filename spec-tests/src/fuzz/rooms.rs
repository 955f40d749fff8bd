//! Generated rooms.

use freehold_event::RoomVersion;
use freehold_testkit::{GenerateConfig, Recipe, generate};

use crate::compare;

/// Our libraries, the naive twin and ruma agree on the room that the bytes describe: eight bytes of
/// seed, then version, servers, users, events, forks, and a recipe with every further byte.
///
/// # Panics
///
/// When they do not.
pub fn resolve_versus_twin(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let mut next = || bytes.next().unwrap_or(0);
    let seed = u64::from_le_bytes(std::array::from_fn(|_| next()));
    let mut within = |low: usize, span: u8| low + usize::from(next() % span);
    let version = within(0, 12);
    let (servers, users, events, forks) = (within(1, 5), within(2, 8), within(10, 40), within(2, 4));
    let recipes =
        bytes.take(24).filter_map(|byte| Recipe::ALL.get(usize::from(byte) % Recipe::ALL.len()).copied());
    let config = GenerateConfig {
        version: RoomVersion::ALL.get(version).copied(),
        servers,
        users,
        events,
        forks,
        recipes: recipes.collect(),
        ..GenerateConfig::default()
    };
    let tally = compare(&generate(seed, &config));
    let found: Vec<_> = tally.disagreements.iter().map(|found| found.to_report().to_string()).collect();
    assert!(found.is_empty(), "{found:?}");
}
