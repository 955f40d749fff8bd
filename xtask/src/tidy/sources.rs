//! The text files of the workspace, as git knows them.

use std::{path::PathBuf, process::Command};

use crate::process::{output, workspace_root};

/// A text file of the workspace.
pub(crate) struct Source {
    /// Path from the top of the workspace, with `/`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl Source {
    /// Whether this is Rust code.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Reads every file that git tracks or would track, without those that are not text.
pub(crate) fn read() -> Result<Vec<Source>, String> {
    let root = workspace_root();
    let mut git = Command::new("git");
    git.current_dir(&root).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = output(&mut git)?;
    Ok(listed.lines().filter_map(|path| read_one(root.join(path), path)).collect())
}

fn read_one(file: PathBuf, path: &str) -> Option<Source> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(Source { path: path.to_owned(), text })
}
