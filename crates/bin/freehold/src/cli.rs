//! The command line.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use freehold_admin_api::{Answer, Command, Refusal, WantedToken};
use serde_json::json;

use crate::config::{Config, ConfigError, reference};
use crate::files::MediaTopic;
use crate::people::UserTopic;
use crate::tenants::{OneTenant, TenantTopic};

#[derive(Debug, Parser)]
#[command(name = "freehold", version, about = ABOUT, after_help = AFTER, max_term_width = 110)]
pub(crate) struct Cli {
    /// The configuration file; without one, everything has its default
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data directory, in place of the configured one
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The address of a server that runs elsewhere, such as http://127.0.0.1:8008
    #[arg(long, global = true, value_name = "URL", requires = "token")]
    pub(crate) url: Option<String>,
    /// An operator token for --url; `-` reads it from the standard input
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    #[command(subcommand)]
    pub(crate) topic: Topic,
}

const ABOUT: &str = "The homeserver for many domains in one process, and its operator's commands.";

const AFTER: &str = "\
Commands act on the running server whose data directory they are given, through a socket in it; if none runs, on the \
data itself. With --url and --token they act on a server elsewhere.

Exit codes:
  0  done
  1  refused, or failed; the reason is on the standard error
  2  the command line or the configuration is wrong
  3  it was looked, and something is not in order: what `tenant check`, `doctor`, `room repair` or `fsck` found is on the standard output";

#[derive(Debug, Subcommand)]
pub(crate) enum Topic {
    /// Run the server
    Serve(ServeArgs),
    /// Tenants: the domains that are hosted
    #[command(subcommand)]
    Tenant(TenantTopic),
    /// Users of tenants: their accounts and passwords
    #[command(subcommand)]
    User(UserTopic),
    /// Files: seen, deleted, withheld
    #[command(subcommand)]
    Media(MediaTopic),
    /// What administrators did
    Audit {
        /// The tenant; without one, what concerned the whole process
        server_name: Option<String>,
        /// How many acts at most, the newest first
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Tokens with which people register, where the policy says `tokens`
    #[command(subcommand)]
    RegistrationToken(RegistrationTokenTopic),
    /// Invitations with which people register, where the policy says `invitation`
    #[command(subcommand)]
    Invitation(InvitationTopic),
    /// Look how another server is reached, step by step, and whether it and others reach the tenants; or look at a
    /// tenant as others do
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor {
        /// The server
        server_name: String,
        /// Look at this tenant too; without any, at the first 20; may be repeated
        #[arg(long, value_name = "SERVER_NAME")]
        tenant: Vec<String>,
        /// Look at all tenants
        #[arg(long, conflicts_with = "tenant")]
        all: bool,
    },
    /// Rooms: how they are, and what is broken
    #[command(subcommand)]
    Room(RoomTopic),
    /// Operator tokens
    #[command(subcommand)]
    Token(TokenTopic),
    /// The configuration file
    #[command(subcommand)]
    Config(ConfigTopic),
    /// Make a backup of everything but the master key and media in a new directory, and read it again
    Backup {
        /// The directory, on the server's machine
        directory: PathBuf,
    },
    /// Put a backup into a data directory that holds nothing yet
    Restore {
        /// The directory of the backup
        directory: PathBuf,
    },
    /// Say how the process is: what its caches take
    Status,
    /// Read everything, compute anew what follows from the events, and look whether it is in order
    Fsck {
        /// Read the bytes of all media, too
        #[arg(long)]
        media: bool,
        /// Verify all signatures whose keys are here, and ask the authorisation rules about every event again
        #[arg(long)]
        deep: bool,
    },
    /// Take messages from the store and its files at once that nobody keeps any longer
    Forget,
}

/// How to run the server.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Listen on this address (host:port, or unix:PATH) in place of the configured ones; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Vec<String>,
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  freehold doctor matrix.org
  freehold doctor matrix.org --tenant example.org
  freehold doctor matrix.org --all
  freehold --json doctor example.org";

#[derive(Debug, Subcommand)]
pub(crate) enum RoomTopic {
    /// Show a room: extremities, state, servers, events, holes
    Show {
        /// Its id
        room_id: String,
    },
    /// Look what is broken of a room, ask other servers for what is lost, and say what would be changed
    #[command(after_help = REPAIR_EXAMPLES)]
    Repair {
        /// Its id
        room_id: String,
        /// Do it
        #[arg(long)]
        apply: bool,
        /// Ask this server first for what is lost; may be repeated
        #[arg(long, value_name = "SERVER_NAME")]
        via: Vec<String>,
    },
}

const REPAIR_EXAMPLES: &str = "\
Everything follows from the events: lost ones are asked for of other servers in the room and verified; then verdicts, states, \
forward extremities, timeline and members are computed anew. No event is removed.

Examples:
  freehold room repair '!room:example.org'
  freehold room repair '!room:example.org' --apply
  freehold room repair '!room:example.org' --via matrix.org";

impl RoomTopic {
    fn command(self) -> Command {
        match self {
            RoomTopic::Show { room_id } => Command::RoomShow { room_id },
            RoomTopic::Repair { room_id, apply, via } => Command::RoomRepair { room_id, apply, via },
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenTopic {
    /// Make an operator token
    Add {
        /// What it is for
        label: String,
    },
    /// List the operator tokens
    List,
    /// Take operator tokens back
    Remove {
        /// The label with which they were made
        label: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegistrationTokenTopic {
    /// Make a registration token
    Add {
        /// The tenant's name in Matrix
        server_name: String,
        /// Its text; something random if not given
        #[arg(long)]
        token: Option<String>,
        /// How many people can register with it; without a number, as many as want to
        #[arg(long)]
        uses: Option<u64>,
        /// For how many days; without a number, for ever
        #[arg(long)]
        days: Option<u32>,
    },
    /// List the registration tokens
    List(OneTenant),
    /// Take a registration token back
    Remove {
        /// The tenant's name in Matrix
        server_name: String,
        /// The token
        token: String,
    },
}

impl RegistrationTokenTopic {
    fn command(self) -> Command {
        match self {
            RegistrationTokenTopic::Add { server_name, token, uses, days } => {
                Command::RegistrationTokenAdd { server_name, wanted: WantedToken { token, uses, days } }
            }
            RegistrationTokenTopic::List(OneTenant { server_name }) => {
                Command::RegistrationTokenList { server_name }
            }
            RegistrationTokenTopic::Remove { server_name, token } => {
                Command::RegistrationTokenRemove { server_name, token }
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum InvitationTopic {
    /// Invite one person, who can register for a week
    #[command(after_help = INVITATION_EXAMPLES)]
    Add {
        /// The tenant's name in Matrix
        server_name: String,
        /// The user of the tenant who invites; without one, whose access token --token is
        #[arg(long)]
        by: Option<String>,
    },
    /// List the invitations that were used or can be
    List(OneTenant),
    /// Take an invitation back that nobody used
    Remove {
        /// The tenant's name in Matrix
        server_name: String,
        /// The code of the invitation
        code: String,
    },
}

const INVITATION_EXAMPLES: &str = "\
The invited person shows the code as a registration token. Who invited whom is in the audit log.

Examples:
  freehold invitation add example.org --by @alice:example.org
  freehold --url https://matrix.example.org --token ALICES_ACCESS_TOKEN invitation add example.org";

impl InvitationTopic {
    fn command(self) -> Command {
        match self {
            InvitationTopic::Add { server_name, by } => Command::InvitationAdd { server_name, by },
            InvitationTopic::List(OneTenant { server_name }) => Command::InvitationList { server_name },
            InvitationTopic::Remove { server_name, code } => Command::InvitationRemove { server_name, code },
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigTopic {
    /// Say what is wrong with a configuration file, if anything is
    Check {
        /// The file; without one, that of --config
        file: Option<PathBuf>,
    },
    /// Print a configuration file with every setting, what it means and its default
    Reference,
}

impl Topic {
    /// The command that is meant; `serve` and `config` are none.
    pub(crate) fn command(self) -> Result<Command, Failure> {
        match self {
            Topic::Serve(_) | Topic::Config(_) | Topic::Restore { .. } => {
                Err(Failure::Usage("not a command for a server".to_owned()))
            }
            Topic::Tenant(topic) => topic.command(),
            Topic::User(topic) => topic.command(),
            Topic::Media(topic) => Ok(topic.command()),
            Topic::Audit { server_name, limit } => Ok(Command::Audit { server_name, limit }),
            Topic::RegistrationToken(topic) => Ok(topic.command()),
            Topic::Invitation(topic) => Ok(topic.command()),
            Topic::Doctor { server_name, tenant, all } => {
                Ok(Command::Doctor { server_name, tenants: tenant, all })
            }
            Topic::Room(topic) => Ok(topic.command()),
            Topic::Token(TokenTopic::Add { label }) => Ok(Command::TokenAdd { label }),
            Topic::Token(TokenTopic::List) => Ok(Command::TokenList {}),
            Topic::Token(TokenTopic::Remove { label }) => Ok(Command::TokenRemove { label }),
            Topic::Backup { directory } => {
                absolute(&directory).map(|directory| Command::Backup { directory })
            }
            Topic::Status => Ok(Command::Status {}),
            Topic::Fsck { media, deep } => Ok(Command::Fsck { media, deep }),
            Topic::Forget => Ok(Command::Forget {}),
        }
    }
}

/// A path that means the same to a server with another working directory.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

/// Carries out what concerns the configuration file only.
pub(crate) fn config(topic: ConfigTopic, given: Option<&Path>, json: bool) -> Result<(), Failure> {
    match topic {
        ConfigTopic::Reference => print(&reference()),
        ConfigTopic::Check { file } => {
            let file = file.as_deref().or(given);
            let config = Config::check(file)?;
            let name = file.map_or("the defaults".to_owned(), |file| file.display().to_string());
            let listeners: Vec<String> =
                config.listener.iter().map(|listener| listener.address.to_string()).collect();
            match json {
                true => print(&format!("{:#}\n", json!({ "file": file, "listeners": listeners }))),
                false => print(&format!("{name}: in order, listens on {}\n", listeners.join(", "))),
            }
        }
    }
    Ok(())
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Something failed.
    #[error("{doing}: {cause}")]
    Failed {
        /// What was being done.
        doing: String,
        /// What came of it.
        cause: String,
    },
    /// It was looked, and something is wrong.
    #[error("{doing}: {what}")]
    Found {
        /// What was being done.
        doing: String,
        /// What is wrong.
        what: String,
    },
}

impl Failure {
    /// A failure of what was being done, with all its causes.
    pub(crate) fn of(doing: &str, error: impl Into<Box<dyn std::error::Error>>) -> Failure {
        let error = error.into();
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            cause = format!("{cause}: {inner}");
            source = inner.source();
        }
        Failure::Failed { doing: doing.to_owned(), cause }
    }

    /// What the process exits with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Usage(_) | Failure::Config(_) => ExitCode::from(2),
            Failure::Refused(_) | Failure::Failed { .. } => ExitCode::from(1),
            Failure::Found { .. } => ExitCode::from(3),
        }
    }
}

/// Prints what came back, as JSON or for people.
pub(crate) fn print_answer(answer: &Answer, json: bool) {
    let text =
        if json { serde_json::to_string_pretty(answer).unwrap_or_default() } else { answer.to_string() };
    print(&format!("{text}\n"));
}

/// Who looked and found something wrong fails, after saying what was found.
pub(crate) fn damage(answer: &Answer) -> Result<(), Failure> {
    let found = |doing: &str, what: String| Err(Failure::Found { doing: doing.to_owned(), what });
    match answer {
        Answer::Check(report) if report.damaged > 0 => found("fsck", format!("{} damaged", report.damaged)),
        Answer::Diagnosis(diagnosis) if !diagnosis.is_healthy() => {
            found("doctor", "not everybody reaches everybody".to_owned())
        }
        Answer::Report(report) if !report.is_in_order() => {
            found("tenant check", format!("{} does not publish what it should", report.server_name))
        }
        Answer::Repair(report) if !report.is_in_order() => {
            found("room repair", "the room is not in order".to_owned())
        }
        _ => Ok(()),
    }
}

/// Says on the standard error why a command failed; for programs as servers say it.
pub(crate) fn print_failure(failure: &Failure, json: bool) {
    let text = match failure {
        failure if !json => format!("freehold: {failure}"),
        Failure::Refused(refusal) => json!(refusal).to_string(),
        failure => json!({ "errcode": "M_UNKNOWN", "error": failure.to_string() }).to_string(),
    };
    // Nobody is left to tell when the standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints to the standard output; whoever closed it does not want to read on.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
