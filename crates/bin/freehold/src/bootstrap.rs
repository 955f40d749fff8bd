//! The bootstrap file: tenants that are added at the start if they are not there, so that automation needs no dialogue.

use std::path::{Path, PathBuf};

use freehold_tenancy::{AddError, By, NewTenant, PolicyError, Tenancy};
use serde::Deserialize;
use serde_json::Value;

use crate::config::{ConfigError, parse};

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Bootstrap {
    tenant: Vec<Declared>,
}

/// A tenant in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    server_name: String,
    #[serde(default)]
    hostnames: Vec<String>,
    owner: Option<String>,
    #[serde(default)]
    vouched: bool,
    /// What is merged into its policy when it is added.
    policy: Option<Value>,
}

/// Adds the tenants of a file that are not there. What there is stays as it is, whatever the file says.
///
/// # Errors
/// [`BootstrapError`]; tenants before the one at fault were added.
pub(crate) async fn run(file: &Path, tenancy: &Tenancy) -> Result<(), BootstrapError> {
    #[expect(clippy::disallowed_methods, reason = "the program reads its configuration")]
    let text = std::fs::read_to_string(file)
        .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
    let bootstrap: Bootstrap = parse(&text, file)?;
    for declared in bootstrap.tenant {
        add(declared, file, tenancy).await?;
    }
    Ok(())
}

async fn add(declared: Declared, file: &Path, tenancy: &Tenancy) -> Result<(), BootstrapError> {
    let Declared { server_name, hostnames, owner, vouched, policy } = declared;
    let tenant = server_name.clone();
    let new = NewTenant { server_name, hostnames, owner, vouched };
    let facts = match tenancy.add(new, &By::Operator).await {
        Ok(facts) => facts,
        Err(AddError::Exists { .. }) => return Ok(()),
        Err(source) => return Err(BootstrapError::Add { file: file.to_owned(), tenant, source }),
    };
    if let Some(patch) = policy {
        let changed = tenancy.change_policy(&facts.tenant, &patch, &By::Operator).await;
        changed.map_err(|source| BootstrapError::Policy { file: file.to_owned(), tenant, source })?;
    }
    Ok(())
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
    /// The policy of a tenant makes no sense.
    #[error("{}: tenant `{tenant}`", file.display())]
    Policy {
        /// The file.
        file: PathBuf,
        /// The tenant.
        tenant: String,
        /// Why.
        source: PolicyError,
    },
}
