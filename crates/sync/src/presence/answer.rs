//! Presence as clients are told of it (<https://spec.matrix.org/v1.19/client-server-api/#mpresence>).

use ruma_common::UserId;
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::limits::ANSWERED_MAX;
use super::shown::{PresenceState, ToldPresence};
use crate::filter::{event_passes, limit};
use crate::response::EventJson;
use crate::service::Look;

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    sender: &'a UserId,
    content: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    presence: PresenceState,
    last_active_ago: i64,
    currently_active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_msg: Option<&'a str>,
}

impl Look {
    /// Who came and went, as the filter wants it; of users whom the reader ignores, nothing is said.
    pub(crate) fn presence(&self) -> Vec<EventJson> {
        let now_ts = self.inner.outside.clock.now_ts();
        let news = self.inner.presence.news(self.actor.user, self.presence_since, (now_ts, ANSWERED_MAX));
        let shown = news.iter().filter(|(user_id, _)| self.is_told_of(user_id));
        let mut events: Vec<EventJson> = shown.filter_map(|(user_id, told)| event(user_id, told)).collect();
        let filter = &self.request.filter.presence;
        events.retain(|event| event_passes(filter, event.get()));
        limit(&mut events, filter.limit);
        events
    }
}

fn event(user_id: &UserId, told: &ToldPresence) -> Option<EventJson> {
    let content = Content {
        presence: told.shown.state,
        last_active_ago: told.last_active_ago_ms,
        currently_active: told.is_currently_active(),
        status_msg: told.shown.status_msg.as_deref(),
    };
    to_raw_value(&Event { r#type: "m.presence", sender: user_id, content }).ok()
}
