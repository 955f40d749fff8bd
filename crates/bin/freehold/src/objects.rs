//! Where the bytes of media lie: in files, or in a bucket of a service that speaks S3.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use freehold_federation::client_tls;
use freehold_media::{Media, MediaSettings};
use http_body_util::BodyExt as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::TokioExecutor;
use object_store::aws::AmazonS3Builder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore};
use rustls::ClientConfig;

use crate::cli::Failure;
use crate::config::{Bucket, Config, MediaPlace};
use crate::data::Data;

/// Services that speak S3 take no parts of less than 5 MiB.
const S3_PART_BYTES: usize = 8 * 1024 * 1024;
/// How long the head of an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The bytes of media, and how they are handled there.
pub(crate) fn objects(
    config: &Config,
    data: &Data,
) -> Result<(Arc<dyn ObjectStore>, MediaSettings), Failure> {
    let limits = &config.limits;
    let settings = MediaSettings {
        file_bytes: limits.upload.0,
        others_file_bytes: limits.others_file.0,
        others_bytes: limits.others_files.0,
        pictures_at_once: limits.pictures_at_once.get(),
        ..MediaSettings::default()
    };
    match &config.media {
        None => Ok((files(data.path().join("media"))?, settings)),
        Some(MediaPlace::Directory(directory)) => Ok((files(directory.clone())?, settings)),
        Some(MediaPlace::Bucket(bucket)) => {
            let tls = client_tls(&config.extra_ca)
                .map_err(|error| Failure::of("cannot speak with the service of media", error))?;
            let settings = MediaSettings { part_bytes: S3_PART_BYTES, ..settings };
            Ok((in_bucket(bucket, tls)?, settings))
        }
    }
}

fn files(directory: PathBuf) -> Result<Arc<dyn ObjectStore>, Failure> {
    std::fs::create_dir_all(&directory)
        .map_err(|error| Failure::of("cannot make the directory of media", error))?;
    Media::files_below(&directory).map_err(|error| Failure::of("cannot open the directory of media", error))
}

/// Credentials come from the environment, as for every tool that speaks S3: `AWS_ACCESS_KEY_ID` and
/// `AWS_SECRET_ACCESS_KEY`, or what else the library knows.
fn in_bucket(bucket: &Bucket, tls: ClientConfig) -> Result<Arc<dyn ObjectStore>, Failure> {
    let mut builder =
        AmazonS3Builder::from_env().with_bucket_name(&bucket.name).with_http_connector(OverHyper::new(tls));
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    if let Some(region) = &bucket.region {
        builder = builder.with_region(region);
    }
    let failed = |error| Failure::of(&format!("cannot use {bucket} for media"), error);
    let store = builder.build().map_err(failed)?;
    Ok(match bucket.prefix.as_str() {
        "" => Arc::new(store),
        prefix => Arc::new(PrefixStore::new(store, prefix)),
    })
}

/// The HTTP of the library over what the rest of the program uses: one way to speak TLS, one set of authorities.
#[derive(Clone, Debug)]
struct OverHyper(Client<HttpsConnector<Tcp>, HttpRequestBody>);

impl OverHyper {
    fn new(tls: ClientConfig) -> Self {
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        OverHyper(Client::builder(TokioExecutor::new()).build(connector.build()))
    }
}

impl HttpConnector for OverHyper {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for OverHyper {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, self.0.request(request)).await;
        let response = match answered {
            Err(late) => return Err(HttpError::new(HttpErrorKind::Timeout, late)),
            Ok(Err(error)) if error.is_connect() => {
                return Err(HttpError::new(HttpErrorKind::Connect, error));
            }
            Ok(Err(error)) => return Err(HttpError::new(HttpErrorKind::Request, error)),
            Ok(Ok(response)) => response,
        };
        let interrupted = |error| HttpError::new(HttpErrorKind::Interrupted, error);
        Ok(response.map(|body| HttpResponseBody::new(body.map_err(interrupted))))
    }
}
