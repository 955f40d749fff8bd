//! What goes with a device.

use freehold_store::tables::encryption::{
    DEVICE_KEYS, KEY_SIGNATURES, TO_DEVICE, TO_DEVICE_SENT, TO_DEVICE_SENT_AGES,
};
use freehold_store::{Batch, Order, Snapshot, UserNumber};

use crate::device_keys::{delete_signatures, signing_key_id};
use crate::failure::Failure;
use crate::one_time_keys::delete_keys;
use crate::outside::Device;
use crate::service::Encryption;

impl Encryption {
    /// Adds to the batch that deletes a device the removal of its keys and of the messages that wait for it. The batch has the
    /// deletion of the device itself as a condition of everybody who writes to it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn device_gone(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
        device: &Device,
        batch: &mut Batch,
    ) -> Result<(), Failure> {
        let all = (Order::Ascending, usize::MAX);
        delete_keys(snapshot, device.number, batch).await?;
        let messages = snapshot.scan_prefix(&TO_DEVICE, &device.number, all.0, all.1).await?;
        messages.iter().for_each(|(place, _)| batch.delete(&TO_DEVICE, place));
        let sent = snapshot.scan_prefix(&TO_DEVICE_SENT, &device.number, all.0, all.1).await?;
        sent.iter().for_each(|(place, _)| batch.delete(&TO_DEVICE_SENT, place));
        let ages = snapshot.scan_prefix(&TO_DEVICE_SENT_AGES, &device.number, all.0, all.1).await?;
        ages.iter().for_each(|(place, ())| batch.delete(&TO_DEVICE_SENT_AGES, place));
        self.waiting().remove(&device.number);
        let place = (user, device.device_id.to_string());
        if snapshot.get(&DEVICE_KEYS, &place).await?.is_none_or(|row| row.device != device.number) {
            return Ok(());
        }
        batch.delete(&DEVICE_KEYS, &place);
        delete_signatures(snapshot, (user, &place.1), batch).await?;
        let by_it = signing_key_id(&place.1);
        let signed = snapshot.scan_prefix(&KEY_SIGNATURES, &user, all.0, all.1).await?;
        let by_it = signed.iter().filter(|((_, _, signer, key), _)| *signer == user && *key == by_it);
        by_it.for_each(|(place, _)| batch.delete(&KEY_SIGNATURES, place));
        self.mark_device_list(snapshot, user, batch).await?;
        Ok(())
    }
}
