//! Up to where others read.

use crate::crowd::Reads;
use crate::laws::{Violation, members};
use crate::observe::{EventSeen, Observed};

/// Every honest process in a room that has an event knows who read up to it, if they are in the room.
pub(crate) fn hearing(observed: &Observed, read: &Reads) -> Vec<Violation> {
    let rooms = members(observed);
    let mut violations = Vec::new();
    for ((room_id, user), event_id) in read {
        let Some(members) = rooms.get(room_id.as_str()) else { continue };
        for (place, room) in members {
            let is_shown = |event: &EventSeen| !event.is_rejected && !event.is_soft_failed;
            let concerns = room.joined.contains(user) && room.events.get(event_id).is_some_and(is_shown);
            let known = room.read.get(user);
            if concerns && known != Some(event_id) {
                let found = format!("{room_id}: {user} read up to {event_id}: p{place} knows of {known:?}");
                violations.push(Violation { law: "hearing", found });
            }
        }
    }
    violations.truncate(SHOWN);
    violations
}

/// How many cases are shown.
const SHOWN: usize = 4;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::observe::RoomSeen;

    const ANN: &str = "@ann:one.example";

    fn found(is_joined: bool, has_event: bool, known: Option<&str>) -> usize {
        let event = EventSeen {
            sender: ANN.to_owned(),
            about: "m.room.message -".to_owned(),
            prev_events: Vec::new(),
            is_rejected: false,
            is_soft_failed: false,
            redacts: None,
            redacted_by: None,
            is_of_liar: false,
            is_leave: false,
            joins: None,
        };
        let room = RoomSeen {
            is_joined: true,
            joined: is_joined.then(|| ANN.to_owned()).into_iter().collect(),
            own: BTreeSet::new(),
            events: has_event.then(|| ("$read".to_owned(), event)).into_iter().collect(),
            read: known.map(|event| (ANN.to_owned(), event.to_owned())).into_iter().collect(),
            ..RoomSeen::default()
        };
        let room = BTreeMap::from([("!room".to_owned(), room)]);
        let observed = Observed { processes: BTreeMap::from([(1, room)]) };
        let read = Reads::from([(("!room".to_owned(), ANN.to_owned()), "$read".to_owned())]);
        hearing(&observed, &read).len()
    }

    #[test]
    fn who_does_not_know_up_to_where_others_read_is_found() {
        for (is_joined, has_event, known, expected) in [
            (true, true, Some("$read"), 0),
            (true, true, Some("$before"), 1),
            (true, true, None, 1),
            (true, false, None, 0),
            (false, true, None, 0),
        ] {
            assert_eq!(found(is_joined, has_event, known), expected, "{is_joined} {has_event} {known:?}");
        }
    }
}
