//! A process with two tenants, and a clock that tests set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use freehold_accounts::{
    AccountParts, AccountPolicy, AccountSettings, Accounts, Admission, DeviceRequest, HashCost, MemberEvents,
    NewAccount, NewTokens, NoDeviceKeys, NoMemberEvents, Password, Refresh, Registration,
};
use freehold_store::{Actor, Clock, Interner, MemoryEngine, Store, Tenant, TenantNumber};

/// A clock that tests set.
#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn advance(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ts(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A process with its accounts.
pub(crate) struct World {
    pub(crate) accounts: Accounts,
    pub(crate) store: Store,
    pub(crate) clock: Arc<TestClock>,
}

impl World {
    /// A process whose tenants let everybody register.
    pub(crate) async fn open() -> Self {
        World::with(AccountPolicy { registration: Registration::Open, ..AccountPolicy::default() }).await
    }

    /// A process whose tenants have this policy.
    pub(crate) async fn with(policy: AccountPolicy) -> Self {
        let store = Store::open(Arc::new(MemoryEngine::new())).await.unwrap();
        World::over(store, policy, Arc::new(NoMemberEvents))
    }

    /// A process over a store that may have been another's before.
    pub(crate) fn over(store: Store, policy: AccountPolicy, member_events: Arc<dyn MemberEvents>) -> Self {
        let clock = Arc::new(TestClock::default());
        let accounts = Accounts::new(AccountParts {
            interner: Interner::new(&store),
            store: store.clone(),
            clock: clock.clone(),
            policies: Arc::new(Arc::new(policy)),
            device_keys: Arc::new(NoDeviceKeys),
            member_events,
            settings: AccountSettings {
                hash_cost: HashCost { memory_kib: 8, passes: 1 },
                ..AccountSettings::default()
            },
        });
        World { accounts, store, clock }
    }

    /// A new user of a tenant, with a session.
    pub(crate) async fn user(&self, tenant: &Tenant, name: &str) -> Somebody {
        self.account(tenant, NewAccount { localpart: Some(name.to_owned()), ..session(Refresh::NotAsked) })
            .await
    }

    /// A new account, with a session.
    pub(crate) async fn account(&self, tenant: &Tenant, account: NewAccount) -> Somebody {
        let made = self.accounts.register(tenant, account, admitted()).await.unwrap();
        let (_, tokens) = made.session.unwrap();
        let session = self.accounts.authenticate(tenant, &tokens.access_token).await.unwrap();
        Somebody { actor: session.actor, tokens }
    }

    /// Whether an access token is known to a tenant.
    pub(crate) async fn knows(&self, tenant: &Tenant, access_token: &str) -> bool {
        self.accounts.authenticate(tenant, access_token).await.is_ok()
    }
}

/// Somebody with a session.
pub(crate) struct Somebody {
    pub(crate) actor: Actor,
    pub(crate) tokens: NewTokens,
}

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) fn session(refresh: Refresh) -> NewAccount {
    NewAccount {
        password: Some(Password::new(PASSWORD)),
        session: Some((DeviceRequest::default(), refresh)),
        ..NewAccount::default()
    }
}

pub(crate) fn admitted() -> Admission {
    Admission::Registered { registration_token: None, terms: Vec::new() }
}

/// One tenant.
pub(crate) fn alices() -> Tenant {
    Tenant::new(TenantNumber(1), "alice.example".try_into().unwrap())
}

/// Another.
pub(crate) fn bobs() -> Tenant {
    Tenant::new(TenantNumber(2), "bob.example".try_into().unwrap())
}
