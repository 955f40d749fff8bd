//! What a server may see that asks a tenant about a room.

use freehold_rooms::{MissingEvents, NotShown, ServerView};
use freehold_store::tables::rooms::STATE_NODES;
use freehold_store::{Actor, Batch, Order};
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomId, ServerName};
use serde_json::{Value, json};

use crate::hosted::World;

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:three.example";
const SERVERS: [&str; 4] = ["one.example", "two.example", "three.example", "four.example"];

fn server(name: &str) -> OwnedServerName {
    ServerName::parse(name).unwrap()
}

/// A room of Alice's and Bob's, with what was said in it.
struct Talk {
    world: World,
    alice: Actor,
    bob: Actor,
    room: OwnedRoomId,
}

impl Talk {
    /// Alice says something while Bob is not there, sets the visibility of the history, and speaks with Bob.
    async fn with(visibility: &str) -> Self {
        let world = World::new(&SERVERS).await;
        let (alice, bob) = (world.actor(ALICE).await, world.actor(BOB).await);
        let room = world.public_room(&alice, "12").await;
        let content = json!({ "history_visibility": visibility });
        world.put(&alice, &room, ("m.room.history_visibility", ""), content).await.unwrap();
        world.say(&alice, &room, "before").await;
        world.join(&bob, &room).await;
        world.say(&bob, &room, "during").await;
        Talk { world, alice, bob, room }
    }

    async fn view(&self, tenant: &str, asker: &str, room: &RoomId) -> Result<ServerView, NotShown> {
        let tenant = freehold_rooms::Identities::tenant(&*self.world.hosted, &server(tenant)).unwrap();
        self.world.reader().for_server(&tenant, &server(asker), room).await
    }

    /// Two asks one.
    async fn two(&self) -> ServerView {
        self.view("one.example", "two.example", &self.room).await.unwrap()
    }

    async fn ids(&self) -> Vec<OwnedEventId> {
        let events = self.world.timeline(&self.room).await;
        events.iter().map(|event| event.pdu.event_id().to_owned()).collect()
    }
}

fn bodies(texts: &[String]) -> Vec<Value> {
    let contents = texts.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
    let messages = contents.filter(|event| event["type"] == "m.room.message");
    messages.map(|event| event["content"]["body"].clone()).collect()
}

#[tokio::test]
async fn history_is_shown_to_servers_as_its_own_time_had_it() {
    for (visibility, before) in [
        ("world_readable", json!("before")),
        ("shared", json!("before")),
        ("invited", Value::Null),
        ("joined", Value::Null),
        ("what nobody knows", json!("before")),
    ] {
        let talk = Talk::with(visibility).await;
        let last = talk.ids().await.pop().unwrap();
        let view = talk.two().await;
        let history = view.backfill(std::slice::from_ref(&last), 100).await.unwrap();
        assert_eq!(history.len(), talk.ids().await.len(), "{visibility}: all of it, redacted or not");
        assert_eq!(bodies(&history), [json!("during"), before.clone()], "{visibility}");
        let wanted =
            MissingEvents { earliest_events: Vec::new(), latest_events: vec![last], limit: 50, min_depth: 0 };
        assert_eq!(
            bodies(&view.missing_events(&wanted).await.unwrap()),
            std::slice::from_ref(&before),
            "{visibility}"
        );
        let said = talk.ids().await;
        let hidden = said[said.len() - 3].clone();
        let event = view.event(&hidden).await;
        assert_eq!(event.is_ok(), before != Value::Null, "{visibility}: {event:?}");
        assert!(event.is_ok() || matches!(event, Err(NotShown::Hidden(_))));
    }
}

/// Invited people see what was said since, where the history is for the invited.
#[tokio::test]
async fn an_invite_counts_where_the_history_is_for_the_invited() {
    for (visibility, is_shown) in [("invited", true), ("joined", false)] {
        let talk = Talk::with(visibility).await;
        let carol = talk.world.actor(CAROL).await;
        let rooms = &talk.world.rooms;
        rooms.invite(&talk.alice, &talk.room, crate::hosted::about(&carol)).await.unwrap();
        let said = talk.world.say(&talk.alice, &talk.room, "to the invited").await;
        // Not before somebody of the server is in the room.
        let early = talk.view("one.example", "three.example", &talk.room).await;
        assert!(matches!(early, Err(NotShown::NotInRoom)));
        talk.world.join(&carol, &talk.room).await;
        let view = talk.view("one.example", "three.example", &talk.room).await.unwrap();
        assert_eq!(view.event(&said).await.is_ok(), is_shown, "{visibility}");
    }
}

/// continuwuity SEC26, CVE-2022-39335: state and auth chains were shown of events of other rooms, or to anybody.
#[tokio::test]
async fn sec26_an_event_of_another_room_is_as_unknown_as_none() {
    let talk = Talk::with("world_readable").await;
    let secret = talk.world.public_room(&talk.alice, "12").await;
    let hidden = talk.world.say(&talk.alice, &secret, "secret").await;
    let view = talk.two().await;
    let nothing = EventId::parse("$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    for id in [&hidden, &nothing] {
        let refusals = [
            view.event(id).await.map(|_| ()),
            view.state_before(id).await.map(|_| ()),
            view.auth_chain(id).await.map(|_| ()),
        ];
        for refusal in refusals {
            assert!(matches!(&refusal, Err(NotShown::UnknownEvent(unknown)) if unknown == id), "{refusal:?}");
        }
        assert_eq!(view.backfill(std::slice::from_ref(id), 10).await.unwrap(), [] as [String; 0]);
        let wanted = MissingEvents {
            earliest_events: Vec::new(),
            latest_events: vec![id.clone()],
            limit: 10,
            min_depth: 0,
        };
        assert_eq!(view.missing_events(&wanted).await.unwrap(), [] as [String; 0]);
    }
    let tenant = &talk.alice.tenant;
    let by_id = talk.world.reader().for_server_asking(tenant, &server("two.example"), &hidden).await;
    assert!(matches!(by_id, Err(NotShown::NotInRoom)), "{by_id:?}");
}

/// A tenant that is not in a room says the same of it whoever else here is.
#[tokio::test]
async fn a_tenant_that_is_not_in_a_room_knows_as_little_of_it_as_a_stranger() {
    let talk = Talk::with("world_readable").await;
    let last = talk.ids().await.pop().unwrap();
    let nowhere = RoomId::parse("!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    for room in [&talk.room, &nowhere] {
        let asked = talk.view("four.example", "two.example", room).await;
        assert!(matches!(asked, Err(NotShown::UnknownRoom)), "{asked:?}");
    }
    let four = freehold_rooms::Identities::tenant(&*talk.world.hosted, &server("four.example")).unwrap();
    let reader = talk.world.reader();
    let nothing = EventId::parse("$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    for id in [&last, &nothing] {
        let asked = reader.for_server_asking(&four, &server("two.example"), id).await;
        assert!(matches!(asked, Err(NotShown::UnknownEvent(_))), "{asked:?}");
    }
}

#[tokio::test]
async fn who_has_left_or_is_shut_out_is_shown_nothing() {
    let talk = Talk::with("world_readable").await;
    talk.two().await;
    let acl = json!({ "allow": ["*"], "deny": ["two.example"] });
    talk.world.put(&talk.alice, &talk.room, ("m.room.server_acl", ""), acl).await.unwrap();
    let shut_out = talk.view("one.example", "two.example", &talk.room).await;
    assert!(matches!(shut_out, Err(NotShown::ShutOut)), "{shut_out:?}");
    let acl = json!({ "allow": ["*"] });
    talk.world.put(&talk.alice, &talk.room, ("m.room.server_acl", ""), acl).await.unwrap();
    talk.two().await;
    talk.world.rooms.leave(&talk.bob, &talk.room, None).await.unwrap();
    let left = talk.view("one.example", "two.example", &talk.room).await;
    assert!(matches!(left, Err(NotShown::NotInRoom)), "{left:?}");
}

#[tokio::test]
async fn a_state_comes_with_its_auth_chain_and_is_that_before_the_event() {
    let talk = Talk::with("shared").await;
    let topic = json!({ "topic": "one" });
    let first = talk.world.put(&talk.alice, &talk.room, ("m.room.topic", ""), topic).await.unwrap();
    let topic = json!({ "topic": "two" });
    let second = talk.world.put(&talk.alice, &talk.room, ("m.room.topic", ""), topic).await.unwrap();
    let view = talk.two().await;
    let state = view.state_before(&second).await.unwrap();
    let ids = view.ids(&state.pdus).await.unwrap();
    assert!(ids.contains(&first) && !ids.contains(&second));
    assert_eq!(view.texts(&state.pdus).await.unwrap().len(), ids.len());
    let chain = view.ids(&state.auth_chain).await.unwrap();
    for text in view.texts(&state.pdus).await.unwrap() {
        let event: Value = serde_json::from_str(&text).unwrap();
        for auth_event in event["auth_events"].as_array().unwrap() {
            assert!(chain.iter().any(|id| id.as_str() == auth_event.as_str().unwrap()));
        }
    }
    let own = view.ids(&view.auth_chain(&second).await.unwrap()).await.unwrap();
    assert!(!own.is_empty() && !own.contains(&second) && own.iter().all(|id| chain.contains(id)));
}

#[tokio::test]
async fn missing_events_are_bounded_and_stop_at_what_is_there() {
    let talk = Talk::with("shared").await;
    for place in 0..60 {
        talk.world.say(&talk.bob, &talk.room, &format!("{place}")).await;
    }
    let ids = talk.ids().await;
    let (latest, earliest) = (ids[ids.len() - 1].clone(), ids[ids.len() - 6].clone());
    let view = talk.two().await;
    let ask = async |earliest: Vec<OwnedEventId>, limit, min_depth| {
        let latest_events = vec![latest.clone()];
        let wanted = MissingEvents { earliest_events: earliest, latest_events, limit, min_depth };
        bodies(&view.missing_events(&wanted).await.unwrap())
    };
    assert_eq!(ask(vec![earliest.clone()], 50, 0).await, ["55", "56", "57", "58"]);
    assert_eq!(ask(vec![earliest], 2, 0).await, ["57", "58"]);
    assert_eq!(ask(Vec::new(), usize::MAX, 0).await.len(), 50);
    assert_eq!(ask(Vec::new(), 50, i64::MAX).await, [] as [Value; 0]);
    let history = view.backfill(std::slice::from_ref(&latest), usize::MAX).await.unwrap();
    assert!(history.len() <= 100);
}

#[tokio::test]
async fn the_event_nearest_to_a_time_is_one_that_the_server_may_see() {
    let talk = Talk::with("joined").await;
    let events = talk.world.timeline(&talk.room).await;
    let view = talk.two().await;
    let hidden = &events[events.len() - 3].pdu;
    let joined = &events[events.len() - 2].pdu;
    let at = hidden.origin_server_ts();
    let later = view.timestamp_to_event(at, Order::Ascending).await.unwrap().unwrap();
    assert_eq!(later.event_id, joined.event_id());
    let last = view.timestamp_to_event(i64::MAX - 1, Order::Descending).await.unwrap().unwrap();
    assert_eq!(last.event_id, events.last().unwrap().pdu.event_id());
}

#[tokio::test]
async fn who_was_shut_out_while_away_is_given_what_that_follows_and_nothing_later() {
    let talk = Talk::with("shared").await;
    talk.world.say(&talk.alice, &talk.room, "unheard").await;
    let kick = freehold_rooms::MemberAction { user_id: talk.bob.user_id.clone(), reason: None };
    talk.world.rooms.kick(&talk.alice, &talk.room, kick).await.unwrap();
    talk.world.say(&talk.alice, &talk.room, "after").await;
    let ids = talk.ids().await;
    let [.., during, unheard, kicked, after] = &ids[..] else { panic!("{ids:?}") };
    let tenant = freehold_rooms::Identities::tenant(&*talk.world.hosted, &server("one.example")).unwrap();
    let reader = talk.world.reader();
    let two = reader.for_former_server(&tenant, &server("two.example"), &talk.room).await.unwrap();
    let missing = |latest: &OwnedEventId| MissingEvents {
        earliest_events: vec![during.clone()],
        latest_events: vec![latest.clone()],
        limit: 10,
        min_depth: 0,
    };
    let given = two.missing_events(&missing(kicked)).await.unwrap();
    assert_eq!(bodies(&given), [json!("unheard")]);
    assert!(two.event(unheard).await.is_ok() && two.state_before(kicked).await.is_ok());
    assert_eq!(two.missing_events(&missing(after)).await.unwrap(), Vec::<String>::new());
    for refused in [two.event(after).await.err(), two.state_before(after).await.err()] {
        assert!(matches!(refused, Some(NotShown::UnknownEvent(_) | NotShown::Hidden(_))), "{refused:?}");
    }
    let never = reader.for_former_server(&tenant, &server("three.example"), &talk.room).await;
    assert!(matches!(never, Err(NotShown::NotInRoom)), "{never:?}");
}

#[tokio::test]
async fn who_has_left_gives_what_came_before_that_and_nothing_later() {
    let talk = Talk::with("shared").await;
    let unheard = talk.world.say(&talk.bob, &talk.room, "unheard").await;
    talk.world.rooms.leave(&talk.bob, &talk.room, None).await.unwrap();
    let after = talk.world.say(&talk.alice, &talk.room, "after").await;
    let two = freehold_rooms::Identities::tenant(&*talk.world.hosted, &server("two.example")).unwrap();
    let reader = talk.world.reader();
    let one = reader.for_former_server(&two, &server("one.example"), &talk.room).await.unwrap();
    assert!(one.event(&unheard).await.is_ok());
    assert!(one.event(&after).await.is_err(), "a neighbour is still in the room");
    let strict = reader.for_server(&two, &server("one.example"), &talk.room).await;
    assert!(matches!(strict, Err(NotShown::UnknownRoom)), "{strict:?}");
    let three = freehold_rooms::Identities::tenant(&*talk.world.hosted, &server("three.example")).unwrap();
    let never = reader.for_former_server(&three, &server("one.example"), &talk.room).await;
    assert!(matches!(never, Err(NotShown::UnknownRoom)), "{never:?}");
}

/// Who asks has proved no more than a name, and states are as long as rooms are.
#[tokio::test]
async fn strangers_are_refused_without_a_look_at_the_state() {
    let talk = Talk::with("shared").await;
    let (store, said) = (&talk.world.store, talk.ids().await.pop().unwrap());
    let snapshot = store.snapshot().unwrap();
    let nodes = snapshot.scan_prefix(&STATE_NODES, &(), Order::Ascending, usize::MAX).await.unwrap();
    let mut batch = Batch::new();
    nodes.iter().for_each(|(node, _)| batch.delete(&STATE_NODES, node));
    store.commit(batch).await.unwrap();
    let rooms = talk.world.reopened();
    let reader = rooms.reader().unwrap();
    let tenant = |name: &str| freehold_rooms::Identities::tenant(&*talk.world.hosted, &server(name)).unwrap();
    let ask = async |tenant_name: &str, asker: &str| {
        let (tenant, asker) = (tenant(tenant_name), server(asker));
        let now = reader.for_server(&tenant, &asker, &talk.room).await.unwrap_err();
        let once = reader.for_former_server(&tenant, &asker, &talk.room).await.unwrap_err();
        let event = reader.for_server_asking(&tenant, &asker, &said).await.unwrap_err();
        [now, once, event]
    };
    let looked = ask("one.example", "two.example").await;
    assert!(looked.iter().all(|refusal| matches!(refusal, NotShown::Unreadable(_))), "{looked:?}");
    let never_in = ask("one.example", "three.example").await;
    assert!(never_in.iter().all(|refusal| matches!(refusal, NotShown::NotInRoom)), "{never_in:?}");
    let by_nobody = ask("four.example", "two.example").await;
    let [now, once, event] = by_nobody;
    assert!(matches!((&now, &once), (NotShown::UnknownRoom, NotShown::UnknownRoom)), "{now:?} {once:?}");
    assert!(matches!(event, NotShown::UnknownEvent(_)), "{event:?}");
}
