//! [Push rules](https://spec.matrix.org/v1.19/client-server-api/#push-rules-api).

use axum::extract::State;
use freehold_accounts::{Accounts, PushRulesError};
use freehold_store::Actor;
use ruma_client_api::push::{
    PushRule, delete_pushrule::v3 as delete, get_pushrule::v3 as get, get_pushrule_actions::v3 as actions,
    get_pushrule_enabled::v3 as enabled, get_pushrules_all::v3 as all,
    get_pushrules_global_scope::v3 as global, set_pushrule::v3 as set,
    set_pushrule_actions::v3 as change_actions, set_pushrule_enabled::v3 as change_enabled,
};
use ruma_common::push::{AnyPushRule, RuleKind};

use crate::authenticated::{Authenticated, EvenSuspended};
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Answers with all push rules of the user.
pub(crate) async fn get_all(
    user: Authenticated,
    State(accounts): State<Accounts>,
    _: Body<all::Request>,
) -> Result<Reply<all::Response>, ApiError> {
    Ok(Reply(all::Response::new(accounts.push_rules(&user.actor).await?)))
}

/// Answers with the same without the word around it.
pub(crate) async fn get_global(
    user: Authenticated,
    State(accounts): State<Accounts>,
    _: Body<global::Request>,
) -> Result<Reply<global::Response>, ApiError> {
    Ok(Reply(global::Response::new(accounts.push_rules(&user.actor).await?)))
}

/// Answers with one rule of the user.
pub(crate) async fn get_rule(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<get::Request>,
) -> Result<Reply<get::Response>, ApiError> {
    let rule = find(&accounts, &user.actor, (request.kind, &request.rule_id)).await?;
    Ok(Reply(get::Response::new(PushRule::from(rule))))
}

/// Makes or changes a rule of the user.
pub(crate) async fn set_rule(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<set::Request>,
) -> Result<Reply<set::Response>, ApiError> {
    let place = (request.after.as_deref(), request.before.as_deref());
    accounts.set_push_rule(&user.actor, &request.rule, place).await?;
    Ok(Reply(set::Response::new()))
}

/// Removes a rule that the user made.
pub(crate) async fn delete_rule(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<delete::Request>,
) -> Result<Reply<delete::Response>, ApiError> {
    accounts.delete_push_rule(&user.actor, (request.kind, &request.rule_id)).await?;
    Ok(Reply(delete::Response::new()))
}

/// Answers whether a rule of the user is on.
pub(crate) async fn is_enabled(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<enabled::Request>,
) -> Result<Reply<enabled::Response>, ApiError> {
    let rule = find(&accounts, &user.actor, (request.kind, &request.rule_id)).await?;
    Ok(Reply(enabled::Response::new(rule.enabled())))
}

/// Switches a rule of the user on or off.
pub(crate) async fn set_enabled(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<change_enabled::Request>,
) -> Result<Reply<change_enabled::Response>, ApiError> {
    let rule = (request.kind, request.rule_id.as_str());
    accounts.enable_push_rule(&user.actor, rule, request.enabled).await?;
    Ok(Reply(change_enabled::Response::new()))
}

/// Answers with what a rule of the user does.
pub(crate) async fn get_actions(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<actions::Request>,
) -> Result<Reply<actions::Response>, ApiError> {
    let rule = find(&accounts, &user.actor, (request.kind, &request.rule_id)).await?;
    Ok(Reply(actions::Response::new(rule.actions().to_vec())))
}

/// Changes what a rule of the user does.
pub(crate) async fn set_actions(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<change_actions::Request>,
) -> Result<Reply<change_actions::Response>, ApiError> {
    let rule = (request.kind, request.rule_id.as_str());
    accounts.set_push_rule_actions(&user.actor, rule, &request.actions).await?;
    Ok(Reply(change_actions::Response::new()))
}

async fn find(
    accounts: &Accounts,
    actor: &Actor,
    (kind, rule_id): (RuleKind, &str),
) -> Result<AnyPushRule, ApiError> {
    let rules = accounts.push_rules(actor).await?;
    let rule = rules.get(kind, rule_id).ok_or(PushRulesError::NotFound)?;
    Ok(rule.to_owned())
}
