//! [`POST /media/v1/create`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav1create).

use axum::extract::State;
use freehold_media::{Media, Reservation};
use ruma_client_api::media::create_mxc_uri::v1::{Request, Response};
use ruma_common::MilliSecondsSinceUnixEpoch;

use super::upload::content_uri;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Makes a content URI to which something is uploaded later.
pub(crate) async fn create(
    State(media): State<Media>,
    Authenticated { actor, .. }: Authenticated,
    _: Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let Reservation { media_id, expires_ts } = media.reserve(&actor).await?;
    let mut response = Response::new(content_uri(&actor.tenant, &media_id).into());
    let expires = expires_ts.unsigned_abs().try_into().map_err(ApiError::internal)?;
    response.unused_expires_at = Some(MilliSecondsSinceUnixEpoch(expires));
    Ok(Reply(response))
}
