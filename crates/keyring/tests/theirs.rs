//! The keys of other servers: scenes, bounds and incidents.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at what it did not expect"
)]

use std::collections::BTreeMap;

use freehold_keyring::{
    Action, FetchPolicy, Finding, Needed, Notary, NotaryQuery, NotaryQueryError, Outcome, Refusal,
    RemoteKeys, Route, Via, Want, notary_answer, recorded_keys,
};
use freehold_signing::{KeyId, KeySource, KeyValidity, ServerSigner, SigningKey};
use ruma_common::ServerName;
use world::{DAY, HOUR, NOW, Origin, World, key_id, name, notary_document};

#[path = "support/world.rs"]
mod world;

fn want<'a>(server: &'a ServerName, key_id: &'a KeyId, minimum_valid_until_ts: i64) -> Want<'a> {
    Want { server, key_id: Some(key_id), minimum_valid_until_ts, route: Route::Any }
}

#[test]
fn the_store_is_asked_first_then_the_server_then_the_notaries() {
    let mut world = World::new(2);
    let (server, a) = (name("a.example"), key_id("a"));
    world.add(Origin::new("a.example").key("a", 1).down());
    let Needed::Waiting(wait) = world.machine.need(want(&server, &a, 0), NOW) else { panic!() };
    world.run(NOW);
    assert_eq!(world.asked, ["load a.example", "get a.example"]);
    world.run(NOW + 49);
    assert_eq!(world.asked.len(), 2, "a batch waits for company");
    world.run(NOW + 50);
    assert_eq!(world.asked[2..], ["query n0.example a.example"]);
    assert_eq!(world.woken, [(wait, Outcome::Found)]);
    assert_eq!(world.saved.len(), 1);
    assert!(world.machine.key(&server, &a).is_some());
}

#[test]
fn a_server_that_answers_is_not_asked_through_notaries() {
    let mut world = World::new(1);
    let (server, a) = (name("a.example"), key_id("a"));
    world.add(Origin::new("a.example").key("a", 1));
    world.machine.need(want(&server, &a, NOW), NOW);
    world.run(NOW);
    assert_eq!(world.asked, ["load a.example", "get a.example"]);
    assert_eq!(world.machine.need(want(&server, &a, NOW), NOW), Needed::Ready);
}

#[test]
fn what_was_saved_is_used_without_a_request() {
    let mut world = World::new(1);
    let (server, a) = (name("a.example"), key_id("a"));
    world.add(Origin::new("a.example").key("a", 1));
    world.machine.need(want(&server, &a, NOW), NOW);
    world.run(NOW);
    let mut second = World::new(1);
    second.saved = world.saved.clone();
    second.machine.need(want(&server, &a, NOW), NOW + 1);
    second.run(NOW + 1);
    assert_eq!(second.asked, ["load a.example"]);
    assert_eq!(second.woken.len(), 1);
    assert_eq!(second.machine.key(&server, &a), world.machine.key(&server, &a));
    // And by whoever only reads what lies there.
    let read = recorded_keys(&world.saved[&server], &server).unwrap();
    assert_eq!(read.get(&a), world.machine.key(&server, &a).map(|key| key.key));
    assert_eq!(recorded_keys(b"{}", &name("b.example")).map(|keys| keys.len()), None);
}

#[test]
fn a_validity_of_more_than_seven_days_is_not_believed() {
    let mut world = World::new(0);
    let (server, a) = (name("a.example"), key_id("a"));
    world.add(Origin::new("a.example").key("a", 1).valid_for(1000 * DAY));
    world.machine.need(want(&server, &a, NOW), NOW);
    world.run(NOW);
    let validity = world.machine.key(&server, &a).unwrap().validity;
    assert_eq!(validity, KeyValidity::Current { valid_until_ts: NOW + 7 * DAY });
    let far = world.machine.need(want(&server, &a, NOW + 7 * DAY + 1), NOW);
    assert_eq!(far, Needed::Refused(Refusal::TooFarAhead));
}

#[test]
fn a_document_is_renewed_in_the_background_after_half_of_its_life() {
    let mut world = World::new(0);
    let (server, a) = (name("a.example"), key_id("a"));
    world.add(Origin::new("a.example").key("a", 1).valid_for(10 * HOUR));
    world.machine.need(want(&server, &a, NOW), NOW);
    world.run(NOW);
    for (now, asked) in [(NOW + 5 * HOUR - 1, 2), (NOW + 5 * HOUR, 3), (NOW + 5 * HOUR + 1, 3)] {
        assert_eq!(world.machine.need(want(&server, &a, now), now), Needed::Ready);
        world.run(now);
        assert_eq!(world.asked.len(), asked, "at {now}");
    }
    let validity = world.machine.key(&server, &a).unwrap().validity;
    assert_eq!(validity, KeyValidity::Current { valid_until_ts: NOW + 15 * HOUR });
}

/// synapse#3121: a server that uses one identifier for two keys.
#[test]
fn synapse_3121_the_first_key_under_an_identifier_stays_and_the_second_is_reported() {
    let mut world = World::new(0);
    let (server, a) = (name("a.example"), key_id("a"));
    world.add(Origin::new("a.example").key("a", 1));
    world.machine.need(want(&server, &a, NOW), NOW);
    world.run(NOW);
    let first = world.machine.key(&server, &a).unwrap().key.clone();
    // The same after a restart: what was seen first was saved.
    for restarted in [false, true] {
        if restarted {
            let saved = world.saved.clone();
            world = World::new(0);
            world.saved = saved;
        }
        world.add(Origin::new("a.example").key("a", 2).key("b", 3));
        let b = key_id("c");
        world.machine.need(want(&server, &b, NOW), NOW + DAY);
        world.run(NOW + DAY);
        assert_eq!(world.machine.key(&server, &a).unwrap().key, &first);
        assert!(world.machine.key(&server, &key_id("b")).is_some(), "the other keys are learnt");
        let reused = |finding: &Finding| matches!(finding, Finding::KeyIdReused(reuse) if reuse.known == first && reuse.via == Via::Direct);
        assert!(world.findings.iter().any(reused), "{:?}", world.findings);
    }
}

/// CVE-2026-24044: the key every ess-helm server had is not taken from anybody, and the throwaway
/// key such a server then publishes under the old name is.
#[test]
fn cve_2026_24044_a_published_secret_is_not_learnt() {
    let mut world = World::new(0);
    let (server, zero) = (name("a.example"), key_id("0"));
    let mut origin = Origin::new("a.example").key("1", 1);
    let bad = SigningKey::from_base64_seed("AZT9wvov/MBB0/8SBFtzyG5P+V/2YqXu6Cq99EotC3U").unwrap();
    origin.keys.push(("0".into(), bad, None));
    world.add(origin);
    world.machine.need(want(&server, &zero, NOW), NOW);
    world.run(NOW);
    assert_eq!(world.machine.key(&server, &zero), None);
    assert!(world.machine.key(&server, &key_id("1")).is_some());
    world.add(Origin::new("a.example").key("1", 1).old_key("0", 7, NOW));
    world.machine.need(want(&server, &zero, NOW), NOW + DAY);
    world.run(NOW + DAY);
    let key = world.machine.key(&server, &zero).unwrap();
    assert_eq!(key.validity, KeyValidity::Old { expired_ts: NOW });
}

#[test]
fn documents_that_prove_nothing_are_reported_and_not_believed() {
    type Make = Box<dyn Fn(&Origin) -> Vec<u8>>;
    let cases: [(&str, Make); 6] = [
        ("no json", Box::new(|_| b"<html>".to_vec())),
        ("no object", Box::new(|_| b"[]".to_vec())),
        ("another server's", Box::new(|_| Origin::new("b.example").key("a", 1).document(NOW))),
        ("not signed", Box::new(|origin| origin.unsigned(NOW).to_canonical_vec())),
        (
            "changed",
            Box::new(|origin| {
                let text = String::from_utf8(origin.document(NOW)).unwrap();
                text.replace("valid_until_ts\":1", "valid_until_ts\":2").into_bytes()
            }),
        ),
        ("too long", Box::new(|_| vec![b' '; FetchPolicy::DOCUMENT_BYTES_MAX + 1])),
    ];
    for (what, document) in cases {
        let mut world = World::new(0);
        let (server, a) = (name("a.example"), key_id("a"));
        let origin = Origin::new("a.example").key("a", 1);
        let json = document(&origin);
        world.add(origin);
        world.instead.insert(server.clone(), json);
        world.machine.need(want(&server, &a, NOW), NOW);
        world.run(NOW);
        assert_eq!(world.woken.len(), 1, "{what}");
        assert_eq!(world.woken[0].1, Outcome::Missing, "{what}");
        assert!(matches!(world.findings[..], [Finding::BadDocument { via: Via::Direct, .. }]), "{what}");
        assert!(world.saved.is_empty(), "{what}");
    }
}

#[test]
fn a_notary_is_believed_only_for_what_was_asked_and_only_with_its_signature() {
    for (what, signed_by, about, believed) in [
        ("as it should be", "n0.example", "a.example", true),
        ("another notary's signature", "n1.example", "a.example", false),
        ("nobody asked for it", "n0.example", "c.example", false),
    ] {
        let mut world = World::new(1);
        let (server, a) = (name("a.example"), key_id("a"));
        world.add(Origin::new("a.example").key("a", 1).down());
        world.machine.need(want(&server, &a, 0), NOW);
        let document = Origin::new(about).key("a", 1).document(NOW);
        world.notary_instead = Some(notary_document(&[document], signed_by));
        world.run(NOW);
        world.run(NOW + 50);
        assert_eq!(world.machine.key(&server, &a).is_some(), believed, "{what}");
        assert_eq!(world.machine.key(&name("c.example"), &a), None, "{what}");
        assert_eq!(world.findings.is_empty(), believed, "{what}");
    }
}

#[test]
fn a_notary_without_given_keys_is_asked_for_its_own_first() {
    let mut world = World::new(0);
    let notaries = vec![Notary { server_name: name("n0.example"), keys: BTreeMap::new() }];
    world.machine = RemoteKeys::new(FetchPolicy::default(), notaries);
    let (server, a) = (name("a.example"), key_id("a"));
    world.add(Origin::new("a.example").key("a", 1).down());
    world.add(Origin::new("n0.example").key("n", 100));
    world.machine.need(want(&server, &a, 0), NOW);
    for now in [NOW, NOW + 50, NOW + 51] {
        world.run(now);
    }
    assert_eq!(
        world.asked,
        [
            "load a.example",
            "get a.example",
            "load n0.example",
            "get n0.example",
            "query n0.example a.example"
        ]
    );
    assert!(world.machine.key(&server, &a).is_some());
}

#[test]
fn servers_are_asked_of_a_notary_together() {
    let mut world = World::new(1);
    let servers: Vec<_> = (0..150).map(|index| format!("s{index:03}.example")).collect();
    for server in &servers {
        world.add(Origin::new(server).key("a", 1).down());
        world.machine.need(want(&name(server), &key_id("a"), 0), NOW);
    }
    world.run(NOW);
    world.run(NOW + 50);
    let queries = world.asked.iter().filter(|asked| asked.starts_with("query")).count();
    assert_eq!(queries, 2, "100 and 50 servers");
    assert_eq!(world.woken.len(), 150);
}

#[test]
fn a_dead_server_is_asked_ever_more_rarely_and_an_unknown_key_once_a_minute() {
    for (down, least, most) in [(true, 8, 15), (false, 1400, 1441)] {
        let mut world = World::new(0);
        let (server, b) = (name("a.example"), key_id("b"));
        let origin = Origin::new("a.example").key("a", 1);
        world.add(if down { origin.down() } else { origin });
        for second in 0..24 * 360 {
            let now = NOW + second * 10_000;
            world.machine.need(want(&server, &b, 0), now);
            world.run(now);
        }
        let count = world.asked.iter().filter(|asked| asked.starts_with("get")).count();
        assert!((least..=most).contains(&count), "{count} requests in a day");
    }
}

#[test]
fn a_server_that_was_down_answers_again_once_it_is_back() {
    let mut world = World::new(0);
    let (server, a) = (name("a.example"), key_id("a"));
    world.add(Origin::new("a.example").key("a", 1).down());
    world.machine.need(want(&server, &a, 0), NOW);
    world.run(NOW);
    let refused = world.machine.need(want(&server, &a, 0), NOW + 1);
    assert_eq!(refused, Needed::Refused(Refusal::BackOff { until_ts: NOW + 60_000 }));
    world.add(Origin::new("a.example").key("a", 1));
    assert!(matches!(world.machine.need(want(&server, &a, 0), NOW + 60_000), Needed::Waiting(_)));
    world.run(NOW + 60_000);
    assert!(world.machine.key(&server, &a).is_some());
}

#[test]
fn an_unreadable_record_is_not_taken_for_none() {
    let mut world = World::new(1);
    let (server, a) = (name("a.example"), key_id("a"));
    world.add(Origin::new("a.example").key("a", 1));
    world.saved.insert(server.clone(), b"{}".to_vec());
    world.machine.need(want(&server, &a, 0), NOW);
    world.run(NOW);
    assert_eq!(world.asked, ["load a.example"]);
    assert_eq!(world.woken[0].1, Outcome::Unreadable);
    assert!(matches!(world.findings[..], [Finding::BadRecord { .. }]));
    assert_eq!(world.saved[&server], b"{}");
}

#[test]
fn requests_without_an_answer_end_and_late_answers_are_ignored() {
    let mut machine = RemoteKeys::new(FetchPolicy::default(), vec![]);
    let (server, a) = (name("a.example"), key_id("a"));
    machine.need(want(&server, &a, 0), NOW);
    assert!(matches!(machine.poll(NOW), Some(Action::Load { .. })));
    machine.loaded(&server, Ok(None), NOW);
    let Some(Action::Fetch { id, .. }) = machine.poll(NOW) else { panic!() };
    assert_eq!(machine.poll(NOW), None);
    assert_eq!(machine.next_poll_ts(), Some(NOW + 30_000));
    let Some(Action::Wake { outcome, .. }) = machine.poll(NOW + 30_000) else { panic!() };
    assert_eq!(outcome, Outcome::Missing);
    let document = Origin::new("a.example").key("a", 1).document(NOW);
    machine.fetched(id, Ok(&document), NOW + 30_001);
    assert_eq!(machine.key(&server, &a), None);
    assert_eq!((machine.poll(NOW + 30_001), machine.next_poll_ts()), (None, None));
}

#[test]
fn everything_a_stranger_can_grow_is_bounded() {
    let policy = FetchPolicy {
        servers_max: 20,
        in_flight_max: 5,
        waiting_per_server_max: 3,
        ..FetchPolicy::default()
    };
    let mut machine = RemoteKeys::new(policy, vec![]);
    let a = key_id("a");
    for index in 0..30 {
        let needed = machine.need(want(&name(&format!("s{index}.example")), &a, 0), NOW);
        assert_eq!(matches!(needed, Needed::Waiting(_)), index < 20, "{needed:?}");
    }
    let first = name("s0.example");
    let more: Vec<_> = (0..4).map(|_| machine.need(want(&first, &a, 0), NOW)).collect();
    assert!(matches!(more[1], Needed::Waiting(_)));
    assert_eq!(more[2..], [Needed::Refused(Refusal::TooManyWaiting); 2]);
    let mut fetches = 0;
    while let Some(action) = machine.poll(NOW) {
        match action {
            Action::Load { server } => machine.loaded(&server, Ok(None), NOW),
            Action::Fetch { .. } => fetches += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((fetches, machine.usage().in_flight, machine.usage().servers), (5, 5, 20));

    let mut world = World::new(0);
    world.machine = RemoteKeys::new(FetchPolicy { bytes_max: 20_000, ..FetchPolicy::default() }, vec![]);
    for index in 0..100 {
        let server = format!("s{index}.example");
        world.add(Origin::new(&server).key("a", 1));
        world.machine.need(want(&name(&server), &a, 0), NOW + index);
        world.run(NOW + index);
        assert!(world.machine.usage().bytes <= 20_000);
    }
    assert!(world.machine.usage().servers > 10);
    assert_eq!(world.saved.len(), 100);
}

#[test]
fn a_notary_answers_with_what_it_has_signed_by_its_tenant() {
    let mut world = World::new(1);
    let server = name("a.example");
    world.add(Origin::new("a.example").key("a", 1).valid_for(DAY));
    world.add(Origin::new("b.example").key("a", 1).down());
    let body =
        br#"{"server_keys":{"a.example":{"ed25519:x":{"minimum_valid_until_ts":1}},"b.example":{}, "?":{}}}"#;
    let query = NotaryQuery::parse(body).unwrap();
    assert_eq!(query.servers().count(), 2);
    let waits = world.machine.need_documents(&query, NOW);
    world.run(NOW);
    world.run(NOW + 50);
    assert_eq!(world.woken, [(waits[0], Outcome::Found), (waits[1], Outcome::Missing)]);
    // Asked for longer than the server promises: the newest there is will do.
    let longer = NotaryQuery::single(server.clone(), Some(NOW + 3 * DAY));
    let waits = world.machine.need_documents(&longer, NOW + HOUR);
    world.run(NOW + HOUR);
    assert_eq!(world.woken[2..], [(waits[0], Outcome::Found)]);
    assert!(world.asked.iter().all(|asked| !asked.starts_with("query")), "a notary asks no notaries");
    // The server goes down: its last document is still served, also past its time.
    world.add(Origin::new("a.example").down());
    for now in [NOW + HOUR, NOW + DAY - 1, NOW + 3 * DAY] {
        world.machine.need_documents(&query, now);
        world.run(now);
        let documents = query.servers().filter_map(|server| world.machine.document(server));
        let signer = ServerSigner::new(name("n0.example"), key_id("n"), SigningKey::from_seed(&[100; 32]));
        let answer = notary_answer(documents, &signer).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        let documents = answer["server_keys"].as_array().unwrap();
        assert_eq!(documents.len(), 1);
        let signatures = documents[0]["signatures"].as_object().unwrap();
        assert_eq!(signatures.keys().collect::<Vec<_>>(), ["a.example", "n0.example"]);
    }
    assert!(world.machine.key(&server, &key_id("a")).is_some());
    let nobody = notary_answer([], &ServerSigner::new(server, key_id("n"), SigningKey::from_seed(&[1; 32])));
    assert_eq!(nobody.unwrap(), br#"{"server_keys":[]}"#);
}

#[test]
fn queries_to_the_notary_are_bounded() {
    let many: BTreeMap<String, BTreeMap<String, i64>> =
        (0..101).map(|index| (format!("s{index}.example"), BTreeMap::new())).collect();
    let body = serde_json::to_vec(&serde_json::json!({ "server_keys": many })).unwrap();
    assert_eq!(NotaryQuery::parse(&body), Err(NotaryQueryError::TooManyServers { count: 101 }));
    assert_eq!(NotaryQuery::parse(b"{}"), Err(NotaryQueryError::NoServerKeys));
    assert_eq!(NotaryQuery::parse(br#"{"server_keys":{"a":1}}"#), Err(NotaryQueryError::Criteria));
    assert!(matches!(NotaryQuery::parse(b""), Err(NotaryQueryError::Json(_))));
}

#[test]
fn a_notary_that_fails_is_left_out_for_a_while() {
    let mut world = World::new(2);
    world.notary_instead = Some(b"<html>".to_vec());
    let a = key_id("a");
    for (index, now) in [NOW, NOW + 1000].into_iter().enumerate() {
        let server = format!("s{index}.example");
        world.add(Origin::new(&server).key("a", 1).down());
        world.machine.need(want(&name(&server), &a, 0), now);
        for later in [0, 50, 100] {
            world.run(now + later);
        }
    }
    assert_eq!(
        world.asked,
        [
            "load s0.example",
            "get s0.example",
            "query n0.example s0.example",
            "query n1.example s0.example",
            "load s1.example",
            "get s1.example",
        ]
    );
    assert_eq!(world.woken.len(), 2);
    assert_eq!(world.findings, [Finding::BadAnswer { notary: 0 }, Finding::BadAnswer { notary: 1 }]);
}

#[test]
fn a_server_forgotten_while_it_is_asked_starts_anew() {
    let mut machine = RemoteKeys::new(FetchPolicy::default(), vec![]);
    let (server, a) = (name("a.example"), key_id("a"));
    let begin = |machine: &mut RemoteKeys| {
        let Needed::Waiting(wait) = machine.need(want(&server, &a, 0), NOW) else { panic!() };
        machine.loaded(&server, Ok(None), NOW);
        wait
    };
    let first = begin(&mut machine);
    let fetches = |machine: &mut RemoteKeys| {
        let actions = std::iter::from_fn(|| machine.poll(NOW));
        let fetches = actions.filter_map(|action| match action {
            Action::Fetch { id, .. } => Some(id),
            _ => None,
        });
        fetches.collect::<Vec<_>>()
    };
    let ids = fetches(&mut machine);
    machine.forget(&server);
    assert_eq!(machine.poll(NOW), Some(Action::Wake { wait: first, outcome: Outcome::Missing }));
    let second = begin(&mut machine);
    assert_eq!((ids.len(), fetches(&mut machine).len()), (1, 0), "the question under way is not repeated");
    let document = Origin::new("a.example").key("a", 1).document(NOW);
    machine.fetched(ids[0], Ok(&document), NOW);
    let woken = std::iter::from_fn(|| machine.poll(NOW)).last();
    assert_eq!(woken, Some(Action::Wake { wait: second, outcome: Outcome::Found }));
    assert_eq!((machine.usage().in_flight, machine.next_poll_ts()), (0, None));
}

#[test]
fn records_of_another_server_or_with_published_secrets_are_not_used() {
    let mut world = World::new(0);
    let (a, b) = (name("a.example"), name("b.example"));
    world.add(Origin::new("a.example").key("a", 1));
    world.machine.need(want(&a, &key_id("a"), 0), NOW);
    world.run(NOW);
    let record = world.saved[&a].clone();
    world.saved.insert(b.clone(), record.clone());
    world.machine.need(want(&b, &key_id("a"), 0), NOW);
    world.run(NOW);
    assert!(matches!(&world.findings[..], [Finding::BadRecord { server, .. }] if *server == b));

    let public = SigningKey::from_seed(&[1; 32]).verifying_key().to_base64();
    let published = "l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3og";
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let keys = record["keys"].to_string().replace(&public, published);
    let mut second = World::new(0);
    second.saved.insert(a.clone(), format!("{{\"keys\":{keys}}}").into_bytes());
    second.machine.need(want(&a, &key_id("x"), 0), NOW);
    second.run(NOW);
    assert_eq!((second.findings.len(), second.machine.key(&a, &key_id("a"))), (0, None));
}
