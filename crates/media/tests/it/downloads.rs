//! Downloads: parts, and files that are still to come.

use freehold_media::{DownloadError, FileNames, Part, Wanted};

use crate::world::{World, all_of, body, named, person};

#[tokio::test]
async fn a_part_of_a_file_is_read_alone() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let media_id =
        world.media.upload(&alice, named("text/plain", "n.txt"), body(b"0123456789")).await.unwrap();
    let wanted = Wanted {
        tenant: &alice.tenant,
        server_name: alice.tenant.server_name(),
        media_id: &media_id,
        wait_ms: 0,
    };
    for (part, range) in
        [(Part::From(2, Some(4)), 2..5), (Part::From(7, None), 7..10), (Part::Last(4), 6..10)]
    {
        let download = world.media.download(wanted, part).await.unwrap();
        assert_eq!(download.range, range);
        assert_eq!(download.facts.bytes, 10);
        assert_eq!(download.facts.content_type.as_deref(), Some("text/plain"));
        assert_eq!(download.facts.filename.as_deref(), Some("n.txt"));
        let bytes: Vec<u8> = range.map(|at| b'0' + u8::try_from(at).unwrap()).collect();
        assert_eq!(all_of(download).await, bytes);
    }
    let error = world.media.download(wanted, Part::From(10, None)).await.err().unwrap();
    assert!(matches!(error, DownloadError::NoSuchPart { bytes: 10 }));
}

#[tokio::test]
async fn a_download_waits_for_an_upload_and_not_for_ever() {
    let world = World::new().await;
    let (alice, bob) = (person("@alice:one.example"), person("@bob:two.example"));
    let reserved = world.media.reserve(&alice).await.unwrap();
    let error = world.download(&bob, "one.example", &reserved.media_id).await.unwrap_err();
    assert!(matches!(error, DownloadError::NotYetUploaded));
    let waiting = {
        let (media, bob, media_id) = (world.media.clone(), bob.clone(), reserved.media_id.clone());
        tokio::spawn(async move {
            let server_name = <&ruma_common::ServerName>::try_from("one.example").unwrap();
            let wanted = Wanted { tenant: &bob.tenant, server_name, media_id: &media_id, wait_ms: 60_000 };
            all_of(media.download(wanted, Part::All).await.unwrap()).await
        })
    };
    while world.store.wakes().is_empty() {
        tokio::task::yield_now().await;
    }
    world.media.fill(&alice, &reserved.media_id, FileNames::default(), body(b"here")).await.unwrap();
    assert_eq!(waiting.await.unwrap(), b"here");
}

#[tokio::test]
async fn what_never_came_is_unknown() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let reserved = world.media.reserve(&alice).await.unwrap();
    world.clock.set(reserved.expires_ts);
    let error = world.download(&alice, "one.example", &reserved.media_id).await.unwrap_err();
    assert!(matches!(error, DownloadError::Unknown));
}
