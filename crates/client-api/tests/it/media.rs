//! The content repository, over HTTP.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};

use crate::accounts::{open, register, token};
use crate::server::{ALICES, Answer, Ask, BOBS, Server};

/// Somebody who is logged in.
struct Person {
    host: &'static str,
    session: Value,
}

impl Person {
    async fn new(server: &Server, host: &'static str, name: &str) -> Self {
        Person { host, session: register(server, host, name).await }
    }

    fn asks(&self, method: &str, path: &str) -> Ask {
        Ask::new(method, path).to(self.host).with_token(token(&self.session))
    }

    async fn get(&self, server: &Server, path: &str) -> Answer {
        server.send(self.asks("GET", path)).await
    }

    /// Uploads a file; the answer is `server/media id`.
    async fn upload(&self, server: &Server, (content_type, query): (&str, &str), bytes: &[u8]) -> String {
        let ask = self.asks("POST", &format!("/_matrix/media/v3/upload{query}"));
        let ask = ask.header("content-type", content_type).body(bytes.to_vec());
        let uri = server.send(ask).await.ok()["content_uri"].as_str().unwrap().to_owned();
        uri.strip_prefix("mxc://").unwrap().to_owned()
    }
}

async fn two() -> (Server, Person, Person) {
    let server = open();
    let (alice, bob) = (Person::new(&server, ALICES, "alice").await, Person::new(&server, BOBS, "bob").await);
    (server, alice, bob)
}

fn download(file: &str) -> String {
    format!("/_matrix/client/v1/media/download/{file}")
}

/// A picture, as a PNG.
pub(crate) fn picture(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels = RgbImage::from_pixel(width, height, Rgb([9, 9, 9]));
    pixels.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    bytes
}

#[tokio::test]
async fn a_file_is_given_to_users_of_both_tenants_with_headers_that_keep_it_harmless() {
    let (server, alice, bob) = two().await;
    let file = alice.upload(&server, ("image/png", "?filename=my%20cat.png"), b"cat").await;
    assert!(file.starts_with("alice.example/"), "{file}");
    for person in [&alice, &bob] {
        let answer = person.get(&server, &download(&file)).await;
        assert_eq!((answer.status.as_u16(), answer.bytes.as_slice()), (200, b"cat".as_slice()));
        assert_eq!(answer.headers["content-type"], "image/png");
        assert_eq!(answer.headers["content-length"], "3");
        assert_eq!(answer.headers["content-disposition"], "inline; filename=\"my cat.png\"");
        assert_eq!(answer.headers["cross-origin-resource-policy"], "cross-origin");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("sandbox; default-src 'none'; script-src 'none';"), "{policy}");
    }
    let renamed = alice.get(&server, &download(&format!("{file}/dog.png"))).await;
    assert_eq!(renamed.headers["content-disposition"], "inline; filename=dog.png");
    let page = alice.upload(&server, ("text/html", ""), b"<script>").await;
    let answer = bob.get(&server, &download(&page)).await;
    assert_eq!(answer.headers["content-disposition"], "attachment");
}

#[tokio::test]
async fn parts_of_files_and_files_that_are_known_already() {
    let (server, alice, _) = two().await;
    let file = alice.upload(&server, ("text/plain", ""), b"0123456789").await;
    let part = alice.asks("GET", &download(&file)).header("range", "bytes=2-4");
    let answer = server.send(part).await;
    assert_eq!((answer.status.as_u16(), answer.bytes.as_slice()), (206, b"234".as_slice()));
    assert_eq!(answer.headers["content-range"], "bytes 2-4/10");
    let etag = answer.headers["etag"].to_str().unwrap().to_owned();
    let beyond = alice.asks("GET", &download(&file)).header("range", "bytes=10-");
    let answer = server.send(beyond).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["content-range"]),
        (416, &"bytes */10".parse().unwrap())
    );
    let known = alice.asks("GET", &download(&file)).header("if-none-match", &etag);
    assert_eq!(server.send(known).await.status, 304);
}

#[tokio::test]
async fn the_deprecated_endpoints_give_what_the_tenant_that_is_asked_lets_everybody_have() {
    let (server, alice, bob) = two().await;
    let alices = alice.upload(&server, ("text/plain", ""), b"alice's").await;
    let bobs = bob.upload(&server, ("text/plain", ""), b"bob's").await;
    let ask = async |host: &str, file: &str, query: &str| {
        let path = format!("/_matrix/media/v3/download/{file}{query}");
        server.send(Ask::new("GET", &path).to(host)).await
    };
    assert_eq!(ask(BOBS, &bobs, "").await.bytes, b"bob's");
    assert_eq!(ask(BOBS, &alices, "").await.bytes, b"alice's", "bob's server has it for its users");
    assert_eq!(ask(BOBS, &alices, "?allow_remote=false").await.error(), (404, "M_NOT_FOUND"));
    assert_eq!(ask(ALICES, &alices, "").await.error(), (404, "M_NOT_FOUND"));
    let with_name = ask(BOBS, &format!("{bobs}/name.txt"), "").await;
    assert_eq!(with_name.headers["content-disposition"], "inline; filename=name.txt");
    let without_token = server.send(Ask::new("GET", &download(&bobs)).to(BOBS)).await;
    assert_eq!(without_token.error(), (401, "M_MISSING_TOKEN"));
}

#[tokio::test]
async fn a_reserved_uri_is_filled_once() {
    let (server, alice, bob) = two().await;
    let made = server.send(alice.asks("POST", "/_matrix/media/v1/create")).await.ok();
    assert_eq!(made["unused_expires_at"], json!(crate::server::NOW_TS + 24 * 60 * 60 * 1000));
    let file = made["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned();
    let early = bob.get(&server, &format!("{}?timeout_ms=0", download(&file))).await;
    assert_eq!(early.error(), (504, "M_NOT_YET_UPLOADED"));
    let put = |who: &Person| who.asks("PUT", &format!("/_matrix/media/v3/upload/{file}")).body("bytes");
    assert_eq!(server.send(put(&bob)).await.error(), (404, "M_NOT_FOUND"));
    assert_eq!(server.send(put(&alice)).await.ok(), json!({}));
    assert_eq!(server.send(put(&alice)).await.error(), (409, "M_CANNOT_OVERWRITE_MEDIA"));
    assert_eq!(bob.get(&server, &download(&file)).await.bytes, b"bytes");
}

#[tokio::test]
async fn large_files_and_full_accounts_are_refused() {
    let (server, alice, _) = two().await;
    let config = alice.get(&server, "/_matrix/client/v1/media/config").await.ok();
    assert_eq!(config, json!({ "m.upload.size": 200_000 }));
    let upload = |bytes: usize| alice.asks("POST", "/_matrix/media/v3/upload").body(vec![7; bytes]);
    assert_eq!(server.send(upload(200_001)).await.error(), (413, "M_TOO_LARGE"));
    let announced = upload(1).header("content-length", "200001");
    assert_eq!(server.send(announced).await.error(), (413, "M_TOO_LARGE"));
    for _ in 0..2 {
        server.send(upload(200_000)).await.ok();
    }
    assert_eq!(server.send(upload(1)).await.error(), (403, "M_FORBIDDEN"));
}

#[tokio::test]
async fn thumbnails_are_pictures_and_others_have_none() {
    let (server, alice, bob) = two().await;
    let file = alice.upload(&server, ("image/png", ""), &picture(200, 100)).await;
    for path in [
        format!("/_matrix/client/v1/media/thumbnail/{file}?width=30&height=30&method=crop"),
        format!("/_matrix/media/v3/thumbnail/{file}?width=30&height=30&method=crop"),
    ] {
        let answer = bob.get(&server, &path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["content-type"]),
            (200, &"image/jpeg".parse().unwrap())
        );
        assert_eq!(answer.headers["content-disposition"], "inline; filename=thumbnail.jpeg");
        let made = image::load_from_memory(&answer.bytes).unwrap();
        assert_eq!((made.width(), made.height()), (32, 32));
    }
    let text = alice.upload(&server, ("image/png", ""), b"text").await;
    for (file, query, expected) in [
        (&text, "width=30&height=30", (400, "M_UNKNOWN")),
        (&file, "width=0&height=30", (400, "M_INVALID_PARAM")),
        (&file, "width=x&height=30", (400, "M_INVALID_PARAM")),
        (&"alice.example/none".to_owned(), "width=30&height=30", (404, "M_NOT_FOUND")),
    ] {
        let path = format!("/_matrix/client/v1/media/thumbnail/{file}?{query}");
        assert_eq!(bob.get(&server, &path).await.error(), expected, "{path}");
    }
}

/// Names that lead out of a directory reach nothing (CVE-2021-41281).
#[tokio::test]
async fn media_ids_with_other_characters_are_not_found() {
    let (server, alice, _) = two().await;
    for id in ["..%2f..%2fmaster.key", "%2e%2e", "a%00b", "a.b"] {
        let answer = alice.get(&server, &download(&format!("alice.example/{id}"))).await;
        assert_eq!(answer.error(), (404, "M_NOT_FOUND"), "{id}");
    }
}
