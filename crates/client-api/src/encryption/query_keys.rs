//! [`POST /keys/query`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery).

use std::collections::BTreeMap;

use axum::extract::State;
use freehold_encryption::{Encryption, Patience};
use ruma_client_api::keys::get_keys::v3::{Request, Response};
use ruma_common::serde::Raw;

use super::{failures, raw};
use crate::authenticated::{Authenticated, EvenSuspended};
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Answers with the keys of users.
pub(crate) async fn query_keys(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let found = encryption.query_keys(&actor, &request.device_keys, Patience::asked(request.timeout)).await?;
    let mut response = Response::new();
    response.failures = failures(found.failures);
    for (user_id, devices) in found.device_keys {
        response.device_keys.insert(user_id, raws(devices)?);
    }
    response.master_keys = raws(found.master_keys)?;
    response.self_signing_keys = raws(found.self_signing_keys)?;
    response.user_signing_keys = raws(found.user_signing_keys)?;
    Ok(Reply(response))
}

fn raws<K: Ord, T>(texts: BTreeMap<K, String>) -> Result<BTreeMap<K, Raw<T>>, ApiError> {
    texts.into_iter().map(|(key, text)| Ok((key, raw(text)?))).collect()
}
