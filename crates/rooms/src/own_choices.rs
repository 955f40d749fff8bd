//! What users settle for themselves that rooms heed: it lies in their account data.

use std::collections::BTreeSet;

use freehold_store::tables::accounts::ACCOUNT_DATA;
use freehold_store::{ReadError, Snapshot, UserNumber};
use ruma_common::{OwnedUserId, UserId};
use serde_json::Value;

use crate::error::ActionError;
use crate::read::{Reader, StoredEvent, Unreadable};

impl Reader {
    /// Whom a user of a tenant ignores, by `m.ignored_user_list`
    /// (<https://spec.matrix.org/v1.19/client-server-api/#ignoring-users>).
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn ignored_by(&self, user: UserNumber) -> Result<BTreeSet<OwnedUserId>, Unreadable> {
        let content = account_data(&self.snapshot, user, "m.ignored_user_list").await?;
        let ignored = content.get("ignored_users").and_then(Value::as_object);
        let user_ids = ignored.into_iter().flat_map(|users| users.keys());
        Ok(user_ids.filter_map(|user_id| OwnedUserId::try_from(user_id.as_str()).ok()).collect())
    }

    /// Whether a user of a tenant wants no invites.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn blocks_invites(&self, user: UserNumber) -> Result<bool, Unreadable> {
        Ok(blocks_invites(&self.snapshot, user).await?)
    }
}

impl StoredEvent {
    /// Whether it is kept from who ignores these users: "the client will no longer receive events sent by that user, with the
    /// exception of state events".
    pub fn is_ignored(&self, ignored: &BTreeSet<OwnedUserId>) -> bool {
        self.row.state_key.is_none() && ignored.contains(self.pdu.sender())
    }
}

/// "When invites to a given user are blocked, the user's homeserver MUST respond […] with the Matrix error code
/// `M_INVITE_BLOCKED`" (<https://spec.matrix.org/v1.19/client-server-api/#invite-permission>). Users of other servers have no
/// account data here.
///
/// # Errors
/// [`ActionError::InviteBlocked`], and those of the store.
pub(crate) async fn check_wants_invites(snapshot: &Snapshot, invitee: &str) -> Result<(), ActionError> {
    let Ok(user_id) = UserId::parse(invitee) else { return Ok(()) };
    match snapshot.number_of(&user_id).await? {
        Some(user) if blocks_invites(snapshot, user).await? => Err(ActionError::InviteBlocked(user_id)),
        _ => Ok(()),
    }
}

/// Whether a user of a tenant wants no invites, by `m.invite_permission_config`
/// (<https://spec.matrix.org/v1.19/client-server-api/#invite-permission>).
async fn blocks_invites(snapshot: &Snapshot, user: UserNumber) -> Result<bool, ReadError> {
    let content = account_data(snapshot, user, "m.invite_permission_config").await?;
    Ok(content.get("default_action").and_then(Value::as_str) == Some("block"))
}

/// The content of a piece of a user's account data; nothing when there is none.
async fn account_data(snapshot: &Snapshot, user: UserNumber, name: &str) -> Result<Value, ReadError> {
    let row = snapshot.get(&ACCOUNT_DATA, &(user, None, name.to_owned())).await?;
    Ok(row.and_then(|row| serde_json::from_str(&row.content).ok()).unwrap_or_default())
}
