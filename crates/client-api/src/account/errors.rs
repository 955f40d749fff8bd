//! What accounts refuse, as clients see it.

use axum::http::{StatusCode, header};
use freehold_accounts::{
    DeviceError, LoginError, OpenSessionError, PasswordError, RegisterError, ServerFailure,
};
use ruma_common::api::error::ErrorCode;

use crate::error::ApiError;

impl From<ServerFailure> for ApiError {
    fn from(failure: ServerFailure) -> Self {
        ApiError::internal(failure)
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong => ApiError::new(ErrorCode::Forbidden, error),
            LoginError::Locked => locked(error),
            LoginError::TooManyFailures { wait_ms } => limited(error, wait_ms),
            LoginError::Password(error) => error.into(),
            LoginError::Device(error) => error.into(),
            LoginError::Server(failure) => failure.into(),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::TooLong { .. } => ApiError::new(ErrorCode::InvalidParam, error),
            PasswordError::TooShort { .. } => ApiError::new(ErrorCode::WeakPassword, error),
            PasswordError::Busy => limited(error, 1000),
            PasswordError::Server(failure) => failure.into(),
        }
    }
}

impl From<OpenSessionError> for ApiError {
    fn from(error: OpenSessionError) -> Self {
        match error {
            OpenSessionError::IsCrossSigningKey => ApiError::new(ErrorCode::Forbidden, error),
            OpenSessionError::DeviceIdLength { .. } => ApiError::new(ErrorCode::InvalidParam, error),
            OpenSessionError::TooManyDevices { .. } => ApiError::new(ErrorCode::ResourceLimitExceeded, error),
            OpenSessionError::Server(failure) => failure.into(),
        }
    }
}

impl From<RegisterError> for ApiError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Username(error) => ApiError::new(ErrorCode::InvalidUsername, error),
            RegisterError::InUse => ApiError::new(ErrorCode::UserInUse, error),
            RegisterError::Password(error) => error.into(),
            RegisterError::RegistrationToken => ApiError::new(ErrorCode::Forbidden, error),
            RegisterError::Full { .. } => ApiError::new(ErrorCode::ResourceLimitExceeded, error),
            RegisterError::Device(error) => error.into(),
            RegisterError::Server(failure) => failure.into(),
        }
    }
}

impl From<DeviceError> for ApiError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Unknown => ApiError::new(ErrorCode::NotFound, error),
            DeviceError::NameTooLong { .. } => ApiError::new(ErrorCode::InvalidParam, error),
            DeviceError::Server(failure) => failure.into(),
        }
    }
}

fn locked(error: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::UserLocked, error)
        .with_status(StatusCode::UNAUTHORIZED)
        .with("soft_logout", true)
}

fn limited(error: impl std::fmt::Display, wait_ms: u64) -> ApiError {
    ApiError::new(ErrorCode::LimitExceeded, error)
        .with_header(header::RETRY_AFTER, wait_ms.div_ceil(1000))
        .with("retry_after_ms", wait_ms)
}
