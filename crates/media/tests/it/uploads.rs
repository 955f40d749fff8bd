//! Uploads, in one step and in two.

use bytes::Bytes;
use freehold_media::{FileNames, MediaPolicy, MediaSettings, OverQuota, ReserveError, Swept, UploadError};
use futures_util::stream;

use crate::world::{World, body, named, person};

#[tokio::test]
async fn a_file_comes_back_as_it_went_whatever_its_size() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    for size in [0_usize, 1, 999, 4096, 10_001] {
        let bytes: Vec<u8> = (0..size).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect();
        let media_id = world.upload(&alice, &bytes).await;
        assert_eq!(world.download(&alice, "one.example", &media_id).await.unwrap(), bytes);
    }
    assert_eq!(world.objects.count("arrivals").await, 0);
}

#[tokio::test]
async fn a_file_that_is_too_large_or_breaks_off_leaves_nothing() {
    let world = World::with(MediaSettings { file_bytes: 5000, ..MediaSettings::default() }).await;
    let alice = person("@alice:one.example");
    let error = world.try_upload(&alice, &[1; 5001]).await.unwrap_err();
    assert!(matches!(error, UploadError::TooLarge { most: 5000 }));
    let broken = stream::iter([Ok(Bytes::from_static(b"begun")), Err("connection lost".into())]);
    let error = world.media.upload(&alice, FileNames::default(), broken).await.unwrap_err();
    assert!(matches!(error, UploadError::Body(_)));
    assert_eq!(world.objects.count("arrivals").await + world.objects.count("blobs").await, 0);
    assert_eq!(world.media.used(&alice.tenant, None).await.unwrap().files, 0);
    world.upload(&alice, &[1; 5000]).await;
}

#[tokio::test]
async fn a_tenant_may_take_smaller_files_or_none() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    world.policies.set(&alice.tenant, MediaPolicy { file_bytes: Some(10), ..MediaPolicy::default() });
    assert_eq!(world.media.file_bytes_max(&alice.tenant).await, 10);
    let error = world.try_upload(&alice, &[1; 11]).await.unwrap_err();
    assert!(matches!(error, UploadError::TooLarge { most: 10 }));
    world.policies.set(&alice.tenant, MediaPolicy { uploads: false, ..MediaPolicy::default() });
    assert!(matches!(world.try_upload(&alice, &[1]).await, Err(UploadError::Closed)));
    assert!(matches!(world.media.reserve(&alice).await, Err(ReserveError::Closed)));
}

#[tokio::test]
async fn quotas_of_users_and_tenants_count_every_file_in_full() {
    let world = World::new().await;
    let (alice, carol) = (person("@alice:one.example"), person("@carol:one.example"));
    let policy = MediaPolicy { user_bytes: Some(100), tenant_bytes: Some(150), ..MediaPolicy::default() };
    world.policies.set(&alice.tenant, policy);
    let first = world.upload(&alice, &[1; 60]).await;
    // The same bytes again are as many again.
    let error = world.try_upload(&alice, &[1; 60]).await.unwrap_err();
    let over = |error| match error {
        UploadError::OverQuota(OverQuota { most, .. }) => most,
        other => panic!("{other}"),
    };
    assert_eq!(over(error), 100);
    world.upload(&carol, &[2; 90]).await;
    let error = world.try_upload(&carol, &[3; 1]).await.unwrap_err();
    assert_eq!(over(error), 150);
    assert!(world.media.delete(&alice.tenant, &first).await.unwrap());
    world.upload(&carol, &[3; 1]).await;
    assert_eq!(world.objects.count("blobs").await, 2, "what was refused or deleted is not kept");
}

#[tokio::test]
async fn files_of_a_tenant_take_no_place_of_anothers_quota() {
    let world = World::new().await;
    // The users have the same number, as users of a store never have: what is counted is the tenant's all the same.
    let (alice, bob) = (person("@alice:one.example"), person("@bob:two.example"));
    let bob = freehold_store::Actor { user: alice.user, ..bob };
    for who in [&alice, &bob] {
        let policy = MediaPolicy { user_bytes: Some(80), tenant_bytes: Some(100), ..MediaPolicy::default() };
        world.policies.set(&who.tenant, policy);
    }
    let of_alice = world.upload(&alice, &[1; 80]).await;
    assert!(world.try_upload(&alice, &[1; 1]).await.is_err());
    // Even the same bytes, which lie there once for both.
    let of_bob = world.upload(&bob, &[1; 80]).await;
    assert!(world.try_upload(&bob, &[1; 1]).await.is_err());
    assert_eq!(world.objects.count("blobs").await, 1);
    let used = async |who: &freehold_store::Actor| world.media.used(&who.tenant, None).await.unwrap().bytes;
    assert!(world.media.delete(&alice.tenant, &of_alice).await.unwrap());
    assert_eq!((used(&alice).await, used(&bob).await), (0, 80));
    assert!(world.try_upload(&bob, &[1; 1]).await.is_err(), "only the other one has room again");
    world.upload(&alice, &[2; 80]).await;
    assert_eq!(world.download(&bob, "two.example", &of_bob).await.unwrap(), [1; 80]);
}

#[tokio::test]
async fn uploads_at_the_same_time_are_all_counted() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let mut tasks = Vec::new();
    for n in 0..20_u8 {
        let (media, alice) = (world.media.clone(), alice.clone());
        tasks.push(tokio::spawn(async move {
            media.upload(&alice, FileNames::default(), body(&[n / 2; 10])).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let used = world.media.used(&alice.tenant, Some(alice.user)).await.unwrap();
    assert_eq!((used.files, used.bytes), (20, 200));
    assert_eq!(world.objects.count("blobs").await, 10);
}

#[tokio::test]
async fn a_reserved_media_id_is_filled_once_by_its_maker_in_time() {
    let world = World::new().await;
    let (alice, carol) = (person("@alice:one.example"), person("@carol:one.example"));
    let stranger = person("@alice:two.example");
    let reserved = world.media.reserve(&alice).await.unwrap();
    assert_eq!(reserved.expires_ts, 1_700_000_000_000 + 24 * 60 * 60 * 1000);
    let fill = |who: &freehold_store::Actor| {
        let (media, who, media_id) = (world.media.clone(), who.clone(), reserved.media_id.clone());
        async move { media.fill(&who, &media_id, named("text/plain", "a.txt"), body(b"text")).await }
    };
    assert!(matches!(fill(&carol).await, Err(UploadError::NotTheirs)));
    assert!(
        matches!(fill(&stranger).await, Err(UploadError::UnknownMedia)),
        "media ids are each tenant's own"
    );
    fill(&alice).await.unwrap();
    assert!(matches!(fill(&alice).await, Err(UploadError::AlreadyThere)));
    assert_eq!(world.download(&carol, "one.example", &reserved.media_id).await.unwrap(), b"text");

    let late = world.media.reserve(&alice).await.unwrap();
    world.clock.set(late.expires_ts);
    let error = world.media.fill(&alice, &late.media_id, FileNames::default(), body(b"")).await;
    assert!(matches!(error, Err(UploadError::UnknownMedia)));
}

#[tokio::test]
async fn only_so_many_uploads_are_pending_and_those_that_expire_make_room() {
    let world = World::with(MediaSettings { pending_per_user: 2, ..MediaSettings::default() }).await;
    let alice = person("@alice:one.example");
    for _ in 0..2 {
        world.media.reserve(&alice).await.unwrap();
    }
    let error = world.media.reserve(&alice).await.unwrap_err();
    assert!(matches!(error, ReserveError::TooMany { most: 2, wait_ms: 86_400_000 }));
    world.clock.set(1_700_000_000_000 + 86_400_000);
    let last = world.media.reserve(&alice).await.unwrap();
    world.clock.set(last.expires_ts);
    assert_eq!(world.media.sweep(0).await.unwrap(), Swept { pending: 1, ..Swept::default() });
}

#[tokio::test]
async fn what_crashes_left_is_swept_away_and_nothing_else() {
    use object_store::ObjectStoreExt;

    let world = World::new().await;
    let alice = person("@alice:one.example");
    let kept = world.upload(&alice, b"kept").await;
    for left in ["arrivals/abc", &format!("blobs/00/{}", "0".repeat(62))] {
        world.objects.put(&left.into(), "left".into()).await.unwrap();
    }
    assert_eq!(world.media.sweep(0).await.unwrap(), Swept::default(), "they might be of a running upload");
    let swept = world.media.sweep(i64::MAX).await.unwrap();
    assert_eq!(swept, Swept { arrivals: 1, blobs: 1, pending: 0 });
    assert_eq!(world.download(&alice, "one.example", &kept).await.unwrap(), b"kept");
}

#[tokio::test]
async fn files_in_a_directory_are_taken_in_and_removed_too() {
    use freehold_media::{Media, MediaSettings};
    use std::sync::Arc;

    let directory = tempfile::tempdir().unwrap();
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let objects = Media::files_below(directory.path()).unwrap();
    let settings = MediaSettings { part_bytes: 1000, ..MediaSettings::default() };
    let media = Media::new(world.store.clone(), objects, world.policies.clone(), Arc::new(0_i64), settings);
    let media_id = media.upload(&alice, FileNames::default(), body(&[7; 2500])).await.unwrap();
    let wanted = freehold_media::Wanted {
        tenant: &alice.tenant,
        server_name: alice.tenant.server_name(),
        media_id: &media_id,
        wait_ms: 0,
    };
    let part = freehold_media::Part::From(2400, None);
    let download = media.download(wanted, part).await.unwrap();
    assert_eq!(download.range, 2400..2500);
    assert_eq!(crate::world::all_of(download).await, [7; 100]);
    assert!(media.delete(&alice.tenant, &media_id).await.unwrap());
    assert_eq!(media.sweep(i64::MAX).await.unwrap(), Swept::default(), "nothing was left to sweep");
}
