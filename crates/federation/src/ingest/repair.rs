//! Repairs of rooms: what is lost here is asked for of others.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use freehold_event::{Pdu, RoomVersion};
use freehold_rooms::{Fetched, RepairPlan, RoomPicture};
use freehold_store::{Batch, BoxFuture, Tenant};
use futures_util::StreamExt;
use futures_util::stream;
use ruma_common::{OwnedEventId, OwnedServerName, RoomId};

use super::ask::hedged;
use super::driver::{Ingest, Inner, TakeError, wanted_by};
use super::fetching::{Asking, NoAnswer};
use crate::limits::{
    EVENTS_AT_ONCE, REPAIR_EVENTS_MAX, REPAIR_HISTORY_PAGES_MAX, REPAIR_ROUNDS_MAX, REPAIR_SERVERS_MAX,
};

/// What a repair of a room changes, and what others gave for it.
#[derive(Clone, Debug, Default)]
pub struct RoomRepair {
    /// What is changed, what would be wanted for more, and what stays wrong.
    pub plan: RepairPlan,
    /// Who was asked, in the order in which they are.
    pub asked: Vec<OwnedServerName>,
    /// How many lost events others gave.
    pub fetched: usize,
    /// Events in the midst of history that are missing; with a repair, those that still are.
    pub holes: Vec<OwnedEventId>,
    /// How many events of history were fetched for those.
    pub history: usize,
}

/// What was fetched so far.
#[derive(Default)]
struct Haul {
    texts: Vec<String>,
    tried: BTreeSet<OwnedEventId>,
}

/// In whose name about which room whom to ask.
struct Round<'a> {
    tenant: &'a Tenant,
    room_id: &'a RoomId,
    version: &'static RoomVersion,
    servers: Vec<OwnedServerName>,
}

impl Ingest {
    /// Looks what a repair of a room would change. What is lost is asked for of `via` and of servers in the room; nothing is changed.
    ///
    /// # Errors
    /// [`TakeError`].
    pub async fn plan_repair(
        &self,
        room_id: &RoomId,
        via: &[OwnedServerName],
    ) -> Result<RoomRepair, TakeError> {
        let (picture, haul, mut repair) = self.0.gather(room_id, via).await?;
        repair.holes = holes(&picture);
        repair.fetched = haul.texts.len();
        Ok(repair)
    }

    /// Repairs a room. `also` adds to the batch, which there is only if something of what is here is changed. Then what is missing in
    /// the midst of its history is fetched.
    ///
    /// # Errors
    /// [`TakeError`]; nothing of what was here is changed.
    pub async fn repair(
        &self,
        room_id: &RoomId,
        via: &[OwnedServerName],
        also: impl FnOnce(&mut Batch) + Send,
    ) -> Result<RoomRepair, TakeError> {
        let (picture, haul, mut repair) = self.0.gather(room_id, via).await?;
        let keys = self.0.keys(wanted_by(pdus(&haul.texts, picture.version).iter())).await;
        let fetched = Fetched { events: &haul.texts, keys: &*keys };
        repair.plan = self.0.parts.rooms.repair(room_id, fetched, also).await?;
        repair.fetched = haul.texts.len();
        repair.holes = holes(&picture);
        if let Some(tenant) = picture.tenants.first().filter(|_| !repair.holes.is_empty()) {
            for _ in 0..REPAIR_HISTORY_PAGES_MAX {
                // What nobody has stays a hole.
                let came = self.backfill(tenant, room_id).await.unwrap_or(0);
                repair.history += came;
                repair.holes = holes(&self.0.parts.rooms.picture(room_id).await?);
                if came == 0 || repair.holes.is_empty() {
                    break;
                }
            }
        }
        if repair.history > 0 {
            // What came in between may follow what nothing followed before.
            let none = Fetched { events: &[], keys: &*keys };
            let plan = self.0.parts.rooms.repair(room_id, none, |_| ()).await?;
            repair.plan.steps.extend(plan.steps);
            repair.plan.left = plan.left;
        }
        Ok(repair)
    }
}

impl Inner {
    /// What is lost in a room, as far as others give it, and what would be done with it.
    async fn gather(
        &self,
        room_id: &RoomId,
        via: &[OwnedServerName],
    ) -> Result<(RoomPicture, Haul, RoomRepair), TakeError> {
        let picture = self.parts.rooms.picture(room_id).await?;
        let (mut haul, mut repair) = (Haul::default(), RoomRepair::default());
        for _ in 0..REPAIR_ROUNDS_MAX {
            let keys = self.keys(wanted_by(pdus(&haul.texts, picture.version).iter())).await;
            let fetched = Fetched { events: &haul.texts, keys: &*keys };
            repair.plan = self.parts.rooms.plan_repair(room_id, fetched).await?;
            let left = REPAIR_EVENTS_MAX.saturating_sub(haul.tried.len());
            let wanted = repair.plan.wanted.iter().filter(|id| !haul.tried.contains(*id));
            let wanted: Vec<OwnedEventId> = wanted.take(left).cloned().collect();
            let Some(tenant) = picture.tenants.first().filter(|_| !wanted.is_empty()) else { break };
            let servers = self.askable(&picture, via);
            repair.asked.clone_from(&servers);
            let round = Round { tenant, room_id, version: picture.version, servers };
            haul.tried.extend(wanted.iter().cloned());
            haul.texts.extend(self.lost(&round, &wanted).await);
        }
        Ok((picture, haul, repair))
    }

    /// Whom to ask: those who were named, those with most people in the room, those who said most; no tenants.
    fn askable(&self, picture: &RoomPicture, via: &[OwnedServerName]) -> Vec<OwnedServerName> {
        let in_room = picture.servers.iter().map(|(server, _)| server);
        let mut servers: Vec<OwnedServerName> = Vec::new();
        for server in via.iter().chain(in_room).chain(&picture.speakers) {
            if servers.len() < REPAIR_SERVERS_MAX
                && !servers.contains(server)
                && self.parts.identities.tenant(server).is_none()
            {
                servers.push(server.clone());
            }
        }
        servers
    }

    /// Those of some events that can be had.
    async fn lost(&self, round: &Round<'_>, wanted: &[OwnedEventId]) -> Vec<String> {
        let fetch = |event_id| -> BoxFuture<'_, _> { Box::pin(self.lost_event(round, event_id)) };
        let fetches: Vec<_> = wanted.iter().map(fetch).collect();
        stream::iter(fetches).buffered(EVENTS_AT_ONCE).filter_map(std::future::ready).collect().await
    }

    /// An event as the first server gives it that has the whole of it; if all have it redacted only, redacted.
    async fn lost_event(&self, round: &Round<'_>, event_id: &OwnedEventId) -> Option<String> {
        let redacted: Mutex<Option<String>> = Mutex::default();
        let whole = hedged(&round.servers, |server| {
            let (tenant, room_id) = (round.tenant, round.room_id);
            let asking = Asking { tenant, at: server, room_id, has_spoken: false };
            let redacted = &redacted;
            Box::pin(async move {
                let text = self.parts.fetching.event(asking, event_id).await?;
                let parsed = freehold_room::parse_past(text.as_bytes(), round.version, round.room_id);
                let pdu = parsed.ok().filter(|pdu| pdu.event_id() == event_id);
                let pdu = pdu.ok_or(NoAnswer::Useless("another event"))?;
                let keys = self.keys(wanted_by(std::iter::once(&pdu))).await;
                let is_whole = pdu.claimed_content_hash() == Some(pdu.content_hash());
                freehold_room::verify(pdu, &&*keys, self.parts.clock.now_ts())
                    .map_err(|_| NoAnswer::Useless("no validly signed event"))?;
                if is_whole {
                    return Ok(text);
                }
                redacted.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
                Err(NoAnswer::Useless("what is left of the event"))
            })
        });
        match whole.await {
            Ok(text) => Some(text),
            Err(_) => redacted.into_inner().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// The events among some texts.
fn pdus(texts: &[String], version: &'static RoomVersion) -> Vec<Pdu> {
    let parse = |text: &String| {
        Pdu::parse_with(text.as_bytes(), version, freehold_event::ReferenceLimits::BACKFILL).ok()
    };
    texts.iter().filter_map(parse).collect()
}

/// The holes in the midst of history, by id.
fn holes(picture: &RoomPicture) -> Vec<OwnedEventId> {
    picture.holes.iter().filter(|hole| hole.is_in_the_midst).map(|hole| hole.missing.clone()).collect()
}
