//! Our server, and what its operator asks of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::http::{Call, Http, Outcome, json as parse};
use crate::metrics::Metrics;
use crate::process::{Process, Server, free_port};

/// The tenant of most of the load.
pub(crate) const TENANT: &str = "single.localhost";

/// Where our server's program and files are.
#[derive(Clone, Copy)]
pub(crate) struct Ours<'a> {
    pub(crate) program: &'a Path,
    pub(crate) folder: &'a Path,
}

/// Asks our server what only its operator may.
#[derive(Clone)]
pub(crate) struct Operator {
    http: Http,
    token: Arc<str>,
}

impl Ours<'_> {
    /// Starts the server on what is in the folder.
    pub(crate) async fn start(&self) -> Outcome<Server> {
        let (port, metrics_port) = (free_port()?, free_port()?);
        let file = self.folder.join("freehold.toml");
        self.write("freehold.toml", &self.configuration(port, metrics_port))?;
        self.write("tenants.toml", &tenants())?;
        let mut command = Command::new(self.program);
        command.arg("--config").arg(&file).arg("serve").current_dir(self.folder);
        let process = Process::start(command, self.folder, "TERM")?;
        let mut server = Server::wait(("ours", TENANT), port, process).await?;
        server.metrics = Some(Metrics::of(Http::new(metrics_port)));
        Ok(server)
    }

    /// The operator, whose token is printed at the first start.
    pub(crate) async fn operator(&self, server: &Server) -> Outcome<Operator> {
        let file = self.folder.join("stdout.txt");
        for _ in 0..100 {
            let said =
                std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            let token = said.lines().find_map(|line| line.strip_prefix("operator token, shown only now: "));
            if let Some(token) = token {
                return Ok(Operator { http: server.http.clone(), token: token.trim().into() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("the server did not print an operator token at its first start".into())
    }

    fn configuration(&self, port: u16, metrics_port: u16) -> String {
        let path = |name: &str| toml_text(&self.folder.join(name));
        format!(
            "data = {}\nbootstrap = {}\n\n[rate_limits]\nenabled = false\n\n[log]\nlevel = \"warn\"\n\n\
             [[listener]]\naddress = \"127.0.0.1:{port}\"\n\n\
             [[listener]]\naddress = \"127.0.0.1:{metrics_port}\"\napis = [\"metrics\"]\n",
            path("data"),
            path("tenants.toml"),
        )
    }

    fn write(&self, name: &str, text: &str) -> Outcome<()> {
        let file = self.folder.join(name);
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))
    }
}

fn tenants() -> String {
    format!("[[tenant]]\nserver_name = \"{TENANT}\"\npolicy = {{ registration = {{ mode = \"open\" }} }}\n")
}

/// A path as TOML has it; its text escapes as JSON does.
fn toml_text(path: &Path) -> String {
    Value::from(path.to_string_lossy()).to_string()
}

impl Operator {
    /// The operator of a server that was started anew.
    pub(crate) fn of(&self, server: &Server) -> Self {
        Operator { http: server.http.clone(), token: self.token.clone() }
    }

    /// Adds a tenant.
    pub(crate) async fn add_tenant(&self, server_name: &str) -> Outcome<()> {
        self.ask("tenant/add", &json!({"server_name": server_name, "vouched": true})).await.map(drop)
    }

    /// Lets everybody make accounts at a tenant.
    pub(crate) async fn open_registration(&self, server_name: &str) -> Outcome<()> {
        let set = json!({"registration": {"mode": "open"}});
        self.ask("tenant/policy", &json!({"server_name": server_name, "set": set})).await.map(drop)
    }

    /// The bytes of a backup: every row of every table.
    pub(crate) async fn bytes_stored(&self, directory: PathBuf) -> Outcome<f64> {
        self.ask("backup", &json!({"directory": directory})).await?;
        let files =
            std::fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let sizes = files.flatten().filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len());
        Ok(sizes.sum::<u64>() as f64)
    }

    async fn ask(&self, command: &str, arguments: &Value) -> Outcome<Value> {
        let path = format!("/_freehold/admin/v1/{command}");
        let (token, body) = (Some(&*self.token), Some(arguments));
        let call = Call { method: Method::POST, host: TENANT, path: &path, token, body };
        parse(&self.http.send(call).await?)
    }
}
