//! Tags of rooms (<https://spec.matrix.org/v1.19/client-server-api/#room-tagging>), kept as account data.

use freehold_store::UserNumber;
use ruma_common::RoomId;
use serde_json::{Map, Value, json};

use crate::account_data::AccountDataError;
use crate::accounts::Accounts;
use crate::failure::ServerFailure;

pub(crate) const TAG_TYPE: &str = "m.tag";
/// Bytes of the name of a tag.
const TAG_BYTES_MAX: usize = 255;

impl Accounts {
    /// The tags that a user gave a room: what is known of each by its name.
    ///
    /// # Errors
    /// [`AccountDataError`].
    pub async fn tags(
        &self,
        user: UserNumber,
        room_id: &RoomId,
    ) -> Result<Map<String, Value>, AccountDataError> {
        match self.account_data(user, (Some(room_id), TAG_TYPE)).await {
            Ok(content) => tags_in(Some(&content)),
            Err(AccountDataError::NotFound) => Ok(Map::new()),
            Err(error) => Err(error),
        }
    }

    /// Gives a room a tag, or changes what is known of it.
    ///
    /// # Errors
    /// [`AccountDataError`].
    pub async fn set_tag(
        &self,
        user: UserNumber,
        (room_id, tag): (&RoomId, &str),
        info: Value,
    ) -> Result<(), AccountDataError> {
        if tag.len() > TAG_BYTES_MAX {
            return Err(AccountDataError::TooLarge { found: tag.len(), max: TAG_BYTES_MAX });
        }
        let max = self.limits().account_data_bytes;
        let change = |old: Option<&str>| {
            let mut tags = tags_in(old)?;
            tags.insert(tag.to_owned(), info.clone());
            let content = json!({ "tags": tags }).to_string();
            let found = content.len();
            if found > max { Err(AccountDataError::TooLarge { found, max }) } else { Ok(content) }
        };
        self.change_account_data(user, (Some(room_id), TAG_TYPE), change).await
    }

    /// Takes a tag from a room, if it has it.
    ///
    /// # Errors
    /// [`AccountDataError`].
    pub async fn delete_tag(
        &self,
        user: UserNumber,
        (room_id, tag): (&RoomId, &str),
    ) -> Result<(), AccountDataError> {
        if !self.tags(user, room_id).await?.contains_key(tag) {
            return Ok(());
        }
        let change = |old: Option<&str>| {
            let mut tags = tags_in(old)?;
            tags.remove(tag);
            Ok(json!({ "tags": tags }).to_string())
        };
        self.change_account_data(user, (Some(room_id), TAG_TYPE), change).await
    }
}

/// What is not of the shape of tags, because a client set it as it liked, holds none.
fn tags_in(content: Option<&str>) -> Result<Map<String, Value>, AccountDataError> {
    let Some(content) = content else { return Ok(Map::new()) };
    let content: Value = serde_json::from_str(content).map_err(|_| ServerFailure::Damaged("account data"))?;
    match content {
        Value::Object(mut content) => match content.remove("tags") {
            Some(Value::Object(tags)) => Ok(tags),
            _ => Ok(Map::new()),
        },
        _ => Ok(Map::new()),
    }
}
