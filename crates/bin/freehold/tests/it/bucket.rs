//! Media in a bucket: a small service that speaks as much S3 as that needs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};

/// What is in the bucket, by path, and the parts of uploads under way.
#[derive(Default)]
pub(crate) struct Bucket {
    pub(crate) objects: Mutex<BTreeMap<String, Vec<u8>>>,
    parts: Mutex<BTreeMap<(String, u32), Vec<u8>>>,
    /// How many parts each upload had.
    pub(crate) parted: Mutex<Vec<usize>>,
    uploads: Mutex<u32>,
}

type Shared = Arc<Bucket>;

/// Serves a bucket on this machine, on a thread of its own, for as long as the test runs.
pub(crate) fn serve() -> (SocketAddr, Shared) {
    let bucket = Shared::default();
    let routes = Router::new().fallback(answer).with_state(bucket.clone());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, routes).await.unwrap();
        });
    });
    (receiver.recv().unwrap(), bucket)
}

async fn answer(State(bucket): State<Shared>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap().to_vec();
    let signed = header(&parts.headers, "authorization");
    if !signed.starts_with("AWS4-HMAC-SHA256 Credential=the-key-id/") {
        return status(StatusCode::FORBIDDEN, "");
    }
    let query: BTreeMap<String, String> = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.replace("%2F", "/")))
        .collect();
    let path = parts.uri.path().trim_start_matches('/').to_owned();
    match (parts.method, query.contains_key("uploads"), query.get("uploadId")) {
        (Method::POST, true, _) => bucket.begin(),
        (Method::PUT, _, Some(upload)) => bucket.part(upload, &query["partNumber"], body),
        (Method::POST, _, Some(upload)) => bucket.complete(path, upload),
        (Method::DELETE, _, Some(_)) => status(StatusCode::NO_CONTENT, ""),
        (Method::POST, ..) => bucket.delete_some(&path, &String::from_utf8(body).unwrap()),
        (Method::PUT, ..) => bucket.put(path, body, header(&parts.headers, "x-amz-copy-source")),
        (Method::GET, ..) if query.contains_key("list-type") => bucket.list(&query),
        (Method::DELETE, ..) => {
            bucket.objects.lock().unwrap().remove(&path);
            status(StatusCode::NO_CONTENT, "")
        }
        _ => bucket.get(&path, header(&parts.headers, "range")),
    }
}

const ETAG: &str = "\"0123456789abcdef\"";
const DATE: &str = "Sat, 31 Jan 2026 12:00:00 GMT";

impl Bucket {
    fn begin(&self) -> Response<Body> {
        let mut uploads = self.uploads.lock().unwrap();
        *uploads += 1;
        let id = format!("<UploadId>{uploads}</UploadId>");
        xml(&format!(
            "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>{id}</InitiateMultipartUploadResult>"
        ))
    }

    fn part(&self, upload: &str, number: &str, body: Vec<u8>) -> Response<Body> {
        self.parts.lock().unwrap().insert((upload.to_owned(), number.parse().unwrap()), body);
        status(StatusCode::OK, "")
    }

    fn complete(&self, path: String, upload: &str) -> Response<Body> {
        let mut parts = self.parts.lock().unwrap();
        let of_upload: Vec<_> = parts.keys().filter(|(id, _)| id == upload).cloned().collect();
        self.parted.lock().unwrap().push(of_upload.len());
        let whole = of_upload.iter().flat_map(|key| parts.remove(key).unwrap()).collect();
        self.objects.lock().unwrap().insert(path, whole);
        xml(&format!("<CompleteMultipartUploadResult><ETag>{ETAG}</ETag></CompleteMultipartUploadResult>"))
    }

    fn put(&self, path: String, body: Vec<u8>, source: String) -> Response<Body> {
        let mut objects = self.objects.lock().unwrap();
        let bytes = match source.trim_start_matches('/') {
            "" => body,
            source => match objects.get(&source.replace("%2F", "/")) {
                Some(bytes) => bytes.clone(),
                None => return status(StatusCode::NOT_FOUND, ""),
            },
        };
        objects.insert(path, bytes);
        xml(&format!("<CopyObjectResult><ETag>{ETAG}</ETag></CopyObjectResult>"))
    }

    fn get(&self, path: &str, range: String) -> Response<Body> {
        let objects = self.objects.lock().unwrap();
        let Some(bytes) = objects.get(path) else {
            return status(StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>");
        };
        let response = Response::builder().header("etag", ETAG).header("last-modified", DATE);
        let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
            return response.body(bytes.clone().into()).unwrap();
        };
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let (last, total) = (last.min(bytes.len() - 1), bytes.len());
        let response = response.status(206).header("content-range", format!("bytes {first}-{last}/{total}"));
        response.body(bytes[first..=last].to_vec().into()).unwrap()
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Response<Body> {
        let prefix = query.get("prefix").map(String::as_str).unwrap_or_default();
        let mut found = String::new();
        for (path, bytes) in self.objects.lock().unwrap().iter() {
            let (_, key) = path.split_once('/').unwrap();
            if key.starts_with(prefix) {
                let date = "<LastModified>2026-01-31T12:00:00.000Z</LastModified>";
                let size = bytes.len();
                write!(
                    found,
                    "<Contents><Key>{key}</Key>{date}<ETag>{ETAG}</ETag><Size>{size}</Size></Contents>"
                )
                .unwrap();
            }
        }
        xml(&format!("<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"))
    }

    fn delete_some(&self, bucket: &str, body: &str) -> Response<Body> {
        let keys = body.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        let mut deleted = String::new();
        for key in keys {
            self.objects.lock().unwrap().remove(&format!("{}/{key}", bucket.trim_end_matches('/')));
            write!(deleted, "<Deleted><Key>{key}</Key></Deleted>").unwrap();
        }
        xml(&format!("<DeleteResult>{deleted}</DeleteResult>"))
    }
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn xml(text: &str) -> Response<Body> {
    status(StatusCode::OK, &format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{text}"))
}

fn status(status: StatusCode, text: &str) -> Response<Body> {
    Response::builder().status(status).header("etag", ETAG).body(text.to_owned().into()).unwrap()
}
