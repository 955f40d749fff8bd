//! Why a command was not carried out.

use std::fmt;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use freehold_keyring::ChangeError;
use freehold_tenancy::{AddError, PolicyError, ProofError, SettleError, StateError, TenancyError};
use serde::{Deserialize, Serialize};

/// Why a command was not carried out: what answers over HTTP hold, and what the command line prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of refusal it is, as Matrix names them.
    pub errcode: String,
    /// A sentence for people.
    pub error: String,
}

impl Refusal {
    /// Who asks may not.
    pub fn forbidden(error: &str) -> Self {
        Refusal::new("M_FORBIDDEN", error)
    }

    /// What is asked about is not there.
    pub fn not_found(error: impl fmt::Display) -> Self {
        Refusal::new("M_NOT_FOUND", error)
    }

    /// What is asked for makes no sense.
    pub fn invalid(error: impl fmt::Display) -> Self {
        Refusal::new("M_INVALID_PARAM", error)
    }

    /// What is asked for failed, for a reason that the operator can do something about.
    pub fn failed(error: impl std::error::Error) -> Self {
        Refusal::invalid(with_causes(&error))
    }

    /// The server is at fault; the log says it, too.
    pub fn internal(error: impl std::error::Error) -> Self {
        let text = with_causes(&error);
        tracing::error!(error = text, "a command failed");
        Refusal::new("M_UNKNOWN", text)
    }

    pub(crate) fn new(errcode: &str, error: impl fmt::Display) -> Self {
        Refusal { errcode: errcode.to_owned(), error: error.to_string() }
    }

    fn status(&self) -> StatusCode {
        match self.errcode.as_str() {
            "M_FORBIDDEN" => StatusCode::FORBIDDEN,
            "M_MISSING_TOKEN" | "M_UNKNOWN_TOKEN" => StatusCode::UNAUTHORIZED,
            "M_NOT_FOUND" | "M_UNRECOGNIZED" => StatusCode::NOT_FOUND,
            "M_UNKNOWN" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl std::error::Error for Refusal {}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status(), Json(self)).into_response()
    }
}

impl From<TenancyError> for Refusal {
    fn from(error: TenancyError) -> Self {
        match error {
            TenancyError::Unknown { .. } => Refusal::not_found(error),
            TenancyError::Read(_) | TenancyError::Commit(_) => Refusal::internal(error),
        }
    }
}

impl From<AddError> for Refusal {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Exists { .. } | AddError::HostnameTaken { .. } => Refusal::new("M_IN_USE", error),
            AddError::ServerName { .. }
            | AddError::Hostname(_)
            | AddError::NoHostname
            | AddError::Unprovable => Refusal::invalid(error),
            AddError::Policy(error) => error.into(),
            AddError::Generator | AddError::Keys(_) | AddError::Commit(_) => Refusal::internal(error),
        }
    }
}

impl From<SettleError> for Refusal {
    fn from(error: SettleError) -> Self {
        match error {
            SettleError::HostnameTaken { .. } => Refusal::new("M_IN_USE", error),
            SettleError::Hostname(_)
            | SettleError::TooManyHostnames { .. }
            | SettleError::Departed
            | SettleError::NotOld
            | SettleError::Keys(
                ChangeError::KeyIdReused { .. }
                | ChangeError::KeyRenamed { .. }
                | ChangeError::Predictable { .. }
                | ChangeError::InUse { .. },
            ) => Refusal::invalid(error),
            SettleError::Keys(_) => Refusal::internal(error),
            SettleError::Tenancy(error) => error.into(),
        }
    }
}

impl From<StateError> for Refusal {
    fn from(error: StateError) -> Self {
        match error {
            StateError::NotNow { .. } => Refusal::invalid(error),
            StateError::Tenancy(error) => error.into(),
        }
    }
}

impl From<PolicyError> for Refusal {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Tenancy(error) => error.into(),
            other => Refusal::invalid(other),
        }
    }
}

impl From<ProofError> for Refusal {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Tenancy(error) => error.into(),
            ProofError::State(error) => error.into(),
        }
    }
}
