//! The schema: every table of the server, by subject.
//!
//! Each subject has a block of table numbers, so that numbers never meet; a test holds all numbers and names apart.
//!
//! | numbers | subject |
//! |---|---|
//! | 0, 249 | the schema version, and the migration under way |
//! | 1–9 | [`identity`]: numbers for identifiers |
//! | 10–39 | [`rooms`]: events, state, timelines, memberships, aliases |
//! | 40–59 | [`tenancy`]: tenants, hostnames, policies, proofs of control, audit |
//! | 60–89 | [`accounts`]: users, devices, tokens, profiles, account data |
//! | 90–119 | [`encryption`]: device keys, one-time keys, to-device messages, key backup |
//! | 120–139 | [`receipts`] |
//! | 140–159 | [`media`]: uploads, bytes, quotas, what is kept of other servers |
//! | 160–179 | [`federation`]: other servers |
//! | 180–189 | [`outbound`]: what is sent to them |

pub mod accounts;
mod all;
pub mod encryption;
pub mod federation;
pub mod identity;
pub mod media;
pub mod outbound;
pub mod receipts;
pub mod rooms;
pub mod tenancy;

pub use all::ALL;

use crate::migration::MigratingRow;
use crate::table::{Table, TableId};

/// The version of all tables together: another one whenever what they hold changes. `schema.txt` beside the sources has what they hold
/// in this one.
pub const SCHEMA_VERSION: u32 = 3;

/// Which [`SCHEMA_VERSION`] the store has.
pub const SCHEMA: Table<(), u32> = Table::new(TableId(0), "schema");

/// How far the migration to the next schema version has come; without a row none is under way.
pub const MIGRATING: Table<(), MigratingRow> = Table::new(TableId(249), "migrating");
