//! What belongs to a device and is kept by encryption, as accounts ask for it.

use freehold_accounts::{DeviceGone, DeviceKeys, Erase, ServerFailure};
use freehold_encryption::{Encryption, Identity};
use freehold_store::{Batch, BoxFuture, Snapshot, UserNumber};

/// The keys and messages of devices, for accounts.
pub(crate) struct KeysOfDevices(pub(crate) Encryption);

impl DeviceKeys for KeysOfDevices {
    fn is_cross_signing_key<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
        id: &'a str,
    ) -> BoxFuture<'a, Result<bool, ServerFailure>> {
        Box::pin(async move { Ok(self.0.is_cross_signing_key(snapshot, user, id).await?) })
    }

    fn remove<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        device: DeviceGone<'a>,
        batch: &'a mut Batch,
    ) -> BoxFuture<'a, Result<(), ServerFailure>> {
        Box::pin(async move {
            let DeviceGone { user, number, device_id } = device;
            Ok(self.0.device_gone(snapshot, user, (number, device_id), batch).await?)
        })
    }

    fn forget_user(&self, user: UserNumber, erase: Erase) -> BoxFuture<'_, Result<(), ServerFailure>> {
        let identity = if erase == Erase::Yes { Identity::Erased } else { Identity::Kept };
        Box::pin(async move {
            let done = self.0.user_gone(user, identity).await;
            done.map_err(|error| ServerFailure::DeviceKeys(error.to_string()))
        })
    }
}
