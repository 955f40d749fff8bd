//! [`GET /media/config`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediaconfig).

use axum::extract::State;
use freehold_media::Media;
use ruma_client_api::authenticated_media::get_media_config::v1::{Request, Response};

use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Answers with how large uploads may be.
pub(crate) async fn config(
    State(media): State<Media>,
    Authenticated { actor, .. }: Authenticated,
    _: Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let most = media.file_bytes_max(&actor.tenant).await;
    Ok(Reply(Response::new(u32::try_from(most).unwrap_or(u32::MAX).into())))
}
