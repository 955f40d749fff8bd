//! Errors of the media service as answers.

use axum::http::{HeaderValue, StatusCode, header};
use freehold_media::{
    DownloadError, Failure, FetchError, InvalidMediaId, MediaId, ReserveError, ThumbnailError, UploadError,
};
use ruma_common::api::error::ErrorCode;

use crate::error::ApiError;

impl From<Failure> for ApiError {
    fn from(error: Failure) -> Self {
        ApiError::internal(error)
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        let errcode = match &error {
            UploadError::Closed
            | UploadError::OverQuota(_)
            | UploadError::Quarantined
            | UploadError::NotTheirs => ErrorCode::Forbidden,
            UploadError::TooLarge { .. } => ErrorCode::TooLarge,
            UploadError::UnknownMedia => ErrorCode::NotFound,
            UploadError::AlreadyThere => ErrorCode::CannotOverwriteMedia,
            UploadError::Body(_) | UploadError::Failure(_) => ErrorCode::Unknown,
        };
        match error {
            UploadError::Failure(failure) => failure.into(),
            error => ApiError::new(errcode, error),
        }
    }
}

impl From<ReserveError> for ApiError {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::Closed => ApiError::new(ErrorCode::Forbidden, error),
            ReserveError::TooMany { wait_ms, .. } => ApiError::new(ErrorCode::LimitExceeded, error)
                .with_header(header::RETRY_AFTER, wait_ms.div_ceil(1000))
                .with("retry_after_ms", wait_ms),
            ReserveError::Failure(failure) => failure.into(),
        }
    }
}

impl From<DownloadError> for ApiError {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Unknown => ApiError::new(ErrorCode::NotFound, error),
            DownloadError::NotYetUploaded => ApiError::new(ErrorCode::NotYetUploaded, error),
            DownloadError::NoSuchPart { bytes } => {
                let answer = ApiError::new(ErrorCode::InvalidParam, error)
                    .with_status(StatusCode::RANGE_NOT_SATISFIABLE);
                match HeaderValue::try_from(format!("bytes */{bytes}")) {
                    Ok(size) => answer.with_header(header::CONTENT_RANGE, size),
                    Err(_) => answer,
                }
            }
            DownloadError::Elsewhere(error) => error.into(),
            DownloadError::Failure(failure) => failure.into(),
        }
    }
}

/// The server is asked on behalf of the client: what it does wrong is a gateway's failure.
impl From<FetchError> for ApiError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Unknown => ApiError::new(ErrorCode::NotFound, error),
            FetchError::NotYetUploaded => ApiError::new(ErrorCode::NotYetUploaded, error),
            FetchError::TooLarge { .. } => {
                ApiError::new(ErrorCode::TooLarge, error).with_status(StatusCode::BAD_GATEWAY)
            }
            FetchError::NotReached { .. } => {
                ApiError::new(ErrorCode::Unknown, error).with_status(StatusCode::BAD_GATEWAY)
            }
            FetchError::TooMany { .. } => ApiError::new(ErrorCode::LimitExceeded, error),
            FetchError::Failure(failure) => ApiError::internal(failure),
        }
    }
}

impl From<ThumbnailError> for ApiError {
    fn from(error: ThumbnailError) -> Self {
        match error {
            ThumbnailError::NoSize => ApiError::new(ErrorCode::InvalidParam, error),
            ThumbnailError::NoPicture => ApiError::new(ErrorCode::Unknown, error),
            ThumbnailError::TooLarge => ApiError::new(ErrorCode::TooLarge, error),
            ThumbnailError::Download(error) => error.into(),
            ThumbnailError::Failure(failure) => failure.into(),
        }
    }
}

/// A media id of a path. One that cannot be is one that is not there.
pub(super) fn media_id(text: &str) -> Result<MediaId, ApiError> {
    MediaId::parse(text).map_err(|error: InvalidMediaId| ApiError::new(ErrorCode::NotFound, error))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    #[test]
    fn what_another_server_does_not_give_is_its_fault() {
        let reason = || "no answer in time".to_owned();
        for (error, status) in [
            (FetchError::Unknown, 404),
            (FetchError::NotYetUploaded, 504),
            (FetchError::TooLarge { most: 1 }, 502),
            (FetchError::NotReached { reason: reason() }, 502),
            (FetchError::TooMany { most: 1 }, 429),
        ] {
            let shown = format!("{error:?}");
            let answer = ApiError::from(DownloadError::from(error)).into_response();
            assert_eq!(answer.status().as_u16(), status, "{shown}");
        }
    }
}
