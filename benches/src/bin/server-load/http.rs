//! HTTP to a server on this machine. Every answer is checked: what is not a success is an error with its text.

use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use freehold_benches::rows::Outcome;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// No request takes longer.
const REQUEST_SECONDS_MAX: u64 = 90;

/// A server to ask, over connections that are kept.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// The `Host`, which says whose server is meant.
    pub(crate) host: &'a str,
    /// Path and query.
    pub(crate) path: &'a str,
    pub(crate) token: Option<&'a str>,
    pub(crate) body: Option<&'a Value>,
}

impl Http {
    /// Asks the server that listens on this port of 127.0.0.1.
    pub(crate) fn new(port: u16) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Http { client, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// The bytes of an answer that is a success.
    pub(crate) async fn send(&self, call: Call<'_>) -> Outcome<Bytes> {
        let shown = format!("{} {}", call.method, call.path);
        let (status, body) = self.exchange(call).await?;
        if status.is_success() {
            return Ok(body);
        }
        let text: String = String::from_utf8_lossy(&body).chars().take(300).collect();
        Err(format!("{shown}: {status}: {text}"))
    }

    /// An answer, whatever it is.
    pub(crate) async fn exchange(&self, call: Call<'_>) -> Outcome<(StatusCode, Bytes)> {
        let shown = format!("{} {}", call.method, call.path);
        let exchange = self.exchange_at_leisure(call);
        match tokio::time::timeout(Duration::from_secs(REQUEST_SECONDS_MAX), exchange).await {
            Ok(answer) => answer.map_err(|error| format!("{shown}: {error}")),
            Err(_) => Err(format!("{shown}: no answer in {REQUEST_SECONDS_MAX} s")),
        }
    }

    async fn exchange_at_leisure(&self, call: Call<'_>) -> Outcome<(StatusCode, Bytes)> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("http://{}{}", self.address, call.path))
            .header(HOST, call.host);
        if let Some(token) = call.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = call.body.map(Value::to_string).unwrap_or_default();
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::from(body));
        let request = request.map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    }
}

/// The JSON of an answer.
pub(crate) fn json(body: &[u8]) -> Outcome<Value> {
    serde_json::from_slice(body).map_err(|error| format!("an answer is not JSON: {error}"))
}

/// A text in an answer.
pub(crate) fn text(answer: &Value, name: &str) -> Outcome<String> {
    let text = answer.get(name).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| format!("an answer has no `{name}`"))
}

/// A text as it may stand in a path or query.
pub(crate) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = text
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    encoded.collect()
}
