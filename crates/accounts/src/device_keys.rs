//! What belongs to a device and is kept elsewhere.

use freehold_store::{Batch, BoxFuture, DeviceNumber, Snapshot, UserNumber};

use crate::deactivate::Erase;
use crate::failure::ServerFailure;

/// Keeps the keys and messages of devices, and the cross-signing keys of users.
pub trait DeviceKeys: Send + Sync {
    /// Whether a cross-signing key of the user has this id: no device can have it then
    /// (<https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login>).
    fn is_cross_signing_key<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
        id: &'a str,
    ) -> BoxFuture<'a, Result<bool, ServerFailure>>;

    /// Adds to `batch` that a device ceases to be: removes its keys and messages, and tells who shares rooms with its
    /// user.
    fn remove<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        device: DeviceGone<'a>,
        batch: &'a mut Batch,
    ) -> BoxFuture<'a, Result<(), ServerFailure>>;

    /// Removes the key backups of a user whose account was given up; with erasure also the keys by which others know the
    /// user. To do it again changes nothing. Who keeps no such things has nothing to do.
    fn forget_user(&self, _: UserNumber, _: Erase) -> BoxFuture<'_, Result<(), ServerFailure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A device that ceases to be.
#[derive(Clone, Copy, Debug)]
pub struct DeviceGone<'a> {
    /// Whose device.
    pub user: UserNumber,
    /// Its number.
    pub number: DeviceNumber,
    /// Its id.
    pub device_id: &'a str,
}

/// Devices have nothing elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDeviceKeys;

impl DeviceKeys for NoDeviceKeys {
    fn is_cross_signing_key<'a>(
        &'a self,
        _: &'a Snapshot,
        _: UserNumber,
        _: &'a str,
    ) -> BoxFuture<'a, Result<bool, ServerFailure>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn remove<'a>(
        &'a self,
        _: &'a Snapshot,
        _: DeviceGone<'a>,
        _: &'a mut Batch,
    ) -> BoxFuture<'a, Result<(), ServerFailure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
