//! [`PUT /send/{txnId}`](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid): events, and what
//! is not kept in rooms.

mod device_lists;
mod edus;
mod pdus;
mod presence;
mod receipts;
mod recent;
mod to_device;
mod transactions;
mod typing;

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use ruma_common::OwnedEventId;
use ruma_common::api::error::ErrorCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::asker::Asker;
use crate::endpoints::Endpoints;
use crate::error::ApiError;
use crate::input::{Path, from_json};
use crate::limits::{EDUS_MAX, PDUS_MAX, TRANSACTION_ID_BYTES_MAX, TRANSACTION_TIME_MAX};
use crate::services::Services;

pub use transactions::{NotForgotten, RememberedCursor, Transactions};

pub use pdus::NOT_ALLOWED;

/// The endpoints of this area.
pub(crate) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.put("/_matrix/federation/v1/send/{transaction_id}", send)
}

/// What a server sends.
#[derive(Deserialize)]
struct Transaction<'t> {
    #[serde(borrow, default)]
    pdus: Vec<&'t RawValue>,
    #[serde(borrow, default)]
    edus: Vec<&'t RawValue>,
}

/// What is answered.
#[derive(Serialize)]
struct Answer {
    pdus: BTreeMap<OwnedEventId, Outcome>,
}

/// What came of an event.
#[derive(Default, Serialize)]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Takes a transaction, once. One at a time of each server: a repetition waits for the first and is answered the same.
async fn send(
    State(services): State<Services>,
    asker: Asker,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<impl IntoResponse, ApiError> {
    if id.len() > TRANSACTION_ID_BYTES_MAX {
        return Err(ApiError::invalid("the transaction id is too long"));
    }
    let place = services.transactions.begin(&asker).await;
    let known = services.transactions.answer(&asker, &id).await?;
    let answer = match known {
        Some(answer) => answer,
        None => {
            let working = timeout(TRANSACTION_TIME_MAX, take(&services, &asker, &body));
            let (answer, done) = working.await.map_err(|_| too_slow())??;
            match done {
                // What did nothing does nothing when it comes again.
                Done::Nothing => {}
                Done::Events => services.transactions.note(&asker, (&id, &answer)).await?,
                Done::Something => services.transactions.remember(&asker, (&id, &answer)).await?,
            }
            answer
        }
    };
    drop(place);
    Ok(([(axum::http::header::CONTENT_TYPE, "application/json")], answer))
}

/// Whether something was done about a transaction but to look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// There was nothing in it, or nothing came of it: events that were known and had been accepted, or of rooms that the
    /// tenant is not in. Servers may go on sending those for years.
    Nothing,
    /// There were events in it and nothing else. They are durable, and known when they come again.
    Events,
    /// There was more, which would be done again.
    Something,
}

async fn take(services: &Services, asker: &Asker, body: &[u8]) -> Result<(String, Done), ApiError> {
    let transaction: Transaction<'_> = from_json(body)?;
    let too_many = |what, count: usize, most| {
        Err(ApiError::invalid(format!("{count} {what} in one transaction; {most} are taken")))
    };
    match (transaction.pdus.len(), transaction.edus.len()) {
        (pdus, _) if pdus > PDUS_MAX => return too_many("PDUs", pdus, PDUS_MAX),
        (_, edus) if edus > EDUS_MAX => return too_many("EDUs", edus, EDUS_MAX),
        _ => {}
    }
    edus::take(services, asker, &transaction.edus, edus::When::BeforeEvents).await?;
    let (pdus, looked) = pdus::take(services, asker, &transaction.pdus).await?;
    edus::take(services, asker, &transaction.edus, edus::When::AfterEvents).await?;
    let done = match (looked, transaction.edus.is_empty()) {
        (pdus::Looked::Idly, true) => Done::Nothing,
        (pdus::Looked::Closely, true) => Done::Events,
        (_, false) => Done::Something,
    };
    Ok((serde_json::to_string(&Answer { pdus }).map_err(ApiError::internal)?, done))
}

/// What was done stays done; the rest is done when the transaction comes again.
fn too_slow() -> ApiError {
    let message = "the transaction takes too long; send it again";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unknown, message)
}
