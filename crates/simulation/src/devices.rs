//! Devices of people, the messages that lie there, and what others know of them.

use std::collections::BTreeMap;

use freehold_encryption::{KeysUpload, Patience};
use freehold_signing::SigningKey;
use freehold_store::tables::accounts::{DEVICE_NUMBERS, DEVICES, DeviceRow};
use freehold_store::tables::encryption::TO_DEVICE;
use freehold_store::{Actor, Batch, DeviceNumber, Order, Position, UserNumber};
use freehold_testkit::Rng;
use ruma_common::{OwnedUserId, UserId};
use serde_json::{Value, json};

use crate::crowd::NotDone;
use crate::process::Process;

/// What everybody calls their device.
const DEVICE_ID: &str = "SIM";

/// The number of the device of a user.
pub(crate) fn device_of(user: UserNumber) -> DeviceNumber {
    DeviceNumber(user.0)
}

/// The devices of a user that have keys, with these.
pub(crate) type DeviceList = BTreeMap<String, String>;

/// What a client has of somebody's devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// When it asked.
    pub(crate) at: Position,
    pub(crate) list: DeviceList,
}

/// What a process says of the devices of others, at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LookedUp {
    /// When that was.
    pub(crate) at: Position,
    /// By user; those are left out whose servers did not answer.
    pub(crate) lists: BTreeMap<OwnedUserId, DeviceList>,
}

/// A message that lies at a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lying {
    pub(crate) sender: String,
    pub(crate) text: String,
}

impl Process {
    /// Gives users the devices that they do not have yet.
    pub(crate) async fn give_devices(&self, users: &[OwnedUserId]) {
        for user_id in users {
            let Some(actor) = self.actor(user_id).await else { return };
            let (number, place) = (device_of(actor.user), (actor.user, DEVICE_ID.to_owned()));
            let snapshot = self.store.snapshot().unwrap();
            if snapshot.get(&DEVICE_NUMBERS, &place).await.unwrap().is_some() {
                continue;
            }
            let (user, device_id) = place.clone();
            let row = DeviceRow { user, device_id, display_name: None, created_ts: 0 };
            let mut batch = Batch::new();
            batch.put(&DEVICE_NUMBERS, &place, &number);
            batch.put(&DEVICES, &number, &row);
            self.store.commit(batch).await.unwrap();
        }
    }

    /// The messages that lie at the device of a user.
    pub(crate) async fn messages(&self, user_id: &UserId) -> Vec<Lying> {
        let snapshot = self.store.snapshot().unwrap();
        let Some(user) = snapshot.number_of(&user_id.to_owned()).await.unwrap() else { return Vec::new() };
        let device = device_of(user);
        let rows = snapshot.scan_prefix(&TO_DEVICE, &device, Order::Ascending, usize::MAX).await.unwrap();
        let message = |sender: OwnedUserId, content: &str| {
            let content: Value = serde_json::from_str(content).unwrap();
            let text = content["body"].as_str().unwrap_or_default().to_owned();
            Lying { sender: sender.to_string(), text }
        };
        rows.into_iter().map(|(_, row)| message(row.sender, &row.content)).collect()
    }

    /// A user comes with a new device under a name, or goes with the one that has it.
    pub(crate) async fn change_device(
        &self,
        actor: &Actor,
        (device_id, seed): (&str, u64),
    ) -> Result<(), NotDone> {
        let place = (actor.user, device_id.to_owned());
        let snapshot = self.store.snapshot()?;
        let mut batch = Batch::new();
        if let Some(number) = snapshot.get(&DEVICE_NUMBERS, &place).await? {
            batch.delete(&DEVICE_NUMBERS, &place);
            batch.delete(&DEVICES, &number);
            self.encryption.device_gone(&snapshot, actor.user, (number, device_id), &mut batch).await?;
            self.store.commit(batch).await?;
            return Ok(());
        }
        let number = DeviceNumber(NEW_DEVICES | seed);
        let row =
            DeviceRow { user: actor.user, device_id: place.1.clone(), display_name: None, created_ts: 0 };
        batch.expect_absent(&DEVICE_NUMBERS, &place);
        batch.put(&DEVICE_NUMBERS, &place, &number);
        batch.put(&DEVICES, &number, &row);
        self.store.commit(batch).await?;
        let device_keys = Some(device_keys(&actor.user_id, device_id, seed));
        let actor = Actor { device: Some(number), ..actor.clone() };
        self.encryption.upload_keys(&actor, &KeysUpload { device_keys, ..KeysUpload::default() }).await?;
        Ok(())
    }

    /// The devices of some users, as a client here is told of them.
    pub(crate) async fn look_up(&self, actor: &Actor, users: &[OwnedUserId]) -> Result<LookedUp, NotDone> {
        let at = self.store.snapshot()?.position();
        let wanted = users.iter().map(|user| (user.clone(), Vec::new())).collect();
        let queried = self.encryption.query_keys(actor, &wanted, Patience::default()).await?;
        let mut lists: BTreeMap<OwnedUserId, DeviceList> = BTreeMap::new();
        for (user, devices) in queried.device_keys {
            let keys = devices.iter().map(|(device_id, keys)| (device_id.to_string(), identity(keys)));
            lists.insert(user, keys.collect());
        }
        lists.retain(|user, _| !queried.failures.contains(user.server_name()));
        Ok(LookedUp { at, lists })
    }

    /// Of whom a client is told, after a time, that their devices changed.
    pub(crate) async fn told_of(&self, actor: &Actor, since: Position) -> Result<Vec<OwnedUserId>, NotDone> {
        Ok(self.encryption.device_list_changes_until_now(actor, since).await?.changed)
    }
}

/// The numbers of devices that come during a run begin here.
const NEW_DEVICES: u64 = 1 << 50;

/// What clients go by: the keys in a document about a device.
fn identity(document: &str) -> String {
    let document: Value = serde_json::from_str(document).unwrap();
    document["keys"].to_string()
}

/// The identity keys of a device, signed by it.
fn device_keys(user_id: &UserId, device_id: &str, seed: u64) -> String {
    let key = SigningKey::from_seed(&Rng::new(seed).bytes32());
    let (signs, agrees) = (format!("ed25519:{device_id}"), format!("curve25519:{device_id}"));
    let public = key.verifying_key().to_base64();
    let document = json!({
        "algorithms": ["m.megolm.v1.aes-sha2"],
        "device_id": device_id,
        "keys": { agrees.as_str(): public, signs.as_str(): public },
        "user_id": user_id,
    });
    // Names in the order of their bytes, without blanks: the canonical form.
    let signature = key.sign(document.to_string().as_bytes()).to_base64();
    let mut document = document;
    document["signatures"] = json!({ user_id.as_str(): { signs.as_str(): signature } });
    document.to_string()
}
