//! Auth chains.

use std::collections::BTreeSet;

use freehold_store::EventNumber;
use freehold_store::tables::rooms::EVENTS;

use super::{NotShown, ServerView};
use crate::limits::AUTH_CHAIN_MAX;
use crate::read::Unreadable;

/// How many rows are read at a time.
const PAGE: usize = 500;

impl ServerView {
    /// The auth events of some events, and theirs, and so on; not the events themselves, unless others name them.
    pub(super) async fn chain_of(&self, events: &[EventNumber]) -> Result<Vec<EventNumber>, NotShown> {
        let mut chain: BTreeSet<EventNumber> = BTreeSet::new();
        let mut next: Vec<EventNumber> = events.to_vec();
        while !next.is_empty() {
            let page = next.split_off(next.len().saturating_sub(PAGE));
            let rows = self.reader.snapshot.get_many(&EVENTS, &page).await.map_err(Unreadable::from)?;
            for auth_event in rows.into_iter().flatten().flat_map(|row| row.auth_events) {
                if chain.insert(auth_event) {
                    next.push(auth_event);
                }
            }
            if chain.len() > AUTH_CHAIN_MAX {
                return Err(NotShown::TooMuch);
            }
        }
        Ok(chain.into_iter().collect())
    }
}
