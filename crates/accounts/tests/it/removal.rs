//! Devices that end while they are used.

use std::sync::{Arc, OnceLock};

use freehold_accounts::{
    AccountParts, AccountPolicy, AccountSettings, Accounts, DeviceGone, DeviceKeys, DeviceRequest, Doer,
    HashCost, NewAccount, NoMemberEvents, OtherSessions, Password, Proof, Refresh, Registration,
    ServerFailure,
};
use freehold_store::{Batch, BoxFuture, Interner, MemoryEngine, Snapshot, Store, UserNumber};

use crate::world::{PASSWORD, admitted, alices, session};

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

/// Accounts over these keys of devices.
async fn accounts(device_keys: Arc<dyn DeviceKeys>) -> Accounts {
    let store = Store::open(Arc::new(MemoryEngine::new())).await.unwrap();
    let policy = AccountPolicy { registration: Registration::Open, ..AccountPolicy::default() };
    Accounts::new(AccountParts {
        interner: Interner::new(&store),
        store,
        clock: Arc::new(1_000),
        policies: Arc::new(Arc::new(policy)),
        device_keys,
        member_events: Arc::new(NoMemberEvents),
        settings: AccountSettings {
            hash_cost: HashCost { memory_kib: 8, passes: 1 },
            ..AccountSettings::default()
        },
    })
}

#[tokio::test]
async fn a_token_made_while_its_device_ends_ends_with_it() {
    let keys = Arc::new(RefreshesAtTheLastMoment::default());
    let accounts = accounts(keys.clone()).await;
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

/// Just before a device ends, somebody logs in with the password that is still right.
#[derive(Default)]
struct LogsInAtTheLastMoment {
    accounts: OnceLock<Accounts>,
    access_token: OnceLock<String>,
}

impl DeviceKeys for LogsInAtTheLastMoment {
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
            let proof = Proof::Password { user: "alice".to_owned(), password: Password::new(PASSWORD) };
            let device = (DeviceRequest::default(), Refresh::NotAsked);
            let opened = self.accounts.get().unwrap().log_in(&alices(), proof, device).await;
            assert_eq!(opened.is_ok(), self.access_token.get().is_none());
            if let Ok(session) = opened {
                self.access_token.set(session.tokens.access_token).unwrap();
            }
            Ok(())
        })
    }
}

#[tokio::test]
async fn who_logs_in_with_the_old_password_while_it_is_reset_is_out() {
    let keys = Arc::new(LogsInAtTheLastMoment::default());
    let accounts = accounts(keys.clone()).await;
    keys.accounts.set(accounts.clone()).unwrap_or_else(|_| panic!("it is set once"));
    let alice = NewAccount { localpart: Some("alice".to_owned()), ..session(Refresh::NotAsked) };
    let made = accounts.register(&alices(), alice, admitted()).await.unwrap();
    let reset = (&Password::new("another password"), OtherSessions::End);
    accounts.set_password(&alices(), &made.user_id, reset, Doer::Operator).await.unwrap();
    let late = keys.access_token.get().unwrap();
    assert!(accounts.authenticate(&alices(), late).await.is_err());
}
