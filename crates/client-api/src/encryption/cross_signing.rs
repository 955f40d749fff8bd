//! Cross-signing:
//! [`POST /keys/device_signing/upload`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload) and
//! [`POST /keys/signatures/upload`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload).

use axum::extract::State;
use freehold_accounts::Accounts;
use freehold_encryption::{
    Consent, CrossSigningError, CrossSigningKeys, Encryption, SignatureFailure, SignatureFailures, SignedKeys,
};
use ruma_client_api::keys::{upload_signatures, upload_signing_keys};
use serde_json::{Value, json};

use super::text;
use crate::account::interactive::{Refusal, require_password};
use crate::authenticated::{Authenticated, EvenSuspended};
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Publishes the cross-signing keys of the user who asks.
pub(crate) async fn upload_cross_signing_keys(
    State(encryption): State<Encryption>,
    State(accounts): State<Accounts>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<upload_signing_keys::v3::Request>,
) -> Result<Reply<upload_signing_keys::v3::Response>, Refusal> {
    let keys = CrossSigningKeys {
        master: request.master_key.as_ref().map(text),
        self_signing: request.self_signing_key.as_ref().map(text),
        user_signing: request.user_signing_key.as_ref().map(text),
    };
    match encryption.upload_cross_signing_keys(&actor, &keys, Consent::Token).await {
        Err(CrossSigningError::NeedsAuthentication) => {
            let details = [&keys.master, &keys.self_signing, &keys.user_signing];
            let details = details.map(|key| key.as_deref().unwrap_or_default());
            let request_kind = ("keys/device_signing/upload", details.as_slice());
            let done = require_password(&accounts, &actor, request_kind, request.auth.as_ref()).await?;
            encryption.upload_cross_signing_keys(&actor, &keys, Consent::Interactive).await?;
            accounts.end_interaction(&done);
        }
        other => other?,
    }
    Ok(Reply(upload_signing_keys::v3::Response::new()))
}

/// Publishes signatures of keys.
pub(crate) async fn upload_signatures(
    State(encryption): State<Encryption>,
    EvenSuspended(Authenticated { actor, .. }): EvenSuspended,
    Body(request): Body<upload_signatures::v3::Request>,
) -> Result<Reply<upload_signatures::v3::Response>, ApiError> {
    let keys: SignedKeys = request
        .signed_keys
        .into_iter()
        .map(|(user_id, keys)| {
            let keys = keys.iter().map(|(key_id, key)| (key_id.to_owned(), key.get().to_owned()));
            (user_id, keys.collect())
        })
        .collect();
    let failures = encryption.upload_signatures(&actor, &keys).await?;
    let mut response = upload_signatures::v3::Response::new();
    response.failures = serde_json::from_value(failures_json(&failures)).map_err(ApiError::internal)?;
    Ok(Reply(response))
}

/// ruma gives no other way to make its failures.
fn failures_json(failures: &SignatureFailures) -> Value {
    let failure = |failure: &SignatureFailure| {
        let errcode = match failure {
            SignatureFailure::Invalid(_) => "M_BAD_JSON",
            SignatureFailure::UnknownKey => "M_NOT_FOUND",
            SignatureFailure::OtherKey => "M_INVALID_PARAM",
            SignatureFailure::NoSignature | SignatureFailure::WrongSignature => "M_INVALID_SIGNATURE",
        };
        json!({ "errcode": errcode, "error": failure.to_string() })
    };
    let by_user = failures.iter().map(|(user_id, keys)| {
        let keys = keys.iter().map(|(key_id, why)| (key_id.clone(), failure(why)));
        (user_id.to_string(), Value::Object(keys.collect()))
    });
    Value::Object(by_user.collect())
}
