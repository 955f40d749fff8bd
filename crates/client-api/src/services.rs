//! Everything that handlers may ask for.

use std::sync::Arc;

use axum::extract::FromRef;
use freehold_accounts::Accounts;
use freehold_encryption::Encryption;
use freehold_media::Media;
use freehold_rooms::Rooms;
use freehold_store::Clock;
use freehold_sync::SyncService;

use crate::authenticated::Authenticate;
use crate::in_flight::InFlight;
use crate::limits::Limits;
use crate::older_events::OlderEvents;
use crate::other_directories::OtherDirectories;
use crate::tenant_of_host::TenantsByHost;

/// The services behind the routes. Handlers take single ones of them as `State`.
#[derive(Clone, FromRef)]
pub struct Services {
    /// Which tenant a host name belongs to.
    pub tenants: Arc<dyn TenantsByHost>,
    /// Whose an access token is.
    pub sessions: Arc<dyn Authenticate>,
    /// Users, devices, and what people keep for themselves.
    pub accounts: Accounts,
    /// What is new for users.
    pub sync: SyncService,
    /// What devices are sending.
    pub in_flight: InFlight,
    /// How many requests who may send.
    pub limits: Limits,
    /// All rooms.
    pub rooms: Rooms,
    /// What of them is not here.
    pub older_events: Arc<dyn OlderEvents>,
    /// What other servers list.
    pub other_directories: Arc<dyn OtherDirectories>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The content repository.
    pub media: Media,
    /// Keys, to-device messages, backups.
    pub encryption: Encryption,
}
