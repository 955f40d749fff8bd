//! [`GET /capabilities`](https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation).

use std::collections::BTreeMap;

use axum::extract::State;
use freehold_accounts::Accounts;
use freehold_rooms::Rooms;
use ruma_client_api::discovery::get_capabilities::v3::{
    AccountModerationCapability, Capabilities, GetLoginTokenCapability, ProfileFieldsCapability, Request,
    Response, RoomVersionStability, RoomVersionsCapability, ThirdPartyIdChangesCapability,
};
use ruma_common::RoomVersionId;

use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Room versions in which rooms can be made and joined.
const ROOM_VERSIONS: &[RoomVersionId] = &[
    RoomVersionId::V1,
    RoomVersionId::V2,
    RoomVersionId::V3,
    RoomVersionId::V4,
    RoomVersionId::V5,
    RoomVersionId::V6,
    RoomVersionId::V7,
    RoomVersionId::V8,
    RoomVersionId::V9,
    RoomVersionId::V10,
    RoomVersionId::V11,
    RoomVersionId::V12,
];

/// Answers with what this server can do for the user.
pub(crate) async fn capabilities(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    user: Authenticated,
    _: Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let available: BTreeMap<_, _> =
        ROOM_VERSIONS.iter().map(|version| (version.clone(), RoomVersionStability::Stable)).collect();
    let default = rooms.default_version(&user.actor.tenant).await.id();
    let default = RoomVersionId::try_from(default).unwrap_or(RoomVersionId::V12);
    let mut capabilities = Capabilities::new();
    capabilities.room_versions = RoomVersionsCapability::new(default, available);
    capabilities.thirdparty_id_changes = ThirdPartyIdChangesCapability::new(false);
    capabilities.get_login_token = GetLoginTokenCapability::new(true);
    capabilities.profile_fields = Some(ProfileFieldsCapability::new(true));
    if accounts.is_administrator(&user.actor).await? {
        capabilities.account_moderation = AccountModerationCapability::new(true, true);
    }
    Ok(Reply(Response::new(capabilities)))
}
