//! [User-interactive authentication](https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api)
//! as part of requests.

use axum::Json;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use freehold_accounts::{
    Accounts, Attempt, Challenge, Completed, InteractionError, Password, Purpose, Stage, StageFailure,
    StageProof, TermsDocument,
};
use freehold_store::Actor;
use ruma_client_api::uiaa::{AuthData, UserIdentifier};
use ruma_common::api::error::ErrorCode;
use serde_json::{Map, Value, json};

use crate::error::ApiError;

/// Why a request that asks for authentication is not carried out.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// More is asked of who asks.
    Challenge(Box<Challenge>),
    /// Something is wrong.
    Error(ApiError),
}

impl From<InteractionError> for Refusal {
    fn from(error: InteractionError) -> Self {
        match error {
            InteractionError::Challenge(challenge) => Refusal::Challenge(challenge),
            other => Refusal::Error(refused(other)),
        }
    }
}

impl<E: Into<ApiError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Refusal::Error(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        match self {
            Refusal::Challenge(challenge) => {
                (StatusCode::UNAUTHORIZED, Json(challenge_body(&challenge))).into_response()
            }
            Refusal::Error(error) => error.into_response(),
        }
    }
}

/// Lets a request of a user pass only with the user's password.
///
/// `details` are what of path and body decides what the request does: with other ones it is another request.
pub(crate) async fn require_password(
    accounts: &Accounts,
    actor: &Actor,
    (endpoint, details): (&'static str, &[&str]),
    auth: Option<&AuthData>,
) -> Result<Completed, Refusal> {
    let purpose = Purpose::request(actor, endpoint, details);
    let flows = vec![vec![Stage::Password]];
    interact(accounts, &actor.tenant, (purpose, flows), auth).await
}

/// Lets a request pass only when all stages of a flow are done.
pub(crate) async fn interact(
    accounts: &Accounts,
    tenant: &freehold_store::Tenant,
    purpose: (Purpose, Vec<Vec<Stage>>),
    auth: Option<&AuthData>,
) -> Result<Completed, Refusal> {
    let attempt = auth.map(attempt).transpose()?;
    Ok(accounts.interact(tenant, purpose, attempt).await?)
}

/// Why nothing can be asked of somebody, as an error.
pub(crate) fn refused(error: InteractionError) -> ApiError {
    match error {
        InteractionError::Challenge(_) => ApiError::new(ErrorCode::Unauthorized, error),
        InteractionError::RegistrationClosed => ApiError::new(ErrorCode::Forbidden, error),
        InteractionError::Login(error) => error.into(),
        InteractionError::Server(failure) => failure.into(),
    }
}

/// What a request says in its `auth`.
fn attempt(auth: &AuthData) -> Result<Attempt, ApiError> {
    let proof = match auth {
        AuthData::Dummy(_) => Some(StageProof::Dummy),
        AuthData::Terms(_) => Some(StageProof::Terms),
        AuthData::RegistrationToken(data) => Some(StageProof::RegistrationToken(data.token.clone())),
        AuthData::Password(data) => Some(StageProof::Password {
            user: user(&data.identifier)?,
            password: Password::new(&data.password),
        }),
        AuthData::FallbackAcknowledgement(_) => None,
        _ => {
            return Err(ApiError::new(
                ErrorCode::Unrecognized,
                "`auth.type` is not a type of authentication that this server offers",
            )
            .with_status(StatusCode::BAD_REQUEST));
        }
    };
    Ok(Attempt { session: auth.session().map(str::to_owned), proof })
}

/// Whom an identifier names. Third-party identifiers are not kept here, so nobody has one.
pub(crate) fn user(identifier: &UserIdentifier) -> Result<String, ApiError> {
    match identifier {
        UserIdentifier::Matrix(matrix) => Ok(matrix.user.clone()),
        UserIdentifier::Email(_) | UserIdentifier::Msisdn(_) | UserIdentifier::PhoneNumber(_) => {
            Err(ApiError::new(ErrorCode::Forbidden, "no account has this third-party identifier"))
        }
        _ => Err(ApiError::new(ErrorCode::InvalidParam, "`identifier.type` is unknown")),
    }
}

fn challenge_body(challenge: &Challenge) -> Value {
    let names = |stages: &[Stage]| -> Vec<&str> { stages.iter().map(|stage| stage.as_str()).collect() };
    let flows: Vec<Value> = challenge.flows.iter().map(|flow| json!({ "stages": names(flow) })).collect();
    let mut params = Map::new();
    if !challenge.terms.is_empty() {
        params.insert(Stage::Terms.as_str().to_owned(), terms(&challenge.terms));
    }
    let mut body = json!({ "session": challenge.session, "flows": flows, "params": params });
    if let Some(body) = body.as_object_mut() {
        if !challenge.completed.is_empty() {
            body.insert("completed".to_owned(), names(&challenge.completed).into());
        }
        if let Some(failure) = &challenge.failure {
            body.insert("errcode".to_owned(), errcode(failure).as_str().into());
            body.insert("error".to_owned(), failure.to_string().into());
        }
    }
    body
}

fn errcode(failure: &StageFailure) -> ErrorCode {
    match failure {
        StageFailure::UnknownSession => ErrorCode::Unknown,
        StageFailure::NotNext => ErrorCode::InvalidParam,
        StageFailure::Password | StageFailure::RegistrationToken => ErrorCode::Forbidden,
    }
}

/// The documents, as <https://spec.matrix.org/v1.19/client-server-api/#definition-mloginterms-params> wants them.
fn terms(documents: &[TermsDocument]) -> Value {
    let policy = |document: &TermsDocument| {
        let languages = document.translations.iter().map(|(language, translation)| {
            (language.clone(), json!({ "name": translation.name, "url": translation.url }))
        });
        let version = ("version".to_owned(), Value::from(document.version.clone()));
        Value::Object(languages.chain([version]).collect())
    };
    let policies: Map<String, Value> =
        documents.iter().map(|document| (document.name.clone(), policy(document))).collect();
    json!({ "policies": policies })
}
