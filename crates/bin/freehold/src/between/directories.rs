//! The directories and spaces of other servers, as the client-server API asks for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_client_api::OtherDirectories;
use freehold_federation::{Client, Request};
use freehold_store::{BoxFuture, Tenant, TenantNumber};
use freehold_tenancy::Tenancy;
use ruma_common::{OwnedRoomId, OwnedServerName, RoomId, ServerName};
use tokio::time::Instant;

/// What other servers list, those of neighbours too.
pub(crate) struct DirectoriesOfOthers {
    pub(crate) tenancy: Tenancy,
    pub(crate) client: Client,
    pub(crate) spaces: Spaces,
}

/// What other servers told tenants of spaces lately.
pub(crate) type Spaces =
    Arc<Mutex<BTreeMap<(TenantNumber, OwnedServerName, OwnedRoomId), (Instant, String)>>>;

/// For how long it is believed: "Responses to this endpoint should be cached for a period of time".
const SPACE_AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// How many answers are remembered.
const SPACES_MAX: usize = 256;
/// How many bytes such an answer may have.
const SPACE_BYTES_MAX: usize = 1024 * 1024;

/// How long a person waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

impl OtherDirectories for DirectoriesOfOthers {
    fn neighbour(&self, asker: &Tenant, server: &ServerName) -> Option<Tenant> {
        self.tenancy.reach(asker, server)
    }

    fn public_rooms<'a>(
        &'a self,
        asker: &'a Tenant,
        server: &'a ServerName,
        wanted: String,
    ) -> BoxFuture<'a, Option<String>> {
        let request = Request::post("/_matrix/federation/v1/publicRooms", wanted).within(PATIENCE).at_once();
        Box::pin(async move {
            match self.client.request(asker, server, request).await {
                Ok(answer) => String::from_utf8(answer.body.into()).ok(),
                Err(error) => {
                    tracing::debug!(%server, %error, "a directory is not had");
                    None
                }
            }
        })
    }

    fn hierarchy<'a>(
        &'a self,
        asker: &'a Tenant,
        server: &'a ServerName,
        room_id: &'a RoomId,
    ) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move {
            let key = (asker.number(), server.to_owned(), room_id.to_owned());
            if let Some((told, answer)) = lock(&self.spaces).get(&key)
                && told.elapsed() < SPACE_AGE_MAX
            {
                return Some(answer.clone());
            }
            let path = format!("/_matrix/federation/v1/hierarchy/{}", encoded(room_id));
            let request = Request::get(path).within(PATIENCE / 2).up_to(SPACE_BYTES_MAX).at_once();
            let answer = self.client.request(asker, server, request).await.ok()?;
            let answer = String::from_utf8(answer.body.into()).ok()?;
            let mut spaces = lock(&self.spaces);
            spaces.retain(|_, (told, _)| told.elapsed() < SPACE_AGE_MAX);
            if spaces.len() < SPACES_MAX {
                spaces.insert(key, (Instant::now(), answer.clone()));
            }
            Some(answer)
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A room id in a path.
fn encoded(room_id: &RoomId) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    room_id.as_str().bytes().map(encode).collect()
}
