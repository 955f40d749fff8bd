//! Files that a tenant withholds from its people, or the operator from all.

use freehold_media::{DownloadError, MediaId, UploadError};
use freehold_store::tables::media::BlobHash;
use freehold_store::{Actor, Batch};
use ruma_common::{ServerName, server_name};

use crate::world::{World, person};

const NO_NOTE: &(dyn Fn(&mut Batch) + Sync) = &|_| {};

async fn hash_of(world: &World, whose: &Actor, server_name: &ServerName, media_id: &MediaId) -> BlobHash {
    let details = world.media.details(&whose.tenant, (server_name, media_id)).await.unwrap();
    details.unwrap().file.blob
}

async fn is_gone(world: &World, asker: &Actor, server_name: &str, media_id: &MediaId) -> bool {
    let got = world.download(asker, server_name, media_id).await;
    assert!(matches!(got, Ok(_) | Err(DownloadError::Unknown)), "{got:?}");
    got.is_err()
}

#[tokio::test]
async fn a_tenant_withholds_bytes_from_everybody_who_asks_it_and_from_nobody_else() {
    let world = World::new().await;
    let (alice, bob) = (person("@alice:one.example"), person("@bob:two.example"));
    let (alices, again) = (world.upload(&alice, b"bad").await, world.upload(&alice, b"bad").await);
    let bobs = world.upload(&bob, b"bad").await;
    let hash = hash_of(&world, &alice, alice.tenant.server_name(), &alices).await;
    assert!(world.media.quarantine(Some(&alice.tenant), &hash, NO_NOTE).await.unwrap());
    assert!(!world.media.quarantine(Some(&alice.tenant), &hash, NO_NOTE).await.unwrap(), "it is not new");
    for media_id in [&alices, &again] {
        assert!(is_gone(&world, &alice, "one.example", media_id).await);
        assert!(is_gone(&world, &bob, "one.example", media_id).await);
    }
    assert!(is_gone(&world, &alice, "two.example", &bobs).await, "nor does alice get it elsewhere");
    assert!(matches!(world.try_upload(&alice, b"bad").await, Err(UploadError::Quarantined)));
    assert!(!is_gone(&world, &bob, "two.example", &bobs).await);
    world.upload(&bob, b"bad").await;
    let details = world.media.details(&alice.tenant, (alice.tenant.server_name(), &alices)).await.unwrap();
    assert!(
        details.is_some_and(|file| file.quarantined && !file.blocked && file.uploader == Some(alice.user))
    );
    let listed = world.media.quarantined(Some(&alice.tenant), 9).await.unwrap();
    assert_eq!(listed.iter().map(|(hash, _)| *hash).collect::<Vec<_>>(), [hash]);
    assert!(world.media.quarantined(Some(&bob.tenant), 9).await.unwrap().is_empty());

    assert!(world.media.release(Some(&alice.tenant), &hash, NO_NOTE).await.unwrap());
    assert!(!is_gone(&world, &bob, "one.example", &alices).await);
    world.upload(&alice, b"bad").await;
}

#[tokio::test]
async fn what_was_refused_leaves_nothing_behind() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let media_id = world.upload(&alice, b"bad").await;
    let hash = hash_of(&world, &alice, alice.tenant.server_name(), &media_id).await;
    world.media.quarantine(Some(&alice.tenant), &hash, NO_NOTE).await.unwrap();
    assert!(world.media.delete(&alice.tenant, &media_id).await.unwrap());
    assert!(world.try_upload(&alice, b"bad").await.is_err());
    assert_eq!(world.objects.count("").await, 0);
    assert_eq!(world.media.used(&alice.tenant, None).await.unwrap().bytes, 0);
}

#[tokio::test]
async fn the_operator_withholds_bytes_from_all_wherever_they_come_from() {
    let world = World::new().await;
    let (alice, bob) = (person("@alice:one.example"), person("@bob:two.example"));
    let alices = world.upload(&alice, b"bad").await;
    world.origins.has("a", b"bad");
    world.origins.has("b", b"bad");
    let (remote, a, b) = (server_name!("remote.example"), MediaId::parse("a"), MediaId::parse("b"));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(!is_gone(&world, &bob, remote.as_str(), &a).await);
    let hash = hash_of(&world, &bob, remote, &a).await;
    assert!(world.media.quarantine(None, &hash, NO_NOTE).await.unwrap());
    assert!(is_gone(&world, &bob, "one.example", &alices).await);
    assert!(is_gone(&world, &bob, remote.as_str(), &a).await, "what is kept");
    assert!(is_gone(&world, &bob, remote.as_str(), &b).await, "what would be fetched");
    for actor in [&alice, &bob] {
        assert!(matches!(world.try_upload(actor, b"bad").await, Err(UploadError::Quarantined)));
    }
    // A tenant's own decision changes nothing about it.
    assert!(!world.media.release(Some(&bob.tenant), &hash, NO_NOTE).await.unwrap());
    assert!(is_gone(&world, &bob, remote.as_str(), &a).await);
    assert!(world.media.release(None, &hash, NO_NOTE).await.unwrap());
    assert!(!is_gone(&world, &bob, remote.as_str(), &b).await);
}

#[tokio::test]
async fn a_file_of_another_server_is_deleted_from_what_one_tenant_keeps() {
    let world = World::new().await;
    let (alice, bob) = (person("@alice:one.example"), person("@bob:two.example"));
    world.origins.has("a", b"theirs");
    let (remote, a) = (server_name!("remote.example"), MediaId::parse("a").unwrap());
    for actor in [&alice, &bob] {
        assert!(!is_gone(&world, actor, remote.as_str(), &a).await);
    }
    assert!(world.media.delete_file(&alice.tenant, (remote, &a), NO_NOTE).await.unwrap());
    assert!(!world.media.delete_file(&alice.tenant, (remote, &a), NO_NOTE).await.unwrap());
    assert!(world.media.details(&alice.tenant, (remote, &a)).await.unwrap().is_none());
    assert!(world.media.details(&bob.tenant, (remote, &a)).await.unwrap().is_some());
}
