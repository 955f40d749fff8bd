//! Push rules (<https://spec.matrix.org/v1.19/client-server-api/#push-rules>).
//!
//! The store holds the rules that a user made and the default rules that the user changed. The others are made anew
//! each time, so that new defaults reach everybody.

use freehold_store::tables::accounts::{PUSH_RULES, PushRulesRow};
use freehold_store::{Actor, Batch, Snapshot, UserNumber};
use ruma_common::UserId;
use ruma_common::push::{
    Action, ConditionalPushRule, InsertPushRuleError, NewPushRule, RemovePushRuleError, RuleKind,
    RuleNotFoundError, Ruleset,
};
use serde_json::json;

use crate::account_data::{PUSH_RULES_TYPE, mark_changed};
use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::failure::{ServerFailure, server_failures};

/// Why push rules are not changed.
#[derive(Debug, thiserror::Error)]
pub enum PushRulesError {
    /// There is no such rule.
    #[error("the push rule was not found")]
    NotFound,
    /// The rule is one of the server's; those can be switched off, not removed.
    #[error("default rules cannot be removed")]
    Default,
    /// The rule cannot be so, or not there.
    #[error(transparent)]
    Insert(#[from] InsertPushRuleError),
    /// The rules would be too large.
    #[error("push rules would have {found} bytes; {max} are allowed")]
    TooLarge {
        /// Their length.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(PushRulesError);

impl From<RuleNotFoundError> for PushRulesError {
    fn from(_: RuleNotFoundError) -> Self {
        PushRulesError::NotFound
    }
}

impl Accounts {
    /// All push rules of a user, in the order in which they are tried within each kind.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn ruleset(&self, snapshot: &Snapshot, user: UserNumber) -> Result<Ruleset, ServerFailure> {
        let user_id = snapshot.id_of(user).await?;
        let row = snapshot.get(&PUSH_RULES, &user).await?;
        with_defaults(row.as_ref(), &user_id)
    }

    /// All push rules of the actor.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn push_rules(&self, actor: &Actor) -> Result<Ruleset, ServerFailure> {
        self.ruleset(&self.store().snapshot()?, actor.user).await
    }

    /// Makes a rule of the actor, or changes it. `after` and `before` name rules that the actor made.
    ///
    /// # Errors
    /// [`PushRulesError`].
    pub async fn set_push_rule(
        &self,
        actor: &Actor,
        rule: &NewPushRule,
        (after, before): (Option<&str>, Option<&str>),
    ) -> Result<(), PushRulesError> {
        let actions = match rule {
            NewPushRule::Override(rule) | NewPushRule::Underride(rule) => &rule.actions,
            NewPushRule::Content(rule) => &rule.actions,
            NewPushRule::Room(rule) => &rule.actions,
            NewPushRule::Sender(rule) => &rule.actions,
            _ => return Err(PushRulesError::NotFound),
        };
        let (actions, kind) = (without_historical(actions), rule.kind());
        let change = |rules: &mut Ruleset| {
            insert(rules, rule.clone(), after, before)?;
            Ok(rules.set_actions(kind.clone(), rule.rule_id(), actions.clone())?)
        };
        self.change_rules(actor, change).await
    }

    /// Removes a rule that the actor made.
    ///
    /// # Errors
    /// [`PushRulesError`].
    pub async fn delete_push_rule(
        &self,
        actor: &Actor,
        (kind, rule_id): (RuleKind, &str),
    ) -> Result<(), PushRulesError> {
        let remove = |rules: &mut Ruleset| match rules.remove(kind.clone(), rule_id) {
            Ok(()) => Ok(()),
            Err(RemovePushRuleError::ServerDefault) => Err(PushRulesError::Default),
            Err(_) => Err(PushRulesError::NotFound),
        };
        self.change_rules(actor, remove).await
    }

    /// Switches a rule of the actor on or off.
    ///
    /// # Errors
    /// [`PushRulesError::NotFound`].
    pub async fn enable_push_rule(
        &self,
        actor: &Actor,
        (kind, rule_id): (RuleKind, &str),
        enabled: bool,
    ) -> Result<(), PushRulesError> {
        self.change_rules(actor, |rules| Ok(rules.set_enabled(kind.clone(), rule_id, enabled)?)).await
    }

    /// Gives a rule of the actor other actions.
    ///
    /// # Errors
    /// [`PushRulesError::NotFound`].
    pub async fn set_push_rule_actions(
        &self,
        actor: &Actor,
        (kind, rule_id): (RuleKind, &str),
        actions: &[Action],
    ) -> Result<(), PushRulesError> {
        let actions = without_historical(actions);
        self.change_rules(actor, |rules| Ok(rules.set_actions(kind.clone(), rule_id, actions.clone())?)).await
    }

    /// The content of the `m.push_rules` event of a user, as JSON.
    pub(crate) async fn push_rules_content(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
    ) -> Result<String, ServerFailure> {
        Ok(json!({ "global": self.ruleset(snapshot, user).await? }).to_string())
    }

    /// Changes the rules of the actor.
    pub(crate) async fn change_rules(
        &self,
        actor: &Actor,
        change: impl Fn(&mut Ruleset) -> Result<(), PushRulesError>,
    ) -> Result<(), PushRulesError> {
        let mut attempts = Attempts::default();
        loop {
            let snapshot = self.store().snapshot()?;
            let old = snapshot.get(&PUSH_RULES, &actor.user).await?;
            let mut rules = with_defaults(old.as_ref(), &actor.user_id)?;
            change(&mut rules)?;
            let rules = json!(without_defaults(rules, &actor.user_id)).to_string();
            let (found, max) = (rules.len(), self.limits().push_rules_bytes);
            if found > max {
                return Err(PushRulesError::TooLarge { found, max });
            }
            let mut batch = Batch::new();
            batch.expect_unchanged(&PUSH_RULES, &actor.user, old.as_ref());
            let place = (actor.user, None, PUSH_RULES_TYPE.to_owned());
            mark_changed(&place, old.map(|row| row.changed), &mut batch);
            let user = actor.user;
            batch.at_position(move |changed, writes| {
                writes.put(&PUSH_RULES, &user, &PushRulesRow { rules, changed });
            });
            if attempts.commit(self.store(), batch).await?.is_some() {
                return Ok(());
            }
        }
    }
}

/// Puts a rule where it belongs.
///
/// Ruma moves a rule that exists to the place that another rule had before the first was taken out, and panics when that
/// is behind the last one; so it is taken out first, and no rule stands next to itself.
fn insert(
    rules: &mut Ruleset,
    rule: NewPushRule,
    after: Option<&str>,
    before: Option<&str>,
) -> Result<(), PushRulesError> {
    let (kind, rule_id) = (rule.kind(), rule.rule_id().to_owned());
    if [after, before].contains(&Some(rule_id.as_str())) {
        return Err(InsertPushRuleError::UnknownRuleId.into());
    }
    let is_moved = after.is_some() || before.is_some();
    let was_enabled = rules.get(kind.clone(), &rule_id).map(|old| old.enabled());
    if is_moved && was_enabled.is_some() && !rule_id.starts_with('.') {
        // What is not there cannot be removed, and what is one of the server's is refused below.
        let _removed = rules.remove(kind.clone(), &rule_id);
    }
    rules.insert(rule, after, before)?;
    if let Some(enabled) = was_enabled {
        rules.set_enabled(kind, &rule_id, enabled)?;
    }
    Ok(())
}

/// Servers ignore `dont_notify` and `coalesce`
/// (<https://spec.matrix.org/v1.19/client-server-api/#historical-actions>).
fn without_historical(actions: &[Action]) -> Vec<Action> {
    let is_historical = |action: &&Action| matches!(json!(action).as_str(), Some("dont_notify" | "coalesce"));
    actions.iter().filter(|action| !is_historical(action)).cloned().collect()
}

fn with_defaults(row: Option<&PushRulesRow>, user_id: &UserId) -> Result<Ruleset, ServerFailure> {
    let mut rules: Ruleset = match row {
        Some(row) => {
            serde_json::from_str(&row.rules).map_err(|_| ServerFailure::Damaged("set of push rules"))?
        }
        None => Ruleset::new(),
    };
    rules.update_with_server_default(Ruleset::server_default(user_id));
    Ok(rules)
}

/// The rules without those defaults that are as they were.
fn without_defaults(mut rules: Ruleset, user_id: &UserId) -> Ruleset {
    let defaults = Ruleset::server_default(user_id);
    let differs = |rule: &ConditionalPushRule, kind: RuleKind| {
        defaults.get(kind, &rule.rule_id).is_none_or(|default| {
            default.enabled() != rule.enabled || json!(default.actions()) != json!(rule.actions)
        })
    };
    rules.override_.retain(|rule| !rule.default || differs(rule, RuleKind::Override));
    rules.underride.retain(|rule| !rule.default || differs(rule, RuleKind::Underride));
    rules
}
