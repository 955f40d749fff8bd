//! [`POST /keys/upload`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload).

use std::collections::BTreeMap;

use axum::extract::State;
use freehold_encryption::{Encryption, KeyOfDevice, KeysUpload};
use ruma_client_api::keys::upload_keys::v3::{Request, Response};
use ruma_common::encryption::OneTimeKey;
use ruma_common::serde::Raw;
use ruma_common::{OneTimeKeyAlgorithm, OwnedOneTimeKeyId};

use super::{small, text};
use crate::authenticated::{Authenticated, EvenSuspended};
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Publishes keys of the device that asks.
pub(crate) async fn upload_keys(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let upload = KeysUpload {
        device_keys: request.device_keys.as_ref().map(text),
        one_time_keys: keys(&request.one_time_keys),
        fallback_keys: keys(&request.fallback_keys),
    };
    let counts = encryption.upload_keys(&actor, &upload).await?;
    let counts = counts
        .into_iter()
        .map(|(algorithm, count)| (OneTimeKeyAlgorithm::from(algorithm), small(count).into()));
    Ok(Reply(Response::new(counts.collect())))
}

fn keys(keys: &BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>) -> Vec<KeyOfDevice> {
    let key = |(id, key): (&OwnedOneTimeKeyId, &Raw<OneTimeKey>)| KeyOfDevice {
        algorithm: id.algorithm().to_string(),
        key_id: id.key_name().to_string(),
        key: text(key),
    };
    keys.iter().map(key).collect()
}
