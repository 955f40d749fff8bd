//! What this crate asks of others.

use freehold_store::{Batch, BoxFuture, DeviceNumber, ReadError, Snapshot, Tenant, UserNumber};
use ruma_common::{DeviceId, OwnedDeviceId, ServerName};

/// A device of a user of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number; another device of the same id has another number.
    pub number: DeviceNumber,
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// The name that its user gave it.
    pub display_name: Option<String>,
}

/// The devices of the users of all tenants.
pub trait Devices: Send + Sync {
    /// All devices of a user; none of a user whom no tenant has.
    fn devices<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
    ) -> BoxFuture<'a, Result<Vec<Device>, ReadError>>;

    /// One device of a user.
    fn device<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
        device_id: &'a DeviceId,
    ) -> BoxFuture<'a, Result<Option<Device>, ReadError>>;

    /// Adds the condition that the device is still there.
    fn require(&self, batch: &mut Batch, user: UserNumber, device: &Device);
}

/// Which servers a tenant reaches.
pub trait Servers: Send + Sync {
    /// The tenant of this process that answers for `server_name` when `asker` asks it; `None` for servers elsewhere, for those
    /// that do not answer now, and for those with which one of the two refuses to speak.
    fn reach(&self, asker: &Tenant, server_name: &ServerName) -> Option<Tenant>;
}
