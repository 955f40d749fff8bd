//! Commands about the users of tenants. Passwords and hashes come from the standard input or a file, never from the command
//! line, which every user of the machine can read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use freehold_admin_api::{Answer, Command, IMPORT_LINES_MAX, ImportLine, Secret, WantedAccount};

use crate::ask::{self, Remote};
use crate::cli::Failure;
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(crate) enum UserTopic {
    /// List the users of a tenant
    List {
        /// The tenant's name in Matrix
        server_name: String,
        /// After this user
        #[arg(long, value_name = "USER_ID")]
        after: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show a user, and the devices with which the user is logged in
    Show(OneUser),
    /// Make an account, whatever the policy says of who may register
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// The user id
        user_id: String,
        /// Read the password from the standard input; without it, one is made and shown once
        #[arg(long)]
        password_stdin: bool,
        /// The name to show
        #[arg(long)]
        display_name: Option<String>,
        /// The user administers the tenant
        #[arg(long)]
        admin: bool,
    },
    /// Give a user a new password, and end the user's sessions
    #[command(after_help = RESET_EXAMPLES)]
    ResetPassword {
        /// The user id
        user_id: String,
        /// Read the password from the standard input; without it, one is made and shown once
        #[arg(long)]
        password_stdin: bool,
        /// Let the user's sessions go on
        #[arg(long)]
        keep_sessions: bool,
    },
    /// Let a user do little but read
    Suspend(OneUser),
    /// Take a suspension back
    Resume(OneUser),
    /// Let a user do nothing but log out
    Lock(OneUser),
    /// Take a lock back
    Unlock(OneUser),
    /// Give an account up, for ever: it leaves all rooms, and nobody gets its name
    Deactivate {
        /// The user id
        user_id: String,
        /// Show what the user said to nobody who was not there
        #[arg(long)]
        erase: bool,
    },
    /// Take accounts of another server over, with the bcrypt hashes of their passwords
    Import(Import),
}

#[derive(Debug, Args)]
pub(crate) struct OneUser {
    /// The user id
    user_id: String,
}

/// What to import.
#[derive(Debug, Args)]
#[command(after_help = IMPORT_EXAMPLES)]
pub(crate) struct Import {
    /// The tenant's name in Matrix
    server_name: String,
    /// The file: on each line a user (name or id), white space, and a bcrypt hash; `-` for the standard input
    file: PathBuf,
    /// A file with the pepper: what the other server added to each password before it was hashed
    #[arg(long, value_name = "FILE")]
    pepper_file: Option<PathBuf>,
}

const ADD_EXAMPLES: &str = "\
Examples:
  freehold user add @alice:example.org
  freehold user add @alice:example.org --admin --password-stdin < password";

const RESET_EXAMPLES: &str = "\
Examples:
  freehold user reset-password @alice:example.org
  freehold user reset-password @alice:example.org --password-stdin < password
  freehold --url https://matrix.example.org --token ADMINS_ACCESS_TOKEN user reset-password @alice:example.org";

const IMPORT_EXAMPLES: &str = "\
Who has no account gets one; who has one gets the password. A hash is replaced by a better one when its owner logs in. Empty lines
and those that begin with # are passed over. If a line cannot be imported it is named; lines before it may have been, and it does no
harm to import them again.

Examples:
  psql synapse -AtF ' ' -c \"SELECT name, password_hash FROM users WHERE password_hash <> '' AND deactivated = 0\" > hashes
  freehold user import example.org hashes --pepper-file pepper";

impl UserTopic {
    /// The command that is meant.
    pub(crate) fn command(self) -> Result<Command, Failure> {
        Ok(match self {
            UserTopic::List { server_name, after, limit } => Command::UserList { server_name, after, limit },
            UserTopic::Show(OneUser { user_id }) => Command::UserShow { user_id },
            UserTopic::Add { user_id, password_stdin, display_name, admin } => {
                let password = password(password_stdin)?;
                Command::UserAdd { user_id, wanted: WantedAccount { password, display_name, admin } }
            }
            UserTopic::ResetPassword { user_id, password_stdin, keep_sessions } => {
                let password = password(password_stdin)?;
                Command::UserResetPassword { user_id, password, keep_sessions }
            }
            UserTopic::Suspend(OneUser { user_id }) => Command::UserSuspend { user_id },
            UserTopic::Resume(OneUser { user_id }) => Command::UserResume { user_id },
            UserTopic::Lock(OneUser { user_id }) => Command::UserLock { user_id },
            UserTopic::Unlock(OneUser { user_id }) => Command::UserUnlock { user_id },
            UserTopic::Deactivate { user_id, erase } => Command::UserDeactivate { user_id, erase },
            UserTopic::Import(_) => return Err(Failure::Usage("an import is many commands".to_owned())),
        })
    }
}

/// The first line of the standard input, if the password stands there.
fn password(is_on_stdin: bool) -> Result<Option<Secret>, Failure> {
    if !is_on_stdin {
        return Ok(None);
    }
    let mut line = String::new();
    let read = io::stdin().lock().take(LINE_BYTES_MAX).read_line(&mut line);
    read.map_err(|error| Failure::of("cannot read the password", error))?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::Usage("there is no password on the standard input".to_owned())),
        password => Ok(Some(Secret(password.to_owned()))),
    }
}

/// The longest line of a file of accounts, and more than any password, in bytes.
const LINE_BYTES_MAX: u64 = 4096;

/// Takes the accounts of a file over, so many at a time as one command takes.
pub(crate) fn import(config: &Config, import: &Import, remote: Remote) -> Result<Answer, Failure> {
    let pepper = import.pepper_file.as_deref().map(pepper).transpose()?;
    let mut reader: Box<dyn BufRead> = match import.file.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(BufReader::new(open(&import.file)?)),
    };
    let (mut made, mut changed, mut number) = (0, 0, 0);
    loop {
        let lines = some_lines(&mut reader, (&import.file, &mut number))?;
        if lines.is_empty() {
            return Ok(Answer::Imported { accounts_made: made, passwords_changed: changed });
        }
        let server_name = import.server_name.clone();
        let command = Command::UserImport { server_name, lines, pepper: pepper.clone() };
        if let Answer::Imported { accounts_made, passwords_changed } =
            ask::ask(config, command, remote.clone())?
        {
            made += accounts_made;
            changed += passwords_changed;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the program reads the files that it is given")]
fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::of(&path.display().to_string(), error))
}

fn pepper(path: &Path) -> Result<Secret, Failure> {
    let mut text = String::new();
    let read = open(path)?.take(LINE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::of(&path.display().to_string(), error))?;
    Ok(Secret(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The next lines that name accounts, as many as one command takes.
fn some_lines(
    reader: &mut dyn BufRead,
    (path, number): (&Path, &mut usize),
) -> Result<Vec<ImportLine>, Failure> {
    let mut lines = Vec::new();
    while lines.len() < IMPORT_LINES_MAX {
        let mut text = String::new();
        let read = (&mut *reader).take(LINE_BYTES_MAX).read_line(&mut text);
        if read.map_err(|error| Failure::of(&path.display().to_string(), error))? == 0 {
            break;
        }
        *number += 1;
        let wrong = |what: &str| Failure::Usage(format!("{}: line {number}: {what}", path.display()));
        if !text.ends_with('\n') && text.len() as u64 == LINE_BYTES_MAX {
            return Err(wrong("longer than any account"));
        }
        let mut words = text.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (None, ..) => {}
            (Some(first), ..) if first.starts_with('#') => {}
            (Some(user), Some(hash), None) => {
                let hash = Secret(hash.to_owned());
                lines.push(ImportLine { line: *number, user: user.to_owned(), hash });
            }
            _ => return Err(wrong("not a user and a bcrypt hash")),
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &str) -> Result<Vec<(usize, String)>, String> {
        let (mut bytes, mut number) = (text.as_bytes(), 0);
        let lines = some_lines(&mut bytes, (Path::new("hashes"), &mut number));
        let lines = lines.map_err(|failure| failure.to_string())?;
        Ok(lines.into_iter().map(|line| (line.line, line.user)).collect())
    }

    #[test]
    fn lines_name_a_user_and_a_hash_and_wrong_ones_are_named() {
        let read = lines_of("# from the old server\n\nalice $2b$\r\n  @bob:example.org\t$2b$").unwrap();
        assert_eq!(read, [(3, "alice".to_owned()), (4, "@bob:example.org".to_owned())]);
        for (text, expected) in [
            ("alice $2b$\nbob", "hashes: line 2: not a user and a bcrypt hash"),
            ("alice $2b$ more", "hashes: line 1: not a user and a bcrypt hash"),
            (&"x".repeat(5000), "hashes: line 1: longer than any account"),
        ] {
            assert_eq!(lines_of(text), Err(expected.to_owned()));
        }
    }

    #[test]
    fn many_lines_are_read_in_pieces() {
        let text = "alice $2b$\n".repeat(IMPORT_LINES_MAX + 1);
        let (mut bytes, mut number) = (text.as_bytes(), 0);
        let mut read = || some_lines(&mut bytes, (Path::new("hashes"), &mut number)).unwrap().len();
        assert_eq!([read(), read(), read()], [IMPORT_LINES_MAX, 1, 0]);
    }
}
