//! Messages from device to device.

use std::collections::BTreeMap;

use freehold_encryption::{
    Limits, Messages, ReceivedCursor, ReceivedToDevice, SendToDeviceError, TransactionCursor,
};
use freehold_store::tables::encryption::{
    TO_DEVICE_RECEIVED, TO_DEVICE_RECEIVED_AGES, TO_DEVICE_SENT, TO_DEVICE_SENT_AGES,
};
use freehold_store::{Order, Position};
use ruma_common::to_device::DeviceIdOrAllDevices;
use ruma_common::{ServerName, TransactionId, UserId};

use crate::world::{NOW_TS, Person, World};

fn to(person: &Person, device: Option<&str>, content: &str) -> Messages {
    let device =
        device.map_or(DeviceIdOrAllDevices::AllDevices, |id| DeviceIdOrAllDevices::DeviceId(id.into()));
    BTreeMap::from([(person.user_id().to_owned(), BTreeMap::from([(device, content.to_owned())]))])
}

async fn send(world: &World, from: &Person, transaction: &str, messages: &Messages) {
    let transaction = <&TransactionId>::from(transaction);
    world.encryption.send_to_device(&from.actor, "m.test", transaction, messages).await.unwrap();
}

async fn contents(world: &World, of: &Person) -> Vec<String> {
    let page = world
        .encryption
        .to_device_since(&world.snapshot(), of.device.number, Position(0), 1_000)
        .await
        .unwrap();
    page.messages.into_iter().map(|message| message.content).collect()
}

#[tokio::test]
async fn a_message_reaches_the_device_of_another_tenant_in_order_and_wakes_its_user() {
    let world = World::new().await;
    let (one, other) = (world.person("@a:one.example", 1).await, world.person("@b:two.example", 2).await);
    let waiting = world.store.wakes().wait_for(other.actor.user);
    send(&world, &one, "1", &to(&other, Some("DEVICE2"), "{\"n\":1}")).await;
    waiting.woken().await;
    send(&world, &one, "2", &to(&other, Some("DEVICE2"), "{\"n\":2}")).await;
    send(&world, &one, "3", &to(&other, Some("UNKNOWN"), "{}")).await;
    assert_eq!(contents(&world, &other).await, ["{\"n\":1}", "{\"n\":2}"]);
    assert!(contents(&world, &one).await.is_empty());
}

#[tokio::test]
async fn a_repeated_transaction_sends_nothing_not_even_at_the_same_time() {
    let world = World::new().await;
    let (one, other) = (world.person("@a:one.example", 1).await, world.person("@b:two.example", 2).await);
    let message = to(&other, None, "{}");
    send(&world, &one, "same", &message).await;
    send(&world, &one, "same", &message).await;
    tokio::join!(send(&world, &one, "twin", &message), send(&world, &one, "twin", &message));
    assert_eq!(contents(&world, &other).await.len(), 2);
    send(&world, &other, "same", &message).await;
    assert_eq!(contents(&world, &other).await.len(), 3, "transaction ids are each device's own");
}

#[tokio::test]
async fn a_transaction_id_is_that_of_one_path() {
    let world = World::new().await;
    let (one, other) = (world.person("@a:one.example", 1).await, world.person("@b:two.example", 2).await);
    let (message, transaction) = (to(&other, None, "{}"), <&TransactionId>::from("same"));
    for (event_type, count) in [("m.one", 1), ("m.other", 2), ("m.one", 2), ("m.other", 2)] {
        world.encryption.send_to_device(&one.actor, event_type, transaction, &message).await.unwrap();
        assert_eq!(contents(&world, &other).await.len(), count, "{event_type}");
    }
}

#[tokio::test]
async fn ids_are_forgotten_of_those_who_send_nothing_any_more() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    for number in 0..300 {
        let received = ReceivedToDevice {
            origin: ServerName::parse(format!("server{}.example", number % 7)).unwrap(),
            sender: UserId::parse(format!("@a:server{}.example", number % 7)).unwrap(),
            event_type: "m.test".to_owned(),
            message_id: number.to_string(),
            messages: to(&one, None, "{}"),
        };
        world.encryption.receive_to_device(&one.actor.tenant, &received).await.unwrap();
        send(&world, &one, &number.to_string(), &to(&one, None, "{}")).await;
    }
    let kept = async || {
        let snapshot = world.snapshot();
        macro_rules! rows {
            ($table:ident) => {
                snapshot.scan_prefix(&$table, &(), Order::Ascending, usize::MAX).await.unwrap().len()
            };
        }
        let received = (rows!(TO_DEVICE_RECEIVED), rows!(TO_DEVICE_RECEIVED_AGES));
        (received, (rows!(TO_DEVICE_SENT), rows!(TO_DEVICE_SENT_AGES)))
    };
    let day = Limits::default().transactions_remembered_ms;
    for (now_ts, count) in [(NOW_TS + day, 300), (NOW_TS + day + 1, 0)] {
        let later = world.at(now_ts);
        let (mut sent, mut received) = (Some(TransactionCursor::default()), Some(ReceivedCursor::default()));
        while let Some(from) = sent {
            sent = later.forget_transactions(from).await.unwrap();
        }
        while let Some(from) = received {
            received = later.forget_received(from).await.unwrap();
        }
        assert_eq!(kept().await, ((count, count), (count, count)));
    }
}

#[tokio::test]
async fn what_is_for_all_devices_reaches_all_but_those_that_get_their_own() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    let other = world.person("@b:two.example", 2).await;
    let second = world.device_of("@b:two.example", 2, "SECOND").await;
    let mut message = to(&other, None, "{\"for\":\"all\"}");
    let own = DeviceIdOrAllDevices::DeviceId("SECOND".into());
    message.get_mut(other.user_id()).unwrap().insert(own, "{\"for\":\"second\"}".to_owned());
    send(&world, &one, "1", &message).await;
    assert_eq!(contents(&world, &other).await, ["{\"for\":\"all\"}"]);
    assert_eq!(contents(&world, &second).await, ["{\"for\":\"second\"}"]);
}

#[tokio::test]
async fn pages_follow_each_other_and_what_was_acknowledged_is_gone() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    for n in 0..5 {
        send(&world, &one, &n.to_string(), &to(&one, Some("DEVICE1"), &n.to_string())).await;
    }
    let (mut since, mut seen) = (Position(0), Vec::new());
    loop {
        let page =
            world.encryption.to_device_since(&world.snapshot(), one.device.number, since, 2).await.unwrap();
        seen.push(page.messages.into_iter().map(|message| message.content).collect::<Vec<_>>());
        since = page.up_to;
        world.encryption.acknowledge_to_device(one.device.number, since).await.unwrap();
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, [vec!["0", "1"], vec!["2", "3"], vec!["4"]]);
    assert!(contents(&world, &one).await.is_empty());
    assert_eq!(since.0 + 1, world.position().0, "the last page reaches to the end of what it was read from");
}

#[tokio::test]
async fn a_device_that_never_syncs_keeps_the_newest_messages() {
    let world = World::with_limits(Limits { to_device_per_device: 32, ..Limits::default() }).await;
    let one = world.person("@a:one.example", 1).await;
    for n in 0..100 {
        send(&world, &one, &n.to_string(), &to(&one, None, &n.to_string())).await;
    }
    let kept = contents(&world, &one).await;
    assert!((30..=32).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept.last().unwrap(), "99");
}

#[tokio::test]
async fn long_messages_and_long_lists_are_refused_as_a_whole() {
    let limits = Limits { to_device_sent_bytes: 8, to_device_recipients: 1, ..Limits::default() };
    let world = World::with_limits(limits).await;
    let one = world.person("@a:one.example", 1).await;
    world.device_of("@a:one.example", 1, "SECOND").await;
    let transaction = <&TransactionId>::from("1");
    let send = async |messages: Messages| {
        world.encryption.send_to_device(&one.actor, "m.test", transaction, &messages).await.unwrap_err()
    };
    let long = to(&one, Some("DEVICE1"), "{\"long\":true}");
    assert!(matches!(send(long).await, SendToDeviceError::TooLong { bytes: 13, most: 8 }));
    let all = to(&one, None, "{}");
    assert!(matches!(send(all).await, SendToDeviceError::TooManyRecipients { count: 2, most: 1 }));
    assert_eq!(world.keys_and_messages().await, 0);
}

#[tokio::test]
async fn messages_of_a_deleted_device_go_with_it() {
    let world = World::new().await;
    let one = world.person("@a:one.example", 1).await;
    send(&world, &one, "1", &to(&one, None, "{}")).await;
    world.delete_device(&one).await;
    send(&world, &world.person("@b:one.example", 2).await, "1", &to(&one, Some("DEVICE1"), "{}")).await;
    assert_eq!(world.keys_and_messages().await, 2, "only the note of the last transaction, twice");
}
