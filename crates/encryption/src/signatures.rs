//! `POST /keys/signatures/upload`: signatures of keys that are published already.

use std::collections::BTreeMap;

use freehold_signing::VerifyingKey;
use freehold_store::tables::encryption::{
    CROSS_SIGNING_KEYS, CrossSigningKeyRow, CrossSigningUse, DEVICE_KEYS, KEY_SIGNATURES, SIGNED_USERS,
};
use freehold_store::{Actor, Batch, Order, ReadError, Snapshot, UserNumber};
use ruma_common::{OwnedUserId, UserId};

use crate::device_keys::{published_signing_key, signing_key_id};
use crate::document::{Document, InvalidDocument};
use crate::elsewhere::Changed;
use crate::failure::Failure;
use crate::service::{ATTEMPTS, Encryption, Reached};

/// Signed keys as JSON, by user and key id: a device id, or a public key in base64.
pub type SignedKeys = BTreeMap<OwnedUserId, BTreeMap<String, String>>;

/// Why a signature was not taken, by user and key id.
pub type SignatureFailures = BTreeMap<OwnedUserId, BTreeMap<String, SignatureFailure>>;

/// Why a signature was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFailure {
    /// The key is malformed.
    #[error(transparent)]
    Invalid(#[from] InvalidDocument),
    /// No such key is published, or the signer may not know.
    #[error("unknown key")]
    UnknownKey,
    /// The key is not the one that is published.
    #[error("key differs from the published one")]
    OtherKey,
    /// It has no signature by a key of the signer that may sign it.
    #[error("no signature by a key that may sign this one")]
    NoSignature,
    /// The signature is wrong.
    #[error("invalid signature")]
    WrongSignature,
}

/// A signature that is right: with which key, and itself.
type Right = Vec<(String, String)>;

impl Encryption {
    /// Publishes signatures: of the actor's own devices with the self-signing key, of the own master key with devices, of others'
    /// master keys with the user-signing key. Those that are not taken are in the answer.
    /// <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload>
    ///
    /// # Errors
    /// [`Failure`]; then none was taken.
    pub async fn upload_signatures(
        &self,
        actor: &Actor,
        keys: &SignedKeys,
    ) -> Result<SignatureFailures, Failure> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot()?;
            let mut batch = Batch::new();
            let mut failures = SignatureFailures::new();
            for (user_id, keys) in keys {
                let failed = self.sign_keys_of(&snapshot, (actor, user_id), keys, &mut batch).await?;
                if !failed.is_empty() {
                    failures.insert(user_id.clone(), failed);
                }
            }
            if batch.is_empty() || self.commit(batch).await?.is_some() {
                return Ok(failures);
            }
        }
        Err(Failure::Busy(ATTEMPTS))
    }

    /// Adds the signatures of one user's keys.
    async fn sign_keys_of(
        &self,
        snapshot: &Snapshot,
        (actor, user_id): (&Actor, &UserId),
        keys: &BTreeMap<String, String>,
        batch: &mut Batch,
    ) -> Result<BTreeMap<String, SignatureFailure>, Failure> {
        let Reached::Server { user: Some(user), .. } = self.reachable_user(snapshot, actor, user_id).await?
        else {
            let unknown = |key_id: &String| (key_id.clone(), SignatureFailure::UnknownKey);
            return Ok(keys.keys().map(unknown).collect());
        };
        let (mut failed, mut signed, mut changed) = (BTreeMap::new(), false, Changed::default());
        for (key_id, text) in keys {
            match self.signatures_on(snapshot, (actor, user), key_id, text).await? {
                Err(failure) => {
                    failed.insert(key_id.clone(), failure);
                }
                Ok(signatures) => {
                    signed = true;
                    let master = cross_signing_key(snapshot, user, CrossSigningUse::Master).await?;
                    match master.is_some_and(|row| row.public_key == *key_id) {
                        true => changed.signing_keys = true,
                        false => changed.devices.push(key_id.clone()),
                    }
                    put_signatures(snapshot, (user, key_id), (actor.user, signatures), batch).await?;
                }
            }
        }
        match signed {
            true if user == actor.user => self.mark_device_list(snapshot, (user, changed), batch).await?,
            true => mark_signed_user(snapshot, actor.user, user, batch).await?,
            false => {}
        }
        Ok(failed)
    }

    /// The signatures that the actor made on a key of a user.
    async fn signatures_on(
        &self,
        snapshot: &Snapshot,
        (actor, user): (&Actor, UserNumber),
        key_id: &str,
        text: &str,
    ) -> Result<Result<Right, SignatureFailure>, Failure> {
        let document = match Document::parse(text, self.0.limits.key_bytes) {
            Ok(document) => document,
            Err(invalid) => return Ok(Err(invalid.into())),
        };
        let own = user == actor.user;
        let master = cross_signing_key(snapshot, user, CrossSigningUse::Master).await?;
        if let Some(master) = master.filter(|row| row.public_key == key_id) {
            if document.signed_text() != master.key {
                return Ok(Err(SignatureFailure::OtherKey));
            }
            return match own {
                true => signed_by_devices(snapshot, actor, &document).await,
                false => signed_by(snapshot, actor, CrossSigningUse::UserSigning, &document).await,
            };
        }
        match snapshot.get(&DEVICE_KEYS, &(user, key_id.to_owned())).await? {
            Some(row) if own && row.keys == document.signed_text() => {
                signed_by(snapshot, actor, CrossSigningUse::SelfSigning, &document).await
            }
            Some(_) if own => Ok(Err(SignatureFailure::OtherKey)),
            Some(_) | None => Ok(Err(SignatureFailure::UnknownKey)),
        }
    }
}

async fn cross_signing_key(
    snapshot: &Snapshot,
    user: UserNumber,
    key_use: CrossSigningUse,
) -> Result<Option<CrossSigningKeyRow>, ReadError> {
    snapshot.get(&CROSS_SIGNING_KEYS, &(user, key_use)).await
}

/// The signature by one of the actor's cross-signing keys.
async fn signed_by(
    snapshot: &Snapshot,
    actor: &Actor,
    key_use: CrossSigningUse,
    document: &Document,
) -> Result<Result<Right, SignatureFailure>, Failure> {
    let row = cross_signing_key(snapshot, actor.user, key_use).await?;
    let key = row.and_then(|row| Some((VerifyingKey::from_base64(&row.public_key).ok()?, row)));
    let Some((key, row)) = key else { return Ok(Err(SignatureFailure::NoSignature)) };
    let key_id = signing_key_id(&row.public_key);
    Ok(checked(document, actor, (&key_id, &key)).map(|signature| vec![(key_id, signature)]))
}

/// The signatures by devices of the actor.
async fn signed_by_devices(
    snapshot: &Snapshot,
    actor: &Actor,
    document: &Document,
) -> Result<Result<Right, SignatureFailure>, Failure> {
    let mut right = Vec::new();
    for (key_id, _) in document.signatures_of(&actor.user_id) {
        let Some(device_id) = key_id.strip_prefix("ed25519:") else { continue };
        let Some(key) = published_signing_key(snapshot, actor.user, device_id).await? else { continue };
        match checked(document, actor, (key_id, &key)) {
            Ok(signature) => right.push((key_id.to_owned(), signature)),
            Err(failure) => return Ok(Err(failure)),
        }
    }
    Ok(if right.is_empty() { Err(SignatureFailure::NoSignature) } else { Ok(right) })
}

fn checked(
    document: &Document,
    actor: &Actor,
    (key_id, key): (&str, &VerifyingKey),
) -> Result<String, SignatureFailure> {
    let signatures = document.signatures_of(&actor.user_id);
    if !signatures.iter().any(|(found, _)| *found == key_id) {
        return Err(SignatureFailure::NoSignature);
    }
    let signature = document.verified(&actor.user_id, (key_id, key));
    signature.map(str::to_owned).ok_or(SignatureFailure::WrongSignature)
}

/// Adds signatures of a key. Of a stranger's key each signer has one: the newest.
async fn put_signatures(
    snapshot: &Snapshot,
    (user, key): (UserNumber, &str),
    (signer, signatures): (UserNumber, Right),
    batch: &mut Batch,
) -> Result<(), ReadError> {
    if user != signer {
        let prefix = (user, key.to_owned(), signer);
        let before = snapshot.scan_prefix(&KEY_SIGNATURES, &prefix, Order::Ascending, usize::MAX).await?;
        before.iter().for_each(|(place, _)| batch.delete(&KEY_SIGNATURES, place));
    }
    for (key_id, signature) in signatures {
        batch.put(&KEY_SIGNATURES, &(user, key.to_owned(), signer, key_id), &signature);
    }
    Ok(())
}

/// Adds the note, for the signer's own devices, that a user is verified.
async fn mark_signed_user(
    snapshot: &Snapshot,
    signer: UserNumber,
    signed: UserNumber,
    batch: &mut Batch,
) -> Result<(), ReadError> {
    let before = snapshot.scan_prefix(&SIGNED_USERS, &signer, Order::Ascending, usize::MAX).await?;
    let same = before.iter().filter(|(_, user)| *user == signed);
    same.for_each(|(place, _)| batch.delete(&SIGNED_USERS, place));
    batch.at_position(move |position, writes| writes.put(&SIGNED_USERS, &(signer, position), &signed));
    batch.wake(signer);
    Ok(())
}
