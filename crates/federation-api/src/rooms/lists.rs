//! Lists of events in answers.

use std::collections::VecDeque;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};
use freehold_rooms::{ServerView, Unreadable};
use freehold_store::{EventNumber, Tenant};
use futures_util::stream::try_unfold;
use ruma_common::OwnedServerName;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::ApiError;

/// An event in federation format.
pub(super) type Event = Box<RawValue>;

/// Events in the form in which servers send them.
#[derive(Serialize)]
pub(super) struct Transaction {
    origin: OwnedServerName,
    origin_server_ts: i64,
    pdus: Vec<Event>,
}

impl Transaction {
    /// Events of a tenant, sent now.
    pub(super) fn of(tenant: &Tenant, now_ts: i64, pdus: Vec<Event>) -> Self {
        Transaction { origin: tenant.server_name().to_owned(), origin_server_ts: now_ts, pdus }
    }
}

/// Texts of events as they are.
pub(super) fn texts(texts: Vec<String>) -> Result<Vec<Event>, ApiError> {
    texts.into_iter().map(|text| RawValue::from_string(text).map_err(ApiError::internal)).collect()
}

/// How events of a list are written.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Whole.
    Events,
    /// By their ids.
    Ids,
}

/// An object of lists of events. At any time a page of it is in memory.
pub(super) struct Lists {
    view: ServerView,
    form: Form,
    lists: VecDeque<(&'static str, VecDeque<EventNumber>)>,
    /// What comes before the next list or event.
    lead: String,
    ended: bool,
}

/// How many events are read at a time.
const PAGE: usize = 200;

impl Lists {
    pub(super) fn new(view: ServerView, form: Form, lists: Vec<(&'static str, Vec<EventNumber>)>) -> Self {
        let lists: VecDeque<_> =
            lists.into_iter().map(|(name, events)| (name, VecDeque::from(events))).collect();
        let lead = lists.front().map_or_else(|| "{".to_owned(), |(name, _)| format!("{{\"{name}\":["));
        Lists { view, form, lists, lead, ended: false }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let pages = try_unfold(self, |mut lists| async move {
            let page = lists.page().await.inspect_err(|error| {
                tracing::error!(%error, "an answer breaks off");
            })?;
            Ok::<_, Unreadable>(page.map(|page| (page, lists)))
        });
        let mut response = Response::new(Body::from_stream(pages));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// The next piece of the text.
    async fn page(&mut self) -> Result<Option<String>, Unreadable> {
        if self.ended {
            return Ok(None);
        }
        let mut text = std::mem::take(&mut self.lead);
        let Some((_, events)) = self.lists.front_mut() else {
            self.ended = true;
            return Ok(Some(text + "}"));
        };
        let page: Vec<EventNumber> = events.drain(..events.len().min(PAGE)).collect();
        let rest = events.len();
        text.push_str(&self.written(&page).await?.join(","));
        if rest > 0 {
            self.lead = ",".to_owned();
            return Ok(Some(text));
        }
        self.lists.pop_front();
        text.push(']');
        self.lead = self.lists.front().map(|(name, _)| format!(",\"{name}\":[")).unwrap_or_default();
        Ok(Some(text))
    }

    async fn written(&self, page: &[EventNumber]) -> Result<Vec<String>, Unreadable> {
        match self.form {
            Form::Events => self.view.texts(page).await,
            Form::Ids => {
                let ids = self.view.ids(page).await?;
                Ok(ids.iter().map(|id| serde_json::Value::from(id.as_str()).to_string()).collect())
            }
        }
    }
}
