//! What is asked about the devices of users of tenants.

use std::error::Error;

use freehold_store::{BoxFuture, Snapshot, UserNumber};

/// The content of a data unit as JSON, if there is anything to tell.
pub type DeviceNews = Result<Option<String>, Box<dyn Error + Send + Sync>>;

/// What other servers are told of the devices of users of tenants.
pub trait OwnDevices: Send + Sync {
    /// The content of `m.device_list_update` that tells of the last change of a user's device list
    /// (<https://spec.matrix.org/v1.19/server-server-api/#mdevice_list_update-schema>).
    fn device_list_update<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
    ) -> BoxFuture<'a, DeviceNews>;

    /// The content of `m.signing_key_update` with a user's cross-signing keys
    /// (<https://spec.matrix.org/v1.19/server-server-api/#msigning_key_update-schema>).
    fn signing_key_update<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
    ) -> BoxFuture<'a, DeviceNews>;
}

/// Nobody has devices.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDevices;

impl OwnDevices for NoDevices {
    fn device_list_update<'a>(&'a self, _: &'a Snapshot, _: UserNumber) -> BoxFuture<'a, DeviceNews> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn signing_key_update<'a>(&'a self, _: &'a Snapshot, _: UserNumber) -> BoxFuture<'a, DeviceNews> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
