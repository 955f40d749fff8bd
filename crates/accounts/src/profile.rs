//! Profiles (<https://spec.matrix.org/v1.19/client-server-api/#profiles>).

use freehold_store::tables::accounts::{ACCOUNTS, MemberJob, PROFILES, ProfileRow};
use freehold_store::{Actor, Batch, ReadError, Tenant};
use ruma_common::{MxcUri, ServerName, UserId};
use serde_json::{Map, Value};

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::failure::{ServerFailure, server_failures};

const DISPLAYNAME: &str = "displayname";
const AVATAR_URL: &str = "avatar_url";

/// Bytes of all fields of a profile with their names.
const PROFILE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of the name of a field.
const NAME_BYTES_MAX: usize = 255;
/// Characters of a display name, as in Synapse; it goes into member events.
const DISPLAYNAME_CHARACTERS_MAX: usize = 256;
/// Characters of an avatar URL, as in Synapse.
const AVATAR_URL_CHARACTERS_MAX: usize = 1000;

/// Why there is no such profile, or why it cannot be so.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is no such user, or no such field.
    #[error("profile not found")]
    NotFound,
    /// The name of the field is not of the grammar.
    #[error("not the name of a profile field")]
    Name,
    /// The name of the field is too long.
    #[error("name of the profile field has {0} bytes; 255 are allowed")]
    NameTooLong(usize),
    /// The value is not what this field can have.
    #[error("`{field}`: {reason}")]
    Value {
        /// The field.
        field: &'static str,
        /// What it can have.
        reason: &'static str,
    },
    /// The profile would be too large.
    #[error("profile would have {0} bytes; 65536 are too many")]
    TooLarge(usize),
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(ProfileError);

impl Accounts {
    /// Whether a tenant can ask for profiles of users of a server; see [`Policies::reaches`](crate::Policies::reaches).
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn reaches(&self, tenant: &Tenant, server_name: &ServerName) -> Result<bool, ServerFailure> {
        self.0.given.policies.reaches(tenant, server_name).await
    }

    /// The profile of a user of a tenant of this process: values by names, in the order of names.
    ///
    /// # Errors
    /// [`ProfileError::NotFound`] also for users who gave their account up.
    pub async fn profile(&self, user_id: &UserId) -> Result<Map<String, Value>, ProfileError> {
        let snapshot = self.store().snapshot()?;
        let (user, account) = self.account_of(&snapshot, user_id).await?.ok_or(ProfileError::NotFound)?;
        if account.deactivated.is_some() {
            return Err(ProfileError::NotFound);
        }
        let row = snapshot.get(&PROFILES, &user).await?.unwrap_or_default();
        Ok(row
            .fields
            .iter()
            .map(|(name, json)| Ok((name.clone(), read_value(json)?)))
            .collect::<Result<_, ServerFailure>>()?)
    }

    /// What of a profile goes into member events: `displayname` and `avatar_url`, as far as they are set.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn member_profile(&self, user_id: &UserId) -> Result<Map<String, Value>, ReadError> {
        let snapshot = self.store().snapshot()?;
        let Some((user, _)) = self.account_of(&snapshot, user_id).await? else { return Ok(Map::new()) };
        let row = snapshot.get(&PROFILES, &user).await?.unwrap_or_default();
        let shown = row.fields.iter().filter(|(name, _)| is_in_member_events(name));
        Ok(shown.filter_map(|(name, json)| Some((name.clone(), read_value(json).ok()?))).collect())
    }

    /// Sets a field of the actor's profile, or removes it. Rooms show a new name or avatar soon after.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub async fn set_profile_field(
        &self,
        actor: &Actor,
        name: &str,
        value: Option<Value>,
    ) -> Result<(), ProfileError> {
        check_name(name)?;
        let json = match value {
            Some(value) => check_value(name, value)?.map(|value| value.to_string()),
            None => None,
        };
        let mut attempts = Attempts::default();
        loop {
            let snapshot = self.store().snapshot()?;
            let old = snapshot.get(&PROFILES, &actor.user).await?;
            let new = self.changed(old.clone().unwrap_or_default(), name, json.as_deref())?;
            if old.as_ref() == Some(&new) {
                return Ok(());
            }
            let mut batch = Batch::new();
            batch.expect_present(&ACCOUNTS, &actor.user);
            batch.expect_unchanged(&PROFILES, &actor.user, old.as_ref());
            batch.put(&PROFILES, &actor.user, &new);
            if is_in_member_events(name) {
                Self::ask_for_member_job(actor.user, MemberJob::Profile, &mut batch);
            }
            if attempts.commit(self.store(), batch).await?.is_some() {
                self.0.member_jobs.notify_one();
                return Ok(());
            }
        }
    }

    fn changed(
        &self,
        mut row: ProfileRow,
        name: &str,
        json: Option<&str>,
    ) -> Result<ProfileRow, ProfileError> {
        row.fields.retain(|(other, _)| other != name);
        if let Some(json) = json {
            let place = row.fields.partition_point(|(other, _)| other.as_str() < name);
            row.fields.insert(place, (name.to_owned(), json.to_owned()));
        }
        let bytes = row.fields.iter().map(|(name, json)| name.len() + json.len() + "\"\":,".len()).sum();
        if bytes >= PROFILE_BYTES_MAX || row.fields.len() > self.limits().profile_fields {
            return Err(ProfileError::TooLarge(bytes));
        }
        Ok(row)
    }
}

fn read_value(json: &str) -> Result<Value, ServerFailure> {
    serde_json::from_str(json).map_err(|_| ServerFailure::Damaged("profile field"))
}

fn is_in_member_events(name: &str) -> bool {
    name == DISPLAYNAME || name == AVATAR_URL
}

/// `displayname`, `avatar_url`, or names with dots of the common namespaced identifier grammar
/// (<https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname>).
fn check_name(name: &str) -> Result<(), ProfileError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(ProfileError::NameTooLong(name.len()));
    }
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase())
            && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    let is_namespaced = name.contains('.') && name.split('.').all(is_part);
    if is_in_member_events(name) || is_namespaced { Ok(()) } else { Err(ProfileError::Name) }
}

/// The value as it is kept; clients remove names and avatars by setting them to nothing, too.
fn check_value(name: &str, value: Value) -> Result<Option<Value>, ProfileError> {
    let refuse = |field, reason| Err(ProfileError::Value { field, reason });
    match (name, &value) {
        (DISPLAYNAME | AVATAR_URL, Value::String(text)) if text.is_empty() => Ok(None),
        (DISPLAYNAME, Value::String(text)) if text.chars().count() > DISPLAYNAME_CHARACTERS_MAX => {
            refuse(DISPLAYNAME, "may have 256 characters")
        }
        (DISPLAYNAME, Value::String(_)) => Ok(Some(value)),
        (DISPLAYNAME, _) => refuse(DISPLAYNAME, "must be a string"),
        (AVATAR_URL, Value::String(text)) if text.chars().count() > AVATAR_URL_CHARACTERS_MAX => {
            refuse(AVATAR_URL, "may have 1000 characters")
        }
        (AVATAR_URL, Value::String(text)) if <&MxcUri>::from(text.as_str()).is_valid() => Ok(Some(value)),
        (AVATAR_URL, _) => refuse(AVATAR_URL, "must be an mxc:// URI"),
        ("m.tz", Value::String(_)) => Ok(Some(value)),
        ("m.tz", _) => refuse("m.tz", "must be a string"),
        _ => Ok(Some(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_names_of_the_grammar() {
        for name in ["displayname", "avatar_url", "m.tz", "org.example.field_1", "a.b.c"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "nickname", "M.tz", "m.", ".m", "m..tz", "m.1tz", "m.tz-x", "m.té"] {
            assert!(matches!(check_name(name), Err(ProfileError::Name)), "{name}");
        }
        let long = format!("m.{}", "x".repeat(254));
        assert!(matches!(check_name(&long), Err(ProfileError::NameTooLong(256))));
    }
}
