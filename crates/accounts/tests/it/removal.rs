//! Devices that end while they are used.

use std::sync::{Arc, OnceLock};

use freehold_accounts::{
    AccountParts, AccountPolicy, AccountSettings, Accounts, DeviceGone, DeviceKeys, HashCost, NoMemberEvents,
    Refresh, Registration, ServerFailure,
};
use freehold_store::{Batch, BoxFuture, Interner, MemoryEngine, Snapshot, Store, UserNumber};

use crate::world::{admitted, alices, session};

/// Just before a device ends, its client refreshes its tokens and uses the new one.
#[derive(Default)]
struct RefreshesAtTheLastMoment {
    accounts: OnceLock<Accounts>,
    refresh_token: OnceLock<String>,
    access_token: OnceLock<String>,
}

impl DeviceKeys for RefreshesAtTheLastMoment {
    fn is_cross_signing_key<'a>(
        &'a self,
        _: &'a Snapshot,
        _: UserNumber,
        _: &'a str,
    ) -> BoxFuture<'a, Result<bool, ServerFailure>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn remove<'a>(
        &'a self,
        _: &'a Snapshot,
        _: DeviceGone<'a>,
        _: &'a mut Batch,
    ) -> BoxFuture<'a, Result<(), ServerFailure>> {
        Box::pin(async move {
            let (accounts, token) = (self.accounts.get().unwrap(), self.refresh_token.get().unwrap());
            let tokens = accounts.refresh(&alices(), token).await.unwrap();
            accounts.authenticate(&alices(), &tokens.access_token).await.unwrap();
            // It is in memory from its second use on.
            accounts.authenticate(&alices(), &tokens.access_token).await.unwrap();
            self.access_token.set(tokens.access_token).unwrap();
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_token_made_while_its_device_ends_ends_with_it() {
    let store = Store::open(Arc::new(MemoryEngine::new())).await.unwrap();
    let keys = Arc::new(RefreshesAtTheLastMoment::default());
    let policy = AccountPolicy { registration: Registration::Open, ..AccountPolicy::default() };
    let accounts = Accounts::new(AccountParts {
        interner: Interner::new(&store),
        store,
        clock: Arc::new(1_000),
        policies: Arc::new(Arc::new(policy)),
        device_keys: keys.clone(),
        member_events: Arc::new(NoMemberEvents),
        settings: AccountSettings {
            hash_cost: HashCost { memory_kib: 8, passes: 1 },
            ..AccountSettings::default()
        },
    });
    let made = accounts.register(&alices(), session(Refresh::Asked), admitted()).await.unwrap();
    let (_, tokens) = made.session.unwrap();
    let actor = accounts.authenticate(&alices(), &tokens.access_token).await.unwrap().actor;
    keys.refresh_token.set(tokens.refresh_token.unwrap()).unwrap();
    keys.accounts.set(accounts.clone()).unwrap_or_else(|_| panic!("it is set once"));
    accounts.log_out(&actor).await.unwrap();
    let late = keys.access_token.get().unwrap();
    for token in [&tokens.access_token, late] {
        assert!(accounts.authenticate(&alices(), token).await.is_err());
    }
}
