//! Accounts brought from another server: names, and bcrypt hashes of passwords.

use freehold_store::Tenant;
use freehold_store::tables::accounts::PasswordRow;
use ruma_common::{OwnedUserId, UserId};

use crate::accounts::Accounts;
use crate::credentials::{CredentialsError, bcrypt_row};
use crate::policies::Doer;
use crate::register::{Admission, NewAccount, RegisterError};
use crate::username::new_user_id;

/// An account as another server kept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedPassword {
    /// The line of the file in which it stands, for errors.
    pub line: usize,
    /// The user id, or what follows the `@` in it.
    pub user: String,
    /// The bcrypt hash of the password.
    pub hash: String,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Accounts that were made.
    pub made: usize,
    /// Accounts that were there and have another password now.
    pub changed: usize,
}

/// Why an import stopped, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {failure}")]
pub struct ImportError {
    /// The line.
    pub line: usize,
    /// Why it cannot be imported.
    pub failure: ImportFailure,
}

/// Why a line cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportFailure {
    /// It names no user that the tenant could have.
    #[error("`{0}` is not a user of this server")]
    Foreign(String),
    /// The account cannot be made.
    #[error(transparent)]
    Register(RegisterError),
    /// The password cannot be set.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl From<RegisterError> for ImportFailure {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Server(failure) => CredentialsError::Server(failure).into(),
            other => ImportFailure::Register(other),
        }
    }
}

/// A line that makes sense.
struct Line {
    number: usize,
    user_id: OwnedUserId,
    password: PasswordRow,
}

impl Accounts {
    /// Gives users of a tenant the passwords that have these bcrypt hashes, and makes accounts for those who have none.
    /// All lines are looked at before the first is imported; each is durable by itself, and can be imported again.
    ///
    /// # Errors
    /// [`ImportError`], at the first line that cannot be imported.
    pub async fn import(
        &self,
        tenant: &Tenant,
        (lines, pepper): (&[ImportedPassword], &str),
        by: Doer<'_>,
    ) -> Result<Imported, ImportError> {
        let mut read = Vec::with_capacity(lines.len());
        for given in lines {
            let line = line(tenant, given, pepper);
            read.push(line.map_err(|failure| ImportError { line: given.line, failure })?);
        }
        let mut imported = Imported::default();
        for line in read {
            let at = line.number;
            let count = self.import_line(tenant, line, by).await;
            let count = count.map_err(|failure| ImportError { line: at, failure })?;
            imported.made += count.made;
            imported.changed += count.changed;
        }
        Ok(imported)
    }

    async fn import_line(
        &self,
        tenant: &Tenant,
        line: Line,
        by: Doer<'_>,
    ) -> Result<Imported, ImportFailure> {
        let Line { user_id, password, .. } = line;
        match self.import_row(tenant, &user_id, password.clone(), by).await {
            Ok(()) => return Ok(Imported { made: 0, changed: 1 }),
            Err(CredentialsError::Unknown) => {}
            Err(other) => return Err(other.into()),
        }
        let admission = Admission::Administrator(match by {
            Doer::User(user_id) => Some(user_id.to_owned()),
            Doer::Operator | Doer::Tool => None,
        });
        let (account, localpart) = (NewAccount::default(), user_id.localpart());
        // Before there is room for it: nobody gets the name of an account that was given up.
        self.check_username(tenant, localpart).await?;
        self.take_place(tenant, (&account, localpart, Some(password)), &admission).await?;
        Ok(Imported { made: 1, changed: 0 })
    }
}

fn line(tenant: &Tenant, given: &ImportedPassword, pepper: &str) -> Result<Line, ImportFailure> {
    let foreign = || ImportFailure::Foreign(given.user.clone());
    let user_id = if given.user.starts_with('@') {
        UserId::parse(&*given.user).ok().filter(|user_id| tenant.owns(user_id)).ok_or_else(foreign)?
    } else {
        new_user_id(tenant, &given.user).map_err(RegisterError::from)?
    };
    let password = bcrypt_row(&given.hash, pepper).ok_or(CredentialsError::Bcrypt)?;
    Ok(Line { number: given.line, user_id, password })
}
