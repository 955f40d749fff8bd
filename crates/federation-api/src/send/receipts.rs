//! [Receipts](https://spec.matrix.org/v1.19/server-server-api/#receipts).

use std::collections::BTreeMap;

use freehold_sync::ToldReceipt;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::edus::{Lost, check_admitted, content_of};
use crate::asker::Asker;
use crate::limits::RECEIPTS_MAX;
use crate::services::Services;

/// By room, kind and user.
pub(super) type Receipts = BTreeMap<OwnedRoomId, BTreeMap<String, BTreeMap<String, Box<RawValue>>>>;

#[derive(Deserialize)]
struct Receipt {
    event_ids: Vec<OwnedEventId>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    ts: i64,
    thread_id: Option<String>,
}

/// Users of the server read. Receipts of others are forged; those of private kinds have no business here.
pub(super) async fn take(services: &Services, asker: &Asker, receipts: Receipts) -> Result<(), Lost> {
    let mut taken: usize = 0;
    for (room_id, kinds) in receipts {
        let Some(users) = kinds.get("m.read") else { continue };
        if let Err(lost) = check_admitted(services, asker, &room_id).await {
            pass(lost)?;
            continue;
        }
        for (user_id, receipt) in users {
            taken += 1;
            if taken > RECEIPTS_MAX {
                return Err(Lost::ignored("too many receipts"));
            }
            if let Err(lost) = take_one(services, asker, (&room_id, user_id, receipt)).await {
                pass(lost)?;
            }
        }
    }
    Ok(())
}

/// One that is ignored does not keep the others from being heard.
fn pass(lost: Lost) -> Result<(), Lost> {
    match lost {
        Lost::Ignored(why) => {
            tracing::debug!(why, "a receipt is ignored");
            Ok(())
        }
        failed @ Lost::Failed(_) => Err(failed),
    }
}

async fn take_one(
    services: &Services,
    asker: &Asker,
    (room_id, user_id, receipt): (&OwnedRoomId, &str, &RawValue),
) -> Result<(), Lost> {
    let user_id = OwnedUserId::try_from(user_id).map_err(Lost::ignored)?;
    if user_id.server_name() != asker.origin {
        return Err(Lost::ignored("the user is none of the server's"));
    }
    let Receipt { event_ids, data } = content_of(receipt)?;
    let event_id = event_ids.into_iter().next().ok_or_else(|| Lost::ignored("a receipt without an event"))?;
    let told = ToldReceipt { event_id, thread: data.thread_id, ts: data.ts };
    Ok(services.sync.hear_receipt(&asker.tenant, (&user_id, room_id), &told).await?)
}
