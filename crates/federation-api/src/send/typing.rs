//! [Typing notifications](https://spec.matrix.org/v1.19/server-server-api/#typing-notifications).

use freehold_sync::NotHeard;
use ruma_common::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;

use super::edus::{Lost, check_admitted};
use crate::asker::Asker;
use crate::services::Services;

#[derive(Deserialize)]
pub(super) struct Typing {
    room_id: OwnedRoomId,
    user_id: OwnedUserId,
    typing: bool,
}

/// A user of the server types, or stopped.
pub(super) async fn take(services: &Services, asker: &Asker, typing: Typing) -> Result<(), Lost> {
    if typing.user_id.server_name() != asker.origin {
        return Err(Lost::ignored("the user is none of the server's"));
    }
    check_admitted(services, asker, &typing.room_id).await?;
    let who = (&*typing.user_id, &*typing.room_id);
    services.sync.hear_typing(&asker.tenant, who, typing.typing).await.map_err(Lost::from)
}

impl From<NotHeard> for Lost {
    fn from(error: NotHeard) -> Self {
        match error {
            NotHeard::NotInRoom | NotHeard::Receipt(_) => Lost::ignored(error),
            error => Lost::failed(error),
        }
    }
}
