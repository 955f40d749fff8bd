//! What others see of somebody.

use serde::{Deserialize, Serialize};

/// Whether somebody is online; the most present comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PresenceState {
    /// Connected, and lately active.
    Online,
    /// Connected, and not active.
    Unavailable,
    /// Not connected, or not willing to say.
    #[default]
    Offline,
}

/// What others see of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Whether they are online.
    pub state: PresenceState,
    /// What they say of it.
    pub status_msg: Option<String>,
}

/// What a server tells of one of its users
/// (<https://spec.matrix.org/v1.19/server-server-api/#mpresence-schema>), and what clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldPresence {
    /// What others see.
    pub shown: Shown,
    /// For how long they have not been active, in milliseconds.
    pub last_active_ago_ms: i64,
}

impl ToldPresence {
    /// Whether they are to be taken for active until something else is said.
    pub fn is_currently_active(&self) -> bool {
        self.shown.state == PresenceState::Online
    }
}
