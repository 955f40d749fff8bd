//! What a user settled for a room goes with the user into the room that replaces it
//! (<https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-18>).

use freehold_store::{Actor, UserNumber};
use ruma_common::RoomId;
use ruma_common::push::{
    ConditionalPushRule, EventMatchConditionData, NewConditionalPushRule, NewPushRule, NewSimplePushRule,
    PushCondition, Ruleset,
};
use serde_json::{Value, json};

use crate::account_data::AccountDataError;
use crate::accounts::Accounts;
use crate::failure::{ServerFailure, server_failures};
use crate::push_rules::PushRulesError;
use crate::tags::TAG_TYPE;

const DIRECT_TYPE: &str = "m.direct";

/// A room, and the one that replaces it.
type Rooms<'a> = (&'a RoomId, &'a RoomId);

/// Why settings are not carried over.
#[derive(Debug, thiserror::Error)]
pub enum CarryOverError {
    /// Tags, or the list of direct chats, would be too many.
    #[error(transparent)]
    AccountData(AccountDataError),
    /// Push rules would be too many.
    #[error(transparent)]
    PushRules(PushRulesError),
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(CarryOverError);

impl From<AccountDataError> for CarryOverError {
    fn from(error: AccountDataError) -> Self {
        match error {
            AccountDataError::Server(failure) => CarryOverError::Server(failure),
            other => CarryOverError::AccountData(other),
        }
    }
}

impl From<PushRulesError> for CarryOverError {
    fn from(error: PushRulesError) -> Self {
        match error {
            PushRulesError::Server(failure) => CarryOverError::Server(failure),
            other => CarryOverError::PushRules(other),
        }
    }
}

impl Accounts {
    /// Gives the room that replaces another what the actor settled for that one: its tags, its place among the direct chats,
    /// its push rules. What the actor settled for the new room stays as it is.
    ///
    /// > When a user joins the new room, the server should automatically transfer/replicate some of the user's personalized
    /// > settings such as notifications, tags, etc.
    ///
    /// # Errors
    /// [`CarryOverError`]; some may be carried over by then.
    pub async fn carry_over(&self, actor: &Actor, rooms: Rooms<'_>) -> Result<(), CarryOverError> {
        self.carry_tags(actor.user, rooms).await?;
        self.carry_direct(actor.user, rooms).await?;
        self.carry_push_rules(actor, rooms).await
    }

    async fn carry_tags(&self, user: UserNumber, (old, new): Rooms<'_>) -> Result<(), CarryOverError> {
        let tags = self.tags(user, old).await?;
        let is_settled = self.account_data_if_set(user, (Some(new), TAG_TYPE)).await?.is_some();
        if tags.is_empty() || is_settled {
            return Ok(());
        }
        let content = json!({ "tags": tags }).to_string();
        Ok(self.put_account_data(user, (Some(new), TAG_TYPE), &content).await?)
    }

    async fn carry_direct(&self, user: UserNumber, rooms: Rooms<'_>) -> Result<(), CarryOverError> {
        let direct = self.account_data_if_set(user, (None, DIRECT_TYPE)).await?;
        if direct.and_then(|direct| with_replacement(&direct, rooms)).is_none() {
            return Ok(());
        }
        let max = self.limits().account_data_bytes;
        let change = |now: Option<&str>| {
            let now = now.unwrap_or("{}");
            let content = with_replacement(now, rooms).unwrap_or_else(|| now.to_owned());
            let found = content.len();
            if found > max { Err(AccountDataError::TooLarge { found, max }) } else { Ok(content) }
        };
        Ok(self.change_account_data(user, (None, DIRECT_TYPE), change).await?)
    }

    async fn carry_push_rules(&self, actor: &Actor, rooms: Rooms<'_>) -> Result<(), CarryOverError> {
        if carried_rules(&self.push_rules(actor).await?, rooms).is_empty() {
            return Ok(());
        }
        let carry = |rules: &mut Ruleset| {
            for (rule, enabled) in carried_rules(rules, rooms) {
                let (kind, rule_id) = (rule.kind(), rule.rule_id().to_owned());
                rules.insert(rule, None, None)?;
                rules.set_enabled(kind, rule_id, enabled)?;
            }
            Ok(())
        };
        Ok(self.change_rules(actor, carry).await?)
    }

    async fn account_data_if_set(
        &self,
        user: UserNumber,
        place: (Option<&RoomId>, &str),
    ) -> Result<Option<String>, AccountDataError> {
        match self.account_data(user, place).await {
            Ok(content) => Ok(Some(content)),
            Err(AccountDataError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The direct chats with a new room wherever the old one is; `None` if there is nothing to add.
fn with_replacement(direct: &str, (old, new): Rooms<'_>) -> Option<String> {
    let mut direct: Value = serde_json::from_str(direct).ok()?;
    let mut is_changed = false;
    for rooms in direct.as_object_mut()?.values_mut().filter_map(Value::as_array_mut) {
        let has = |room: &RoomId| rooms.iter().any(|id| id.as_str() == Some(room.as_str()));
        if has(old) && !has(new) {
            rooms.push(new.as_str().into());
            is_changed = true;
        }
    }
    is_changed.then(|| direct.to_string())
}

/// The rules for a new room that are those for the old one, and whether they are in force. Where there is one already, there is
/// nothing to add.
fn carried_rules(rules: &Ruleset, (old, new): Rooms<'_>) -> Vec<(NewPushRule, bool)> {
    let mut carried = Vec::new();
    if rules.room.iter().all(|rule| rule.rule_id != new)
        && let Some(rule) = rules.room.iter().find(|rule| rule.rule_id == old)
    {
        let new = NewSimplePushRule::new(new.to_owned(), rule.actions.clone());
        carried.push((NewPushRule::Room(new), rule.enabled));
    }
    let kinds = [
        (&rules.override_, NewPushRule::Override as fn(NewConditionalPushRule) -> NewPushRule),
        (&rules.underride, NewPushRule::Underride),
    ];
    for (rules, make) in kinds {
        if rules.iter().all(|rule| rule.rule_id != new.as_str())
            && let Some(rule) = rules.iter().find(|rule| is_about(rule, old))
        {
            carried.push((make(for_room(rule, (old, new))), rule.enabled));
        }
    }
    carried
}

fn is_about(rule: &ConditionalPushRule, room: &RoomId) -> bool {
    !rule.default && rule.conditions.iter().any(|condition| names(condition, room))
}

fn names(condition: &PushCondition, room: &RoomId) -> bool {
    matches!(condition, PushCondition::EventMatch(matched)
        if matched.key == "room_id" && matched.pattern == room.as_str())
}

/// The same rule for another room, under the name that rules for one room have by custom: the room's.
fn for_room(rule: &ConditionalPushRule, (old, new): Rooms<'_>) -> NewConditionalPushRule {
    let replaced = |condition: &PushCondition| match names(condition, old) {
        true => EventMatchConditionData::new("room_id".to_owned(), new.to_string()).into(),
        false => condition.clone(),
    };
    let conditions = rule.conditions.iter().map(replaced).collect();
    NewConditionalPushRule::new(new.to_string(), conditions, rule.actions.clone())
}
