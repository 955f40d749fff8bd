//! What belongs to a device and is kept by encryption, as accounts ask for it.

use freehold_accounts::{DeviceGone, DeviceKeys, ServerFailure};
use freehold_encryption::{Device, Encryption};
use freehold_store::tables::encryption::CROSS_SIGNING_KEYS;
use freehold_store::{Batch, BoxFuture, Order, Snapshot, UserNumber};

/// The keys and messages of devices, for accounts.
pub(crate) struct KeysOfDevices(pub(crate) Encryption);

impl DeviceKeys for KeysOfDevices {
    fn is_cross_signing_key<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
        id: &'a str,
    ) -> BoxFuture<'a, Result<bool, ServerFailure>> {
        Box::pin(async move {
            let keys = snapshot.scan_prefix(&CROSS_SIGNING_KEYS, &user, Order::Ascending, usize::MAX).await?;
            Ok(keys.iter().any(|(_, row)| row.public_key == id))
        })
    }

    fn remove<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        device: DeviceGone<'a>,
        batch: &'a mut Batch,
    ) -> BoxFuture<'a, Result<(), ServerFailure>> {
        Box::pin(async move {
            let DeviceGone { user, number, device_id } = device;
            let device = Device { number, device_id: device_id.into(), display_name: None };
            let removed = self.0.device_gone(snapshot, user, &device, batch).await;
            removed.map_err(|error| ServerFailure::DeviceKeys(error.to_string()))
        })
    }
}
