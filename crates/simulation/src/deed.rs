//! What somebody may do, and how it is chosen.

use std::fmt;

use freehold_testkit::Rng;
use ruma_common::{OwnedRoomId, OwnedUserId};
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
    State {
        event_type: String,
        state_key: String,
        content: Value,
    },
    Power {
        target: OwnedUserId,
        level: i64,
    },
    Redact {
        event_id: String,
    },
    Join {
        via: Vec<String>,
    },
    Invite {
        target: OwnedUserId,
    },
    Leave,
    Kick {
        target: OwnedUserId,
    },
    Ban {
        target: OwnedUserId,
    },
    Unban {
        target: OwnedUserId,
    },
    /// Tells a device of somebody something, in whatever room they may be.
    Whisper {
        target: OwnedUserId,
    },
    /// Reads up to an event.
    Read {
        event_id: String,
    },
    Type,
    /// Comes with a new device under a name, or goes with the one that has it.
    Device {
        device_id: String,
        /// From which its keys are made.
        seed: u64,
    },
    /// Has the devices of somebody looked up, as clients do before they encrypt.
    LookUp {
        target: OwnedUserId,
    },
}

/// Who gets into a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Everybody.
    Open,
    /// Whoever is invited.
    Closed,
    /// Whoever is in another room, and whoever is invited.
    Restricted(OwnedRoomId),
}

impl Door {
    /// Whether it is of use for those who are not invited to try.
    pub(crate) fn is_tried(&self) -> bool {
        *self != Door::Closed
    }

    /// The join rule that lets in whom it should.
    pub(crate) fn rule(&self) -> Value {
        match self {
            Door::Open => json!({ "join_rule": "public" }),
            Door::Closed => json!({ "join_rule": "invite" }),
            Door::Restricted(room_id) => {
                let condition = json!({ "type": "m.room_membership", "room_id": room_id });
                json!({ "join_rule": "restricted", "allow": [condition] })
            }
        }
    }
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
            0..29 => (insider, Act::Say),
            29..33 => (insider, Act::device(rng)),
            33..37 => (insider, Act::LookUp { target }),
            37..41 => (insider, Act::Whisper { target }),
            41..44 => read(rng, room, insider)?,
            44 => (insider, Act::Type),
            45..53 => {
                (insider, Act::state("m.room.topic", json!({ "topic": format!("{}", rng.below(1000)) })))
            }
            53..56 => (insider, Act::state("m.room.history_visibility", visibility(rng))),
            56..58 => (insider, Act::state("m.room.join_rules", join_rule(rng, &room.door))),
            58..64 => (insider, Act::Power { target, level: [0, 50, 100][rng.below(3)] }),
            64..70 => redaction(rng, room)?,
            70..78 if room.door.is_tried() => (anybody, Act::join(rng, &people)),
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

    fn device(rng: &mut Rng) -> Self {
        Act::Device {
            device_id: ["ONE", "TWO", "THREE"][rng.below(3)].to_owned(),
            seed: rng.next_u64() >> 16,
        }
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

fn join_rule(rng: &mut Rng, door: &Door) -> Value {
    match (rng.below(3), door) {
        // A private room stays private, so that it is known who has nothing to do with it.
        (0, Door::Closed) => json!({ "join_rule": "knock" }),
        (0, _) => json!({ "join_rule": "invite" }),
        _ => door.rule(),
    }
}

fn read(rng: &mut Rng, room: &RoomKnown, who: OwnedUserId) -> Option<(OwnedUserId, Act)> {
    let (event_id, _) = rng.pick(&room.sent)?.clone();
    Some((who, Act::Read { event_id }))
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
            Act::Whisper { target } => write!(f, "{who} whispers to {target}"),
            Act::Read { event_id } => write!(f, "{who} reads up to {event_id} in room {room}"),
            Act::Type => write!(f, "{who} types in room {room}"),
            Act::Device { device_id, .. } => write!(f, "{who} comes or goes with device {device_id}"),
            Act::LookUp { target } => write!(f, "{who} looks up the devices of {target}"),
        }
    }
}
