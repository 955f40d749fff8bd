//! Member events that follow a change of an account, sent in the background.
//!
//! What is still to be done is in the store, written with the change that asked for it: the request that made the
//! change is answered at once, and a restart forgets nothing.

use std::time::Duration;

use freehold_store::tables::accounts::{
    ACCOUNTS, EXPIRIES, LOGIN_TOKENS, MEMBER_JOBS, MemberJob, MemberJobRow, OPENID_TOKENS, TokenKind,
};
use freehold_store::{Actor, Batch, CommitError, Order, RoomNumber, Tenant, UserNumber};

use crate::accounts::Accounts;
use crate::failure::ServerFailure;

/// Rooms of one user before it is the next user's turn.
const ROOMS_PER_TURN: usize = 20;
/// Users at a time.
const USERS_PER_ROUND: usize = 64;
/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(10);
/// How often expired tokens are looked for, if nothing else happens.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// Expired tokens that are removed by one batch.
const SWEPT_AT_ONCE: usize = 1000;

/// What came of a user's turn.
enum Turn {
    /// All rooms are done.
    Done,
    /// There are more.
    More,
    /// Something newer was asked for meanwhile.
    Overtaken,
}

impl Accounts {
    /// Does in the background what is to be done, as long as the future is polled: sends member events, removes
    /// expired tokens. A process runs it once.
    pub async fn run_in_background(&self) {
        loop {
            let done = match self.do_member_jobs().await {
                Ok(()) => self.remove_expired_tokens().await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                tracing::warn!(%error, "background work of accounts is put off");
                tokio::time::sleep(PAUSE).await;
            } else {
                let asked = self.0.member_jobs.notified();
                tokio::time::timeout(SWEEP_INTERVAL, asked).await.unwrap_or_default();
            }
        }
    }

    /// Sends all member events that are still to be sent.
    ///
    /// # Errors
    /// The first failure; every user had a turn before it is returned.
    pub async fn do_member_jobs(&self) -> Result<(), ServerFailure> {
        loop {
            let snapshot = self.store().snapshot()?;
            let jobs = snapshot.scan_prefix(&MEMBER_JOBS, &(), Order::Ascending, USERS_PER_ROUND).await?;
            let mut failure = None;
            let mut progress = false;
            for (user, row) in &jobs {
                match self.take_turn(*user, row).await {
                    Ok(Turn::Done | Turn::More | Turn::Overtaken) => progress = true,
                    Err(error) => failure = Some(error),
                }
            }
            match failure {
                Some(failure) => return Err(failure),
                None if !progress => return Ok(()),
                None => {}
            }
        }
    }

    /// Adds to a batch that member events are to be sent; from the beginning, if some are being sent already.
    pub(crate) fn ask_for_member_job(user: UserNumber, job: MemberJob, batch: &mut Batch) {
        batch.at_position(move |since, writes| {
            writes.put(&MEMBER_JOBS, &user, &MemberJobRow { job, since, done: None });
        });
    }

    async fn take_turn(&self, user: UserNumber, row: &MemberJobRow) -> Result<Turn, ServerFailure> {
        let snapshot = self.store().snapshot()?;
        let Some(account) = snapshot.get(&ACCOUNTS, &user).await? else {
            return self.finish_turn(user, row, None).await;
        };
        let user_id = snapshot.id_of(user).await?;
        let tenant = Tenant::new(account.tenant, user_id.server_name().to_owned());
        let actor = Actor { tenant, user_id, user, device: None };
        if row.job == MemberJob::Leave && row.done.is_none() {
            self.remove_data(user).await?;
        }
        let member_events = &self.0.given.member_events;
        let rooms = member_events.rooms(&actor, row.done).await?;
        let turn: Vec<RoomNumber> = rooms.iter().copied().take(ROOMS_PER_TURN).collect();
        for room in &turn {
            match row.job {
                MemberJob::Profile => member_events.show_profile(&actor, *room).await?,
                MemberJob::Leave => member_events.leave(&actor, *room).await?,
            }
        }
        let last = turn.last().copied().filter(|_| rooms.len() > turn.len());
        self.finish_turn(user, row, last).await
    }

    /// Writes down how far a job is; without a room, that it is done.
    async fn finish_turn(
        &self,
        user: UserNumber,
        row: &MemberJobRow,
        last: Option<RoomNumber>,
    ) -> Result<Turn, ServerFailure> {
        let mut batch = Batch::new();
        batch.expect_unchanged(&MEMBER_JOBS, &user, Some(row));
        match last {
            Some(_) => batch.put(&MEMBER_JOBS, &user, &MemberJobRow { done: last, ..row.clone() }),
            None => batch.delete(&MEMBER_JOBS, &user),
        }
        match self.store().commit(batch).await {
            Ok(_) if last.is_some() => Ok(Turn::More),
            Ok(_) => Ok(Turn::Done),
            Err(CommitError::Conflict { .. }) => Ok(Turn::Overtaken),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes tokens for one login and OpenID tokens that have expired.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn remove_expired_tokens(&self) -> Result<(), ServerFailure> {
        loop {
            let snapshot = self.store().snapshot()?;
            let range = (&(i64::MIN,), &(self.now_ts(),));
            let expired = snapshot.scan_range(&EXPIRIES, range, Order::Ascending, SWEPT_AT_ONCE).await?;
            if expired.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for (key, kind) in &expired {
                batch.delete(&EXPIRIES, key);
                match kind {
                    TokenKind::Login => batch.delete(&LOGIN_TOKENS, &key.1),
                    TokenKind::OpenId => batch.delete(&OPENID_TOKENS, &key.1),
                    // These end with their device.
                    TokenKind::Access | TokenKind::Refresh => {}
                }
            }
            self.store().commit(batch).await?;
        }
    }
}
