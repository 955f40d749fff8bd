//! Rooms made at random, on purpose unpleasant.

mod config;
mod disputes;
mod invites;
mod members;
mod power;
mod traffic;
mod trouble;
mod world;

use freehold_event::RoomVersion;

pub use self::config::{GenerateConfig, Recipe, Trouble};
use self::world::World;
use crate::{rng::Rng, room::Room};

/// Makes a room from a seed. The same seed and configuration make the same room, for ever.
///
/// Several servers write into the room at once, and hear of each other's events late or in
/// pieces. What they write follows the configured [`Recipe`]s. Every event is judged at its place
/// by the naive twin: accepted events are accepted by their `auth_events` and by the state before
/// them; rejected ones stay in the graph, marked.
///
/// ```
/// use freehold_testkit::{GenerateConfig, generate};
///
/// let room = generate(7, &GenerateConfig::default());
/// assert!(room.forks.len() >= 2);
/// assert_eq!(room.order, generate(7, &GenerateConfig::default()).order);
/// ```
pub fn generate(seed: u64, config: &GenerateConfig) -> Room {
    let mut rng = Rng::new(seed);
    let version = config.version.or_else(|| rng.pick(RoomVersion::ALL).copied()).unwrap_or(RoomVersion::V12);
    let mut world = World::new(version, &mut rng, config);
    let recipes = if config.recipes.is_empty() { Recipe::ALL } else { &config.recipes };
    while world.room.order().len() < config.events {
        let recipe = rng.pick(recipes).copied().unwrap_or(Recipe::Traffic);
        world.cook(recipe);
        world.deliver_something();
    }
    let heads = world.fork_heads(config.forks);
    let mut room = world.room.into_room(heads);
    trouble::make(&mut room, config.trouble, &mut rng);
    room
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::{self, Differences, Verdict};

    #[test]
    fn every_version_gets_rooms_with_conflicts() {
        for version in RoomVersion::ALL {
            let config = GenerateConfig { version: Some(version), ..GenerateConfig::default() };
            let rooms: Vec<Room> = (0..8).map(|seed| generate(seed, &config)).collect();
            let conflicted = rooms.iter().filter(|room| {
                let differences = Differences::of(version.id()).unwrap();
                !twin::resolve(&differences, &room.forks, &room.events).full_conflicted_set.is_empty()
            });
            assert!(conflicted.count() >= 4, "{version}");
            let events: Vec<_> = rooms.iter().flat_map(Room::events_in_order).collect();
            let rejected = events.iter().filter(|event| event.rejected).count();
            assert!(rejected > 0 && rejected * 2 < events.len(), "{version}: {rejected} of {}", events.len());
        }
    }

    #[test]
    fn trouble_changes_what_it_says_and_nothing_else() {
        let (mut fewer, mut disputed) = (0, 0);
        for seed in 0..20 {
            let plain = generate(seed, &GenerateConfig::default());
            let with = |trouble| generate(seed, &GenerateConfig { trouble, ..GenerateConfig::default() });
            let room = with(Trouble::MissingMessages);
            assert_eq!(room.forks, plain.forks);
            let cited = room.events.values().flat_map(|event| &event.auth_events);
            assert!(cited.into_iter().all(|id| room.events.contains_key(id)));
            fewer += usize::from(room.events.len() < plain.events.len());
            let room = with(Trouble::DisputedRejection);
            assert_eq!(room.forks, plain.forks);
            disputed += usize::from(room.events != plain.events);
        }
        assert!(fewer > 5 && disputed > 5, "{fewer} {disputed}");
    }

    /// Found by fuzzing: a server without users sent events of nobody.
    #[test]
    fn every_event_has_a_sender() {
        let config = GenerateConfig { servers: 5, users: 2, events: 60, ..GenerateConfig::default() };
        let room = generate(0, &config);
        assert!(room.events_in_order().all(|event| !event.sender.is_empty()));
    }

    #[test]
    fn marks_are_those_of_the_checks_on_receipt() {
        let room = generate(3, &GenerateConfig::default());
        let differences = Differences::of(room.version.id()).unwrap();
        let mut history = twin::History::new(differences);
        let mut known = crate::Events::new();
        for event in room.events_in_order() {
            let before = history.state_before(&event.prev_events, &known);
            let verdict = twin::receive(event, &before, &known, &differences);
            assert_eq!(event.rejected, verdict != Verdict::Accepted);
            history.record(event, &before);
            known.insert(event.event_id.clone(), event.clone());
        }
    }

    #[test]
    fn signed_rooms_hold_complete_pdus() {
        for version in RoomVersion::ALL {
            let config = GenerateConfig {
                version: Some(version),
                sealing: crate::Sealing::Signed,
                ..GenerateConfig::default()
            };
            let room = generate(11, &config);
            assert!(!room.keys.is_empty());
            for event in room.events_in_order() {
                let text = event.pdu.as_ref().unwrap_or_else(|| panic!("{version}: {event:?}"));
                let pdu = freehold_event::Pdu::parse(text.as_bytes(), version).unwrap();
                assert_eq!(pdu.event_id().as_str(), event.event_id);
                assert_eq!(pdu.content(), event.content);
            }
        }
    }
}
