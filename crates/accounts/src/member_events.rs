//! The member events of a user, which rooms keep.

use freehold_store::{Actor, BoxFuture, RoomNumber, UserNumber};

use crate::failure::ServerFailure;

/// Sends member events for users of tenants.
pub trait MemberEvents: Send + Sync {
    /// The rooms with greater numbers than `after` in which the actor is joined, invited or has knocked, in order.
    fn rooms<'a>(
        &'a self,
        actor: &'a Actor,
        after: Option<RoomNumber>,
    ) -> BoxFuture<'a, Result<Vec<RoomNumber>, ServerFailure>>;

    /// Sends the actor's profile, as it is now, to a room. Does nothing if the room shows it already, if the actor is
    /// not joined, or if the room does not allow it: there will never be anything else to do.
    fn show_profile<'a>(
        &'a self,
        actor: &'a Actor,
        room: RoomNumber,
    ) -> BoxFuture<'a, Result<(), ServerFailure>>;

    /// The actor leaves a room, takes back a knock or declines an invite. Does nothing if there is none of it.
    fn leave<'a>(&'a self, actor: &'a Actor, room: RoomNumber) -> BoxFuture<'a, Result<(), ServerFailure>>;

    /// From now on shows what a user said to nobody new: the table `erased` holds the user. Who shows nothing has nothing
    /// to do.
    fn erased(&self, _: UserNumber) -> BoxFuture<'_, Result<(), ServerFailure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Nobody is in any room.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMemberEvents;

impl MemberEvents for NoMemberEvents {
    fn rooms<'a>(
        &'a self,
        _: &'a Actor,
        _: Option<RoomNumber>,
    ) -> BoxFuture<'a, Result<Vec<RoomNumber>, ServerFailure>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn show_profile<'a>(&'a self, _: &'a Actor, _: RoomNumber) -> BoxFuture<'a, Result<(), ServerFailure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn leave<'a>(&'a self, _: &'a Actor, _: RoomNumber) -> BoxFuture<'a, Result<(), ServerFailure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
