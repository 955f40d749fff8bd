//! What accounts refuse, as clients see it.

use axum::http::{StatusCode, header};
use freehold_accounts::{
    AccountDataError, CredentialsError, DeviceError, FilterError, LoginError, ModerationError,
    OpenSessionError, PasswordError, ProfileError, PushRulesError, RefreshError, RegisterError,
    ServerFailure, ToolRegistrationError,
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

impl From<RefreshError> for ApiError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Unknown => ApiError::new(ErrorCode::UnknownToken, error).with("soft_logout", false),
            RefreshError::Locked => locked(error),
            RefreshError::Server(failure) => failure.into(),
        }
    }
}

impl From<CredentialsError> for ApiError {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Unknown => ApiError::new(ErrorCode::NotFound, error),
            CredentialsError::Bcrypt => ApiError::new(ErrorCode::InvalidParam, error),
            CredentialsError::Password(error) => error.into(),
            CredentialsError::Moderation(error) => error.into(),
            CredentialsError::Server(failure) => failure.into(),
        }
    }
}

impl From<ModerationError> for ApiError {
    fn from(error: ModerationError) -> Self {
        match error {
            ModerationError::NotAdministrator | ModerationError::Oneself | ModerationError::Administrator => {
                ApiError::new(ErrorCode::Forbidden, error)
            }
            ModerationError::Foreign => ApiError::new(ErrorCode::InvalidParam, error),
            ModerationError::Unknown => ApiError::new(ErrorCode::NotFound, error),
            ModerationError::Server(failure) => failure.into(),
        }
    }
}

impl From<ToolRegistrationError> for ApiError {
    fn from(error: ToolRegistrationError) -> Self {
        match error {
            ToolRegistrationError::Disabled | ToolRegistrationError::Nonce => {
                ApiError::new(ErrorCode::Unknown, error)
            }
            ToolRegistrationError::Mac => ApiError::new(ErrorCode::Forbidden, error),
            ToolRegistrationError::Register(error) => error.into(),
        }
    }
}

impl From<ProfileError> for ApiError {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::NotFound => ApiError::new(ErrorCode::NotFound, error),
            ProfileError::Name | ProfileError::Value { .. } => ApiError::new(ErrorCode::InvalidParam, error),
            ProfileError::NameTooLong(_) => ApiError::new(ErrorCode::from("M_KEY_TOO_LARGE"), error),
            ProfileError::TooLarge(_) => ApiError::new(ErrorCode::from("M_PROFILE_TOO_LARGE"), error),
            ProfileError::Server(failure) => failure.into(),
        }
    }
}

impl From<AccountDataError> for ApiError {
    fn from(error: AccountDataError) -> Self {
        match error {
            AccountDataError::NotFound => ApiError::new(ErrorCode::NotFound, error),
            AccountDataError::Managed(_) => {
                ApiError::new(ErrorCode::BadJson, error).with_status(StatusCode::METHOD_NOT_ALLOWED)
            }
            AccountDataError::NotAnObject => ApiError::new(ErrorCode::BadJson, error),
            AccountDataError::TooLarge { .. } => ApiError::new(ErrorCode::TooLarge, error),
            AccountDataError::TooMany { .. } => ApiError::new(ErrorCode::ResourceLimitExceeded, error),
            AccountDataError::Server(failure) => failure.into(),
        }
    }
}

impl From<FilterError> for ApiError {
    fn from(error: FilterError) -> Self {
        match error {
            FilterError::TooLarge { .. } => ApiError::new(ErrorCode::TooLarge, error),
            FilterError::TooMany { .. } => ApiError::new(ErrorCode::ResourceLimitExceeded, error),
            FilterError::Server(failure) => failure.into(),
        }
    }
}

impl From<PushRulesError> for ApiError {
    fn from(error: PushRulesError) -> Self {
        match error {
            PushRulesError::NotFound => ApiError::new(ErrorCode::NotFound, error),
            PushRulesError::Default | PushRulesError::Insert(_) => {
                ApiError::new(ErrorCode::InvalidParam, error)
            }
            PushRulesError::TooLarge { .. } => ApiError::new(ErrorCode::TooLarge, error),
            PushRulesError::Server(failure) => failure.into(),
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
