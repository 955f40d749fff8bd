//! What other servers are told of the devices of users of tenants.

use freehold_encryption::Encryption;
use freehold_federation::{DeviceNews, OwnDevices};
use freehold_store::{BoxFuture, Snapshot, UserNumber};

/// The devices of users of tenants, for who tells other servers of them.
pub(crate) struct DevicesOfTenants(pub(crate) Encryption);

impl OwnDevices for DevicesOfTenants {
    fn device_list_update<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
    ) -> BoxFuture<'a, DeviceNews> {
        Box::pin(async move { Ok(self.0.device_list_update(snapshot, user).await?) })
    }

    fn signing_key_update<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
    ) -> BoxFuture<'a, DeviceNews> {
        Box::pin(async move { Ok(self.0.signing_key_update(snapshot, user).await?) })
    }
}
