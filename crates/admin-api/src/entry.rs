//! Who may come in: registration tokens and invitations of a tenant.

use std::fmt;

use freehold_accounts::{
    Accounts, Invitation, InvitationError, NewRegistrationToken, RegistrationTokenError, ServerFailure,
};
use freehold_store::tables::accounts::RegistrationTokenRow;
use freehold_store::{Clock, Tenant};
use ruma_common::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, lines, time};
use crate::authority::{Authority, doer};
use crate::refusal::Refusal;

/// A registration token of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationToken {
    /// What people show.
    pub token: String,
    /// How often it can be used; without a number, as often as wanted.
    pub uses_allowed: Option<u64>,
    /// How often it was used.
    pub used: u64,
    /// After when it is refused, in milliseconds since the Unix epoch.
    pub expires_ts: Option<i64>,
}

/// An invitation by a user of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationFacts {
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

/// A registration token to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedToken {
    /// Its text; something random if not set.
    #[serde(default)]
    pub token: Option<String>,
    /// How often it can be used; without end if not set.
    #[serde(default)]
    pub uses: Option<u64>,
    /// For how many days; without end if not set.
    #[serde(default)]
    pub days: Option<u32>,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

pub(crate) async fn add_token(
    (accounts, clock): (&Accounts, &dyn Clock),
    tenant: &Tenant,
    wanted: WantedToken,
    authority: &Authority,
) -> Result<Answer, Refusal> {
    let expires_ts = wanted.days.map(|days| clock.now_ts().saturating_add(i64::from(days) * DAY_MS));
    let new = NewRegistrationToken { token: wanted.token, uses_allowed: wanted.uses, expires_ts };
    let token = accounts.new_registration_token(tenant, new, doer(authority)).await?;
    let registration_token = RegistrationToken { token, uses_allowed: wanted.uses, used: 0, expires_ts };
    Ok(Answer::RegistrationToken { registration_token })
}

pub(crate) async fn tokens(accounts: &Accounts, tenant: &Tenant) -> Result<Answer, Refusal> {
    let rows = accounts.registration_tokens(tenant).await?.into_iter();
    let facts = |(token, row): (String, RegistrationTokenRow)| {
        let RegistrationTokenRow { uses_allowed, used, expires_ts, .. } = row;
        RegistrationToken { token, uses_allowed, used, expires_ts }
    };
    Ok(Answer::RegistrationTokens { registration_tokens: rows.map(facts).collect() })
}

pub(crate) async fn remove_token(
    accounts: &Accounts,
    tenant: &Tenant,
    token: &str,
    authority: &Authority,
) -> Result<Answer, Refusal> {
    match accounts.delete_registration_token(tenant, token, doer(authority)).await? {
        true => Ok(Answer::Removed { removed: 1 }),
        false => Err(Refusal::not_found("there is no such registration token")),
    }
}

pub(crate) async fn invite(
    accounts: &Accounts,
    tenant: &Tenant,
    by: Option<String>,
    authority: &Authority,
) -> Result<Answer, Refusal> {
    let invited_by = match (by, authority.user()) {
        (Some(by), _) => {
            UserId::parse(&*by).map_err(|_| Refusal::invalid(format_args!("`{by}` is not a user id")))?
        }
        (None, Some(user)) => user.to_owned(),
        (None, None) => return Err(Refusal::invalid("an invitation names the user who invites")),
    };
    let invitation = accounts.invite(tenant, &invited_by, doer(authority)).await?;
    Ok(Answer::Invitation { invitation: invitation.into() })
}

pub(crate) async fn invitations(
    accounts: &Accounts,
    tenant: &Tenant,
    authority: &Authority,
) -> Result<Answer, Refusal> {
    let found = accounts.invitations(tenant, authority.only_own()).await?;
    Ok(Answer::Invitations { invitations: found.into_iter().map(InvitationFacts::from).collect() })
}

pub(crate) async fn take_back(
    accounts: &Accounts,
    tenant: &Tenant,
    code: &str,
    authority: &Authority,
) -> Result<Answer, Refusal> {
    accounts.take_back_invitation(tenant, code, authority.only_own(), doer(authority)).await?;
    Ok(Answer::Removed { removed: 1 })
}

impl From<Invitation> for InvitationFacts {
    fn from(invitation: Invitation) -> Self {
        let Invitation { code, invited_by, created_ts, expires_ts, used_by } = invitation;
        InvitationFacts { code, invited_by, created_ts, expires_ts, used_by }
    }
}

impl fmt::Display for RegistrationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  used {}", self.token, self.used)?;
        if let Some(allowed) = self.uses_allowed {
            write!(f, " of {allowed}")?;
        }
        match self.expires_ts {
            Some(expires_ts) => write!(f, "  until {}", time(expires_ts)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for InvitationFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  by {}", self.code, self.invited_by)?;
        match &self.used_by {
            Some(user) => write!(f, "  used by {user}"),
            None => write!(f, "  until {}", time(self.expires_ts)),
        }
    }
}

/// Several, one a line.
pub(crate) fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T], none: &str) -> fmt::Result {
    if items.is_empty() {
        return f.write_str(none);
    }
    lines(f, items, |f, item| item.fmt(f))
}

impl From<ServerFailure> for Refusal {
    fn from(error: ServerFailure) -> Self {
        Refusal::internal(error)
    }
}

impl From<RegistrationTokenError> for Refusal {
    fn from(error: RegistrationTokenError) -> Self {
        match error {
            RegistrationTokenError::Grammar => Refusal::invalid(error),
            RegistrationTokenError::Exists => Refusal::new("M_IN_USE", error),
            RegistrationTokenError::Server(failure) => failure.into(),
        }
    }
}

impl From<InvitationError> for Refusal {
    fn from(error: InvitationError) -> Self {
        match error {
            InvitationError::NotByInvitation => Refusal::forbidden(&error.to_string()),
            InvitationError::Inviter(_) => Refusal::invalid(error),
            InvitationError::TooMany { .. } => Refusal::new("M_RESOURCE_LIMIT_EXCEEDED", error),
            InvitationError::Unknown => Refusal::not_found(error),
            InvitationError::Server(failure) => failure.into(),
        }
    }
}
