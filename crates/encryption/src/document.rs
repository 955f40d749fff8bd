//! Signed JSON documents: what keys are published as.

use freehold_canonical_json::{Limits, Object, ParseError, Value, parse};
use freehold_signing::{Signature, VerifyingKey};
use ruma_common::UserId;

/// A JSON object with `signatures` of users
/// (<https://spec.matrix.org/v1.19/appendices/#signing-json>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document(Object<'static>);

/// Why a text is no document that can be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// It is no canonical JSON.
    #[error(transparent)]
    Json(#[from] ParseError),
    /// It is too long.
    #[error("{bytes} bytes; at most {most} are taken")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// A member is missing or of the wrong type.
    #[error("`{member}` is not {expected}")]
    Member {
        /// The member, as a path.
        member: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl InvalidDocument {
    pub(crate) fn member(member: impl Into<String>, expected: &'static str) -> Self {
        InvalidDocument::Member { member: member.into(), expected }
    }
}

impl Document {
    /// Reads an object of at most `most` bytes.
    pub(crate) fn parse(text: &str, most: usize) -> Result<Self, InvalidDocument> {
        if text.len() > most {
            return Err(InvalidDocument::TooLong { bytes: text.len(), most });
        }
        let value = parse(text.as_bytes(), &Limits::STRICT)?.into_owned();
        let object = value.into_object().ok_or_else(|| InvalidDocument::member("", "an object"))?;
        let document = Document(object);
        document.check_signatures()?;
        Ok(document)
    }

    /// `signatures` is an object of objects of texts, or absent.
    fn check_signatures(&self) -> Result<(), InvalidDocument> {
        let Some(signatures) = self.0.get("signatures") else { return Ok(()) };
        let well_formed = |of_user: &Value<'_>| {
            of_user.as_object().is_some_and(|of_user| of_user.values().all(|one| one.as_str().is_some()))
        };
        let valid = signatures.as_object().is_some_and(|users| users.values().all(well_formed));
        if valid {
            return Ok(());
        }
        Err(InvalidDocument::member("signatures", "an object of signatures by user and key"))
    }

    pub(crate) fn object(&self) -> &Object<'static> {
        &self.0
    }

    /// A member that is a text.
    pub(crate) fn text(&self, member: &str) -> Result<&str, InvalidDocument> {
        let value = self.0.get(member).and_then(Value::as_str);
        value.ok_or_else(|| InvalidDocument::member(member, "a string"))
    }

    /// A member that is an array of texts.
    pub(crate) fn texts(&self, member: &str) -> Result<Vec<&str>, InvalidDocument> {
        let values = self.0.get(member).and_then(Value::as_array);
        let texts = values.and_then(|values| values.iter().map(Value::as_str).collect());
        texts.ok_or_else(|| InvalidDocument::member(member, "an array of strings"))
    }

    /// Members of `keys`, which are all texts.
    pub(crate) fn keys(&self) -> Result<Vec<(&str, &str)>, InvalidDocument> {
        let keys = self.0.get("keys").and_then(Value::as_object);
        let pairs =
            keys.and_then(|keys| keys.iter().map(|(id, key)| key.as_str().map(|key| (id, key))).collect());
        pairs.ok_or_else(|| InvalidDocument::member("keys", "an object of strings"))
    }

    /// The document as canonical JSON, with more signatures of a user.
    pub(crate) fn with_more_signatures(
        mut self,
        user: &UserId,
        more: impl IntoIterator<Item = (String, String)>,
    ) -> String {
        if !self.0.contains_key("signatures") {
            self.0.insert("signatures", Object::new());
        }
        if let Some(signatures) = self.0.get_mut("signatures").and_then(Value::as_object_mut) {
            if !signatures.contains_key(user.as_str()) {
                signatures.insert(user.as_str().to_owned(), Object::new());
            }
            if let Some(of_user) = signatures.get_mut(user.as_str()).and_then(Value::as_object_mut) {
                for (key_id, signature) in more {
                    of_user.insert(key_id, signature);
                }
            }
        }
        String::from_utf8(self.0.to_canonical_vec()).unwrap_or_default()
    }

    /// What signatures cover, as canonical JSON: all but `signatures` and `unsigned`.
    pub(crate) fn signed_text(&self) -> String {
        let mut bytes = Vec::new();
        self.0.write_canonical_if(|key| !matches!(key, "signatures" | "unsigned"), &mut bytes);
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// The signatures of a user: key ids and signatures.
    pub(crate) fn signatures_of(&self, user: &UserId) -> Vec<(&str, &str)> {
        let of_user = self.0.get("signatures").and_then(Value::as_object);
        let of_user = of_user.and_then(|users| users.get(user.as_str())).and_then(Value::as_object);
        let entries = of_user.into_iter().flat_map(Object::iter);
        entries.filter_map(|(key_id, signature)| Some((key_id, signature.as_str()?))).collect()
    }

    /// The signature of a user with this key, if it is there and right.
    pub(crate) fn verified(&self, user: &UserId, (key_id, key): (&str, &VerifyingKey)) -> Option<&str> {
        let (_, text) = self.signatures_of(user).into_iter().find(|(found, _)| *found == key_id)?;
        let signature = Signature::from_base64(text)?;
        key.verify(self.signed_text().as_bytes(), &signature).is_ok().then_some(text)
    }
}

/// Puts a kept document and the signatures that may be seen together again. `signatures` is ordered by user.
pub(crate) fn with_signatures(
    kept: &str,
    signatures: &[(String, String, String)],
    display_name: Option<&str>,
) -> Result<String, ParseError> {
    let value = parse(kept.as_bytes(), &Limits::STRICT)?;
    let mut object = value.into_object().unwrap_or_default();
    let mut users: Object<'_> = Object::new();
    for (user, key_id, signature) in signatures {
        if !users.contains_key(user) {
            users.insert(user.as_str(), Object::new());
        }
        if let Some(of_user) = users.get_mut(user).and_then(Value::as_object_mut) {
            of_user.insert(key_id.as_str(), signature.as_str());
        }
    }
    if !users.is_empty() {
        object.insert("signatures", users);
    }
    if let Some(name) = display_name {
        let mut unsigned = Object::new();
        unsigned.insert("device_display_name", name);
        object.insert("unsigned", unsigned);
    }
    Ok(String::from_utf8(object.to_canonical_vec()).unwrap_or_default())
}
