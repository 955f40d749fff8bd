//! Errors of the encryption service as answers.

use axum::http::{StatusCode, header};
use freehold_encryption::{BackupError, CrossSigningError, Failure, SendToDeviceError, UploadError};
use ruma_common::api::error::ErrorCode;

use crate::error::ApiError;

impl From<Failure> for ApiError {
    fn from(error: Failure) -> Self {
        match error {
            Failure::Read(error) => error.into(),
            Failure::Commit(error) => error.into(),
            Failure::Busy(_) => ApiError::new(ErrorCode::Unknown, error)
                .with_status(StatusCode::SERVICE_UNAVAILABLE)
                .with_header(header::RETRY_AFTER, 1),
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        let errcode = match &error {
            UploadError::NoDevice => ErrorCode::Forbidden,
            UploadError::DeviceKeys(_) | UploadError::Key { .. } => ErrorCode::BadJson,
            UploadError::NotTheirs { .. } | UploadError::TooMany { .. } => ErrorCode::InvalidParam,
            UploadError::NotSigned(_) => ErrorCode::from("M_INVALID_SIGNATURE"),
            UploadError::DeviceIdIsKey(_) => ErrorCode::Forbidden,
            // As Synapse answers; clients look at the message.
            UploadError::KeyExists { .. } => ErrorCode::Unknown,
            UploadError::Failure(_) => ErrorCode::Unknown,
        };
        match error {
            UploadError::Failure(failure) => failure.into(),
            error => ApiError::new(errcode, error),
        }
    }
}

impl From<CrossSigningError> for ApiError {
    fn from(error: CrossSigningError) -> Self {
        match error {
            CrossSigningError::Key { .. } => ApiError::new(ErrorCode::BadJson, error),
            CrossSigningError::NoMasterKey => ApiError::new(ErrorCode::MissingParam, error),
            CrossSigningError::NotSigned(_) => ApiError::new(ErrorCode::from("M_INVALID_SIGNATURE"), error),
            CrossSigningError::IdInUse(_) => ApiError::new(ErrorCode::Forbidden, error),
            CrossSigningError::NeedsAuthentication => {
                ApiError::new(ErrorCode::Forbidden, error).with_status(StatusCode::UNAUTHORIZED)
            }
            CrossSigningError::Failure(failure) => failure.into(),
        }
    }
}

impl From<SendToDeviceError> for ApiError {
    fn from(error: SendToDeviceError) -> Self {
        match error {
            SendToDeviceError::TooLong { .. } | SendToDeviceError::TooManyRecipients { .. } => {
                ApiError::new(ErrorCode::TooLarge, error)
            }
            SendToDeviceError::Failure(failure) => failure.into(),
        }
    }
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::UnknownVersion | BackupError::UnknownKey => {
                ApiError::new(ErrorCode::NotFound, error)
            }
            BackupError::WrongVersion { ref current } => {
                let current = current.clone();
                ApiError::new(ErrorCode::WrongRoomKeysVersion, error).with("current_version", current)
            }
            BackupError::OtherAlgorithm(_) => ApiError::new(ErrorCode::InvalidParam, error),
            BackupError::Entry { .. } | BackupError::AuthData => ApiError::new(ErrorCode::BadJson, error),
            BackupError::TooMuch { .. } => ApiError::new(ErrorCode::ResourceLimitExceeded, error),
            BackupError::Failure(failure) => failure.into(),
        }
    }
}
