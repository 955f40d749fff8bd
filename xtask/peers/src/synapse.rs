//! One Synapse server: configured, started, and stopped when dropped.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    certificates::{Authority, ServerCertificate},
    failure::{Context, Failure, Result},
    home::{Home, free_port},
    http::{Call, Client},
    link::Link,
};

const START_SECONDS_MAX: u64 = 90;

/// A running server.
pub(crate) struct Synapse {
    server_name: String,
    client_url: String,
    link: Link,
    command: Launch,
    /// The process, unless it was killed.
    process: Option<Child>,
}

/// How a server's process is started, the first time and again.
struct Launch {
    python: PathBuf,
    folder: PathBuf,
    configuration: PathBuf,
    authority: PathBuf,
}

/// Where a server's files are and what it runs with.
pub(crate) struct Setting<'a> {
    pub(crate) python: &'a Path,
    pub(crate) folder: &'a Path,
    pub(crate) authority: &'a Authority,
    pub(crate) client: &'a Client,
    /// Whether it tells who is online.
    pub(crate) presence: bool,
}

impl Home for Synapse {
    fn server_name(&self) -> &str {
        &self.server_name
    }

    fn client_url(&self) -> &str {
        &self.client_url
    }

    fn link(&self) -> &Link {
        &self.link
    }
}

impl Synapse {
    /// Starts a server and waits until it answers.
    pub(crate) fn start(setting: &Setting<'_>, name: &str) -> Result<Self> {
        let folder = setting.folder.join(name);
        std::fs::create_dir_all(&folder).context("folder of a server")?;
        let (client_port, federation_port) = (free_port()?, free_port()?);
        let link = Link::to_port("127.0.0.1", federation_port)?;
        let server_name = format!("127.0.0.1:{}", link.port());
        let certificate = setting.authority.issue(name, "127.0.0.1")?;
        let addresses = [
            ("server_name", json!(server_name)),
            ("listeners", listeners(client_port, federation_port)),
            ("presence", json!({"enabled": setting.presence})),
        ];
        let configuration = configuration(addresses, &folder, &certificate, &setting.authority.file());
        let file = folder.join("homeserver.json");
        std::fs::write(&file, configuration.to_string()).context("write a server's configuration")?;
        generate_keys(setting.python, &file)?;
        let client_url = format!("http://127.0.0.1:{client_port}");
        let (python, authority) = (setting.python.to_path_buf(), setting.authority.file());
        let command = Launch { python, folder, configuration: file, authority };
        let mut server = Self { server_name, client_url, link, command, process: None };
        server.begin(setting.client)?;
        Ok(server)
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("a Synapse to kill")?;
        process.kill().context("kill Synapse")?;
        process.wait().context("wait for the end of Synapse").map(drop)
    }

    /// Starts the process, and waits until it answers.
    pub(crate) fn begin(&mut self, client: &Client) -> Result<()> {
        self.process = Some(self.command.spawn()?);
        self.wait(client)
    }

    fn wait(&mut self, client: &Client) -> Result<()> {
        let log = self.command.log();
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        while Instant::now() < deadline {
            let url = format!("{}/_matrix/client/versions", self.client_url);
            if client.send(Call { method: "GET", url, authorization: None, body: None }).is_ok() {
                return Ok(());
            }
            let ended = self.process.as_mut().map(Child::try_wait).transpose();
            if let Some(status) = ended.context("state of a server's process")?.flatten() {
                return Err(Failure::new(format!("Synapse ended with {status}: see {}", log.display())));
            }
            thread::sleep(Duration::from_millis(200));
        }
        Err(Failure::new(format!("Synapse did not answer in {START_SECONDS_MAX} s: see {}", log.display())))
    }
}

impl Drop for Synapse {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Nothing can be done about a process that has ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Launch {
    fn log(&self) -> PathBuf {
        self.folder.join("log.txt")
    }

    fn spawn(&self) -> Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(self.log());
        let log = log.context("log file of a server")?;
        let errors = log.try_clone().context("log file of a server")?;
        let mut command = Command::new(&self.python);
        command.args(["-m", "synapse.app.homeserver", "-c"]).arg(&self.configuration);
        // Identity servers are not asked by way of the federation, which has a setting of its own.
        command.current_dir(&self.folder).env("SSL_CERT_FILE", &self.authority);
        command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().context("start Synapse")
    }
}

fn generate_keys(python: &Path, configuration: &Path) -> Result<()> {
    let mut command = Command::new(python);
    command.args(["-m", "synapse.app.homeserver", "--generate-keys", "-c"]).arg(configuration);
    let output = command.stdin(Stdio::null()).output().context("generate a server's keys")?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "Synapse did not take its configuration: {}",
        String::from_utf8_lossy(&output.stderr)
    )))
}

fn listeners(client_port: u16, federation_port: u16) -> Value {
    let listener = |port: u16, tls: bool, resource: &str| {
        json!({
            "port": port, "tls": tls, "type": "http", "bind_addresses": ["127.0.0.1"],
            "resources": [{"names": [resource]}],
        })
    };
    json!([listener(client_port, false, "client"), listener(federation_port, true, "federation")])
}

fn configuration(
    addresses: [(&str, Value); 3],
    folder: &Path,
    certificate: &ServerCertificate,
    authority: &Path,
) -> Value {
    let path = |name: &str| -> PathBuf { folder.join(name) };
    let rate = json!({"per_second": 10000, "burst_count": 10000});
    let rest = json!({
        "pid_file": path("pid"),
        "database": {"name": "sqlite3", "args": {"database": path("homeserver.db")}},
        "media_store_path": path("media"),
        "signing_key_path": path("signing.key"),
        "tls_certificate_path": certificate.certificate,
        "tls_private_key_path": certificate.private_key,
        "federation_custom_ca_list": [authority],
        "ip_range_blacklist": [],
        "federation_ip_range_blacklist": [],
        "trusted_key_servers": [],
        "suppress_key_server_warning": true,
        "report_stats": false,
        "macaroon_secret_key": "for one run",
        "form_secret": "for one run",
        "enable_registration": true,
        "enable_registration_without_verification": true,
        // Each sync shows what is, not what was shown a minute ago.
        "caches": {"sync_response_cache_duration": "0s"},
        "allow_public_rooms_over_federation": true,
        "room_list_publication_rules": [{"action": "allow"}],
        "federation": {
            "destination_min_retry_interval": "1s",
            "destination_retry_multiplier": 1,
            "destination_max_retry_interval": "1s",
        },
        "rc_message": rate, "rc_registration": rate, "rc_joins_per_room": rate, "rc_admin_redaction": rate,
        "rc_login": {"address": rate, "account": rate, "failed_attempts": rate},
        "rc_joins": {"local": rate, "remote": rate},
        "rc_presence": {"per_user": rate},
        "rc_third_party_invite": rate,
        "rc_invites": {"per_room": rate, "per_user": rate, "per_issuer": rate},
        "rc_federation": {
            "window_size": 1000, "sleep_limit": 100_000, "sleep_delay": 1, "reject_limit": 100_000, "concurrent": 100,
        },
    });
    let addresses = addresses.into_iter().map(|(name, value)| (name.to_owned(), value));
    addresses.chain(rest.as_object().cloned().into_iter().flatten()).collect()
}
