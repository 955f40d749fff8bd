//! What differs between room versions, as the twin reads it from the specification.

/// Which state resolution algorithm a room version uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// [Room version 1](https://spec.matrix.org/v1.19/rooms/v1/#state-resolution).
    V1,
    /// [Room versions 2 to 11](https://spec.matrix.org/v1.19/rooms/v2/#state-resolution).
    V2,
    /// [Room version 12](https://spec.matrix.org/v1.19/rooms/v12/#state-resolution) (MSC4297).
    V2_1,
}

/// The differences between room versions that matter to authorisation and state resolution.
///
/// Written down from the "added in", "changed in" and "removed" remarks of the pages of the
/// [room versions](https://spec.matrix.org/v1.19/rooms/), independently of the table that the
/// libraries use, so that a slip in either shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Differences {
    /// The state resolution algorithm.
    pub algorithm: Algorithm,
    /// Up to 5: rule 4 on `m.room.aliases`.
    pub aliases_rule: bool,
    /// Up to 2: rule 11 on `m.room.redaction`.
    pub redaction_rule: bool,
    /// From 6: `notifications` is checked like `events`.
    pub notifications: bool,
    /// Up to 5: power levels may be floats.
    pub float_levels: bool,
    /// Up to 9: power levels may be strings.
    pub string_levels: bool,
    /// From 7: the join rule and the membership `knock`.
    pub knock: bool,
    /// From 8: the join rule `restricted`.
    pub restricted: bool,
    /// From 10: the join rule `knock_restricted`.
    pub knock_restricted: bool,
    /// Up to 10: the creator is `content.creator`; later the sender of the create event.
    pub creator_in_content: bool,
    /// From 12: the room id is the id of the create event, which nobody cites; the creators,
    /// additional ones included, have infinite power.
    pub creators_rule: bool,
}

impl Differences {
    /// The row of a room version, `None` for a version that the specification does not have.
    pub fn of(version: &str) -> Option<Self> {
        let number: u8 = version.parse().ok().filter(|n| (1..=12).contains(n))?;
        (number.to_string() == version).then(|| Self::row(number))
    }

    /// The row of the newest room version.
    pub fn newest() -> Self {
        Self::row(12)
    }

    fn row(number: u8) -> Self {
        let from = |first: u8| number >= first;
        let up_to = |last: u8| number <= last;
        Self {
            algorithm: match number {
                1 => Algorithm::V1,
                12 => Algorithm::V2_1,
                _ => Algorithm::V2,
            },
            aliases_rule: up_to(5),
            redaction_rule: up_to(2),
            notifications: from(6),
            float_levels: up_to(5),
            string_levels: up_to(9),
            knock: from(7),
            restricted: from(8),
            knock_restricted: from(10),
            creator_in_content: up_to(10),
            creators_rule: from(12),
        }
    }

    /// The number of the rule on `auth_events`.
    pub(super) fn auth_events_rule(&self) -> u8 {
        if self.creators_rule { 3 } else { 2 }
    }

    /// The number of the rule on `m.room.member`; the aliases rule of versions 1 to 5 and the room
    /// id rule of version 12 each push it down by one.
    pub(super) fn member_rule(&self) -> u8 {
        if self.aliases_rule || self.creators_rule { 5 } else { 4 }
    }

    /// The number of a point of the member rule. `restricted` versions insert point 2, and
    /// `knock` versions put the knocking point before the last.
    pub(super) fn member_point(&self, membership: &str) -> u8 {
        let shift = u8::from(self.restricted);
        match membership {
            "join" => 2 + shift,
            "invite" => 3 + shift,
            "leave" => 4 + shift,
            "ban" => 5 + shift,
            "knock" if self.knock => 6 + shift,
            _ => 6 + shift + u8::from(self.knock),
        }
    }

    /// The number of a point of the power levels rule, given as the number it has in version 1:
    /// version 10 puts two points in front, version 12 one more after the third.
    pub(super) fn power_point(&self, point_in_v1: u8) -> u8 {
        let integers = if self.string_levels { 0 } else { 2 };
        let creators = u8::from(self.creators_rule && point_in_v1 > 1);
        point_in_v1 + integers + creators
    }
}
