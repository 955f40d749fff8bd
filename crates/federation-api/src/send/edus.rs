//! [EDUs](https://spec.matrix.org/v1.19/server-server-api/#edus): each by itself. What is wrong with one is its sender's
//! loss; only when it cannot be kept here is the transaction refused, and comes again.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{device_lists, presence, receipts, to_device, typing};
use crate::asker::Asker;
use crate::error::ApiError;
use crate::limits::EDU_BYTES_MAX;
use crate::services::Services;

#[derive(Deserialize)]
struct Edu<'e> {
    edu_type: String,
    #[serde(borrow)]
    content: &'e RawValue,
}

/// Why nothing came of an EDU.
pub(super) enum Lost {
    /// It is wrong, or about nothing that concerns the tenant.
    Ignored(String),
    /// It cannot be kept; a fault here.
    Failed(ApiError),
}

impl Lost {
    pub(super) fn ignored(why: impl std::fmt::Display) -> Self {
        Lost::Ignored(why.to_string())
    }

    pub(super) fn failed(error: impl std::error::Error) -> Self {
        Lost::Failed(ApiError::internal(error))
    }
}

/// When EDUs are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Before the events of the transaction: keys come before what is encrypted with them.
    BeforeEvents,
    /// After them, because they speak of events.
    AfterEvents,
}

impl When {
    fn of(edu_type: &str) -> Self {
        if edu_type == "m.receipt" { When::AfterEvents } else { When::BeforeEvents }
    }
}

/// Takes those EDUs whose time it is, in order.
pub(super) async fn take(
    services: &Services,
    asker: &Asker,
    edus: &[&RawValue],
    when: When,
) -> Result<(), ApiError> {
    for edu in edus {
        match take_one(services, asker, edu, when).await {
            Ok(()) => {}
            Err(Lost::Ignored(why)) => tracing::debug!(why, "an EDU is ignored"),
            Err(Lost::Failed(error)) => return Err(error),
        }
    }
    Ok(())
}

async fn take_one(services: &Services, asker: &Asker, edu: &RawValue, when: When) -> Result<(), Lost> {
    if edu.get().len() > EDU_BYTES_MAX {
        return Err(Lost::ignored(format!("{} bytes", edu.get().len())));
    }
    let Edu { edu_type, content } = content_of(edu)?;
    if When::of(&edu_type) != when {
        return Ok(());
    }
    match edu_type.as_str() {
        "m.typing" => typing::take(services, asker, content_of(content)?).await,
        "m.receipt" => receipts::take(services, asker, content_of(content)?).await,
        "m.direct_to_device" => to_device::take(services, asker, content_of(content)?).await,
        "m.device_list_update" => device_lists::take_update(services, asker, content).await,
        "m.signing_key_update" => device_lists::take_keys(services, asker, content).await,
        "m.presence" => presence::take(services, asker, content_of(content)?).await,
        other => Err(Lost::ignored(format!("no such type: {other}"))),
    }
}

/// JSON of some shape.
pub(super) fn content_of<'e, T: Deserialize<'e>>(json: &'e RawValue) -> Result<T, Lost> {
    serde_json::from_str(json.get()).map_err(Lost::ignored)
}

/// Whether the room lets the server speak. Who may not speak may not be heard to type or to read, either
/// (<https://spec.matrix.org/v1.19/server-server-api/#server-access-control-lists-acls>).
pub(super) async fn check_admitted(
    services: &Services,
    asker: &Asker,
    room_id: &ruma_common::RoomId,
) -> Result<(), Lost> {
    match services.rooms.admits(room_id, &asker.origin).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Lost::ignored("the room does not let the server speak")),
        Err(error) => Err(Lost::failed(error)),
    }
}
