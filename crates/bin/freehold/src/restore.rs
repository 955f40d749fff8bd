//! `freehold restore`: a backup becomes the data of a server that has none yet.

use std::path::Path;

use freehold_admin_api::{FileError, Frames, KEYS_FILE, STORE_FILE};
use freehold_store::backup::Restore;
use freehold_store_fjall::FjallEngine;
use serde_json::json;

use crate::cli::{Failure, print};
use crate::config::Config;
use crate::data::Data;
use crate::parts::{engine, master_key_file};

/// Puts a backup into the data directory, which holds no store yet.
pub(crate) fn run(config: &Config, backup: &Path, json: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::of("cannot start", error))?;
    runtime.block_on(async {
        let data = Data::take(&config.data).map_err(|error| Failure::of("cannot restore", error))?;
        let engine = engine(config, &data)?;
        let file = backup.join(STORE_FILE);
        let restored = restore(&engine, &file).await;
        let rows = restored.map_err(|error| Failure::of("cannot restore", error.in_file(&file)))?;
        let keys = data.path().join(KEYS_FILE);
        if keys.exists() {
            return Err(Failure::Usage(format!(
                "`{}` is there already, and is kept as it is",
                keys.display()
            )));
        }
        std::fs::copy(backup.join(KEYS_FILE), keys)
            .map_err(|error| Failure::of("cannot restore the keys", error))?;
        match json {
            true => print(&format!("{:#}\n", json!({ "rows": rows }))),
            false => print(&format!(
                "{rows} rows restored; before you start the server, put the master key in its place: {}\n",
                master_key_file(config, &data).display()
            )),
        }
        Ok(())
    })
}

async fn restore(engine: &FjallEngine, file: &Path) -> Result<u64, FileError> {
    let mut restore = Restore::new(engine)?;
    let mut frames = Frames::open(file).await?;
    while let Some(frame) = frames.next().await? {
        restore.frame(&frame).await?;
    }
    Ok(restore.end().await?.rows)
}
