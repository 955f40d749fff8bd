//! Bytes are shared; whose they are is not.

use freehold_media::{DownloadError, MediaId, MediaPolicy, Part, Wanted};

use crate::world::{World, body, named, person};

#[tokio::test]
async fn the_same_bytes_are_kept_once_and_go_with_the_last_who_has_them() {
    let world = World::new().await;
    let (alice, bob) = (person("@alice:one.example"), person("@bob:two.example"));
    let alices = world.upload(&alice, b"the same").await;
    let bobs = world.upload(&bob, b"the same").await;
    assert_ne!(alices, bobs);
    assert_eq!(world.objects.count("blobs").await, 1);
    assert!(world.media.delete(&alice.tenant, &alices).await.unwrap());
    assert!(!world.media.delete(&alice.tenant, &alices).await.unwrap());
    assert_eq!(world.download(&bob, "two.example", &bobs).await.unwrap(), b"the same");
    let gone = world.download(&bob, "one.example", &alices).await.unwrap_err();
    assert!(matches!(gone, DownloadError::Unknown));
    assert!(!world.media.delete(&alice.tenant, &bobs).await.unwrap(), "it is not theirs");
    assert!(world.media.delete(&bob.tenant, &bobs).await.unwrap());
    assert_eq!(world.objects.count("blobs").await, 0);
    for tenant in [&alice.tenant, &bob.tenant] {
        assert_eq!(world.media.used(tenant, None).await.unwrap().bytes, 0);
    }
}

/// Whether somebody else has a file cannot be told from what an upload does, or from how long that takes.
#[tokio::test]
async fn an_upload_of_known_bytes_takes_the_same_way_as_one_of_new_bytes() {
    let world = World::new().await;
    let (alice, bob) = (person("@alice:one.example"), person("@bob:two.example"));
    world.upload(&alice, b"secret").await;
    let new = world.objects.take_record();
    world.upload(&bob, b"secret").await;
    assert_eq!(world.objects.take_record(), new);
    assert_eq!(new, ["put parts", "rename"]);
}

/// A thumbnail that was made for one tenant does not come faster for another who has the same picture.
#[tokio::test]
async fn thumbnails_are_made_for_each_media_id() {
    use freehold_media::{Animation, Method, ThumbnailSize};

    let world = World::new().await;
    let picture = crate::thumbnails::png(300, 200);
    let mut records = Vec::new();
    for user_id in ["@alice:one.example", "@bob:two.example"] {
        let actor = person(user_id);
        let media_id = world.upload(&actor, &picture).await;
        world.objects.take_record();
        let wanted = Wanted {
            tenant: &actor.tenant,
            server_name: actor.tenant.server_name(),
            media_id: &media_id,
            wait_ms: 0,
        };
        let size = ThumbnailSize { width: 32, height: 32, method: Method::Crop };
        world.media.thumbnail(wanted, size, Animation::Still).await.unwrap();
        records.push(world.objects.take_record());
        world.media.delete(&actor.tenant, &media_id).await.unwrap();
    }
    assert_eq!(records[0], records[1]);
    assert_eq!(world.objects.count("thumbnails").await, 0, "they go with the file");
}

#[tokio::test]
async fn another_tenant_has_what_its_server_would_fetch() {
    let world = World::new().await;
    let (alice, bob) = (person("@alice:one.example"), person("@bob:two.example"));
    let media_id = world.media.upload(&bob, named("image/png", "b.png"), body(b"bytes")).await.unwrap();
    assert_eq!(world.download(&alice, "two.example", &media_id).await.unwrap(), b"bytes");
    for (server_name, media_id) in
        [("one.example", media_id.as_str()), ("two.example", "unknown"), ("elsewhere.example", "unknown")]
    {
        let media_id = MediaId::parse(media_id).unwrap();
        let error = world.download(&alice, server_name, &media_id).await.unwrap_err();
        assert!(matches!(error, DownloadError::Unknown));
    }
}

#[tokio::test]
async fn unauthenticated_downloads_end_where_the_tenant_that_is_asked_froze_them() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let media_id = world.upload(&alice, b"bytes").await;
    let open = async |frozen_ts| {
        world.policies.set(&alice.tenant, MediaPolicy { frozen_ts, ..MediaPolicy::default() });
        let server_name = alice.tenant.server_name();
        let wanted = Wanted { tenant: &alice.tenant, server_name, media_id: &media_id, wait_ms: 0 };
        world.media.is_open(wanted).await.unwrap()
    };
    let uploaded_ts = 1_700_000_000_000;
    for (frozen_ts, expected) in
        [(i64::MIN, false), (uploaded_ts, false), (uploaded_ts + 1, true), (i64::MAX, true)]
    {
        assert_eq!(open(frozen_ts).await, expected, "{frozen_ts}");
    }
    assert!(
        world
            .media
            .download(
                Wanted {
                    tenant: &alice.tenant,
                    server_name: alice.tenant.server_name(),
                    media_id: &media_id,
                    wait_ms: 0
                },
                Part::All,
            )
            .await
            .is_ok()
    );
}
