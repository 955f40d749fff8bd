//! [Creation](https://spec.matrix.org/v1.19/client-server-api/#creation) and
//! [upgrades](https://spec.matrix.org/v1.19/client-server-api/#room-upgrades) of rooms.

use axum::extract::State;
use freehold_accounts::Accounts;
use freehold_rooms::{CreateRoom, InitialState, Preset, Rooms, Upgrade, Visibility};
use ruma_client_api::room::Visibility as Listed;
use ruma_client_api::room::create_room::v3::{Request, Response, RoomPreset};
use ruma_client_api::room::upgrade_room::v3 as upgrade;
use ruma_common::api::error::ErrorCode;
use ruma_common::serde::Raw;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::in_room;
use super::settings::carry_over;
use crate::consent::Consenting;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::{Body, bad_json};

/// `POST /createRoom`.
pub(crate) async fn create_room(
    State(rooms): State<Rooms>,
    Consenting(user): Consenting,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let room_id = rooms.create_room(&user.actor, wanted(request)?).await?;
    Ok(Reply(Response::new(room_id)))
}

/// `POST /rooms/{roomId}/upgrade`.
pub(crate) async fn upgrade_room(
    State(rooms): State<Rooms>,
    State(accounts): State<Accounts>,
    Consenting(user): Consenting,
    Body(request): Body<upgrade::Request>,
) -> Result<Reply<upgrade::Response>, ApiError> {
    let upgrade::Request { room_id, new_version, additional_creators, .. } = request;
    let wanted = Upgrade { new_version: new_version.to_string(), additional_creators };
    match rooms.upgrade(&user.actor, &room_id, wanted).await {
        Ok(replacement) => {
            carry_over(&rooms, &accounts, &user.actor, &replacement).await;
            Ok(Reply(upgrade::Response::new(replacement)))
        }
        Err(error) => Err(in_room(&rooms, &user.actor, &room_id, error).await),
    }
}

fn wanted(request: Request) -> Result<CreateRoom, ApiError> {
    if !request.invite_3pid.is_empty() {
        return Err(ApiError::new(
            ErrorCode::ThreepidMediumNotSupported,
            "`invite_3pid`: people can be invited by their user ids only",
        ));
    }
    let preset = request.preset.as_ref().map(preset).transpose()?;
    let visibility = match request.visibility {
        Listed::Public => Visibility::Public,
        _ => Visibility::Private,
    };
    Ok(CreateRoom {
        preset,
        visibility,
        alias_localpart: request.room_alias_name,
        name: request.name,
        topic: request.topic,
        invite: request.invite,
        is_direct: request.is_direct,
        room_version: request.room_version.map(|version| version.to_string()),
        creation_content: request.creation_content.map(Raw::into_json),
        initial_state: request
            .initial_state
            .iter()
            .enumerate()
            .map(initial_state)
            .collect::<Result<_, _>>()?,
        power_level_content_override: request.power_level_content_override.map(Raw::into_json),
    })
}

fn preset(preset: &RoomPreset) -> Result<Preset, ApiError> {
    match preset {
        RoomPreset::PrivateChat => Ok(Preset::PrivateChat),
        RoomPreset::TrustedPrivateChat => Ok(Preset::TrustedPrivateChat),
        RoomPreset::PublicChat => Ok(Preset::PublicChat),
        other => {
            let message = format!("`preset`: there is none called `{}`", other.as_str());
            Err(ApiError::new(ErrorCode::InvalidParam, message))
        }
    }
}

#[derive(Deserialize)]
struct StateEvent {
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    state_key: String,
    content: Box<RawValue>,
}

fn initial_state<T>((place, raw): (usize, &Raw<T>)) -> Result<InitialState, ApiError> {
    let read: Result<StateEvent, _> = serde_json::from_str(raw.json().get());
    let StateEvent { event_type, state_key, content } = read.map_err(|error| {
        let mut error = bad_json(&error, raw.json().get().as_bytes());
        error.message = format!("`initial_state[{place}]`: {}", error.message);
        error
    })?;
    Ok(InitialState { event_type, state_key, content })
}
