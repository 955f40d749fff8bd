//! [Device lists](https://spec.matrix.org/v1.19/server-server-api/#device-management).

use serde_json::value::RawValue;

use super::edus::Lost;
use crate::asker::Asker;
use crate::services::Services;

/// A device of a user of the server changed.
pub(super) async fn take_update(services: &Services, asker: &Asker, content: &RawValue) -> Result<(), Lost> {
    let heard =
        services.encryption.hear_device_list_update(&asker.tenant, &asker.origin, content.get()).await;
    heard.map_err(from_not_heard)
}

/// The cross-signing keys of a user of the server changed.
pub(super) async fn take_keys(services: &Services, asker: &Asker, content: &RawValue) -> Result<(), Lost> {
    let heard =
        services.encryption.hear_signing_key_update(&asker.tenant, &asker.origin, content.get()).await;
    heard.map_err(from_not_heard)
}

fn from_not_heard(error: freehold_encryption::UpdateRefused) -> Lost {
    match error {
        freehold_encryption::UpdateRefused::Failure(failure) => Lost::failed(failure),
        error => Lost::ignored(error),
    }
}
