//! What a tenant has settled for itself: who may register, on which terms, with which features and bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_event::RoomVersion;
use freehold_store::tables::tenancy::POLICIES;
use freehold_store::{Batch, CommitError, ReadError, Tenant, TenantNumber};
use ruma_common::{OwnedUserId, RoomVersionId, ServerName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use freehold_store::tables::tenancy::Control;

use crate::audit::{self, Act, By};
use crate::federation::Federation;
use crate::tenancy::{Tenancy, TenancyError};

/// The settings of one tenant, kept as a JSON document in which unknown members are an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Who may make accounts.
    pub registration: Registration,
    /// Documents to which people consent before they have an account, by name (`privacy_policy`).
    pub terms: BTreeMap<String, Document>,
    /// Features that the tenant does not want. `federation`: it speaks with no other server, also not with those of this
    /// process. `media`: its users upload nothing. `encryption`: its users do not switch on encryption in rooms.
    /// `directory`: its directory of rooms is empty. `room_creation`: its users create no rooms. `presence`: nobody learns
    /// whether its users are online, nor do they of others.
    pub features_off: BTreeSet<String>,
    /// How long things are kept.
    pub retention: Retention,
    /// How much there may be of everything.
    pub quotas: Quotas,
    /// What becomes of files.
    pub media: Media,
    /// With which servers it speaks.
    pub federation: Federation,
    /// The version of rooms for which nobody asked for another; without one, the server's default.
    pub default_room_version: Option<RoomVersionId>,
    /// Whom people can ask for help: `/.well-known/matrix/support`.
    pub support: Support,
    /// The tenant's own administrators, who are users of it.
    pub admins: BTreeSet<OwnedUserId>,
}

/// Who may make accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// Who.
    pub mode: RegistrationMode,
    /// The secret with which tools make accounts through `/_synapse/admin/v1/register`; without one, they cannot.
    pub shared_secret: Option<String>,
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationMode {
    /// Nobody.
    #[default]
    Closed,
    /// Who has a registration token.
    Tokens,
    /// Whom a user of the tenant invited.
    Invitation,
    /// Everybody.
    Open,
}

/// A document to which people consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Its version; consent to one version is none to another.
    pub version: String,
    /// Whether people who did not accept this version go on only after they do. Without it, who has an account is not asked again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Its name and address in each language, as `m.login.terms` has them
    /// (<https://spec.matrix.org/v1.19/client-server-api/#terms-of-service-at-registration>).
    pub languages: BTreeMap<String, Translation>,
}

/// A document in one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Translation {
    /// What it is called.
    pub name: String,
    /// Where it can be read.
    pub url: String,
}

/// How long things are kept, in milliseconds; without a number, for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// For how long messages are shown to the tenant's users, from their `origin_server_ts` on, in all rooms and whoever
    /// sent them. State is shown for ever. Rooms are kept once for everybody who is in them: a message is taken from the store
    /// when all tenants with users in the room keep it no longer.
    pub messages_ms: Option<u64>,
    /// Whether messages of rooms that say of themselves how long their messages are to be kept (`max_lifetime` in
    /// `m.room.retention`, [MSC1763](https://github.com/matrix-org/matrix-spec-proposals/pull/1763)) are kept no longer than that.
    pub follow_rooms: bool,
}

/// What becomes of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// Most bytes of a file; never more than the server takes.
    pub file_bytes: Option<u64>,
    /// Most bytes of a file that is fetched from another server; never more than the server takes.
    pub others_file_bytes: Option<u64>,
    /// Most bytes of all files of other servers that are kept; what was not asked for the longest goes first.
    pub others_bytes: Option<u64>,
    /// Files uploaded before this time, in milliseconds since the Unix epoch, are given also to who does not authenticate,
    /// as old clients do; without it, none are
    /// (<https://spec.matrix.org/v1.19/client-server-api/#content-repo-client-behaviour>).
    pub open_before_ts: Option<i64>,
}

/// How much a tenant may have; without a number, as much as the server can take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Accounts.
    pub users: Option<u64>,
    /// Bytes of media uploaded.
    pub media_bytes: Option<u64>,
    /// Bytes of media uploaded by each of its users.
    pub media_bytes_per_user: Option<u64>,
    /// Rooms made by its users.
    pub rooms: Option<u64>,
    /// Requests in each second in the long run, over all its users, and ten times as many at once; never more than the
    /// server allows each tenant.
    pub requests_per_second: Option<u32>,
}

/// Whom people can ask for help (<https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixsupport>).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Support {
    /// People.
    pub contacts: Vec<Contact>,
    /// A page.
    pub page: Option<String>,
}

/// Somebody whom people can ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// `m.role.admin`, `m.role.security`, or another.
    pub role: String,
    /// A Matrix user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix_id: Option<OwnedUserId>,
    /// An e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_address: Option<String>,
}

impl Policy {
    /// What a tenant has that has settled nothing: for a development tenant, everybody may register.
    pub fn default_for(control: Control) -> Self {
        let mode = match control {
            Control::Development => RegistrationMode::Open,
            Control::Proved | Control::Vouched => RegistrationMode::Closed,
        };
        Policy { registration: Registration { mode, shared_secret: None }, ..Policy::default() }
    }

    /// The policy with the members of a JSON object merged in: `null` removes a member (RFC 7396).
    ///
    /// # Errors
    /// [`PolicyError::Malformed`], naming the member.
    pub fn merged(&self, patch: &Value) -> Result<Self, PolicyError> {
        let mut document = serde_json::to_value(self).map_err(PolicyError::malformed)?;
        merge(&mut document, patch);
        serde_path_to_error::deserialize(document).map_err(|error| PolicyError::Malformed {
            member: error.path().to_string(),
            source: error.into_inner(),
        })
    }

    /// With which servers the tenant speaks, if not with all.
    pub(crate) fn limited_federation(&self) -> Option<Federation> {
        let nobody = || Federation { deny: BTreeSet::from(["*".to_owned()]), ..Federation::default() };
        match self.features_off.contains("federation") {
            true => Some(nobody()),
            false => Some(self.federation.clone()).filter(|federation| *federation != Federation::default()),
        }
    }

    /// The policy as the tenant's administrators may see it: without the shared secret.
    pub fn without_secrets(&self) -> Value {
        let mut document = json!(self);
        if let Some(secret) = document.pointer_mut("/registration/shared_secret")
            && !secret.is_null()
        {
            *secret = json!("(set)");
        }
        document
    }

    /// The first policy of a tenant that is to be: a JSON object merged into the default.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub(crate) fn first(
        patch: &Value,
        (control, server_name): (Control, &ServerName),
    ) -> Result<Self, PolicyError> {
        let policy = Policy::default_for(control).merged(patch)?;
        policy.check(server_name)?;
        Ok(policy)
    }

    /// The document as it is stored.
    ///
    /// # Errors
    /// [`PolicyError::Malformed`]; does not happen.
    pub(crate) fn to_text(&self) -> Result<String, PolicyError> {
        serde_json::to_string(self).map_err(PolicyError::malformed)
    }

    fn check(&self, server_name: &ServerName) -> Result<(), PolicyError> {
        if let Some(user) = self.admins.iter().find(|user| user.server_name() != server_name) {
            return Err(PolicyError::ForeignAdmin { user: user.clone() });
        }
        let version = self.default_room_version.as_ref();
        if let Some(version) = version.filter(|version| RoomVersion::find(version.as_str()).is_none()) {
            return Err(PolicyError::UnknownVersion { version: version.clone() });
        }
        if self.registration.shared_secret.as_ref().is_some_and(|secret| secret.len() < SECRET_BYTES_MIN) {
            return Err(PolicyError::ShortSecret);
        }
        match self.features_off.iter().find(|feature| !FEATURES.contains(&feature.as_str())) {
            Some(feature) => Err(PolicyError::UnknownFeature { feature: feature.clone() }),
            None => Ok(()),
        }
    }
}

const SECRET_BYTES_MIN: usize = 16;
const FEATURES: [&str; 6] = ["federation", "media", "encryption", "directory", "room_creation", "presence"];

impl Tenancy {
    /// The policy of a tenant.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub async fn policy(&self, tenant: &Tenant) -> Result<Arc<Policy>, PolicyError> {
        let number = tenant.number();
        let (control, has_policy) = {
            let index = self.index();
            let entry = index.get(number).ok_or_else(|| TenancyError::unknown(tenant.server_name()))?;
            (entry.control, entry.has_policy)
        };
        if !has_policy {
            return Ok(self.policies().default_for(control));
        }
        if let Some(policy) = self.policies().get(number) {
            return Ok(policy);
        }
        // So that a change does not come between reading the policy and keeping it.
        let _changing = self.changing().await;
        let policy = Arc::new(self.read_policy(number, control).await?);
        self.policies().insert(number, policy.clone());
        Ok(policy)
    }

    /// The policy of a tenant, if it need not be read from the store: after [`Tenancy::policy`] it is there for a
    /// while.
    pub fn policy_in_memory(&self, tenant: &Tenant) -> Option<Arc<Policy>> {
        let (control, has_policy) =
            self.index().get(tenant.number()).map(|entry| (entry.control, entry.has_policy))?;
        if has_policy {
            self.policies().get(tenant.number())
        } else {
            Some(self.policies().default_for(control))
        }
    }

    /// Changes the policy of a tenant by merging a JSON object into it, and returns what it is now.
    ///
    /// # Errors
    /// [`PolicyError`]; nothing was changed.
    pub async fn change_policy(
        &self,
        tenant: &Tenant,
        patch: &Value,
        by: &By,
    ) -> Result<Arc<Policy>, PolicyError> {
        let number = tenant.number();
        let _changing = self.changing().await;
        let control = self.index().get(number).map(|entry| entry.control);
        let control = control.ok_or_else(|| TenancyError::unknown(tenant.server_name()))?;
        let before = self.read_policy(number, control).await?;
        let policy = before.merged(patch)?;
        policy.check(tenant.server_name())?;
        let mut batch = Batch::new();
        batch.put(&POLICIES, &number, &policy.to_text()?);
        let details = json!({ "set": without_secret_of(patch) });
        audit::record(&mut batch, Some(number), &Act { by, name: "tenant policy", details }, self.now_ts());
        self.store().commit(batch).await?;
        self.index_mut().set_policy(number, &policy);
        let policy = Arc::new(policy);
        self.policies().insert(number, policy.clone());
        Ok(policy)
    }

    async fn read_policy(&self, number: TenantNumber, control: Control) -> Result<Policy, PolicyError> {
        match self.store().snapshot()?.get(&POLICIES, &number).await? {
            Some(text) => serde_json::from_str(&text).map_err(PolicyError::malformed),
            None => Ok(Policy::default_for(control)),
        }
    }
}

/// The policies of tenants in which something happened lately: two generations, so that what was used just now is
/// never dropped.
#[derive(Debug, Default)]
pub(crate) struct PolicyCache {
    generations: Mutex<Generations>,
    defaults: Mutex<BTreeMap<Control, Arc<Policy>>>,
}

#[derive(Debug, Default)]
struct Generations {
    young: BTreeMap<TenantNumber, Arc<Policy>>,
    old: BTreeMap<TenantNumber, Arc<Policy>>,
}

/// Policies in each generation.
const GENERATION: usize = 512;

impl PolicyCache {
    fn get(&self, number: TenantNumber) -> Option<Arc<Policy>> {
        let mut generations = lock(&self.generations);
        if let Some(policy) = generations.young.get(&number) {
            return Some(policy.clone());
        }
        let policy = generations.old.remove(&number)?;
        generations.insert(number, policy.clone());
        Some(policy)
    }

    fn insert(&self, number: TenantNumber, policy: Arc<Policy>) {
        lock(&self.generations).insert(number, policy);
    }

    fn default_for(&self, control: Control) -> Arc<Policy> {
        let mut defaults = lock(&self.defaults);
        defaults.entry(control).or_insert_with(|| Arc::new(Policy::default_for(control))).clone()
    }
}

impl Generations {
    fn insert(&mut self, number: TenantNumber, policy: Arc<Policy>) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&number) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&number);
        self.young.insert(number, policy);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// <https://www.rfc-editor.org/rfc/rfc7396#section-2>
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (name, value) in members {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

pub(crate) fn without_secret_of(patch: &Value) -> Value {
    let mut patch = patch.clone();
    if let Some(secret) = patch.pointer_mut("/registration/shared_secret") {
        *secret = json!("(hidden)");
    }
    patch
}

/// Why a policy was not read or changed.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// The document is none, or has a member that policies do not have.
    #[error("policy: {member}: {source}")]
    Malformed {
        /// The member, as `registration.mode`; `.` if it is the whole.
        member: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An administrator must be a user of the tenant.
    #[error("`{user}` is not a user of the tenant, and cannot administer it")]
    ForeignAdmin {
        /// The user.
        user: OwnedUserId,
    },
    /// A secret that can be guessed.
    #[error("registration.shared_secret must have at least {SECRET_BYTES_MIN} bytes")]
    ShortSecret,
    /// There is no such feature.
    #[error("features_off: there is no feature `{feature}`; there are {}", FEATURES.join(", "))]
    UnknownFeature {
        /// What was given.
        feature: String,
    },
    /// Rooms of this version cannot be made.
    #[error("default_room_version: there is no room version `{version}`")]
    UnknownVersion {
        /// What was given.
        version: RoomVersionId,
    },
    /// There is no such tenant, or the store failed.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
}

impl PolicyError {
    fn malformed(source: serde_json::Error) -> Self {
        PolicyError::Malformed { member: "the document".to_owned(), source }
    }
}

impl From<ReadError> for PolicyError {
    fn from(error: ReadError) -> Self {
        PolicyError::Tenancy(error.into())
    }
}

impl From<CommitError> for PolicyError {
    fn from(error: CommitError) -> Self {
        PolicyError::Tenancy(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_null_takes_back() {
        let policy = Policy::default();
        let patch = json!({ "registration": { "mode": "tokens" }, "quotas": { "users": 5 } });
        let changed = policy.merged(&patch).unwrap();
        assert_eq!(changed.registration.mode, RegistrationMode::Tokens);
        assert_eq!(changed.quotas.users, Some(5));
        assert_eq!(
            changed.merged(&json!({ "registration": null, "quotas": { "users": null } })).unwrap(),
            policy
        );
    }

    #[test]
    fn a_member_that_policies_do_not_have_is_named() {
        let error = Policy::default().merged(&json!({ "quotas": { "cats": 3 } })).unwrap_err();
        assert!(error.to_string().contains("`cats`"), "{error}");
    }

    #[test]
    fn shown_policies_hold_no_secret() {
        let patch = json!({ "registration": { "shared_secret": "0123456789abcdef-secret" } });
        let policy = Policy::default().merged(&patch).unwrap();
        assert!(!policy.without_secrets().to_string().contains("abcdef"));
        assert!(!without_secret_of(&patch).to_string().contains("abcdef"));
    }
}
