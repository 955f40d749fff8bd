//! Sessions: who a request comes from, by its access token.

use std::sync::{Arc, Mutex, PoisonError};

use freehold_store::tables::accounts::{
    ACCESS_TOKENS, ACCOUNTS, AccessTokenRow, AccountRow, DEVICE_SEEN, DEVICE_TOKENS, DEVICES, REFRESH_TOKENS,
    SeenRow, TokenHash, TokenPairRow,
};
use freehold_store::{Actor, Batch, DeviceNumber, ReadError, Snapshot, Tenant};
use lru::LruCache;
use ruma_common::OwnedDeviceId;

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::failure::{ServerFailure, server_failures};
use crate::session_cache::Epoch;
use crate::token;

/// How often it is written down when a device was last used, in milliseconds.
const SEEN_INTERVAL_MS: i64 = 10 * 60 * 1000;
/// Of how many devices it is remembered.
const SEEN_MAX: usize = 16 * 1024;
/// How many characters of an address or user agent are written down.
const SEEN_CHARACTERS: usize = 255;

/// Who a request comes from.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who asks; the device is always set.
    pub actor: Actor,
    /// The id of the device.
    pub device_id: OwnedDeviceId,
    /// What the account may do.
    pub standing: Standing,
    /// Whether the account says that the user administers the tenant.
    pub admin: bool,
}

/// When it was last written down that a device was used; of devices that are forgotten it is written down once more.
#[derive(Debug)]
pub(crate) struct Seen(Mutex<LruCache<DeviceNumber, i64>>);

impl Seen {
    pub(crate) fn new() -> Self {
        Seen(Mutex::new(LruCache::unbounded()))
    }

    fn is_due(&self, device: DeviceNumber, now_ts: i64) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.get(&device).is_some_and(|seen_ts| now_ts - seen_ts < SEEN_INTERVAL_MS) {
            return false;
        }
        seen.put(device, now_ts);
        if seen.len() > SEEN_MAX {
            seen.pop_lru();
        }
        true
    }
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything.
    Good,
    /// Read, and little else (<https://spec.matrix.org/v1.19/client-server-api/#account-suspension>).
    Suspended,
    /// Log out (<https://spec.matrix.org/v1.19/client-server-api/#account-locking>).
    Locked,
}

/// From where a request comes.
#[derive(Clone, Debug, Default)]
pub struct Use {
    /// The address.
    pub ip: Option<String>,
    /// The user agent.
    pub user_agent: Option<String>,
}

/// Why an access token is refused.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no such token, at least not of this tenant.
    #[error("unknown access token")]
    Unknown,
    /// It expired. The device is as it was, and who has a refresh token or the password can go on with it.
    #[error("access token has expired")]
    Expired,
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(TokenError);

/// A session that was read.
#[derive(Debug)]
pub(crate) struct KnownSession {
    actor: Actor,
    device_id: OwnedDeviceId,
    standing: Standing,
    admin: bool,
    expires_ts: Option<i64>,
}

impl Accounts {
    /// Who holds an access token of a tenant. Costs one look into memory when the token was used lately.
    ///
    /// # Errors
    /// [`TokenError`]; a token of another tenant is unknown.
    pub async fn authenticate(&self, tenant: &Tenant, access_token: &str) -> Result<Session, TokenError> {
        let hash = token::hash(access_token);
        let known = match self.0.sessions.find(&hash) {
            Ok(known) => known,
            Err(epoch) => self.read_session(tenant, hash, epoch).await?,
        };
        if known.actor.tenant != *tenant {
            return Err(TokenError::Unknown);
        }
        if known.expires_ts.is_some_and(|expires_ts| expires_ts <= self.now_ts()) {
            return Err(TokenError::Expired);
        }
        Ok(Session {
            actor: known.actor.clone(),
            device_id: known.device_id.clone(),
            standing: known.standing,
            admin: known.admin,
        })
    }

    /// Writes down, now and then and in the background, that a device was used.
    pub fn note_use(&self, device: DeviceNumber, used: impl FnOnce() -> Use) {
        let now_ts = self.now_ts();
        if self.0.seen.is_due(device, now_ts) {
            let (accounts, used) = (self.clone(), used());
            tokio::spawn(async move { accounts.write_use(device, used, now_ts).await });
        }
    }

    async fn write_use(&self, device: DeviceNumber, used: Use, ts: i64) {
        let short = |text: String| text.chars().take(SEEN_CHARACTERS).collect();
        let row = SeenRow { ts, ip: used.ip.map(short), user_agent: used.user_agent.map(short) };
        let mut batch = Batch::new();
        batch.expect_present(&DEVICES, &device);
        batch.put(&DEVICE_SEEN, &device, &row);
        // A device that is gone by now is not seen any more; a store that cannot write says so elsewhere.
        if let Err(error) = self.store().commit(batch).await {
            tracing::debug!(%error, "last use of a device is not written down");
        }
    }

    async fn read_session(
        &self,
        tenant: &Tenant,
        hash: TokenHash,
        epoch: Epoch,
    ) -> Result<Arc<KnownSession>, TokenError> {
        let snapshot = self.store().snapshot()?;
        let row = snapshot.get(&ACCESS_TOKENS, &hash).await?.ok_or(TokenError::Unknown)?;
        let known = self.known_session(&snapshot, &row).await?.ok_or(TokenError::Unknown)?;
        let known = Arc::new(known);
        if row.replaces.is_none() {
            self.0.sessions.remember(hash, known.clone(), epoch);
        } else if known.actor.tenant == *tenant {
            // What it replaced ends with its first use, which has to be durable before the request is answered.
            self.end_replaced(hash).await?;
        }
        Ok(known)
    }

    async fn known_session(
        &self,
        snapshot: &Snapshot,
        row: &AccessTokenRow,
    ) -> Result<Option<KnownSession>, ReadError> {
        let Some(device) = snapshot.get(&DEVICES, &row.device).await? else { return Ok(None) };
        let Some(account) = snapshot.get(&ACCOUNTS, &device.user).await? else { return Ok(None) };
        if account.deactivated.is_some() {
            return Ok(None);
        }
        let user_id = snapshot.id_of(device.user).await?;
        let tenant = Tenant::new(account.tenant, user_id.server_name().to_owned());
        let actor = Actor { tenant, user_id, user: device.user, device: Some(row.device) };
        Ok(Some(KnownSession {
            actor,
            device_id: device.device_id.into(),
            standing: standing(&account),
            admin: account.admin,
            expires_ts: row.expires_ts,
        }))
    }

    /// Ends the tokens that an access token replaces, now that it is used.
    async fn end_replaced(&self, hash: TokenHash) -> Result<(), ServerFailure> {
        let mut attempts = Attempts::default();
        loop {
            let snapshot = self.store().snapshot()?;
            let Some(row) = snapshot.get(&ACCESS_TOKENS, &hash).await? else { return Ok(()) };
            let Some(replaced) = row.replaces.clone() else { return Ok(()) };
            let mut batch = Batch::new();
            batch.expect_unchanged(&ACCESS_TOKENS, &hash, Some(&row));
            batch.put(&ACCESS_TOKENS, &hash, &AccessTokenRow { replaces: None, ..row.clone() });
            remove_pair(row.device, &replaced, &mut batch);
            if attempts.commit(self.store(), batch).await?.is_some() {
                self.0.sessions.forget(&[replaced.access]);
                return Ok(());
            }
        }
    }
}

/// Removes an access token and its refresh token.
pub(crate) fn remove_pair(device: DeviceNumber, pair: &TokenPairRow, batch: &mut Batch) {
    batch.delete(&ACCESS_TOKENS, &pair.access);
    batch.delete(&REFRESH_TOKENS, &pair.refresh);
    batch.delete(&DEVICE_TOKENS, &(device, pair.access));
    batch.delete(&DEVICE_TOKENS, &(device, pair.refresh));
}

/// What an account may do.
pub(crate) fn standing(account: &AccountRow) -> Standing {
    match account {
        AccountRow { locked: true, .. } => Standing::Locked,
        AccountRow { suspended: true, .. } => Standing::Suspended,
        _ => Standing::Good,
    }
}
