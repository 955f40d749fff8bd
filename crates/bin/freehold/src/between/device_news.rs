//! The messages and keys of devices, as sync asks for them.

use freehold_encryption::{Encryption, Failure, ToDeviceMessage};
use freehold_store::{Actor, BoxFuture, DeviceNumber, Position, Snapshot};
use freehold_sync::response::{DeviceLists, EventJson};
use freehold_sync::{Answer, DeviceNews, HeldKeys, NewsError};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// What encryption keeps for devices.
pub(crate) struct NewsOfDevices(pub(crate) Encryption);

impl DeviceNews for NewsOfDevices {
    fn to_device<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        device: DeviceNumber,
        since: Position,
        limit: usize,
    ) -> Answer<'a, (Vec<EventJson>, Position)> {
        Box::pin(async move {
            let page = self.0.to_device_since(snapshot, device, since, limit).await.map_err(failed)?;
            Ok((page.messages.iter().filter_map(event).collect(), page.up_to))
        })
    }

    fn received(&self, device: DeviceNumber, up_to: Position) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = self.0.acknowledge_to_device(device, up_to).await {
                // They are forgotten with the next sync.
                tracing::warn!(%error, "received messages were not forgotten");
            }
        })
    }

    fn held_keys<'a>(&'a self, snapshot: &'a Snapshot, device: DeviceNumber) -> Answer<'a, HeldKeys> {
        Box::pin(async move {
            Ok(HeldKeys {
                one_time: self.0.one_time_key_counts(snapshot, device).await.map_err(failed)?,
                unused_fallback: self.0.unused_fallback_types(snapshot, device).await.map_err(failed)?,
            })
        })
    }

    fn device_lists<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        actor: &'a Actor,
        since: Position,
    ) -> Answer<'a, DeviceLists> {
        Box::pin(async move {
            let changes = self.0.device_list_changes(snapshot, actor, since).await.map_err(failed)?;
            Ok(DeviceLists { changed: changes.changed, left: changes.left })
        })
    }
}

fn event(message: &ToDeviceMessage) -> Option<EventJson> {
    #[derive(Serialize)]
    struct Event<'a> {
        content: &'a RawValue,
        sender: &'a str,
        r#type: &'a str,
    }
    let content: &RawValue = serde_json::from_str(&message.content).ok()?;
    to_raw_value(&Event { content, sender: message.sender.as_str(), r#type: &message.event_type }).ok()
}

fn failed(failure: Failure) -> NewsError {
    NewsError(Box::new(failure))
}
