//! How long somebody waits for the keys of other servers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use freehold_encryption::{Encryption, Limits, NotAnswered, Patience, Servers};
use freehold_store::{BoxFuture, Clock, Position, ReadError, Snapshot, Tenant, UserNumber};
use ruma_common::{ServerName, UserId};

use crate::world::World;

/// What a question takes, in milliseconds.
const TAKEN_MS: i64 = 400;

/// A server that never answers, with whose user a room is shared: what it was asked, and for how long.
#[derive(Default)]
struct Silent {
    now_ts: AtomicI64,
    asked: Mutex<Vec<(&'static str, u128)>>,
}

impl Silent {
    fn asked<'a>(&self, what: &'static str, within: Duration) -> BoxFuture<'a, Result<String, NotAnswered>> {
        self.now_ts.fetch_add(TAKEN_MS, Ordering::Relaxed);
        self.asked.lock().unwrap().push((what, within.as_millis()));
        Box::pin(std::future::ready(Err(NotAnswered)))
    }
}

impl Clock for Silent {
    fn now_ts(&self) -> i64 {
        self.now_ts.load(Ordering::Relaxed)
    }
}

impl Servers for Silent {
    fn reach(&self, _: &Tenant, _: &ServerName) -> Option<Tenant> {
        None
    }

    fn is_hosted(&self, _: &ServerName) -> bool {
        false
    }

    fn devices<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a UserId,
        within: Duration,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        self.asked("devices", within)
    }

    fn query_keys<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: String,
        within: Duration,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        self.asked("query", within)
    }

    fn claim_keys<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: String,
        within: Duration,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        self.asked("claim", within)
    }

    fn shares_room<'a>(
        &'a self,
        _: &'a Snapshot,
        _: UserNumber,
        _: &'a UserId,
        _: Option<Position>,
    ) -> BoxFuture<'a, Result<bool, ReadError>> {
        Box::pin(std::future::ready(Ok(true)))
    }
}

#[tokio::test]
async fn other_servers_are_waited_for_as_long_as_was_asked_all_together() {
    let world = World::new().await;
    let asker = world.person("@b:two.example", 2).await.actor;
    let far = world.person("@a:one.example", 1).await.actor.user_id;
    let device = BTreeMap::from([("DEVICE".into(), "signed_curve25519".to_owned())]);
    for (timeout_ms, asked) in [
        (Some(1_000), vec![("devices", 1_000), ("query", 600), ("claim", 1_000)]),
        (Some(300), vec![("devices", 300), ("claim", 300)]),
        (Some(0), vec![]),
        (None, vec![("devices", 10_000), ("query", 9_600), ("claim", 10_000)]),
        (Some(u64::MAX), vec![("devices", 30_000), ("query", 29_600), ("claim", 30_000)]),
    ] {
        let silent = Arc::new(Silent::default());
        let encryption =
            Encryption::new(world.store.clone(), silent.clone(), silent.clone(), Limits::default());
        let patience = Patience::asked(timeout_ms.map(Duration::from_millis));
        let wanted = BTreeMap::from([(far.clone(), Vec::new())]);
        let queried = encryption.query_keys(&asker, &wanted, patience).await.unwrap();
        let wanted = BTreeMap::from([(far.clone(), device.clone())]);
        let claimed = encryption.claim_keys(&asker, &wanted, patience).await.unwrap();
        assert!(queried.failures.contains(far.server_name()) && claimed.failures.contains(far.server_name()));
        assert_eq!(*silent.asked.lock().unwrap(), asked, "{timeout_ms:?}");
    }
}
