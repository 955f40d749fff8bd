//! Tokens: up to where a client has seen everything, and where it reads on in a timeline.

use std::fmt;
use std::str::FromStr;

use freehold_store::{Position, TimelineIndex};

/// A point up to which a client has seen everything.
///
/// Clients treat it as opaque. It holds numbers that the server can always answer for and names
/// nothing that the server keeps for it, so tokens cost no space and never expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncToken {
    /// All durable changes up to here were seen.
    pub position: Position,
    /// All messages for the device up to here were seen; behind `position` when there were too many for one answer.
    pub to_device: Position,
    /// All typing notices up to here were seen, counted since `started`.
    pub typing: u64,
    /// All that was told of who is online up to here was seen, counted since `started`.
    pub presence: u64,
    /// When the process started that counted the typing notices and what was told of who is online, in milliseconds since
    /// the Unix epoch; those of another process are forgotten.
    pub started: u64,
}

impl fmt::Display for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SyncToken { position, to_device, typing, presence, started } = self;
        write!(f, "s{position}_{to_device}_{typing}_{presence}_{started:x}")
    }
}

/// A text that is no sync token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this server")]
pub struct InvalidToken;

impl FromStr for SyncToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let mut parts = text.strip_prefix('s').ok_or(InvalidToken)?.split('_');
        let mut next =
            |radix| parts.next().and_then(|part| u64::from_str_radix(part, radix).ok()).ok_or(InvalidToken);
        let token = SyncToken {
            position: Position(next(10)?),
            to_device: Position(next(10)?),
            typing: next(10)?,
            presence: next(10)?,
            started: next(16)?,
        };
        if parts.next().is_some() { Err(InvalidToken) } else { Ok(token) }
    }
}

/// A place between two events of a timeline: reading backwards from it gives the events before `next`, reading forwards
/// gives `next` and what comes after it.
///
/// It is written `t` and a number; a sync token is taken as the place after everything that the client has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimelineToken {
    /// Where the first event after the place stands, or would stand.
    pub next: TimelineIndex,
}

impl TimelineToken {
    /// The place before the event at an index.
    pub fn before(next: TimelineIndex) -> Self {
        TimelineToken { next }
    }

    /// The place after the event at an index.
    pub fn after(index: TimelineIndex) -> Self {
        TimelineToken { next: TimelineIndex(index.0.saturating_add(1)) }
    }
}

impl fmt::Display for TimelineToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.next.0)
    }
}

impl FromStr for TimelineToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        if let Ok(sync) = text.parse::<SyncToken>() {
            return Ok(TimelineToken::after(TimelineIndex::last_of(sync.position)));
        }
        let number = text.strip_prefix('t').and_then(|number| number.parse().ok()).ok_or(InvalidToken)?;
        Ok(TimelineToken { next: TimelineIndex(number) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was() {
        let token = SyncToken {
            position: Position(17),
            to_device: Position(9),
            typing: 4,
            presence: 2,
            started: 1_700_000_000_000,
        };
        assert_eq!(token.to_string().parse(), Ok(token));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "s",
            "s1",
            "s1_2_3_4",
            "s1_2_3_4_5_6",
            "t1_2_3_4_5",
            "s1_-2_3_4_5",
            "s99999999999999999999999_1_1_1_1",
        ] {
            assert_eq!(text.parse::<SyncToken>(), Err(InvalidToken), "{text}");
        }
    }

    #[test]
    fn a_sync_token_is_the_place_after_what_was_seen() {
        let sync =
            SyncToken { position: Position(3), to_device: Position(3), typing: 0, presence: 0, started: 1 };
        let place: TimelineToken = sync.to_string().parse().unwrap();
        assert!(place.next > TimelineIndex::last_of(Position(3)));
        assert!(place.next <= TimelineIndex::at(Position(4), 0));
        assert_eq!(place.to_string().parse(), Ok(place));
        assert_eq!("x1".parse::<TimelineToken>(), Err(InvalidToken));
    }
}
