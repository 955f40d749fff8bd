//! Rooms with many members of many servers, joined whole.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use freehold_event::RoomVersion;
use freehold_rooms::check::check_rooms;
use freehold_rooms::{
    ActionError, AnswerBody, BadAnswer, Job, Labour, MakeMembership, Members, NoRemoteServers, Processors,
    RemoteServers, ResolvedAlias, SendInvite, SendMembership, Template, Unanswered, Unverified,
};
use freehold_signing::{KeySource, SigningKey, WantedKey};
use freehold_store::tables::rooms::EVENTS;
use freehold_store::{BoxFuture, MemoryEngine, Tenant};
use freehold_testkit::LargeRoom;
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, RoomAliasId, RoomId, ServerName, UserId};
use serde_json::{Map, Value, json};

use crate::elsewhere::Keys;
use crate::hosted::{World, entry};

const JOINER: &str = "@joiner:here.example";

/// A server that is in a large room, and knows the keys of everybody.
struct Resident {
    room: LargeRoom,
    /// What is done to each event of the state before it is sent.
    meddling: fn(&mut Vec<String>),
    /// After how many bytes the state breaks off when it is told.
    breaks_off_after: AtomicUsize,
    /// For how many servers' keys it was asked, each time.
    asked: Mutex<Vec<usize>>,
    none: NoRemoteServers,
}

/// Hands that count what they do.
struct Counted(AtomicUsize, Processors);

impl Labour for Counted {
    fn run(&self, job: Job) -> BoxFuture<'static, ()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.1.run(job)
    }

    fn hands(&self) -> usize {
        self.1.hands()
    }
}

/// Pieces of an answer, and whether it breaks off after them.
struct Pieces(VecDeque<Vec<u8>>, bool);

impl AnswerBody for Pieces {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, Unanswered>> {
        let chunk = self.0.pop_front();
        let is_cut = chunk.is_none() && self.1;
        Box::pin(async move {
            tokio::task::yield_now().await;
            if is_cut { Err(Unanswered::NotReached("it broke off".into())) } else { Ok(chunk) }
        })
    }
}

fn body(text: &str, breaks_off_after: usize) -> Box<dyn AnswerBody> {
    let told = text.get(..breaks_off_after).unwrap_or(text);
    let is_cut = told.len() < text.len();
    Box::new(Pieces(told.as_bytes().chunks(3001).map(<[u8]>::to_vec).collect(), is_cut))
}

impl Resident {
    fn of(version: &'static RoomVersion, servers: usize, members: usize) -> Self {
        let servers: Vec<String> = (0..servers).map(|number| format!("s{number}.example")).collect();
        let room = LargeRoom::make(version, &servers, members);
        let breaks_off_after = AtomicUsize::new(usize::MAX);
        let (asked, none) = (Mutex::default(), NoRemoteServers);
        Resident { room, meddling: |_| (), breaks_off_after, asked, none }
    }

    fn room_id(&self) -> OwnedRoomId {
        RoomId::parse(self.room.room_id.as_str()).unwrap()
    }

    async fn world(self: &Arc<Self>) -> World {
        World::among(Arc::new(MemoryEngine::new()), &["here.example"], self.clone()).await
    }

    fn answer(&self, members: Members) -> String {
        let auth_chain = self.events()[..4].join(",");
        let mut events = self.events();
        match members {
            Members::All => (self.meddling)(&mut events),
            Members::Few => events.retain(|event| !event.contains("\"m.room.member\"")),
        }
        let (omitted, state) = (members == Members::Few, events.join(", "));
        format!("{{\"members_omitted\":{omitted},\"state\":[{state}],\"auth_chain\":[{auth_chain}]}}")
    }

    fn events(&self) -> Vec<String> {
        self.room.events.iter().map(|event| event.pdu.clone().unwrap()).collect()
    }

    /// How many events of the room are here.
    async fn count_in(&self, world: &World) -> usize {
        let ids =
            self.room.events.iter().map(|event| OwnedEventId::try_from(event.event_id.as_str()).unwrap());
        let snapshot = world.store.snapshot().unwrap();
        let numbers = snapshot.numbers_of(&ids.collect::<Vec<_>>()).await.unwrap();
        let rows =
            snapshot.get_many(&EVENTS, &numbers.into_iter().flatten().collect::<Vec<_>>()).await.unwrap();
        rows.into_iter().flatten().count()
    }
}

/// Everything in the state of a room, by type and state key.
async fn state(world: &World, room_id: &RoomId) -> BTreeMap<(String, String), String> {
    let reader = world.reader();
    let room = reader.room_number(room_id).await.unwrap().unwrap();
    let numbers = reader.current_state(room).await.unwrap().numbers().await.unwrap();
    let numbers: Vec<_> = numbers.into_iter().map(|(_, event)| event).collect();
    let events = reader.events(&numbers).await.unwrap();
    let entry = |event: &freehold_rooms::StoredEvent| {
        let key = (event.pdu.event_type().to_owned(), event.pdu.state_key().unwrap().to_owned());
        (key, event.pdu.event_id().to_string())
    };
    events.iter().map(|event| entry(event)).collect()
}

fn expected(room: &LargeRoom) -> BTreeMap<(String, String), String> {
    room.events.iter().map(|event| (event.state_map_key().unwrap(), event.event_id.clone())).collect()
}

#[tokio::test]
async fn a_large_room_is_joined_whole_by_one_hand_or_by_many() {
    for (version, has_many) in [(RoomVersion::V11, false), (RoomVersion::V12, true)] {
        // More than are taken at once.
        let resident = Arc::new(Resident::of(version, 35, 30));
        let world = resident.world().await;
        let hands = Arc::new(Counted(AtomicUsize::new(0), Processors::new(2)));
        if has_many {
            let _ = world.rooms.clone().with_labour(hands.clone());
        }
        let (joiner, room_id) = (world.actor(JOINER).await, resident.room_id());
        world.rooms.join(&joiner, entry(&room_id, &["s0.example"])).await.unwrap();
        let mut told = state(&world, &room_id).await;
        assert!(told.remove(&("m.room.member".to_owned(), JOINER.to_owned())).is_some());
        assert_eq!(told, expected(&resident.room), "{version}");
        assert_eq!(hands.0.load(Ordering::Relaxed) > 5, has_many, "{version}");
        // Each server's key is asked for once, together with others.
        let asked = std::mem::take(&mut *resident.asked.lock().unwrap());
        assert_eq!(asked.iter().sum::<usize>(), 35, "{version}: {asked:?}");
        let reader = world.reader();
        let servers = reader.servers_in(world.number(&room_id).await).await.unwrap();
        let joined: Vec<u64> = servers.iter().map(|(_, row)| row.joined).collect();
        assert_eq!(joined.iter().sum::<u64>(), 1051, "{version}");
        assert_eq!(servers.len(), 36, "{version}");
        world.say(&joiner, &room_id, "hello").await;
    }
}

#[tokio::test]
async fn members_that_nobody_signed_are_left_out_and_the_others_come_in() {
    let mut resident = Resident::of(RoomVersion::V11, 20, 15);
    resident.meddling = |events| {
        for event in events.iter_mut().skip(100).step_by(10) {
            let mut forged: Value = serde_json::from_str(event).unwrap();
            forged["origin_server_ts"] = json!(1);
            *event = forged.to_string();
        }
        events.insert(50, "7".to_owned());
        events.insert(60, "{\"type\":\"m.room.member\"}".to_owned());
    };
    let resident = Arc::new(resident);
    let world = resident.world().await;
    let (joiner, room_id) = (world.actor(JOINER).await, resident.room_id());
    world.rooms.join(&joiner, entry(&room_id, &["s0.example"])).await.unwrap();
    let mut told = state(&world, &room_id).await;
    told.remove(&("m.room.member".to_owned(), JOINER.to_owned()));
    let mut honest = expected(&resident.room);
    let forged: Vec<String> =
        resident.room.events.iter().skip(100).step_by(10).map(|event| event.event_id.clone()).collect();
    honest.retain(|_, event_id| !forged.contains(event_id));
    assert_eq!(told, honest);
}

#[tokio::test]
async fn members_are_taken_while_others_still_come_and_are_here_if_the_answer_breaks_off() {
    // Of the larger one more come than may wait.
    for (version, of_each, has_many) in [(RoomVersion::V11, 60, false), (RoomVersion::V12, 150, true)] {
        let resident = Arc::new(Resident::of(version, 35, of_each));
        let mut world = resident.world().await;
        world.rooms = world.omitting();
        if has_many {
            let _ = world.rooms.clone().with_labour(Arc::new(Processors::new(2)));
        }
        let (joiner, room_id) = (world.actor(JOINER).await, resident.room_id());
        world.rooms.join(&joiner, entry(&room_id, &["s0.example"])).await.unwrap();
        let few = state(&world, &room_id).await;
        assert!(few.len() < 10, "{version}");
        let number = world.number(&room_id).await;
        let at = <&ServerName>::try_from("s0.example").unwrap();

        let bytes = resident.events().iter().map(String::len).sum::<usize>();
        resident.breaks_off_after.store(bytes * 9 / 10, Ordering::Relaxed);
        let broken = world.rooms.complete(&room_id, at, Unverified::Waits).await;
        let is_told = matches!(&broken, Err(ActionError::BadAnswer { source: BadAnswer::BrokeOff(_), .. }));
        assert!(is_told, "{version}: {broken:?}");
        let came = resident.count_in(&world).await;
        assert!((1_000..35 * of_each).contains(&came), "{version}: {came}");
        // Nothing is said of them before all are known.
        assert!(world.reader().is_partial(number).await.unwrap());
        assert_eq!(state(&world, &room_id).await, few, "{version}");

        resident.breaks_off_after.store(usize::MAX, Ordering::Relaxed);
        world.rooms.complete(&room_id, at, Unverified::Waits).await.unwrap();
        let mut told = state(&world, &room_id).await;
        told.remove(&("m.room.member".to_owned(), JOINER.to_owned()));
        assert_eq!(told, expected(&resident.room), "{version}");
        let check = check_rooms(&world.store.snapshot().unwrap()).await.unwrap();
        assert_eq!(check.findings, [], "{version}");
    }
}

/// What is taken early is looked at as closely.
#[tokio::test]
async fn members_that_nobody_signed_are_not_taken_while_others_still_come_either() {
    let mut resident = Resident::of(RoomVersion::V11, 35, 60);
    let forged: Vec<String> =
        (100..2_000).step_by(10).map(|place| resident.room.events[place].event_id.clone()).collect();
    for event in resident.room.events.iter_mut().filter(|event| forged.contains(&event.event_id)) {
        let mut pdu: Value = serde_json::from_str(event.pdu.as_deref().unwrap()).unwrap();
        let signature = pdu["signatures"].as_object_mut().unwrap().values_mut().next().unwrap();
        *signature.as_object_mut().unwrap().values_mut().next().unwrap() = json!("A".repeat(86));
        event.pdu = Some(pdu.to_string());
    }
    let resident = Arc::new(resident);
    let mut world = resident.world().await;
    world.rooms = world.omitting();
    let (joiner, room_id) = (world.actor(JOINER).await, resident.room_id());
    world.rooms.join(&joiner, entry(&room_id, &["s0.example"])).await.unwrap();
    let at = <&ServerName>::try_from("s0.example").unwrap();
    world.rooms.complete(&room_id, at, Unverified::Waits).await.unwrap();
    let mut told = state(&world, &room_id).await;
    told.remove(&("m.room.member".to_owned(), JOINER.to_owned()));
    let mut honest = expected(&resident.room);
    honest.retain(|_, event_id| !forged.contains(event_id));
    assert_eq!(told, honest);
}

impl RemoteServers for Resident {
    fn make_membership<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        ask: MakeMembership<'a>,
    ) -> BoxFuture<'a, Result<Template, Unanswered>> {
        let is_needed = |event_type: &str| {
            matches!(event_type, "m.room.power_levels" | "m.room.join_rules")
                || event_type == "m.room.create" && self.room.version.id() != "12"
        };
        let needed = self.room.events.iter().filter(|event| is_needed(&event.event_type));
        let auth_events: Vec<&str> = needed.map(|event| event.event_id.as_str()).collect();
        let last = self.room.events.last().unwrap();
        let event = json!({
            "type": "m.room.member", "room_id": ask.room_id, "sender": ask.user_id, "state_key": ask.user_id,
            "content": {"membership": "join"}, "origin_server_ts": 0, "depth": last.depth + 1,
            "prev_events": [last.event_id], "auth_events": auth_events,
        });
        let room_version = Some(self.room.version.id().to_owned());
        Box::pin(std::future::ready(Ok(Template { room_version, event: event.to_string() })))
    }

    fn send_join<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: SendMembership<'a>,
        members: Members,
    ) -> BoxFuture<'a, Result<Box<dyn AnswerBody>, Unanswered>> {
        Box::pin(std::future::ready(Ok(body(&self.answer(members), usize::MAX))))
    }

    fn keys<'a>(
        &'a self,
        _: &'a Tenant,
        wanted: &'a [WantedKey],
    ) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        self.asked.lock().unwrap().push(wanted.len());
        let key = |want: &WantedKey| {
            let seed = self.room.keys.get(want.server.as_str())?;
            Some((want.server.to_string(), SigningKey::from_seed(seed).verifying_key().clone()))
        };
        let keys = Keys(wanted.iter().filter_map(key).collect());
        Box::pin(async move {
            tokio::task::yield_now().await;
            Box::new(keys) as Box<dyn KeySource + Send + Sync>
        })
    }

    fn send_leave<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendMembership<'a>,
    ) -> BoxFuture<'a, Result<(), Unanswered>> {
        self.none.send_leave(tenant, at, send)
    }

    fn send_knock<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendMembership<'a>,
    ) -> BoxFuture<'a, Result<Vec<String>, Unanswered>> {
        self.none.send_knock(tenant, at, send)
    }

    fn send_invite<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendInvite<'a>,
    ) -> BoxFuture<'a, Result<String, Unanswered>> {
        self.none.send_invite(tenant, at, send)
    }

    fn exchange_third_party_invite<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        exchange: (&'a RoomId, &'a str),
    ) -> BoxFuture<'a, Result<(), Unanswered>> {
        self.none.exchange_third_party_invite(tenant, at, exchange)
    }

    fn is_key_valid<'a>(&'a self, url: &'a str, key: &'a str) -> BoxFuture<'a, Result<bool, Unanswered>> {
        self.none.is_key_valid(url, key)
    }

    fn state<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: (&'a RoomId, &'a EventId),
    ) -> BoxFuture<'a, Result<Box<dyn AnswerBody>, Unanswered>> {
        let events = self.events();
        // Of the state some are in the auth chain, too.
        let auth_chain: Vec<String> =
            events.iter().take(4).chain(events.iter().step_by(7)).cloned().collect();
        let text = format!("{{\"pdus\":[{}],\"auth_chain\":[{}]}}", events.join(","), auth_chain.join(","));
        Box::pin(std::future::ready(Ok(body(&text, self.breaks_off_after.load(Ordering::Relaxed)))))
    }

    fn directory<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        alias: &'a RoomAliasId,
    ) -> BoxFuture<'a, Result<ResolvedAlias, Unanswered>> {
        self.none.directory(tenant, at, alias)
    }

    fn profile<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        user_id: &'a UserId,
    ) -> BoxFuture<'a, Result<Map<String, Value>, Unanswered>> {
        self.none.profile(tenant, at, user_id)
    }
}
