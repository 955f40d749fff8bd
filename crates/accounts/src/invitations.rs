//! Invitations: a user of a tenant lets one person register there.
//!
//! An invitation is a registration token that names its user. It can be used once, for a week, and as long as that user
//! is in good standing; who invited whom is written into the audit log of the tenant.

use freehold_store::tables::accounts::{AccountRow, INVITATIONS, REGISTRATION_TOKENS, RegistrationTokenRow};
use freehold_store::{Batch, Order, Snapshot, Tenant, UserNumber};
use ruma_common::{OwnedUserId, UserId};

use crate::accounts::Accounts;
use crate::failure::{ServerFailure, server_failures};
use crate::policies::{AdministrativeAct, Doer, Registration};
use crate::random;
use crate::register::is_usable;
use crate::session::{Standing, standing};

/// An invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// What the invited person shows as a registration token.
    pub code: String,
    /// Who invited.
    pub invited_by: OwnedUserId,
    /// When, in milliseconds since the Unix epoch.
    pub created_ts: i64,
    /// After when it is refused, in milliseconds since the Unix epoch.
    pub expires_ts: i64,
    /// Who came.
    pub used_by: Option<OwnedUserId>,
}

/// For how long an invitation can be used, in milliseconds.
const LIFETIME_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// How many invitations of a user wait to be used at most.
const OPEN_MAX: usize = 10;

/// Why somebody cannot invite.
#[derive(Debug, thiserror::Error)]
pub enum InvitationError {
    /// The tenant lets people register in another way, or not at all.
    #[error("people do not register here by invitation")]
    NotByInvitation,
    /// Who is to invite is nobody here, or restrained.
    #[error("`{0}` is not a user in good standing of this server")]
    Inviter(OwnedUserId),
    /// Too many of the user's invitations wait to be used.
    #[error("`{user_id}` has {OPEN_MAX} invitations that wait to be used")]
    TooMany {
        /// The user.
        user_id: OwnedUserId,
    },
    /// There is no such invitation, at least not of this user.
    #[error("there is no such invitation")]
    Unknown,
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(InvitationError);

impl Accounts {
    /// Has a user of a tenant invite one person.
    ///
    /// # Errors
    /// [`InvitationError`].
    pub async fn invite(
        &self,
        tenant: &Tenant,
        invited_by: &UserId,
        by: Doer<'_>,
    ) -> Result<Invitation, InvitationError> {
        if self.policy(tenant).await?.registration != Registration::Invitation {
            return Err(InvitationError::NotByInvitation);
        }
        let snapshot = self.store().snapshot()?;
        let account = self.account_of(&snapshot, invited_by).await?;
        let account = account.filter(|(_, row)| row.tenant == tenant.number() && may_invite(row));
        let (user, _) = account.ok_or_else(|| InvitationError::Inviter(invited_by.to_owned()))?;
        let mut batch = Batch::new();
        self.make_room(&snapshot, tenant, (user, invited_by), &mut batch).await?;
        let (code, now_ts) = (random::letters::<24>()?, self.now_ts());
        let expires_ts = now_ts.saturating_add(LIFETIME_MS);
        let row = RegistrationTokenRow {
            uses_allowed: Some(1),
            used: 0,
            expires_ts: Some(expires_ts),
            created_ts: now_ts,
            invited_by: Some(user),
            used_by: None,
        };
        let key = (tenant.number(), code.clone());
        batch.expect_absent(&REGISTRATION_TOKENS, &key);
        batch.put(&REGISTRATION_TOKENS, &key, &row);
        batch.put(&INVITATIONS, &(tenant.number(), user, code.clone()), &());
        let act = AdministrativeAct { by, name: "invitation add", user_id: Some(invited_by) };
        self.0.given.policies.record(&mut batch, tenant, &act);
        self.store().commit(batch).await.map_err(ServerFailure::from)?;
        let invited_by = invited_by.to_owned();
        Ok(Invitation { code, invited_by, created_ts: now_ts, expires_ts, used_by: None })
    }

    /// The invitations of a tenant, or those of one user of it: used ones, and those that can be used.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn invitations(
        &self,
        tenant: &Tenant,
        invited_by: Option<&UserId>,
    ) -> Result<Vec<Invitation>, ServerFailure> {
        let snapshot = self.store().snapshot()?;
        let mut found = Vec::new();
        for (user, code, row) in self.rows_of(&snapshot, tenant, None).await? {
            let user_id = snapshot.id_of(user).await?;
            let is_over = row.used_by.is_none() && !is_usable(&row, self.now_ts());
            if is_over || invited_by.is_some_and(|wanted| *wanted != *user_id) {
                continue;
            }
            let used_by = match row.used_by {
                Some(user) => Some(snapshot.id_of(user).await?),
                None => None,
            };
            let (created_ts, expires_ts) = (row.created_ts, row.expires_ts.unwrap_or(i64::MAX));
            found.push(Invitation { code, invited_by: user_id, created_ts, expires_ts, used_by });
        }
        Ok(found)
    }

    /// Takes an invitation back that nobody used: one of a user, or any of the tenant.
    ///
    /// # Errors
    /// [`InvitationError::Unknown`].
    pub async fn take_back_invitation(
        &self,
        tenant: &Tenant,
        code: &str,
        invited_by: Option<&UserId>,
        by: Doer<'_>,
    ) -> Result<(), InvitationError> {
        let snapshot = self.store().snapshot()?;
        let key = (tenant.number(), code.to_owned());
        let row = snapshot.get(&REGISTRATION_TOKENS, &key).await?;
        let row = row.filter(|row| row.used_by.is_none()).ok_or(InvitationError::Unknown)?;
        let user = row.invited_by.ok_or(InvitationError::Unknown)?;
        let user_id = snapshot.id_of(user).await?;
        if invited_by.is_some_and(|wanted| *wanted != *user_id) {
            return Err(InvitationError::Unknown);
        }
        let mut batch = Batch::new();
        batch.expect_unchanged(&REGISTRATION_TOKENS, &key, Some(&row));
        batch.delete(&REGISTRATION_TOKENS, &key);
        batch.delete(&INVITATIONS, &(tenant.number(), user, key.1));
        let act = AdministrativeAct { by, name: "invitation remove", user_id: Some(&user_id) };
        self.0.given.policies.record(&mut batch, tenant, &act);
        match self.store().commit(batch).await {
            Ok(_) => Ok(()),
            // Somebody came with it just now.
            Err(freehold_store::CommitError::Conflict { .. }) => Err(InvitationError::Unknown),
            Err(error) => Err(ServerFailure::from(error).into()),
        }
    }

    /// The row of a registration token or invitation of a tenant, if somebody can register with it now.
    pub(crate) async fn admitting_token(
        &self,
        snapshot: &Snapshot,
        tenant: &Tenant,
        token: &str,
    ) -> Result<Option<RegistrationTokenRow>, ServerFailure> {
        let key = (tenant.number(), token.to_owned());
        let Some(row) = snapshot.get(&REGISTRATION_TOKENS, &key).await? else { return Ok(None) };
        let by_invitation = self.policy(tenant).await?.registration == Registration::Invitation;
        if row.invited_by.is_some() != by_invitation || !is_usable(&row, self.now_ts()) {
            return Ok(None);
        }
        let Some(user) = row.invited_by else { return Ok(Some(row)) };
        let account = snapshot.get(&freehold_store::tables::accounts::ACCOUNTS, &user).await?;
        Ok(account.is_some_and(|account| may_invite(&account)).then_some(row))
    }

    /// Drops the user's invitations that nobody came with in time.
    async fn make_room(
        &self,
        snapshot: &Snapshot,
        tenant: &Tenant,
        (user, user_id): (UserNumber, &UserId),
        batch: &mut Batch,
    ) -> Result<(), InvitationError> {
        let mut open = 0;
        for (user, code, row) in self.rows_of(snapshot, tenant, Some(user)).await? {
            if row.used_by.is_some() {
                continue;
            }
            if is_usable(&row, self.now_ts()) {
                open += 1;
                continue;
            }
            batch.delete(&REGISTRATION_TOKENS, &(tenant.number(), code.clone()));
            batch.delete(&INVITATIONS, &(tenant.number(), user, code));
        }
        match open < OPEN_MAX {
            true => Ok(()),
            false => Err(InvitationError::TooMany { user_id: user_id.to_owned() }),
        }
    }

    /// The invitations of a tenant, or of one user of it, as they are kept.
    async fn rows_of(
        &self,
        snapshot: &Snapshot,
        tenant: &Tenant,
        user: Option<UserNumber>,
    ) -> Result<Vec<(UserNumber, String, RegistrationTokenRow)>, ServerFailure> {
        let order = Order::Ascending;
        let places = match user {
            Some(user) => {
                snapshot.scan_prefix(&INVITATIONS, &(tenant.number(), user), order, usize::MAX).await?
            }
            None => snapshot.scan_prefix(&INVITATIONS, &(tenant.number(),), order, usize::MAX).await?,
        };
        let places = places.into_iter().map(|((_, user, code), ())| (user, code));
        let (users, keys): (Vec<_>, Vec<_>) =
            places.map(|(user, code)| (user, (tenant.number(), code))).unzip();
        let rows = snapshot.get_many(&REGISTRATION_TOKENS, &keys).await?;
        let found = users.into_iter().zip(keys).zip(rows);
        Ok(found.filter_map(|((user, (_, code)), row)| Some((user, code, row?))).collect())
    }
}

fn may_invite(account: &AccountRow) -> bool {
    account.deactivated.is_none() && standing(account) == Standing::Good
}
