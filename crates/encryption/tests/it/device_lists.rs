//! Who learns whose device list changed.

use freehold_encryption::DeviceListChanges;
use freehold_store::Position;
use freehold_store::tables::rooms::Membership::{Ban, Invite, Join, Leave};

use crate::world::{Person, World};

async fn changes(world: &World, of: &Person, from: Position) -> (Vec<String>, Vec<String>) {
    let DeviceListChanges { changed, left } =
        world.encryption.device_list_changes(&world.snapshot(), of.actor.user, from).await.unwrap();
    let names = |ids: Vec<ruma_common::OwnedUserId>| ids.iter().map(|id| id.localpart().to_owned()).collect();
    (names(changed), names(left))
}

async fn upload(world: &World, person: &Person) {
    world.encryption.upload_keys(&person.actor, &person.upload(&[])).await.unwrap();
}

async fn three(world: &World) -> [Person; 3] {
    [
        world.person("@a:one.example", 1).await,
        world.person("@b:two.example", 2).await,
        world.person("@c:two.example", 3).await,
    ]
}

fn nobody() -> Vec<String> {
    Vec::new()
}

#[tokio::test]
async fn new_keys_are_told_to_those_who_share_a_room_and_to_the_user() {
    let world = World::new().await;
    let [a, b, c] = three(&world).await;
    world.set_membership(&a, 1, Join).await;
    world.set_membership(&b, 1, Join).await;
    world.set_membership(&c, 1, Invite).await;
    let from = world.position();
    let (waiting, stranger) =
        (world.store.wakes().wait_for(b.actor.user), world.store.wakes().wait_for(c.actor.user));
    upload(&world, &a).await;
    waiting.woken().await;
    drop(stranger);
    assert_eq!(changes(&world, &a, from).await, (vec!["a".to_owned()], nobody()));
    assert_eq!(changes(&world, &b, from).await, (vec!["a".to_owned()], nobody()));
    assert_eq!(changes(&world, &c, from).await, (nobody(), nobody()));
    assert_eq!(changes(&world, &b, world.position()).await, (nobody(), nobody()));
}

#[tokio::test]
async fn a_deleted_device_is_told_like_a_new_one() {
    let world = World::new().await;
    let [a, b, _] = three(&world).await;
    for person in [&a, &b] {
        world.set_membership(person, 1, Join).await;
    }
    upload(&world, &a).await;
    let from = world.position();
    world.delete_device(&a).await;
    assert_eq!(changes(&world, &b, from).await.0, ["a"]);
}

#[tokio::test]
async fn who_joins_and_who_is_there_learn_of_each_other() {
    let world = World::new().await;
    let [a, b, c] = three(&world).await;
    for person in [&a, &c] {
        world.set_membership(person, 1, Join).await;
    }
    upload(&world, &a).await;
    let from = world.position();
    world.set_membership(&b, 1, Join).await;
    assert_eq!(changes(&world, &b, from).await, (vec!["a".to_owned(), "c".to_owned()], nobody()));
    assert_eq!(changes(&world, &a, from).await, (vec!["b".to_owned()], nobody()));
}

#[tokio::test]
async fn who_shares_no_room_any_more_has_left() {
    let world = World::new().await;
    let [a, b, c] = three(&world).await;
    for (person, room) in [(&a, 1), (&b, 1), (&c, 1), (&a, 2), (&b, 2)] {
        world.set_membership(person, room, Join).await;
    }
    let from = world.position();
    world.set_membership(&b, 1, Leave).await;
    assert_eq!(changes(&world, &a, from).await, (nobody(), nobody()), "they share room 2");
    assert_eq!(changes(&world, &c, from).await, (nobody(), vec!["b".to_owned()]));
    world.set_membership(&b, 2, Ban).await;
    assert_eq!(changes(&world, &a, from).await, (nobody(), vec!["b".to_owned()]));
    assert_eq!(changes(&world, &b, from).await, (nobody(), vec!["a".to_owned(), "c".to_owned()]));
    // Whoever is away learns nothing of keys until rooms are shared again, and then learns that they changed.
    upload(&world, &b).await;
    assert_eq!(changes(&world, &a, from).await, (nobody(), vec!["b".to_owned()]));
    world.set_membership(&b, 2, Join).await;
    assert_eq!(changes(&world, &a, from).await, (vec!["b".to_owned()], nobody()));
}

#[tokio::test]
async fn many_changes_of_strangers_do_not_hide_those_of_neighbours() {
    let world = World::new().await;
    let [a, b, _] = three(&world).await;
    for person in [&a, &b] {
        world.set_membership(person, 1, Join).await;
    }
    let from = world.position();
    for number in 10..150 {
        upload(&world, &world.person(&format!("@s{number}:two.example"), number).await).await;
    }
    upload(&world, &b).await;
    assert_eq!(changes(&world, &a, from).await, (vec!["b".to_owned()], nobody()));
}
