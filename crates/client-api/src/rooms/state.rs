//! [Getting events and state](https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room).

use std::collections::BTreeMap;

use axum::extract::State;
use freehold_rooms::{Rooms, StoredEvent};
use freehold_store::TimelineIndex;
use freehold_store::tables::rooms::Membership;
use ruma_client_api::membership::{get_member_events, joined_members, joined_rooms};
use ruma_client_api::room::get_room_event;
use ruma_client_api::state::{get_state_event_for_key, get_state_events};
use ruma_common::UserId;
use ruma_common::api::error::ErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::not_in_room;
use super::messages::parsed;
use super::view::View;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// `GET /rooms/{roomId}/state`.
pub(crate) async fn state(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<get_state_events::v3::Request>,
) -> Result<Reply<get_state_events::v3::Response>, ApiError> {
    let view = View::open(&rooms, &user, request.room_id).await?;
    let events = view.state().await?.events().await?;
    Ok(Reply(get_state_events::v3::Response::new(view.all_shown(&events).await?)))
}

/// `GET /rooms/{roomId}/state/{eventType}/{stateKey}`.
pub(crate) async fn state_event(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<get_state_event_for_key::v3::Request>,
) -> Result<Reply<get_state_event_for_key::v3::Response>, ApiError> {
    use get_state_event_for_key::v3::{Response, StateEventFormat};
    let view = View::open(&rooms, &user, request.room_id).await?;
    let found = view.state().await?.get(&request.event_type.to_string(), &request.state_key).await?;
    let missing = || ApiError::new(ErrorCode::NotFound, "the room has no such state");
    let event = found.ok_or_else(missing)?;
    let json = match request.format {
        StateEventFormat::Event => view.shown::<serde_json::Value>(&event).await?.into_json(),
        _ => RawValue::from_string(event.pdu.content().to_owned()).map_err(ApiError::internal)?,
    };
    Ok(Reply(Response::new(json)))
}

/// `GET /rooms/{roomId}/event/{eventId}`.
pub(crate) async fn event(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<get_room_event::v3::Request>,
) -> Result<Reply<get_room_event::v3::Response>, ApiError> {
    let view = View::open(&rooms, &user, request.room_id).await?;
    let event = view.event_or_state(&request.event_id).await?;
    Ok(Reply(get_room_event::v3::Response::new(view.shown(&event).await?)))
}

/// `GET /rooms/{roomId}/members`.
pub(crate) async fn members(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<get_member_events::v3::Request>,
) -> Result<Reply<get_member_events::v3::Response>, ApiError> {
    let view = View::open(&rooms, &user, request.room_id).await?;
    let state = match request.at.as_deref() {
        Some(at) => view.state_at(TimelineIndex(parsed("at", at)?.next.0.saturating_sub(1))).await?,
        None => view.state().await?,
    };
    let wanted = request.membership.map(|membership| membership.to_string());
    let unwanted = request.not_membership.map(|membership| membership.to_string());
    let mut members = state.members().await?;
    members.retain(|member| {
        let membership = member.row.membership.map(name_of);
        wanted.as_deref().is_none_or(|wanted| membership == Some(wanted))
            && unwanted.as_deref().is_none_or(|unwanted| membership != Some(unwanted))
    });
    Ok(Reply(get_member_events::v3::Response::new(view.all_shown(&members).await?)))
}

fn name_of(membership: Membership) -> &'static str {
    match membership {
        Membership::Invite => "invite",
        Membership::Join => "join",
        Membership::Leave => "leave",
        Membership::Ban => "ban",
        Membership::Knock => "knock",
    }
}

/// `GET /rooms/{roomId}/joined_members`.
pub(crate) async fn joined_members(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<joined_members::v3::Request>,
) -> Result<Reply<joined_members::v3::Response>, ApiError> {
    let view = View::open_joined(&rooms, &user, request.room_id).await?;
    let mut joined = BTreeMap::new();
    let state = view.state().await?;
    state.each_member(Membership::Join, |member| joined.extend(joined_member(member))).await?;
    Ok(Reply(joined_members::v3::Response::new(joined)))
}

#[derive(Deserialize)]
struct MemberContent {
    displayname: Option<serde_json::Value>,
    avatar_url: Option<serde_json::Value>,
}

fn joined_member(member: &StoredEvent) -> Option<(ruma_common::OwnedUserId, joined_members::v3::RoomMember)> {
    let user_id = UserId::parse(member.pdu.state_key()?).ok()?;
    let content: MemberContent = serde_json::from_str(member.pdu.content()).ok()?;
    let text = |value: Option<serde_json::Value>| value?.as_str().map(str::to_owned);
    let mut shown = joined_members::v3::RoomMember::new();
    shown.display_name = text(content.displayname);
    shown.avatar_url = text(content.avatar_url).map(Into::into);
    Some((user_id, shown))
}

/// `GET /joined_rooms`.
pub(crate) async fn joined_rooms(
    State(rooms): State<Rooms>,
    user: Authenticated,
    _: Body<joined_rooms::v3::Request>,
) -> Result<Reply<joined_rooms::v3::Response>, ApiError> {
    let reader = rooms.reader()?;
    let mut joined = Vec::new();
    for (room, row) in reader.memberships(user.actor.user).await? {
        if row.membership == Membership::Join {
            let facts = reader.room(room).await?.ok_or_else(not_in_room)?;
            joined.push(facts.room_id.clone());
        }
    }
    Ok(Reply(joined_rooms::v3::Response::new(joined)))
}
