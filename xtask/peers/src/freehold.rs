//! Our server, with several tenants: configured, started, killed, and stopped when dropped.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    certificates::Authority,
    failure::{Context, Failure, Result},
    home::{Home, free_port},
    http::{Call, Client},
    link::Link,
};

const START_SECONDS_MAX: u64 = 30;
const STOP_SECONDS_MAX: u64 = 10;

/// A running process with a tenant for each name.
pub(crate) struct Freehold {
    program: PathBuf,
    folder: PathBuf,
    tenants: Vec<Tenant>,
    process: Option<Child>,
}

/// A tenant, which to others is a server.
pub(crate) struct Tenant {
    server_name: String,
    client_url: String,
    client_port: u16,
    federation_port: u16,
    link: Link,
}

impl Home for Tenant {
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

impl Freehold {
    /// Starts a server with that many tenants and waits until it answers.
    pub(crate) fn start(
        program: &Path,
        folder: &Path,
        authority: &Authority,
        client: &Client,
        tenants: usize,
    ) -> Result<Self> {
        let folder = folder.join("freehold");
        std::fs::create_dir_all(&folder).context("folder of our server")?;
        let tenants = (0..tenants).map(Tenant::prepare).collect::<Result<Vec<_>>>()?;
        std::fs::write(folder.join("freehold.toml"), configuration(&tenants, authority)?)
            .context("write our server's configuration")?;
        std::fs::write(folder.join("tenants.toml"), declared(&tenants)).context("declare our tenants")?;
        let mut server = Self { program: program.to_path_buf(), folder, tenants, process: None };
        server.begin(client)?;
        Ok(server)
    }

    /// A tenant of the process.
    pub(crate) fn tenant(&self, number: usize) -> Result<&Tenant> {
        self.tenants.get(number).context("a tenant")
    }

    /// Ends the process as a power cut would, and starts it again on what it had made durable.
    pub(crate) fn kill_and_start(&mut self, client: &Client) -> Result<()> {
        let mut process = self.process.take().context("a process to kill")?;
        process.kill().context("kill our server")?;
        process.wait().context("wait for our server's end")?;
        self.begin(client)
    }

    /// Asks the process to stop, as an operator would.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("a process to stop")?;
        let asked = Command::new("kill").arg(process.id().to_string()).status();
        asked.context("ask our server to stop")?;
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
        while Instant::now() < deadline {
            if let Some(status) = process.try_wait().context("state of our server's process")? {
                return match status.success() {
                    true => Ok(()),
                    false => Err(Failure::new(format!("our server ended with {status}"))),
                };
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
        Err(Failure::new(format!("our server did not stop within {STOP_SECONDS_MAX} s")))
    }

    fn begin(&mut self, client: &Client) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.folder.join("log.txt"));
        let log = log.context("log file of our server")?;
        let errors = log.try_clone().context("log file of our server")?;
        let mut command = Command::new(&self.program);
        command.args(["serve", "--config", "freehold.toml"]).current_dir(&self.folder);
        let process = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        self.process = Some(process.context("start our server")?);
        self.wait(client)
    }

    fn wait(&mut self, client: &Client) -> Result<()> {
        let log = self.folder.join("log.txt");
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        let url = format!("{}/_matrix/client/versions", self.tenant(0)?.client_url);
        while Instant::now() < deadline {
            let call = Call { method: "GET", url: url.clone(), authorization: None, body: None };
            if client.send(call).is_ok() {
                return Ok(());
            }
            let ended = self.process.as_mut().map(Child::try_wait).transpose();
            if let Some(Some(status)) = ended.context("state of our server's process")? {
                return Err(Failure::new(format!("our server ended with {status}: see {}", log.display())));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(Failure::new(format!(
            "our server did not answer in {START_SECONDS_MAX} s: see {}",
            log.display()
        )))
    }
}

impl Drop for Freehold {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Nothing can be done about a process that has ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Tenant {
    /// Each tenant has a host of its own, as tenants do.
    fn prepare(number: usize) -> Result<Self> {
        let (client_port, federation_port) = (free_port()?, free_port()?);
        let host = format!("127.0.0.{}", number + 2);
        let link = Link::to_port(&host, federation_port)?;
        let server_name = format!("{host}:{}", link.port());
        let client_url = format!("http://127.0.0.1:{client_port}");
        Ok(Self { server_name, client_url, client_port, federation_port, link })
    }
}

fn configuration(tenants: &[Tenant], authority: &Authority) -> Result<String> {
    let mut text = format!(
        "data = \"data\"\nbootstrap = \"tenants.toml\"\nextra_ca = [{:?}]\nallowed_networks = [\"127.0.0.0/8\"]\n\
         [rate_limits]\nenabled = false\n",
        authority.file()
    );
    for tenant in tenants {
        let host = tenant.server_name.split(':').next().unwrap_or_default();
        let certificate = authority.issue(&format!("tenant-{}", tenant.federation_port), host)?;
        text.push_str(&format!(
            "[[listener]]\naddress = \"127.0.0.1:{}\"\ndefault_tenant = \"{}\"\n\
             [[listener]]\naddress = \"127.0.0.1:{}\"\ndefault_tenant = \"{}\"\n\
             tls = [{{ certificate = {:?}, key = {:?} }}]\n",
            tenant.client_port,
            tenant.server_name,
            tenant.federation_port,
            tenant.server_name,
            certificate.certificate,
            certificate.private_key,
        ));
    }
    Ok(text)
}

fn declared(tenants: &[Tenant]) -> String {
    let tenants = tenants.iter().map(|tenant| {
        format!(
            "[[tenant]]\nserver_name = \"{}\"\nvouched = true\n[tenant.policy.registration]\nmode = \"open\"\n",
            tenant.server_name
        )
    });
    tenants.collect()
}
