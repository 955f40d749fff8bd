//! Commands of the operator: to the server that runs, or carried out on the data of one that does not.

use std::path::Path;
use std::sync::Arc;

use freehold_admin_api::{Answer, Authority, Command, PREFIX, Refusal};
use freehold_federation::client_tls;
use freehold_tenancy::is_development;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::cli::Failure;
use crate::config::Config;
use crate::data::{Data, DataError, admin_socket};
use crate::parts::Parts;

/// A server elsewhere.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) url: Option<String>,
    pub(crate) token: Option<String>,
}

const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

type Cause = Box<dyn std::error::Error>;

/// Asks a server, or does it here.
pub(crate) fn ask(config: &Config, command: Command, remote: Remote) -> Result<Answer, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::of("cannot start", error))?;
    runtime.block_on(async {
        if let Some(url) = remote.url {
            let token = read_token(remote.token)?;
            return over_tcp(config, (&url, &token), &command).await;
        }
        if !config.data.exists() && !may_begin(&command) {
            return Err(nothing_there(&config.data));
        }
        match Data::take(&config.data) {
            Ok(data) => {
                let parts = Parts::open(config, &data).await?;
                Ok(parts.desk.perform(command, &Authority::Operator).await?)
            }
            Err(DataError::InUse { .. }) => over_socket(&admin_socket(&config.data), &command).await,
            Err(error) => Err(Failure::of("cannot open the data", error)),
        }
    })
}

/// Whether a command may be the first that is done on a data directory, before a server ever ran.
fn may_begin(command: &Command) -> bool {
    matches!(command, Command::TenantAdd { .. } | Command::TokenAdd { .. })
}

fn nothing_there(data: &Path) -> Failure {
    Failure::Usage(format!(
        "there is no data directory `{}`: name it with --data or --config, or a server with --url and --token",
        data.display()
    ))
}

fn read_token(given: Option<String>) -> Result<String, Failure> {
    match given {
        Some(token) if token != "-" => Ok(token),
        _ => {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line);
            read.map_err(|error| Failure::of("cannot read the token", error))?;
            Ok(line.trim().to_owned())
        }
    }
}

async fn over_socket(path: &Path, command: &Command) -> Result<Answer, Failure> {
    let failed = |error| Failure::of(&format!("cannot ask the server at {}", path.display()), error);
    let asked = async {
        let stream = UnixStream::connect(path).await?;
        exchange(TokioIo::new(stream), request("localhost", None, command)?).await
    };
    let answered: Result<_, Cause> = asked.await;
    answered.map_err(failed)?.map_err(Failure::Refused)
}

async fn over_tcp(config: &Config, (url, token): (&str, &str), command: &Command) -> Result<Answer, Failure> {
    let uri: Uri = url.parse().map_err(|_| Failure::Usage(format!("`{url}` is not a URL")))?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(Failure::Usage(format!("`{url}` does not begin with https:// or http://")));
    };
    let failed = |error| Failure::of(&format!("cannot ask the server at {url}"), error);
    let asked = async {
        let request = request(authority.as_str(), Some(token), command)?;
        let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // Names below `.localhost` lead to this machine, whatever the resolver says.
        let address = if is_development(host) { "127.0.0.1" } else { host };
        let stream = TcpStream::connect((address, port)).await?;
        match scheme {
            "https" => {
                let name = rustls::pki_types::ServerName::try_from(host.to_owned())?;
                let tls = TlsConnector::from(Arc::new(client_tls(&config.extra_ca)?));
                exchange(TokioIo::new(tls.connect(name, stream).await?), request).await
            }
            _ => exchange(TokioIo::new(stream), request).await,
        }
    };
    let answered: Result<_, Cause> = asked.await;
    answered.map_err(failed)?.map_err(Failure::Refused)
}

fn request(host: &str, token: Option<&str>, command: &Command) -> Result<Request<Full<Bytes>>, Cause> {
    let document = serde_json::to_value(command)?;
    let name = document.get("command").and_then(Value::as_str).unwrap_or_default();
    let arguments = document.get("arguments").cloned().unwrap_or_else(|| json!({}));
    let mut request =
        Request::post(format!("{PREFIX}{name}")).header(HOST, host).header(CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    Ok(request.body(Full::new(Bytes::from(serde_json::to_vec(&arguments)?)))?)
}

async fn exchange<S: Read + Write + Unpin + Send + 'static>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Result<Answer, Refusal>, Cause> {
    let (mut sender, connection) = http1::handshake(stream).await?;
    // Its errors come out of the request, too.
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| error as Cause)?;
    let body = body.to_bytes();
    if status == StatusCode::OK {
        return Ok(Ok(serde_json::from_slice(&body)?));
    }
    match serde_json::from_slice(&body) {
        Ok(refusal) => Ok(Err(refusal)),
        Err(_) => Err(format!("the server answered {status}").into()),
    }
}
