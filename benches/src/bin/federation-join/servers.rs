//! Servers that join: ours and Synapse, each with nothing in it but one user.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::http::Outcome;
use crate::process::{Process, Server, free_port, new_folder, run};
use crate::resident::Resident;

/// The name of whoever joins.
const SERVER_NAME: &str = "single.localhost";

/// Where servers keep things, and whom they know.
pub(crate) struct Setting<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) resident: &'a Resident,
}

impl Setting<'_> {
    /// Ours, as it comes; the resident server is its notary.
    pub(crate) async fn ours(&self, program: &Path, round: usize) -> Outcome<Server> {
        let folder = self.folder.join(format!("ours-{round}"));
        new_folder(&folder)?;
        let port = free_port()?;
        let text = |path: &Path| Value::from(path.to_string_lossy()).to_string();
        let configuration = format!(
            "data = {}\nbootstrap = {}\nextra_ca = [{}]\nallowed_networks = [\"127.0.0.0/8\"]\n\
             notaries = [\"{}\"]\n\n[rate_limits]\nenabled = false\n\n[log]\nlevel = \"warn\"\n\n\
             [[listener]]\naddress = \"127.0.0.1:{port}\"\n",
            text(&folder.join("data")),
            text(&folder.join("tenants.toml")),
            text(&self.resident.authority),
            self.resident.name,
        );
        let tenants = format!(
            "[[tenant]]\nserver_name = \"{SERVER_NAME}\"\nvouched = true\n\
             policy = {{ registration = {{ mode = \"open\" }} }}\n"
        );
        write(&folder.join("tenants.toml"), &tenants)?;
        let file = folder.join("freehold.toml");
        write(&file, &configuration)?;
        let mut command = Command::new(program);
        command.arg("--config").arg(&file).arg("serve").current_dir(&folder);
        let process = Process::start(command, &folder, "TERM")?;
        Server::wait(("ours", SERVER_NAME), port, process).await
    }

    /// Synapse on SQLite, as its packages install it; it has all keys from the resident server, too.
    pub(crate) async fn synapse(&self, python: &Path) -> Outcome<Server> {
        let folder = self.folder.join("synapse");
        new_folder(&folder)?;
        let port = free_port()?;
        let file = folder.join("homeserver.json");
        let logging = json!({
            "version": 1, "handlers": {"console": {"class": "logging.StreamHandler"}},
            "root": {"level": "WARNING", "handlers": ["console"]},
        });
        write(&folder.join("log.json"), &logging.to_string())?;
        write(&file, &self.configuration(port, &folder)?.to_string())?;
        run(Command::new(python).args(["-m", "synapse.app.homeserver", "--generate-keys", "-c"]).arg(&file))?;
        let mut command = Command::new(python);
        command.args(["-m", "synapse.app.homeserver", "-c"]).arg(&file).current_dir(&folder);
        let process = Process::start(command, &folder, "TERM")?;
        Server::wait(("Synapse", SERVER_NAME), port, process).await
    }

    fn configuration(&self, port: u16, folder: &Path) -> Outcome<Value> {
        let path = |name: &str| folder.join(name);
        let rate = json!({"per_second": 100_000, "burst_count": 100_000});
        let notary = json!({
            "server_name": self.resident.name, "verify_keys": {"ed25519:1": self.resident.own_key()?},
        });
        Ok(json!({
            "server_name": SERVER_NAME,
            "listeners": [{
                "port": port, "tls": false, "type": "http", "bind_addresses": ["127.0.0.1"],
                "resources": [{"names": ["client"]}],
            }],
            "database": {"name": "sqlite3", "args": {"database": path("homeserver.db")}},
            "log_config": path("log.json"),
            "pid_file": path("pid"),
            "media_store_path": path("media"),
            "signing_key_path": path("signing.key"),
            "federation_custom_ca_list": [self.resident.authority],
            "ip_range_blacklist": [],
            "federation_ip_range_blacklist": [],
            "trusted_key_servers": [notary],
            "suppress_key_server_warning": true,
            "report_stats": false,
            "macaroon_secret_key": "for one run",
            "form_secret": "for one run",
            "enable_registration": true,
            "enable_registration_without_verification": true,
            "presence": {"enabled": false},
            "rc_registration": rate, "rc_joins_per_room": rate, "rc_joins": {"local": rate, "remote": rate},
        }))
    }
}

fn write(file: &Path, text: &str) -> Outcome<()> {
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}
