//! Giving an account up (<https://spec.matrix.org/v1.19/client-server-api/#account-deactivation>).

use freehold_store::UserNumber;
use freehold_store::tables::accounts::{
    ACCOUNTS, AccountRow, DeactivatedRow, MemberJob, PROFILES, PUSH_RULES,
};

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::device::Removal;
use crate::failure::ServerFailure;

/// Whether what a user said may be shown to people who join later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erase {
    /// It may.
    No,
    /// It may not, and the profile goes.
    Yes,
}

impl Accounts {
    /// Gives an account up, for ever: nobody can log in, all sessions end, and the user leaves all rooms, in the
    /// background. The name is never free again.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn deactivate(&self, user: UserNumber, erase: Erase) -> Result<(), ServerFailure> {
        let mut attempts = Attempts::default();
        loop {
            let snapshot = self.store().snapshot()?;
            let Some(row) = snapshot.get(&ACCOUNTS, &user).await? else { return Ok(()) };
            if row.deactivated.is_some() {
                return Ok(());
            }
            let mut removal = Removal::default();
            self.remove_all_devices(&snapshot, (user, None), &mut removal).await?;
            let deactivated = DeactivatedRow { ts: self.now_ts(), erase: erase == Erase::Yes };
            let gone =
                AccountRow { password: None, admin: false, deactivated: Some(deactivated), ..row.clone() };
            let batch = &mut removal.batch;
            batch.expect_unchanged(&ACCOUNTS, &user, Some(&row));
            batch.put(&ACCOUNTS, &user, &gone);
            batch.delete(&PUSH_RULES, &user);
            if erase == Erase::Yes {
                batch.delete(&PROFILES, &user);
            }
            Self::ask_for_member_job(user, MemberJob::Leave, batch);
            if attempts.commit(self.store(), removal.batch).await?.is_some() {
                self.0.sessions.forget(&removal.tokens);
                self.0.member_jobs.notify_one();
                return Ok(());
            }
        }
    }

    /// Whether a user of a tenant asked that what they said be shown to nobody new.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn is_erased(&self, user: UserNumber) -> Result<bool, ServerFailure> {
        let row = self.store().snapshot()?.get(&ACCOUNTS, &user).await?;
        Ok(row.and_then(|row| row.deactivated).is_some_and(|deactivated| deactivated.erase))
    }
}
