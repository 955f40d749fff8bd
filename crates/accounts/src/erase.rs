//! What is kept of an account beside what its user said, and goes when the account is given up.

use freehold_store::tables::accounts::{ACCOUNT_DATA, ACCOUNT_DATA_CHANGES, ACCOUNTS, FILTERS};
use freehold_store::{Batch, Order, UserNumber};

use crate::accounts::Accounts;
use crate::deactivate::Erase;
use crate::failure::ServerFailure;

/// How many rows of a table are removed together.
const REMOVED_TOGETHER: usize = 500;

impl Accounts {
    /// Removes account data, filters and key backups of an account that was given up; with its cross-signing keys, if the
    /// user asked for erasure. To do it again changes nothing.
    pub(crate) async fn remove_data(&self, user: UserNumber) -> Result<(), ServerFailure> {
        let some = (Order::Ascending, REMOVED_TOGETHER);
        loop {
            let (snapshot, mut batch) = (self.store().snapshot()?, Batch::new());
            for (place, row) in snapshot.scan_prefix(&ACCOUNT_DATA, &(user,), some.0, some.1).await? {
                batch.delete(&ACCOUNT_DATA, &place);
                let (_, room, event_type) = place;
                batch.delete(&ACCOUNT_DATA_CHANGES, &(user, row.changed, room, event_type));
            }
            if batch.is_empty() {
                // Those that are left are about push rules, which are gone.
                let left = snapshot.scan_prefix(&ACCOUNT_DATA_CHANGES, &(user,), some.0, some.1).await?;
                left.iter().for_each(|(place, ())| batch.delete(&ACCOUNT_DATA_CHANGES, place));
            }
            for (place, _) in snapshot.scan_prefix(&FILTERS, &(user,), some.0, some.1).await? {
                batch.delete(&FILTERS, &place);
            }
            if batch.is_empty() {
                let row = snapshot.get(&ACCOUNTS, &user).await?;
                let erase = row.and_then(|row| row.deactivated).is_some_and(|gone| gone.erase);
                let erase = if erase { Erase::Yes } else { Erase::No };
                return self.0.given.device_keys.forget_user(user, erase).await;
            }
            self.store().commit(batch).await?;
        }
    }
}
