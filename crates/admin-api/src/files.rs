//! Files: shown, deleted, withheld from a tenant's people or, by the operator, from all.

use std::fmt;

use freehold_media::{FileDetails, Media, MediaId};
use freehold_store::{Batch, Store, Tenant};
use freehold_tenancy::{Act, Tenancy};
use ruma_common::{MxcUri, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answer::{Answer, lines, time};
use crate::authority::Authority;
use crate::command::Command;
use crate::desk::parse;
use crate::refusal::Refusal;

/// A file, for administrators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// Its `mxc://` URI.
    pub uri: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// SHA-256 of them, as hexadecimal digits.
    pub sha256: String,
    /// When it was uploaded, or fetched from another server, in milliseconds since the Unix epoch.
    pub uploaded_ts: i64,
    /// Its type, as the uploader named it.
    pub content_type: Option<String>,
    /// Its name, as the uploader named it.
    pub filename: Option<String>,
    /// Who uploaded it, if that was a user of the tenant.
    pub uploader: Option<OwnedUserId>,
    /// Whether the tenant withholds it.
    pub quarantined: bool,
    /// Whether the operator withholds it from all.
    pub blocked: bool,
}

/// Bytes that are withheld.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithheldLine {
    /// SHA-256 of them, as hexadecimal digits.
    pub sha256: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ts: i64,
}

/// The most hashes that one list shows.
const LIST_MAX: usize = 100_000;

/// Where files are, and who does something to them.
pub(crate) struct Files<'a> {
    pub(crate) store: &'a Store,
    pub(crate) media: &'a Media,
    pub(crate) tenancy: &'a Tenancy,
    pub(crate) authority: &'a Authority,
}

impl Files<'_> {
    /// Carries out a command about files. Whether it may be given was asked before.
    pub(crate) async fn perform(&self, command: Command) -> Result<Answer, Refusal> {
        let tenant = match command.tenant() {
            Some(server_name) => Some(self.tenancy.facts(&parse(server_name)?).await?.tenant),
            None => None,
        };
        match (command, tenant) {
            (Command::MediaShow { uri, .. }, Some(tenant)) => {
                let details = self.details(&tenant, &uri).await?;
                self.show(uri, details).await
            }
            (Command::MediaDelete { uri, .. }, Some(tenant)) => self.delete(&tenant, &uri).await,
            (Command::MediaQuarantine { uri, .. }, Some(tenant)) => {
                let details = self.details(&tenant, &uri).await?;
                let note = self.note((Some(&tenant), "media quarantine"), &uri);
                self.media
                    .quarantine(Some(&tenant), &details.file.blob, &note)
                    .await
                    .map_err(Refusal::internal)?;
                self.show(uri.clone(), FileDetails { quarantined: true, ..details }).await
            }
            (Command::MediaRelease { file, .. }, Some(tenant)) => self.release(&tenant, &file).await,
            (Command::MediaQuarantined { limit, .. }, tenant) => {
                let found = self.media.quarantined(tenant.as_ref(), limit.min(LIST_MAX)).await;
                let found = found.map_err(Refusal::internal)?.into_iter();
                let line = |(hash, since_ts): ([u8; 32], i64)| WithheldLine { sha256: hex(&hash), since_ts };
                Ok(Answer::Withheld { withheld: found.map(line).collect() })
            }
            (Command::MediaBlock { sha256 }, None) => {
                let note = self.note((None, "media block"), &sha256);
                let done = self.media.quarantine(None, &parse_hash(&sha256)?, &note).await;
                Ok(Answer::Blocked { sha256, blocked: true, changed: done.map_err(Refusal::internal)? })
            }
            (Command::MediaUnblock { sha256 }, None) => {
                let note = self.note((None, "media unblock"), &sha256);
                let done = self.media.release(None, &parse_hash(&sha256)?, &note).await;
                Ok(Answer::Blocked { sha256, blocked: false, changed: done.map_err(Refusal::internal)? })
            }
            _ => Err(Refusal::new("M_UNRECOGNIZED", "not a command about files")),
        }
    }

    /// What writes down who did something to a file.
    fn note(
        &self,
        (tenant, name): (Option<&Tenant>, &'static str),
        file: &str,
    ) -> impl Fn(&mut Batch) + Sync + use<'_> {
        let (by, details, number) =
            (self.authority.by(), json!({ "file": file }), tenant.map(Tenant::number));
        move |batch| self.tenancy.record(batch, number, &Act { by: &by, name, details: details.clone() })
    }

    async fn details(&self, tenant: &Tenant, uri: &str) -> Result<FileDetails, Refusal> {
        let (server_name, media_id) = parse_uri(uri)?;
        let details = self.media.details(tenant, (&server_name, &media_id)).await;
        details.map_err(Refusal::internal)?.ok_or_else(unknown)
    }

    async fn show(&self, uri: String, details: FileDetails) -> Result<Answer, Refusal> {
        let FileDetails { uploader, file, quarantined, blocked } = details;
        let uploader = match uploader {
            Some(number) => {
                let snapshot = self.store.snapshot().map_err(Refusal::internal)?;
                Some(snapshot.id_of(number).await.map_err(Refusal::internal)?)
            }
            None => None,
        };
        let (bytes, sha256, uploaded_ts) = (file.bytes, hex(&file.blob), file.uploaded_ts);
        let (content_type, filename) = (file.content_type, file.filename);
        let file = FileReport {
            uri,
            bytes,
            sha256,
            uploaded_ts,
            content_type,
            filename,
            uploader,
            quarantined,
            blocked,
        };
        Ok(Answer::File { file })
    }

    async fn delete(&self, tenant: &Tenant, uri: &str) -> Result<Answer, Refusal> {
        let (server_name, media_id) = parse_uri(uri)?;
        let note = self.note((Some(tenant), "media delete"), uri);
        let deleted = self.media.delete_file(tenant, (&server_name, &media_id), &note).await;
        if deleted.map_err(Refusal::internal)? { Ok(Answer::Removed { removed: 1 }) } else { Err(unknown()) }
    }

    async fn release(&self, tenant: &Tenant, file: &str) -> Result<Answer, Refusal> {
        // A file that was deleted is known by its hash only.
        let hash = match file.starts_with("mxc://") {
            true => self.details(tenant, file).await?.file.blob,
            false => parse_hash(file)?,
        };
        let note = self.note((Some(tenant), "media release"), file);
        let released = self.media.release(Some(tenant), &hash, &note).await.map_err(Refusal::internal)?;
        match released {
            true => Ok(Answer::Removed { removed: 1 }),
            false => Err(Refusal::not_found("this file is not in quarantine")),
        }
    }
}

fn unknown() -> Refusal {
    Refusal::not_found("there is no such file here")
}

fn parse_uri(uri: &str) -> Result<(OwnedServerName, MediaId), Refusal> {
    let invalid = || Refusal::invalid(format_args!("`{uri}` is not an `mxc://` URI"));
    let (server_name, media_id) = <&MxcUri>::from(uri).parts().map_err(|_| invalid())?;
    Ok((server_name.to_owned(), MediaId::parse(media_id).map_err(|_| invalid())?))
}

fn parse_hash(text: &str) -> Result<[u8; 32], Refusal> {
    let invalid = || Refusal::invalid(format_args!("`{text}` is not 64 hexadecimal digits"));
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64).ok_or_else(invalid)?;
    let bytes: Vec<u8> = digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().map_err(|_| invalid())
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.uri)?;
        if self.blocked {
            writeln!(f, "  blocked by the operator")?;
        }
        if self.quarantined {
            writeln!(f, "  in quarantine")?;
        }
        if let Some(uploader) = &self.uploader {
            writeln!(f, "  uploader  {uploader}")?;
        }
        writeln!(f, "  uploaded  {}", time(self.uploaded_ts))?;
        if let Some(content_type) = &self.content_type {
            writeln!(f, "  type      {content_type:?}")?;
        }
        if let Some(filename) = &self.filename {
            writeln!(f, "  name      {filename:?}")?;
        }
        write!(f, "  bytes     {}\n  sha256    {}", self.bytes, self.sha256)
    }
}

/// Hashes that are withheld, one a line.
pub(crate) fn write_withheld(f: &mut fmt::Formatter<'_>, withheld: &[WithheldLine]) -> fmt::Result {
    if withheld.is_empty() {
        return f.write_str("nothing is in quarantine");
    }
    lines(f, withheld, |f, line| write!(f, "{}  {}", time(line.since_ts), line.sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_as_they_are_written() {
        let hash: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 8).unwrap());
        assert_eq!(parse_hash(&hex(&hash)), Ok(hash));
        assert_eq!(parse_hash(&hex(&hash).to_uppercase()), Ok(hash));
        for text in ["", "00", &"g".repeat(64), &"0".repeat(65), &"é".repeat(32)] {
            assert!(parse_hash(text).is_err(), "{text}");
        }
    }

    #[test]
    fn files_are_named_by_uris() {
        assert!(parse_uri("mxc://example.org/abc").is_ok());
        for text in ["", "abc", "mxc://example.org", "mxc://example.org/a/b", "https://example.org/abc"] {
            assert!(parse_uri(text).is_err(), "{text}");
        }
    }
}
