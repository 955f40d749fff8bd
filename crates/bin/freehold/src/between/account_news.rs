//! The users' own data, as sync asks for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use freehold_accounts::{Accounts, ServerFailure};
use freehold_store::tables::accounts::{ACCOUNT_DATA, ACCOUNT_DATA_CHANGES, PUSH_RULES};
use freehold_store::{Actor, EngineError, Order, Position, ReadError, RoomNumber, Snapshot, UserNumber};
use freehold_sync::response::EventJson;
use freehold_sync::{AccountNews, Answer};
use ruma_client_api::filter::FilterDefinition;
use ruma_common::OwnedUserId;
use ruma_common::push::Ruleset;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

/// What accounts keep for their users.
pub(crate) struct NewsOfAccounts(pub(crate) Accounts);

/// Push rules are account data that is not kept with the rest
/// (<https://spec.matrix.org/v1.19/client-server-api/#push-rules-events>).
const PUSH_RULES_TYPE: &str = "m.push_rules";

impl AccountNews for NewsOfAccounts {
    fn filter<'a>(&'a self, actor: &'a Actor, filter_id: &'a str) -> Answer<'a, Option<FilterDefinition>> {
        Box::pin(async move {
            let text = self.0.filter(actor.user, filter_id).await?;
            Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
        })
    }

    fn account_data<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
        room: Option<RoomNumber>,
        since: Option<Position>,
    ) -> Answer<'a, Vec<EventJson>> {
        Box::pin(async move {
            let rows =
                snapshot.scan_prefix(&ACCOUNT_DATA, &(user, room), Order::Ascending, usize::MAX).await?;
            let rows = rows.into_iter().filter(|(_, row)| since.is_none_or(|since| row.changed > since));
            let mut events: Vec<EventJson> =
                rows.filter_map(|((_, _, name), row)| event(&name, &row.content)).collect();
            if room.is_none() {
                events.extend(self.push_rules(snapshot, user, since).await?);
            }
            Ok(events)
        })
    }

    fn rooms_with_account_data<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
        since: Position,
    ) -> Answer<'a, BTreeSet<RoomNumber>> {
        Box::pin(async move {
            let range = ((user, Position(since.0.saturating_add(1))), (user, Position(u64::MAX)));
            let order = Order::Ascending;
            let rows =
                snapshot.scan_range(&ACCOUNT_DATA_CHANGES, (&range.0, &range.1), order, usize::MAX).await?;
            Ok(rows.into_iter().filter_map(|((_, _, room, _), ())| room).collect())
        })
    }

    fn ruleset<'a>(&'a self, snapshot: &'a Snapshot, actor: &'a Actor) -> Answer<'a, Arc<Ruleset>> {
        Box::pin(async move {
            self.0.ruleset(snapshot, actor.user).await.map(Arc::new).map_err(|failure| read_error(&failure))
        })
    }

    fn ignored_users<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
    ) -> Answer<'a, BTreeSet<OwnedUserId>> {
        Box::pin(async move { ignored_users(snapshot, user).await })
    }
}

impl NewsOfAccounts {
    async fn push_rules(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
        since: Option<Position>,
    ) -> Result<Option<EventJson>, ReadError> {
        if let Some(since) = since {
            let row = snapshot.get(&PUSH_RULES, &user).await?;
            if row.is_none_or(|row| row.changed <= since) {
                return Ok(None);
            }
        }
        let global = self.0.ruleset(snapshot, user).await.map_err(|failure| read_error(&failure))?;
        let content = serde_json::to_string(&json!({ "global": global })).unwrap_or_default();
        Ok(event(PUSH_RULES_TYPE, &content))
    }
}

fn read_error(failure: &ServerFailure) -> ReadError {
    ReadError::Engine(EngineError(failure.to_string()))
}

/// `m.ignored_user_list` (<https://spec.matrix.org/v1.19/client-server-api/#mignored_user_list>).
async fn ignored_users(snapshot: &Snapshot, user: UserNumber) -> Result<BTreeSet<OwnedUserId>, ReadError> {
    let place = (user, None, "m.ignored_user_list".to_owned());
    let Some(row) = snapshot.get(&ACCOUNT_DATA, &place).await? else { return Ok(BTreeSet::new()) };
    let content: Value = serde_json::from_str(&row.content).unwrap_or_default();
    let ignored = content.get("ignored_users").and_then(Value::as_object);
    let user_ids = ignored.into_iter().flat_map(|users| users.keys());
    Ok(user_ids.filter_map(|user_id| OwnedUserId::try_from(user_id.as_str()).ok()).collect())
}

fn event(name: &str, content: &str) -> Option<EventJson> {
    #[derive(Serialize)]
    struct Event<'a> {
        r#type: &'a str,
        content: &'a RawValue,
    }
    to_raw_value(&Event { r#type: name, content: serde_json::from_str(content).ok()? }).ok()
}
