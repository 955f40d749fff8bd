//! What goes with an account.

use freehold_store::tables::encryption::{CROSS_SIGNING_KEYS, KEY_SIGNATURES, SIGNED_USERS};
use freehold_store::{Batch, Order, UserNumber};

use crate::elsewhere::Changed;
use crate::failure::Failure;
use crate::service::Encryption;

/// Whether the keys by which others know a user go too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// They stay, with what they vouch for.
    Kept,
    /// They go.
    Erased,
}

impl Encryption {
    /// Removes what a user keeps here whose account was given up, and whose devices are gone: the backups of keys, and the
    /// cross-signing keys if they are to go. To do it again changes nothing.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn user_gone(&self, user: UserNumber, identity: Identity) -> Result<(), Failure> {
        self.remove_backups(user).await?;
        if identity == Identity::Kept {
            return Ok(());
        }
        let (snapshot, mut batch) = (self.snapshot()?, Batch::new());
        let all = (Order::Ascending, usize::MAX);
        let keys = snapshot.scan_prefix(&CROSS_SIGNING_KEYS, &user, all.0, all.1).await?;
        let signatures = snapshot.scan_prefix(&KEY_SIGNATURES, &user, all.0, all.1).await?;
        let signed = snapshot.scan_prefix(&SIGNED_USERS, &user, all.0, all.1).await?;
        keys.iter().for_each(|(place, _)| batch.delete(&CROSS_SIGNING_KEYS, place));
        signatures.iter().for_each(|(place, _)| batch.delete(&KEY_SIGNATURES, place));
        signed.iter().for_each(|(place, _)| batch.delete(&SIGNED_USERS, place));
        if !batch.is_empty() {
            self.mark_device_list(&snapshot, (user, Changed::signing_keys()), &mut batch).await?;
            // It has no condition that could fail.
            self.commit(batch).await?;
        }
        Ok(())
    }
}
