//! The devices of the users of all tenants, as accounts keep them.

use freehold_store::tables::accounts::{DEVICE_NUMBERS, DEVICES};
use freehold_store::{Batch, DeviceNumber, Order, ReadError, Snapshot, UserNumber};
use ruma_common::{DeviceId, OwnedDeviceId};

/// A device of a user of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its number; another device of the same id has another number.
    pub(crate) number: DeviceNumber,
    pub(crate) device_id: OwnedDeviceId,
    /// The name that its user gave it.
    pub(crate) display_name: Option<String>,
}

/// All devices of a user; none of a user whom no tenant has.
pub(crate) async fn devices(snapshot: &Snapshot, user: UserNumber) -> Result<Vec<Device>, ReadError> {
    let found = snapshot.scan_prefix(&DEVICE_NUMBERS, &user, Order::Ascending, usize::MAX).await?;
    let numbers: Vec<DeviceNumber> = found.iter().map(|(_, number)| *number).collect();
    let rows = snapshot.get_many(&DEVICES, &numbers).await?;
    let devices = found.into_iter().zip(rows).filter_map(|(((_, device_id), number), row)| {
        Some(Device { number, device_id: device_id.into(), display_name: row?.display_name })
    });
    Ok(devices.collect())
}

/// The number of a device of a user.
pub(crate) async fn device_number(
    snapshot: &Snapshot,
    user: UserNumber,
    device_id: &DeviceId,
) -> Result<Option<DeviceNumber>, ReadError> {
    snapshot.get(&DEVICE_NUMBERS, &(user, device_id.to_string())).await
}

/// The id of a device.
pub(crate) async fn device_id(
    snapshot: &Snapshot,
    device: DeviceNumber,
) -> Result<Option<OwnedDeviceId>, ReadError> {
    Ok(snapshot.get(&DEVICES, &device).await?.map(|row| row.device_id.into()))
}

/// Adds the condition that the device is still there.
pub(crate) fn require(batch: &mut Batch, device: DeviceNumber) {
    batch.expect_present(&DEVICES, &device);
}
