//! Requests that name a user in their path and are for that user only.

use freehold_store::Actor;
use ruma_common::UserId;
use ruma_common::api::error::ErrorCode;

use crate::error::ApiError;

/// Lets a request pass that names the user who sends it. Of others it says the same whether they exist or not.
pub(crate) fn require_oneself(actor: &Actor, user_id: &UserId) -> Result<(), ApiError> {
    if *user_id == *actor.user_id {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::Forbidden, "`user_id` in the path is not who sends the request"))
}
