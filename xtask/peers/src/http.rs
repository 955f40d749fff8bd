//! Requests with JSON in and JSON out, to servers whose certificates the run's authority has signed.

use std::time::Duration;

use serde_json::Value;
use ureq::{
    Agent,
    http::Request,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::failure::{Context, Failure, Result};

/// A client for HTTP and HTTPS.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
}

/// A request: everything that its sender decides.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Option<Vec<u8>>,
}

/// A file, or an error in its place.
#[derive(Debug)]
pub(crate) struct Downloaded {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl Client {
    /// A client that trusts one authority, given in PEM.
    pub(crate) fn trusting(authority: &str) -> Result<Self> {
        let certificate =
            Certificate::from_pem(authority.as_bytes()).context("certificate of the authority")?;
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[certificate])).build();
        let configuration = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Ok(Self { agent: configuration.new_agent() })
    }

    /// Sends a request; any status but 200 is a failure that quotes the answer.
    pub(crate) fn send(&self, call: Call<'_>) -> Result<Value> {
        let (status, answer) = self.send_for_status(&call)?;
        if status == 200 {
            return Ok(answer);
        }
        Err(Failure::new(format!("{} {} answered {status}: {answer}", call.method, call.url)))
    }

    /// Sends bytes of a type to where files are uploaded.
    pub(crate) fn upload(
        &self,
        (method, url): (&str, &str),
        (authorization, content_type): (&str, &str),
        bytes: &[u8],
    ) -> Result<Value> {
        let request = Request::builder().method(method).uri(url).header("Authorization", authorization);
        let request = request.header("Content-Type", content_type).body(bytes).context(url)?;
        let mut response = self.agent.run(request).context(url)?;
        let text = response.body_mut().read_to_string().context(url)?;
        match response.status().as_u16() {
            200 => serde_json::from_str(&text).context(url),
            status => Err(Failure::new(format!("{method} {url} answered {status}: {text}"))),
        }
    }

    /// Fetches a file, whatever it is.
    pub(crate) fn download(&self, url: &str, authorization: &str) -> Result<Downloaded> {
        let request = Request::builder().uri(url).header("Authorization", authorization).body(());
        let mut response = self.agent.run(request.context(url)?).context(url)?;
        let content_type = response.headers().get("Content-Type").and_then(|value| value.to_str().ok());
        Ok(Downloaded {
            status: response.status().as_u16(),
            content_type: content_type.unwrap_or_default().to_owned(),
            bytes: response.body_mut().with_config().limit(64 << 20).read_to_vec().context(url)?,
        })
    }

    fn send_for_status(&self, call: &Call<'_>) -> Result<(u16, Value)> {
        let shown = format!("{} {}", call.method, call.url);
        let mut request = Request::builder().method(call.method).uri(&call.url);
        if let Some(authorization) = &call.authorization {
            request = request.header("Authorization", authorization);
        }
        let body = call.body.clone().unwrap_or_default();
        if !body.is_empty() {
            request = request.header("Content-Type", "application/json");
        }
        let request = request.body(body).context(&shown)?;
        let mut response = self.agent.run(request).context(&shown)?;
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string().context(&shown)?;
        let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok((status, answer))
    }
}
