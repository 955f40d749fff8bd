//! The bootstrap file: tenants that are added at the start if they are not there, so that automation needs no dialogue.

use std::path::{Path, PathBuf};

use freehold_tenancy::{AddError, By, NewTenant, Policy, Tenancy};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{ConfigError, parse};

/// The file, with policies of some form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bootstrap<P> {
    #[serde(default = "Vec::new")]
    tenant: Vec<Declared<P>>,
}

/// A tenant in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared<P> {
    server_name: String,
    #[serde(default)]
    hostnames: Vec<String>,
    owner: Option<String>,
    #[serde(default)]
    vouched: bool,
    /// What is merged into its policy when it is added.
    policy: Option<P>,
}

/// Looks whether a file is in order.
///
/// # Errors
/// [`ConfigError`], which names file, line, key and what was expected.
pub(crate) fn check(file: &Path) -> Result<(), ConfigError> {
    read::<Policy>(file).map(|_| ())
}

fn read<P: DeserializeOwned>(file: &Path) -> Result<Bootstrap<P>, ConfigError> {
    #[expect(clippy::disallowed_methods, reason = "the program reads its configuration")]
    let text = std::fs::read_to_string(file)
        .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
    parse(&text, file)
}

/// Adds the tenants of a file that are not there. What there is stays as it is, whatever the file says.
///
/// # Errors
/// [`BootstrapError`]; tenants before the one at fault were added.
pub(crate) async fn run(file: &Path, tenancy: &Tenancy) -> Result<(), BootstrapError> {
    // Before any is added: what is wrong with a policy is known by its line.
    check(file)?;
    for declared in read::<Value>(file)?.tenant {
        add(declared, file, tenancy).await?;
    }
    Ok(())
}

async fn add(declared: Declared<Value>, file: &Path, tenancy: &Tenancy) -> Result<(), BootstrapError> {
    let Declared { server_name, hostnames, owner, vouched, policy } = declared;
    let tenant = server_name.clone();
    let new = NewTenant { server_name, hostnames, owner, vouched, policy };
    match tenancy.add(new, &By::Operator).await {
        Ok(_) | Err(AddError::Exists { .. }) => Ok(()),
        Err(source) => Err(BootstrapError::Add { file: file.to_owned(), tenant, source }),
    }
}

/// Why not all tenants of the file were added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootstrapError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// A tenant cannot be added.
    #[error("{}: tenant `{tenant}`", file.display())]
    Add {
        /// The file.
        file: PathBuf,
        /// The tenant.
        tenant: String,
        /// Why.
        source: AddError,
    },
}
