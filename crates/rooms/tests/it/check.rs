//! Whatever is damaged is found, and what is in order is not called damaged.

use freehold_rooms::Identities as _;
use freehold_rooms::check::{RoomFault, RoomsCheck, check_rooms};
use freehold_store::check::{check_numbers, check_references, check_rows};
use freehold_store::tables::rooms::{
    CURRENT_STATE, EVENT_JSON, EVENTS, EventRow, LOCAL_MEMBERS, MEMBER_CHANGES, MEMBERSHIPS, Membership,
    ROOM_SERVERS, RoomServerRow, STATE_HISTORY, STATE_NODES, TIMELINE,
};
use freehold_store::tables::tenancy::{Control, TENANT_NUMBERS, TENANTS, TenantRow, TenantState};
use freehold_store::{Batch, EventNumber, Key, Order, RoomNumber, Table, TimelineIndex, Value};
use ruma_common::{OwnedRoomId, ServerName};
use serde_json::json;

use crate::hosted::World;
use crate::outside::{Published, SERVERS, foreign, lively_room};

const BOB: &str = "@bob:two.example";

/// Rooms of several versions, one of them with forks that were resolved.
pub(crate) async fn world() -> (World, OwnedRoomId) {
    let world = World::new(&SERVERS).await;
    register_tenants(&world).await;
    for version in ["1", "6", "10"] {
        lively_room(&world, version).await;
    }
    let room = forked_room(&world).await;
    (world, room)
}

/// What the table of tenants says, which rooms themselves do not read.
async fn register_tenants(world: &World) {
    let mut batch = Batch::new();
    for name in SERVERS {
        let tenant = world.hosted.tenant(&ServerName::parse(name).unwrap()).unwrap();
        let row = TenantRow {
            server_name: tenant.server_name().to_owned(),
            hostnames: Vec::new(),
            state: TenantState::Active,
            since_ts: 0,
            created_ts: 0,
            control: Control::Vouched,
            challenge: String::new(),
            owner: None,
        };
        batch.put(&TENANTS, &tenant.number(), &row);
        batch.put(&TENANT_NUMBERS, &row.server_name, &tenant.number());
    }
    world.store.commit(batch).await.unwrap();
}

/// A room whose history forked, with different states on both sides, and came together again.
pub(crate) async fn forked_room(world: &World) -> OwnedRoomId {
    let (alice, bob) = (world.actor("@alice:one.example").await, world.actor(BOB).await);
    let keys = Published::of(world);
    let room = world.public_room(&alice, "12").await;
    world.join(&bob, &room).await;
    let mut levels = world.state(&room, "m.room.power_levels", "").await.unwrap();
    levels["users"][BOB] = json!(90);
    world.put(&alice, &room, ("m.room.power_levels", ""), levels).await.unwrap();
    let fork = world.timeline(&room).await.pop().unwrap();
    world.put(&alice, &room, ("m.room.topic", ""), json!({ "topic": "hers" })).await.unwrap();
    for event_type in ["m.room.topic", "m.room.name", "org.example.setting"] {
        let content = json!({ "topic": "his", "name": "his" });
        let made = foreign(world, &fork.pdu, (BOB, event_type, Some("")), content).await;
        world.rooms.receive(&room, &made, &keys).await.unwrap();
    }
    // Another extremity stays.
    world.say(&alice, &room, "together again").await;
    let made = foreign(world, &fork.pdu, (BOB, "m.room.message", None), json!({ "body": "late" })).await;
    world.rooms.receive(&room, &made, &keys).await.unwrap();
    room
}

pub(crate) async fn checked(world: &World) -> RoomsCheck {
    check_rooms(&world.store.snapshot().unwrap()).await.unwrap()
}

#[tokio::test]
async fn rooms_of_all_kinds_are_in_order() {
    let (world, room) = world().await;
    let found = checked(&world).await;
    assert_eq!(found.findings, [], "{found:?}");
    assert!(found.rooms >= 4 && found.events > 60, "{found:?}");
    let snapshot = world.store.snapshot().unwrap();
    let number = world.number(&room).await;
    let current = snapshot.get(&CURRENT_STATE, &number).await.unwrap().unwrap();
    assert_eq!(current.forward_extremities.len(), 2, "the room has forks to resolve");
    for reports in [
        check_rows(&snapshot).await.unwrap(),
        check_numbers(&snapshot).await.unwrap(),
        check_references(&snapshot).await.unwrap(),
    ] {
        let damaged: Vec<_> = reports.iter().filter(|report| report.damaged > 0).collect();
        assert!(damaged.is_empty(), "{damaged:?}");
    }
}

/// What a mutation changes, and what must be said of it.
pub(crate) type Mutation = (&'static str, fn(&mut Damage, &Found), fn(&RoomFault) -> bool);

/// The room that is damaged, and some of its rows.
pub(crate) struct Found {
    pub(crate) room: RoomNumber,
    pub(crate) rows: Vec<(EventNumber, EventRow)>,
    pub(crate) timeline: Vec<(TimelineIndex, EventNumber)>,
    pub(crate) bob: freehold_store::UserNumber,
    pub(crate) roots: Vec<[u8; 20]>,
    pub(crate) current: freehold_store::tables::rooms::CurrentStateRow,
    pub(crate) texts: Vec<String>,
    pub(crate) tenant: freehold_store::TenantNumber,
}

impl Found {
    pub(crate) async fn of(world: &World, room_id: &OwnedRoomId) -> Self {
        let snapshot = world.store.snapshot().unwrap();
        let room = world.number(room_id).await;
        let all = snapshot.scan_prefix(&EVENTS, &(), Order::Ascending, usize::MAX).await.unwrap();
        let rows: Vec<_> = all.into_iter().filter(|(_, row)| row.room == room).collect();
        let timeline = snapshot.scan_prefix(&TIMELINE, &room, Order::Ascending, usize::MAX).await.unwrap();
        let history = snapshot.scan_prefix(&STATE_HISTORY, &room, Order::Ascending, 99).await.unwrap();
        let numbers: Vec<_> = rows.iter().map(|(number, _)| *number).collect();
        let texts = snapshot.get_many(&EVENT_JSON, &numbers).await.unwrap();
        let bob = world.actor(BOB).await;
        Found {
            room,
            rows,
            timeline: timeline.into_iter().map(|((_, index), event)| (index, event)).collect(),
            bob: bob.user,
            roots: history.into_iter().map(|(_, root)| root).collect(),
            current: snapshot.get(&CURRENT_STATE, &room).await.unwrap().unwrap(),
            texts: texts.into_iter().flatten().collect(),
            tenant: bob.tenant.number(),
        }
    }

    /// The last event that was accepted.
    pub(crate) fn last(&self) -> (EventNumber, EventRow) {
        let (_, number) = self.timeline[self.timeline.len() - 1];
        self.rows.iter().find(|(one, _)| *one == number).unwrap().clone()
    }

    fn last_text(&self) -> &str {
        let (number, _) = self.last();
        let at = self.rows.iter().position(|(one, _)| *one == number).unwrap();
        &self.texts[at]
    }

    /// A membership event.
    fn member(&self) -> (EventNumber, EventRow) {
        self.rows.iter().find(|(_, row)| row.membership.is_some()).unwrap().clone()
    }
}

type Undo = Box<dyn FnOnce(&mut Batch)>;

/// Changes that can be taken back.
pub(crate) struct Damage {
    pub(crate) batch: Batch,
    undo: Vec<Undo>,
    snapshot: freehold_store::Snapshot,
}

impl Damage {
    pub(crate) fn put<K: Key + Clone + 'static, V: Value + 'static>(
        &mut self,
        table: &'static Table<K, V>,
        key: K,
        row: Option<&V>,
    ) {
        let before = now(self.snapshot.get(table, &key)).unwrap();
        match row {
            Some(row) => self.batch.put(table, &key, row),
            None => self.batch.delete(table, &key),
        }
        self.undo.push(Box::new(move |batch| match before {
            Some(before) => batch.put(table, &key, &before),
            None => batch.delete(table, &key),
        }));
    }

    pub(crate) fn event(
        &mut self,
        (number, row): (EventNumber, EventRow),
        change: impl FnOnce(&mut EventRow),
    ) {
        let mut row = row;
        change(&mut row);
        self.put(&EVENTS, number, Some(&row));
    }

    fn text(&mut self, found: &Found, from: &str, to: &str) {
        let text = found.last_text().replace(from, to);
        assert_ne!(text, found.last_text(), "{from}");
        self.put(&EVENT_JSON, found.last().0, Some(&text));
    }
}

impl Damage {
    /// Nothing is damaged yet.
    pub(crate) fn new(world: &World) -> Self {
        Damage { batch: Batch::new(), undo: Vec::new(), snapshot: world.store.snapshot().unwrap() }
    }
}

/// The engine in memory is ready at once.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the memory engine made somebody wait"),
    }
}

pub(crate) const MUTATIONS: &[Mutation] = &[
    (
        "text that is no JSON",
        |damage, found| damage.put(&EVENT_JSON, found.last().0, Some(&"{".to_owned())),
        |fault| matches!(fault, RoomFault::Format { .. }),
    ),
    (
        "text of another event",
        |damage, found| damage.put(&EVENT_JSON, found.last().0, Some(&found.texts[0])),
        |fault| matches!(fault, RoomFault::OtherEvent { .. }),
    ),
    (
        "content that is not what was hashed",
        |damage, found| damage.text(found, "late", "soon"),
        |fault| matches!(fault, RoomFault::ContentHash),
    ),
    (
        "signature of somebody else",
        |damage, found| damage.text(found, "\"two.example\":{", "\"six.example\":{"),
        |fault| matches!(fault, RoomFault::Signature { server } if server == "two.example"),
    ),
    (
        "sender",
        |damage, found| damage.event(found.last(), |row| row.sender.0 -= 1),
        |fault| matches!(fault, RoomFault::Row { member: "sender" }),
    ),
    (
        "state key",
        |damage, found| damage.event(found.member(), |row| row.state_key = None),
        |fault| matches!(fault, RoomFault::Row { member: "state_key" }),
    ),
    (
        "depth",
        |damage, found| damage.event(found.last(), |row| row.depth += 1),
        |fault| matches!(fault, RoomFault::Row { member: "depth" }),
    ),
    (
        "time",
        |damage, found| damage.event(found.last(), |row| row.origin_server_ts += 1),
        |fault| matches!(fault, RoomFault::Row { member: "origin_server_ts" }),
    ),
    (
        "prev_events",
        |damage, found| damage.event(found.last(), |row| row.prev_events.clear()),
        |fault| matches!(fault, RoomFault::Row { member: "prev_events" }),
    ),
    (
        "auth_events",
        |damage, found| damage.event(found.last(), |row| row.auth_events.clear()),
        |fault| matches!(fault, RoomFault::Row { member: "auth_events" }),
    ),
    (
        "membership",
        |damage, found| damage.event(found.member(), |row| row.membership = Some(Membership::Ban)),
        |fault| matches!(fault, RoomFault::Row { member: "membership" }),
    ),
    (
        "state before an event",
        |damage, found| damage.event(found.last(), |row| row.state_before = Some(found.roots[0])),
        |fault| matches!(fault, RoomFault::StateBefore),
    ),
    (
        "current state",
        |damage, found| {
            let mut row = found.current.clone();
            row.state = found.roots[found.roots.len() - 2];
            damage.put(&CURRENT_STATE, found.room, Some(&row));
        },
        |fault| matches!(fault, RoomFault::CurrentState),
    ),
    (
        "history of states",
        |damage, found| {
            let last = freehold_store::Position(u64::MAX / 2);
            damage.put(&STATE_HISTORY, (found.room, last), Some(&found.roots[0]));
        },
        |fault| matches!(fault, RoomFault::StateHistory),
    ),
    (
        "lost node of a state",
        |damage, found| damage.put(&STATE_NODES, found.current.state, None),
        |fault| matches!(fault, RoomFault::NoState { .. }),
    ),
    (
        "joined members",
        |damage, found| {
            let row = freehold_store::tables::rooms::CurrentStateRow { joined: 7, ..found.current.clone() };
            damage.put(&CURRENT_STATE, found.room, Some(&row));
        },
        |fault| matches!(fault, RoomFault::Count { membership: "joined", said: 7, counted: 2 }),
    ),
    (
        "invited members",
        |damage, found| {
            let row = freehold_store::tables::rooms::CurrentStateRow { invited: 1, ..found.current.clone() };
            damage.put(&CURRENT_STATE, found.room, Some(&row));
        },
        |fault| matches!(fault, RoomFault::Count { membership: "invited", said: 1, counted: 0 }),
    ),
    (
        "member of a tenant",
        |damage, found| {
            damage.put(&LOCAL_MEMBERS, (found.room, found.tenant, found.bob), Some(&Membership::Leave));
        },
        |fault| {
            matches!(
                fault,
                RoomFault::Member { said: Some(Membership::Leave), found: Some(Membership::Join), .. }
            )
        },
    ),
    (
        "lost member of a tenant",
        |damage, found| damage.put(&LOCAL_MEMBERS, (found.room, found.tenant, found.bob), None),
        |fault| matches!(fault, RoomFault::Member { said: None, .. }),
    ),
    (
        "when a member joined",
        |damage, found| {
            let row = now(damage.snapshot.get(&MEMBERSHIPS, &(found.bob, found.room))).unwrap().unwrap();
            damage.put(&MEMBER_CHANGES, (found.room, row.since, found.bob), None);
        },
        |fault| matches!(fault, RoomFault::MemberChange { .. }),
    ),
    (
        "users of a server",
        |damage, found| {
            let server = ServerName::parse("two.example").unwrap();
            let row = RoomServerRow { joined: 2, since: freehold_store::Position(1) };
            damage.put(&ROOM_SERVERS, (found.room, server), Some(&row));
        },
        |fault| matches!(fault, RoomFault::Server { said: 2, counted: 1, .. }),
    ),
    (
        "lost server",
        |damage, found| {
            let server = ServerName::parse("two.example").unwrap();
            damage.put(&ROOM_SERVERS, (found.room, server), None);
        },
        |fault| matches!(fault, RoomFault::Server { said: 0, counted: 1, .. }),
    ),
    (
        "member event of a member",
        |damage, found| {
            let mut row = now(damage.snapshot.get(&MEMBERSHIPS, &(found.bob, found.room))).unwrap().unwrap();
            row.event = found.rows[0].0;
            damage.put(&MEMBERSHIPS, (found.bob, found.room), Some(&row));
        },
        |fault| matches!(fault, RoomFault::MemberEvent { .. }),
    ),
    (
        "entry of the timeline",
        |damage, found| {
            let (index, _) = found.timeline[2];
            damage.put(&TIMELINE, (found.room, index), Some(&found.timeline[3].1));
        },
        |fault| matches!(fault, RoomFault::Timeline),
    ),
    (
        "order of the timeline",
        |damage, found| {
            let [(first, one), (second, other)] = [found.timeline[2], found.timeline[3]];
            damage.put(&TIMELINE, (found.room, first), Some(&other));
            damage.put(&TIMELINE, (found.room, second), Some(&one));
            let row = |number| found.rows.iter().find(|(one, _)| *one == number).unwrap().clone();
            damage.event(row(one), |row| row.timeline = Some(second));
            damage.event(row(other), |row| row.timeline = Some(first));
        },
        |fault| matches!(fault, RoomFault::TimelineOrder),
    ),
    (
        "end of the timeline",
        |damage, found| {
            let mut row = found.current.clone();
            row.last = found.timeline[0].0;
            damage.put(&CURRENT_STATE, found.room, Some(&row));
        },
        |fault| matches!(fault, RoomFault::TimelineEnd),
    ),
];

#[tokio::test]
async fn each_damage_is_found_in_its_room_and_is_gone_when_it_is_undone() {
    let (world, room) = world().await;
    let found = Found::of(&world, &room).await;
    for (name, damage, is_found) in MUTATIONS {
        let snapshot = world.store.snapshot().unwrap();
        let mut done = Damage { batch: Batch::new(), undo: Vec::new(), snapshot };
        damage(&mut done, &found);
        world.store.commit(done.batch).await.unwrap();
        let check = checked(&world).await;
        let findings: Vec<_> = check.findings.iter().filter(|finding| is_found(&finding.fault)).collect();
        assert!(!findings.is_empty(), "{name}: {check:?}");
        assert!(findings.iter().all(|finding| finding.room == found.room), "{name}: {findings:?}");
        let mut batch = Batch::new();
        done.undo.into_iter().rev().for_each(|undo| undo(&mut batch));
        world.store.commit(batch).await.unwrap();
    }
    assert_eq!(checked(&world).await.findings, []);
}

/// Rows that are lost, and the tables from which they are referred to.
#[tokio::test]
async fn each_reference_to_a_lost_row_is_found() {
    let (world, room) = world().await;
    let found = Found::of(&world, &room).await;
    type Loss = (fn(&mut Damage, &Found), &'static str);
    let losses: [Loss; 7] = [
        (|damage, found| damage.put(&EVENTS, found.last().0, None), "event_json"),
        (|damage, found| damage.put(&EVENT_JSON, found.last().0, None), "events"),
        (|damage, found| damage.put(&TIMELINE, (found.room, found.timeline[1].0), None), "events"),
        (|damage, found| damage.put(&STATE_NODES, found.current.state, None), "current_state"),
        (|damage, found| damage.put(&MEMBERSHIPS, (found.bob, found.room), None), "local_members"),
        (|damage, found| damage.put(&CURRENT_STATE, found.room, None), "rooms"),
        (|damage, found| damage.put(&STATE_NODES, found.current.state, Some(&vec![1, 0])), "state_nodes"),
    ];
    for (lose, table) in losses {
        let snapshot = world.store.snapshot().unwrap();
        let mut done = Damage { batch: Batch::new(), undo: Vec::new(), snapshot };
        lose(&mut done, &found);
        world.store.commit(done.batch).await.unwrap();
        let reports = check_references(&world.store.snapshot().unwrap()).await.unwrap();
        let damaged: Vec<_> = reports.iter().filter(|report| report.damaged > 0).collect();
        assert!(damaged.iter().any(|report| report.name == table), "{table}: {damaged:?}");
        let mut batch = Batch::new();
        done.undo.into_iter().rev().for_each(|undo| undo(&mut batch));
        world.store.commit(batch).await.unwrap();
    }
    let reports = check_references(&world.store.snapshot().unwrap()).await.unwrap();
    assert!(reports.iter().all(|report| report.damaged == 0));
}
