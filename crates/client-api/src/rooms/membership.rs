//! [Room membership](https://spec.matrix.org/v1.19/client-server-api/#room-membership): what users do about their own and
//! each other's.

use axum::extract::State;
use freehold_accounts::Accounts;
use freehold_rooms::{ActionError, Entry, MemberAction, Rooms};
use freehold_store::Actor;
use ruma_client_api::knock::knock_room::v3 as knock;
use ruma_client_api::membership::{
    ban_user, forget_room, invite_user, join_room_by_id, join_room_by_id_or_alias, kick_user, leave_room,
    unban_user,
};
use ruma_common::api::error::ErrorCode;
use ruma_common::{OwnedRoomId, RoomId};
use tokio::time::{Instant, timeout_at};

use super::error::{entering, in_room};
use super::settings::carry_over;
use super::whole::PATIENCE;
use crate::authenticated::{Authenticated, EvenSuspended};
use crate::consent::Consenting;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// `POST /join/{roomIdOrAlias}`.
pub(crate) async fn join(
    State(rooms): State<Rooms>,
    State(accounts): State<Accounts>,
    Consenting(user): Consenting,
    Body(request): Body<join_room_by_id_or_alias::v3::Request>,
) -> Result<Reply<join_room_by_id_or_alias::v3::Response>, ApiError> {
    let entry = Entry { room: request.room_id_or_alias, via: request.via, reason: request.reason };
    let entered = to_its_end(&rooms, &user.actor, &entry, Way::Join(accounts)).await?;
    let room_id = entered_or_why(&rooms, &user.actor, entry, entered).await?;
    Ok(Reply(join_room_by_id_or_alias::v3::Response::new(room_id)))
}

/// `POST /rooms/{roomId}/join`.
pub(crate) async fn join_by_id(
    State(rooms): State<Rooms>,
    State(accounts): State<Accounts>,
    Consenting(user): Consenting,
    Body(request): Body<join_room_by_id::v3::Request>,
) -> Result<Reply<join_room_by_id::v3::Response>, ApiError> {
    let entry = Entry { room: request.room_id.into(), via: Vec::new(), reason: request.reason };
    let entered = to_its_end(&rooms, &user.actor, &entry, Way::Join(accounts)).await?;
    let room_id = entered_or_why(&rooms, &user.actor, entry, entered).await?;
    Ok(Reply(join_room_by_id::v3::Response::new(room_id)))
}

/// `POST /knock/{roomIdOrAlias}`.
pub(crate) async fn knock(
    State(rooms): State<Rooms>,
    Consenting(user): Consenting,
    Body(request): Body<knock::Request>,
) -> Result<Reply<knock::Response>, ApiError> {
    let entry = Entry { room: request.room_id_or_alias, via: request.via, reason: request.reason };
    let entered = to_its_end(&rooms, &user.actor, &entry, Way::Knock).await?;
    let room_id = entered_or_why(&rooms, &user.actor, entry, entered).await?;
    Ok(Reply(knock::Response::new(room_id)))
}

/// `POST /rooms/{roomId}/invite`, by user id.
pub(crate) async fn invite(
    State(rooms): State<Rooms>,
    Consenting(user): Consenting,
    Body(request): Body<invite_user::v3::Request>,
) -> Result<Reply<invite_user::v3::Response>, ApiError> {
    let invite_user::v3::InvitationRecipient::UserId(invitee) = request.recipient else {
        return Err(ApiError::new(
            ErrorCode::ThreepidMediumNotSupported,
            "people can be invited by their user ids only",
        ));
    };
    let action = MemberAction { user_id: invitee.user_id, reason: invitee.reason };
    let done = rooms.invite(&user.actor, &request.room_id, action).await;
    done_or_why(&rooms, &user.actor, &request.room_id, done).await?;
    Ok(Reply(invite_user::v3::Response::new()))
}

/// `POST /rooms/{roomId}/leave`.
pub(crate) async fn leave(
    State(rooms): State<Rooms>,
    EvenSuspended(user): EvenSuspended,
    Body(request): Body<leave_room::v3::Request>,
) -> Result<Reply<leave_room::v3::Response>, ApiError> {
    let done = rooms.leave(&user.actor, &request.room_id, request.reason).await;
    done_or_why(&rooms, &user.actor, &request.room_id, done).await?;
    Ok(Reply(leave_room::v3::Response::new()))
}

/// `POST /rooms/{roomId}/forget`.
pub(crate) async fn forget(
    State(rooms): State<Rooms>,
    EvenSuspended(user): EvenSuspended,
    Body(request): Body<forget_room::v3::Request>,
) -> Result<Reply<forget_room::v3::Response>, ApiError> {
    let done = rooms.forget(&user.actor, &request.room_id).await;
    // "400: The user has not left the room".
    let done = done.map_err(|error| match error {
        ActionError::MayNot(_) => ApiError::new(ErrorCode::Unknown, error),
        error => error.into(),
    });
    done.map(|()| Reply(forget_room::v3::Response::new()))
}

/// `POST /rooms/{roomId}/kick`.
pub(crate) async fn kick(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<kick_user::v3::Request>,
) -> Result<Reply<kick_user::v3::Response>, ApiError> {
    let action = MemberAction { user_id: request.user_id, reason: request.reason };
    let done = rooms.kick(&user.actor, &request.room_id, action).await;
    done_or_why(&rooms, &user.actor, &request.room_id, done).await?;
    Ok(Reply(kick_user::v3::Response::new()))
}

/// `POST /rooms/{roomId}/ban`.
pub(crate) async fn ban(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<ban_user::v3::Request>,
) -> Result<Reply<ban_user::v3::Response>, ApiError> {
    let action = MemberAction { user_id: request.user_id, reason: request.reason };
    let done = rooms.ban(&user.actor, &request.room_id, action).await;
    done_or_why(&rooms, &user.actor, &request.room_id, done).await?;
    Ok(Reply(ban_user::v3::Response::new()))
}

/// `POST /rooms/{roomId}/unban`.
pub(crate) async fn unban(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<unban_user::v3::Request>,
) -> Result<Reply<unban_user::v3::Response>, ApiError> {
    let action = MemberAction { user_id: request.user_id, reason: request.reason };
    let done = rooms.unban(&user.actor, &request.room_id, action).await;
    done_or_why(&rooms, &user.actor, &request.room_id, done).await?;
    Ok(Reply(unban_user::v3::Response::new()))
}

async fn done_or_why(
    rooms: &Rooms,
    actor: &Actor,
    room_id: &RoomId,
    done: Result<(), ActionError>,
) -> Result<(), ApiError> {
    match done {
        Ok(()) => Ok(()),
        Err(error) => Err(in_room(rooms, actor, room_id, error).await),
    }
}

/// How somebody wants into a room.
enum Way {
    /// With what the user settled for a room that this one replaces.
    Join(Accounts),
    Knock,
}

/// Enters a room, also when the client does not wait for it: another server may have let the user in by then.
async fn to_its_end(
    rooms: &Rooms,
    actor: &Actor,
    entry: &Entry,
    way: Way,
) -> Result<Result<OwnedRoomId, ActionError>, ApiError> {
    let (rooms, actor, entry) = (rooms.clone(), actor.clone(), entry.clone());
    let entering = tokio::spawn(async move {
        match way {
            Way::Join(accounts) => {
                let entered = once_known(&rooms, || rooms.join(&actor, entry.clone())).await;
                if let Ok(room_id) = &entered {
                    carry_over(&rooms, &accounts, &actor, room_id).await;
                }
                entered
            }
            Way::Knock => once_known(&rooms, || rooms.knock(&actor, entry.clone())).await,
        }
    });
    entering.await.map_err(ApiError::internal)
}

/// Tries again whenever all members of some room are known, while the reason against it is that they are not, for a while.
async fn once_known<T, F>(rooms: &Rooms, enter: impl Fn() -> F) -> Result<T, ActionError>
where
    F: Future<Output = Result<T, ActionError>>,
{
    let mut changes = rooms.partial_changes();
    let deadline = Instant::now() + PATIENCE;
    loop {
        changes.borrow_and_update();
        let entered = enter().await;
        let waits = matches!(entered, Err(ActionError::Partial))
            && matches!(timeout_at(deadline, changes.changed()).await, Ok(Ok(())));
        if !waits {
            return entered;
        }
    }
}

async fn entered_or_why(
    rooms: &Rooms,
    actor: &Actor,
    entry: Entry,
    entered: Result<OwnedRoomId, ActionError>,
) -> Result<OwnedRoomId, ApiError> {
    match entered {
        Ok(room_id) => Ok(room_id),
        // Aliases are public: any server may ask where one leads. What another server says is no secret of ours.
        Err(
            error @ (ActionError::UnknownAlias(_)
            | ActionError::Refused { .. }
            | ActionError::BadAnswer { .. }),
        ) => Err(error.into()),
        Err(error) => Err(match OwnedRoomId::try_from(entry.room) {
            Ok(room_id) => entering(rooms, actor, &room_id, error).await,
            Err(alias) => match rooms.resolve_alias(&actor.tenant, &alias).await {
                Ok(room_id) => entering(rooms, actor, &room_id, error).await,
                Err(gone) => gone.into(),
            },
        }),
    }
}
