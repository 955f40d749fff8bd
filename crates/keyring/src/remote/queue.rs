//! Who is asked next for keys.

use std::collections::VecDeque;

use ruma_common::OwnedServerName;

/// Servers that are to be asked themselves. Those of which keys are known come before strangers: whoever invents names holds up
/// nobody else's keys.
#[derive(Debug, Default)]
pub(super) struct DirectQueue {
    known: VecDeque<OwnedServerName>,
    strangers: VecDeque<OwnedServerName>,
}

impl DirectQueue {
    pub(super) fn push_known(&mut self, server: OwnedServerName) {
        self.known.push_back(server);
    }

    /// Adds a server of which nothing is known; `false` if as many as `most` wait.
    pub(super) fn push_stranger(&mut self, server: OwnedServerName, most: usize) -> bool {
        let has_room = self.strangers.len() < most;
        if has_room {
            self.strangers.push_back(server);
        }
        has_room
    }

    pub(super) fn pop(&mut self) -> Option<OwnedServerName> {
        self.known.pop_front().or_else(|| self.strangers.pop_front())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.strangers.is_empty()
    }
}
