//! Why a command could not do its work, and what the process says then.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use crate::keys::KeysError;
use crate::room::RoomError;

/// Everything was done, and nothing was found wrong.
pub(crate) const SUCCESS: u8 = 0;
/// The work was done, and it found what it looks for: an invalid event, a disagreement.
pub(crate) const FINDINGS: u8 = 1;
// 2 is clap's: the command line is wrong.
/// The input is not what the command needs.
pub(crate) const BAD_INPUT: u8 = 3;
/// A file could not be read or written.
pub(crate) const IO: u8 = 4;
/// A library stopped, for instance over its budget.
pub(crate) const STOPPED: u8 = 5;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Room(#[from] RoomError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A name on the command line that the room does not have.
    #[error("{file} has no event {event_id}")]
    NoSuchEvent { file: String, event_id: String },
    /// The state that was asked for needs events that are not there.
    #[error("the state at {event_id} is not known: {reason}")]
    StateUnknown { event_id: String, reason: String },
    #[error("{0}")]
    BadRequest(String),
    #[error("cannot write {path}")]
    Write { path: String, source: io::Error },
    #[error("cannot resolve the state at {event_id}: {source}")]
    Resolve { event_id: String, source: Box<dyn Error + Send + Sync> },
}

impl Failure {
    pub(crate) fn stdout(source: io::Error) -> Failure {
        Failure::Write { path: "standard output".to_owned(), source }
    }

    /// Whether somebody closed the pipe we write to (`roomlab … | head`): not worth a word.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Failure::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Room(error) => error.code(),
            Failure::Keys(error) => error.code(),
            Failure::NoSuchEvent { .. } | Failure::StateUnknown { .. } | Failure::BadRequest(_) => BAD_INPUT,
            Failure::Write { .. } => IO,
            Failure::Resolve { .. } => STOPPED,
        })
    }
}

/// The error and everything that led to it, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
