//! Messages from devices of other servers to devices of a tenant.

use std::collections::BTreeSet;

use freehold_store::tables::encryption::{TO_DEVICE_RECEIVED, TO_DEVICE_RECEIVED_AGES};
use freehold_store::{Batch, Order, ReadError, Snapshot, Tenant};
use ruma_common::{OwnedServerName, OwnedUserId};

use crate::devices::require;
use crate::failure::Failure;
use crate::service::{ATTEMPTS, Encryption};
use crate::to_device::{Messages, SendToDeviceError, message, put_message};

/// Messages of one type that another server sends to devices
/// (<https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedToDevice {
    /// The server that sends them.
    pub origin: OwnedServerName,
    /// Who sent them.
    pub sender: OwnedUserId,
    /// Their event type.
    pub event_type: String,
    /// By what the server calls them: they are delivered once.
    pub message_id: String,
    /// Their contents.
    pub messages: Messages,
}

/// Why messages of another server are not delivered. That server is at fault, unless the store failed.
#[derive(Debug, thiserror::Error)]
pub enum ToDeviceRefused {
    /// The sender is no user of the server.
    #[error("the sender is no user of the server that sends the messages")]
    Sender,
    /// The message id is too long.
    #[error("message id of {0} bytes")]
    MessageId(usize),
    /// They are too many or too long, or the store failed.
    #[error(transparent)]
    Messages(#[from] SendToDeviceError),
}

impl From<ReadError> for ToDeviceRefused {
    fn from(error: ReadError) -> Self {
        ToDeviceRefused::Messages(error.into())
    }
}

impl From<Failure> for ToDeviceRefused {
    fn from(error: Failure) -> Self {
        ToDeviceRefused::Messages(error.into())
    }
}

/// How many message ids too old to be remembered are forgotten with each new one.
const FORGOTTEN_TOGETHER: usize = 4;

impl Encryption {
    /// Delivers messages of another server to devices of users of a tenant, once. Whom the tenant does not have gets none:
    /// not even users of other tenants.
    ///
    /// # Errors
    /// [`ToDeviceRefused`]; nothing was delivered.
    pub async fn receive_to_device(
        &self,
        tenant: &Tenant,
        received: &ReceivedToDevice,
    ) -> Result<(), ToDeviceRefused> {
        if received.sender.server_name() != received.origin {
            return Err(ToDeviceRefused::Sender);
        }
        if received.message_id.len() > self.0.limits.message_id_bytes {
            return Err(ToDeviceRefused::MessageId(received.message_id.len()));
        }
        self.check(&received.messages, self.0.limits.to_device_bytes)?;
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot()?;
            let mut batch = Batch::new();
            if came_before(&snapshot, tenant, received).await? {
                return Ok(());
            }
            let mut recipients = BTreeSet::new();
            for (user_id, contents) in received.messages.iter().filter(|(user_id, _)| tenant.owns(user_id)) {
                let Some(user) = snapshot.number_of(user_id).await? else { continue };
                for (device, content) in self.address(&snapshot, user, contents).await? {
                    require(&mut batch, device);
                    recipients.insert(device);
                    put_message(device, message(&received.sender, &received.event_type, content), &mut batch);
                    batch.wake(user);
                }
            }
            // Nothing is kept of what nobody gets: anybody could send it without end.
            if recipients.is_empty() {
                return Ok(());
            }
            self.check_recipients(recipients.len())?;
            self.note_message(&snapshot, tenant, received, &mut batch).await?;
            if self.deliver(&snapshot, &recipients, batch).await? {
                return Ok(());
            }
        }
        Err(Failure::Busy(ATTEMPTS).into())
    }

    /// Adds the note that a message came.
    async fn note_message(
        &self,
        snapshot: &Snapshot,
        tenant: &Tenant,
        received: &ReceivedToDevice,
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        let (tenant, origin) = (tenant.number(), received.origin.clone());
        let place = (tenant, origin.clone(), received.message_id.clone());
        let now = self.0.clock.now_ts();
        batch.expect_absent(&TO_DEVICE_RECEIVED, &place);
        batch.put(&TO_DEVICE_RECEIVED, &place, &now);
        batch.put(&TO_DEVICE_RECEIVED_AGES, &(tenant, origin.clone(), now, place.2), &());
        let oldest = now.saturating_sub(self.0.limits.transactions_remembered_ms);
        let range = (&(tenant, origin.clone(), i64::MIN), &(tenant, origin, oldest));
        let old = snapshot
            .scan_range(&TO_DEVICE_RECEIVED_AGES, range, Order::Ascending, FORGOTTEN_TOGETHER)
            .await?;
        for (age, ()) in old {
            batch.delete(&TO_DEVICE_RECEIVED_AGES, &age);
            batch.delete(&TO_DEVICE_RECEIVED, &(age.0, age.1, age.3));
        }
        Ok(())
    }
}

/// Whether a message was delivered already.
async fn came_before(
    snapshot: &Snapshot,
    tenant: &Tenant,
    received: &ReceivedToDevice,
) -> Result<bool, ReadError> {
    let place = (tenant.number(), received.origin.clone(), received.message_id.clone());
    Ok(snapshot.get(&TO_DEVICE_RECEIVED, &place).await?.is_some())
}
