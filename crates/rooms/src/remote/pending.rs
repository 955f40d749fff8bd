//! Invites and knocks in rooms that nobody here is in: what is known of them, and how they begin and end.

use freehold_canonical_json::{CanonicalObject, Kind, Limits, ObjectWriter};
use freehold_event::{Pdu, RoomVersion};
use freehold_store::tables::rooms::{
    LOCAL_MEMBERS, MEMBERSHIPS, Membership, MembershipRow, PENDING, PendingRow,
};
use freehold_store::{Actor, Batch, EventNumber, Order, Position, RoomNumber, Snapshot, Tenant, UserNumber};
use ruma_common::{OwnedServerName, RoomId, UserId};

use crate::error::ActionError;
use crate::limits::{PENDING_MAX, STRIPPED_BYTES_MAX, STRIPPED_EVENTS_MAX};
use crate::receive::Incoming;
use crate::rooms::Rooms;
use crate::stripped::stripped;

/// A user of a tenant and a room, as they stand to each other.
pub(crate) struct Standing {
    snapshot: Snapshot,
    batch: Batch,
    user: UserNumber,
    room: RoomNumber,
    tenant: Tenant,
    pub(crate) membership: Option<MembershipRow>,
    pub(crate) pending: Option<PendingRow>,
}

/// What a user's membership becomes.
pub(crate) struct Becomes<'a> {
    pub(crate) membership: Membership,
    /// The event that says so; `None` when no server was told.
    pub(crate) event: Option<&'a Pdu>,
    pub(crate) stripped_state: Vec<String>,
}

impl Rooms {
    /// How a user of a tenant stands to a room.
    pub(crate) async fn standing(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
        room_id: &RoomId,
    ) -> Result<Standing, ActionError> {
        let snapshot = self.0.store.snapshot()?;
        let mut batch = Batch::new();
        let interner = &self.0.interner;
        let user = interner.number_of(&snapshot, &user_id.to_owned(), &mut batch).await?;
        let room = interner.number_of(&snapshot, &room_id.to_owned(), &mut batch).await?;
        let membership = snapshot.get(&MEMBERSHIPS, &(user, room)).await?;
        let pending = snapshot.get(&PENDING, &(user, room)).await?;
        Ok(Standing { snapshot, batch, user, room, tenant: tenant.clone(), membership, pending })
    }

    /// Makes a user's membership something else, in a room that nobody here is in.
    pub(crate) async fn become_pending(
        &self,
        mut standing: Standing,
        becomes: Becomes<'_>,
        pending: Option<PendingRow>,
    ) -> Result<(), ActionError> {
        let key = (standing.user, standing.room);
        let known = standing.membership;
        let event = match becomes.event {
            Some(pdu) => {
                let event_id = pdu.event_id().to_owned();
                self.0.interner.number_of(&standing.snapshot, &event_id, &mut standing.batch).await?
            }
            None => known.as_ref().map_or(EventNumber(0), |row| row.event),
        };
        let row = MembershipRow {
            membership: becomes.membership,
            tenant: standing.tenant.number(),
            event,
            since: Position(0),
            joined_until: known.as_ref().and_then(|row| row.joined_until),
            forgotten: false,
            stripped_state: becomes.stripped_state,
        };
        let mut batch = standing.batch;
        batch.expect_unchanged(&MEMBERSHIPS, &key, known.as_ref());
        match pending {
            Some(pending) => batch.put(&PENDING, &key, &pending),
            None => batch.delete(&PENDING, &key),
        }
        batch.at_position(move |since, writes| {
            writes.put(&MEMBERSHIPS, &key, &MembershipRow { since, ..row });
        });
        batch.touch(key.1);
        batch.wake(key.0);
        // Whoever waits for the commit wants to read the numbers that it writes.
        drop(standing.snapshot);
        self.0.store.commit(batch).await?;
        Ok(())
    }

    /// What is pending of a user in a room that nobody here is in.
    pub(crate) async fn pending_of(
        &self,
        actor: &Actor,
        room_id: &RoomId,
    ) -> Result<Option<PendingRow>, ActionError> {
        let snapshot = self.0.store.snapshot()?;
        let Some(room) = snapshot.number_of(&room_id.to_owned()).await? else {
            return Ok(None);
        };
        let members = snapshot.scan_prefix(&LOCAL_MEMBERS, &(room,), Order::Ascending, usize::MAX).await?;
        if members.iter().any(|(_, membership)| *membership == Membership::Join) {
            return Ok(None);
        }
        Ok(snapshot.get(&PENDING, &(actor.user, room)).await?)
    }

    /// Has a room hear of an invite that came to the invited user's tenant alone, while others here are in the room and have
    /// not got it yet. Tells whether the room has it now.
    pub(crate) async fn bring_invite(&self, actor: &Actor, room_id: &RoomId) -> Result<bool, ActionError> {
        let standing = self.standing(&actor.tenant, &actor.user_id, room_id).await?;
        let Some(invite) = standing.pending.filter(|pending| pending.sender != actor.user_id) else {
            return Ok(false);
        };
        drop(standing.snapshot);
        let Some(version) = RoomVersion::find(&invite.room_version) else {
            return Ok(false);
        };
        let Ok(pdu) = freehold_room::parse(invite.event.as_bytes(), version, room_id) else {
            return Ok(false);
        };
        let keys = self.keys_for(&actor.tenant, std::iter::once(&pdu)).await;
        match self.receive(room_id, invite.event.as_bytes(), &keys).await {
            Ok(incoming) => Ok(matches!(incoming, Incoming::Known | Incoming::Kept(None))),
            Err(ActionError::UnknownRoom(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Servers that may be in a room, as a user may know: those that were named, those of an invite, and the one that
    /// made the room.
    pub(crate) async fn servers_for(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        via: &[OwnedServerName],
    ) -> Result<Vec<OwnedServerName>, ActionError> {
        let standing = self.standing(&actor.tenant, &actor.user_id, room_id).await?;
        let mut servers = via.to_vec();
        servers.extend(standing.pending.into_iter().flat_map(|pending| pending.servers));
        servers.extend(room_id.server_name().map(ToOwned::to_owned));
        Ok(servers)
    }
}

impl Standing {
    /// Whether the user has as many invites and knocks as anybody may have.
    pub(crate) async fn is_full(&self) -> Result<bool, ActionError> {
        let rows = self.snapshot.scan_prefix(&PENDING, &(self.user,), Order::Ascending, PENDING_MAX).await?;
        Ok(self.pending.is_none() && rows.len() >= PENDING_MAX)
    }
}

/// Stripped state that another server gave, as clients are shown it; what has not the form of a state event is left out. The
/// membership event that it came with is the last.
pub(crate) fn stripped_for(member: &Pdu, given: &[String]) -> Vec<String> {
    let own = member.state_key();
    let given = given.iter().take(STRIPPED_EVENTS_MAX).filter_map(|text| restripped(text, own));
    given.chain([stripped(member)]).collect()
}

/// "Stripped state events can only have the `sender`, `type`, `state_key` and `content` properties." The membership of
/// `except` is left out.
fn restripped(text: &str, except: Option<&str>) -> Option<String> {
    if text.len() > STRIPPED_BYTES_MAX {
        return None;
    }
    let event = CanonicalObject::parse(text.as_bytes(), &Limits::RELAXED).ok()?;
    let mut stripped = Vec::new();
    let mut writer = ObjectWriter::new(&mut stripped);
    for (key, kind) in [
        ("content", Kind::Object),
        ("sender", Kind::String),
        ("state_key", Kind::String),
        ("type", Kind::String),
    ] {
        let value = event.get(key).filter(|value| value.kind() == kind)?;
        writer.value(key, value.text());
    }
    writer.finish();
    let is =
        |key: &str, wanted: &str| event.get(key).and_then(|value| value.as_str()).as_deref() == Some(wanted);
    if is("type", "m.room.member") && except.is_some_and(|user| is("state_key", user)) {
        return None;
    }
    UserId::parse(&*event.get("sender")?.as_str()?).ok()?;
    String::from_utf8(stripped).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CVE-2024-52815: an invite with state of no form broke every sync of the invited user.
    #[test]
    fn cve_2024_52815_stripped_state_of_no_form_is_left_out() {
        let good = r#"{"content":{"name":"x"},"sender":"@a:b","state_key":"","type":"m.room.name"}"#;
        let more = r#"{"type":"m.room.name","state_key":"","sender":"@a:b","content":{"name":"x"},"unsigned":{"y":1}}"#;
        assert_eq!(restripped(good, None).as_deref(), Some(good));
        assert_eq!(restripped(more, None).as_deref(), Some(good));
        for bad in [
            "[]",
            "{}",
            r#"{"content":[],"sender":"@a:b","state_key":"","type":"m.room.name"}"#,
            r#"{"content":{},"sender":"nobody","state_key":"","type":"m.room.name"}"#,
            r#"{"content":{},"sender":"@a:b","state_key":0,"type":"m.room.name"}"#,
            r#"{"content":{},"sender":"@a:b","type":"m.room.name"}"#,
            r#"{"content":{},"sender":"@a:b","state_key":"@c:d","type":"m.room.member"}"#,
        ] {
            assert_eq!(restripped(bad, Some("@c:d")), None, "{bad}");
        }
    }
}
