//! The users of a tenant: listed, made, restrained, given up, with passwords that are reset or brought from elsewhere.

use std::fmt;

use freehold_accounts::{
    AccountFacts, Accounts, Admission, CredentialsError, Device, Doer, Erase, ImportError, ImportFailure,
    ImportedPassword, ModerationError, NewAccount, OtherSessions, Password, PasswordError, RegisterError,
    Restraint,
};
use freehold_store::Tenant;
use freehold_tenancy::Tenancy;
use ruma_common::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, lines, time};
use crate::authority::{Authority, doer};
use crate::command::Command;
use crate::refusal::Refusal;

/// A text that is not printed, such as a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What an account is to be like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedAccount {
    /// The password; without one, something random is made and given back.
    #[serde(default)]
    pub password: Option<Secret>,
    /// What to show as the name of the user; what follows the `@` if not set.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Whether the user administers the tenant.
    #[serde(default)]
    pub admin: bool,
}

/// A line of a file of accounts of another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportLine {
    /// Which it is, for errors.
    pub line: usize,
    /// The user id, or what follows the `@` in it.
    pub user: String,
    /// The bcrypt hash of the password.
    pub hash: Secret,
}

/// The most lines that one import takes.
pub const IMPORT_LINES_MAX: usize = 1000;

/// The most users that one list shows.
const LIST_MAX: usize = 10_000;

/// A user of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSummary {
    /// The user id.
    pub user_id: OwnedUserId,
    /// When the account was made, in milliseconds since the Unix epoch.
    pub created_ts: i64,
    /// Whether the user administers the tenant.
    pub admin: bool,
    /// Whether the user can do nothing but log out.
    pub locked: bool,
    /// Whether the user can do little but read.
    pub suspended: bool,
    /// Whether the account was given up.
    pub deactivated: bool,
}

/// A device of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLine {
    /// Its id.
    pub device_id: String,
    /// What the user calls it.
    pub display_name: Option<String>,
    /// When it was last used, in milliseconds since the Unix epoch, as far as it is written down.
    pub seen_ts: Option<i64>,
    /// From which address.
    pub seen_ip: Option<String>,
}

/// A user and the devices with which the user is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDetails {
    /// The user.
    #[serde(flatten)]
    pub summary: UserSummary,
    /// In the order of their ids.
    pub devices: Vec<DeviceLine>,
}

/// Carries out a command about users. Whether it may be given was asked before.
pub(crate) async fn perform(
    (tenancy, accounts): (&Tenancy, &Accounts),
    command: Command,
    authority: &Authority,
) -> Result<Answer, Refusal> {
    let server_name = command.tenant().unwrap_or_default();
    let tenant = tenancy.facts(&crate::desk::parse(server_name)?).await?.tenant;
    let people = People { accounts, tenant: &tenant, by: doer(authority) };
    match command {
        Command::UserList { after, limit, .. } => people.list(after, limit).await,
        Command::UserShow { user_id } => people.show(&parse(&user_id)?).await,
        Command::UserAdd { user_id, wanted } => people.add(&parse(&user_id)?, wanted).await,
        Command::UserResetPassword { user_id, password, keep_sessions } => {
            let others = if keep_sessions { OtherSessions::Keep } else { OtherSessions::End };
            people.reset_password(&parse(&user_id)?, password, others).await
        }
        Command::UserSuspend { user_id } => people.restrain(&user_id, Restraint::Suspended, true).await,
        Command::UserResume { user_id } => people.restrain(&user_id, Restraint::Suspended, false).await,
        Command::UserLock { user_id } => people.restrain(&user_id, Restraint::Locked, true).await,
        Command::UserUnlock { user_id } => people.restrain(&user_id, Restraint::Locked, false).await,
        Command::UserDeactivate { user_id, erase } => {
            let (user_id, erase) = (parse(&user_id)?, if erase { Erase::Yes } else { Erase::No });
            accounts.deactivate_by(&tenant, &user_id, erase, people.by).await?;
            people.show(&user_id).await
        }
        Command::UserImport { lines, pepper, .. } => people.import(lines, pepper).await,
        _ => Err(Refusal::new("M_UNRECOGNIZED", "not a command about users")),
    }
}

/// The accounts of a tenant, and who does something to them.
struct People<'a> {
    accounts: &'a Accounts,
    tenant: &'a Tenant,
    by: Doer<'a>,
}

impl People<'_> {
    async fn list(&self, after: Option<String>, limit: usize) -> Result<Answer, Refusal> {
        let after = after.as_deref().map(parse).transpose()?;
        let found = self.accounts.accounts_of(self.tenant, after.as_deref(), limit.min(LIST_MAX)).await?;
        Ok(Answer::Users { users: found.into_iter().map(UserSummary::from).collect() })
    }

    async fn show(&self, user_id: &UserId) -> Result<Answer, Refusal> {
        let (facts, devices) = self.accounts.account(self.tenant, user_id).await?;
        let devices = devices.into_iter().map(DeviceLine::from).collect();
        Ok(Answer::User { user: UserDetails { summary: facts.into(), devices } })
    }

    async fn add(&self, user_id: &UserId, wanted: WantedAccount) -> Result<Answer, Refusal> {
        let (password, shown) = given_or_made(wanted.password)?;
        let account = NewAccount {
            localpart: Some(user_id.localpart().to_owned()),
            password: Some(password),
            display_name: wanted.display_name,
            admin: wanted.admin,
            session: None,
        };
        let by = match self.by {
            Doer::User(by) => Some(by.to_owned()),
            Doer::Operator | Doer::Tool => None,
        };
        let made = self.accounts.register(self.tenant, account, Admission::Administrator(by)).await?;
        Ok(Answer::Credentials { user_id: made.user_id, password: shown })
    }

    async fn reset_password(
        &self,
        user_id: &UserId,
        password: Option<Secret>,
        others: OtherSessions,
    ) -> Result<Answer, Refusal> {
        let (password, shown) = given_or_made(password)?;
        self.accounts.set_password(self.tenant, user_id, (&password, others), self.by).await?;
        Ok(Answer::Credentials { user_id: user_id.to_owned(), password: shown })
    }

    async fn restrain(&self, user_id: &str, restraint: Restraint, on: bool) -> Result<Answer, Refusal> {
        let user_id = parse(user_id)?;
        self.accounts.restrain_by(self.tenant, &user_id, (restraint, on), self.by).await?;
        self.show(&user_id).await
    }

    async fn import(&self, lines: Vec<ImportLine>, pepper: Option<Secret>) -> Result<Answer, Refusal> {
        if lines.len() > IMPORT_LINES_MAX {
            let said = format_args!("{} lines at once; {IMPORT_LINES_MAX} are allowed", lines.len());
            return Err(Refusal::invalid(said));
        }
        let line = |ImportLine { line, user, hash }| ImportedPassword { line, user, hash: hash.0 };
        let lines: Vec<ImportedPassword> = lines.into_iter().map(line).collect();
        let pepper = pepper.map_or_else(String::new, |pepper| pepper.0);
        let imported = self.accounts.import(self.tenant, (&lines, &pepper), self.by).await?;
        Ok(Answer::Imported { accounts_made: imported.made, passwords_changed: imported.changed })
    }
}

/// A password, and its text if nobody knows it yet.
fn given_or_made(given: Option<Secret>) -> Result<(Password, Option<String>), Refusal> {
    match given {
        Some(given) => Ok((Password::new(&given.0), None)),
        None => {
            let made = Password::generate()?;
            let text = made.reveal().to_owned();
            Ok((made, Some(text)))
        }
    }
}

fn parse(user_id: &str) -> Result<OwnedUserId, Refusal> {
    UserId::parse(user_id).map_err(|_| Refusal::invalid(format_args!("`{user_id}` is not a user id")))
}

impl From<AccountFacts> for UserSummary {
    fn from(facts: AccountFacts) -> Self {
        let AccountFacts { user_id, user: _, created_ts, admin, locked, suspended, deactivated } = facts;
        UserSummary { user_id, created_ts, admin, locked, suspended, deactivated }
    }
}

impl From<Device> for DeviceLine {
    fn from(device: Device) -> Self {
        let (seen_ts, seen_ip) = device.seen.map_or((None, None), |seen| (Some(seen.ts), seen.ip));
        let (device_id, display_name) = (device.device_id.to_string(), device.display_name);
        DeviceLine { device_id, display_name, seen_ts, seen_ip }
    }
}

impl fmt::Display for UserSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", time(self.created_ts), self.user_id)?;
        let words = [
            (self.admin, "administrator"),
            (self.locked, "locked"),
            (self.suspended, "suspended"),
            (self.deactivated, "deactivated"),
        ];
        for (_, word) in words.into_iter().filter(|(holds, _)| *holds) {
            write!(f, "  {word}")?;
        }
        Ok(())
    }
}

impl fmt::Display for DeviceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  device {}", self.device_id)?;
        if let Some(name) = &self.display_name {
            write!(f, "  {name}")?;
        }
        if let Some(seen_ts) = self.seen_ts {
            write!(f, "  seen {}", time(seen_ts))?;
        }
        match &self.seen_ip {
            Some(ip) => write!(f, " from {ip}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for UserDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary.fmt(f)?;
        if self.devices.is_empty() {
            return Ok(());
        }
        f.write_str("\n")?;
        lines(f, &self.devices, |f, device| device.fmt(f))
    }
}

impl From<ModerationError> for Refusal {
    fn from(error: ModerationError) -> Self {
        match error {
            ModerationError::NotAdministrator | ModerationError::Oneself | ModerationError::Administrator => {
                Refusal::forbidden(&error.to_string())
            }
            ModerationError::Foreign | ModerationError::Unknown => Refusal::not_found("no such user"),
            ModerationError::Server(failure) => failure.into(),
        }
    }
}

impl From<PasswordError> for Refusal {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::TooShort { .. } => Refusal::new("M_WEAK_PASSWORD", error),
            PasswordError::TooLong { .. } => Refusal::invalid(error),
            PasswordError::Busy => Refusal::new("M_LIMIT_EXCEEDED", error),
            PasswordError::Server(failure) => failure.into(),
        }
    }
}

impl From<CredentialsError> for Refusal {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Unknown => Refusal::not_found("no such user"),
            CredentialsError::Bcrypt => Refusal::invalid(error),
            CredentialsError::Password(error) => error.into(),
            CredentialsError::Moderation(error) => error.into(),
            CredentialsError::Server(failure) => failure.into(),
        }
    }
}

impl From<RegisterError> for Refusal {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Username(error) => Refusal::new("M_INVALID_USERNAME", error),
            RegisterError::InUse => Refusal::new("M_USER_IN_USE", error),
            RegisterError::Password(error) => error.into(),
            RegisterError::Full { .. } => Refusal::new("M_RESOURCE_LIMIT_EXCEEDED", error),
            RegisterError::RegistrationToken | RegisterError::Device(_) => Refusal::invalid(error),
            RegisterError::Server(failure) => failure.into(),
        }
    }
}

impl From<ImportError> for Refusal {
    fn from(error: ImportError) -> Self {
        let ImportError { line, failure } = error;
        let refusal = match failure {
            ImportFailure::Foreign(_) => Refusal::invalid(&failure),
            ImportFailure::Register(error) => error.into(),
            ImportFailure::Credentials(error) => error.into(),
        };
        Refusal { error: format!("line {line}: {}", refusal.error), ..refusal }
    }
}
