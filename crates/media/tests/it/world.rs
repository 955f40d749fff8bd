//! Two tenants and their users.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use freehold_media::{
    BodyError, Download, DownloadError, FetchError, Fetched, FileNames, Form, Media, MediaId, MediaPolicy,
    MediaSettings, Origins, Outside, Part, Policies, UploadError, Wanted, WantedElsewhere,
};
use freehold_store::{Actor, BoxFuture, Clock, MemoryEngine, Store, Tenant, TenantNumber, UserNumber};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use ruma_common::{OwnedServerName, ServerName, UserId};

pub(crate) struct World {
    pub(crate) media: Media,
    pub(crate) objects: Arc<Recorded>,
    pub(crate) policies: Arc<TestPolicies>,
    pub(crate) origins: Arc<TestOrigins>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) store: Store,
}

#[derive(Default)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn set(&self, now_ts: i64) {
        self.0.store(now_ts, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ts(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(crate) struct TestPolicies(Mutex<BTreeMap<OwnedServerName, MediaPolicy>>);

impl TestPolicies {
    pub(crate) fn set(&self, tenant: &Tenant, policy: MediaPolicy) {
        self.0.lock().unwrap().insert(tenant.server_name().to_owned(), policy);
    }
}

impl Policies for TestPolicies {
    fn policy<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, MediaPolicy> {
        let policy = self.0.lock().unwrap().get(tenant.server_name()).cloned().unwrap_or_default();
        Box::pin(std::future::ready(policy))
    }

    fn reach<'a>(&'a self, _: &'a Tenant, server_name: &'a ServerName) -> BoxFuture<'a, Option<Tenant>> {
        let names = ["one.example", "two.example"];
        let known = names.contains(&server_name.as_str());
        Box::pin(std::future::ready(known.then(|| tenant(server_name.as_str()))))
    }
}

/// Other servers: what they have by media id, and what they were asked for, by whom.
#[derive(Default)]
pub(crate) struct TestOrigins(Mutex<OfOthers>);

#[derive(Default)]
struct OfOthers {
    files: BTreeMap<String, Result<TheirFile, FetchError>>,
    asked: Vec<String>,
    latency: Duration,
    denied: bool,
}

/// A file, and after how many bytes it breaks off.
#[derive(Clone)]
pub(crate) struct TheirFile {
    pub(crate) names: FileNames,
    pub(crate) bytes: Vec<u8>,
    pub(crate) breaks: bool,
}

impl TestOrigins {
    pub(crate) fn has(&self, media_id: &str, bytes: &[u8]) {
        self.gives(
            media_id,
            Ok(TheirFile { names: named("image/png", "p.png"), bytes: bytes.to_vec(), breaks: false }),
        );
    }

    pub(crate) fn gives(&self, media_id: &str, file: std::result::Result<TheirFile, FetchError>) {
        self.0.lock().unwrap().files.insert(media_id.to_owned(), file);
    }

    pub(crate) fn take_their_time(&self, latency: Duration) {
        self.0.lock().unwrap().latency = latency;
    }

    pub(crate) fn deny(&self) {
        self.0.lock().unwrap().denied = true;
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

impl Origins for TestOrigins {
    fn speak(&self, _: &Tenant, _: &ServerName) -> bool {
        !self.0.lock().unwrap().denied
    }

    fn fetch<'a>(
        &'a self,
        asker: &'a Tenant,
        wanted: WantedElsewhere<'a>,
    ) -> BoxFuture<'a, std::result::Result<Fetched, FetchError>> {
        Box::pin(async move {
            let form = if wanted.form == Form::Original { "file" } else { "thumbnail" };
            let (latency, file) = {
                let mut others = self.0.lock().unwrap();
                let note = format!("{} {form} {}", asker.server_name(), wanted.media_id);
                others.asked.push(note);
                let file = others.files.get(wanted.media_id.as_str());
                let thumbnail = others.files.get(&format!("{form} of {}", wanted.media_id));
                (others.latency, thumbnail.or(file).cloned())
            };
            tokio::time::sleep(latency).await;
            let file = file.unwrap_or(Err(FetchError::Unknown))?;
            let mut pieces: Vec<std::result::Result<Bytes, BodyError>> =
                file.bytes.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            if file.breaks {
                pieces.push(Err("connection reset".into()));
            }
            Ok(Fetched { names: file.names, chunks: Box::pin(stream::iter(pieces)) })
        })
    }
}

fn tenant(name: &str) -> Tenant {
    let number = TenantNumber(if name == "one.example" { 1 } else { 2 });
    Tenant::new(number, OwnedServerName::try_from(name).unwrap())
}

/// A user; the number is part of the name.
pub(crate) fn person(user_id: &str) -> Actor {
    let user_id = UserId::parse(user_id).unwrap();
    let user = UserNumber(user_id.as_str().bytes().map(u64::from).sum());
    Actor { tenant: tenant(user_id.server_name().as_str()), user_id, user, device: None }
}

/// A file in pieces.
pub(crate) fn body(bytes: &[u8]) -> impl Stream<Item = std::result::Result<Bytes, BodyError>> + Send + use<> {
    let pieces: Vec<_> = bytes.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

pub(crate) fn named(content_type: &str, filename: &str) -> FileNames {
    FileNames { content_type: Some(content_type.to_owned()), filename: Some(filename.to_owned()) }
}

impl World {
    pub(crate) async fn new() -> World {
        World::with(MediaSettings { part_bytes: 4096, ..MediaSettings::default() }).await
    }

    pub(crate) async fn with(settings: MediaSettings) -> World {
        let store = Store::open(Arc::new(MemoryEngine::new())).await.unwrap();
        let (objects, policies) = (Arc::new(Recorded::default()), Arc::new(TestPolicies::default()));
        let clock = Arc::new(TestClock::default());
        clock.set(1_700_000_000_000);
        let origins = Arc::new(TestOrigins::default());
        let outside = Outside { policies: policies.clone(), origins: origins.clone() };
        let media = Media::new(store.clone(), objects.clone(), outside, clock.clone(), settings);
        World { media, objects, policies, origins, clock, store }
    }

    pub(crate) async fn upload(&self, actor: &Actor, bytes: &[u8]) -> MediaId {
        self.try_upload(actor, bytes).await.unwrap()
    }

    pub(crate) async fn try_upload(
        &self,
        actor: &Actor,
        bytes: &[u8],
    ) -> std::result::Result<MediaId, UploadError> {
        self.media.upload(actor, FileNames::default(), body(bytes)).await
    }

    pub(crate) async fn download(
        &self,
        asker: &Actor,
        server_name: &str,
        media_id: &MediaId,
    ) -> std::result::Result<Vec<u8>, DownloadError> {
        let server_name = <&ServerName>::try_from(server_name).unwrap();
        let wanted = Wanted { tenant: &asker.tenant, server_name, media_id, wait_ms: 0 };
        Ok(all_of(self.media.download(wanted, Part::All).await?).await)
    }
}

pub(crate) async fn all_of(download: Download) -> Vec<u8> {
    let pieces: Vec<Bytes> = download.chunks.try_collect().await.unwrap();
    pieces.concat()
}

/// Bytes in memory, and a record of what was done with them; names are left out as they are random.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    inner: InMemory,
    record: Mutex<Vec<&'static str>>,
}

impl Recorded {
    fn note(&self, what: &'static str) {
        self.record.lock().unwrap().push(what);
    }

    pub(crate) fn take_record(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.record.lock().unwrap())
    }

    /// How many objects lie below a folder.
    pub(crate) async fn count(&self, folder: &str) -> usize {
        self.inner.list(Some(&Path::from(folder))).try_collect::<Vec<_>>().await.unwrap().len()
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl ObjectStore for Recorded {
    fn put_opts<'l, 'p, 'a>(
        &'l self,
        place: &'p Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> BoxFuture<'a, Result<PutResult>>
    where
        'l: 'a,
        'p: 'a,
        Self: 'a,
    {
        self.note("put");
        self.inner.put_opts(place, payload, options)
    }

    fn put_multipart_opts<'l, 'p, 'a>(
        &'l self,
        place: &'p Path,
        options: PutMultipartOptions,
    ) -> BoxFuture<'a, Result<Box<dyn MultipartUpload>>>
    where
        'l: 'a,
        'p: 'a,
        Self: 'a,
    {
        self.note("put parts");
        self.inner.put_multipart_opts(place, options)
    }

    fn get_opts<'l, 'p, 'a>(
        &'l self,
        place: &'p Path,
        options: GetOptions,
    ) -> BoxFuture<'a, Result<GetResult>>
    where
        'l: 'a,
        'p: 'a,
        Self: 'a,
    {
        self.note("get");
        self.inner.get_opts(place, options)
    }

    fn delete_stream(&self, places: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.note("delete");
        self.inner.delete_stream(places)
    }

    fn list(&self, below: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.note("list");
        self.inner.list(below)
    }

    fn list_with_delimiter<'l, 'p, 'a>(&'l self, below: Option<&'p Path>) -> BoxFuture<'a, Result<ListResult>>
    where
        'l: 'a,
        'p: 'a,
        Self: 'a,
    {
        self.note("list");
        self.inner.list_with_delimiter(below)
    }

    fn copy_opts<'l, 'p, 'q, 'a>(
        &'l self,
        from: &'p Path,
        to: &'q Path,
        options: CopyOptions,
    ) -> BoxFuture<'a, Result<()>>
    where
        'l: 'a,
        'p: 'a,
        'q: 'a,
        Self: 'a,
    {
        self.note("copy");
        self.inner.copy_opts(from, to, options)
    }

    fn rename_opts<'l, 'p, 'q, 'a>(
        &'l self,
        from: &'p Path,
        to: &'q Path,
        options: RenameOptions,
    ) -> BoxFuture<'a, Result<()>>
    where
        'l: 'a,
        'p: 'a,
        'q: 'a,
        Self: 'a,
    {
        self.note("rename");
        self.inner.rename_opts(from, to, options)
    }
}
