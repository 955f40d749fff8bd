//! Files of other servers.

use std::time::Duration;

use freehold_federation::fake::{Network, answer};
use freehold_federation::{
    FileError, FileForm, FileRequest, MediaOfServers, MultipartError, RemoteFile, RequestError, WebError,
};
use hyper::body::Bytes;
use hyper::{Request, Response};
use ruma_common::{ServerName, server_name};

use crate::world::{World, tenant};

const SIGNED: &str = "/_matrix/federation/v1/media/download/abc";
const OLD: &str = "/_matrix/media/v3/download/remote.example/abc";

fn remote() -> &'static ServerName {
    server_name!("remote.example")
}

fn request(bytes_max: usize) -> FileRequest<'static> {
    FileRequest {
        server_name: remote(),
        media_id: "abc",
        form: FileForm::Original,
        wait: Duration::from_secs(5),
        bytes_max,
    }
}

async fn get(world: &World, file: FileRequest<'_>) -> Result<RemoteFile, FileError> {
    MediaOfServers::new(world.client.clone()).get(&tenant("alice.example"), file).await
}

/// The name, the type and the bytes of a file.
async fn read(world: &World) -> Result<(Option<String>, Option<String>, Vec<u8>), FileError> {
    let mut file = get(world, request(1000)).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = file.body.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok((file.filename, file.content_type, bytes))
}

fn parted(body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = answer(200, body);
    let content_type = "multipart/mixed; boundary=gc0p4Jq0M2Yt08jU534c0p".parse().unwrap();
    response.headers_mut().insert("content-type", content_type);
    response
}

fn two_parts(second: &str) -> String {
    let boundary = "--gc0p4Jq0M2Yt08jU534c0p";
    format!(
        "{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n{boundary}\r\n{second}\r\n{boundary}--"
    )
}

fn located(location: &str) -> Response<Bytes> {
    parted(two_parts(&format!("Location: {location}\r\n")))
}

async fn serving(handler: impl Fn(Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static) -> World {
    let world = World::new().await;
    world.network.host("remote.example", 8448, handler);
    world
}

fn headers_of(network: &Network, path: &str) -> Vec<bool> {
    let sent = network.sent().into_iter().filter(|sent| sent.request.uri().path() == path);
    sent.map(|sent| sent.request.headers().contains_key("authorization")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_file_is_the_second_of_two_parts() {
    let second = "Content-Type: image/png\r\nContent-Disposition: inline; filename*=utf-8''%C3%BC.png\r\n\r\n\
                  a\r\n--file";
    let world = serving(move |_| parted(two_parts(second))).await;
    let read = read(&world).await.unwrap();
    assert_eq!(read, (Some("ü.png".into()), Some("image/png".into()), b"a\r\n--file".to_vec()));
    let sent = world.network.sent().pop().unwrap().request;
    assert_eq!((sent.uri().path(), sent.uri().query()), (SIGNED, Some("timeout_ms=5000")));
    assert!(sent.headers()["authorization"].to_str().unwrap().contains("origin=\"alice.example\""));
}

#[tokio::test(start_paused = true)]
async fn a_thumbnail_is_asked_for_with_its_size() {
    let world = serving(|_| parted(two_parts("Content-Type: image/png\r\n\r\nx"))).await;
    let form = FileForm::Thumbnail { width: 96, height: 64, method: "crop", animated: false };
    get(&world, FileRequest { form, ..request(1000) }).await.unwrap();
    let sent = world.network.sent().pop().unwrap().request;
    assert_eq!(sent.uri().path(), "/_matrix/federation/v1/media/thumbnail/abc");
    assert_eq!(sent.uri().query(), Some("timeout_ms=5000&width=96&height=64&method=crop&animated=false"));
}

/// The signature is for the server that was asked, and for nobody to whom it sends us.
#[tokio::test(start_paused = true)]
async fn a_file_that_lies_elsewhere_is_fetched_there_without_a_signature() {
    let world = serving(|_| located("https://cdn.example/a?token=x")).await;
    world.network.host("cdn.example", 443, |request| match request.uri().path() {
        "/a" => {
            let mut moved = answer(302, "");
            moved.headers_mut().insert("location", "/b".parse().unwrap());
            moved
        }
        _ => {
            let mut response = answer(200, "lies elsewhere");
            response.headers_mut().insert("content-type", "text/plain".parse().unwrap());
            response
        }
    });
    let read = read(&world).await.unwrap();
    assert_eq!(read, (None, Some("text/plain".into()), b"lies elsewhere".to_vec()));
    let sent = world.network.sent();
    let elsewhere = sent.iter().filter(|sent| sent.request.uri().host() == Some("cdn.example"));
    let signed = elsewhere.map(|sent| sent.request.headers().contains_key("authorization"));
    assert_eq!(signed.collect::<Vec<_>>(), [false, false]);
}

#[tokio::test(start_paused = true)]
async fn a_file_is_not_fetched_from_where_nobody_may_be_led() {
    for location in [
        "http://cdn.example/a",
        "https://127.0.0.1/a",
        "https://[::ffff:169.254.169.254]/latest",
        "https://internal.example/a",
        "https://moves.example/a",
        "file:///etc/passwd",
        "//",
        "",
    ] {
        let world = serving(move |_| located(location)).await;
        for host in ["internal.example", "169.254.169.254", "127.0.0.1", "cdn.example"] {
            world.network.host(host, 443, |_| answer(200, "secret"));
        }
        world.network.address("internal.example", &["10.0.0.1".parse().unwrap()]);
        world.network.host("moves.example", 443, |_| {
            let mut moved = answer(307, "");
            moved.headers_mut().insert("location", "https://internal.example/".parse().unwrap());
            moved
        });
        let refused = read(&world).await.unwrap_err();
        assert!(matches!(refused, FileError::Elsewhere(_)), "{location}: {refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn old_servers_are_asked_as_they_understand_it_and_not_for_what_others_have() {
    let unknown = r#"{"errcode":"M_UNRECOGNIZED","error":"?"}"#;
    let world = serving(move |request| match request.uri().path() {
        OLD => {
            let mut response = answer(200, "old");
            response.headers_mut().insert("content-type", "image/gif".parse().unwrap());
            response
        }
        _ => answer(404, unknown),
    })
    .await;
    assert_eq!(read(&world).await.unwrap(), (None, Some("image/gif".into()), b"old".to_vec()));
    let sent = world.network.sent();
    let old = sent.iter().find(|sent| sent.request.uri().path() == OLD).unwrap();
    assert_eq!(old.request.uri().query(), Some("allow_remote=false&timeout_ms=5000"));
    assert!(!old.request.headers().contains_key("authorization"));

    // A file that is not there is none.
    let world = serving(|_| answer(404, r#"{"errcode":"M_NOT_FOUND","error":"no"}"#)).await;
    let refused = read(&world).await.unwrap_err();
    assert!(matches!(refused, FileError::Request(RequestError::Refused(_))), "{refused}");
    assert!(headers_of(&world.network, OLD).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_two_parts_is_refused() {
    let boundary = "--gc0p4Jq0M2Yt08jU534c0p";
    let description = |text: &str| format!("{boundary}\r\n\r\n{text}\r\n{boundary}\r\n\r\nx\r\n{boundary}--");
    let endless = format!("{boundary}\r\n{}", "A: b\r\n".repeat(10_000));
    for (body, expected) in [
        (String::new(), "the body ends before its parts do"),
        ("{}".repeat(5000), "no part begins within 4096 bytes"),
        (format!("{boundary}\r\n\r\n{{}}\r\n{boundary}--"), "there are fewer than two parts"),
        (
            format!("{boundary}\r\n\r\n{{}}\r\n{boundary}\r\n\r\nhalf a fi"),
            "the body ends before its parts do",
        ),
        (endless, "the headers of a part have more than 16384 bytes"),
        (description("no json"), "the first part is no JSON object of up to 65536 bytes"),
        (description("[]"), "the first part is no JSON object of up to 65536 bytes"),
        (description(&"{".repeat(70_000)), "the first part is no JSON object of up to 65536 bytes"),
    ] {
        let world = serving(move |_| parted(body.clone())).await;
        let refused = read(&world).await.unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
    let world = serving(|_| answer(200, "a file by itself")).await;
    let refused = read(&world).await.unwrap_err();
    assert!(matches!(refused, FileError::Malformed(MultipartError::ContentType { .. })), "{refused}");
}

/// A body of several parts is read as it comes: neither its parts nor what is around them is held (CVE-2024-52805).
#[tokio::test(start_paused = true)]
async fn a_file_is_taken_up_to_its_bound_and_no_further() {
    let large = format!("Content-Type: image/png\r\n\r\n{}", "x".repeat(1 << 20));
    let here = move |_| parted(two_parts(&large));
    let elsewhere = |_| located("https://cdn.example/a");
    let old = |request: Request<Bytes>| match request.uri().path() {
        OLD => answer(200, "x".repeat(1 << 20)),
        _ => answer(404, r#"{"errcode":"M_UNRECOGNIZED"}"#),
    };
    for world in [serving(here).await, serving(elsewhere).await, serving(old).await] {
        world.network.host("cdn.example", 443, |_| answer(200, "x".repeat(1 << 20)));
        let refused = read(&world).await.unwrap_err();
        let too_large = matches!(
            refused,
            FileError::Body(freehold_federation::BodyError::TooLarge { .. })
                | FileError::Request(RequestError::TooLarge { .. })
        );
        assert!(too_large, "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_asks_no_neighbour_and_nobody_whom_it_denies() {
    let world = World::new().await;
    for name in ["bob.example", "denied.example"] {
        let server_name = <&ServerName>::try_from(name).unwrap();
        let refused = get(&world, FileRequest { server_name, ..request(1) }).await.unwrap_err();
        let is_ours = matches!(
            refused,
            FileError::Request(RequestError::Local { .. } | RequestError::NotSpokenWith { .. })
        );
        assert!(is_ours, "{refused}");
    }
    assert!(world.network.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_waited_for_as_long_as_was_said_and_for_its_answer() {
    let world = World::new().await;
    let address = world.ordinary_server("remote.example");
    world.network.trouble(address, freehold_federation::fake::Trouble::Hangs);
    let start = tokio::time::Instant::now();
    let late = get(&world, request(1)).await.unwrap_err();
    assert!(matches!(late, FileError::Request(RequestError::TooSlow)), "{late}");
    assert_eq!(start.elapsed().as_secs(), 35);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_gone_is_told() {
    let world = serving(|_| located("https://cdn.example/a")).await;
    world.network.host("cdn.example", 443, |_| answer(404, ""));
    let gone = read(&world).await.unwrap_err();
    assert!(matches!(gone, FileError::Elsewhere(WebError::Status { status: 404 })), "{gone}");
}
