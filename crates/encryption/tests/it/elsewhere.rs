//! What other servers are told of device lists, and what one that is told makes of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use freehold_encryption::{Consent, CrossSigningKeys, Encryption, Limits, NotAnswered, Patience, Servers};
use freehold_store::tables::encryption::DEVICE_LIST_UPDATES;
use freehold_store::tables::outbound::{OUTGOING_DEVICE_LISTS, OUTGOING_MESSAGES, OUTGOING_SIGNING_KEYS};
use freehold_store::tables::rooms::Membership::Join;
use freehold_store::{
    Actor, BoxFuture, Order, Position, ReadError, Snapshot, Tenant, TenantNumber, UserNumber,
};
use freehold_testkit::Rng;
use ruma_common::to_device::DeviceIdOrAllDevices;
use ruma_common::{ServerName, UserId};
use serde_json::{Value, json};

use crate::world::{Person, World, parsed};

const FAR: &str = "far.example";

/// A user of a tenant who shares a room with a server elsewhere.
async fn watched() -> (World, Person) {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    world.set_membership(&one, 1, Join).await;
    for server in [FAR, "one.example", "two.example"] {
        world.server_in_room(server, 1).await;
    }
    (world, one)
}

async fn update(world: &World, of: &Person) -> Value {
    let content = world.encryption.device_list_update(&world.snapshot(), of.actor.user).await.unwrap();
    parsed(&content.unwrap())
}

async fn upload(world: &World, person: &Person) {
    world.encryption.upload_keys(&person.actor, &person.upload(&[])).await.unwrap();
}

async fn stream_id(world: &World, of: &Person) -> Value {
    json!(world.encryption.devices_for_server(of.user_id()).await.unwrap().stream_id.0)
}

#[tokio::test]
async fn each_update_follows_the_one_before_and_the_whole_list_says_the_same() {
    let (world, one) = watched().await;
    upload(&world, &one).await;
    let first = update(&world, &one).await;
    assert_eq!((&first["device_id"], &first["prev_id"]), (&json!("DEVICE1"), &json!([])));
    assert_eq!(first["stream_id"], stream_id(&world, &one).await);
    assert_eq!(first["keys"]["device_id"], "DEVICE1");
    assert!(first.get("deleted").is_none() && first.get("device_display_name").is_none(), "{first}");

    let other = world.device_of("@a:one.example", 1, "OTHER").await;
    upload(&world, &other).await;
    let second = update(&world, &one).await;
    assert_eq!((&second["device_id"], &second["prev_id"]), (&json!("OTHER"), &json!([first["stream_id"]])));

    // Cross-signing keys are told of apart, and are none of the sequence.
    let master = one.cross_signing_key("master", 0, None);
    let self_signing = one.cross_signing_key("self_signing", 0, Some(&master.0));
    let keys = CrossSigningKeys {
        master: Some(master.1.to_string()),
        self_signing: Some(self_signing.1.to_string()),
        user_signing: None,
    };
    world.encryption.upload_cross_signing_keys(&one.actor, &keys, Consent::Token).await.unwrap();
    assert_eq!(stream_id(&world, &one).await, second["stream_id"]);
    let told = world.encryption.signing_key_update(&world.snapshot(), one.actor.user).await.unwrap();
    let told = parsed(&told.unwrap());
    assert_eq!((&told["user_id"], &told["master_key"]), (&json!(one.user_id()), &master.1));
    assert_eq!(told["self_signing_key"], self_signing.1);

    world.delete_device(&other).await;
    let third = update(&world, &one).await;
    assert_eq!((&third["device_id"], &third["deleted"]), (&json!("OTHER"), &json!(true)));
    assert_eq!(third["prev_id"], json!([second["stream_id"]]));
    assert_eq!(third["stream_id"], stream_id(&world, &one).await);
    assert!(third.get("keys").is_none());
}

#[tokio::test]
async fn servers_that_share_a_room_are_told_and_nothing_grows() {
    let (world, one) = watched().await;
    let alone = world.person("@c:one.example", 3).await;
    upload(&world, &alone).await;
    for number in 0..20 {
        upload(&world, &world.device_of("@a:one.example", 1, &format!("D{number}")).await).await;
    }
    let snapshot = world.snapshot();
    let marks =
        snapshot.scan_prefix(&OUTGOING_DEVICE_LISTS, &(), Order::Ascending, usize::MAX).await.unwrap();
    let told: Vec<_> = marks.iter().map(|((_, server, user), _)| (server.as_str(), *user)).collect();
    assert_eq!(told, [(FAR, one.actor.user)], "once, and no tenant");
    let keys = snapshot.scan_prefix(&OUTGOING_SIGNING_KEYS, &(), Order::Ascending, usize::MAX).await.unwrap();
    assert!(keys.is_empty());
    let updates = snapshot.scan_prefix(&DEVICE_LIST_UPDATES, &one.actor.user, Order::Ascending, usize::MAX);
    assert!(updates.await.unwrap().len() <= 3);
}

/// CVE-2023-43796: devices of users of other servers were told to whoever asked, as far as they happened to be known.
#[tokio::test]
async fn cve_2023_43796_keys_of_a_user_are_told_by_the_tenant_of_the_user_only() {
    let (world, one) = watched().await;
    world.encryption.upload_keys(&one.actor, &one.upload(&["A"])).await.unwrap();
    let neighbour = world.person("@b:two.example", 2).await.actor.tenant;
    let wanted = BTreeMap::from([(one.user_id().to_owned(), Vec::new())]);
    let device = BTreeMap::from([("DEVICE1".into(), "signed_curve25519".to_owned())]);
    let claimed = BTreeMap::from([(one.user_id().to_owned(), device)]);
    for (tenant, is_theirs) in [(&neighbour, false), (&one.actor.tenant, true)] {
        let queried = world.encryption.query_keys_for_server(tenant, &wanted).await.unwrap();
        let claimed = world.encryption.claim_keys_for_server(tenant, &claimed).await.unwrap();
        assert_eq!(queried.device_keys.contains_key(one.user_id()), is_theirs);
        assert_eq!(claimed.one_time_keys.contains_key(one.user_id()), is_theirs);
    }
}

/// A server that asks the world of another one for whole lists, with since when it shares a room with those users.
struct Asking(Encryption, Tenant, Mutex<Position>);

impl Asking {
    fn of(ours: &World, asker: &Person) -> Arc<Self> {
        Arc::new(Asking(ours.encryption.clone(), asker.actor.tenant.clone(), Mutex::default()))
    }
}

impl Servers for Asking {
    fn reach(&self, _: &Tenant, server_name: &ServerName) -> Option<Tenant> {
        (server_name == self.1.server_name()).then(|| self.1.clone())
    }

    fn is_hosted(&self, server_name: &ServerName) -> bool {
        server_name == self.1.server_name()
    }

    fn devices<'a>(
        &'a self,
        _: &'a Tenant,
        user_id: &'a UserId,
        _: Duration,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        Box::pin(async move {
            let found = self.0.devices_for_server(user_id).await.map_err(|_| NotAnswered)?;
            let device = |(id, keys): (ruma_common::OwnedDeviceId, String)| json!({ "device_id": id, "keys": parsed(&keys) });
            let devices: Vec<Value> = found.devices.into_iter().map(device).collect();
            Ok(json!({ "user_id": user_id, "stream_id": found.stream_id.0, "devices": devices }).to_string())
        })
    }

    fn shares_room<'a>(
        &'a self,
        _: &'a Snapshot,
        _: UserNumber,
        _: &'a UserId,
        since: Option<Position>,
    ) -> BoxFuture<'a, Result<bool, ReadError>> {
        Box::pin(std::future::ready(Ok(since.is_none_or(|since| *self.2.lock().unwrap() <= since))))
    }
}

/// Another server with a user who asks ours for the devices of `@a:one.example`, and what it makes of the answers.
async fn hearing(ours: &World) -> (World, Person, Arc<Asking>, Encryption) {
    let theirs = World::new().await;
    let asker = theirs.person("@b:two.example", 2).await;
    theirs.person("@a:one.example", 9).await;
    let asking = Asking::of(ours, &asker);
    let clock = Arc::new(1_700_000_000_000_i64);
    let hearing = Encryption::new(theirs.store.clone(), asking.clone(), clock, Limits::default());
    (theirs, asker, asking, hearing)
}

/// Whatever updates are lost, come late, come twice or are told as one: whoever got the last one knows the list.
#[tokio::test]
async fn who_got_the_last_update_knows_the_list() {
    let mut resyncs = 0;
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let (ours, one) = watched().await;
        let (_, asker, _, hearing) = hearing(&ours).await;
        let (mut devices, mut late): (Vec<Person>, Vec<Value>) = (Vec::new(), Vec::new());
        for round in 0..25 {
            for _ in 0..=rng.below(2) {
                if rng.below(3) == 0 && !devices.is_empty() {
                    let gone = devices.remove(rng.below(devices.len()));
                    ours.delete_device(&gone).await;
                } else {
                    let id = format!("D{round}-{}", devices.len());
                    let device = ours.device_of("@a:one.example", 1, &id).await;
                    upload(&ours, &device).await;
                    devices.push(device);
                }
            }
            let content = update(&ours, &one).await;
            if rng.below(4) == 0 {
                late.push(content);
                continue;
            }
            for heard in [Some(content), late.pop().filter(|_| rng.below(2) == 0)].into_iter().flatten() {
                resyncs += usize::from(heard["prev_id"] == json!([]));
                let origin = one.actor.tenant.server_name();
                let tenant = &asker.actor.tenant;
                hearing.hear_device_list_update(tenant, origin, &heard.to_string()).await.unwrap();
            }
            let wanted = BTreeMap::from([(one.user_id().to_owned(), Vec::new())]);
            let known =
                hearing.query_keys(&asker.actor, &wanted, Patience::default()).await.unwrap().device_keys;
            let truth = ours.encryption.devices_for_server(one.user_id()).await.unwrap().devices;
            let parsed_all =
                |devices: &BTreeMap<ruma_common::OwnedDeviceId, String>| -> BTreeMap<String, Value> {
                    devices.iter().map(|(id, keys)| (id.to_string(), parsed(keys))).collect()
                };
            assert_eq!(parsed_all(&known[one.user_id()]), parsed_all(&truth), "seed {seed}, round {round}");
        }
    }
    assert!(resyncs <= 40, "only the first update has none before it: {resyncs}");
}

/// A client that waits in a sync hears at once that there is a new device to encrypt for, and not when its wait is over.
#[tokio::test]
async fn who_asked_for_devices_elsewhere_is_woken_when_they_change() {
    let (ours, one) = watched().await;
    upload(&ours, &one).await;
    let (theirs, asker, _, hearing) = hearing(&ours).await;
    let wanted = BTreeMap::from([(one.user_id().to_owned(), Vec::new())]);
    hearing.query_keys(&asker.actor, &wanted, Patience::default()).await.unwrap();
    let waiting = theirs.store.wakes().wait_for(asker.actor.user);
    let content = update(&ours, &one).await.to_string();
    let origin = one.actor.tenant.server_name();
    hearing.hear_device_list_update(&asker.actor.tenant, origin, &content).await.unwrap();
    let woken = tokio::time::timeout(std::time::Duration::from_secs(30), waiting.woken()).await;
    assert!(woken.is_ok());
}

/// Servers tell of changes while a room is shared: what was known before is not believed.
#[tokio::test]
async fn a_list_that_may_have_changed_unseen_is_fetched_anew() {
    let (ours, one) = watched().await;
    upload(&ours, &one).await;
    let (theirs, asker, asking, hearing) = hearing(&ours).await;
    let devices = async || {
        let wanted = BTreeMap::from([(one.user_id().to_owned(), Vec::new())]);
        let known = hearing.query_keys(&asker.actor, &wanted, Patience::default()).await.unwrap().device_keys;
        known[one.user_id()].keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(devices().await, ["DEVICE1"]);
    // Nobody tells of this one.
    upload(&ours, &ours.device_of("@a:one.example", 1, "UNSEEN").await).await;
    assert_eq!(devices().await, ["DEVICE1"], "a room is shared all the time: the list is the newest");
    theirs.set_membership(&asker, 1, Join).await;
    *asking.2.lock().unwrap() = theirs.position();
    assert_eq!(devices().await, ["DEVICE1", "UNSEEN"]);
    upload(&ours, &ours.device_of("@a:one.example", 1, "LATER").await).await;
    assert_eq!(devices().await, ["DEVICE1", "UNSEEN"], "it is fetched once");
}

/// Who tells one tenant of a device, or of a gap, sees nothing of it in what another one asks for.
#[tokio::test]
async fn each_tenant_knows_what_was_told_to_itself() {
    let (ours, one) = watched().await;
    upload(&ours, &one).await;
    let (theirs, asker, _, hearing) = hearing(&ours).await;
    let mut neighbour = theirs.person("@c:two.example", 3).await.actor;
    neighbour.tenant = Tenant::new(TenantNumber(3), ServerName::parse("three.example").unwrap());
    let asker = asker.actor;
    let devices = async |of: &Actor| {
        let wanted = BTreeMap::from([(one.user_id().to_owned(), Vec::new())]);
        let known = hearing.query_keys(of, &wanted, Patience::default()).await.unwrap().device_keys;
        known[one.user_id()].keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(devices(&asker).await, ["DEVICE1"]);
    // Nobody tells of this one.
    upload(&ours, &ours.device_of("@a:one.example", 1, "UNSEEN").await).await;
    assert_eq!(devices(&neighbour).await, ["DEVICE1", "UNSEEN"], "the neighbour asks as if it were alone");
    assert_eq!(devices(&asker).await, ["DEVICE1"]);
    upload(&ours, &ours.device_of("@a:one.example", 1, "LATER").await).await;
    let from = theirs.position();
    let told = async |of: &Actor| {
        let changes = hearing.device_list_changes_until_now(of, from).await.unwrap();
        changes.changed.contains(&one.user_id().to_owned())
    };
    // What came before it is not known to whom it is told.
    let mut gap = update(&ours, &one).await;
    gap["prev_id"] = json!([i64::MAX]);
    let origin = one.actor.tenant.server_name();
    hearing.hear_device_list_update(&asker.tenant, origin, &gap.to_string()).await.unwrap();
    assert_eq!(devices(&asker).await, ["DEVICE1", "LATER", "UNSEEN"]);
    assert_eq!(devices(&neighbour).await, ["DEVICE1", "UNSEEN"], "nobody told the neighbour anything");
    assert_eq!((told(&asker).await, told(&neighbour).await), (true, false));
}

/// A restored store gives positions anew: who remembers the ids of messages from before must not take others for them.
#[tokio::test]
async fn no_message_has_the_id_of_one_from_before_a_backup_was_restored() {
    let mut ids = Vec::new();
    for now_ts in [1_700_000_000_000_i64, 1_700_000_000_001] {
        let (world, one) = watched().await;
        let servers = Asking::of(&world, &one);
        let encryption = Encryption::new(world.store.clone(), servers, Arc::new(now_ts), Limits::default());
        let device = DeviceIdOrAllDevices::AllDevices;
        let user_id = UserId::parse("@f:far.example").unwrap();
        let messages = BTreeMap::from([(user_id, BTreeMap::from([(device, "{}".to_owned())]))]);
        let transaction = <&ruma_common::TransactionId>::from("1");
        encryption.send_to_device(&one.actor, "m.test", transaction, &messages).await.unwrap();
        let rows = world.snapshot().scan_prefix(&OUTGOING_MESSAGES, &(), Order::Ascending, 9).await.unwrap();
        assert_eq!(rows.len(), 1);
        ids.push(parsed(&rows[0].1.content)["message_id"].as_str().unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| id.len() <= 32), "{ids:?}");
}
