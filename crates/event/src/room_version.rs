//! Room versions as one table of switches.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use freehold_canonical_json::{Limits, member};
use ruma_common::room_version_rules::RoomVersionRules;

/// A room version: its identifier and its row in the table of switches.
///
/// Everything that depends on the version of a room takes a `&'static RoomVersion` and asks it
/// for the switch in question; nothing branches on the identifier. Two versions are equal when
/// their identifiers are.
///
/// An unknown version is not a version: [`RoomVersion::find`] answers `None`, and there is no
/// fallback.
///
/// # Example
///
/// ```
/// use freehold_event::RoomVersion;
///
/// let version = RoomVersion::find("11").unwrap();
/// assert_eq!(version, RoomVersion::V11);
/// assert!(version.rules().redaction.content_field_redacts);
/// assert!(RoomVersion::find("org.example.unheard-of").is_none());
/// ```
///
/// A version that is not part of the specification yet is a row more:
///
/// ```
/// use freehold_event::RoomVersion;
/// use ruma_common::room_version_rules::RoomVersionRules;
///
/// const RULES: RoomVersionRules = {
///     let mut rules = RoomVersionRules::V11;
///     rules.authorization.integer_power_levels = false;
///     rules
/// };
/// static EXPERIMENT: RoomVersion = RoomVersion::custom("org.example.experiment", RULES);
/// assert_eq!(EXPERIMENT.id(), "org.example.experiment");
/// ```
#[derive(Clone)]
pub struct RoomVersion {
    id: &'static str,
    rules: RoomVersionRules,
    length_unit: LengthUnit,
}

/// What the limit of 255 on the length of `type` and `state_key` counts.
///
/// The specification counts bytes in every room version. The reference implementation counts
/// code points before room version 11 (`_check_size_limits` in Synapse's `synapse/event_auth.py`):
/// old rooms hold events that are over the limit, and dropping them would cut the history off.
/// There an event over 255 code points is no event, and one that is only over 255 bytes is a
/// well-formed event that must be rejected: [`Pdu::over_byte_limit`](crate::Pdu::over_byte_limit)
/// tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LengthUnit {
    /// Bytes of UTF-8.
    Bytes,
    /// Unicode code points.
    CodePoints,
}

impl fmt::Display for LengthUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::CodePoints => "code points",
        })
    }
}

impl RoomVersion {
    /// [Room version 1](https://spec.matrix.org/v1.19/rooms/v1/).
    pub const V1: &'static Self = &Self::lenient("1", RoomVersionRules::V1);
    /// [Room version 2](https://spec.matrix.org/v1.19/rooms/v2/).
    pub const V2: &'static Self = &Self::lenient("2", RoomVersionRules::V2);
    /// [Room version 3](https://spec.matrix.org/v1.19/rooms/v3/).
    pub const V3: &'static Self = &Self::lenient("3", RoomVersionRules::V3);
    /// [Room version 4](https://spec.matrix.org/v1.19/rooms/v4/).
    pub const V4: &'static Self = &Self::lenient("4", RoomVersionRules::V4);
    /// [Room version 5](https://spec.matrix.org/v1.19/rooms/v5/).
    pub const V5: &'static Self = &Self::lenient("5", RoomVersionRules::V5);
    /// [Room version 6](https://spec.matrix.org/v1.19/rooms/v6/).
    pub const V6: &'static Self = &Self::lenient("6", RoomVersionRules::V6);
    /// [Room version 7](https://spec.matrix.org/v1.19/rooms/v7/).
    pub const V7: &'static Self = &Self::lenient("7", RoomVersionRules::V7);
    /// [Room version 8](https://spec.matrix.org/v1.19/rooms/v8/).
    pub const V8: &'static Self = &Self::lenient("8", RoomVersionRules::V8);
    /// [Room version 9](https://spec.matrix.org/v1.19/rooms/v9/).
    pub const V9: &'static Self = &Self::lenient("9", RoomVersionRules::V9);
    /// [Room version 10](https://spec.matrix.org/v1.19/rooms/v10/).
    pub const V10: &'static Self = &Self::lenient("10", RoomVersionRules::V10);
    /// [Room version 11](https://spec.matrix.org/v1.19/rooms/v11/).
    pub const V11: &'static Self = &Self::custom("11", RoomVersionRules::V11);
    /// [Room version 12](https://spec.matrix.org/v1.19/rooms/v12/).
    pub const V12: &'static Self = &Self::custom("12", RoomVersionRules::V12);

    /// Every room version of the specification, oldest first.
    pub const ALL: &'static [&'static Self] = &[
        Self::V1,
        Self::V2,
        Self::V3,
        Self::V4,
        Self::V5,
        Self::V6,
        Self::V7,
        Self::V8,
        Self::V9,
        Self::V10,
        Self::V11,
        Self::V12,
    ];

    /// A room version that the specification does not have (yet).
    ///
    /// Put it in a `static`; [`RoomVersion::find`] does not know it. Lengths count bytes.
    pub const fn custom(id: &'static str, rules: RoomVersionRules) -> Self {
        Self { id, rules, length_unit: LengthUnit::Bytes }
    }

    const fn lenient(id: &'static str, rules: RoomVersionRules) -> Self {
        Self { id, rules, length_unit: LengthUnit::CodePoints }
    }

    /// The room version of the specification with this identifier.
    ///
    /// `None` for any other: an event of a room whose version is unknown cannot be judged and must
    /// be refused.
    pub fn find(id: &str) -> Option<&'static Self> {
        Self::ALL.iter().copied().find(|version| version.id == id)
    }

    /// The identifier, as in `content.room_version` of the create event.
    pub const fn id(&self) -> &'static str {
        self.id
    }

    /// The room version of a room, told from the `content` of its create event.
    ///
    /// [A missing `room_version` means
    /// "1"](https://spec.matrix.org/v1.19/client-server-api/#mroomcreate).
    pub fn of_create_content(content: &str) -> Result<&'static Self, UnknownRoomVersion> {
        let Some(found) = member(content, "room_version").ok().flatten() else {
            return Ok(Self::V1);
        };
        let Some(id) = found.as_str() else {
            return Err(UnknownRoomVersion { id: None });
        };
        Self::find(&id).ok_or_else(|| UnknownRoomVersion { id: Some(id.into_owned()) })
    }

    /// The table of switches.
    pub const fn rules(&self) -> &RoomVersionRules {
        &self.rules
    }

    /// What JSON may be: room versions from 6 on enforce canonical JSON, [earlier ones must
    /// not](https://spec.matrix.org/v1.19/rooms/v5/#canonical-json).
    pub const fn json_limits(&self) -> &'static Limits {
        if self.rules.authorization.strict_canonical_json { &Limits::STRICT } else { &Limits::RELAXED }
    }

    /// The greatest `depth`, at which it is clamped: the greatest integer that the JSON of the room
    /// version has, [2<sup>53</sup> − 1](https://spec.matrix.org/v1.19/rooms/v6/#event-format) or
    /// [2<sup>63</sup> − 1](https://spec.matrix.org/v1.19/rooms/v5/#event-format).
    pub const fn depth_max(&self) -> i64 {
        if self.rules.authorization.strict_canonical_json { (1 << 53) - 1 } else { i64::MAX }
    }

    /// The depth of an event that comes after events of the given depths: one more than the
    /// greatest, clamped to [`RoomVersion::depth_max`].
    pub fn depth_after(&self, depths: impl IntoIterator<Item = i64>) -> i64 {
        let greatest = depths.into_iter().max().unwrap_or_default();
        greatest.saturating_add(1).min(self.depth_max())
    }

    /// What the limits on the length of `type` and `state_key` count.
    pub const fn length_unit(&self) -> LengthUnit {
        self.length_unit
    }
}

/// A room version that this table does not have, so that nothing can be said about the room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown room version {id:?}")]
pub struct UnknownRoomVersion {
    /// The identifier; `None` when it is not a string.
    pub id: Option<String>,
}

impl fmt::Debug for RoomVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RoomVersion").field(&self.id).finish()
    }
}

impl fmt::Display for RoomVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl PartialEq for RoomVersion {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for RoomVersion {}

impl Hash for RoomVersion {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_found_by_its_identifier() {
        for (number, version) in (1..).zip(RoomVersion::ALL) {
            assert_eq!(version.id(), number.to_string());
            assert_eq!(RoomVersion::find(version.id()), Some(*version));
        }
    }

    /// continuwuity 8f0c7a99d: an unknown room version fell back to version 1 and went on.
    #[test]
    fn unknown_version_has_no_fallback() {
        for id in ["", "0", "01", "13", "1 ", "１", "org.matrix.hydra.11"] {
            assert_eq!(RoomVersion::find(id), None, "{id}");
        }
    }
}
