//! Pages for clients that do not know a stage of
//! [user-interactive authentication](https://spec.matrix.org/v1.19/client-server-api/#fallback).

use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS};
use axum::response::{IntoResponse, Response};
use freehold_accounts::{Accounts, Challenge, Password, Stage, StageFailure, StageProof, TermsDocument};
use ruma_client_api::uiaa::get_uiaa_fallback_page::v3 as get;
use ruma_common::api::error::ErrorCode;

use super::fallback_request as post;
use super::interactive::refused;
use crate::error::ApiError;
use crate::request::Body;
use crate::tenant_of_host::TenantOfHost;

/// Answers with a page on which a stage can be done.
pub(crate) async fn fallback_page(
    TenantOfHost(tenant): TenantOfHost,
    State(accounts): State<Accounts>,
    Body(request): Body<get::Request>,
) -> Result<Response, ApiError> {
    let stage = stage(request.auth_type.as_str())?;
    let challenge = accounts.interaction(&tenant, &request.session).ok_or_else(unknown)?;
    if challenge.completed.contains(&stage) {
        return Ok(page(DONE.to_owned()));
    }
    Ok(page(form(stage, &challenge, None)))
}

/// Does a stage as the page sends it.
pub(crate) async fn fallback_form(
    TenantOfHost(tenant): TenantOfHost,
    State(accounts): State<Accounts>,
    Body(request): Body<post::Request>,
) -> Result<Response, ApiError> {
    let stage = stage(&request.auth_type)?;
    let session = request.form.session.clone();
    let done = accounts.complete_stage(&tenant, &session, proof(stage, request.form)).await;
    let failure = match done.map_err(refused)? {
        Ok(()) => return Ok(page(DONE.to_owned())),
        Err(failure) => failure,
    };
    let challenge = accounts.interaction(&tenant, &session).ok_or_else(unknown)?;
    Ok(page(form(stage, &challenge, Some(&failure))))
}

fn stage(auth_type: &str) -> Result<Stage, ApiError> {
    Stage::named(auth_type)
        .ok_or_else(|| ApiError::new(ErrorCode::NotFound, "this server has no such authentication type"))
}

fn unknown() -> ApiError {
    ApiError::new(ErrorCode::Unknown, StageFailure::UnknownSession)
}

fn proof(stage: Stage, form: post::Form) -> StageProof {
    match stage {
        Stage::Dummy => StageProof::Dummy,
        Stage::Terms => StageProof::Terms,
        Stage::RegistrationToken => StageProof::RegistrationToken(form.token.unwrap_or_default()),
        Stage::Password => StageProof::Password {
            user: form.user.unwrap_or_default(),
            password: Password::new(&form.password.unwrap_or_default()),
        },
    }
}

/// What the specification wants a page to do when the stage is done.
const DONE: &str = "<p>Thank you. You can close this window.</p>
<script>
if (window.onAuthDone) {
    window.onAuthDone();
} else if (window.opener && window.opener.postMessage) {
    window.opener.postMessage(\"authDone\", \"*\");
}
</script>";

/// The form goes to where the page came from.
fn form(stage: Stage, challenge: &Challenge, failure: Option<&StageFailure>) -> String {
    let failure = failure.map(|failure| format!("<p role=\"alert\">{}</p>", escaped(&failure.to_string())));
    let fields = match stage {
        Stage::Dummy => String::new(),
        Stage::Terms => documents(&challenge.terms),
        Stage::RegistrationToken => input("token", "Registration token", "text"),
        Stage::Password => input("user", "User name", "text") + &input("password", "Password", "password"),
    };
    format!(
        "<form method=\"post\">{}<input type=\"hidden\" name=\"session\" value=\"{}\">{fields}\
         <button>{}</button></form>",
        failure.unwrap_or_default(),
        escaped(&challenge.session),
        if stage == Stage::Terms { "I accept" } else { "Continue" },
    )
}

fn input(name: &str, label: &str, kind: &str) -> String {
    format!("<p><label>{label}: <input name=\"{name}\" type=\"{kind}\" required></label></p>")
}

/// A document in the first of its languages, by their codes, with English before all.
fn documents(terms: &[TermsDocument]) -> String {
    let item = |document: &TermsDocument| {
        let in_english = document.translations.get("en");
        let translation = in_english.or_else(|| document.translations.values().next())?;
        let (name, url) = (escaped(&translation.name), escaped(&translation.url));
        Some(format!("<li><a href=\"{url}\" target=\"_blank\" rel=\"noreferrer\">{name}</a></li>"))
    };
    let items: String = terms.iter().filter_map(item).collect();
    format!("<p>Please read and accept:</p><ul>{items}</ul>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(body: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    let head = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Authentication</title></head>";
    (headers, format!("{head}<body>{body}</body></html>")).into_response()
}
