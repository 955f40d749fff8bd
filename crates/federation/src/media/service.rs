//! Asks other servers for files.

use std::time::Duration;

use freehold_store::Tenant;
use ruma_common::ServerName;

use super::file::{FileError, Given, RemoteFile, read};
use crate::client::{Client, Request, RequestError};
use crate::discovery::WebLimits;
use crate::limits::{
    MEDIA_ANSWER_TIME_MS, MEDIA_DESCRIPTION_BYTES_MAX, MEDIA_REDIRECTIONS_MAX, MEDIA_TIME_MS,
    PART_HEAD_BYTES_MAX, PREAMBLE_BYTES_MAX,
};
use crate::remote::answers::is_unknown_endpoint;
use crate::remote::path::{path, segment};

/// Files of other servers.
#[derive(Clone)]
pub struct MediaOfServers {
    client: Client,
}

/// A file that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct FileRequest<'a> {
    /// The server that has it.
    pub server_name: &'a ServerName,
    /// Its media id there.
    pub media_id: &'a str,
    /// The file, or a thumbnail of it.
    pub form: FileForm,
    /// For how long the server may wait for an upload.
    pub wait: Duration,
    /// How many bytes the file may have.
    pub bytes_max: usize,
}

/// In which form a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileForm {
    /// As it is.
    Original,
    /// As a picture of about this size.
    Thumbnail {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
        /// How it is made to fit: `crop` or `scale`.
        method: &'static str,
        /// Whether it may move.
        animated: bool,
    },
}

impl MediaOfServers {
    /// Asks with a client.
    pub fn new(client: Client) -> Self {
        MediaOfServers { client }
    }

    /// Fetches a file in the name of a tenant
    /// (<https://spec.matrix.org/v1.19/server-server-api/#content-repository>). Its bytes are read as they come.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn get(&self, asker: &Tenant, file: FileRequest<'_>) -> Result<RemoteFile, FileError> {
        let time = file.wait.saturating_add(Duration::from_millis(MEDIA_ANSWER_TIME_MS));
        let late = |_| FileError::Request(RequestError::TooSlow);
        let asking = self.client.stream(asker, file.server_name, file.signed());
        let answer = match tokio::time::timeout(time, asking).await.map_err(late)? {
            // > servers MUST try the endpoints described below before falling back to the deprecated `/_matrix/media/*`
            // > endpoints when they receive a `404 M_UNRECOGNIZED` error.
            Err(error) if is_unknown_endpoint(&error) => {
                let asking = self.client.stream_unsigned(file.server_name, file.unsigned());
                let answer = tokio::time::timeout(time, asking).await.map_err(late)??;
                return Ok(RemoteFile::whole(&answer.headers.clone(), answer.into_body()));
            }
            answer => answer?,
        };
        match tokio::time::timeout(time, read(answer)).await.map_err(late)?? {
            Given::Here(file) => Ok(file),
            Given::At(location) => self.follow(&location, file.bytes_max).await,
        }
    }

    /// Where it leads is fetched like any page that strangers name: without a signature, and not from where it must not
    /// be. It is not remembered, because it may be valid for a while only.
    async fn follow(&self, location: &str, bytes_max: usize) -> Result<RemoteFile, FileError> {
        let limits = WebLimits {
            time: Duration::from_millis(MEDIA_TIME_MS),
            bytes_max,
            redirections_max: MEDIA_REDIRECTIONS_MAX,
        };
        let page = self.client.discovery().web().get(location, limits).await?;
        Ok(RemoteFile::whole(&page.headers, page.body))
    }
}

/// What comes around a file in an answer with two parts.
const AROUND_BYTES_MAX: usize =
    PREAMBLE_BYTES_MAX + 2 * PART_HEAD_BYTES_MAX + MEDIA_DESCRIPTION_BYTES_MAX + 4096;

impl FileRequest<'_> {
    fn signed(&self) -> Request {
        let kind = match self.form {
            FileForm::Original => "v1/media/download",
            FileForm::Thumbnail { .. } => "v1/media/thumbnail",
        };
        let query = self.query();
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, &**value)).collect();
        self.request(path(kind, &[self.media_id], &query))
    }

    /// > When falling back, servers MUST be sure to set `allow_remote` to `false`.
    fn unsigned(&self) -> Request {
        let kind = match self.form {
            FileForm::Original => "download",
            FileForm::Thumbnail { .. } => "thumbnail",
        };
        let (server_name, media_id) = (segment(self.server_name.as_str()), segment(self.media_id));
        let mut uri = format!("/_matrix/media/v3/{kind}/{server_name}/{media_id}?allow_remote=false");
        for (name, value) in self.query() {
            uri.push_str(&format!("&{name}={value}"));
        }
        self.request(uri)
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = vec![("timeout_ms", self.wait.as_millis().to_string())];
        if let FileForm::Thumbnail { width, height, method, animated } = self.form {
            query.push(("width", width.to_string()));
            query.push(("height", height.to_string()));
            query.push(("method", method.to_owned()));
            query.push(("animated", animated.to_string()));
        }
        query
    }

    fn request(&self, uri: String) -> Request {
        let time = self.wait.saturating_add(Duration::from_millis(MEDIA_TIME_MS));
        Request::get(uri).within(time).up_to(self.bytes_max.saturating_add(AROUND_BYTES_MAX))
    }
}
