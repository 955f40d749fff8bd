//! Devices: made by a login, ended by a logout.

use freehold_store::tables::accounts::{
    ACCESS_TOKENS, DEVICE_NUMBERS, DEVICE_SEEN, DEVICE_TOKENS, DEVICES, DeviceRow, REFRESH_TOKENS, SeenRow,
    TokenHash, TokenKind,
};
use freehold_store::{Actor, Batch, DeviceNumber, Order, Position, ReadError, Snapshot, UserNumber};
use ruma_common::OwnedDeviceId;

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::device_keys::DeviceGone;
use crate::failure::{ServerFailure, server_failures};

/// Which device somebody logs in with.
#[derive(Clone, Debug, Default)]
pub struct DeviceRequest {
    /// A device that the user has, or wants to have; a new one if not set.
    pub device_id: Option<OwnedDeviceId>,
    /// What to call it, if it is new.
    pub display_name: Option<String>,
}

/// A device of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub number: DeviceNumber,
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// What the user calls it.
    pub display_name: Option<String>,
    /// When and from where it was last used, as far as it is written down.
    pub seen: Option<SeenRow>,
}

/// Why a device cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The user has no such device.
    #[error("user has no device of this id")]
    Unknown,
    /// The name is longer than the bound.
    #[error("name of the device has {found} bytes; {max} are allowed")]
    NameTooLong {
        /// Its length.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(DeviceError);

impl Accounts {
    /// The devices of the actor, in the order of their ids.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn own_devices(&self, actor: &Actor) -> Result<Vec<Device>, ReadError> {
        self.devices(&self.store().snapshot()?, actor.user).await
    }

    /// The devices of a user, in the order of their ids.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn devices(&self, snapshot: &Snapshot, user: UserNumber) -> Result<Vec<Device>, ReadError> {
        let found = snapshot.scan_prefix(&DEVICE_NUMBERS, &(user,), Order::Ascending, usize::MAX).await?;
        let numbers: Vec<DeviceNumber> = found.into_iter().map(|(_, number)| number).collect();
        let rows = snapshot.get_many(&DEVICES, &numbers).await?;
        let seen = snapshot.get_many(&DEVICE_SEEN, &numbers).await?;
        let devices = numbers.into_iter().zip(rows).zip(seen);
        Ok(devices.filter_map(|((number, row), seen)| Some(device(number, row?, seen))).collect())
    }

    /// One device of a user.
    ///
    /// # Errors
    /// [`DeviceError::Unknown`].
    pub async fn device(&self, user: UserNumber, device_id: &str) -> Result<Device, DeviceError> {
        let snapshot = self.store().snapshot()?;
        let (number, row) = find(&snapshot, user, device_id).await?.ok_or(DeviceError::Unknown)?;
        let seen = snapshot.get(&DEVICE_SEEN, &number).await?;
        Ok(device(number, row, seen))
    }

    /// Calls a device of the actor otherwise; without a name, leaves it as it is.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub async fn rename_device(
        &self,
        actor: &Actor,
        device_id: &str,
        display_name: Option<String>,
    ) -> Result<(), DeviceError> {
        let max = self.limits().device_name_bytes;
        if let Some(found) = display_name.as_ref().map(String::len).filter(|found| *found > max) {
            return Err(DeviceError::NameTooLong { found, max });
        }
        let mut attempts = Attempts::default();
        loop {
            let snapshot = self.store().snapshot()?;
            let (number, row) = find(&snapshot, actor.user, device_id).await?.ok_or(DeviceError::Unknown)?;
            let Some(display_name) = display_name.clone() else { return Ok(()) };
            let mut batch = Batch::new();
            batch.expect_unchanged(&DEVICES, &number, Some(&row));
            batch.put(&DEVICES, &number, &DeviceRow { display_name: Some(display_name), ..row });
            if attempts.commit(self.store(), batch).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Ends devices of a user with their tokens and keys. Those that are not there were ended before.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn delete_devices(
        &self,
        user: UserNumber,
        device_ids: &[OwnedDeviceId],
    ) -> Result<(), ServerFailure> {
        let snapshot = self.store().snapshot()?;
        let mut removal = Removal::default();
        for device_id in device_ids {
            if let Some((number, _)) = find(&snapshot, user, device_id.as_str()).await? {
                self.remove_device(&snapshot, (user, number, device_id.as_str()), &mut removal).await?;
            }
        }
        self.finish_removal(removal).await.map(|_| ())
    }

    /// Ends the device from which the actor asks.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn log_out(&self, actor: &Actor) -> Result<(), ServerFailure> {
        let snapshot = self.store().snapshot()?;
        let Some(number) = actor.device else { return Ok(()) };
        let Some(row) = snapshot.get(&DEVICES, &number).await? else { return Ok(()) };
        let mut removal = Removal::default();
        self.remove_device(&snapshot, (row.user, number, &row.device_id), &mut removal).await?;
        self.finish_removal(removal).await.map(|_| ())
    }

    /// Ends all devices of a user.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn log_out_everywhere(&self, user: UserNumber) -> Result<(), ServerFailure> {
        let snapshot = self.store().snapshot()?;
        let mut removal = Removal::default();
        self.remove_all_devices(&snapshot, (user, None), &mut removal).await?;
        self.finish_removal(removal).await.map(|_| ())
    }

    /// Adds to a removal all devices of a user but one.
    pub(crate) async fn remove_all_devices(
        &self,
        snapshot: &Snapshot,
        (user, except): (UserNumber, Option<DeviceNumber>),
        removal: &mut Removal,
    ) -> Result<(), ServerFailure> {
        let all = snapshot.scan_prefix(&DEVICE_NUMBERS, &(user,), Order::Ascending, usize::MAX).await?;
        for ((_, device_id), number) in all {
            if Some(number) != except {
                self.remove_device(snapshot, (user, number, &device_id), removal).await?;
            }
        }
        Ok(())
    }

    /// Adds to a removal one device.
    pub(crate) async fn remove_device(
        &self,
        snapshot: &Snapshot,
        (user, number, device_id): (UserNumber, DeviceNumber, &str),
        removal: &mut Removal,
    ) -> Result<(), ServerFailure> {
        remove_tokens(snapshot, number, removal).await?;
        removal.devices.push(number);
        let batch = &mut removal.batch;
        batch.delete(&DEVICE_NUMBERS, &(user, device_id.to_owned()));
        batch.delete(&DEVICES, &number);
        batch.delete(&DEVICE_SEEN, &number);
        let gone = DeviceGone { user, number, device_id };
        self.0.given.device_keys.remove(snapshot, gone, batch).await?;
        batch.wake(user);
        Ok(())
    }

    /// Makes a removal durable; then its tokens are unknown.
    pub(crate) async fn finish_removal(&self, removal: Removal) -> Result<Position, ServerFailure> {
        let position = self.store().commit(removal.batch).await?;
        self.0.sessions.forget(&removal.tokens);
        self.remove_late_tokens(removal.devices).await?;
        Ok(position)
    }

    /// Removes what tokens devices that are gone still have: a refresh that came between reading and removing gave them
    /// more, which may be in use. Now that the devices are gone they get no others.
    pub(crate) async fn remove_late_tokens(&self, devices: Vec<DeviceNumber>) -> Result<(), ServerFailure> {
        let (snapshot, mut late) = (self.store().snapshot()?, Removal::default());
        for device in devices {
            remove_tokens(&snapshot, device, &mut late).await?;
        }
        if !late.batch.is_empty() {
            self.store().commit(late.batch).await?;
            self.0.sessions.forget(&late.tokens);
        }
        Ok(())
    }
}

/// Devices and tokens that are about to end.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    /// What changes in the store.
    pub(crate) batch: Batch,
    /// The access tokens that end.
    pub(crate) tokens: Vec<TokenHash>,
    /// The devices that end.
    pub(crate) devices: Vec<DeviceNumber>,
}

/// Adds to a removal the tokens of a device.
pub(crate) async fn remove_tokens(
    snapshot: &Snapshot,
    device: DeviceNumber,
    removal: &mut Removal,
) -> Result<(), ReadError> {
    let tokens = snapshot.scan_prefix(&DEVICE_TOKENS, &(device,), Order::Ascending, usize::MAX).await?;
    for ((_, hash), kind) in tokens {
        removal.batch.delete(&DEVICE_TOKENS, &(device, hash));
        match kind {
            TokenKind::Refresh => removal.batch.delete(&REFRESH_TOKENS, &hash),
            _ => {
                removal.batch.delete(&ACCESS_TOKENS, &hash);
                removal.tokens.push(hash);
            }
        }
    }
    Ok(())
}

/// The device of a user that has an id.
pub(crate) async fn find(
    snapshot: &Snapshot,
    user: UserNumber,
    device_id: &str,
) -> Result<Option<(DeviceNumber, DeviceRow)>, ReadError> {
    let Some(number) = snapshot.get(&DEVICE_NUMBERS, &(user, device_id.to_owned())).await? else {
        return Ok(None);
    };
    Ok(snapshot.get(&DEVICES, &number).await?.map(|row| (number, row)))
}

fn device(number: DeviceNumber, row: DeviceRow, seen: Option<SeenRow>) -> Device {
    Device { number, device_id: row.device_id.into(), display_name: row.display_name, seen }
}
