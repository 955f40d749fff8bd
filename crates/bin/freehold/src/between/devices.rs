//! The devices of users, as encryption asks for them.

use freehold_encryption::{Device, Devices};
use freehold_store::tables::accounts::{DEVICE_NUMBERS, DEVICES, DeviceRow};
use freehold_store::{Batch, BoxFuture, DeviceNumber, Order, ReadError, Snapshot, UserNumber};
use ruma_common::DeviceId;

/// The devices that accounts keep.
pub(crate) struct DevicesOfAccounts;

impl Devices for DevicesOfAccounts {
    fn devices<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
    ) -> BoxFuture<'a, Result<Vec<Device>, ReadError>> {
        Box::pin(async move {
            let found = snapshot.scan_prefix(&DEVICE_NUMBERS, &user, Order::Ascending, usize::MAX).await?;
            let numbers: Vec<DeviceNumber> = found.into_iter().map(|(_, number)| number).collect();
            let rows = snapshot.get_many(&DEVICES, &numbers).await?;
            let devices = numbers.into_iter().zip(rows);
            Ok(devices.filter_map(|(number, row)| Some(device(number, row?))).collect())
        })
    }

    fn device<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
        device_id: &'a DeviceId,
    ) -> BoxFuture<'a, Result<Option<Device>, ReadError>> {
        Box::pin(async move {
            let place = (user, device_id.as_str().to_owned());
            let Some(number) = snapshot.get(&DEVICE_NUMBERS, &place).await? else { return Ok(None) };
            let row = snapshot.get(&DEVICES, &number).await?;
            Ok(row.map(|row| device(number, row)))
        })
    }

    fn require(&self, batch: &mut Batch, _: UserNumber, device: &Device) {
        batch.expect_present(&DEVICES, &device.number);
    }
}

fn device(number: DeviceNumber, row: DeviceRow) -> Device {
    Device { number, device_id: row.device_id.into(), display_name: row.display_name }
}
