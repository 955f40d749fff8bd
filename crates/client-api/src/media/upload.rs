//! [`POST /media/v3/upload`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload) and
//! [`PUT /media/v3/upload/…`](https://spec.matrix.org/v1.19/client-server-api/#put_matrixmediav3uploadservernamemediaid).
//!
//! Files are handed on as they come, so these do not read the whole of the request as others do.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, header};
use freehold_media::{BodyError, FileNames, Media, MediaId};
use freehold_store::Tenant;
use futures_util::{Stream, TryStreamExt};
use ruma_common::api::error::ErrorCode;
use serde_json::{Value, json};

use super::errors::media_id;
use crate::authenticated::Authenticated;
use crate::endpoints::{Access, Endpoint, Endpoints};
use crate::error::ApiError;
use crate::request::Counted;

const POST: [&str; 2] = ["/_matrix/media/r0/upload", "/_matrix/media/v3/upload"];
const PUT: [&str; 2] = [
    "/_matrix/media/v3/upload/{server_name}/{media_id}",
    "/_matrix/media/unstable/fi.mau.msc2246/upload/{server_name}/{media_id}",
];

pub(super) fn routes() -> Endpoints {
    let endpoint = |method, path| Endpoint { method, path, access: Access::Users };
    let routes = POST
        .into_iter()
        .fold(Endpoints::default(), |routes, path| routes.route_plain(endpoint(Method::POST, path), upload));
    PUT.into_iter().fold(routes, |routes, path| routes.route_plain(endpoint(Method::PUT, path), fill))
}

async fn upload(
    State(media): State<Media>,
    Authenticated { actor, .. }: Authenticated,
    _: Counted,
    (RawQuery(query), headers): (RawQuery, HeaderMap),
    body: Body,
) -> Result<Json<Value>, ApiError> {
    check_length(&media, &actor.tenant, &headers).await?;
    let media_id = media.upload(&actor, names(query.as_deref(), &headers), pieces(body)).await?;
    Ok(Json(json!({ "content_uri": content_uri(&actor.tenant, &media_id) })))
}

async fn fill(
    State(media): State<Media>,
    Authenticated { actor, .. }: Authenticated,
    _: Counted,
    (Path((server_name, id)), RawQuery(query), headers): (Path<(String, String)>, RawQuery, HeaderMap),
    body: Body,
) -> Result<Json<Value>, ApiError> {
    if actor.tenant.server_name() != server_name.as_str() {
        return Err(ApiError::new(ErrorCode::NotFound, "media of other servers cannot be uploaded here"));
    }
    check_length(&media, &actor.tenant, &headers).await?;
    let names = names(query.as_deref(), &headers);
    media.fill(&actor, &media_id(&id)?, names, pieces(body)).await?;
    Ok(Json(json!({})))
}

pub(super) fn content_uri(tenant: &Tenant, media_id: &MediaId) -> String {
    format!("mxc://{}/{media_id}", tenant.server_name())
}

/// Spares the transfer of what says itself that it is too large.
async fn check_length(media: &Media, tenant: &Tenant, headers: &HeaderMap) -> Result<(), ApiError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let most = media.file_bytes_max(tenant).await;
    match length.and_then(|length| length.parse::<u64>().ok()) {
        Some(bytes) if bytes > most => {
            Err(ApiError::new(ErrorCode::TooLarge, format!("file is larger than {most} bytes")))
        }
        Some(_) | None => Ok(()),
    }
}

fn names(query: Option<&str>, headers: &HeaderMap) -> FileNames {
    let query: Vec<(String, String)> =
        serde_html_form::from_str(query.unwrap_or_default()).unwrap_or_default();
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    FileNames {
        content_type: content_type.map(str::to_owned),
        filename: query.into_iter().find(|(name, _)| name == "filename").map(|(_, value)| value),
    }
}

fn pieces(body: Body) -> impl Stream<Item = Result<axum::body::Bytes, BodyError>> + Send {
    body.into_data_stream().map_err(BodyError::from)
}
