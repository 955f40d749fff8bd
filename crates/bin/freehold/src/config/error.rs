//! What is wrong with a configuration file, and where.

use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{}:{line}: {}{expected}", file.display(), in_key(key))]
    Wrong {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The setting; empty if none was read.
        key: String,
        /// What was found and what was expected.
        expected: String,
    },
}

impl ConfigError {
    /// An error of the parser, with its place in the text.
    pub(super) fn at(file: &Path, text: &str, error: &toml::de::Error, key: String) -> Self {
        let offset = error.span().map_or(0, |span| span.start);
        let before = text.get(..offset).unwrap_or(text);
        ConfigError::Wrong {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            key: if key == "." { String::new() } else { key },
            expected: error.message().trim().replace('\n', ", "),
        }
    }
}

fn in_key(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("`{key}`: ") }
}
