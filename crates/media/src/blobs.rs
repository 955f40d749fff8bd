//! Where the bytes lie: each once, under its SHA-256.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use freehold_store::TenantNumber;
use freehold_store::tables::media::BlobHash;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use ruma_common::ServerName;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, MutexGuard};

use crate::failure::{BodyError, Failure};
use crate::media_id::MediaId;
use crate::upload::UploadError;

/// Bytes of a file, piece by piece.
pub type Chunks = BoxStream<'static, Result<Bytes, BodyError>>;

/// A file that came, and waits to be kept or dropped.
pub(crate) struct Arrived {
    place: Path,
    pub(crate) hash: BlobHash,
    pub(crate) bytes: u64,
}

pub(crate) struct Blobs {
    objects: Arc<dyn ObjectStore>,
    part_bytes: usize,
    /// Whoever keeps or removes bytes holds the lock of their hash, so that none are removed while they are kept anew.
    locks: [Mutex<()>; 64],
}

/// Bytes that came lie here until it is known what they are.
pub(crate) const ARRIVALS: &str = "arrivals";
pub(crate) const BLOBS: &str = "blobs";
const THUMBNAILS: &str = "thumbnails";
const OTHERS_THUMBNAILS: &str = "thumbnails-of-others";

impl Blobs {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, part_bytes: usize) -> Self {
        Blobs { objects, part_bytes: part_bytes.max(1), locks: std::array::from_fn(|_| Mutex::new(())) }
    }

    pub(crate) fn objects(&self) -> &dyn ObjectStore {
        &*self.objects
    }

    pub(crate) async fn lock(&self, hash: &BlobHash) -> Option<MutexGuard<'_, ()>> {
        let lock = self.locks.get(usize::from(hash.first()? % 64))?;
        Some(lock.lock().await)
    }

    /// Takes a file in, up to `most` bytes. It goes this way whether its bytes are known or not.
    pub(crate) async fn take_in(
        &self,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
        most: u64,
    ) -> Result<Arrived, UploadError> {
        let place = Path::from_iter([ARRIVALS, MediaId::random()?.as_str()]);
        let mut upload = self.objects.put_multipart(&place).await.map_err(Failure::from)?;
        match self.receive(&mut *upload, std::pin::pin!(body), most).await {
            Ok((hash, bytes)) => {
                upload.complete().await.map_err(Failure::from)?;
                Ok(Arrived { place, hash, bytes })
            }
            Err(error) => {
                // What is left of it is swept away later.
                upload.abort().await.ok();
                Err(error)
            }
        }
    }

    async fn receive(
        &self,
        upload: &mut dyn MultipartUpload,
        mut body: Pin<&mut (impl Stream<Item = Result<Bytes, BodyError>> + Send)>,
        most: u64,
    ) -> Result<(BlobHash, u64), UploadError> {
        let (mut sha, mut total, mut part, mut parted) = (Sha256::new(), 0_u64, Vec::new(), 0_usize);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(UploadError::Body)?;
            total = total.saturating_add(chunk.len() as u64);
            if total > most {
                return Err(UploadError::TooLarge { most });
            }
            sha.update(&chunk);
            parted += chunk.len();
            part.push(chunk);
            if parted >= self.part_bytes {
                parted = 0;
                upload.put_part(PutPayload::from_iter(part.drain(..))).await.map_err(Failure::from)?;
            }
        }
        // The last part may be of any size; an empty file is one empty part.
        if parted > 0 || total == 0 {
            upload.put_part(PutPayload::from_iter(part)).await.map_err(Failure::from)?;
        }
        Ok((sha.finalize().into(), total))
    }

    /// Puts a file that came where its bytes are kept, over the same bytes if they are.
    pub(crate) async fn keep(&self, arrived: &Arrived) -> Result<(), Failure> {
        Ok(self.objects.rename(&arrived.place, &place_of(&arrived.hash)).await?)
    }

    /// Drops a file that came.
    pub(crate) async fn drop_arrived(&self, arrived: &Arrived) {
        // What is left of it is swept away later.
        self.objects.delete(&arrived.place).await.ok();
    }

    /// Removes bytes that nobody has any more.
    pub(crate) async fn remove(&self, hash: &BlobHash) -> Result<(), Failure> {
        match self.objects.delete(&place_of(hash)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A part of the bytes, as they are read.
    pub(crate) async fn read(&self, hash: &BlobHash, range: Range<u64>) -> Result<Chunks, Failure> {
        // Stores refuse ranges without bytes.
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = self.objects.get_opts(&place_of(hash), options).await?;
        Ok(found.into_stream().map_err(BodyError::from).boxed())
    }

    /// How many bytes are kept under a hash.
    pub(crate) async fn length(&self, hash: &BlobHash) -> Result<u64, Failure> {
        Ok(self.objects.head(&place_of(hash)).await?.size)
    }

    /// All of the bytes.
    pub(crate) async fn read_all(&self, hash: &BlobHash) -> Result<Bytes, Failure> {
        Ok(self.objects.get(&place_of(hash)).await?.bytes().await?)
    }

    pub(crate) async fn thumbnail(&self, place: &Path) -> Result<Option<Bytes>, Failure> {
        match self.objects.get(place).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn keep_thumbnail(&self, place: &Path, bytes: Bytes) -> Result<(), Failure> {
        self.objects.put(place, bytes.into()).await?;
        Ok(())
    }

    /// Removes everything in a folder: what was made of a file.
    pub(crate) async fn remove_below(&self, folder: &Path) -> Result<(), Failure> {
        let found: Vec<_> = self.objects.list(Some(folder)).try_collect().await?;
        for thumbnail in found {
            self.objects.delete(&thumbnail.location).await?;
        }
        Ok(())
    }
}

/// Where bytes are kept. Two levels, because directories with a million files are slow.
pub(crate) fn place_of(hash: &BlobHash) -> Path {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let (folder, name) = hex.split_at(2);
    Path::from_iter([BLOBS, folder, name])
}

/// Which bytes are kept at a place.
pub(crate) fn hash_at(place: &Path) -> Option<BlobHash> {
    let rest = place.as_ref().strip_prefix(BLOBS)?.strip_prefix('/')?;
    let hex: Vec<u8> = rest.bytes().filter(|byte| *byte != b'/').collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> = hex
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}

pub(crate) fn thumbnails_of(tenant: TenantNumber, media_id: &MediaId) -> Path {
    Path::from_iter([THUMBNAILS, &tenant.to_string(), media_id.as_str()])
}

/// In a folder of their own: the name of a server may look like a media id.
pub(crate) fn thumbnails_of_others(
    tenant: TenantNumber,
    server_name: &ServerName,
    media_id: &MediaId,
) -> Path {
    Path::from_iter([OTHERS_THUMBNAILS, &tenant.to_string(), server_name.as_str(), media_id.as_str()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CVE-2021-41281: the names that other servers gave files led out of the folder for them.
    #[test]
    fn cve_2021_41281_no_name_of_a_server_leads_out_of_its_folder() {
        let media_id = MediaId::parse("a").unwrap();
        for name in ["..", ".", "a..b", "...", "[::1]:1", "one.example:8448"] {
            let Ok(server_name) = ServerName::parse(name) else { continue };
            let place = thumbnails_of_others(TenantNumber(1), &server_name, &media_id);
            let parts: Vec<_> = place.parts().map(|part| part.as_ref().to_owned()).collect();
            assert_eq!(parts.len(), 4, "{name}: {place}");
            assert!(parts.iter().all(|part| part != "." && part != ".."), "{name}: {place}");
        }
    }

    #[test]
    fn places_and_hashes_are_two_names_for_one_thing() {
        let hash: BlobHash = std::array::from_fn(|i| u8::try_from(i * 7 % 256).unwrap());
        assert_eq!(hash_at(&place_of(&hash)), Some(hash));
        for other in ["blobs/00", "blobs/00/zz", "arrivals/x", "blobsx/00"] {
            assert_eq!(hash_at(&Path::from(other)), None);
        }
    }
}
