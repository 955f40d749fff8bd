//! Rooms that are joined with a few of their members, and become whole afterwards.

mod held;
mod lacking;

use std::sync::Arc;

use freehold_rooms::check::check_rooms;
use freehold_rooms::{
    ActionError, BadAnswer, Hold, Incoming, LateState, MemberAction, NotServed, NotShown, OwnStep,
    Unanswered, Unverified,
};
use freehold_signing::SignedPdu;
use freehold_store::tables::rooms::{
    HELD, HELD_EVENTS, HeldRow, LACKING_EVENTS, LACKING_ROOMS, Membership, OUTGOING, PARTIAL_ROOMS,
};
use freehold_store::{Actor, Batch, Order, RoomNumber};
use ruma_common::{OwnedRoomId, OwnedServerName, ServerName, UserId};
use serde_json::{Value, json};

use crate::entering::state;
use crate::hosted::{World, about, entry};
use crate::network::Network;

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:three.example";
const DAVE: &str = "@dave:four.example";
/// What time it is where that matters.
const NOW_TS: i64 = 1_767_225_700_000;

/// A room with a name and members of three servers, and somebody of a fourth who joins with few of them.
struct Scene {
    network: Arc<Network>,
    one: World,
    two: World,
    others: World,
    alice: Actor,
    bob: Actor,
    room: OwnedRoomId,
}

impl Scene {
    async fn new(version: &str) -> Self {
        let network = Network::new();
        let one = network.world(&["one.example"]).await;
        let mut two = network.world(&["two.example", "five.example"]).await;
        two.rooms = two.omitting();
        let others = network.world(&["three.example", "four.example"]).await;
        let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
        let (carol, dave) = (others.actor(CAROL).await, others.actor(DAVE).await);
        let room = one.public_room(&alice, version).await;
        one.put(&alice, &room, ("m.room.name", ""), json!({ "name": "many" })).await.unwrap();
        others.rooms.join(&carol, entry(&room, &["one.example"])).await.unwrap();
        others.rooms.join(&dave, entry(&room, &["four.example", "three.example"])).await.unwrap();
        network.deliver(&others, &one).await;
        assert_eq!(one.membership(&room, DAVE).await.as_deref(), Some("join"));
        one.say(&alice, &room, "before").await;
        network.asked();
        Scene { network, one, two, others, alice, bob, room }
    }

    async fn join(&self) {
        self.two.rooms.join(&self.bob, entry(&self.room, &["one.example"])).await.unwrap();
    }

    async fn complete(&self) -> Result<(), ActionError> {
        self.two.rooms.complete(&self.room, server("one.example"), Unverified::Waits).await
    }

    /// The others hear of the join by way of the server that helped.
    async fn tell_others(&self) {
        self.network.deliver(&self.one, &self.others).await;
        let join = self.one.timeline(&self.room).await.pop().unwrap();
        let keys = self.network.all_keys();
        self.others.rooms.receive(&self.room, join.pdu.canonical_json().as_bytes(), &keys).await.unwrap();
    }

    async fn is_partial(&self) -> bool {
        let number = self.two.number(&self.room).await;
        self.two.reader().is_partial(number).await.unwrap()
    }

    async fn servers(&self) -> Vec<(String, u64)> {
        let servers = self.two.reader().servers_in(self.two.number(&self.room).await).await.unwrap();
        servers.into_iter().map(|(server, row)| (server.to_string(), row.joined)).collect()
    }

    /// Changes each answer to one kind of question.
    fn meddle(&self, wanted: &'static str, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.network.meddle(move |what, answer| {
            if what != wanted {
                return answer;
            }
            let mut answer: Value = serde_json::from_str(&answer).unwrap();
            change(&mut answer);
            answer.to_string()
        });
    }

    /// What is known here of the room is in order, and what both know is the same.
    async fn expect_whole(&self) {
        assert!(!self.is_partial().await);
        expect_in_order(&self.two).await;
        self.network.deliver(&self.two, &self.one).await;
        assert_eq!(state(&self.one, &self.room).await, state(&self.two, &self.room).await);
        let counted = [("four.example", 1), ("one.example", 1), ("three.example", 1), ("two.example", 1)];
        let counted: Vec<(String, u64)> =
            counted.into_iter().map(|(server, joined)| (server.to_owned(), joined)).collect();
        assert_eq!(self.servers().await, counted);
        let current = self.two.reader().current(self.two.number(&self.room).await).await.unwrap().unwrap();
        assert_eq!(current.joined, 4);
        // After everything that was said since the join, the state is whole, too.
        for event in self.two.timeline(&self.room).await {
            let reader = self.two.reader();
            let before = reader.state_before(&event).await.unwrap();
            let carol = before.get("m.room.member", CAROL).await.unwrap();
            assert!(carol.is_some(), "{}", event.pdu.canonical_json());
            let position = event.row.timeline.unwrap().position().unwrap();
            let at = reader.state_at(event.row.room, position).await.unwrap();
            assert!(at.get("m.room.member", CAROL).await.unwrap().is_some());
        }
    }
}

fn server(name: &str) -> &ServerName {
    <&ServerName>::try_from(name).unwrap()
}

async fn expect_in_order(world: &World) {
    let check = check_rooms(&world.store.snapshot().unwrap()).await.unwrap();
    assert_eq!(check.findings, []);
}

#[tokio::test]
async fn a_room_is_used_with_few_members_and_becomes_whole() {
    for version in ["1", "6", "11", "12"] {
        let scene = Scene::new(version).await;
        scene.join().await;
        assert_eq!(scene.network.asked(), ["make_join one.example", "send_join one.example"], "{version}");
        assert!(scene.is_partial().await);
        expect_in_order(&scene.two).await;
        assert_eq!(scene.two.membership(&scene.room, CAROL).await, None, "{version}");
        // Everything but members is known, and what is said goes to all servers.
        assert!(scene.two.state(&scene.room, "m.room.name", "").await.is_some());
        scene.two.say(&scene.bob, &scene.room, "here I am").await;
        let named: Vec<String> = scene.servers().await.into_iter().map(|(server, _)| server).collect();
        assert_eq!(named, ["four.example", "one.example", "three.example", "two.example"], "{version}");
        scene.complete().await.unwrap();
        scene.expect_whole().await;
        // And it goes on.
        let said = scene.one.say(&scene.alice, &scene.room, "welcome").await;
        scene.network.deliver(&scene.one, &scene.two).await;
        let seen = scene.two.visible_bodies(&scene.bob, &scene.room).await;
        assert_eq!(seen, ["here I am", "welcome"], "{version} {said}");
        expect_in_order(&scene.two).await;
        // There is nothing more to be asked.
        scene.network.asked();
        scene.complete().await.unwrap();
        assert_eq!(scene.network.asked(), [""; 0]);
    }
}

#[tokio::test]
async fn who_waits_for_a_whole_room_waits_until_it_is() {
    let scene = Scene::new("12").await;
    // One that nobody here knows makes nobody wait.
    scene.two.rooms.whole(&scene.room).await.unwrap();
    scene.join().await;
    let waiting = scene.two.rooms.whole(&scene.room);
    let completing = async {
        tokio::task::yield_now().await;
        assert!(scene.is_partial().await);
        scene.complete().await.unwrap();
    };
    let (waited, ()) = tokio::join!(waiting, completing);
    waited.unwrap();
    assert!(!scene.is_partial().await);
}

#[tokio::test]
async fn nothing_is_said_or_judged_for_which_members_are_missing() {
    // The id of the room names no server.
    let scene = Scene::new("12").await;
    scene.join().await;
    let (two, room) = (&scene.two, &scene.room);
    // The membership of others.
    let carol = MemberAction { user_id: UserId::parse(CAROL).unwrap(), reason: None };
    let kicked = two.rooms.ban(&scene.bob, room, carol.clone()).await;
    assert!(matches!(kicked, Err(ActionError::Partial)), "{kicked:?}");
    // Whether she is in the room is not known.
    let kicked = two.rooms.kick(&scene.bob, room, carol).await;
    assert!(matches!(kicked, Err(ActionError::Partial)), "{kicked:?}");
    let put = two.put(&scene.bob, room, ("m.room.member", CAROL), json!({ "membership": "leave" })).await;
    assert!(matches!(put, Err(ActionError::Partial)), "{put:?}");
    // Who else wants in. That the room is known here is nobody's business.
    let eve = two.actor("@eve:five.example").await;
    let entered = two.rooms.join(&eve, entry(room, &["two.example"])).await;
    assert!(matches!(entered, Err(ActionError::Partial)), "{entered:?}");
    let unaware = two.rooms.join(&eve, entry(room, &["elsewhere.example"])).await;
    assert!(matches!(unaware, Err(ActionError::Busy)), "{unaware:?}");
    // Events of others.
    scene.one.say(&scene.alice, room, "anybody there?").await;
    let said = scene.one.timeline(room).await.pop().unwrap();
    let keys = scene.network.all_keys();
    let judged = two.rooms.receive(room, said.pdu.canonical_json().as_bytes(), &keys).await;
    assert!(matches!(judged, Err(ActionError::Partial)), "{judged:?}");
    // Questions of others.
    let reader = two.reader();
    let shown = reader.for_server(&scene.bob.tenant, server("one.example"), room).await;
    assert!(matches!(shown, Err(NotShown::Partial)), "{shown:?}");
    let asked = freehold_rooms::AskedTemplate {
        origin: server("three.example"),
        room_id: room,
        user_id: &UserId::parse("@frank:three.example").unwrap(),
        step: OwnStep::Join,
        versions: None,
    };
    let template = two.rooms.template_for(&scene.bob.tenant, asked).await;
    assert!(matches!(template, Err(NotServed::Partial)), "{template:?}");
    // All of it goes when the room is whole.
    scene.complete().await.unwrap();
    two.rooms.receive(room, said.pdu.canonical_json().as_bytes(), &keys).await.unwrap();
    two.rooms.join(&eve, entry(room, &["two.example"])).await.unwrap();
    assert_eq!(two.visible_bodies(&scene.bob, room).await, ["anybody there?"]);
    expect_in_order(two).await;
}

#[tokio::test]
async fn a_process_that_stops_in_between_goes_on_afterwards() {
    let mut scene = Scene::new("12").await;
    scene.join().await;
    scene.two.say(&scene.bob, &scene.room, "one").await;
    // All events come, and then nothing any more.
    scene.network.set_down(&["one.example"]);
    let silent = scene.complete().await;
    assert!(matches!(silent, Err(ActionError::Refused { answer: Unanswered::NotReached(_), .. })));
    scene.two.rooms = scene.two.omitting();
    assert!(scene.is_partial().await);
    scene.two.say(&scene.bob, &scene.room, "two").await;
    scene.network.set_down(&[]);
    let partial = scene.two.reader().partial_rooms().await.unwrap().pop().unwrap();
    assert_eq!(partial.resident, "one.example");
    assert_eq!(partial.tenant.as_ref(), Some(&scene.bob.tenant));
    scene.two.rooms.complete(&partial.room.room_id, &partial.resident, Unverified::Waits).await.unwrap();
    scene.expect_whole().await;
}

#[tokio::test]
async fn any_server_in_the_room_can_tell_its_members() {
    let scene = Scene::new("11").await;
    scene.join().await;
    scene.tell_others().await;
    scene.network.set_down(&["one.example"]);
    scene.two.rooms.complete(&scene.room, server("three.example"), Unverified::Waits).await.unwrap();
    scene.expect_whole().await;
}

/// After a join with few members the server that helped tells something else, each time; nothing of it is believed.
#[tokio::test]
async fn a_state_that_is_not_the_one_told_at_the_join_is_not_believed() {
    type Change = fn(&mut Vec<Value>);
    let changes: [(&str, Change); 4] = [
        ("the name is missing", |state| state.retain(|event| event["type"] != "m.room.name")),
        ("no state", Vec::clear),
        ("another room", |state| {
            state.iter_mut().for_each(|event| event["room_id"] = json!("!o:one.example"))
        }),
        ("no create event", |state| state.retain(|event| event["type"] != "m.room.create")),
    ];
    for (name, change) in changes {
        let scene = Scene::new("11").await;
        scene.join().await;
        scene.meddle("state", move |answer| change(answer["pdus"].as_array_mut().unwrap()));
        let refused = scene.complete().await;
        assert!(matches!(refused, Err(ActionError::BadAnswer { .. })), "{name}: {refused:?}");
        assert!(scene.is_partial().await, "{name}");
        assert_eq!(scene.two.membership(&scene.room, CAROL).await, None, "{name}");
        expect_in_order(&scene.two).await;
        scene.network.leave_alone();
        scene.complete().await.unwrap();
        scene.expect_whole().await;
    }
}

#[tokio::test]
async fn a_state_event_that_was_withheld_at_the_join_does_not_come_in_later() {
    let scene = Scene::new("11").await;
    scene.meddle("send_join", |answer| {
        answer["state"].as_array_mut().unwrap().retain(|event| event["type"] != "m.room.name");
    });
    scene.join().await;
    let refused = scene.complete().await;
    let is_other = matches!(&refused, Err(ActionError::BadAnswer { source: BadAnswer::OtherState, .. }));
    assert!(is_other, "{refused:?}");
    assert!(scene.is_partial().await);
}

#[tokio::test]
async fn a_state_that_does_not_allow_the_join_is_not_believed() {
    let scene = Scene::new("11").await;
    scene.join().await;
    scene.tell_others().await;
    // What came after the join is told as if it had been before.
    scene.one.rooms.ban(&scene.alice, &scene.room, about(&scene.bob)).await.unwrap();
    let ban = scene.one.timeline(&scene.room).await.pop().unwrap().pdu.canonical_json().to_owned();
    scene.meddle("state", move |answer| {
        answer["pdus"].as_array_mut().unwrap().push(serde_json::from_str(&ban).unwrap());
    });
    let refused = scene.two.rooms.complete(&scene.room, server("three.example"), Unverified::Waits).await;
    let is_refused = matches!(&refused, Err(ActionError::BadAnswer { source: BadAnswer::Refused(_), .. }));
    assert!(is_refused, "{refused:?}");
    assert!(scene.is_partial().await);
}

#[tokio::test]
async fn servers_that_were_named_wrongly_are_put_right() {
    let scene = Scene::new("11").await;
    scene.meddle("send_join", |answer| {
        answer["servers_in_room"] = json!(["three.example", "nowhere.example", "not a name", 7]);
    });
    scene.join().await;
    let said = scene.two.say(&scene.bob, &scene.room, "to whom?").await;
    let named: Vec<String> = scene.servers().await.into_iter().map(|(server, _)| server).collect();
    // Who helps is in the room, whatever it says.
    assert_eq!(named, ["nowhere.example", "one.example", "three.example", "two.example"]);
    scene.network.leave_alone();
    scene.complete().await.unwrap();
    scene.expect_whole().await;
    // Who was not named is sent what was said meanwhile.
    let snapshot = scene.two.store.snapshot().unwrap();
    let rows = snapshot.scan_prefix(&OUTGOING, &(), Order::Ascending, usize::MAX).await.unwrap();
    let event = snapshot.number_of(&said).await.unwrap().unwrap();
    let four = OwnedServerName::try_from("four.example").unwrap();
    assert!(rows.iter().any(|(_, row)| row.event == event && row.others == std::slice::from_ref(&four)));
}

#[tokio::test]
async fn who_left_a_room_that_never_became_whole_can_come_back() {
    let scene = Scene::new("12").await;
    scene.join().await;
    scene.two.rooms.leave(&scene.bob, &scene.room, None).await.unwrap();
    scene.network.deliver(&scene.two, &scene.one).await;
    assert_eq!(scene.one.membership(&scene.room, BOB).await.as_deref(), Some("leave"));
    // Of who is in it, nobody tells those who are not.
    assert!(matches!(scene.complete().await, Err(ActionError::NotInRoom)));
    scene.one.put(&scene.alice, &scene.room, ("m.room.topic", ""), json!({ "topic": "new" })).await.unwrap();
    scene.network.asked();
    scene.join().await;
    assert!(scene.is_partial().await);
    expect_in_order(&scene.two).await;
    scene.complete().await.unwrap();
    scene.expect_whole().await;
    scene.two.say(&scene.bob, &scene.room, "again").await;
    scene.network.deliver(&scene.two, &scene.one).await;
    assert_eq!(scene.one.visible_bodies(&scene.alice, &scene.room).await, ["before", "again"]);
}

#[tokio::test]
async fn who_is_in_a_room_that_becomes_whole_comes_in_anew() {
    let scene = Scene::new("12").await;
    scene.join().await;
    let number = scene.two.number(&scene.room).await;
    let row = scene.two.reader().membership(scene.bob.user, number).await.unwrap().unwrap();
    scene.two.say(&scene.bob, &scene.room, "still").await;
    scene.complete().await.unwrap();
    let now = scene.two.reader().membership(scene.bob.user, number).await.unwrap().unwrap();
    assert!(now.since > row.since);
    assert_eq!((now.membership, now.event), (Membership::Join, row.event));
    let snapshot = scene.two.store.snapshot().unwrap();
    assert_eq!(snapshot.get(&PARTIAL_ROOMS, &number).await.unwrap(), None);
}

/// A key that cannot be had now keeps nobody out for ever.
#[tokio::test]
async fn members_whose_keys_are_not_told_yet_are_waited_for() {
    let scene = Scene::new("12").await;
    scene.join().await;
    scene.network.withhold_keys(&["four.example"]);
    let refused = scene.complete().await;
    let waits = matches!(&refused, Err(ActionError::BadAnswer { source: BadAnswer::Unverified(1), .. }));
    assert!(waits, "{refused:?}");
    assert!(scene.is_partial().await);
    scene.network.withhold_keys(&[]);
    scene.complete().await.unwrap();
    scene.expect_whole().await;
}

#[tokio::test]
async fn members_whose_keys_nobody_has_any_more_are_left_out_in_the_end() {
    let scene = Scene::new("12").await;
    scene.join().await;
    scene.network.withhold_keys(&["four.example"]);
    scene.two.rooms.complete(&scene.room, server("one.example"), Unverified::LeftOut).await.unwrap();
    assert!(!scene.is_partial().await);
    assert_eq!(scene.two.membership(&scene.room, CAROL).await.as_deref(), Some("join"));
    assert_eq!(scene.two.membership(&scene.room, DAVE).await, None);
    expect_in_order(&scene.two).await;
}

/// A room that had no name is named after members: whom a summary would name is among the few.
#[tokio::test]
async fn a_room_of_which_nothing_is_omitted_is_whole_at_once() {
    let network = Network::new();
    let one = network.world(&["one.example"]).await;
    let mut two = network.world(&["two.example"]).await;
    two.rooms = two.omitting();
    let (alice, bob) = (one.actor(ALICE).await, two.actor(BOB).await);
    let room = one.public_room(&alice, "12").await;
    two.rooms.join(&bob, entry(&room, &["one.example"])).await.unwrap();
    let number = two.number(&room).await;
    assert!(!two.reader().is_partial(number).await.unwrap());
    assert_eq!(state(&one, &room).await, state(&two, &room).await);
}

/// Synapse tells who authorised a join as a part of the auth chain alone, when it leaves members out.
#[tokio::test]
async fn who_authorises_a_join_is_of_the_state_before_it_also_if_told_in_the_auth_chain_alone() {
    for version in ["8", "12"] {
        let scene = Scene::new(version).await;
        let condition = scene.one.public_room(&scene.alice, version).await;
        scene.two.rooms.join(&scene.bob, entry(&condition, &["one.example"])).await.unwrap();
        let one = server("one.example");
        scene.two.rooms.complete(&condition, one, Unverified::Waits).await.unwrap();
        let allow = json!({ "type": "m.room_membership", "room_id": condition });
        let rule = json!({ "join_rule": "restricted", "allow": [allow] });
        scene.one.put(&scene.alice, &scene.room, ("m.room.join_rules", ""), rule).await.unwrap();
        scene.network.deliver(&scene.two, &scene.one).await;
        scene.meddle("send_join", |answer| {
            let state = answer["state"].as_array_mut().unwrap();
            let (members, others): (Vec<Value>, Vec<Value>) =
                state.drain(..).partition(|event| event["type"] == "m.room.member");
            answer["state"] = Value::Array(others);
            answer["auth_chain"].as_array_mut().unwrap().extend(members);
        });
        scene.join().await;
        assert!(scene.is_partial().await, "{version}");
        assert_eq!(scene.two.membership(&scene.room, ALICE).await.as_deref(), Some("join"), "{version}");
        scene.network.leave_alone();
        scene.complete().await.unwrap();
        scene.expect_whole().await;
    }
}
