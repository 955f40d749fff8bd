//! Files of other servers, as the content repository asks for them.

use std::time::Duration;

use freehold_federation::{
    FileBody, FileError, FileForm, FileRequest, MediaOfServers, RequestError, WebError,
};
use freehold_media::{
    Animation, BodyError, Chunks, FetchError, Fetched, FileNames, Form, Method, Origins, WantedElsewhere,
};
use freehold_store::{BoxFuture, Tenant};
use freehold_tenancy::Tenancy;
use futures_util::stream::try_unfold;
use ruma_common::ServerName;

/// What other servers have.
pub(crate) struct FilesOfOthers {
    pub(crate) tenancy: Tenancy,
    pub(crate) servers: MediaOfServers,
}

impl Origins for FilesOfOthers {
    fn speak(&self, asker: &Tenant, server_name: &ServerName) -> bool {
        self.tenancy.speak(asker, server_name)
    }

    fn fetch<'a>(
        &'a self,
        asker: &'a Tenant,
        wanted: WantedElsewhere<'a>,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        Box::pin(async move {
            let request = FileRequest {
                server_name: wanted.server_name,
                media_id: wanted.media_id.as_str(),
                form: form(wanted.form),
                wait: Duration::from_millis(wanted.wait_ms),
                bytes_max: usize::try_from(wanted.bytes_max).unwrap_or(usize::MAX),
            };
            match self.servers.get(asker, request).await {
                Ok(file) => Ok(Fetched {
                    names: FileNames { content_type: file.content_type, filename: file.filename },
                    chunks: chunks(file.body),
                }),
                Err(error) => {
                    tracing::debug!(server = %wanted.server_name, %error, "a file is not had");
                    Err(fetch_error(&error, wanted.bytes_max))
                }
            }
        })
    }
}

fn form(form: Form) -> FileForm {
    match form {
        Form::Original => FileForm::Original,
        Form::Thumbnail(size, animation) => FileForm::Thumbnail {
            width: size.width,
            height: size.height,
            method: match size.method {
                Method::Crop => "crop",
                Method::Scale => "scale",
            },
            animated: animation == Animation::Moving,
        },
    }
}

fn chunks(body: FileBody) -> Chunks {
    Box::pin(try_unfold(body, |mut body| async move {
        let chunk = body.chunk().await.map_err(BodyError::from)?;
        Ok(chunk.map(|bytes| (bytes, body)))
    }))
}

/// What the content repository makes of a failure.
fn fetch_error(error: &FileError, most: u64) -> FetchError {
    let not_reached = || FetchError::NotReached { reason: error.to_string() };
    match error {
        FileError::Request(RequestError::Local { .. } | RequestError::NotSpokenWith { .. })
        | FileError::Elsewhere(WebError::Status { status: 404 | 410 }) => FetchError::Unknown,
        FileError::Request(RequestError::Refused(refusal)) => {
            match (refusal.status, refusal.errcode.as_str()) {
                (_, "M_NOT_YET_UPLOADED") => FetchError::NotYetUploaded,
                (413, _) | (_, "M_TOO_LARGE") => FetchError::TooLarge { most },
                (429, _) | (500.., _) => not_reached(),
                // It is not there, or not for us.
                _ => FetchError::Unknown,
            }
        }
        FileError::Request(RequestError::TooLarge { .. }) => FetchError::TooLarge { most },
        _ => not_reached(),
    }
}

#[cfg(test)]
mod tests {
    use freehold_federation::Refusal;

    use super::*;

    #[test]
    fn what_servers_say_becomes_what_people_are_told() {
        for (status, errcode, expected) in [
            (404, "M_NOT_FOUND", "Unknown"),
            (403, "M_FORBIDDEN", "Unknown"),
            (401, "M_UNAUTHORIZED", "Unknown"),
            (504, "M_NOT_YET_UPLOADED", "NotYetUploaded"),
            (502, "M_TOO_LARGE", "TooLarge { most: 9 }"),
            (413, "", "TooLarge { most: 9 }"),
            (429, "M_LIMIT_EXCEEDED", "NotReached"),
            (500, "M_UNKNOWN", "NotReached"),
            (502, "", "NotReached"),
        ] {
            let (errcode, message) = (errcode.to_owned(), "no".to_owned());
            let refusal =
                Refusal { status, errcode, message, retry_after_ms: None, body: serde_json::Map::new() };
            let told = format!("{:?}", fetch_error(&RequestError::Refused(refusal).into(), 9));
            assert!(told.starts_with(expected), "{status}: {told}");
        }
        let slow = fetch_error(&RequestError::TooSlow.into(), 9);
        assert!(matches!(slow, FetchError::NotReached { reason } if reason == "no answer in time"));
    }
}
