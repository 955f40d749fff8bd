//! One transaction: what goes in it, and what it looks like.

use freehold_rooms::Reader;
use freehold_store::tables::encryption::DEVICE_KEYS;
use freehold_store::tables::identity::USER_IDS;
use freehold_store::tables::outbound::{OUTGOING_DEVICE_LISTS, OUTGOING_MESSAGES};
use freehold_store::{
    Batch, EventNumber, Order, Position, ReadError, Snapshot, Tenant, TenantNumber, UserNumber,
};
use hyper::body::Bytes;
use ruma_common::OwnedServerName;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::limits::{TRANSACTION_EDUS_MAX, TRANSACTION_EVENTS_MAX};

/// What goes to a server at once.
#[derive(Default)]
pub(super) struct Parcel {
    pub(super) events: Vec<EventNumber>,
    edus: Vec<Value>,
    messages: Vec<(TenantNumber, OwnedServerName, Position, u16)>,
    device_lists: Vec<((TenantNumber, OwnedServerName, UserNumber), Position)>,
}

/// A transaction (<https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid>).
#[derive(Serialize)]
struct Transaction<'a> {
    origin: &'a str,
    origin_server_ts: i64,
    pdus: Vec<Box<RawValue>>,
    edus: &'a [Value],
}

impl Parcel {
    /// Adds messages to devices and device lists, which go first.
    pub(super) async fn add_messages(
        &mut self,
        snapshot: &Snapshot,
        (tenant, server): (TenantNumber, &OwnedServerName),
    ) -> Result<(), ReadError> {
        let prefix = (tenant, server.clone());
        let rows =
            snapshot.scan_prefix(&OUTGOING_MESSAGES, &prefix, Order::Ascending, TRANSACTION_EDUS_MAX).await?;
        for (key, row) in rows {
            let content = serde_json::from_str(&row.content).unwrap_or(Value::Null);
            self.edus.push(json!({ "edu_type": row.edu_type, "content": content }));
            self.messages.push(key);
        }
        let room = TRANSACTION_EDUS_MAX.saturating_sub(self.edus.len());
        let changed = snapshot.scan_prefix(&OUTGOING_DEVICE_LISTS, &prefix, Order::Ascending, room).await?;
        for (key, position) in changed {
            if let Some(edu) = device_list_update(snapshot, key.2, position).await? {
                self.edus.push(edu);
            }
            self.device_lists.push((key, position));
        }
        Ok(())
    }

    /// How many more data units fit.
    pub(super) fn edus_left(&self) -> usize {
        TRANSACTION_EDUS_MAX.saturating_sub(self.edus.len())
    }

    /// Adds typing and receipts.
    pub(super) fn add_ephemeral(&mut self, edus: Vec<Value>) {
        self.edus.extend(edus);
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.edus.is_empty() && self.device_lists.is_empty()
    }

    /// Whether all rows that wait for the server may be in it.
    pub(super) fn has_all_messages(&self) -> bool {
        self.edus_left() > 0
    }

    /// The body. An event that cannot be read is left out, and complained about.
    pub(super) async fn body(
        &self,
        reader: &Reader,
        tenant: &Tenant,
        now_ts: i64,
    ) -> serde_json::Result<Bytes> {
        let mut pdus = Vec::with_capacity(self.events.len().min(TRANSACTION_EVENTS_MAX));
        for number in &self.events {
            match reader.event(*number).await {
                Ok(event) => pdus.push(RawValue::from_string(event.pdu.canonical_json().to_owned())?),
                Err(error) => tracing::error!(event = number.0, %error, "an event cannot be sent"),
            }
        }
        let transaction = Transaction {
            origin: tenant.server_name().as_str(),
            origin_server_ts: now_ts,
            pdus,
            edus: &self.edus,
        };
        Ok(serde_json::to_vec(&transaction)?.into())
    }

    /// Removes what waited for it. A device list that changed again meanwhile still waits.
    pub(super) async fn forget(&self, snapshot: &Snapshot, batch: &mut Batch) -> Result<(), ReadError> {
        for key in &self.messages {
            batch.delete(&OUTGOING_MESSAGES, key);
        }
        for (key, position) in &self.device_lists {
            if snapshot.get(&OUTGOING_DEVICE_LISTS, key).await? == Some(*position) {
                batch.expect_unchanged(&OUTGOING_DEVICE_LISTS, key, Some(position));
                batch.delete(&OUTGOING_DEVICE_LISTS, key);
            }
        }
        Ok(())
    }
}

/// Says that a user's devices changed
/// (<https://spec.matrix.org/v1.19/server-server-api/#mdevice_list_update-schema>).
///
/// It names no earlier update, as what was told to whom is not kept: the other server asks for the whole list, which is
/// also how it learns of cross-signing keys.
async fn device_list_update(
    snapshot: &Snapshot,
    user: UserNumber,
    position: Position,
) -> Result<Option<Value>, ReadError> {
    let Some(user_id) = snapshot.get(&USER_IDS, &user).await? else { return Ok(None) };
    let device = snapshot.scan_prefix(&DEVICE_KEYS, &(user,), Order::Ascending, 1).await?.pop();
    let content = match device {
        Some(((_, device_id), _)) => json!({
            "user_id": user_id, "device_id": device_id, "stream_id": position.0, "prev_id": [],
        }),
        None => json!({
            "user_id": user_id, "device_id": "", "stream_id": position.0, "prev_id": [], "deleted": true,
        }),
    };
    Ok(Some(json!({ "edu_type": "m.device_list_update", "content": content })))
}
