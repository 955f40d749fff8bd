//! A person who syncs.

use std::collections::BTreeSet;
use std::sync::Arc;

use freehold_rooms::CreateRoom;
use freehold_store::tables::accounts::{ACCOUNT_DATA, AccountDataRow};
use freehold_store::{Actor, Batch, Clock, Position, Snapshot, UserNumber};
use freehold_sync::{
    AccountData, AccountNews, Answer, NoNews, NoOtherServers, OtherServers, Outside, PresenceForAll,
    PresencePolicies, SyncRequest, SyncService,
};
use ruma_client_api::filter::FilterDefinition;
use ruma_common::push::Ruleset;
use ruma_common::{OwnedRoomId, RoomId};
use serde_json::{Value, json};

use crate::hosted::{World, entry};

pub(crate) const ALICE: &str = "@alice:one.example";
pub(crate) const BOB: &str = "@bob:two.example";

/// Accounts of which sync is told nothing but the server's push rules.
pub(crate) struct Accounts;

fn ready<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl AccountNews for Accounts {
    fn filter<'a>(&'a self, _: &'a Actor, _: &'a str) -> Answer<'a, Option<FilterDefinition>> {
        ready(None)
    }

    fn account_data<'a>(
        &'a self,
        _: &'a Snapshot,
        _: UserNumber,
        _: Option<Position>,
    ) -> Answer<'a, Vec<AccountData>> {
        ready(Vec::new())
    }

    fn ruleset<'a>(&'a self, snapshot: &'a Snapshot, user: UserNumber) -> Answer<'a, Ruleset> {
        Box::pin(async move { Ok(Ruleset::server_default(&snapshot.id_of(user).await.unwrap())) })
    }
}

/// Two people of two tenants, and the service that answers both.
pub(crate) struct People {
    pub(crate) world: World,
    pub(crate) service: SyncService,
    pub(crate) alice: Actor,
    pub(crate) bob: Actor,
}

impl People {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(1_700_000_000_000_i64);
        People::with(clock, Arc::new(NoOtherServers), Arc::new(PresenceForAll)).await
    }

    pub(crate) async fn with(
        clock: Arc<dyn Clock>,
        servers: Arc<dyn OtherServers>,
        presence: Arc<dyn PresencePolicies>,
    ) -> Self {
        let world = World::new(&["one.example", "two.example"]).await;
        People::of(world, clock, servers, presence).await
    }

    /// The people of a world with both their tenants.
    pub(crate) async fn of(
        world: World,
        clock: Arc<dyn Clock>,
        servers: Arc<dyn OtherServers>,
        presence: Arc<dyn PresencePolicies>,
    ) -> Self {
        let devices = Arc::new(NoNews);
        let outside = Outside { accounts: Arc::new(Accounts), devices, servers, presence, clock };
        let service = SyncService::new(world.store.clone(), world.rooms.clone(), outside);
        let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
        People { world, service, alice, bob }
    }

    /// A room that both are in.
    pub(crate) async fn shared_room(&self) -> OwnedRoomId {
        let create = CreateRoom { invite: vec![self.bob.user_id.clone()], ..CreateRoom::default() };
        let room = self.world.rooms.create_room(&self.alice, create).await.unwrap();
        self.world.rooms.join(&self.bob, entry(&room, &[])).await.unwrap();
        room
    }

    /// Sets a piece of somebody's account data.
    pub(crate) async fn settle(&self, actor: &Actor, name: &str, content: Value) {
        let mut batch = Batch::new();
        let (key, content) = ((actor.user, None, name.to_owned()), content.to_string());
        batch.at_position(move |changed, writes| {
            writes.put(&ACCOUNT_DATA, &key, &AccountDataRow { content, changed });
        });
        self.world.store.commit(batch).await.unwrap();
    }

    /// Has somebody ignore somebody.
    pub(crate) async fn ignore(&self, actor: &Actor, other: &Actor) {
        let ignored = json!({ "ignored_users": { other.user_id.as_str(): {} } });
        self.settle(actor, "m.ignored_user_list", ignored).await;
    }

    /// What a sync without anything said answers.
    pub(crate) async fn sync(&self, actor: &Actor, since: Option<&Value>) -> Value {
        self.sync_with(actor, since, |_| {}).await
    }

    pub(crate) async fn sync_with(
        &self,
        actor: &Actor,
        since: Option<&Value>,
        change: impl FnOnce(&mut SyncRequest),
    ) -> Value {
        let mut request = SyncRequest { since: since.map(token), ..SyncRequest::default() };
        change(&mut request);
        serde_json::to_value(self.service.sync(actor, &request).await.unwrap()).unwrap()
    }
}

/// The token of an answer.
pub(crate) fn token(answer: &Value) -> freehold_sync::SyncToken {
    answer["next_batch"].as_str().unwrap().parse().unwrap()
}

/// What an answer says of a joined room.
pub(crate) fn joined<'a>(answer: &'a Value, room: &RoomId) -> &'a Value {
    &answer["rooms"]["join"][room.as_str()]
}

/// The bodies of the messages in a timeline.
pub(crate) fn bodies(room: &Value) -> Vec<&str> {
    events(&room["timeline"]).iter().filter_map(|event| event["content"]["body"].as_str()).collect()
}

pub(crate) fn events(list: &Value) -> &[Value] {
    list["events"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Type and state key of each event of a list.
pub(crate) fn keys(list: &Value) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events(list).iter().map(|event| (text(&event["type"]), text(&event["state_key"]))).collect()
}

/// A filter from its JSON.
pub(crate) fn filter(json: Value) -> FilterDefinition {
    serde_json::from_value(json).unwrap()
}
