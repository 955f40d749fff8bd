//! Messages from device to device.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use freehold_store::tables::encryption::{TO_DEVICE, TO_DEVICE_SENT, TO_DEVICE_SENT_AGES, ToDeviceRow};
use freehold_store::{Actor, Batch, DeviceNumber, Order, Position, ReadError, Snapshot, UserNumber};
use ruma_common::to_device::DeviceIdOrAllDevices;
use ruma_common::{OwnedUserId, TransactionId, UserId};

use crate::devices::{device_number, devices, require};
use crate::elsewhere::Parcels;
use crate::failure::Failure;
use crate::service::{ATTEMPTS, Encryption, Reached};

/// Contents as JSON, by user and device.
pub type Messages = BTreeMap<OwnedUserId, BTreeMap<DeviceIdOrAllDevices, String>>;

/// A message for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToDeviceMessage {
    /// Who sent it.
    pub sender: OwnedUserId,
    /// Its event type.
    pub event_type: String,
    /// Its content as JSON.
    pub content: String,
}

/// Some of the messages that wait for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToDevicePage {
    /// The messages, in order of arrival.
    pub messages: Vec<ToDeviceMessage>,
    /// The page holds everything up to here: what the device will have when it has the page.
    pub up_to: Position,
    /// Whether more wait behind it.
    pub more: bool,
}

/// How many transactions too old to be remembered are forgotten with each new one.
const FORGOTTEN_TOGETHER: usize = 4;

impl Encryption {
    /// Sends messages of one type to devices. Whom nobody knows gets none, and the sender does not learn of it.
    /// <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid>
    ///
    /// # Errors
    /// [`SendToDeviceError`]; then nothing was sent.
    pub async fn send_to_device(
        &self,
        actor: &Actor,
        event_type: &str,
        transaction: &TransactionId,
        messages: &Messages,
    ) -> Result<(), SendToDeviceError> {
        self.check(messages, self.0.limits.to_device_sent_bytes)?;
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot()?;
            let mut batch = Batch::new();
            if !self.begin_transaction(&snapshot, actor, (event_type, transaction), &mut batch).await? {
                return Ok(());
            }
            let (mut recipients, mut elsewhere) = (BTreeSet::new(), Parcels::default());
            for (user_id, contents) in messages {
                if !self.0.servers.is_hosted(user_id.server_name()) {
                    elsewhere.add(user_id, contents);
                    continue;
                }
                let Reached::Server { user: Some(user), .. } =
                    self.reachable_user(&snapshot, actor, user_id).await?
                else {
                    continue;
                };
                let sent = self.address(&snapshot, user, contents).await?;
                for (device, content) in sent {
                    require(&mut batch, device);
                    recipients.insert(device);
                    put_message(device, message(&actor.user_id, event_type, content), &mut batch);
                    batch.wake(user);
                }
            }
            elsewhere.put(actor, (event_type, self.0.clock.now_ts()), &mut batch);
            self.check_recipients(recipients.len())?;
            if self.deliver(&snapshot, &recipients, batch).await? {
                return Ok(());
            }
        }
        Err(Failure::Busy(ATTEMPTS).into())
    }

    /// Commits messages for devices; `false` if it has to be thought through again.
    pub(crate) async fn deliver(
        &self,
        snapshot: &Snapshot,
        recipients: &BTreeSet<DeviceNumber>,
        mut batch: Batch,
    ) -> Result<bool, Failure> {
        for device in recipients {
            self.make_room(snapshot, *device, &mut batch).await?;
        }
        let done = batch.is_empty() || self.commit(batch).await?.is_some();
        if done {
            self.count_arrivals(recipients);
        }
        Ok(done)
    }

    /// Up to `limit` messages that arrived for a device after `since`.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn to_device_since(
        &self,
        snapshot: &Snapshot,
        device: DeviceNumber,
        since: Position,
        limit: usize,
    ) -> Result<ToDevicePage, Failure> {
        let range = ((device, Position(since.0.saturating_add(1))), (device, Position(u64::MAX)));
        let asked = limit.saturating_add(1);
        let mut rows = snapshot.scan_range(&TO_DEVICE, (&range.0, &range.1), Order::Ascending, asked).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().map_or(since, |((_, position), _)| *position);
        let up_to = if more { last } else { snapshot.position().max(since) };
        let messages = rows.into_iter().map(|(_, row)| {
            let ToDeviceRow { sender, event_type, content } = row;
            ToDeviceMessage { sender, event_type, content }
        });
        Ok(ToDevicePage { messages: messages.collect(), up_to, more })
    }

    /// Forgets the messages up to a position, which the device has.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn acknowledge_to_device(&self, device: DeviceNumber, up_to: Position) -> Result<(), Failure> {
        let snapshot = self.snapshot()?;
        let end = (device, Position(up_to.0.saturating_add(1)));
        let range = (&(device, Position(0)), &end);
        let rows = snapshot.scan_range(&TO_DEVICE, range, Order::Ascending, usize::MAX).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        rows.iter().for_each(|(place, _)| batch.delete(&TO_DEVICE, place));
        self.commit(batch).await?;
        self.waiting().remove(&device);
        Ok(())
    }

    /// Whether these are not too many messages, and none of them has more than `most` bytes.
    pub(crate) fn check(&self, messages: &Messages, most: usize) -> Result<(), SendToDeviceError> {
        self.check_recipients(messages.values().map(BTreeMap::len).sum())?;
        let longest = messages.values().flat_map(BTreeMap::values).map(String::len).max().unwrap_or(0);
        if longest > most {
            return Err(SendToDeviceError::TooLong { bytes: longest, most });
        }
        Ok(())
    }

    pub(crate) fn check_recipients(&self, count: usize) -> Result<(), SendToDeviceError> {
        let most = self.0.limits.to_device_recipients;
        if count > most { Err(SendToDeviceError::TooManyRecipients { count, most }) } else { Ok(()) }
    }

    /// Adds the note that a transaction took place; `false` if it did already:
    ///
    /// > if the transaction ID is the same as a previous request, and the path of the HTTP request is the same.
    async fn begin_transaction(
        &self,
        snapshot: &Snapshot,
        actor: &Actor,
        (event_type, transaction): (&str, &TransactionId),
        batch: &mut Batch,
    ) -> Result<bool, ReadError> {
        let Some(device) = actor.device else { return Ok(true) };
        let place = (device, event_type.to_owned(), transaction.to_string());
        if snapshot.get(&TO_DEVICE_SENT, &place).await?.is_some() {
            return Ok(false);
        }
        let now = self.0.clock.now_ts();
        batch.expect_absent(&TO_DEVICE_SENT, &place);
        batch.put(&TO_DEVICE_SENT, &place, &now);
        batch.put(&TO_DEVICE_SENT_AGES, &(device, now, place.1, place.2), &());
        let oldest = now.saturating_sub(self.0.limits.transactions_remembered_ms);
        let old = ((device, i64::MIN), (device, oldest));
        let old = snapshot
            .scan_range(&TO_DEVICE_SENT_AGES, (&old.0, &old.1), Order::Ascending, FORGOTTEN_TOGETHER)
            .await?;
        for (age, ()) in old {
            batch.delete(&TO_DEVICE_SENT_AGES, &age);
            batch.delete(&TO_DEVICE_SENT, &(device, age.2, age.3));
        }
        Ok(true)
    }

    /// Which device of a user gets what: what is for one device goes before what is for all.
    pub(crate) async fn address<'m>(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
        contents: &'m BTreeMap<DeviceIdOrAllDevices, String>,
    ) -> Result<Vec<(DeviceNumber, &'m str)>, ReadError> {
        let mut addressed = Vec::new();
        if let Some(content) = contents.get(&DeviceIdOrAllDevices::AllDevices) {
            let unnamed = devices(snapshot, user).await?.into_iter().filter(|device| {
                !contents.contains_key(&DeviceIdOrAllDevices::DeviceId(device.device_id.clone()))
            });
            addressed.extend(unnamed.map(|device| (device.number, content.as_str())));
        }
        for (device_id, content) in contents {
            let DeviceIdOrAllDevices::DeviceId(device_id) = device_id else { continue };
            let device = device_number(snapshot, user, device_id).await?;
            addressed.extend(device.map(|device| (device, content.as_str())));
        }
        Ok(addressed)
    }

    /// Adds the removal of the oldest messages for a device that has as many as are kept.
    async fn make_room(
        &self,
        snapshot: &Snapshot,
        device: DeviceNumber,
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        let most = self.0.limits.to_device_per_device;
        let counted = self.waiting().get(&device).copied();
        let count = match counted {
            Some(count) => count,
            None => count_messages(snapshot, device, most).await?,
        };
        self.waiting().insert(device, count);
        if count < most {
            return Ok(());
        }
        // Some more than needed, so that this is not done for each message.
        let spare = (most / 16).max(1);
        let oldest = snapshot.scan_prefix(&TO_DEVICE, &device, Order::Ascending, spare).await?;
        oldest.iter().for_each(|(place, _)| batch.delete(&TO_DEVICE, place));
        self.waiting().remove(&device);
        Ok(())
    }

    fn count_arrivals(&self, devices: &BTreeSet<DeviceNumber>) {
        let mut waiting = self.waiting();
        for device in devices {
            if let Some(count) = waiting.get_mut(device) {
                *count += 1;
            }
        }
        // Counted anew when they are needed.
        if waiting.len() > DEVICES_COUNTED {
            waiting.clear();
        }
    }

    /// How many messages wait for a device: a bound to hold it to, not exact while messages come and go.
    pub(crate) fn waiting(&self) -> MutexGuard<'_, BTreeMap<DeviceNumber, usize>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For how many devices the count of waiting messages is remembered: about 2 MiB.
const DEVICES_COUNTED: usize = 65_536;

async fn count_messages(snapshot: &Snapshot, device: DeviceNumber, most: usize) -> Result<usize, ReadError> {
    Ok(snapshot.scan_prefix(&TO_DEVICE, &device, Order::Ascending, most).await?.len())
}

pub(crate) fn message(sender: &UserId, event_type: &str, content: &str) -> ToDeviceRow {
    ToDeviceRow { sender: sender.to_owned(), event_type: event_type.to_owned(), content: content.to_owned() }
}

pub(crate) fn put_message(device: DeviceNumber, row: ToDeviceRow, batch: &mut Batch) {
    batch.at_position(move |position, writes| writes.put(&TO_DEVICE, &(device, position), &row));
}

/// Why messages were not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendToDeviceError {
    /// A content is too long.
    #[error("message of {bytes} bytes; at most {most} are taken")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// Too many recipients.
    #[error("{count} recipients; at most {most} are taken in one request")]
    TooManyRecipients {
        /// How many.
        count: usize,
        /// The bound.
        most: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<ReadError> for SendToDeviceError {
    fn from(error: ReadError) -> Self {
        SendToDeviceError::Failure(error.into())
    }
}
