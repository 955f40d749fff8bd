//! What users call themselves, as rooms ask for it.

use freehold_rooms::Profiles;
use freehold_store::tables::accounts::PROFILES;
use freehold_store::{BoxFuture, ReadError, Store, Tenant};
use ruma_common::UserId;
use serde_json::{Map, Value};

/// The profiles that accounts keep, for member events.
pub(crate) struct ProfilesOfAccounts(pub(crate) Store);

/// The fields of a profile that member events show (<https://spec.matrix.org/v1.19/client-server-api/#mroommember>).
const SHOWN: [&str; 2] = ["displayname", "avatar_url"];

impl Profiles for ProfilesOfAccounts {
    fn member_profile<'a>(
        &'a self,
        tenant: &'a Tenant,
        user_id: &'a UserId,
    ) -> BoxFuture<'a, Map<String, Value>> {
        Box::pin(async move {
            if !tenant.owns(user_id) {
                return Map::new();
            }
            self.read(user_id).await.unwrap_or_else(|error| {
                // A member event without a name is better than none.
                tracing::error!(%error, "a profile cannot be read");
                Map::new()
            })
        })
    }
}

impl ProfilesOfAccounts {
    async fn read(&self, user_id: &UserId) -> Result<Map<String, Value>, ReadError> {
        let snapshot = self.0.snapshot()?;
        let Some(user) = snapshot.number_of(&user_id.to_owned()).await? else { return Ok(Map::new()) };
        let row = snapshot.get(&PROFILES, &user).await?.unwrap_or_default();
        let shown = row.fields.into_iter().filter(|(name, _)| SHOWN.contains(&name.as_str()));
        Ok(shown.filter_map(|(name, text)| Some((name, serde_json::from_str(&text).ok()?))).collect())
    }
}
