//! What users of other servers are called, as their servers say.

use std::sync::Arc;

use freehold_store::{Tenant, TenantNumber};
use ruma_common::{OwnedUserId, UserId};
use serde_json::{Map, Value};

use super::BadAnswer;
use crate::cache::Cache;
use crate::error::ActionError;
use crate::limits::{PROFILE_AGE_MAX_MS, PROFILE_BYTES_MAX, PROFILES_BYTES};
use crate::rooms::Rooms;

/// Profiles as other servers gave them to tenants, with the time until which they are believed.
pub(crate) type RemoteProfiles = Cache<(TenantNumber, OwnedUserId), (Arc<Map<String, Value>>, i64)>;

/// An empty memory of profiles.
pub(crate) fn remote_profiles() -> RemoteProfiles {
    Cache::new(PROFILES_BYTES)
}

impl Rooms {
    /// The profile of a user of another server
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile>), remembered for some
    /// minutes; `None` when the server is hosted here.
    ///
    /// # Errors
    /// [`ActionError::Refused`], [`ActionError::BadAnswer`]; [`ActionError::NotReached`] when the tenant does not speak with
    /// the server.
    pub async fn profile_elsewhere(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
    ) -> Result<Option<Arc<Map<String, Value>>>, ActionError> {
        if !self.is_foreign(user_id) {
            return Ok(None);
        }
        let server = user_id.server_name();
        if !self.0.outside.identities.speak(tenant, server) {
            return Err(ActionError::NotReached(server.to_owned()));
        }
        let key = (tenant.number(), user_id.to_owned());
        if let Some((profile, until)) = self.0.profiles.get(&key)
            && self.now_ts() < until
        {
            return Ok(Some(profile));
        }
        let answer = self.0.outside.remote.profile(tenant, server, user_id).await;
        let profile = answer.map_err(|answer| ActionError::Refused { server: server.to_owned(), answer })?;
        let bytes = Value::from(profile.clone()).to_string().len();
        if bytes > PROFILE_BYTES_MAX {
            let source = BadAnswer::TooLarge { what: "bytes", limit: PROFILE_BYTES_MAX as u64 };
            return Err(ActionError::BadAnswer { server: server.to_owned(), source });
        }
        let profile = Arc::new(profile);
        let until = self.now_ts().saturating_add(PROFILE_AGE_MAX_MS);
        self.0.profiles.put(key, (Arc::clone(&profile), until), bytes.saturating_mul(3) + 256);
        Ok(Some(profile))
    }
}
