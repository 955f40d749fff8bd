//! Which events to try without.
//!
//! The minimising delta debugging algorithm of Zeller and Hildebrandt ("Simplifying and isolating
//! failure-inducing input", 2002) over the events of a room, with one addition: whoever refers to
//! an event that is taken out goes with it.

use std::collections::BTreeSet;

use crate::failure::Failure;
use crate::room::Room;

/// The smallest part found that passes the test. Every event in it has its parents and auth events
/// in it, as far as the room has them, and no part that lacks one more event (with what depends on
/// it) passes.
pub(super) fn minimise(
    room: &Room,
    everything: Vec<u64>,
    mut test: impl FnMut(&[u64]) -> Result<bool, Failure>,
) -> Result<Vec<u64>, Failure> {
    let children = children(room);
    let mut kept = everything;
    let mut parts = 2;
    while !kept.is_empty() {
        let size = kept.len().div_ceil(parts).max(1);
        // The newest first: the fewest events depend on them.
        let mut smaller = None;
        for chunk in kept.rchunks(size) {
            let left = without(&kept, chunk, &children);
            if left.len() < kept.len() && test(&left)? {
                smaller = Some(left);
                break;
            }
        }
        match smaller {
            Some(left) => {
                kept = left;
                parts = parts.saturating_sub(1).max(2);
            }
            None if size == 1 => break,
            None => parts = parts.saturating_mul(2).min(kept.len()),
        }
    }
    Ok(kept)
}

/// Takes single events out, whoever refers to them, until none can be spared.
pub(super) fn one_by_one(
    room: &Room,
    mut kept: Vec<u64>,
    mut test: impl FnMut(&[u64]) -> Result<bool, Failure>,
) -> Result<Vec<u64>, Failure> {
    let is_create =
        |number: u64| room.event(number).is_some_and(|event| event.pdu().event_type() == "m.room.create");
    loop {
        let mut is_smaller = false;
        for number in kept.clone().into_iter().rev().filter(|number| !is_create(*number)) {
            let left: Vec<u64> = kept.iter().copied().filter(|other| *other != number).collect();
            if test(&left)? {
                kept = left;
                is_smaller = true;
            }
        }
        if !is_smaller {
            return Ok(kept);
        }
    }
}

/// By number: who refers to the event.
fn children(room: &Room) -> Vec<Vec<u64>> {
    let mut children = vec![Vec::new(); room.events.len()];
    for event in &room.events {
        for parent in event.prev_events.iter().chain(&event.auth_events) {
            if let Some(of_parent) = usize::try_from(*parent).ok().and_then(|index| children.get_mut(index)) {
                of_parent.push(event.number);
            }
        }
    }
    children
}

/// What is left without some events and all that depends on them.
fn without(kept: &[u64], removed: &[u64], children: &[Vec<u64>]) -> Vec<u64> {
    let mut gone: BTreeSet<u64> = BTreeSet::new();
    let mut to_visit = removed.to_vec();
    while let Some(number) = to_visit.pop() {
        if gone.insert(number) {
            let below = usize::try_from(number).ok().and_then(|index| children.get(index));
            to_visit.extend(below.into_iter().flatten());
        }
    }
    kept.iter().copied().filter(|number| !gone.contains(number)).collect()
}
