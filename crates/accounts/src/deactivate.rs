//! Giving an account up (<https://spec.matrix.org/v1.19/client-server-api/#account-deactivation>).

use freehold_store::tables::accounts::{
    ACCOUNTS, AccountRow, DeactivatedRow, ERASED, MemberJob, PROFILES, PUSH_RULES,
};
use freehold_store::{Tenant, UserNumber};
use ruma_common::UserId;

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::credentials::Note;
use crate::device::Removal;
use crate::failure::ServerFailure;
use crate::moderation::ModerationError;
use crate::policies::{AdministrativeAct, Doer};

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
    /// background, where what was kept beside goes, too. The name is never free again.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn deactivate(&self, user: UserNumber, erase: Erase) -> Result<(), ServerFailure> {
        self.end_account(user, erase, None).await
    }

    /// Gives an account of a tenant up, as an administrator or the operator does.
    ///
    /// # Errors
    /// [`ModerationError`].
    pub async fn deactivate_by(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
        erase: Erase,
        by: Doer<'_>,
    ) -> Result<(), ModerationError> {
        let (user, _) = self.subject(tenant, user_id, by).await?;
        let act = AdministrativeAct { by, name: "account deactivate", user_id: Some(user_id) };
        Ok(self.end_account(user, erase, Some((tenant, act))).await?)
    }

    async fn end_account(
        &self,
        user: UserNumber,
        erase: Erase,
        note: Option<Note<'_>>,
    ) -> Result<(), ServerFailure> {
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
                batch.at_position(move |position, writes| writes.put(&ERASED, &user, &position));
            }
            Self::ask_for_member_job(user, MemberJob::Leave, batch);
            if let Some((tenant, act)) = &note {
                self.0.given.policies.record(batch, tenant, act);
            }
            if attempts.commit(self.store(), removal.batch).await?.is_some() {
                self.0.sessions.forget(&removal.tokens);
                if erase == Erase::Yes {
                    self.0.given.member_events.erased(user).await?;
                }
                self.0.member_jobs.notify_one();
                return self.remove_late_tokens(removal.devices).await;
            }
        }
    }
}
