//! The [deprecated](https://spec.matrix.org/v1.19/client-server-api/#content-repo-client-behaviour) endpoints, which ask for
//! no access token: they give what was uploaded before the tenant froze them.
#![expect(deprecated, reason = "old clients ask for these")]

use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use freehold_media::{DownloadError, Media, Wanted};
use freehold_store::Tenant;
use ruma_client_api::media::{get_content, get_content_as_filename, get_content_thumbnail, get_media_config};
use ruma_common::ServerName;

use super::download::{self, File};
use super::errors::media_id;
use super::thumbnail::{self, Picture, animation, size};
use crate::authenticated::Authenticated;
use crate::endpoints::Endpoints;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;
use crate::tenant_of_host::TenantOfHost;

pub(super) fn routes() -> Endpoints {
    Endpoints::default().route(get_file).route(get_file_as).route(get_thumbnail).route(get_config)
}

async fn get_file(
    State(media): State<Media>,
    TenantOfHost(tenant): TenantOfHost,
    headers: HeaderMap,
    Body(request): Body<get_content::v3::Request>,
) -> Result<Response<HttpBody>, ApiError> {
    let asked = Asked { allow_remote: request.allow_remote, timeout: request.timeout_ms };
    let file = File {
        server_name: request.server_name,
        media_id: request.media_id,
        timeout: Duration::ZERO,
        filename: None,
    };
    asked.file(&media, &tenant, (&file, &headers)).await
}

async fn get_file_as(
    State(media): State<Media>,
    TenantOfHost(tenant): TenantOfHost,
    headers: HeaderMap,
    Body(request): Body<get_content_as_filename::v3::Request>,
) -> Result<Response<HttpBody>, ApiError> {
    let asked = Asked { allow_remote: request.allow_remote, timeout: request.timeout_ms };
    let file = File {
        server_name: request.server_name,
        media_id: request.media_id,
        timeout: Duration::ZERO,
        filename: Some(request.filename),
    };
    asked.file(&media, &tenant, (&file, &headers)).await
}

async fn get_thumbnail(
    State(media): State<Media>,
    TenantOfHost(tenant): TenantOfHost,
    Body(request): Body<get_content_thumbnail::v3::Request>,
) -> Result<Response<HttpBody>, ApiError> {
    let asked = Asked { allow_remote: request.allow_remote, timeout: request.timeout_ms };
    asked.check(&media, &tenant, (&request.server_name, &request.media_id)).await?;
    let picture = Picture {
        server_name: request.server_name,
        media_id: request.media_id,
        timeout: Duration::ZERO,
        size: size(request.width.into(), request.height.into(), request.method.as_ref()),
        animation: animation(request.animated),
    };
    thumbnail::answer(&media, &tenant, &picture).await
}

async fn get_config(
    State(media): State<Media>,
    Authenticated { actor, .. }: Authenticated,
    _: Body<get_media_config::v3::Request>,
) -> Result<Reply<get_media_config::v3::Response>, ApiError> {
    let most = media.file_bytes_max(&actor.tenant).await;
    Ok(Reply(get_media_config::v3::Response::new(u32::try_from(most).unwrap_or(u32::MAX).into())))
}

/// How a file is asked for without an access token.
struct Asked {
    allow_remote: bool,
    timeout: Duration,
}

impl Asked {
    /// The file, if the tenant gives it to everybody.
    async fn file(
        &self,
        media: &Media,
        tenant: &Tenant,
        (file, headers): (&File, &HeaderMap),
    ) -> Result<Response<HttpBody>, ApiError> {
        self.check(media, tenant, (&file.server_name, &file.media_id)).await?;
        download::answer(media, tenant, file, headers).await
    }

    /// Refuses what the tenant does not give to everybody as if it were not there.
    async fn check(
        &self,
        media: &Media,
        tenant: &Tenant,
        (server_name, id): (&ServerName, &str),
    ) -> Result<(), ApiError> {
        let media_id = media_id(id)?;
        let wait_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        let wanted = Wanted { tenant, server_name, media_id: &media_id, wait_ms };
        let here = self.allow_remote || tenant.server_name() == server_name;
        if here && media.is_open(wanted).await? { Ok(()) } else { Err(DownloadError::Unknown.into()) }
    }
}
