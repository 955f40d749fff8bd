//! Whether the bytes that are kept are those that were uploaded, and everything counted is right.

use std::collections::BTreeMap;

use freehold_store::tables::media::{
    BLOBS, BlobHash, BlobRow, MEDIA, MEDIA_USE, MediaContent, MediaUseRow, OTHERS_MEDIA, OTHERS_MEDIA_SUM,
};
use freehold_store::{ReadError, Snapshot, TenantNumber, UserNumber};
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::service::Media;

/// How many rows are read at a time.
const PAGE: usize = 500;
/// How many findings are listed; the others are counted.
const LISTED: usize = 1_000;

/// What a check of all media found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaCheck {
    /// How many blobs were read.
    pub blobs: u64,
    /// How many bytes those have.
    pub bytes: u64,
    /// How many things are wrong.
    pub faults: u64,
    /// The first of them.
    pub findings: Vec<MediaFinding>,
}

/// Something that is wrong with media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaFinding {
    /// The table whose row is wrong, or says what should be there.
    pub table: &'static str,
    /// What is wrong.
    pub fault: MediaFault,
}

/// What is wrong with media.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaFault {
    /// The bytes are not there, or cannot be read.
    #[error("bytes of {blob} cannot be read: {reason}")]
    Unreadable {
        /// Their SHA-256 in hexadecimal.
        blob: String,
        /// What the place where they lie says.
        reason: String,
    },
    /// The bytes are others.
    #[error("bytes of {blob} are others: {found}")]
    Digest {
        /// The SHA-256 that they should have, in hexadecimal.
        blob: String,
        /// The SHA-256 that they have.
        found: String,
    },
    /// There are more or fewer bytes than the row says.
    #[error("row says {said} bytes of {blob}, there are {found}")]
    Length {
        /// Their SHA-256 in hexadecimal.
        blob: String,
        /// How many the row says.
        said: u64,
        /// How many there are.
        found: u64,
    },
    /// The number of media ids behind which they are is wrong.
    #[error("row counts {said} media ids of {blob}, there are {counted}")]
    References {
        /// Their SHA-256 in hexadecimal.
        blob: String,
        /// How many the row says.
        said: u64,
        /// How many there are.
        counted: u64,
    },
    /// What a tenant keeps of other servers is counted wrong.
    #[error("tenant {tenant}: row says {said:?} of other servers, there is {counted:?}")]
    OthersSum {
        /// The tenant.
        tenant: TenantNumber,
        /// What the row says.
        said: MediaUseRow,
        /// What there is.
        counted: MediaUseRow,
    },
    /// What somebody has is counted wrong.
    #[error("tenant {tenant}, user {user:?}: row says {said:?}, there is {counted:?}")]
    Use {
        /// The tenant.
        tenant: TenantNumber,
        /// The user; `None` for the tenant as a whole.
        user: Option<UserNumber>,
        /// What the row says.
        said: MediaUseRow,
        /// What there is.
        counted: MediaUseRow,
    },
}

impl MediaCheck {
    fn report(&mut self, table: &'static str, fault: MediaFault) {
        self.faults += 1;
        if self.findings.len() < LISTED {
            self.findings.push(MediaFinding { table, fault });
        }
    }
}

/// What the media ids of a snapshot add up to.
#[derive(Default)]
struct Counted {
    references: BTreeMap<BlobHash, u64>,
    uses: BTreeMap<(TenantNumber, Option<UserNumber>), MediaUseRow>,
    of_others: BTreeMap<TenantNumber, MediaUseRow>,
}

impl Media {
    /// Reads all bytes that are kept, and counts what is counted. Takes some memory for each blob and each user with media.
    ///
    /// # Errors
    /// [`Failure`] when the store cannot be read; bytes that cannot be read are findings.
    pub async fn check(&self, snapshot: &Snapshot) -> Result<MediaCheck, Failure> {
        let mut check = MediaCheck::default();
        let mut counted = count(snapshot).await?;
        count_of_others(snapshot, &mut counted).await?;
        let mut after = None;
        loop {
            let page = snapshot.scan_after(&BLOBS, after.as_ref(), PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (hash, row) in page {
                let references = counted.references.remove(&hash).unwrap_or(0);
                if references != row.references {
                    let (blob, said) = (hex(&hash), row.references);
                    check.report("blobs", MediaFault::References { blob, said, counted: references });
                }
                self.check_bytes(&hash, &row, &mut check).await?;
            }
        }
        check_uses(snapshot, counted.uses, &mut check).await?;
        check_sums(snapshot, counted.of_others, &mut check).await?;
        Ok(check)
    }

    async fn check_bytes(
        &self,
        hash: &BlobHash,
        row: &BlobRow,
        check: &mut MediaCheck,
    ) -> Result<(), Failure> {
        let blob = hex(hash);
        match self.digest(hash).await {
            Ok((bytes, found)) => {
                (check.blobs, check.bytes) = (check.blobs + 1, check.bytes + bytes);
                if found != *hash {
                    let fault = MediaFault::Digest { blob: blob.clone(), found: hex(&found) };
                    check.report("blobs", fault);
                }
                if bytes != row.bytes {
                    check.report("blobs", MediaFault::Length { blob, said: row.bytes, found: bytes });
                }
            }
            Err(reason) => {
                // Whoever removed the file after the snapshot took the bytes with it.
                if self.0.store.snapshot()?.get(&BLOBS, hash).await?.is_some() {
                    check.report("blobs", MediaFault::Unreadable { blob, reason });
                }
            }
        }
        Ok(())
    }

    /// How many bytes are kept under a hash, and the hash that they have; a piece at a time.
    async fn digest(&self, hash: &BlobHash) -> Result<(u64, BlobHash), String> {
        let (mut sha, mut bytes) = (Sha256::new(), 0_u64);
        let length = self.0.blobs.length(hash).await.map_err(|error| error.to_string())?;
        let mut chunks = self.0.blobs.read(hash, 0..length).await.map_err(|error| error.to_string())?;
        while let Some(chunk) = chunks.try_next().await.map_err(|error| error.to_string())? {
            bytes += chunk.len() as u64;
            sha.update(&chunk);
        }
        Ok((bytes, sha.finalize().into()))
    }
}

async fn count(snapshot: &Snapshot) -> Result<Counted, ReadError> {
    let mut counted = Counted::default();
    let mut after = None;
    loop {
        let page = snapshot.scan_after(&MEDIA, after.as_ref(), PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(counted) };
        after = Some(last.clone());
        for ((tenant, _), row) in page {
            let MediaContent::Stored(stored) = row.content else { continue };
            *counted.references.entry(stored.blob).or_default() += 1;
            for owner in [None, Some(row.uploader)] {
                let sum = counted.uses.entry((tenant, owner)).or_default();
                *sum = MediaUseRow { files: sum.files + 1, bytes: sum.bytes + stored.bytes };
            }
        }
    }
}

async fn count_of_others(snapshot: &Snapshot, counted: &mut Counted) -> Result<(), ReadError> {
    let mut after = None;
    loop {
        let page = snapshot.scan_after(&OTHERS_MEDIA, after.as_ref(), PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        for ((tenant, ..), row) in page {
            *counted.references.entry(row.file.blob).or_default() += 1;
            let sum = counted.of_others.entry(tenant).or_default();
            *sum = MediaUseRow { files: sum.files + 1, bytes: sum.bytes + row.file.bytes };
        }
    }
}

async fn check_sums(
    snapshot: &Snapshot,
    mut counted: BTreeMap<TenantNumber, MediaUseRow>,
    check: &mut MediaCheck,
) -> Result<(), ReadError> {
    for (tenant, said) in snapshot.scan_after(&OTHERS_MEDIA_SUM, None, usize::MAX).await? {
        let counted = counted.remove(&tenant).unwrap_or_default();
        if said != counted {
            check.report("others_media_sum", MediaFault::OthersSum { tenant, said, counted });
        }
    }
    for (tenant, counted) in counted {
        let said = MediaUseRow::default();
        check.report("others_media_sum", MediaFault::OthersSum { tenant, said, counted });
    }
    Ok(())
}

async fn check_uses(
    snapshot: &Snapshot,
    mut counted: BTreeMap<(TenantNumber, Option<UserNumber>), MediaUseRow>,
    check: &mut MediaCheck,
) -> Result<(), ReadError> {
    let rows = snapshot.scan_after(&MEDIA_USE, None, usize::MAX).await?;
    for (key, said) in rows {
        let counted = counted.remove(&key).unwrap_or_default();
        if said != counted {
            check.report("media_use", MediaFault::Use { tenant: key.0, user: key.1, said, counted });
        }
    }
    for ((tenant, user), counted) in counted {
        let said = MediaUseRow::default();
        check.report("media_use", MediaFault::Use { tenant, user, said, counted });
    }
    Ok(())
}

fn hex(hash: &BlobHash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
