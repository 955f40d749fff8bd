//! Templates for users of other servers who want into our rooms, or out of them.

use freehold_canonical_json::{Object, ObjectWriter};
use freehold_event::{NewPdu, Pdu, RoomVersion};
use freehold_event_auth::check;
use freehold_room::{Draft, DraftError};
use freehold_store::Tenant;
use freehold_store::tables::rooms::Membership;
use ruma_common::{EventId, RoomId, ServerName, UserId};

use super::NotServed;
use crate::authorise::Authoriser;
use crate::error::ActionError;
use crate::membership::AUTHORISER;
use crate::outside::{OwnStep, Template};
use crate::rooms::Rooms;
use crate::work::{Work, author_chooses_id};
use crate::write::membership_of;

/// A template that another server asks for.
#[derive(Clone, Copy, Debug)]
pub struct AskedTemplate<'a> {
    /// The server that asks.
    pub origin: &'a ServerName,
    /// The room.
    pub room_id: &'a RoomId,
    /// The user whose membership is to change.
    pub user_id: &'a UserId,
    /// Into what.
    pub step: OwnStep,
    /// The ids of the room versions that the server knows (`ver`); `None` where it is not asked to say, as for a leave.
    pub versions: Option<&'a [String]>,
}

impl Rooms {
    /// A template of a membership event for a user of another server, as of a tenant that is in the room:
    /// [`make_join`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_joinroomiduserid),
    /// `make_leave`, `make_knock`.
    ///
    /// # Errors
    /// [`NotServed`].
    pub async fn template_for(
        &self,
        tenant: &Tenant,
        asked: AskedTemplate<'_>,
    ) -> Result<Template, NotServed> {
        if asked.user_id.server_name() != asked.origin {
            return Err(NotServed::MayNot("the user is not one of yours"));
        }
        let mut work = Work::begin_for(self, tenant, asked.room_id).await?;
        let version = work.machine.version();
        if asked.versions.is_some_and(|known| !known.iter().any(|id| id == version.id())) {
            return Err(NotServed::IncompatibleVersion { room_version: version.id() });
        }
        work.check_admitted(asked.origin)?;
        let mut content: Object<'static> = [("membership", asked.step.membership())].into_iter().collect();
        if asked.step == OwnStep::Join
            && let Some(authoriser) = work.authoriser_for(tenant, asked.user_id).await?
        {
            content.insert(AUTHORISER, authoriser.to_string());
        }
        let new = work.draft_of(asked.user_id, content).await?;
        work.check_allowed(new.pdu()).await?;
        Ok(Template { room_version: Some(version.id().to_owned()), event: template_text(tenant, new.pdu()) })
    }
}

impl Work {
    /// Begins a change of a room in which a tenant has joined users. To whom asks a tenant that has none, there is no
    /// such room.
    pub(crate) async fn begin_for(
        rooms: &Rooms,
        tenant: &Tenant,
        room_id: &RoomId,
    ) -> Result<Self, NotServed> {
        let work = Work::begin(rooms, room_id).await.map_err(|error| match error {
            ActionError::UnknownRoom(_) => NotServed::UnknownRoom,
            error => error.into(),
        })?;
        match work.locals.has_joined(tenant.number()) {
            true if work.is_partial => Err(NotServed::Partial),
            true => Ok(work),
            false => Err(NotServed::UnknownRoom),
        }
    }

    /// "When a remote server makes a request, it MUST be verified to be allowed by the server ACLs", also to leave
    /// (<https://spec.matrix.org/v1.19/server-server-api/#server-access-control-lists-acls>).
    pub(crate) fn check_admitted(&self, server: &ServerName) -> Result<(), NotServed> {
        if self.machine.admits(server) { Ok(()) } else { Err(NotServed::ShutOut(server.to_owned())) }
    }

    /// The user of a tenant who authorises the join of a user of another server, if the join needs one.
    pub(crate) async fn authoriser_for(
        &mut self,
        tenant: &Tenant,
        user_id: &UserId,
    ) -> Result<Option<ruma_common::OwnedUserId>, NotServed> {
        let member = self.state_event("m.room.member", user_id.as_str()).await?;
        let now = member.as_deref().and_then(membership_of);
        if !self.is_restricted()
            || matches!(now, Some(Membership::Join | Membership::Invite | Membership::Ban))
        {
            return Ok(None);
        }
        match self.authoriser_of(tenant.number(), user_id).await? {
            Authoriser::User(authoriser) => Ok(Some(authoriser)),
            Authoriser::NobodyMayInvite => Err(NotServed::CannotGrant),
            Authoriser::NoCondition => Err(NotServed::NoCondition),
            Authoriser::CannotTell => Err(NotServed::CannotAuthorise),
        }
    }

    async fn draft_of(&mut self, user_id: &UserId, content: Object<'static>) -> Result<NewPdu, NotServed> {
        let draft = Draft {
            event_id: placeholder_id(self.machine.version(), user_id)?,
            sender: user_id.to_owned(),
            event_type: "m.room.member".to_owned(),
            state_key: Some(user_id.to_string()),
            content,
            redacts: None,
            origin_server_ts: self.rooms.now_ts(),
        };
        loop {
            match self.machine.draft(draft.clone(), &self.shelf) {
                Ok(new) => return Ok(new),
                Err(DraftError::Build(error)) => return Err(NotServed::Failed(error.into())),
                Err(DraftError::Stop(stop)) => self.fulfil(stop).await?,
            }
        }
    }

    /// Whether the current state allows an event.
    pub(crate) async fn check_allowed(&mut self, pdu: &Pdu) -> Result<(), NotServed> {
        let view = pdu.view();
        // Numbers stand for the events of the room; those of the new one are of no account for a membership.
        let view = view.with_ids(&0_u64, &[], &[]);
        let facts = self.computed(|machine, shelf| machine.facts_for(&view, shelf)).await?;
        check(&view, &facts, self.machine.version()).map_err(NotServed::Forbidden)
    }
}

/// An id for a draft where events carry theirs; the server that asks replaces it.
fn placeholder_id(
    version: &RoomVersion,
    user_id: &UserId,
) -> Result<Option<ruma_common::OwnedEventId>, NotServed> {
    if !author_chooses_id(version) {
        return Ok(None);
    }
    let id = EventId::parse(format!("$template:{}", user_id.server_name()));
    id.map(Some).map_err(|_| NotServed::Invalid("the name of your server is too long"))
}

/// What of a draft is told: all but what the other server makes anew.
fn template_text(tenant: &Tenant, pdu: &Pdu) -> String {
    let mut text = Vec::with_capacity(pdu.canonical_json().len());
    let mut writer = ObjectWriter::new(&mut text);
    for member in pdu.members() {
        if !matches!(&*member.key(), "event_id" | "hashes" | "signatures" | "unsigned") {
            writer.members(member.text());
        }
    }
    writer.string("origin", tenant.server_name().as_str());
    writer.finish();
    String::from_utf8(text).unwrap_or_default()
}
