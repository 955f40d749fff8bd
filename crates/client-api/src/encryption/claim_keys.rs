//! [`POST /keys/claim`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim).

use std::collections::BTreeMap;

use axum::extract::State;
use freehold_encryption::{Encryption, Patience, WantedKeys};
use ruma_client_api::keys::claim_keys::v3::{Request, Response};
use ruma_common::OwnedOneTimeKeyId;

use super::{failures, raw};
use crate::authenticated::{Authenticated, EvenSuspended};
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Claims one key of each wanted device.
pub(crate) async fn claim_keys(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let wanted: WantedKeys = request
        .one_time_keys
        .into_iter()
        .map(|(user_id, devices)| {
            let devices = devices.into_iter().map(|(device, algorithm)| (device, algorithm.to_string()));
            (user_id, devices.collect())
        })
        .collect();
    let claimed = encryption.claim_keys(&actor, &wanted, Patience::asked(request.timeout)).await?;
    let mut response = Response::new(BTreeMap::new());
    response.failures = failures(claimed.failures);
    for (user_id, devices) in claimed.one_time_keys {
        let of_user = response.one_time_keys.entry(user_id).or_default();
        for (device_id, (key_id, key)) in devices {
            let key_id = OwnedOneTimeKeyId::try_from(key_id).map_err(ApiError::internal)?;
            of_user.insert(device_id, BTreeMap::from([(key_id, raw(key)?)]));
        }
    }
    Ok(Reply(response))
}
