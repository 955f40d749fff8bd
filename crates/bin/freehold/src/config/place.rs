//! Where things are kept, as URLs.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hyper::Uri;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoragePlace {
    /// The embedded engine, in a directory.
    Directory(PathBuf),
}

/// Where the bytes of media are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MediaPlace {
    /// In files below a directory.
    Directory(PathBuf),
    /// In a bucket of a service that speaks S3.
    Bucket(Bucket),
}

/// A bucket of a service that speaks S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// Its name.
    pub(crate) name: String,
    /// What the names of all objects begin with; may be empty.
    pub(crate) prefix: String,
    /// The URL of the service, if it is not Amazon's.
    pub(crate) endpoint: Option<String>,
    /// Its region.
    pub(crate) region: Option<String>,
}

impl FromStr for StoragePlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a place for the store: expected file:///DIRECTORY");
        directory(text).map(StoragePlace::Directory).ok_or_else(wrong)
    }
}

impl FromStr for MediaPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a place for media: expected file:///DIRECTORY or \
                 s3://BUCKET/PREFIX?endpoint=URL&region=NAME"
            )
        };
        if let Some(path) = directory(text) {
            return Ok(MediaPlace::Directory(path));
        }
        bucket(text).map(MediaPlace::Bucket).ok_or_else(wrong)
    }
}

fn directory(text: &str) -> Option<PathBuf> {
    let path = text.strip_prefix("file://")?;
    (path.starts_with('/') && path.len() > 1).then(|| path.into())
}

fn bucket(text: &str) -> Option<Bucket> {
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let place = place.strip_prefix("s3://")?;
    let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
    if name.is_empty() {
        return None;
    }
    let (name, prefix) = (name.to_owned(), prefix.trim_matches('/').to_owned());
    let mut bucket = Bucket { name, prefix, endpoint: None, region: None };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        match name {
            "endpoint" => {
                let uri: Uri = value.parse().ok()?;
                matches!(uri.scheme_str()?, "http" | "https").then_some(())?;
                bucket.endpoint = Some(value.to_owned());
            }
            "region" => bucket.region = Some(value.to_owned()),
            _ => return None,
        }
    }
    Some(bucket)
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.name, self.prefix)
    }
}

macro_rules! read_as_text {
    ($($place:ty),*) => {$(
        impl<'de> Deserialize<'de> for $place {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

read_as_text!(StoragePlace, MediaPlace);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_directories_or_buckets() {
        let bucket = |prefix: &str, endpoint: Option<&str>, region: Option<&str>| {
            MediaPlace::Bucket(Bucket {
                name: "media".to_owned(),
                prefix: prefix.to_owned(),
                endpoint: endpoint.map(str::to_owned),
                region: region.map(str::to_owned),
            })
        };
        for (text, expected) in [
            ("file:///var/lib/media", Some(MediaPlace::Directory("/var/lib/media".into()))),
            ("s3://media", Some(bucket("", None, None))),
            ("s3://media/of/freehold/", Some(bucket("of/freehold", None, None))),
            (
                "s3://media/x?endpoint=http://127.0.0.1:9000&region=eu-1",
                Some(bucket("x", Some("http://127.0.0.1:9000"), Some("eu-1"))),
            ),
            ("s3:///x", None),
            ("s3://media?endpoint=ftp://x", None),
            ("s3://media?secret=x", None),
            ("file://", None),
            ("file://relative", None),
            ("/var/lib/media", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
        assert!("postgres://x".parse::<StoragePlace>().unwrap_err().ends_with("expected file:///DIRECTORY"));
    }
}
