//! Files of other servers.

use std::time::Duration;

use freehold_media::{
    Animation, DownloadError, FetchError, MediaId, MediaPolicy, MediaSettings, Method, Part, PictureLimits,
    ThumbnailError, ThumbnailSize, Wanted,
};
use freehold_store::Actor;
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use ruma_common::{ServerName, server_name};

use crate::thumbnails::png;
use crate::world::{TheirFile, World, all_of, named, person};

const HOUR_MS: i64 = 60 * 60 * 1000;
const NOW_TS: i64 = 1_700_000_000_000;

fn remote() -> &'static ServerName {
    server_name!("remote.example")
}

fn id(text: &str) -> MediaId {
    MediaId::parse(text).unwrap()
}

async fn get(world: &World, asker: &Actor, media_id: &str) -> Result<Vec<u8>, DownloadError> {
    world.download(asker, remote().as_str(), &id(media_id)).await
}

async fn get_within(world: &World, asker: &Actor, media_id: &str, wait_ms: u64) -> Result<(), DownloadError> {
    let media_id = id(media_id);
    let wanted = Wanted { tenant: &asker.tenant, server_name: remote(), media_id: &media_id, wait_ms };
    world.media.download(wanted, Part::All).await.map(drop)
}

async fn is_sound(world: &World) {
    let checked = world.media.check(&world.store.snapshot().unwrap()).await.unwrap();
    assert_eq!(checked.faults, 0, "{checked:?}");
}

#[tokio::test]
async fn a_file_of_another_server_is_fetched_once_and_kept_as_it_is_named_there() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    world.origins.has("a", b"of another server");
    for _ in 0..2 {
        assert_eq!(get(&world, &alice, "a").await.unwrap(), b"of another server");
    }
    assert_eq!(world.origins.asked(), ["one.example file a"]);
    let media_id = id("a");
    let wanted = Wanted { tenant: &alice.tenant, server_name: remote(), media_id: &media_id, wait_ms: 0 };
    let part = world.media.download(wanted, Part::From(3, Some(9))).await.unwrap();
    assert_eq!(part.facts.content_type.as_deref(), Some("image/png"));
    assert_eq!(part.facts.filename.as_deref(), Some("p.png"));
    assert_eq!(all_of(part).await, b"another");
    assert_eq!(world.media.used(&alice.tenant, None).await.unwrap().bytes, 0, "it is no upload");
    is_sound(&world).await;
}

/// CVE-2021-41281: what a server said of a file decided where it was written.
#[tokio::test]
async fn cve_2021_41281_nothing_that_a_server_says_of_a_file_decides_where_it_lies() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let names = ["../../../../etc/passwd", "..", "/etc/passwd", "a\0b", "..\\..\\x", "blobs/00"];
    for (number, name) in (0_u8..).zip(names) {
        let media_id = format!("f{number}");
        let file = TheirFile { names: named("image/png", name), bytes: vec![number; 10], breaks: false };
        world.origins.gives(&media_id, Ok(file));
        assert_eq!(get(&world, &alice, &media_id).await.unwrap(), [number; 10], "{name:?}");
    }
    // Files are called after what is in them.
    assert_eq!(world.objects.count("blobs").await, names.len());
    assert_eq!(world.objects.count("").await, names.len());
    is_sound(&world).await;
}

#[tokio::test(start_paused = true)]
async fn however_many_ask_at_once_a_file_is_fetched_once() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    world.origins.has("a", b"wanted by many");
    world.origins.take_their_time(Duration::from_secs(1));
    let asked = join_all((0..20).map(|_| get(&world, &alice, "a"))).await;
    assert!(asked.into_iter().all(|file| file.unwrap() == b"wanted by many"));
    assert_eq!(world.origins.asked().len(), 1);
    // All of them hear of a failure, and who asks later tries anew.
    let failed = join_all((0..20).map(|_| get(&world, &alice, "b"))).await;
    assert!(failed.into_iter().all(|file| matches!(file, Err(DownloadError::Unknown))));
    assert_eq!(world.origins.asked().len(), 1);
    assert!(get(&world, &alice, "b").await.is_err());
    assert_eq!(world.origins.asked().len(), 1);
}

/// Neither an answer nor the way to it tells a tenant what another one has looked at.
#[tokio::test]
async fn what_one_tenant_fetched_another_fetches_too() {
    let world = World::new().await;
    let (alice, bob) = (person("@alice:one.example"), person("@bob:two.example"));
    world.origins.has("a", b"the same");
    let mut records = Vec::new();
    for asker in [&alice, &bob] {
        world.objects.take_record();
        assert_eq!(get(&world, asker, "a").await.unwrap(), b"the same");
        records.push(world.objects.take_record());
        assert_eq!(world.media.kept_of_others(&asker.tenant).await.unwrap().bytes, 8);
    }
    assert_eq!(world.origins.asked(), ["one.example file a", "two.example file a"]);
    assert_eq!(records[0], records[1]);
    assert_eq!(world.objects.count("blobs").await, 1);
    is_sound(&world).await;
}

#[tokio::test]
async fn what_was_not_asked_for_the_longest_goes_first() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    world.policies.set(&alice.tenant, MediaPolicy { others_bytes: Some(3000), ..MediaPolicy::default() });
    for (number, name) in (0_u8..).zip(["a", "b", "c", "d"]) {
        world.origins.has(name, &[number; 1000]);
    }
    let mine = world.upload(&alice, &[1; 1000]).await;
    for (hours, name) in [(0, "a"), (1, "b"), (2, "c"), (3, "a"), (4, "d")] {
        world.clock.set(NOW_TS + hours * HOUR_MS);
        get(&world, &alice, name).await.unwrap();
    }
    world.origins.asked();
    for name in ["a", "c", "d"] {
        get(&world, &alice, name).await.unwrap();
    }
    assert!(world.origins.asked().is_empty());
    assert_eq!(world.media.kept_of_others(&alice.tenant).await.unwrap().files, 3);
    // The same bytes as those of `b` are somebody's upload.
    assert_eq!(world.objects.count("blobs").await, 4);
    assert_eq!(world.download(&alice, "one.example", &mine).await.unwrap(), [1; 1000]);
    get(&world, &alice, "b").await.unwrap();
    assert_eq!(world.origins.asked(), ["one.example file b"]);
    is_sound(&world).await;
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_kept_and_neither_is_one_that_breaks_off() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let policy = MediaPolicy { others_file_bytes: Some(5000), ..MediaPolicy::default() };
    world.policies.set(&alice.tenant, policy);
    world.origins.has("fits", &[1; 5000]);
    world.origins.has("large", &[2; 5001]);
    let breaks = TheirFile { names: named("image/png", "p.png"), bytes: vec![3; 2000], breaks: true };
    world.origins.gives("breaks", Ok(breaks));
    get(&world, &alice, "fits").await.unwrap();
    let refused = get(&world, &alice, "large").await.unwrap_err();
    assert!(matches!(refused, DownloadError::Elsewhere(FetchError::TooLarge { most: 5000 })), "{refused}");
    let broken = get(&world, &alice, "breaks").await.unwrap_err();
    assert!(matches!(broken, DownloadError::Elsewhere(FetchError::NotReached { .. })), "{broken}");
    assert_eq!((world.objects.count("blobs").await, world.objects.count("arrivals").await), (1, 0));
    world.origins.has("breaks", b"whole");
    assert_eq!(get(&world, &alice, "breaks").await.unwrap(), b"whole");
    is_sound(&world).await;
}

/// Also what was fetched before it was refused.
#[tokio::test]
async fn nothing_is_had_of_a_server_with_which_a_tenant_does_not_speak() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    for name in ["a", "b"] {
        world.origins.has(name, b"of somebody");
    }
    get(&world, &alice, "a").await.unwrap();
    world.origins.asked();
    world.origins.deny();
    for name in ["a", "b"] {
        assert!(matches!(get(&world, &alice, name).await, Err(DownloadError::Unknown)));
    }
    assert!(world.origins.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_asks_waits_as_long_as_it_said_and_fetching_goes_on() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    world.origins.has("slow", b"at last");
    world.origins.take_their_time(Duration::from_secs(50));
    let start = tokio::time::Instant::now();
    let patient = get_within(&world, &alice, "slow", 40_000);
    let hasty = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        get_within(&world, &alice, "slow", 1_000).await
    };
    let (patient, hasty) = tokio::join!(patient, async { (hasty.await, start.elapsed().as_secs()) });
    patient.unwrap();
    // The time for the answer itself comes on top.
    assert!(matches!(hasty, (Err(DownloadError::NotYetUploaded), 32)), "{hasty:?}");
    assert_eq!(world.origins.asked().len(), 1);

    world.origins.has("left", b"nobody waits");
    let given_up = tokio::time::timeout(Duration::from_secs(1), get(&world, &alice, "left")).await;
    assert!(given_up.is_err());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(get(&world, &alice, "left").await.unwrap(), b"nobody waits");
    assert_eq!(world.origins.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_never_ends_is_broken_off() {
    let settings = MediaSettings { fetch_ms: 10_000, answer_ms: 60_000, ..MediaSettings::default() };
    let world = World::with(settings).await;
    let alice = person("@alice:one.example");
    world.origins.has("a", b"never");
    world.origins.take_their_time(Duration::from_secs(100_000));
    let late = get(&world, &alice, "a").await.unwrap_err();
    assert!(matches!(late, DownloadError::Elsewhere(FetchError::NotReached { .. })), "{late}");
}

#[tokio::test]
async fn what_others_say_is_told() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    world.origins.gives("soon", Err(FetchError::NotYetUploaded));
    world.origins.gives("dead", Err(FetchError::NotReached { reason: "no answer".to_owned() }));
    assert!(matches!(get(&world, &alice, "none").await, Err(DownloadError::Unknown)));
    assert!(matches!(get(&world, &alice, "soon").await, Err(DownloadError::NotYetUploaded)));
    let dead = get(&world, &alice, "dead").await.unwrap_err();
    assert_eq!(dead.to_string(), "media cannot be fetched: no answer");
}

async fn thumbnail(
    world: &World,
    asker: &Actor,
    media_id: &str,
) -> Result<(&'static str, Vec<u8>), ThumbnailError> {
    let media_id = id(media_id);
    let wanted = Wanted { tenant: &asker.tenant, server_name: remote(), media_id: &media_id, wait_ms: 0 };
    let size = ThumbnailSize { width: 32, height: 32, method: Method::Crop };
    let thumbnail = world.media.thumbnail(wanted, size, Animation::Still).await?;
    let pieces: Vec<_> = thumbnail.chunks.try_collect().await.unwrap();
    assert_eq!(pieces.concat().len() as u64, thumbnail.bytes);
    Ok((thumbnail.content_type, pieces.concat()))
}

#[tokio::test]
async fn thumbnails_are_made_here_of_what_was_fetched() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    world.origins.has("picture", &png(300, 200));
    world.origins.has("text", b"no picture");
    let first = thumbnail(&world, &alice, "picture").await.unwrap();
    let picture = image::load_from_memory(&first.1).unwrap();
    assert_eq!((picture.width(), picture.height()), (32, 32));
    assert_eq!(thumbnail(&world, &alice, "picture").await.unwrap(), first);
    assert_eq!(world.objects.count("thumbnails-of-others").await, 1);
    assert!(matches!(thumbnail(&world, &alice, "text").await, Err(ThumbnailError::NoPicture)));
    assert_eq!(world.origins.asked(), ["one.example file picture", "one.example file text"]);
    // They go with the picture.
    world.policies.set(&alice.tenant, MediaPolicy { others_bytes: Some(5000), ..MediaPolicy::default() });
    world.origins.has("next", &[1; 5000]);
    get(&world, &alice, "next").await.unwrap();
    assert_eq!(world.objects.count("thumbnails-of-others").await, 0);
}

/// What the server says that it is does not count.
#[tokio::test]
async fn a_picture_that_is_too_large_to_be_fetched_has_the_thumbnail_that_its_server_makes() {
    let pictures = PictureLimits { file_bytes: 3000, ..PictureLimits::default() };
    let settings = MediaSettings {
        pictures,
        others_file_bytes: 4000,
        others_thumbnail_bytes: 2000,
        ..MediaSettings::default()
    };
    let world = World::with(settings).await;
    let alice = person("@alice:one.example");
    let theirs = |bytes: &[u8]| {
        Ok(TheirFile { names: named("image/png", "t.png"), bytes: bytes.to_vec(), breaks: false })
    };
    let small = png(32, 32);
    for (name, bytes, made) in [
        ("not-fetched", 4001, &*small),
        ("not-opened", 3001, &*small),
        ("lie", 4001, b"<html><script>".as_slice()),
        ("endless", 4001, &[0x89; 2001]),
    ] {
        world.origins.has(name, &vec![7; bytes]);
        world.origins.gives(&format!("thumbnail of {name}"), theirs(made));
    }
    for name in ["not-fetched", "not-opened"] {
        assert_eq!(thumbnail(&world, &alice, name).await.unwrap(), ("image/png", small.clone()));
    }
    assert!(matches!(thumbnail(&world, &alice, "lie").await, Err(ThumbnailError::NoPicture)));
    let endless = thumbnail(&world, &alice, "endless").await.unwrap_err();
    let is_too_large = matches!(
        endless,
        ThumbnailError::Download(DownloadError::Elsewhere(FetchError::TooLarge { most: 2000 }))
    );
    assert!(is_too_large, "{endless}");
}

#[tokio::test]
async fn who_does_not_authenticate_has_what_was_fetched_before_the_freeze_only() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    for name in ["before", "after"] {
        world.origins.has(name, b"a file");
    }
    let open = async |name: &str| {
        let media_id = id(name);
        let wanted = Wanted { tenant: &alice.tenant, server_name: remote(), media_id: &media_id, wait_ms: 0 };
        world.media.is_open(wanted).await.unwrap_or(false)
    };
    assert!(!open("before").await);
    let policy = MediaPolicy { frozen_ts: NOW_TS + HOUR_MS, ..MediaPolicy::default() };
    world.policies.set(&alice.tenant, policy);
    assert!(open("before").await);
    world.clock.set(NOW_TS + 2 * HOUR_MS);
    assert!(open("before").await && !open("after").await);
    assert_eq!(world.origins.asked(), ["one.example file before"]);
    get(&world, &alice, "after").await.unwrap();
    assert!(!open("after").await);
}
