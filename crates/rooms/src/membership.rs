//! Who is in a room: joining, inviting, leaving, and what others do about it.

use std::sync::Arc;

use freehold_canonical_json::Object;
use freehold_room::Event;
use freehold_store::tables::rooms::{MEMBERSHIPS, Membership, ROOM_SERVERS};
use freehold_store::{Actor, Batch, RoomNumber};
use ruma_common::{OwnedRoomId, OwnedRoomOrAliasId, OwnedServerName, OwnedUserId, RoomId, UserId};
use serde_json::{Map, Value};

use crate::content::{self, text};
use crate::error::ActionError;
use crate::own_choices::check_wants_invites;
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::{Wanted, Work};
use crate::write::membership_of;

/// A room that a user wants into.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The room, or an alias of it.
    pub room: OwnedRoomOrAliasId,
    /// Servers that are in the room, as the user heard.
    pub via: Vec<OwnedServerName>,
    /// Why, as far as the user says.
    pub reason: Option<String>,
}

/// What a user does about the membership of somebody.
#[derive(Clone, Debug)]
pub struct MemberAction {
    /// Whose membership.
    pub user_id: OwnedUserId,
    /// Why, as far as the user says.
    pub reason: Option<String>,
}

/// How a membership is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Invite,
    Leave,
    Kick,
    Ban,
    Unban,
}

impl Rooms {
    /// Joins a room.
    ///
    /// # Errors
    /// [`ActionError`]; [`ActionError::Elsewhere`] when no server that the user named, or was invited by, is here.
    pub async fn join(&self, actor: &Actor, entry: Entry) -> Result<OwnedRoomId, ActionError> {
        let (room_id, via) = self.find(actor, &entry).await?;
        let said = (&*via, entry.reason.as_deref());
        let mut entered = tried!(self.try_enter(actor, &room_id, said, "join"));
        if matches!(&entered, Err(ActionError::Forbidden(_) | ActionError::Elsewhere(_)))
            && self.bring_invite(actor, &room_id).await?
        {
            entered = tried!(self.try_enter(actor, &room_id, said, "join"));
        }
        match entered {
            Err(error) if is_elsewhere(&error) => self.join_elsewhere(actor, &room_id, said).await,
            entered => entered,
        }
    }

    /// Asks to be let into a room.
    ///
    /// # Errors
    /// As [`Rooms::join`].
    pub async fn knock(&self, actor: &Actor, entry: Entry) -> Result<OwnedRoomId, ActionError> {
        let (room_id, via) = self.find(actor, &entry).await?;
        let said = (&*via, entry.reason.as_deref());
        match tried!(self.try_enter(actor, &room_id, said, "knock")) {
            Err(ActionError::Elsewhere(_)) => self.knock_elsewhere(actor, &room_id, said).await,
            done => done,
        }
    }

    /// Invites somebody.
    ///
    /// # Errors
    /// [`ActionError`].
    pub async fn invite(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        action: MemberAction,
    ) -> Result<(), ActionError> {
        if !self.is_foreign(&action.user_id) {
            return tried!(self.try_step(actor, room_id, &action, Step::Invite));
        }
        let content = self.invite_content(actor, room_id, &action).await?;
        let users = (&*actor.user_id, &*action.user_id);
        self.invite_elsewhere(&actor.tenant, room_id, users, content).await.map(|_| ())
    }

    /// Leaves a room, refuses an invitation, or takes a knock back.
    ///
    /// # Errors
    /// [`ActionError`].
    pub async fn leave(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        reason: Option<String>,
    ) -> Result<(), ActionError> {
        if let Some(pending) = self.pending_of(actor, room_id).await? {
            return self.leave_elsewhere(actor, (room_id, pending), reason.as_deref()).await;
        }
        let action = MemberAction { user_id: actor.user_id.clone(), reason };
        match tried!(self.try_step(actor, room_id, &action, Step::Leave)) {
            Err(ActionError::NotInRoom) if self.bring_invite(actor, room_id).await? => {
                tried!(self.try_step(actor, room_id, &action, Step::Leave))
            }
            done => done,
        }
    }

    /// Makes somebody leave.
    ///
    /// # Errors
    /// [`ActionError`].
    pub async fn kick(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        action: MemberAction,
    ) -> Result<(), ActionError> {
        tried!(self.try_step(actor, room_id, &action, Step::Kick))
    }

    /// Bans somebody.
    ///
    /// # Errors
    /// [`ActionError`].
    pub async fn ban(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        action: MemberAction,
    ) -> Result<(), ActionError> {
        tried!(self.try_step(actor, room_id, &action, Step::Ban))
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// [`ActionError`].
    pub async fn unban(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        action: MemberAction,
    ) -> Result<(), ActionError> {
        tried!(self.try_step(actor, room_id, &action, Step::Unban))
    }

    /// Forgets a room that the user is no longer in.
    ///
    /// # Errors
    /// [`ActionError::UnknownRoom`], [`ActionError::MayNot`].
    pub async fn forget(&self, actor: &Actor, room_id: &RoomId) -> Result<(), ActionError> {
        tried!(self.try_forget(actor, room_id))
    }

    async fn try_forget(&self, actor: &Actor, room_id: &RoomId) -> Result<(), ActionError> {
        let unknown = || ActionError::UnknownRoom(room_id.to_owned());
        let snapshot = self.0.store.snapshot()?;
        let room = snapshot.number_of(&room_id.to_owned()).await?.ok_or_else(unknown)?;
        let key = (actor.user, room);
        let row = snapshot.get(&MEMBERSHIPS, &key).await?.ok_or_else(unknown)?;
        if !matches!(row.membership, Membership::Leave | Membership::Ban) {
            return Err(ActionError::MayNot("leave the room before you forget it"));
        }
        let mut forgotten = row.clone();
        forgotten.forgotten = true;
        let mut batch = Batch::new();
        batch.expect_unchanged(&MEMBERSHIPS, &key, Some(&row));
        batch.put(&MEMBERSHIPS, &key, &forgotten);
        batch.touch(room);
        batch.wake(actor.user);
        self.0.store.commit(batch).await?;
        Ok(())
    }

    /// What an invite of a user of another server says.
    async fn invite_content(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        action: &MemberAction,
    ) -> Result<Object<'static>, ActionError> {
        let work = Work::begin_as(self, actor, room_id).await?;
        let said = ("invite", action.reason.as_deref());
        Ok(work.member_event(actor, &action.user_id, said, Map::new())?.content)
    }

    /// The room that is meant, and the servers that may be in it.
    async fn find(
        &self,
        actor: &Actor,
        entry: &Entry,
    ) -> Result<(OwnedRoomId, Vec<OwnedServerName>), ActionError> {
        let mut via = entry.via.clone();
        let room_id = match <&ruma_common::RoomAliasId>::try_from(&*entry.room) {
            Ok(alias) => {
                let found = self.find_alias(&actor.tenant, alias).await?;
                via.push(alias.server_name().to_owned());
                via.extend(found.servers);
                found.room_id
            }
            Err(room_id) => room_id.to_owned(),
        };
        via.extend(room_id.server_name().map(ToOwned::to_owned));
        Ok((room_id, via))
    }

    pub(crate) async fn try_enter(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        (via, reason): (&[OwnedServerName], Option<&str>),
        membership: &'static str,
    ) -> Result<OwnedRoomId, ActionError> {
        let elsewhere = |error| match error {
            ActionError::UnknownRoom(room_id) => ActionError::Elsewhere(room_id),
            error => error,
        };
        let mut work = Work::begin(self, room_id).await.map_err(elsewhere)?;
        let member = work.state_event("m.room.member", actor.user_id.as_str()).await?;
        let now = member.as_deref().and_then(membership_of);
        if now == Some(Membership::Join) {
            return Ok(room_id.to_owned());
        }
        let inviter = member.filter(|_| now == Some(Membership::Invite));
        if !work.is_reached(actor, via, inviter.as_deref()).await? {
            // What another server would tell of it cannot be taken now; that it is known here is nobody's business.
            if work.is_partial && work.locals.joined().next().is_some() {
                return Err(ActionError::Busy);
            }
            return Err(ActionError::Elsewhere(room_id.to_owned()));
        }
        // Whoever wants in may be banned, or invited.
        if work.is_partial {
            return Err(ActionError::Partial);
        }
        let profile = self.0.outside.profiles.member_profile(&actor.tenant, &actor.user_id).await;
        let wanted = work.member_event(actor, &actor.user_id, (membership, reason), profile)?;
        work.append_any(actor, wanted).await?;
        work.commit().await?;
        Ok(room_id.to_owned())
    }

    async fn try_step(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        action: &MemberAction,
        step: Step,
    ) -> Result<(), ActionError> {
        let mut work = Work::begin_as(self, actor, room_id).await?;
        let target = &action.user_id;
        // Whether another is in the room may not be known.
        if work.is_partial && *target != actor.user_id {
            return Err(ActionError::Partial);
        }
        let now = work.state_event("m.room.member", target.as_str()).await?;
        let now = now.as_deref().and_then(membership_of);
        if !is_step(step, now)? {
            return Ok(());
        }
        let (membership, profile) = match step {
            Step::Invite => ("invite", work.profile_of(actor, target).await?),
            Step::Ban => ("ban", Map::new()),
            Step::Leave | Step::Kick | Step::Unban => ("leave", Map::new()),
        };
        let wanted = work.member_event(actor, target, (membership, action.reason.as_deref()), profile)?;
        work.append_any(actor, wanted).await?;
        work.commit().await
    }
}

/// Whether other servers may be able to help where nobody here is.
pub(crate) fn is_elsewhere(error: &ActionError) -> bool {
    matches!(error, ActionError::Elsewhere(_) | ActionError::CannotAuthorise)
}

/// Whether there is anything to do.
fn is_step(step: Step, now: Option<Membership>) -> Result<bool, ActionError> {
    match (step, now) {
        (Step::Leave, None | Some(Membership::Ban)) => Err(ActionError::NotInRoom),
        (Step::Leave, Some(Membership::Leave)) => Ok(false),
        (Step::Kick, None | Some(Membership::Leave | Membership::Ban)) => {
            Err(ActionError::MayNot("the user is not in the room"))
        }
        (
            Step::Unban,
            None | Some(Membership::Join | Membership::Invite | Membership::Leave | Membership::Knock),
        ) => Err(ActionError::MayNot("the user is not banned")),
        _ => Ok(true),
    }
}

impl Work {
    /// Whether the user's tenant could find the room if it were a server of its own: it is in the room, or a server
    /// that is was named, or invited the user, and the two speak with each other. What is known of a room that nobody here
    /// is in is of the past.
    async fn is_reached(
        &self,
        actor: &Actor,
        via: &[OwnedServerName],
        invite: Option<&Event>,
    ) -> Result<bool, ActionError> {
        if self.locals.joined().next().is_none() {
            return Ok(false);
        }
        let identities = &self.rooms.0.outside.identities;
        let inviter = invite.map(|invite| invite.pdu.sender().server_name().to_owned());
        let own = actor.tenant.server_name();
        let named = via.iter().cloned().chain(inviter);
        let spoken_with = named.filter(|server| server == own || identities.speak(&actor.tenant, server));
        let keys: Vec<(RoomNumber, OwnedServerName)> =
            spoken_with.chain([own.to_owned()]).map(|server| (self.number, server)).collect();
        let rows = self.snapshot.get_many(&ROOM_SERVERS, &keys).await?;
        Ok(rows.iter().any(Option::is_some))
    }

    /// What the invited user's server would say of them.
    pub(crate) async fn profile_of(
        &self,
        actor: &Actor,
        user_id: &UserId,
    ) -> Result<Map<String, Value>, ActionError> {
        match self.rooms.reached(&actor.tenant, user_id.server_name()) {
            Some(tenant) => Ok(self.rooms.0.outside.profiles.member_profile(&tenant, user_id).await),
            None => Err(ActionError::NotReached(user_id.server_name().to_owned())),
        }
    }

    pub(crate) fn member_event(
        &self,
        actor: &Actor,
        target: &UserId,
        (membership, reason): (&str, Option<&str>),
        mut fields: Map<String, Value>,
    ) -> Result<Wanted, ActionError> {
        fields.insert("membership".to_owned(), membership.into());
        if let Some(reason) = reason {
            fields.insert("reason".to_owned(), reason.into());
        }
        let content = content::made(&fields.into(), self.machine.version())?;
        Ok(Wanted::state(&actor.user_id, ("m.room.member", target.as_str()), content))
    }

    /// Makes a membership event.
    pub(crate) async fn append_member(
        &mut self,
        actor: &Actor,
        mut wanted: Wanted,
    ) -> Result<Arc<Event>, ActionError> {
        // Who authorises a join is for us to say: a user who could choose would have anybody's signature.
        wanted.content.remove(AUTHORISER);
        let target = wanted.state_key.clone().unwrap_or_default();
        let membership = text(&wanted.content, "membership").map(str::to_owned);
        if membership.as_deref() == Some("invite") {
            self.check_invitee(actor, &target)?;
        }
        if membership.as_deref() == Some("join") && target == actor.user_id.as_str() {
            self.add_authoriser(actor, &mut wanted.content).await?;
        }
        let event = self.append(&actor.tenant, wanted).await?;
        // Asked when the room allows it: who may not invite learns nothing of what others want.
        if membership.as_deref() == Some("invite") {
            check_wants_invites(&self.snapshot, &target).await?;
        }
        Ok(event)
    }

    fn check_invitee(&self, actor: &Actor, target: &str) -> Result<(), ActionError> {
        let bad = || ActionError::BadField { field: "user_id", reason: "no user id".to_owned() };
        let user_id = UserId::parse(target).map_err(|_| bad())?;
        let hosted = self.rooms.reached(&actor.tenant, user_id.server_name());
        hosted.map(|_| ()).ok_or_else(|| ActionError::NotReached(user_id.server_name().to_owned()))
    }

    /// Names who authorises a restricted join, if the join needs it
    /// (<https://spec.matrix.org/v1.19/client-server-api/#restricted-rooms>).
    async fn add_authoriser(
        &mut self,
        actor: &Actor,
        content: &mut Object<'static>,
    ) -> Result<(), ActionError> {
        let member = self.state_event("m.room.member", actor.user_id.as_str()).await?;
        let now = member.as_deref().and_then(membership_of);
        if !self.is_restricted()
            || matches!(now, Some(Membership::Join | Membership::Invite | Membership::Ban))
        {
            return Ok(());
        }
        let authoriser = self.authoriser(actor).await?.ok_or(ActionError::CannotAuthorise)?;
        content.insert(AUTHORISER, authoriser.to_string());
        Ok(())
    }
}

/// The member of a restricted join that names who authorises it.
pub(crate) const AUTHORISER: &str = "join_authorised_via_users_server";
