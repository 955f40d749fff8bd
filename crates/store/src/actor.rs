//! Who asks: a user of a tenant, with the device the request came from.

use ruma_common::OwnedUserId;

use crate::number::{DeviceNumber, UserNumber};
use crate::tenant::Tenant;

/// A user of a tenant who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The tenant whose user acts.
    pub tenant: Tenant,
    /// The user.
    pub user_id: OwnedUserId,
    /// The user's number.
    pub user: UserNumber,
    /// The device from which the request came, if it came from one.
    pub device: Option<DeviceNumber>,
}
