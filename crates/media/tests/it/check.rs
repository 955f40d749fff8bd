//! What is damaged is found.

use freehold_media::MediaFault;
use freehold_store::tables::media::{BLOBS, MEDIA_USE};
use freehold_store::{Batch, Order};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use crate::world::{World, body, named, person};

#[tokio::test]
async fn bytes_and_counts_that_are_wrong_are_found() {
    let world = World::new().await;
    let (alice, bob) = (person("@alice:one.example"), person("@bob:two.example"));
    for uploader in [&alice, &bob] {
        world.media.upload(uploader, named("text/plain", "a"), body(b"some bytes")).await.unwrap();
    }
    world.media.upload(&alice, named("text/plain", "b"), body(&[7; 5000])).await.unwrap();
    let checked = world.media.check(&world.store.snapshot().unwrap()).await.unwrap();
    assert_eq!((checked.blobs, checked.bytes, checked.faults), (2, 5010, 0), "{checked:?}");

    let snapshot = world.store.snapshot().unwrap();
    let blobs = snapshot.scan_prefix(&BLOBS, &(), Order::Ascending, 9).await.unwrap();
    let (hash, row) = blobs.iter().find(|(_, row)| row.references == 2).unwrap().clone();
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let (directory, name) = hex.split_at(2);
    let place = Path::from(format!("blobs/{directory}/{name}"));
    let used = snapshot.get(&MEDIA_USE, &(alice.tenant.number(), None)).await.unwrap().unwrap();
    let mut batch = Batch::new();
    let wrong = freehold_store::tables::media::BlobRow { references: 3, ..row };
    batch.put(&BLOBS, &hash, &wrong);
    batch.delete(&MEDIA_USE, &(alice.tenant.number(), None));
    world.store.commit(batch).await.unwrap();
    world.objects.put(&place, "other".into()).await.unwrap();

    let checked = world.media.check(&world.store.snapshot().unwrap()).await.unwrap();
    let faults: Vec<_> = checked.findings.into_iter().map(|finding| finding.fault).collect();
    assert_eq!(checked.faults, 4, "{faults:?}");
    let has = |wanted: &MediaFault| faults.contains(wanted);
    let is = |holds: fn(&MediaFault) -> bool| faults.iter().any(holds);
    assert!(has(&MediaFault::References { blob: hex.clone(), said: 3, counted: 2 }));
    assert!(has(&MediaFault::Length { blob: hex.clone(), said: 10, found: 5 }));
    assert!(is(|fault| matches!(fault, MediaFault::Digest { .. })));
    assert!(is(|fault| matches!(fault, MediaFault::Use { user: None, .. })) && used.files == 2);

    world.objects.delete(&place).await.unwrap();
    let checked = world.media.check(&world.store.snapshot().unwrap()).await.unwrap();
    let missing = |fault: &MediaFault| matches!(fault, MediaFault::Unreadable { blob, .. } if *blob == hex);
    assert!(checked.findings.iter().any(|finding| missing(&finding.fault)), "{checked:?}");
}
