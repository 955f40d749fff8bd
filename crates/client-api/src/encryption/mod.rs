//! End-to-end encryption: keys, to-device messages, backups.

mod backup_keys;
mod backup_versions;
mod claim_keys;
mod cross_signing;
mod errors;
mod key_changes;
mod query_keys;
mod send_to_device;
mod upload_keys;

use std::collections::{BTreeMap, BTreeSet};

use ruma_common::OwnedServerName;
use ruma_common::serde::Raw;
use serde_json::{Value, json};

use crate::endpoints::Endpoints;
use crate::error::ApiError;

/// The endpoints of this area.
pub(crate) fn routes() -> Endpoints {
    Endpoints::default()
        .route(upload_keys::upload_keys)
        .route(query_keys::query_keys)
        .route(claim_keys::claim_keys)
        .route(key_changes::key_changes)
        .route(cross_signing::upload_cross_signing_keys)
        .route(cross_signing::upload_signatures)
        .route(send_to_device::send_to_device)
        .merge(backup_versions::routes())
        .merge(backup_keys::routes())
}

/// A document that was kept as text.
fn raw<T>(text: String) -> Result<Raw<T>, ApiError> {
    Raw::from_json_string(text).map_err(ApiError::internal)
}

/// The text of a document, as it came.
fn text<T>(raw: &Raw<T>) -> String {
    raw.json().get().to_owned()
}

/// Servers that gave no answer, as `failures`.
fn failures(servers: BTreeSet<OwnedServerName>) -> BTreeMap<String, Value> {
    let unreachable = || json!({ "errcode": "M_UNKNOWN", "error": "Server could not be reached" });
    servers.into_iter().map(|server| (server.to_string(), unreachable())).collect()
}

/// A count as ruma takes it; bounds keep all of them far below.
fn small(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
