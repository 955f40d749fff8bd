//! Everything that handlers may ask for.

use std::sync::Arc;

use axum::extract::FromRef;
use freehold_accounts::Accounts;
use freehold_encryption::Encryption;
use freehold_media::Media;
use freehold_rooms::Rooms;
use freehold_store::Clock;
use freehold_sync::SyncService;

use crate::limits::Limits;
use crate::outside::{Ingest, Notary, OriginKeys, Tenants};
use crate::send::Transactions;

/// The services behind the routes. Handlers take single ones of them as `State`.
#[derive(Clone, FromRef)]
pub struct Services {
    /// What tenants have settled.
    pub tenants: Arc<dyn Tenants>,
    /// The keys of those who ask.
    pub origin_keys: Arc<dyn OriginKeys>,
    /// The keys of everybody.
    pub notary: Arc<dyn Notary>,
    /// Users, and what they show of themselves.
    pub accounts: Accounts,
    /// All rooms.
    pub rooms: Rooms,
    /// The one way in for events.
    pub ingest: Arc<dyn Ingest>,
    /// What other servers send.
    pub transactions: Transactions,
    /// Keys, to-device messages.
    pub encryption: Encryption,
    /// Who types, and up to where people read.
    pub sync: SyncService,
    /// The content repository.
    pub media: Media,
    /// How many requests who may send.
    pub limits: Limits,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}
