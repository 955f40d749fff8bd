//! [`GET /media/download`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid).

use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, header};
use freehold_media::{Media, Wanted};
use freehold_store::Tenant;
use ruma_client_api::authenticated_media::{get_content, get_content_as_filename};
use ruma_common::OwnedServerName;

use super::errors::media_id;
use super::{answer, range};
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::request::Body;

/// A file that is asked for.
pub(super) struct File {
    pub(super) server_name: OwnedServerName,
    pub(super) media_id: String,
    pub(super) timeout: Duration,
    /// What to call it, instead of what its uploader called it.
    pub(super) filename: Option<String>,
}

/// Answers with a file.
pub(crate) async fn download(
    State(media): State<Media>,
    Authenticated { actor, .. }: Authenticated,
    headers: HeaderMap,
    Body(request): Body<get_content::v1::Request>,
) -> Result<Response<HttpBody>, ApiError> {
    let file = File {
        server_name: request.server_name,
        media_id: request.media_id,
        timeout: request.timeout_ms,
        filename: None,
    };
    answer(&media, &actor.tenant, &file, &headers).await
}

/// Answers with a file under another name.
pub(crate) async fn download_as(
    State(media): State<Media>,
    Authenticated { actor, .. }: Authenticated,
    headers: HeaderMap,
    Body(request): Body<get_content_as_filename::v1::Request>,
) -> Result<Response<HttpBody>, ApiError> {
    let file = File {
        server_name: request.server_name,
        media_id: request.media_id,
        timeout: request.timeout_ms,
        filename: Some(request.filename),
    };
    answer(&media, &actor.tenant, &file, &headers).await
}

pub(super) async fn answer(
    media: &Media,
    tenant: &Tenant,
    file: &File,
    headers: &HeaderMap,
) -> Result<Response<HttpBody>, ApiError> {
    let media_id = media_id(&file.media_id)?;
    let wait_ms = u64::try_from(file.timeout.as_millis()).unwrap_or(u64::MAX);
    let wanted = Wanted { tenant, server_name: &file.server_name, media_id: &media_id, wait_ms };
    let etag = answer::etag(media_id.as_str());
    let download = media.download(wanted, range::part(headers, &etag)).await?;
    // Files do not change, so whoever has this one has it.
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        let mut response = Response::new(HttpBody::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    Ok(answer::file(download, &etag, file.filename.as_deref()))
}
