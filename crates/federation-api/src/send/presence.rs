//! [Presence](https://spec.matrix.org/v1.19/server-server-api/#presence).

use freehold_sync::{PresenceState, Shown, ToldPresence};
use ruma_common::OwnedUserId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::edus::{Lost, content_of};
use crate::asker::Asker;
use crate::limits::PRESENCES_MAX;
use crate::services::Services;

#[derive(Deserialize)]
pub(super) struct Presence<'e> {
    #[serde(borrow)]
    push: Vec<&'e RawValue>,
}

#[derive(Deserialize)]
struct Update {
    user_id: OwnedUserId,
    presence: PresenceState,
    status_msg: Option<String>,
    #[serde(default)]
    last_active_ago: i64,
}

/// Users of the server came or went. What is wrong with one of them is no reason not to hear of the others.
pub(super) async fn take(services: &Services, asker: &Asker, presence: Presence<'_>) -> Result<(), Lost> {
    for update in presence.push.into_iter().take(PRESENCES_MAX) {
        let Ok(Update { user_id, presence, status_msg, last_active_ago }) = content_of(update) else {
            continue;
        };
        let shown = Shown { state: presence, status_msg };
        let told = ToldPresence { shown, last_active_ago_ms: last_active_ago };
        let heard = services.sync.hear_presence(&asker.tenant, (&asker.origin, &user_id), told).await;
        heard.map_err(Lost::failed)?;
    }
    Ok(())
}
