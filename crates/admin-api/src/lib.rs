//! What operators and tenants' administrators do to the server.
//!
//! There is one set of [`Command`]s with one set of [`Answer`]s. A running server takes them over HTTP ([`router`]); on
//! a stopped one the same [`Desk`] carries them out directly on its store. Words and output are the same.
//!
//! An operator may do everything; an administrator of a tenant only what concerns that tenant; its
//! users invite people ([`Authority`]).
//!
//! # What it does not do
//!
//! It changes rooms only to repair them, and reads no access tokens: whose one is, it asks through [`TenantUsers`].

mod answer;
mod authority;
mod command;
mod desk;
mod entry;
mod files;
mod fsck;
mod people;
mod records;
mod refusal;
mod room;
mod router;
mod status;
mod whole;

pub use answer::{Answer, AuditLine, TenantDetails, TenantSummary, TokenLine};
pub use authority::{Authority, TenantUsers};
pub use command::{Command, OldKeyText};
pub use desk::Desk;
pub use entry::{InvitationFacts, RegistrationToken, WantedToken};
pub use files::{FileReport, WithheldLine};
pub use fsck::{CheckFinding, CheckReport, TableCheck};
pub use people::{DeviceLine, IMPORT_LINES_MAX, ImportLine, Secret, UserDetails, UserSummary, WantedAccount};
pub use records::{Record, Records, Way};
pub use refusal::Refusal;
pub use room::{RepairLine, RepairReport, RoomDetails, RoomServer};
pub use router::{PREFIX, local_router, router};
pub use status::{MemoryUse, Status, StatusReport};
pub use whole::{BackupMade, FileError, Frames, KEYS_FILE, STORE_FILE, WholeError, verify};
