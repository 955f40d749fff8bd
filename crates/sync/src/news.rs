//! What sync asks of other services: the user's own data and the device's messages and keys.

use std::collections::BTreeMap;
use std::error::Error;

use freehold_store::{Actor, BoxFuture, DeviceNumber, Position, RoomNumber, Snapshot, UserNumber};
use ruma_client_api::filter::FilterDefinition;
use ruma_common::push::Ruleset;

use crate::response::{DeviceLists, EventJson};

/// What a future of these traits gives.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, NewsError>>;

/// A service could not say what is new.
#[derive(Debug, thiserror::Error)]
#[error("another service failed")]
pub struct NewsError(#[source] pub Box<dyn Error + Send + Sync>);

/// The user's own data.
pub trait AccountNews: Send + Sync + 'static {
    /// A filter that the user stored.
    fn filter<'a>(&'a self, actor: &'a Actor, filter_id: &'a str) -> Answer<'a, Option<FilterDefinition>>;

    /// The account data that changed after `since`, tags and push rules included; without `since`, all.
    fn account_data<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
        since: Option<Position>,
    ) -> Answer<'a, Vec<AccountData>>;

    /// The user's push rules.
    fn ruleset<'a>(&'a self, snapshot: &'a Snapshot, user: UserNumber) -> Answer<'a, Ruleset>;
}

/// The device's messages and keys, and the devices of others.
pub trait DeviceNews: Send + Sync + 'static {
    /// Up to `limit` messages for a device that were sent after `since`, and the position of the last of them, or the
    /// position of the snapshot if there are no more.
    fn to_device<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        device: DeviceNumber,
        since: Position,
        limit: usize,
    ) -> Answer<'a, (Vec<EventJson>, Position)>;

    /// The device has received its messages up to a position: they are forgotten.
    fn received(&self, device: DeviceNumber, up_to: Position) -> BoxFuture<'_, ()>;

    /// The keys of a device that the server holds.
    fn held_keys<'a>(&'a self, snapshot: &'a Snapshot, device: DeviceNumber) -> Answer<'a, HeldKeys>;

    /// Whose devices changed for a user after `since`.
    fn device_lists<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        actor: &'a Actor,
        since: Position,
    ) -> Answer<'a, DeviceLists>;
}

/// A piece of account data.
#[derive(Clone, Debug)]
pub struct AccountData {
    /// The room it is about; none if it is about the whole account.
    pub room: Option<RoomNumber>,
    /// Its event type.
    pub event_type: String,
    /// The event.
    pub event: EventJson,
    /// When it was last changed.
    pub changed: Position,
}

/// The keys of a device that the server holds for others to claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldKeys {
    /// One-time keys by algorithm.
    pub one_time: BTreeMap<String, u64>,
    /// Algorithms with a fallback key that was not used.
    pub unused_fallback: Vec<String>,
}
