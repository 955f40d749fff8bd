//! Whether two servers hold the same of a room: a server of neither asks both, over the federation interface.

use std::{thread, time::Duration};

use freehold_event::Pdu;

use super::Pair;
use crate::{
    failure::Result,
    home::Home,
    resident::{Graph, Resident},
    scenario::Room,
    server::Reserved,
};

/// How long the servers may take to tell each other of the joins of those who ask.
const SETTLE: Duration = Duration::from_secs(2);

/// How many states before an event of the room differ, or are held by one of the servers only.
pub(super) fn differences(pair: &Pair<'_>, room: &Room) -> Result<usize> {
    let of_first = asker(pair, pair.first)?;
    let of_second = asker(pair, pair.second)?;
    let graph = of_first.export(&room.room_id, room.version)?;
    of_second.enter(&room.room_id, room.version)?;
    thread::sleep(SETTLE);
    let mut differences = 0;
    let since = second_came(pair, &graph);
    for (pdu, _) in graph.events() {
        // Of what was before it came, a server knows the state only as far as it needs it.
        if pdu.depth() <= since {
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

/// The depth at which the first user of the second server joined.
fn second_came(pair: &Pair<'_>, graph: &Graph) -> i64 {
    let is_join = |pdu: &Pdu| {
        pdu.event_type() == "m.room.member"
            && pdu.sender().server_name().as_str() == pair.second.server_name()
            && pdu.content().contains("\"membership\":\"join\"")
    };
    let joins = graph.events().into_iter().filter(|(pdu, _)| is_join(pdu)).map(|(pdu, _)| pdu.depth());
    joins.min().unwrap_or(0)
}

/// A server of its own, whose key document others can fetch, that asks one of the pair.
fn asker<'a>(pair: &Pair<'a>, peer: &dyn Home) -> Result<Resident<'a>> {
    let reserved = Reserved::take()?;
    let resident = Resident::create(pair.client, reserved.server_name(), peer.server_name())?;
    reserved.serve(pair.authority, resident.key_document()?)?;
    Ok(resident)
}
