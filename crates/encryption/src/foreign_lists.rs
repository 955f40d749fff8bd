//! The device lists of users of other servers: what is remembered of them, and how their servers' updates change it
//! (<https://spec.matrix.org/v1.19/server-server-api/#device-management>).
//!
//! Each tenant has lists of its own, of what was told to itself: whatever a server tells one of them, what the others know, ask for
//! and tell their users does not change by it.
//!
//! A list is fetched when somebody asks for the user's keys, and kept as long as each update follows one that is in it. After a
//! gap it is fetched anew when somebody asks again, which clients do, as they are told of every update.

use freehold_store::tables::encryption::{CrossSigningUse, FOREIGN_DEVICE_LISTS, ForeignDeviceListRow};
use freehold_store::{Batch, CommitError, ReadError, Snapshot, Tenant, TenantNumber, UserNumber};
use ruma_common::{OwnedDeviceId, OwnedUserId, ServerName, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cross_signing::usage;
use crate::document::Document;
use crate::failure::Failure;
use crate::service::{ATTEMPTS, Encryption};

/// `m.device_list_update`.
#[derive(Deserialize)]
struct ListUpdate {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    stream_id: i64,
    #[serde(default)]
    prev_id: Vec<i64>,
    #[serde(default)]
    deleted: bool,
    keys: Option<Box<RawValue>>,
}

/// `m.signing_key_update`.
#[derive(Deserialize)]
struct KeyUpdate {
    user_id: OwnedUserId,
    master_key: Option<Box<RawValue>>,
    self_signing_key: Option<Box<RawValue>>,
}

/// Why nothing came of an update. The other server is at fault, unless the store failed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateRefused {
    /// It is no update.
    #[error("not an update: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The user is none of the server's.
    #[error("the user is none of the server's")]
    User,
    /// The store failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl Encryption {
    /// A device of a user of another server changed, as that server tells a tenant in `content`. Whoever of the tenant's shares
    /// a room with the user is told.
    ///
    /// # Errors
    /// [`UpdateRefused`]; nothing changed.
    pub async fn hear_device_list_update(
        &self,
        tenant: &Tenant,
        origin: &ServerName,
        content: &str,
    ) -> Result<(), UpdateRefused> {
        let update: ListUpdate = serde_json::from_str(content)?;
        self.hear((tenant, origin), &update.user_id, |row| self.follow(row, &update)).await
    }

    /// The cross-signing keys of a user of another server changed, as that server tells a tenant in `content`.
    ///
    /// # Errors
    /// [`UpdateRefused`]; nothing changed.
    pub async fn hear_signing_key_update(
        &self,
        tenant: &Tenant,
        origin: &ServerName,
        content: &str,
    ) -> Result<(), UpdateRefused> {
        let update: KeyUpdate = serde_json::from_str(content)?;
        let user_id = &update.user_id;
        self.hear((tenant, origin), user_id, |row| {
            let new = [
                (&update.master_key, CrossSigningUse::Master, &mut row.master_key),
                (&update.self_signing_key, CrossSigningUse::SelfSigning, &mut row.self_signing_key),
            ];
            for (key, key_use, place) in new {
                let key = key.as_ref().filter(|key| self.is_cross_signing(key.get(), user_id, key_use));
                if let Some(key) = key {
                    *place = Some(key.get().to_owned());
                }
            }
        })
        .await
    }

    async fn hear(
        &self,
        (tenant, origin): (&Tenant, &ServerName),
        user_id: &UserId,
        change: impl Fn(&mut ForeignDeviceListRow),
    ) -> Result<(), UpdateRefused> {
        if user_id.server_name() != origin {
            return Err(UpdateRefused::User);
        }
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot()?;
            // Nobody here ever met a user without a number, so nobody tracks their devices.
            let user = snapshot.number_of(&user_id.to_owned()).await.map_err(Failure::from)?;
            let Some(user) = user else { return Ok(()) };
            let mut batch = Batch::new();
            let list = (tenant.number(), user);
            let before = snapshot.get(&FOREIGN_DEVICE_LISTS, &list).await.map_err(Failure::from)?;
            if let Some(before) = before.filter(|row| row.complete) {
                let mut row = before.clone();
                change(&mut row);
                batch.expect_unchanged(&FOREIGN_DEVICE_LISTS, &list, Some(&before));
                batch.put(&FOREIGN_DEVICE_LISTS, &list, &row);
            }
            self.mark_foreign_list(&snapshot, list, &mut batch).await.map_err(Failure::from)?;
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Failure::Busy(ATTEMPTS).into())
    }

    /// Applies an update that follows what is known. After one that does not, the list has to be fetched.
    ///
    /// > If the receiving server does not recognise any of the prev_ids, it means an EDU has been lost and the server should
    /// > query a snapshot of the device list
    fn follow(&self, row: &mut ForeignDeviceListRow, update: &ListUpdate) {
        if row.stream_ids.contains(&update.stream_id) {
            return;
        }
        let follows = update.prev_id.iter().all(|id| row.stream_ids.contains(id));
        if !follows || update.prev_id.is_empty() {
            *row = ForeignDeviceListRow::default();
            return;
        }
        let device_id = update.device_id.as_str();
        row.devices.retain(|(other, _)| other != device_id);
        let keys = update.keys.as_ref().filter(|_| !update.deleted);
        if let Some(keys) = keys.filter(|keys| self.is_device(keys.get(), &update.user_id, device_id)) {
            row.devices.push((device_id.to_owned(), keys.get().to_owned()));
        }
        row.stream_ids.push(update.stream_id);
        let spare = row.stream_ids.len().saturating_sub(self.0.limits.foreign_updates);
        row.stream_ids.drain(..spare);
        if row.devices.len() > self.0.limits.foreign_devices {
            *row = ForeignDeviceListRow::default();
        }
    }

    /// Whether these are keys of this device of this user: others would be taken for them. Whether they are signed by the
    /// device, clients see.
    pub(crate) fn is_device(&self, keys: &str, user_id: &UserId, device_id: &str) -> bool {
        let document = Document::parse(keys, self.0.limits.key_bytes);
        document.is_ok_and(|document| {
            document.text("user_id").is_ok_and(|text| text == user_id)
                && document.text("device_id").is_ok_and(|text| text == device_id)
        })
    }

    /// Whether this is a cross-signing key of this user, for this use.
    pub(crate) fn is_cross_signing(&self, key: &str, user_id: &UserId, key_use: CrossSigningUse) -> bool {
        let document = Document::parse(key, self.0.limits.key_bytes);
        document.is_ok_and(|document| {
            document.text("user_id").is_ok_and(|text| text == user_id)
                && document.texts("usage").is_ok_and(|uses| uses.contains(&usage(key_use)))
        })
    }

    /// The list that a tenant has of a user, if it is known whole.
    pub(crate) async fn known_list(
        &self,
        snapshot: &Snapshot,
        list: (TenantNumber, UserNumber),
    ) -> Result<Option<ForeignDeviceListRow>, ReadError> {
        let row = snapshot.get(&FOREIGN_DEVICE_LISTS, &list).await?;
        let oldest = self.0.clock.now_ts().saturating_sub(self.0.limits.foreign_lists_ms);
        Ok(row.filter(|row| row.complete && row.fetched_ts > oldest))
    }

    /// Keeps a list that a tenant fetched, unless an update came meanwhile.
    pub(crate) async fn keep_list(
        &self,
        snapshot: &Snapshot,
        list: (TenantNumber, UserNumber),
        row: &ForeignDeviceListRow,
    ) -> Result<(), Failure> {
        if row.devices.len() > self.0.limits.foreign_devices {
            return Ok(());
        }
        let before = snapshot.get(&FOREIGN_DEVICE_LISTS, &list).await?;
        let mut batch = Batch::new();
        batch.expect_unchanged(&FOREIGN_DEVICE_LISTS, &list, before.as_ref());
        batch.put(&FOREIGN_DEVICE_LISTS, &list, row);
        match self.0.store.commit(batch).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(Failure::Commit(error)),
        }
    }
}
