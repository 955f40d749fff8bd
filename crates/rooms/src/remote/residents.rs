//! Servers that help a user of a tenant into a room, or out of it: which are asked, and which template is taken.

use std::collections::{BTreeSet, VecDeque};

use freehold_canonical_json::{member, string_member};
use freehold_event::{MembershipTemplate, RoomVersion};
use freehold_store::Tenant;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ruma_common::{OwnedServerName, RoomId, UserId};

use super::BadAnswer;
use crate::error::ActionError;
use crate::limits::{RESIDENTS_AT_ONCE, RESIDENTS_MAX};
use crate::outside::{MakeMembership, OwnStep, Template, Unanswered};
use crate::rooms::Rooms;

/// Servers that may help, in the order in which they are asked.
#[derive(Debug)]
pub(crate) struct Residents {
    servers: VecDeque<OwnedServerName>,
    /// Why the best of those that were asked did not help.
    why: Option<ActionError>,
}

/// Whose membership is to change, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) room_id: &'a RoomId,
    pub(crate) user_id: &'a UserId,
    pub(crate) step: OwnStep,
}

/// A template that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) server: OwnedServerName,
    pub(crate) version: &'static RoomVersion,
    pub(crate) template: MembershipTemplate,
}

impl Residents {
    /// Those of some servers that are not hosted here and with which a tenant speaks, each once.
    pub(crate) fn among(
        rooms: &Rooms,
        tenant: &Tenant,
        servers: impl IntoIterator<Item = OwnedServerName>,
    ) -> Self {
        let mut seen = BTreeSet::new();
        let identities = &rooms.0.outside.identities;
        let others = servers
            .into_iter()
            .filter(|server| identities.tenant(server).is_none() && identities.speak(tenant, server));
        let servers = others.filter(|server| seen.insert(server.clone())).take(RESIDENTS_MAX).collect();
        Residents { servers, why: None }
    }

    /// The first template that can be used. Some servers are asked at the same time; those that have not answered by
    /// then may be asked again.
    pub(crate) async fn offer(&mut self, rooms: &Rooms, change: Change<'_>) -> Option<Offer> {
        let mut asked: VecDeque<OwnedServerName> = VecDeque::new();
        let mut asking = FuturesUnordered::new();
        loop {
            while asking.len() < RESIDENTS_AT_ONCE
                && let Some(server) = self.servers.pop_front()
            {
                asked.push_back(server.clone());
                asking.push(rooms.ask(server, change));
            }
            let (server, answer) = asking.next().await?;
            asked.retain(|other| *other != server);
            match answer {
                Ok(offer) => {
                    drop(asking);
                    asked.into_iter().rev().for_each(|server| self.servers.push_front(server));
                    return Some(offer);
                }
                Err(error) => self.note(error),
            }
        }
    }

    /// Notes why a server did not help: what it said about the room is worth more than that it said nothing.
    pub(crate) fn note(&mut self, error: ActionError) {
        let weight = |error: &ActionError| match error {
            ActionError::Refused { answer: Unanswered::Refused { status: 403, .. }, .. } => 3,
            ActionError::Refused { answer: Unanswered::Refused { .. }, .. } => 2,
            ActionError::BadAnswer { .. } => 1,
            _ => 0,
        };
        if self.why.as_ref().is_none_or(|known| weight(&error) > weight(known)) {
            self.why = Some(error);
        }
    }

    /// Why nobody helped, if anybody was asked.
    pub(crate) fn why(self) -> Option<ActionError> {
        self.why
    }
}

impl Rooms {
    async fn ask(
        &self,
        server: OwnedServerName,
        change: Change<'_>,
    ) -> (OwnedServerName, Result<Offer, ActionError>) {
        let versions: Vec<&'static str> = RoomVersion::ALL.iter().map(|version| version.id()).collect();
        let ask = MakeMembership {
            room_id: change.room_id,
            user_id: change.user_id,
            step: change.step,
            versions: &versions,
        };
        let answer = self.0.outside.remote.make_membership(change.tenant, &server, ask).await;
        let offer = match answer {
            Ok(template) => offered(&server, &template, change)
                .map_err(|source| ActionError::BadAnswer { server: server.clone(), source }),
            Err(answer) => Err(ActionError::Refused { server: server.clone(), answer }),
        };
        (server, offer)
    }
}

/// What can be used of a template.
///
/// > The joining server MUST also verify that the `type`, `room_id`, `sender`, `state_key` and `content.membership` fields
/// > have the expected values.
fn offered(server: &OwnedServerName, template: &Template, change: Change<'_>) -> Result<Offer, BadAnswer> {
    let id = template.room_version.as_deref().unwrap_or("1");
    let version = RoomVersion::find(id).ok_or_else(|| BadAnswer::UnknownVersion(id.to_owned()))?;
    let content = member(&template.event, "content").ok().flatten();
    let membership = content.and_then(|content| string_member(content.text(), "membership"));
    let user_id = Some(change.user_id.as_str());
    let is_expected = string_member(&template.event, "type").as_deref() == Some("m.room.member")
        && string_member(&template.event, "room_id").as_deref() == Some(change.room_id.as_str())
        && string_member(&template.event, "sender").as_deref() == user_id
        && string_member(&template.event, "state_key").as_deref() == user_id
        && membership.as_deref() == Some(change.step.membership());
    if !is_expected {
        return Err(BadAnswer::Form("a template for something else"));
    }
    let template = MembershipTemplate::parse(template.event.as_bytes(), version)?;
    Ok(Offer { server: server.clone(), version, template })
}
