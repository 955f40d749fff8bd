//! [To-device messages](https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging).

use std::collections::BTreeMap;

use freehold_encryption::{ReceivedToDevice, SendToDeviceError, ToDeviceRefused};
use ruma_common::OwnedUserId;
use ruma_common::to_device::DeviceIdOrAllDevices;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::edus::Lost;
use crate::asker::Asker;
use crate::services::Services;

#[derive(Deserialize)]
pub(super) struct ToDevice {
    sender: OwnedUserId,
    #[serde(rename = "type")]
    event_type: String,
    message_id: String,
    messages: BTreeMap<OwnedUserId, BTreeMap<DeviceIdOrAllDevices, Box<RawValue>>>,
}

/// Messages from a user of the server to devices of the tenant. They are kept before the transaction is answered.
pub(super) async fn take(services: &Services, asker: &Asker, sent: ToDevice) -> Result<(), Lost> {
    let text = |content: Box<RawValue>| String::from(Box::<str>::from(content));
    let of_user = |(user_id, devices): (OwnedUserId, BTreeMap<_, _>)| {
        let devices = devices.into_iter().map(|(device, content)| (device, text(content))).collect();
        (user_id, devices)
    };
    let received = ReceivedToDevice {
        origin: asker.origin.clone(),
        sender: sent.sender,
        event_type: sent.event_type,
        message_id: sent.message_id,
        messages: sent.messages.into_iter().map(of_user).collect(),
    };
    let taken = services.encryption.receive_to_device(&asker.tenant, &received).await;
    taken.map_err(|error| match error {
        ToDeviceRefused::Messages(SendToDeviceError::Failure(failure)) => Lost::failed(failure),
        error => Lost::ignored(error),
    })
}
