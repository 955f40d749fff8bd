//! [`GET /media/thumbnail`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid).

use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode};
use freehold_media::{Animation, Media, Method, Thumbnail, ThumbnailError, ThumbnailSize, Wanted};
use freehold_store::Tenant;
use ruma_client_api::authenticated_media::get_content_thumbnail::v1::Request;
use ruma_common::OwnedServerName;

use super::answer;
use super::errors::media_id;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::request::Body;

/// A picture that is asked for.
pub(super) struct Picture {
    pub(super) server_name: OwnedServerName,
    pub(super) media_id: String,
    pub(super) timeout: Duration,
    pub(super) size: ThumbnailSize,
    pub(super) animation: Animation,
}

/// Answers with a picture in another size.
pub(crate) async fn thumbnail(
    State(media): State<Media>,
    Authenticated { actor, .. }: Authenticated,
    Body(request): Body<Request>,
) -> Result<Response<HttpBody>, ApiError> {
    let picture = Picture {
        server_name: request.server_name,
        media_id: request.media_id,
        timeout: request.timeout_ms,
        size: size(request.width.into(), request.height.into(), request.method.as_ref()),
        animation: animation(request.animated),
    };
    answer(&media, &actor.tenant, &picture).await
}

pub(super) async fn answer(
    media: &Media,
    tenant: &Tenant,
    picture: &Picture,
) -> Result<Response<HttpBody>, ApiError> {
    let media_id = media_id(&picture.media_id)?;
    let wait_ms = u64::try_from(picture.timeout.as_millis()).unwrap_or(u64::MAX);
    let wanted = Wanted { tenant, server_name: &picture.server_name, media_id: &media_id, wait_ms };
    let made = media.thumbnail(wanted, picture.size, picture.animation).await;
    let Thumbnail { content_type, bytes, chunks } = made.map_err(|error| {
        let elsewhere = tenant.server_name() != picture.server_name;
        match error {
            // What another server has is its fault.
            ThumbnailError::TooLarge if elsewhere => {
                ApiError::from(error).with_status(StatusCode::BAD_GATEWAY)
            }
            error => error.into(),
        }
    })?;
    let ending = content_type.strip_prefix("image/").unwrap_or_default();
    let disposition = format!("inline; filename=thumbnail.{ending}");
    Ok(answer::content((HeaderValue::from_static(content_type), &disposition), bytes, chunks))
}

/// Sizes beyond all pictures are as good as the largest number.
pub(super) fn size(width: u64, height: u64, method: Option<&ruma_common::media::Method>) -> ThumbnailSize {
    let side = |length: u64| u32::try_from(length).unwrap_or(u32::MAX);
    let method = match method {
        Some(ruma_common::media::Method::Crop) => Method::Crop,
        _ => Method::Scale,
    };
    ThumbnailSize { width: side(width), height: side(height), method }
}

pub(super) fn animation(animated: Option<bool>) -> Animation {
    if animated == Some(true) { Animation::Moving } else { Animation::Still }
}
