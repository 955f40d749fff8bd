//! [`GET /sync`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync).

use axum::extract::{RawQuery, State};
use freehold_store::Actor;
use freehold_sync::response::SyncResponse;
use freehold_sync::{PresenceState, StateForm, SyncError, SyncRequest, SyncService};
use ruma_client_api::filter::FilterDefinition;
use ruma_client_api::sync::sync_events::v3::{Filter, Request};
use ruma_common::api::error::ErrorCode;

use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::in_flight::InFlight;
use crate::request::Body;
use crate::sync::in_pieces::InPieces;
use crate::sync::presence::state;

/// The name under which clients asked for `use_state_after` before it was in the specification (MSC4222).
const UNSTABLE_USE_STATE_AFTER: &str = "org.matrix.msc4222.use_state_after=true";

/// Answers with what is new, or waits for it.
pub(crate) async fn sync(
    State(service): State<SyncService>,
    State(in_flight): State<InFlight>,
    user: Authenticated,
    RawQuery(query): RawQuery,
    Body(request): Body<Request>,
) -> Result<InPieces<SyncResponse>, ApiError> {
    let since = request.since.as_deref().map(str::parse).transpose();
    let since = since.map_err(|error| ApiError::new(ErrorCode::InvalidParam, format!("`since`: {error}")))?;
    let filter = filter(&service, &user.actor, request.filter).await?;
    let request = SyncRequest {
        since,
        filter,
        full_state: request.full_state,
        timeout: request.timeout.unwrap_or_default(),
        set_presence: state(&request.set_presence).unwrap_or(PresenceState::Online),
        state_form: state_form(request.use_state_after, query.as_deref().unwrap_or_default()),
    };
    let news = service.sync(&user.actor, &request).await?;
    in_flight.settled(user.actor.device).await;
    Ok(InPieces(news))
}

async fn filter(
    service: &SyncService,
    actor: &Actor,
    filter: Option<Filter>,
) -> Result<FilterDefinition, ApiError> {
    match filter {
        None => Ok(FilterDefinition::default()),
        Some(Filter::FilterId(id)) => {
            let stored = service.filter(actor, &id).await.map_err(ApiError::internal)?;
            stored.ok_or_else(|| {
                ApiError::new(ErrorCode::InvalidParam, format!("`filter`: you stored no filter `{id}`"))
            })
        }
        Some(Filter::FilterDefinition(definition)) => Ok(definition),
        Some(_) => Err(ApiError::new(ErrorCode::InvalidParam, "`filter` is neither an id nor a filter")),
    }
}

fn state_form(use_state_after: bool, query: &str) -> StateForm {
    if use_state_after {
        StateForm::After
    } else if query.split('&').any(|pair| pair == UNSTABLE_USE_STATE_AFTER) {
        StateForm::UnstableAfter
    } else {
        StateForm::Before
    }
}

impl From<SyncError> for ApiError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::NoDevice => ApiError::new(ErrorCode::Forbidden, error),
            SyncError::Read(error) => error.into(),
            SyncError::News(error) => ApiError::internal(error),
            SyncError::Room(error) => ApiError::internal(error),
            SyncError::Ended(error) => ApiError::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_after_is_given_under_the_name_by_which_it_was_asked_for() {
        assert_eq!(state_form(true, ""), StateForm::After);
        assert_eq!(
            state_form(false, "since=x&org.matrix.msc4222.use_state_after=true"),
            StateForm::UnstableAfter
        );
        assert_eq!(state_form(false, "org.matrix.msc4222.use_state_after=false"), StateForm::Before);
    }
}
