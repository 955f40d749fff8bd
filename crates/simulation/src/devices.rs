//! Devices of people, one each, and the messages that lie there.

use freehold_store::tables::accounts::{DEVICE_NUMBERS, DEVICES, DeviceRow};
use freehold_store::tables::encryption::TO_DEVICE;
use freehold_store::{Batch, DeviceNumber, Order, UserNumber};
use ruma_common::{OwnedUserId, UserId};
use serde_json::Value;

use crate::process::Process;

/// What everybody calls their device.
const DEVICE_ID: &str = "SIM";

/// The number of the device of a user.
pub(crate) fn device_of(user: UserNumber) -> DeviceNumber {
    DeviceNumber(user.0)
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
}
