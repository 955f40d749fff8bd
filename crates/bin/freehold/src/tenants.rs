//! Commands about tenants.

use clap::{Args, Subcommand};
use freehold_admin_api::{Command, OldKeyText};
use serde_json::Value;

use crate::cli::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum TenantTopic {
    /// Host a domain
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// Its name in Matrix
        server_name: String,
        /// Where clients and other servers reach it; without any, below `base_domain`; may be repeated
        #[arg(long)]
        hostname: Vec<String>,
        /// How to reach the owner
        #[arg(long)]
        owner: Option<String>,
        /// Vouch that the owner controls the domain: it is active at once, without proof
        #[arg(long)]
        vouch: bool,
    },
    /// List the tenants
    List {
        /// After the tenant of this number
        #[arg(long, default_value_t = 0)]
        after: u32,
        /// How many at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show a tenant
    Show(OneTenant),
    /// Look whether the tenant controls its domain, and say record by record what is seen
    Check(OneTenant),
    /// Print the files and DNS records that the owner publishes
    Records(OneTenant),
    /// Vouch that the owner controls the domain
    Vouch(OneTenant),
    /// Stop a tenant: its people cannot act, nothing is lost
    Suspend(OneTenant),
    /// Take a suspension or a removal back
    Resume(OneTenant),
    /// Let a tenant go: its people stop at once, and it departs after the grace period
    Remove(OneTenant),
    /// Change where a tenant is reached, or how to reach its owner
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// Its name in Matrix
        server_name: String,
        /// Where clients and other servers are to reach it; the first is published; may be repeated
        #[arg(long)]
        hostname: Vec<String>,
        /// The hostnames that it has lead to it no longer
        #[arg(long, requires = "hostname")]
        drop_old: bool,
        /// How to reach the owner; an empty text takes it back
        #[arg(long)]
        owner: Option<String>,
    },
    /// Make a new signing key, which takes over from those that the tenant has
    #[command(after_help = ROTATE_EXAMPLES)]
    RotateKey {
        /// Its name in Matrix
        server_name: String,
        /// At once, for a key that has got out
        #[arg(long)]
        at_once: bool,
    },
    /// Publish a key with which the tenant signed on another server, before it came here
    #[command(after_help = OLD_KEY_EXAMPLES)]
    AddOldKey {
        /// Its name in Matrix
        server_name: String,
        /// The id of the key
        key_id: String,
        /// The public key, as unpadded Base64
        key: String,
        /// Until when it was in use, in milliseconds since the Unix epoch
        expired_ts: i64,
    },
    /// Show the policy of a tenant, or change it
    #[command(after_help = POLICY_EXAMPLES)]
    Policy {
        /// Its name in Matrix
        server_name: String,
        /// A JSON object to merge into the policy; null takes a setting back
        #[arg(long, value_name = "JSON")]
        set: Option<String>,
    },
}

const ADD_EXAMPLES: &str = "\
Examples:
  freehold tenant add example.org
  freehold tenant add example.org --hostname matrix.example.org --owner admin@example.org
  freehold tenant add 192.0.2.7:8448 --vouch";

const SET_EXAMPLES: &str = "\
Hostnames that the tenant has go on leading to it, after the new ones, until they are dropped: what its domain publishes names them until
its owner changes that, and others remember it for some days. What the domain publishes is looked at at once; a tenant that proved control
of its domain before stays in service for seven days without. Certificates for new hostnames are files of a listener.

Examples:
  freehold tenant set example.org --owner admin@example.org
  freehold tenant set example.org --hostname matrix.example.org
  freehold tenant records example.org
  freehold tenant set example.org --hostname matrix.example.org --drop-old";

const ROTATE_EXAMPLES: &str = "\
The new key is published for an hour before it signs, and those before it are valid for a day more; then they stay published among
`old_verify_keys`, so that what they signed can be verified for ever. With --at-once none of that is waited for: servers that have asked for
the tenant's keys before refuse what it signs until they ask again.

Examples:
  freehold tenant rotate-key example.org
  freehold tenant rotate-key example.org --at-once";

const OLD_KEY_EXAMPLES: &str = "\
What a tenant signed elsewhere is verified with the key of that time. The server that it came from shows its keys at
`/_matrix/key/v2/server`: those among `verify_keys` were in use until the move.

Examples:
  freehold tenant add-old-key example.org ed25519:a_RXGa l8Hft5qXKn1vfHrg3p4+W8gELQVo8N13JkluMfmn2sQ 1735689600000";

const POLICY_EXAMPLES: &str = "\
Examples:
  freehold tenant policy example.org
  freehold tenant policy example.org --set '{\"registration\": {\"mode\": \"tokens\"}}'
  freehold tenant policy example.org --set '{\"quotas\": {\"users\": 20}}'";

#[derive(Debug, Args)]
pub(crate) struct OneTenant {
    /// Its name in Matrix
    pub(crate) server_name: String,
}

impl TenantTopic {
    /// The command that is meant.
    pub(crate) fn command(self) -> Result<Command, Failure> {
        Ok(match self {
            TenantTopic::Add { server_name, hostname, owner, vouch } => {
                Command::TenantAdd { server_name, hostnames: hostname, owner, vouched: vouch }
            }
            TenantTopic::List { after, limit } => Command::TenantList { after, limit },
            TenantTopic::Show(OneTenant { server_name }) => Command::TenantShow { server_name },
            TenantTopic::Check(OneTenant { server_name }) => Command::TenantCheck { server_name },
            TenantTopic::Records(OneTenant { server_name }) => Command::TenantRecords { server_name },
            TenantTopic::Vouch(OneTenant { server_name }) => Command::TenantVouch { server_name },
            TenantTopic::Suspend(OneTenant { server_name }) => Command::TenantSuspend { server_name },
            TenantTopic::Resume(OneTenant { server_name }) => Command::TenantResume { server_name },
            TenantTopic::Remove(OneTenant { server_name }) => Command::TenantRemove { server_name },
            TenantTopic::Set { server_name, hostname, drop_old, owner } => {
                if hostname.is_empty() && owner.is_none() {
                    return Err(Failure::Usage(
                        "nothing is to change: see --hostname and --owner".to_owned(),
                    ));
                }
                Command::TenantSet { server_name, hostnames: hostname, drop_old, owner }
            }
            TenantTopic::RotateKey { server_name, at_once } => {
                Command::TenantRotateKey { server_name, at_once }
            }
            TenantTopic::AddOldKey { server_name, key_id, key, expired_ts } => {
                Command::TenantAddOldKey { server_name, key: OldKeyText { key_id, key, expired_ts } }
            }
            TenantTopic::Policy { server_name, set } => {
                let set: Option<Value> = set
                    .map(|text| serde_json::from_str(&text))
                    .transpose()
                    .map_err(|error| Failure::Usage(format!("--set is not JSON: {error}")))?;
                Command::TenantPolicy { server_name, set }
            }
        })
    }
}
