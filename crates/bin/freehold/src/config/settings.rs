//! Every setting, with what it means and its default.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use ruma_common::{OwnedServerName, owned_server_name};
use serde::{Deserialize, Deserializer};

use super::address::Address;
use super::domain::ProviderDomain;
use super::name_server::NameServer;
use super::network::Network;
use super::place::{MediaPlace, StoragePlace};
use super::size::{Budget, Size};

/// A setting in the reference.
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) doc: &'static [&'static str],
    /// The default as TOML, or an example if there is none.
    pub(super) shown: &'static str,
    pub(super) is_default: bool,
}

/// Declares a table of settings: its struct, its defaults and its part of the reference.
macro_rules! settings {
    ($(#[doc = $about:literal])* $name:ident {
        $($(#[doc = $doc:literal])* $field:ident: $kind:ty = $default:expr, $word:ident $shown:literal;)*
    }) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[doc = $doc])* pub(crate) $field: $kind,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)* }
            }
        }

        impl $name {
            pub(super) const ABOUT: &'static [&'static str] = &[$($about),*];
            pub(super) const ROWS: &'static [Row] = &[$(Row {
                key: stringify!($field),
                doc: &[$($doc),*],
                shown: $shown,
                is_default: settings!(@$word),
            }),*];
        }
    };
    (@default) => { true };
    (@example) => { false };
}

settings! {
    /// What concerns the whole process.
    Config {
        /// Where everything is kept.
        data: PathBuf = "freehold-data".into(), default "\"freehold-data\"";
        /// Where the store is, as `file:///DIRECTORY`; without it, in the data directory.
        storage: Option<StoragePlace> = None, example "\"file:///srv/fast/freehold\"";
        /// Where the bytes of media are: `file:///DIRECTORY`, or `s3://BUCKET/PREFIX?endpoint=URL&region=NAME` for a service
        /// that speaks S3, with credentials in the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`); without it,
        /// in the data directory.
        media: Option<MediaPlace> = None, example "\"s3://media/freehold?endpoint=https://s3.example.net&region=eu-1\"";
        /// The provider's own domain. Each tenant gets a hostname below it, so that one wildcard DNS record and one
        /// wildcard certificate serve everybody.
        base_domain: Option<ProviderDomain> = None, example "\"m.example.net\"";
        /// Whether hosts below `.localhost` become tenants when somebody on this machine asks for them: for trying
        /// out. Only on listeners that other machines cannot reach.
        localhost_tenants: bool = true, default "true";
        /// A file with tenants that are added at the start if they are not there.
        bootstrap: Option<PathBuf> = None, example "\"/etc/freehold/tenants.toml\"";
        /// The file with the key under which the tenants' signing keys are sealed; without one, `master.key` in the
        /// data directory, made at the first start.
        master_key: Option<PathBuf> = None, example "\"/run/credentials/freehold.service/master.key\"";
        /// How much memory all caches together may take; `freehold status` says what they do. Some hundred people are served
        /// well with the default; 16 MiB is the least.
        memory: Budget = Budget(32 << 20), default "\"32 MiB\"";
        /// For how many days a tenant that was removed can come back.
        grace_days: u32 = 30, default "30";
        /// Networks of reverse proxies whose `X-Forwarded-For` is believed.
        trusted_proxies: Vec<Network> = Vec::new(), default "[]";
        /// Files with certificates of authorities that are trusted beside those of the web, in PEM format.
        extra_ca: Vec<PathBuf> = Vec::new(), default "[]";
        /// Networks in which other servers, and what domains publish, are looked for although they are not of the
        /// internet.
        allowed_networks: Vec<Network> = Vec::new(), default "[]";
        /// Name servers that are asked for the names of other servers, as an address with a port or without; without any, those
        /// of the system.
        nameservers: Vec<NameServer> = Vec::new(), default "[]";
        /// Servers that are asked for the keys of servers that do not answer, and first of all for those of many servers
        /// at once, in this order. They are believed.
        notaries: Vec<OwnedServerName> = vec![owned_server_name!("matrix.org")], default "[\"matrix.org\"]";
        /// Whether rooms of others are joined with a few of their members at first, so that large ones can be used before all
        /// the others have come and were verified. Without it a join takes until they have, and what asks who is in the
        /// room never has to wait.
        omit_members: bool = true, default "true";
        /// How much people and other servers may have the server keep and do.
        limits: Bounds = Bounds::default(), default "";
        /// How many requests who may send.
        rate_limits: RateLimits = RateLimits::default(), default "";
        /// What is logged, and how.
        log: Log = Log::default(), default "";
        /// Where the server listens; several are possible.
        listener: Vec<Listener> = vec![Listener::default()], default "";
    }
}

settings! {
    /// A place where the server listens.
    Listener {
        /// Host and port; `unix:` and a path; or `systemd:` and the number, from 0, of a socket that systemd opened.
        address: Address = Address::Tcp(([127, 0, 0, 1], 8008).into()), default "\"127.0.0.1:8008\"";
        /// The tenant for hosts that nobody has.
        default_tenant: Option<String> = None, example "\"example.org\"";
        /// Which APIs are served: `client`, `federation`, `admin`, `metrics`. The last two ask for an operator token; a
        /// listener that serves nothing but `metrics` does not.
        apis: Vec<Api> = Api::ALL.to_vec(), default "[\"client\", \"federation\", \"admin\", \"metrics\"]";
        /// Certificates for TLS: pairs of files in PEM format. The one that names the host is shown; the first, if
        /// none does. Without any, the listener speaks plain HTTP. They are read anew on SIGHUP, and within a minute when
        /// the files change.
        tls: Vec<Certificate> = Vec::new(), default "[]";
    }
}

/// A certificate for TLS.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    /// The file with the certificate and those that lead to its authority.
    pub(crate) certificate: PathBuf,
    /// The file with its private key.
    pub(crate) key: PathBuf,
}

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    /// What Matrix clients use, and what tenants publish.
    Client,
    /// What other servers use, and what tenants publish.
    Federation,
    /// The operator's commands, with a token.
    Admin,
    /// Metrics for Prometheus.
    Metrics,
}

impl Api {
    /// All of them.
    pub(crate) const ALL: [Api; 4] = [Api::Client, Api::Federation, Api::Admin, Api::Metrics];
}

settings! {
    /// How much people and other servers may have the server keep and do, whatever tenants want: their policies set less.
    Bounds {
        /// Connections that a listener holds open at the same time; more wait until one of them ends. The system must allow as many
        /// open files (`LimitNOFILE` of systemd), and some hundred more.
        connections: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999), default "10000";
        /// Those of them from one address, or network of IPv6 (/64); more are closed at once. Those from this machine and from
        /// `trusted_proxies` are not counted. A large server opens one for each tenant that it speaks with.
        connections_of_address: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999), default "1000";
        /// After how many minutes a connection is closed on which nothing comes or goes. A sync without news takes five at most.
        idle_minutes: NonZeroU32 = NonZeroU32::MIN.saturating_add(9), default "10";
        /// Bytes of an uploaded file (`media.file_bytes` in a policy).
        upload: Size = Size(100 << 20), default "\"100 MiB\"";
        /// Bytes of a file that is fetched from another server (`media.others_file_bytes` in a policy).
        others_file: Size = Size(100 << 20), default "\"100 MiB\"";
        /// Bytes of all files of other servers that are kept for a tenant whose policy has no `media.others_bytes`.
        others_files: Size = Size(1 << 30), default "\"1 GiB\"";
        /// Pictures of which thumbnails are made at the same time.
        pictures_at_once: NonZeroUsize = NonZeroUsize::MIN, default "1";
        /// Devices of a user.
        devices: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999), default "1000";
        /// For how many minutes an access token is good that came with a refresh token. Others are good until they are taken back.
        access_token_minutes: NonZeroU32 = NonZeroU32::MIN.saturating_add(59), default "60";
        /// Passwords that are hashed at the same time; each takes 19 MiB of memory meanwhile.
        passwords_at_once: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1), default "2";
        /// Whether failed logins slow down further logins of the same account.
        slow_failed_logins: bool = true, default "true";
        /// Pieces of account data of a user, in all rooms together.
        account_data: usize = 20_000, default "20000";
        /// Messages between devices that wait for one that does not fetch them; beyond it the oldest go.
        to_device_messages: usize = 10_000, default "10000";
        /// Keys in a backup of a user.
        backed_up_keys: u64 = 1_000_000, default "1000000";
    }
}

settings! {
    /// How many requests who may send: in each second in the long run, and at once after a pause.
    RateLimits {
        /// Whether anybody is limited.
        enabled: bool = true, default "true";
        /// Each user.
        user: Rate = Rate { per_second: 20, burst: 200 }, default "{ per_second = 20, burst = 200 }";
        /// Each other server that asks a tenant.
        server: Rate = Rate { per_second: 50, burst: 500 }, default "{ per_second = 50, burst = 500 }";
        /// Each address that asks a tenant without an access token or a server's signature.
        address: Rate = Rate { per_second: 5, burst: 50 }, default "{ per_second = 5, burst = 50 }";
        /// All of a tenant together.
        tenant: Rate = Rate { per_second: 500, burst: 5000 }, default "{ per_second = 500, burst = 5000 }";
    }
}

/// How many requests somebody may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    /// In each second in the long run.
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) per_second: u32,
    /// At once after a pause.
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) burst: u32,
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    NonZeroU32::deserialize(deserializer).map(NonZeroU32::get)
}

settings! {
    /// What is logged, and how.
    Log {
        /// `error`, `warn`, `info`, `debug` or `trace`.
        level: LogLevel = LogLevel::Info, default "\"info\"";
        /// `text` for people, `json` for programs.
        format: LogFormat = LogFormat::Text, default "\"text\"";
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// What failed.
    Error,
    /// What should be looked at.
    Warn,
    /// What happens to the server as a whole.
    Info,
    /// What happens to each request.
    Debug,
    /// Everything.
    Trace,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object on each line.
    Json,
}
