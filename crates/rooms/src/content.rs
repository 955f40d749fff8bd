//! Contents of events.

use freehold_canonical_json::{Object, Value as Canonical, parse};
use freehold_event::RoomVersion;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::ActionError;

/// The content that a client sent, in the JSON that events of the room may have.
///
/// # Errors
/// [`ActionError::Content`], [`ActionError::BadField`].
pub(crate) fn sent(content: &RawValue, version: &RoomVersion) -> Result<Object<'static>, ActionError> {
    object(content.get(), version)
}

/// A content made here or by a client.
///
/// # Errors
/// As [`sent`].
pub(crate) fn made(content: &Value, version: &RoomVersion) -> Result<Object<'static>, ActionError> {
    object(&content.to_string(), version)
}

fn object(text: &str, version: &RoomVersion) -> Result<Object<'static>, ActionError> {
    let value = parse(text.as_bytes(), version.json_limits()).map_err(ActionError::Content)?;
    let object = value.into_object().map(Object::into_owned);
    object.ok_or_else(|| ActionError::BadField { field: "content", reason: "not an object".to_owned() })
}

/// What a client sent, to be changed before it becomes a content.
///
/// # Errors
/// [`ActionError::BadField`] when it is not an object.
pub(crate) fn editable(
    field: &'static str,
    content: &RawValue,
) -> Result<serde_json::Map<String, Value>, ActionError> {
    serde_json::from_str(content.get())
        .map_err(|error| ActionError::BadField { field, reason: error.to_string() })
}

/// The text of a member of a content.
pub(crate) fn text<'a>(content: &'a Object<'_>, key: &str) -> Option<&'a str> {
    content.get(key).and_then(Canonical::as_str)
}
