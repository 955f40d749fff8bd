//! What goes with a device.

use freehold_store::tables::encryption::{
    CROSS_SIGNING_KEYS, DEVICE_KEYS, KEY_SIGNATURES, TO_DEVICE, TO_DEVICE_SENT, TO_DEVICE_SENT_AGES,
};
use freehold_store::{Batch, DeviceNumber, Order, ReadError, Snapshot, UserNumber};

use crate::device_keys::{delete_signatures, signing_key_id};
use crate::elsewhere::Changed;
use crate::one_time_keys::delete_keys;
use crate::service::Encryption;

impl Encryption {
    /// Adds to the batch that deletes a device the removal of its keys and of the messages that wait for it. Whoever writes
    /// something for a device has as a condition that it is there, so that nothing comes after this.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn device_gone(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
        (device, device_id): (DeviceNumber, &str),
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        let all = (Order::Ascending, usize::MAX);
        delete_keys(snapshot, device, batch).await?;
        let messages = snapshot.scan_prefix(&TO_DEVICE, &device, all.0, all.1).await?;
        messages.iter().for_each(|(place, _)| batch.delete(&TO_DEVICE, place));
        let sent = snapshot.scan_prefix(&TO_DEVICE_SENT, &device, all.0, all.1).await?;
        sent.iter().for_each(|(place, _)| batch.delete(&TO_DEVICE_SENT, place));
        let ages = snapshot.scan_prefix(&TO_DEVICE_SENT_AGES, &device, all.0, all.1).await?;
        ages.iter().for_each(|(place, ())| batch.delete(&TO_DEVICE_SENT_AGES, place));
        self.waiting().remove(&device);
        let place = (user, device_id.to_owned());
        if snapshot.get(&DEVICE_KEYS, &place).await?.is_none_or(|row| row.device != device) {
            return Ok(());
        }
        batch.delete(&DEVICE_KEYS, &place);
        delete_signatures(snapshot, (user, &place.1), batch).await?;
        let by_it = signing_key_id(&place.1);
        let signed = snapshot.scan_prefix(&KEY_SIGNATURES, &user, all.0, all.1).await?;
        let by_it = signed.iter().filter(|((_, _, signer, key), _)| *signer == user && *key == by_it);
        by_it.for_each(|(place, _)| batch.delete(&KEY_SIGNATURES, place));
        self.mark_device_list(snapshot, (user, Changed::device(device_id)), batch).await?;
        Ok(())
    }

    /// Whether a cross-signing key of the user has this id, which no device can have then
    /// (<https://spec.matrix.org/v1.19/client-server-api/#key-and-signature-security>).
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn is_cross_signing_key(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
        id: &str,
    ) -> Result<bool, ReadError> {
        let keys = snapshot.scan_prefix(&CROSS_SIGNING_KEYS, &user, Order::Ascending, 3).await?;
        Ok(keys.iter().any(|(_, row)| row.public_key == id))
    }
}
