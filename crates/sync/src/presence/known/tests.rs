//! Somebody comes and goes.

use freehold_store::DeviceNumber;
use ruma_common::{ServerName, UserId};

use super::*;

const NOW: i64 = 1_700_000_000_000;
const ROOM: RoomNumber = RoomNumber(7);

fn tenant(number: u32) -> Tenant {
    let name = ServerName::parse(format!("tenant{number}.example")).unwrap();
    Tenant::new(TenantNumber(number), name)
}

fn user_id(number: u64, server: &str) -> OwnedUserId {
    UserId::parse(format!("@u{number}:{server}")).unwrap()
}

fn actor(user: u64, of: u32, device: u64) -> Actor {
    let tenant = tenant(of);
    let user_id = user_id(user, tenant.server_name().as_str());
    Actor { tenant, user_id, user: UserNumber(user), device: Some(DeviceNumber(device)) }
}

fn connect(presence: &Presence, user: u64, of: u32, times: (i64, i64)) {
    presence.connected(&actor(user, of, 1), PresenceState::Online, times);
}

fn heard(presence: &Presence, by: u32, user: u64, state: PresenceState, now_ts: i64) {
    let shown = Shown { state, status_msg: None };
    let told = ToldPresence { shown, last_active_ago_ms: 1_000 };
    let id = user_id(user, "far.example");
    presence.heard(TenantNumber(by), (UserNumber(user), id), told, now_ts);
}

/// Tells of everybody of whom there is something to tell, all in one room; gives who was told of.
fn round(presence: &Presence, now_ts: i64) -> Vec<(u64, PresenceState)> {
    let to_tell = presence.to_tell(now_ts);
    let tell = |one: ToTell| {
        presence.told((one.user, &one.told.shown), BTreeSet::from([ROOM]), now_ts);
        (one.user.0, one.told.shown.state)
    };
    to_tell.into_iter().map(tell).collect()
}

fn news(presence: &Presence, user: u64, since: u64, now_ts: i64) -> Vec<(String, PresenceState)> {
    let news = presence.news(UserNumber(user), since, (now_ts, 100));
    news.into_iter().map(|(id, told)| (id.localpart().to_owned(), told.shown.state)).collect()
}

#[test]
fn somebody_is_online_idle_active_and_gone() {
    use PresenceState::{Offline, Online, Unavailable};
    let (presence, user) = (Presence::default(), actor(1, 1, 1));
    let minute = 60_000;
    connect(&presence, 1, 1, (NOW, NOW + 10 * minute));
    assert_eq!(round(&presence, NOW), [(1, Online)]);
    assert_eq!(round(&presence, NOW + 4 * minute), [], "nothing changed");
    assert_eq!(round(&presence, NOW + 5 * minute), [(1, Unavailable)]);
    connect(&presence, 1, 1, (NOW + 6 * minute, NOW + 12 * minute));
    assert_eq!(round(&presence, NOW + 6 * minute), [], "who waits for news does nothing");
    presence.active(&user, NOW + 7 * minute);
    assert_eq!(round(&presence, NOW + 7 * minute), [(1, Online)]);
    assert_eq!(round(&presence, NOW + 12 * minute), [(1, Offline)]);
    connect(&presence, 1, 1, (NOW + 20 * minute, NOW + 21 * minute));
    assert_eq!(round(&presence, NOW + 20 * minute), [(1, Online)], "who comes back does something");
}

#[test]
fn who_says_to_be_offline_is_not_shown_until_they_connect_otherwise() {
    use PresenceState::{Offline, Online};
    let presence = Presence::default();
    connect(&presence, 1, 1, (NOW, NOW + 60_000));
    round(&presence, NOW);
    let hidden = actor(1, 1, 1);
    presence.said(&hidden, Shown::default(), NOW + 1_000);
    assert_eq!(round(&presence, NOW + 1_000), [], "it is not told at once again");
    assert_eq!(round(&presence, NOW + PAUSE_MS), [(1, Offline)]);
    presence.connected(&hidden, Offline, (NOW + PAUSE_MS, NOW + 90_000));
    assert_eq!(round(&presence, NOW + 2 * PAUSE_MS), []);
    presence.connected(&hidden, Online, (NOW + PAUSE_MS, NOW + 90_000));
    assert_eq!(round(&presence, NOW + 2 * PAUSE_MS), [(1, Online)]);
}

#[test]
fn of_several_devices_the_most_present_counts() {
    use PresenceState::{Offline, Online, Unavailable};
    let presence = Presence::default();
    let (phone, desk, bot) = (actor(1, 1, 1), actor(1, 1, 2), actor(1, 1, 3));
    let minute = 60_000;
    presence.connected(&phone, Unavailable, (NOW, NOW + 20 * minute));
    assert_eq!(round(&presence, NOW), [(1, Unavailable)]);
    presence.connected(&desk, Online, (NOW + minute, NOW + 4 * minute));
    assert_eq!(round(&presence, NOW + minute), [(1, Online)]);
    presence.connected(&phone, Unavailable, (NOW + 2 * minute, NOW + 22 * minute));
    assert_eq!(round(&presence, NOW + 2 * minute), [], "the desk is still there");
    assert_eq!(round(&presence, NOW + 4 * minute), [(1, Unavailable)], "and now it is not");
    presence.said(&phone, Shown::default(), NOW + 5 * minute);
    assert_eq!(round(&presence, NOW + 5 * minute), [(1, Offline)]);
    let away = Shown { state: Unavailable, status_msg: Some("away".to_owned()) };
    presence.said(&phone, away, NOW + 6 * minute);
    assert_eq!(round(&presence, NOW + 6 * minute), [(1, Unavailable)]);
    presence.active(&bot, NOW + 7 * minute);
    assert_eq!(round(&presence, NOW + 7 * minute), [(1, Online)], "whichever device it was");
    presence.connected(&desk, Online, (NOW + 8 * minute, NOW + 9 * minute));
    let told = presence.of(UserNumber(1), TenantNumber(1), NOW + 8 * minute).unwrap();
    assert_eq!(told.shown.status_msg.as_deref(), Some("away"), "the message is the user's, not the device's");
    for device in 10..200 {
        presence.connected(&actor(1, 1, device), Online, (NOW + 9 * minute, NOW + 10 * minute));
    }
    assert_eq!(presence.lock().users[&UserNumber(1)].devices(), crate::presence::limits::DEVICES_MAX);
}

#[test]
fn who_is_online_in_a_room_is_told_to_servers_that_come_into_it() {
    let presence = Presence::default();
    connect(&presence, 1, 1, (NOW, NOW + 60_000));
    connect(&presence, 2, 1, (NOW, NOW + 1_000));
    round(&presence, NOW);
    heard(&presence, 1, 9, PresenceState::Online, NOW);
    round(&presence, NOW + 1_000);
    let online = |most| -> Vec<String> {
        let online = presence.online_in(ROOM, (NOW + 1_000, most)).into_iter();
        online.map(|(_, (user_id, _))| user_id.to_string()).collect()
    };
    assert_eq!(online(9), ["@u1:tenant1.example", "@u2:tenant1.example"], "not told yet to be gone");
    assert_eq!(online(1).len(), 1);
    round(&presence, NOW + PAUSE_MS);
    assert_eq!(online(9), ["@u1:tenant1.example"]);
    assert!(presence.online_in(RoomNumber(8), (NOW, 9)).is_empty());
}

#[test]
fn who_comes_online_is_told_of_everybody_and_then_of_what_changes() {
    use PresenceState::{Offline, Online};
    let presence = Presence::default();
    connect(&presence, 1, 1, (NOW, NOW + 600_000));
    round(&presence, NOW);
    let before = presence.serial();
    connect(&presence, 2, 1, (NOW, NOW + 60_000));
    round(&presence, NOW);
    assert_eq!(news(&presence, 1, before, NOW), [("u2".to_owned(), Online)]);
    let all = [("u1".to_owned(), Online), ("u2".to_owned(), Online)];
    assert_eq!(news(&presence, 2, 0, NOW), all);
    let since = presence.serial();
    assert_eq!(news(&presence, 2, since, NOW), []);
    round(&presence, NOW + 60_000);
    assert_eq!(news(&presence, 1, since, NOW + 60_000), [("u2".to_owned(), Offline)]);
    assert_eq!(news(&presence, 2, 0, NOW + 60_000), [], "who is gone is told nothing");
}

#[test]
fn users_of_other_servers_are_shown_to_those_tenants_that_were_told() {
    use PresenceState::{Offline, Online};
    let presence = Presence::default();
    for (user, tenant) in [(1, 1), (2, 2)] {
        connect(&presence, user, tenant, (NOW, NOW + 10_000_000));
    }
    round(&presence, NOW);
    heard(&presence, 1, 9, Online, NOW);
    let to_tell = presence.to_tell(NOW);
    assert!(matches!(&to_tell[0].whom, Whom::OfServer(rooms) if *rooms == [ROOM]), "{to_tell:?}");
    let hearers = presence.told((UserNumber(9), &to_tell[0].told.shown), BTreeSet::from([ROOM]), NOW);
    assert_eq!(hearers, BTreeSet::from([UserNumber(1)]));
    assert!(news(&presence, 1, 0, NOW).contains(&("u9".to_owned(), Online)));
    assert!(!news(&presence, 2, 0, NOW).iter().any(|(user, _)| user == "u9"));
    assert!(presence.of(UserNumber(9), TenantNumber(2), NOW).is_none());
    assert_eq!(presence.of(UserNumber(9), TenantNumber(1), NOW).unwrap().last_active_ago_ms, 1_000);
    // A server that says nothing any more is not believed for ever.
    let later = NOW + BELIEVED_MS;
    assert!(round(&presence, later).contains(&(9, Offline)));
}

#[test]
fn a_server_is_heard_only_so_often_and_memory_is_bounded() {
    let presence = Presence::default();
    connect(&presence, 1, 1, (NOW, NOW + 60_000));
    round(&presence, NOW);
    for user in 100..100 + 2 * HEARD_OF_SERVER as u64 {
        heard(&presence, 1, user, PresenceState::Online, NOW);
    }
    assert_eq!(presence.lock().users.len(), 1 + HEARD_OF_SERVER);
    assert_eq!(round(&presence, NOW).len(), HEARD_TOGETHER, "the others have their turn in the next round");
    assert_eq!(round(&presence, NOW).len(), HEARD_TOGETHER);
    for user in 0..USERS_MAX as u64 + 10 {
        connect(&presence, 1_000 + user, 1, (NOW + 60_000, NOW + 120_000));
    }
    let state = presence.lock();
    assert!(state.users.len() <= USERS_MAX);
    assert!(state.changed.iter().all(|user| state.users.contains_key(user)));
    assert!(state.due.iter().all(|(_, user)| state.users.contains_key(user)));
    assert!(state.rooms.values().flatten().all(|user| state.users.contains_key(user)));
}
