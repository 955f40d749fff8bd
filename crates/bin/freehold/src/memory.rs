//! One budget of memory for all caches of the process.

use std::sync::Arc;

use freehold_accounts::Accounts;
use freehold_admin_api::{MemoryUse, Status, StatusReport};
use freehold_client_api::Bodies;
use freehold_rooms::Rooms;
use freehold_store_fjall::FjallEngine;
use freehold_tenancy::Tenancy;

use crate::metrics::resident_bytes;

/// What of the budget each part may take, in bytes. Together they are the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Blocks that the store read.
    pub(crate) blocks: u64,
    /// Changes that are not sorted into files yet.
    pub(crate) changes: u64,
    /// Events and states that were read.
    pub(crate) rooms_read: u64,
    /// Rooms that lie open for writing.
    pub(crate) open_rooms: u64,
    /// Bodies of requests that come in.
    pub(crate) bodies: u64,
    /// Sessions whose tokens are remembered.
    pub(crate) sessions: u64,
}

/// What a remembered session takes, with its place in the cache.
const SESSION_BYTES: u64 = 512;
/// So many times the size of one buffer is taken by changes at most.
const BUFFERS: u64 = 4;
/// With smaller buffers most of the work would be sorting; with larger ones a start after a crash would take long.
const BUFFER_MIN: u64 = 1 << 20;
const BUFFER_MAX: u64 = 16 << 20;

impl Shares {
    /// The shares of a budget, in sixteenths.
    pub(crate) fn of(budget: u64) -> Self {
        let part = budget / 16;
        Shares {
            blocks: part * 4,
            changes: part * 4,
            rooms_read: part * 2,
            open_rooms: part * 2,
            bodies: part * 2,
            sessions: part * 2,
        }
    }

    /// How many bytes of changes are collected before they are sorted.
    pub(crate) fn write_buffer(&self) -> u64 {
        (self.changes / BUFFERS).clamp(BUFFER_MIN, BUFFER_MAX)
    }

    /// How many sessions are remembered.
    pub(crate) fn sessions_max(&self) -> usize {
        usize::try_from(self.sessions / SESSION_BYTES).unwrap_or(usize::MAX)
    }
}

/// What takes memory, and says how much.
#[derive(Clone)]
pub(crate) struct Memory {
    pub(crate) budget: u64,
    pub(crate) engine: Arc<FjallEngine>,
    pub(crate) rooms: Rooms,
    pub(crate) accounts: Accounts,
    pub(crate) bodies: Bodies,
    pub(crate) tenancy: Tenancy,
}

impl Memory {
    /// How much each part takes.
    pub(crate) fn uses(&self) -> Vec<MemoryUse> {
        let shares = Shares::of(self.budget);
        let (store, rooms) = (self.engine.memory(), self.rooms.memory());
        let sessions = self.accounts.sessions_in_memory() as u64 * SESSION_BYTES;
        [
            ("blocks", store.cache, Some(shares.blocks)),
            ("changes", store.changes, Some(shares.write_buffer() * BUFFERS)),
            // They grow with the store, about 1.5 bytes for each key of its upper levels.
            ("indexes", store.indexes, None),
            ("rooms_read", rooms.cache as u64, Some(shares.rooms_read)),
            ("open_rooms", rooms.open_rooms as u64, Some(shares.open_rooms)),
            ("bodies", self.bodies.held() as u64, Some(shares.bodies)),
            ("sessions", sessions, Some(shares.sessions)),
        ]
        .map(|(subsystem, held, most)| MemoryUse { subsystem: subsystem.to_owned(), held, most })
        .into()
    }
}

impl Status for Memory {
    fn status(&self) -> StatusReport {
        StatusReport {
            memory_budget: self.budget,
            memory: self.uses(),
            resident: resident_bytes(),
            tenants: self.tenancy.count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_the_budget_and_no_more() {
        for budget in [1_u64 << 20, 64 << 20, 100_000_000, 1 << 40] {
            let Shares { blocks, changes, rooms_read, open_rooms, bodies, sessions } = Shares::of(budget);
            let sum = blocks + changes + rooms_read + open_rooms + bodies + sessions;
            assert!(sum <= budget && sum > budget - 16, "{budget}");
            assert!(Shares::of(budget).write_buffer() * BUFFERS <= changes.max(BUFFER_MIN * BUFFERS));
        }
    }
}
