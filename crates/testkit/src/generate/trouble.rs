//! What else is wrong with a room at the end.

use std::collections::BTreeSet;

use super::Trouble;
use crate::{rng::Rng, room::Room};

/// Makes the trouble.
pub(super) fn make(room: &mut Room, trouble: Trouble, rng: &mut Rng) {
    match trouble {
        Trouble::None => {}
        Trouble::MissingMessages => lose_messages(room, rng),
        Trouble::DisputedRejection => dispute_rejection(room, rng),
    }
}

/// Takes every other message event away, but for those after which a fork begins.
fn lose_messages(room: &mut Room, rng: &mut Rng) {
    let mut lost = BTreeSet::new();
    for event in room.events.values() {
        if event.state_key.is_none() && !room.fork_heads.contains(&event.event_id) && rng.chance(50) {
            lost.insert(event.event_id.clone());
        }
    }
    room.events.retain(|id, _| !lost.contains(id));
    room.order.retain(|id| !lost.contains(id));
}

/// Marks an event of the first fork's state as rejected: one that no event is authorised by, because
/// those would be rejected with it.
fn dispute_rejection(room: &mut Room, rng: &mut Rng) {
    let cited: BTreeSet<&String> = room.events.values().flat_map(|event| &event.auth_events).collect();
    let state = room.forks.first().into_iter().flat_map(|state| state.values());
    let uncited: Vec<String> =
        state.filter(|id| !cited.contains(id) && **id != room.create_event_id).cloned().collect();
    if let Some(event) = rng.pick(&uncited).and_then(|id| room.events.get_mut(id)) {
        event.rejected = true;
    }
}
