//! What somebody may do, and how it is chosen.

use std::fmt;

use freehold_testkit::Rng;
use ruma_common::OwnedUserId;
use serde_json::{Value, json};

use crate::crowd::RoomKnown;

/// Somebody does something in a room.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    /// Who.
    pub(crate) who: OwnedUserId,
    /// In which room, by its number.
    pub(crate) room: usize,
    /// What.
    pub(crate) act: Act,
}

/// What somebody does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Say,
    State { event_type: String, state_key: String, content: Value },
    Power { target: OwnedUserId, level: i64 },
    Redact { event_id: String },
    Join { via: Vec<String> },
    Invite { target: OwnedUserId },
    Leave,
    Kick { target: OwnedUserId },
    Ban { target: OwnedUserId },
    Unban { target: OwnedUserId },
}

impl Deed {
    /// Something that one of `everybody` does in one of some rooms.
    pub(crate) fn choose(rng: &mut Rng, rooms: &[RoomKnown], everybody: &[OwnedUserId]) -> Option<Self> {
        let number = rng.below(rooms.len());
        let room = rooms.get(number)?;
        let people: Vec<OwnedUserId> = room.people.iter().cloned().collect();
        let insider = rng.pick(&people)?.clone();
        let anybody = rng.pick(everybody)?.clone();
        let target = if rng.chance(70) { rng.pick(&people)?.clone() } else { anybody.clone() };
        let (who, act) = match rng.below(100) {
            0..45 => (insider, Act::Say),
            45..53 => {
                (insider, Act::state("m.room.topic", json!({ "topic": format!("{}", rng.below(1000)) })))
            }
            53..56 => (insider, Act::state("m.room.history_visibility", visibility(rng))),
            56..58 => (insider, Act::state("m.room.join_rules", join_rule(rng, room.is_public))),
            58..64 => (insider, Act::Power { target, level: [0, 50, 100][rng.below(3)] }),
            64..70 => redaction(rng, room)?,
            70..78 if room.is_public => (anybody, Act::join(rng, &people)),
            70..78 => (insider, Act::Invite { target: anybody }),
            78..84 => (insider.clone(), Act::join(rng, &people)),
            84..89 => (insider, Act::Leave),
            89..93 => (insider, Act::Kick { target }),
            93..96 => (insider, Act::Ban { target }),
            96..98 => (insider, Act::Unban { target }),
            _ => (insider, Act::Invite { target: anybody }),
        };
        Some(Deed { who, room: number, act })
    }

    /// A user joins a room by way of people who may be there.
    pub(crate) fn join(rng: &mut Rng, (number, room): (usize, &RoomKnown), who: OwnedUserId) -> Self {
        let people: Vec<OwnedUserId> = room.people.iter().cloned().collect();
        Deed { who, room: number, act: Act::join(rng, &people) }
    }
}

impl Act {
    fn state(event_type: &str, content: Value) -> Self {
        Act::State { event_type: event_type.to_owned(), state_key: String::new(), content }
    }

    fn join(rng: &mut Rng, people: &[OwnedUserId]) -> Self {
        let mut servers: Vec<String> = people.iter().map(|user| user.server_name().to_string()).collect();
        servers.sort();
        servers.dedup();
        rng.shuffle(&mut servers);
        Act::Join { via: servers }
    }
}

fn visibility(rng: &mut Rng) -> Value {
    let visibility = ["shared", "joined", "invited", "world_readable"][rng.below(4)];
    json!({ "history_visibility": visibility })
}

fn join_rule(rng: &mut Rng, is_public: bool) -> Value {
    // A private room stays private, so that it is known who has nothing to do with it.
    let rules = if is_public { ["public", "invite", "public"] } else { ["invite", "knock", "invite"] };
    let rule = rules[rng.below(3)];
    json!({ "join_rule": rule })
}

fn redaction(rng: &mut Rng, room: &RoomKnown) -> Option<(OwnedUserId, Act)> {
    let (event_id, sender) = rng.pick(&room.sent)?.clone();
    Some((sender, Act::Redact { event_id }))
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Deed { who, room, act } = self;
        match act {
            Act::Say => write!(f, "{who} says something in room {room}"),
            Act::State { event_type, content, .. } => {
                write!(f, "{who} sets {event_type} {content} in room {room}")
            }
            Act::Power { target, level } => write!(f, "{who} gives {target} power {level} in room {room}"),
            Act::Redact { event_id } => write!(f, "{who} redacts {event_id} in room {room}"),
            Act::Join { via } => write!(f, "{who} joins room {room} via {via:?}"),
            Act::Invite { target } => write!(f, "{who} invites {target} to room {room}"),
            Act::Leave => write!(f, "{who} leaves room {room}"),
            Act::Kick { target } => write!(f, "{who} kicks {target} from room {room}"),
            Act::Ban { target } => write!(f, "{who} bans {target} from room {room}"),
            Act::Unban { target } => write!(f, "{who} unbans {target} in room {room}"),
        }
    }
}
