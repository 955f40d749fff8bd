//! Identity keys of devices.

use freehold_signing::VerifyingKey;
use freehold_store::tables::encryption::{
    CROSS_SIGNING_KEYS, CrossSigningKeyRow, DEVICE_KEYS, DeviceKeysRow, KEY_SIGNATURES,
};
use freehold_store::{Actor, Batch, Order, ReadError, Snapshot, UserNumber};
use ruma_common::{DeviceId, UserId};

use crate::devices::Device;
use crate::document::{Document, InvalidDocument};
use crate::elsewhere::Changed;
use crate::service::Encryption;
use crate::upload::UploadError;

impl Encryption {
    /// Adds the change by which a device publishes its identity keys; nothing if they are published.
    pub(crate) async fn put_device_keys(
        &self,
        snapshot: &Snapshot,
        (actor, device): (&Actor, &Device),
        text: &str,
        batch: &mut Batch,
    ) -> Result<(), UploadError> {
        let document = Document::parse(text, self.0.limits.key_bytes).map_err(UploadError::DeviceKeys)?;
        let signature = check_device_keys(&document, &actor.user_id, &device.device_id)?;
        let key = (actor.user, device.device_id.to_string());
        let keys = document.signed_text();
        let before = snapshot.get(&DEVICE_KEYS, &key).await?;
        if before.as_ref().is_some_and(|row| row.keys == keys && row.device == device.number) {
            return Ok(());
        }
        let cross_signing =
            snapshot.scan_prefix(&CROSS_SIGNING_KEYS, &actor.user, Order::Ascending, 3).await?;
        if cross_signing.iter().any(|(_, row)| row.public_key == key.1) {
            return Err(UploadError::DeviceIdIsKey(key.1));
        }
        batch.expect_unchanged(&DEVICE_KEYS, &key, before.as_ref());
        // Other keys under the same id: what was signed are not these.
        delete_signatures(snapshot, (actor.user, &key.1), batch).await?;
        batch.put(&DEVICE_KEYS, &key, &DeviceKeysRow { device: device.number, keys });
        let by_itself = (actor.user, key.1.clone(), actor.user, signing_key_id(&key.1));
        batch.put(&KEY_SIGNATURES, &by_itself, &signature);
        for (_, row) in cross_signing {
            put_signature_with(&row, &document, (actor, &key.1), batch);
        }
        self.mark_device_list(snapshot, (actor.user, Changed::device(&key.1)), batch).await?;
        Ok(())
    }
}

/// Keeps the signature of the user's self-signing key that came with the device's keys, if it is right.
fn put_signature_with(
    row: &CrossSigningKeyRow,
    document: &Document,
    (actor, device_id): (&Actor, &str),
    batch: &mut Batch,
) {
    let key_id = signing_key_id(&row.public_key);
    let Ok(key) = VerifyingKey::from_base64(&row.public_key) else { return };
    if let Some(signature) = document.verified(&actor.user_id, (&key_id, &key)) {
        let place = (actor.user, device_id.to_owned(), actor.user, key_id);
        batch.put(&KEY_SIGNATURES, &place, &signature.to_owned());
    }
}

/// Whether these are keys of this device, signed by it: a stranger who is handed malformed keys may fail on them.
fn check_device_keys(document: &Document, user: &UserId, device: &DeviceId) -> Result<String, UploadError> {
    let invalid = UploadError::DeviceKeys;
    for (member, expected) in [("user_id", user.as_str()), ("device_id", device.as_str())] {
        let found = document.text(member).map_err(invalid)?;
        if found != expected {
            let (found, expected) = (found.to_owned(), expected.to_owned());
            return Err(UploadError::NotTheirs { member, found, expected });
        }
    }
    document.texts("algorithms").map_err(invalid)?;
    for (key_id, _) in document.keys().map_err(invalid)? {
        if key_id.split_once(':').is_none_or(|(_, of)| of != device.as_str()) {
            let member = format!("keys.{key_id}");
            return Err(invalid(InvalidDocument::member(member, "a key of this device")));
        }
    }
    let key_id = signing_key_id(device.as_str());
    let key = signing_key(document, device.as_str())
        .ok_or_else(|| invalid(InvalidDocument::member(format!("keys.{key_id}"), "an Ed25519 key")))?;
    let signature = document.verified(user, (&key_id, &key));
    signature.map(str::to_owned).ok_or(UploadError::NotSigned(key_id))
}

/// `ed25519:` and the id of a device, or a public key.
pub(crate) fn signing_key_id(id: &str) -> String {
    format!("ed25519:{id}")
}

/// The key with which a device signs.
fn signing_key(document: &Document, device_id: &str) -> Option<VerifyingKey> {
    let wanted = signing_key_id(device_id);
    let keys = document.keys().ok()?;
    let (_, key) = keys.into_iter().find(|(id, _)| *id == wanted)?;
    VerifyingKey::from_base64(key).ok()
}

/// The key with which a user's device signs, if it has published one.
pub(crate) async fn published_signing_key(
    snapshot: &Snapshot,
    user: UserNumber,
    device_id: &str,
) -> Result<Option<VerifyingKey>, ReadError> {
    let row = snapshot.get(&DEVICE_KEYS, &(user, device_id.to_owned())).await?;
    let document = row.and_then(|row| Document::parse(&row.keys, row.keys.len()).ok());
    Ok(document.and_then(|document| signing_key(&document, device_id)))
}

/// Adds the removal of all signatures of a user's key.
pub(crate) async fn delete_signatures(
    snapshot: &Snapshot,
    (user, key): (UserNumber, &str),
    batch: &mut Batch,
) -> Result<(), ReadError> {
    let prefix = (user, key.to_owned());
    let found = snapshot.scan_prefix(&KEY_SIGNATURES, &prefix, Order::Ascending, usize::MAX).await?;
    found.iter().for_each(|(key, _)| batch.delete(&KEY_SIGNATURES, key));
    Ok(())
}
