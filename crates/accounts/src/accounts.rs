//! The service: what it holds, and what its parts share.

use std::fmt;
use std::sync::Arc;

use freehold_store::tables::accounts::{ACCOUNTS, AccountRow, TENANT_ACCOUNTS};
use freehold_store::{Clock, Interner, Places, ReadError, Snapshot, Store, Tenant, UserNumber};
use ruma_common::{OwnedUserId, UserId};
use tokio::sync::Notify;

use crate::device_keys::DeviceKeys;
use crate::failed_logins::FailedLogins;
use crate::failure::ServerFailure;
use crate::interactive::Interactions;
use crate::member_events::MemberEvents;
use crate::password::Passwords;
use crate::policies::{AccountPolicy, Policies};
use crate::session::Seen;
use crate::session_cache::SessionCache;
use crate::settings::{AccountLimits, AccountSettings};
use crate::shared_secret::Nonces;

/// The accounts of all tenants of a store. A clone is another handle on the same service.
#[derive(Clone)]
pub struct Accounts(pub(crate) Arc<Parts>);

/// What accounts are built from.
pub struct AccountParts {
    /// Where they are kept.
    pub store: Store,
    /// Gives them numbers; the interner of `store`.
    pub interner: Interner,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What tenants have settled.
    pub policies: Arc<dyn Policies>,
    /// Keeps the keys of devices.
    pub device_keys: Arc<dyn DeviceKeys>,
    /// Sends member events.
    pub member_events: Arc<dyn MemberEvents>,
    /// What the operator has settled.
    pub settings: AccountSettings,
}

/// What the service holds.
pub(crate) struct Parts {
    pub(crate) given: AccountParts,
    pub(crate) passwords: Passwords,
    pub(crate) sessions: SessionCache,
    pub(crate) failed_logins: FailedLogins,
    pub(crate) places: Places<UserNumber>,
    pub(crate) interactions: Interactions,
    pub(crate) nonces: Nonces,
    pub(crate) seen: Seen,
    /// Told when member events are to be sent.
    pub(crate) member_jobs: Notify,
}

impl Accounts {
    /// The accounts that a store holds. Reads nothing yet.
    pub fn new(given: AccountParts) -> Self {
        Accounts(Arc::new(Parts {
            passwords: Passwords::new(&given.settings),
            sessions: SessionCache::new(given.settings.limits.sessions_in_memory),
            failed_logins: FailedLogins::new(),
            places: Places::new(&TENANT_ACCOUNTS),
            interactions: Interactions::new(given.settings.limits.interactions),
            nonces: Nonces::new(),
            seen: Seen::new(),
            member_jobs: Notify::new(),
            given,
        }))
    }

    /// Whether a user has an account here that was not given up.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn exists(&self, user_id: &UserId) -> Result<bool, ReadError> {
        let account = self.account_of(&self.store().snapshot()?, user_id).await?;
        Ok(account.is_some_and(|(_, row)| row.deactivated.is_none()))
    }

    /// How many sessions are remembered in memory.
    pub fn sessions_in_memory(&self) -> usize {
        self.0.sessions.len()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.given.store
    }

    pub(crate) fn interner(&self) -> &Interner {
        &self.0.given.interner
    }

    pub(crate) fn now_ts(&self) -> i64 {
        self.0.given.clock.now_ts()
    }

    pub(crate) async fn policy(&self, tenant: &Tenant) -> Result<Arc<AccountPolicy>, ServerFailure> {
        self.0.given.policies.policy(tenant).await
    }

    pub(crate) fn limits(&self) -> &AccountLimits {
        &self.0.given.settings.limits
    }

    /// The number and the account of a user, given up or not.
    pub(crate) async fn account_of(
        &self,
        snapshot: &Snapshot,
        user_id: &UserId,
    ) -> Result<Option<(UserNumber, AccountRow)>, ReadError> {
        let Some(number) = snapshot.number_of(&OwnedUserId::from(user_id)).await? else { return Ok(None) };
        Ok(snapshot.get(&ACCOUNTS, &number).await?.map(|row| (number, row)))
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}
