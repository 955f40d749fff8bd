//! What servers are not shown, as errors of the API.

use freehold_rooms::NotShown;

use crate::error::ApiError;

/// Who is not in a room learns nothing, also not whether there is such a room: all refusals are one for them.
impl From<NotShown> for ApiError {
    fn from(error: NotShown) -> Self {
        match error {
            NotShown::UnknownRoom | NotShown::NotInRoom => not_in_room(),
            NotShown::ShutOut => ApiError::forbidden(error),
            NotShown::UnknownEvent(_) | NotShown::Hidden(_) => unknown_event(),
            NotShown::TooMuch => ApiError::too_large(error),
            error => ApiError::internal(error),
        }
    }
}

fn not_in_room() -> ApiError {
    ApiError::forbidden("your server is not in this room")
}

/// Of an event that is asked for without its room: whether it is in a room that the server is not in makes no difference.
pub(super) fn without_room(error: NotShown) -> ApiError {
    match error {
        NotShown::UnknownRoom | NotShown::NotInRoom => unknown_event(),
        error => error.into(),
    }
}

fn unknown_event() -> ApiError {
    ApiError::not_found("there is no such event that your server may see")
}
