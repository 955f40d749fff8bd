//! `POST /keys/device_signing/upload`: the cross-signing keys of a user.

use freehold_signing::VerifyingKey;
use freehold_store::tables::encryption::{
    CROSS_SIGNING_KEYS, CrossSigningKeyRow, CrossSigningUse, KEY_SIGNATURES,
};
use freehold_store::{Actor, Batch, ReadError, Snapshot};

use crate::device_keys::{delete_signatures, published_signing_key, signing_key_id};
use crate::devices::devices;
use crate::document::{Document, InvalidDocument};
use crate::elsewhere::Changed;
use crate::failure::Failure;
use crate::service::{ATTEMPTS, Encryption};

/// The keys of an upload, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrossSigningKeys {
    /// The user's identity.
    pub master: Option<String>,
    /// Signs the user's devices.
    pub self_signing: Option<String>,
    /// Signs other users' master keys.
    pub user_signing: Option<String>,
}

/// How the user showed that the upload is theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// By an access token.
    Token,
    /// By an access token and user-interactive authentication.
    Interactive,
}

const USES: [CrossSigningUse; 3] =
    [CrossSigningUse::Master, CrossSigningUse::SelfSigning, CrossSigningUse::UserSigning];

/// A key of an upload.
struct NewKey {
    key_use: CrossSigningUse,
    document: Document,
    row: CrossSigningKeyRow,
    key: VerifyingKey,
}

/// A user's three keys, as they are kept.
type Held = [Option<CrossSigningKeyRow>; 3];

impl Encryption {
    /// Publishes cross-signing keys. To upload what is there changes nothing.
    /// <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload>
    ///
    /// # Errors
    /// [`CrossSigningError`]; with [`CrossSigningError::NeedsAuthentication`] the request is to be repeated after
    /// user-interactive authentication.
    pub async fn upload_cross_signing_keys(
        &self,
        actor: &Actor,
        keys: &CrossSigningKeys,
        consent: Consent,
    ) -> Result<(), CrossSigningError> {
        let new = self.checked_keys(actor, keys)?;
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot()?;
            let held = held_keys(&snapshot, actor).await?;
            if new.iter().all(|key| of(&held, key.key_use).is_some_and(|row| *row == key.row)) {
                return Ok(());
            }
            // There is a master key, and the request contains new keys.
            if of(&held, CrossSigningUse::Master).is_some() && consent == Consent::Token {
                return Err(CrossSigningError::NeedsAuthentication);
            }
            self.check_ids(&snapshot, actor, &new).await?;
            let mut batch = Batch::new();
            replace_keys(&snapshot, actor, &held, &new, &mut batch).await?;
            self.mark_device_list(&snapshot, (actor.user, Changed::signing_keys()), &mut batch).await?;
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Failure::Busy(ATTEMPTS).into())
    }

    fn checked_keys(&self, actor: &Actor, keys: &CrossSigningKeys) -> Result<Vec<NewKey>, CrossSigningError> {
        let texts = [&keys.master, &keys.self_signing, &keys.user_signing];
        let given = USES.into_iter().zip(texts).filter_map(|(key_use, text)| Some((key_use, text.as_ref()?)));
        given
            .map(|(key_use, text)| {
                let invalid = |source| CrossSigningError::Key { key: name(key_use), source };
                let document = Document::parse(text, self.0.limits.key_bytes).map_err(invalid)?;
                check_key(key_use, document, actor).map_err(invalid)
            })
            .collect()
    }

    /// Devices and cross-signing keys are named in one namespace.
    async fn check_ids(
        &self,
        snapshot: &Snapshot,
        actor: &Actor,
        new: &[NewKey],
    ) -> Result<(), CrossSigningError> {
        let devices = devices(snapshot, actor.user).await?;
        let taken = new.iter().find(|key| devices.iter().any(|one| one.device_id == key.row.public_key));
        taken.map_or(Ok(()), |key| Err(CrossSigningError::IdInUse(key.row.public_key.clone())))
    }
}

fn check_key(key_use: CrossSigningUse, document: Document, actor: &Actor) -> Result<NewKey, InvalidDocument> {
    if document.text("user_id")? != actor.user_id {
        return Err(InvalidDocument::member("user_id", "the user who uploads the key"));
    }
    if !document.texts("usage")?.contains(&usage(key_use)) {
        return Err(InvalidDocument::member("usage", "an array with the use of this key"));
    }
    let keys = document.keys()?;
    let [(key_id, public_key)] = keys.as_slice() else {
        return Err(InvalidDocument::member("keys", "an object with exactly one key"));
    };
    let invalid = || InvalidDocument::member(format!("keys.{key_id}"), "an Ed25519 key under its own name");
    let key = VerifyingKey::from_base64(public_key).map_err(|_| invalid())?;
    if *key_id != signing_key_id(public_key) || key.to_base64() != *public_key {
        return Err(invalid());
    }
    let row = CrossSigningKeyRow { public_key: (*public_key).to_owned(), key: document.signed_text() };
    Ok(NewKey { key_use, document, row, key })
}

/// Adds the changes by which the new keys take the place of those that were there.
async fn replace_keys(
    snapshot: &Snapshot,
    actor: &Actor,
    held: &Held,
    new: &[NewKey],
    batch: &mut Batch,
) -> Result<(), CrossSigningError> {
    for (key_use, row) in USES.into_iter().zip(held) {
        batch.expect_unchanged(&CROSS_SIGNING_KEYS, &(actor.user, key_use), row.as_ref());
    }
    let new_master = new.iter().find(|key| key.key_use == CrossSigningUse::Master);
    let (master_id, master) = match (new_master, of(held, CrossSigningUse::Master)) {
        (Some(new), _) => (new.row.public_key.clone(), new.key.clone()),
        (None, Some(row)) => (row.public_key.clone(), held_key(row)?),
        (None, None) => return Err(CrossSigningError::NoMasterKey),
    };
    let other_master = of(held, CrossSigningUse::Master).is_some_and(|row| row.public_key != master_id);
    for (key_use, row) in USES.into_iter().zip(held) {
        let replaced = new.iter().any(|key| key.key_use == key_use);
        // What the master key before this one signed is not signed by the user any more.
        if let Some(row) = row.as_ref().filter(|_| replaced || other_master) {
            batch.delete(&CROSS_SIGNING_KEYS, &(actor.user, key_use));
            delete_signatures(snapshot, (actor.user, &row.public_key), batch).await?;
        }
    }
    let master_key_id = signing_key_id(&master_id);
    for key in new {
        batch.put(&CROSS_SIGNING_KEYS, &(actor.user, key.key_use), &key.row);
        let place = |key_id| (actor.user, key.row.public_key.clone(), actor.user, key_id);
        if key.key_use == CrossSigningUse::Master {
            for (key_id, signature) in signatures_of_devices(snapshot, actor, &key.document).await? {
                batch.put(&KEY_SIGNATURES, &place(key_id), &signature);
            }
        } else {
            let signature = key.document.verified(&actor.user_id, (&master_key_id, &master));
            let signature = signature.ok_or(CrossSigningError::NotSigned(name(key.key_use)))?;
            batch.put(&KEY_SIGNATURES, &place(master_key_id.clone()), &signature.to_owned());
        }
    }
    Ok(())
}

/// The signatures of a master key by devices of its user; those by devices that have no keys here are left out.
async fn signatures_of_devices(
    snapshot: &Snapshot,
    actor: &Actor,
    master: &Document,
) -> Result<Vec<(String, String)>, CrossSigningError> {
    let mut signatures = Vec::new();
    for (key_id, _) in master.signatures_of(&actor.user_id) {
        let Some(device_id) = key_id.strip_prefix("ed25519:") else { continue };
        let Some(key) = published_signing_key(snapshot, actor.user, device_id).await? else { continue };
        let signature = master.verified(&actor.user_id, (key_id, &key));
        let signature = signature.ok_or(CrossSigningError::NotSigned("master_key"))?;
        signatures.push((key_id.to_owned(), signature.to_owned()));
    }
    Ok(signatures)
}

/// The cross-signing keys of a user.
async fn held_keys(snapshot: &Snapshot, actor: &Actor) -> Result<Held, ReadError> {
    let places = USES.map(|key_use| (actor.user, key_use));
    let mut rows = snapshot.get_many(&CROSS_SIGNING_KEYS, &places).await?.into_iter();
    Ok(USES.map(|_| rows.next().flatten()))
}

fn of(held: &Held, key_use: CrossSigningUse) -> Option<&CrossSigningKeyRow> {
    USES.iter().zip(held).find(|(one, _)| **one == key_use).and_then(|(_, row)| row.as_ref())
}

fn held_key(row: &CrossSigningKeyRow) -> Result<VerifyingKey, CrossSigningError> {
    VerifyingKey::from_base64(&row.public_key).map_err(|_| CrossSigningError::NoMasterKey)
}

/// The word for the use in a key's `usage`.
pub(crate) fn usage(key_use: CrossSigningUse) -> &'static str {
    match key_use {
        CrossSigningUse::Master => "master",
        CrossSigningUse::SelfSigning => "self_signing",
        CrossSigningUse::UserSigning => "user_signing",
    }
}

/// The member of an upload in which the key comes.
fn name(key_use: CrossSigningUse) -> &'static str {
    match key_use {
        CrossSigningUse::Master => "master_key",
        CrossSigningUse::SelfSigning => "self_signing_key",
        CrossSigningUse::UserSigning => "user_signing_key",
    }
}

/// Why cross-signing keys were not published.
#[derive(Debug, thiserror::Error)]
pub enum CrossSigningError {
    /// A key is malformed.
    #[error("{key}: {source}")]
    Key {
        /// The member of the request.
        key: &'static str,
        /// What is wrong with it.
        source: InvalidDocument,
    },
    /// There is no master key, neither here nor in the request.
    #[error("there is no master key to sign the other keys")]
    NoMasterKey,
    /// A signature that the key needs, or that it has, is not valid.
    #[error("{0}: invalid signature")]
    NotSigned(&'static str),
    /// The user has a device of this id.
    #[error("key id `{0}` is the id of a device")]
    IdInUse(String),
    /// The keys would take the place of others: the user has to authenticate once more.
    #[error("replacing cross-signing keys needs user-interactive authentication")]
    NeedsAuthentication,
    /// The store failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<ReadError> for CrossSigningError {
    fn from(error: ReadError) -> Self {
        CrossSigningError::Failure(error.into())
    }
}
