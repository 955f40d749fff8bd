//! Commands about files.

use clap::Subcommand;
use freehold_admin_api::Command;

#[derive(Debug, Subcommand)]
pub(crate) enum MediaTopic {
    /// Show a file of a tenant, or one of another server that the tenant keeps
    Show {
        /// The tenant's name in Matrix
        server_name: String,
        /// The file's mxc:// URI
        uri: String,
    },
    /// Delete a file of a tenant, or what the tenant keeps of one of another server
    Delete {
        /// The tenant's name in Matrix
        server_name: String,
        /// The file's mxc:// URI
        uri: String,
    },
    /// Withhold a file from a tenant's people and from whoever asks the tenant for it; its bytes are not taken in anew either
    Quarantine {
        /// The tenant's name in Matrix
        server_name: String,
        /// The file's mxc:// URI
        uri: String,
    },
    /// Take a file out of quarantine
    Release {
        /// The tenant's name in Matrix
        server_name: String,
        /// The file's mxc:// URI, or the SHA-256 of its bytes
        file: String,
    },
    /// List what is in quarantine
    Quarantined {
        /// The tenant's name in Matrix; without one, what is blocked for all
        server_name: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Withhold bytes from all tenants, wherever they come from
    #[command(after_help = BLOCK_EXAMPLES)]
    Block {
        /// The SHA-256 of the bytes, as `media show` prints it
        sha256: String,
    },
    /// Take a block back
    Unblock {
        /// The SHA-256 of the bytes
        sha256: String,
    },
}

const BLOCK_EXAMPLES: &str = "\
Examples:
  freehold media show example.org mxc://example.org/FAFtMHXUGXzhRkEVzwFuvsYi
  freehold media quarantine example.org mxc://example.org/FAFtMHXUGXzhRkEVzwFuvsYi
  freehold media block e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

impl MediaTopic {
    /// The command that is meant.
    pub(crate) fn command(self) -> Command {
        match self {
            MediaTopic::Show { server_name, uri } => Command::MediaShow { server_name, uri },
            MediaTopic::Delete { server_name, uri } => Command::MediaDelete { server_name, uri },
            MediaTopic::Quarantine { server_name, uri } => Command::MediaQuarantine { server_name, uri },
            MediaTopic::Release { server_name, file } => Command::MediaRelease { server_name, file },
            MediaTopic::Quarantined { server_name, limit } => {
                Command::MediaQuarantined { server_name, limit }
            }
            MediaTopic::Block { sha256 } => Command::MediaBlock { sha256 },
            MediaTopic::Unblock { sha256 } => Command::MediaUnblock { sha256 },
        }
    }
}
