//! Syncs that tell of rooms only.

use freehold_store::{Actor, BoxFuture, DeviceNumber, Position, Snapshot, UserNumber};
use ruma_client_api::filter::FilterDefinition;
use ruma_common::push::Ruleset;

use crate::news::{AccountData, AccountNews, Answer, DeviceNews, HeldKeys};
use crate::response::{DeviceLists, EventJson};

/// Nothing is new of accounts and devices: syncs tell of rooms only, for a server without them.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNews;

impl AccountNews for NoNews {
    fn filter<'a>(&'a self, _: &'a Actor, _: &'a str) -> Answer<'a, Option<FilterDefinition>> {
        Box::pin(async { Ok(None) })
    }

    fn account_data<'a>(
        &'a self,
        _: &'a Snapshot,
        _: UserNumber,
        _: Option<Position>,
    ) -> Answer<'a, Vec<AccountData>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn ruleset<'a>(&'a self, _: &'a Snapshot, _: UserNumber) -> Answer<'a, Ruleset> {
        Box::pin(async { Ok(Ruleset::new()) })
    }
}

impl DeviceNews for NoNews {
    fn to_device<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        _: DeviceNumber,
        _: Position,
        _: usize,
    ) -> Answer<'a, (Vec<EventJson>, Position)> {
        Box::pin(async { Ok((Vec::new(), snapshot.position())) })
    }

    fn received(&self, _: DeviceNumber, _: Position) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn held_keys<'a>(&'a self, _: &'a Snapshot, _: DeviceNumber) -> Answer<'a, HeldKeys> {
        Box::pin(async { Ok(HeldKeys::default()) })
    }

    fn device_lists<'a>(&'a self, _: &'a Snapshot, _: &'a Actor, _: Position) -> Answer<'a, DeviceLists> {
        Box::pin(async { Ok(DeviceLists::default()) })
    }
}
