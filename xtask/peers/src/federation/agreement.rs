//! Whether two servers hold the same of a room: a server of neither asks both, over the federation interface.

use std::{thread, time::Duration};

use super::Pair;
use crate::{failure::Result, home::Home, resident::Resident, scenario::Room, server::Reserved};

/// How long the servers may take to tell each other of the joins of those who ask.
const SETTLE: Duration = Duration::from_secs(2);

/// How many states before an event of the room differ, or are held by one of the servers only.
pub(super) fn differences(pair: &Pair<'_>, room: &Room) -> Result<usize> {
    let of_first = asker(pair, pair.first)?;
    let of_second = asker(pair, pair.second)?;
    let graph = of_first.export(&room.room_id, room.version)?;
    of_second.export(&room.room_id, room.version)?;
    thread::sleep(SETTLE);
    let mut differences = 0;
    for (pdu, _) in graph.events() {
        if pdu.prev_events().is_empty() {
            continue;
        }
        let event_id = pdu.event_id().as_str();
        let first = of_first.state_before(&room.room_id, event_id);
        let second = of_second.state_before(&room.room_id, event_id);
        if !matches!((&first, &second), (Ok(first), Ok(second)) if first == second) {
            differences += 1;
            println!("        the state before {event_id} ({}) differs", pdu.event_type());
            for failure in [first.err(), second.err()].into_iter().flatten() {
                println!("        {failure}");
            }
        }
    }
    Ok(differences)
}

/// A server of its own, whose key document others can fetch, that asks one of the pair.
fn asker<'a>(pair: &Pair<'a>, peer: &dyn Home) -> Result<Resident<'a>> {
    let reserved = Reserved::take()?;
    let resident = Resident::create(pair.client, reserved.server_name(), peer.server_name())?;
    reserved.serve(pair.authority, resident.key_document()?)?;
    Ok(resident)
}
