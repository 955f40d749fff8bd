//! What a run fails with: a sentence, with what was attempted in front.

use std::fmt::{Debug, Display};

/// The result of a step.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// A failed step, told to the person at the terminal.
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was attempted when it fails.
pub(crate) trait Context<T> {
    fn context(self, attempted: impl Display) -> Result<T>;
}

impl<T, E: Debug> Context<T> for std::result::Result<T, E> {
    fn context(self, attempted: impl Display) -> Result<T> {
        self.map_err(|error| Failure(format!("{attempted}: {error:?}")))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, attempted: impl Display) -> Result<T> {
        self.ok_or_else(|| Failure(format!("{attempted}: missing")))
    }
}
