//! Rounds: whatever changed since the last one is told, and everybody who hears of something wakes once.

use std::collections::BTreeSet;
use std::time::Duration;

use freehold_rooms::{Reader, Unreadable};
use freehold_store::tables::rooms::{CURRENT_STATE, Membership};
use freehold_store::{RoomNumber, Tenant, UserNumber};
use ruma_common::{OwnedServerName, UserId};

use super::known::{ToTell, Whom};
use super::limits::{ROOM_MEMBERS_MAX, ROOMS_MAX, TOLD_TO_NEWCOMERS};
use crate::service::SyncService;

/// The time between two rounds.
const ROUND: Duration = Duration::from_secs(1);

impl SyncService {
    /// Tells who came and who went, for as long as it is polled.
    pub async fn tell_presence(&self) {
        loop {
            tokio::time::sleep(ROUND).await;
            self.tell_presence_once().await;
        }
    }

    /// Tells who came and who went since the last time.
    pub async fn tell_presence_once(&self) {
        if let Err(error) = self.tell_newcomers().await {
            tracing::error!(%error, "servers that came into rooms are not told who is online there");
        }
        let to_tell = self.0.presence.to_tell(self.0.outside.clock.now_ts());
        if to_tell.is_empty() {
            return;
        }
        let reader = match self.0.rooms.reader() {
            Ok(reader) => reader,
            Err(error) => return tracing::error!(%error, "it is not told who is online"),
        };
        let mut hearers = BTreeSet::new();
        for telling in to_tell {
            match self.tell(&reader, &telling).await {
                Ok(heard) => hearers.extend(heard),
                Err(error) => tracing::error!(user = %telling.user_id, %error, "presence is not told"),
            }
        }
        hearers.into_iter().for_each(|user| self.0.store.wakes().wake(user));
    }

    /// Tells servers that came into rooms who is online there: they would hear it with the next change otherwise.
    async fn tell_newcomers(&self) -> Result<(), Unreadable> {
        let newcomers = self.0.rooms.take_newcomers();
        if newcomers.is_empty() {
            return Ok(());
        }
        let (reader, now_ts) = (self.0.rooms.reader()?, self.0.outside.clock.now_ts());
        let mut spare = TOLD_TO_NEWCOMERS;
        for (room, server) in newcomers {
            let is_small = reader.current(room).await?.is_some_and(|row| row.joined <= ROOM_MEMBERS_MAX);
            if !is_small || reader.server_in(room, &server).await?.is_none() {
                continue;
            }
            let online = self.0.presence.online_in(room, (now_ts, spare));
            spare = spare.saturating_sub(online.len());
            for (tenant, (user_id, told)) in online {
                let servers = BTreeSet::from([server.clone()]);
                self.0.outside.servers.presence(&tenant, servers, (&user_id, &told)).await;
            }
        }
        Ok(())
    }

    /// Tells of one user; gives who hears it.
    async fn tell(&self, reader: &Reader, telling: &ToTell) -> Result<BTreeSet<UserNumber>, Unreadable> {
        let rooms = match &telling.whom {
            Whom::OfTenant(_) => small_rooms(reader, telling.user).await?,
            Whom::OfServer(rooms) => rooms_with(reader, rooms, &telling.user_id).await?,
        };
        let now_ts = self.0.outside.clock.now_ts();
        let hearers = self.0.presence.told((telling.user, &telling.told.shown), rooms.clone(), now_ts);
        if let Whom::OfTenant(tenant) = &telling.whom {
            let servers = other_servers(reader, tenant, &rooms).await?;
            let told = (&*telling.user_id, &telling.told);
            self.0.outside.servers.presence(tenant, servers, told).await;
        }
        Ok(hearers)
    }
}

/// The rooms of a user of a tenant that are not too large.
async fn small_rooms(reader: &Reader, user: UserNumber) -> Result<BTreeSet<RoomNumber>, Unreadable> {
    let joined = reader.memberships(user).await?.into_iter();
    let joined = joined.filter(|(_, row)| row.membership == Membership::Join).map(|(room, _)| room);
    let rooms: Vec<RoomNumber> = joined.collect();
    let states = reader.snapshot().get_many(&CURRENT_STATE, &rooms).await?;
    let small = rooms.into_iter().zip(states);
    let small = small.filter(|(_, state)| state.as_ref().is_some_and(|row| row.joined <= ROOM_MEMBERS_MAX));
    Ok(small.map(|(room, _)| room).take(ROOMS_MAX).collect())
}

/// Those of some rooms that a user of another server is in.
async fn rooms_with(
    reader: &Reader,
    rooms: &[RoomNumber],
    user_id: &UserId,
) -> Result<BTreeSet<RoomNumber>, Unreadable> {
    let mut found = BTreeSet::new();
    for room in rooms {
        if reader.server_in(*room, user_id.server_name()).await?.is_none() {
            continue;
        }
        let member = reader.current_state(*room).await?.get("m.room.member", user_id.as_str()).await?;
        if member.is_some_and(|member| member.row.membership == Some(Membership::Join)) {
            found.insert(*room);
        }
    }
    Ok(found)
}

/// The servers in some rooms beside a tenant.
async fn other_servers(
    reader: &Reader,
    tenant: &Tenant,
    rooms: &BTreeSet<RoomNumber>,
) -> Result<BTreeSet<OwnedServerName>, Unreadable> {
    let mut servers = BTreeSet::new();
    for room in rooms {
        servers.extend(reader.servers_in(*room).await?.into_iter().map(|(server, _)| server));
    }
    servers.remove(tenant.server_name());
    Ok(servers)
}
