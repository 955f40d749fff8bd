//! The users' own data, as sync asks for it.

use std::error::Error;

use freehold_accounts::Accounts;
use freehold_store::{Actor, Position, Snapshot, UserNumber};
use freehold_sync::response::EventJson;
use freehold_sync::{AccountData, AccountNews, Answer, NewsError};
use ruma_client_api::filter::FilterDefinition;
use ruma_common::push::Ruleset;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// What accounts keep for their users.
pub(crate) struct NewsOfAccounts(pub(crate) Accounts);

impl AccountNews for NewsOfAccounts {
    fn filter<'a>(&'a self, actor: &'a Actor, filter_id: &'a str) -> Answer<'a, Option<FilterDefinition>> {
        Box::pin(async move {
            let text = self.0.filter(actor.user, filter_id).await.map_err(failed)?;
            Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
        })
    }

    fn account_data<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
        since: Option<Position>,
    ) -> Answer<'a, Vec<AccountData>> {
        Box::pin(async move {
            let found = match since {
                Some(since) => self.0.account_data_since(snapshot, user, since).await,
                None => self.0.all_account_data(snapshot, user).await,
            };
            Ok(found.map_err(failed)?.into_iter().filter_map(news).collect())
        })
    }

    fn ruleset<'a>(&'a self, snapshot: &'a Snapshot, user: UserNumber) -> Answer<'a, Ruleset> {
        Box::pin(async move { self.0.ruleset(snapshot, user).await.map_err(failed) })
    }
}

fn failed(error: impl Error + Send + Sync + 'static) -> NewsError {
    NewsError(Box::new(error))
}

fn news(data: freehold_accounts::AccountData) -> Option<AccountData> {
    let event = event(&data.event_type, &data.content)?;
    Some(AccountData { room: data.room, event_type: data.event_type, event, changed: data.changed })
}

fn event(name: &str, content: &str) -> Option<EventJson> {
    #[derive(Serialize)]
    struct Event<'a> {
        r#type: &'a str,
        content: &'a RawValue,
    }
    to_raw_value(&Event { r#type: name, content: serde_json::from_str(content).ok()? }).ok()
}
