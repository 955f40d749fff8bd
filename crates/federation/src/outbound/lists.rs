//! Device lists and signing keys that changed.

use freehold_rooms::Unreadable;
use freehold_store::tables::outbound::{OUTGOING_DEVICE_LISTS, OUTGOING_SIGNING_KEYS};
use freehold_store::{Batch, Order, Position, Tenant};

use super::driving::Found;
use super::service::Outbound;
use super::state::Key;
use super::transaction::{Cargo, UserKey, edu};
use crate::limits::TRANSACTION_EDUS_MAX;

/// Users whose lists changed, with when they last did.
type Marks = Vec<(UserKey, Position)>;

impl Outbound {
    /// What changed of users' devices and keys.
    pub(super) async fn lists(&self, key: &Key, tenant: &Tenant, limit: usize) -> Result<Found, Unreadable> {
        if !std::mem::take(&mut self.0.lock().queue(key).has_lists) {
            return Ok(Found::Nothing);
        }
        // Read after that: what is put out from now on says so.
        let found = self.read_lists(key, tenant, limit.min(TRANSACTION_EDUS_MAX)).await;
        if !matches!(found, Ok(Found::Nothing)) {
            self.0.lock().queue(key).has_lists = true;
        }
        found
    }

    async fn read_lists(&self, key: &Key, tenant: &Tenant, limit: usize) -> Result<Found, Unreadable> {
        let snapshot = self.0.parts.store.snapshot()?;
        let devices: Marks =
            snapshot.scan_prefix(&OUTGOING_DEVICE_LISTS, key, Order::Ascending, limit).await?;
        let limit = limit.saturating_sub(devices.len());
        let signing_keys: Marks =
            snapshot.scan_prefix(&OUTGOING_SIGNING_KEYS, key, Order::Ascending, limit).await?;
        if devices.is_empty() && signing_keys.is_empty() {
            return Ok(Found::Nothing);
        }
        let own = &self.0.parts.devices;
        let mut told = Vec::new();
        for ((_, _, user), _) in &signing_keys {
            told.push(("m.signing_key_update", own.signing_key_update(&snapshot, *user).await));
        }
        for ((_, _, user), _) in &devices {
            told.push(("m.device_list_update", own.device_list_update(&snapshot, *user).await));
        }
        let mut edus = Vec::new();
        for (edu_type, content) in told {
            let made =
                content.and_then(|content| Ok(content.map(|text| edu(edu_type, &text)).transpose()?));
            match made {
                Ok(edu) => edus.extend(edu),
                // Whoever misses one asks for the whole list when the next one comes.
                Err(error) => tracing::error!(server = %key.1, %error, edu_type, "cannot be told"),
            }
        }
        if edus.is_empty() {
            self.lists_done(&devices, &signing_keys).await?;
            return Ok(Found::Look);
        }
        self.transaction(tenant, Cargo::Lists { devices, signing_keys }, (&[], &edus), None)
    }

    /// The server was told. What changed again meanwhile still waits.
    pub(super) async fn lists_done(
        &self,
        devices: &[(UserKey, Position)],
        signing_keys: &[(UserKey, Position)],
    ) -> Result<(), Unreadable> {
        let snapshot = self.0.parts.store.snapshot()?;
        let mut batch = Batch::new();
        for (table, marks) in [(&OUTGOING_DEVICE_LISTS, devices), (&OUTGOING_SIGNING_KEYS, signing_keys)] {
            let places: Vec<UserKey> = marks.iter().map(|(place, _)| place.clone()).collect();
            let now = snapshot.get_many(table, &places).await?;
            for ((place, told), _) in marks.iter().zip(now).filter(|((_, told), now)| *now == Some(*told)) {
                batch.expect_unchanged(table, place, Some(told));
                batch.delete(table, place);
            }
        }
        self.forget(batch).await.map(drop)
    }
}
