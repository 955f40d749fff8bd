//! The rules against the naive twin: the specification's text transcribed literally and slowly.

use freehold_event::RoomVersion;
use freehold_event_auth::{NamedAuthEvents, PreparedState, auth_types_needed, check, check_auth_events};
use freehold_testkit::{
    Events, RoomEvent,
    twin::{self, Differences, State, selection},
};
use proptest::{prelude::*, sample::select};

const USERS: [&str; 5] =
    ["@creator:one.org", "@alice:one.org", "@mod:one.org", "@bob:two.org", "@eve:two.org"];

fn user() -> impl Strategy<Value = &'static str> {
    select(&USERS[..])
}

/// A power level as some version writes it, or something that is none.
fn level() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "0",
            "1",
            "49",
            "50",
            "51",
            "100",
            "-1",
            "50",
            "50",
            "0",
            r#""50""#,
            r#"" +051 ""#,
            "50.9",
            r#""x""#,
            "null",
        ][..],
    )
}

fn level_map(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::btree_map(select(names), level(), 0..4).prop_map(|map| {
        let members: Vec<_> = map.into_iter().map(|(name, level)| format!(r#""{name}":{level}"#)).collect();
        format!("{{{}}}", members.join(","))
    })
}

/// Content of power levels: some properties, some entries.
fn levels() -> impl Strategy<Value = String> {
    const NAMED: &[&str] =
        &["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"];
    const TYPES: &[&str] = &["m.room.power_levels", "m.room.topic", "m.room.message", "m.room.redaction"];
    const NAMES: &[&str] = &[USERS[0], USERS[1], USERS[2], USERS[3], USERS[4], USERS[1], USERS[2], "nobody"];
    let property = |name: &'static str, map: BoxedStrategy<String>| {
        prop::option::of(map).prop_map(move |map| map.map(|map| format!(r#""{name}":{map}"#)))
    };
    (
        prop::collection::btree_map(select(NAMED), level(), 0..3),
        property("events", level_map(TYPES).boxed()),
        property("notifications", level_map(&["room", "other"]).boxed()),
        property("users", level_map(NAMES).boxed()),
    )
        .prop_map(|(named, events, notifications, users)| {
            let named = named.into_iter().map(|(name, level)| format!(r#""{name}":{level}"#));
            let members: Vec<_> = named.chain(events).chain(notifications).chain(users).collect();
            format!("{{{}}}", members.join(","))
        })
}

/// Content of a membership.
fn membership() -> impl Strategy<Value = String> {
    let membership = select(&["join", "join", "join", "invite", "leave", "ban", "knock", "odd"][..]);
    let authoriser = prop::option::weighted(0.3, user());
    let invite = prop::bool::weighted(0.1);
    (membership, authoriser, invite).prop_map(|(membership, authoriser, invite)| {
        let authoriser = authoriser
            .map(|user| format!(r#""join_authorised_via_users_server":"{user}","#))
            .unwrap_or_default();
        let invite = if invite {
            r#","third_party_invite":{"signed":{"mxid":"@eve:two.org","token":"token"}}"#
        } else {
            ""
        };
        format!(r#"{{{authoriser}"membership":"{membership}"{invite}}}"#)
    })
}

fn join_rules() -> impl Strategy<Value = String> {
    select(&["public", "invite", "knock", "restricted", "knock_restricted", "private"][..])
        .prop_map(|rule| format!(r#"{{"join_rule":"{rule}"}}"#))
}

/// An event of a type that some rule looks at: type, state key, content.
fn body() -> impl Strategy<Value = (&'static str, Option<&'static str>, String)> {
    let empty = || Just("{}".to_owned());
    let key = || prop::option::of(select(&["", "@bob:two.org", "two.org", "one.org"][..]));
    prop_oneof![
        4 => (Just("m.room.member"), user().prop_map(Some), membership()),
        4 => (Just("m.room.power_levels"), Just(Some("")), levels()),
        1 => (Just("m.room.message"), Just(None), empty()),
        1 => (Just("m.room.topic"), key(), empty()),
        1 => (Just("m.room.redaction"), Just(None), empty()),
        1 => (Just("m.room.aliases"), key(), empty()),
        1 => (Just("m.room.third_party_invite"), Just(Some("token")), empty()),
    ]
}

/// The parts of the room's state that may or may not be there.
#[derive(Clone, Debug)]
struct Facts {
    create_members: &'static str,
    levels: Option<String>,
    join_rules: Option<String>,
    members: [Option<String>; 5],
}

fn facts() -> impl Strategy<Value = Facts> {
    let create =
        select(&["", r#","m.federate":false"#, r#","additional_creators":["@alice:one.org"]"#, ""][..]);
    let member = || prop::option::weighted(0.8, membership());
    let members = [member(), member(), member(), member(), member()];
    let levels = prop::option::weighted(0.8, levels());
    (create, levels, prop::option::weighted(0.8, join_rules()), members).prop_map(
        |(create_members, levels, join_rules, members)| Facts { create_members, levels, join_rules, members },
    )
}

/// A room of a version: its state, without the event that wants in.
fn state_events(version: &RoomVersion, facts: &Facts) -> Vec<RoomEvent> {
    let hashed_id = version.rules().authorization.room_create_event_id_as_room_id;
    let room_id = if hashed_id { "!m.room.create|" } else { "!room:one.org" };
    let event = |event_type: &str, state_key: &str, content: &str| RoomEvent {
        event_id: format!("${event_type}|{state_key}"),
        room_id: (event_type != "m.room.create" || !hashed_id).then(|| room_id.to_owned()),
        event_type: event_type.to_owned(),
        state_key: Some(state_key.to_owned()),
        sender: USERS[0].to_owned(),
        content: content.to_owned(),
        origin_server_ts: 0,
        depth: 1,
        prev_events: Vec::new(),
        auth_events: Vec::new(),
        redacts: None,
        rejected: false,
        pdu: None,
    };
    let create = format!(r#"{{"creator":"{}"{}}}"#, USERS[0], facts.create_members);
    let members = USERS.iter().zip(&facts.members);
    let members = members.filter_map(|(user, content)| Some(event("m.room.member", user, content.as_ref()?)));
    let levels = facts.levels.iter().map(|content| event("m.room.power_levels", "", content));
    let join_rules = facts.join_rules.iter().map(|content| event("m.room.join_rules", "", content));
    [event("m.room.create", "", &create)].into_iter().chain(members).chain(levels).chain(join_rules).collect()
}

prop_compose! {
    /// An event that wants in.
    fn candidate()(
        (event_type, state_key, content) in body(),
        sender in user(),
        after_create in prop::bool::weighted(0.2),
        redacts in select(&["$x:one.org", "$x:two.org"][..]),
    ) -> RoomEvent {
        RoomEvent {
            event_id: "$event:one.org".to_owned(),
            room_id: None,
            event_type: event_type.to_owned(),
            state_key: state_key.map(str::to_owned),
            sender: sender.to_owned(),
            content,
            origin_server_ts: 0,
            depth: 1,
            prev_events: vec![if after_create { "$m.room.create|" } else { "$x" }.to_owned()],
            auth_events: Vec::new(),
            redacts: (event_type == "m.room.redaction").then(|| redacts.to_owned()),
            rejected: false,
            pdu: None,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Same verdict; and the same rule, but for power levels, where the twin goes through the
    /// entries one by one and so may name another of several rules that reject.
    #[test]
    fn verdict_against_a_state_is_the_twins(
        version in select(RoomVersion::ALL),
        facts in facts(),
        event in candidate(),
    ) {
        let differences = Differences::of(version.id()).unwrap();
        let events = state_events(version, &facts);
        let event = RoomEvent { room_id: events[1..].first().and_then(|e| e.room_id.clone()), ..event };
        let prepared = PreparedState::from_events(version, events.iter().map(RoomEvent::view));
        let state: State<'_> = events.iter().map(|e| (e.state_map_key().unwrap(), e)).collect();
        let ours = check(&event.view(), &prepared, version)
            .map_err(|denial| denial.rule.number(version).unwrap().to_string());
        let theirs = twin::check(&event, &state, &differences).map_err(|denied| denied.rule);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} or {:?}", ours, theirs);
        if event.event_type != "m.room.power_levels" {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn selection_and_verdict_on_auth_events_are_the_twins(
        version in select(RoomVersion::ALL),
        facts in facts(),
        event in candidate(),
        spoil in prop::collection::vec((any::<prop::sample::Index>(), 0..5_u8), 0..2),
    ) {
        let differences = Differences::of(version.id()).unwrap();
        let mut events = state_events(version, &facts);
        let mut event = event;
        event.room_id = events[1..].first().and_then(|e| e.room_id.clone()).or(Some("!m.room.create|".to_owned()));
        let selected = selection(&event, &differences);
        let ours: std::collections::BTreeSet<_> = auth_types_needed(&event.view(), version)
            .iter()
            .map(|(event_type, key)| (event_type.to_owned(), key.to_owned()))
            .collect();
        prop_assert_eq!(&ours, &selected);

        let mut named: Vec<String> = events
            .iter()
            .filter(|e| selected.contains(&e.state_map_key().unwrap()))
            .map(|e| e.event_id.clone())
            .collect();
        for (index, how) in spoil {
            let index = index.index(events.len());
            match how {
                0 => named.push(events[index].event_id.clone()),
                1 => events[index].rejected = true,
                2 => events[index].room_id = Some("!other:one.org".to_owned()),
                3 => named.retain(|id| *id != events[index].event_id),
                _ => events[index].state_key = None,
            }
        }
        event.auth_events = named;
        let by_id: Events = events.iter().map(|e| (e.event_id.clone(), e.clone())).collect();
        let theirs = twin::check_auth_events(&event, &by_id, &differences);
        let views: Vec<_> = event.auth_events.iter().map(|id| by_id[id].view()).collect();
        let create = by_id.get("$m.room.create|").map(RoomEvent::view);
        let create = create.filter(|_| version.rules().authorization.room_create_event_id_as_room_id);
        let ours = check_auth_events(&event.view(), &NamedAuthEvents { auth_events: &views, create }, version);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} or {:?}", ours, theirs);
    }
}
