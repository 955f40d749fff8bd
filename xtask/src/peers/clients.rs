//! Real clients against our server: matrix-js-sdk and matrix-nio, people of two tenants, also over a crash.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Unavailable, install_python_packages, registry};
use crate::process::{Outcome, call, cargo, is_present, target_folder, workspace_root};

/// What the suite is made of.
const FILES: &[&str] = &[
    "nio.mjs",
    "nio_agent.py",
    "package-lock.json",
    "package.json",
    "people.mjs",
    "pictures.mjs",
    "sas.mjs",
    "suite.mjs",
    "talk.mjs",
];
/// The two tenants of the server.
const TENANTS: [&str; 2] = ["one.localhost", "two.localhost"];
/// For how long the server may start.
const START_SECONDS_MAX: u64 = 30;
/// By which the suite asks for the server to be killed and started again.
const RESTART: &str = "@restart";

/// Whether the clients can be installed; otherwise the reason.
pub(crate) fn availability() -> Result<(), Unavailable> {
    for program in ["node", "npm", "python3"] {
        if !is_present(program) {
            return Err(Unavailable::Here(format!("{program} is not installed")));
        }
    }
    let requirements = copy_files().map_err(Unavailable::Here)?;
    let folder = folder();
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    registry::install(&mut npm, "packages for matrix-js-sdk")?;
    install_python_packages(&folder.join("python"), &requirements.lines().collect::<Vec<_>>())
}

/// Puts the suite where it is installed; gives the Python packages that it needs, one in a line.
fn copy_files() -> Result<String, String> {
    let (folder, source) = (folder(), workspace_root().join("xtask/peers/clients"));
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make `{}`: {error}", folder.display()))?;
    for file in FILES {
        let from = source.join(file);
        fs::copy(&from, folder.join(file))
            .map_err(|error| format!("cannot copy `{}`: {error}", from.display()))?;
    }
    let requirements = source.join("requirements.txt");
    fs::read_to_string(&requirements)
        .map_err(|error| format!("cannot read `{}`: {error}", requirements.display()))
}

/// Runs the suite.
pub(crate) fn run() -> Outcome {
    call(&mut cargo(&["build", "--release", "--locked", "--package", "freehold-server"]))?;
    let mut server = Server::prepare(&folder().join("server"))?;
    server.start()?;
    let outcome = talk(&mut server);
    server.stop()?;
    outcome
}

pub(super) fn folder() -> PathBuf {
    target_folder().join("peers/clients")
}

/// Runs the suite, and kills and starts the server when it asks for that.
fn talk(server: &mut Server) -> Outcome {
    let mut suite = Command::new("node")
        .args(["--expose-gc", "talk.mjs"])
        .args(["--first", &server.url(0), "--second", &server.url(1), "--restarts"])
        .arg("--python")
        .arg(folder().join("python/bin/python"))
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start node: {error}"))?;
    let (input, output) = (suite.stdin.take(), suite.stdout.take());
    let (Some(mut input), Some(output)) = (input, output) else { return Err("node has no output".into()) };
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if line == RESTART {
            server.kill()?;
            server.start()?;
            writeln!(input, "restarted").map_err(|error| format!("the suite does not listen: {error}"))?;
        } else {
            println!("{line}");
        }
    }
    let status = suite.wait().map_err(|error| format!("the suite was lost: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("the client suite ended with {status}")) }
}

/// Our server with two tenants, each on a port of its own.
struct Server {
    folder: PathBuf,
    ports: [u16; 2],
    process: Option<Child>,
}

impl Server {
    fn prepare(folder: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot prepare `{}`: {error}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(failed)?;
        }
        fs::create_dir_all(folder).map_err(failed)?;
        let server =
            Server { folder: folder.to_path_buf(), ports: [free_port()?, free_port()?], process: None };
        fs::write(folder.join("freehold.toml"), server.configuration()).map_err(failed)?;
        fs::write(folder.join("tenants.toml"), tenants()).map_err(failed)?;
        Ok(server)
    }

    fn configuration(&self) -> String {
        let mut text =
            "data = \"data\"\nbootstrap = \"tenants.toml\"\n[rate_limits]\nenabled = false\n".to_owned();
        for (port, tenant) in self.ports.iter().zip(TENANTS) {
            text.push_str(&format!(
                "[[listener]]\naddress = \"127.0.0.1:{port}\"\ndefault_tenant = \"{tenant}\"\n"
            ));
        }
        text
    }

    fn url(&self, tenant: usize) -> String {
        let port = self.ports.get(tenant).copied().unwrap_or_default();
        format!("http://127.0.0.1:{port}")
    }

    fn start(&mut self) -> Outcome {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log.txt"));
        let log = log.map_err(|error| format!("log of the server: {error}"))?;
        let program = target_folder().join("release/freehold");
        let process = Command::new(program)
            .args(["serve", "--config", "freehold.toml"])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            .spawn();
        self.process = Some(process.map_err(|error| format!("cannot start the server: {error}"))?);
        self.wait()
    }

    fn wait(&self) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        while Instant::now() < deadline {
            if self.ports.iter().all(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(format!(
            "the server did not listen within {START_SECONDS_MAX} s: see {}/log.txt",
            self.folder.display()
        ))
    }

    fn kill(&mut self) -> Outcome {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process
            .kill()
            .and_then(|()| process.wait())
            .map_err(|error| format!("cannot kill the server: {error}"))?;
        Ok(())
    }

    /// Asks the server to stop, as an operator would.
    fn stop(&mut self) -> Outcome {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let asked = Command::new("kill").arg(process.id().to_string()).status();
        asked.map_err(|error| format!("cannot stop the server: {error}"))?;
        let status = process.wait().map_err(|error| format!("the server was lost: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("the server ended with {status}")) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about a process that has ended by itself.
        let _ = self.kill();
    }
}

fn tenants() -> String {
    let tenants = TENANTS.map(|name| {
        format!(
            "[[tenant]]\nserver_name = \"{name}\"\nvouched = true\n[tenant.policy.registration]\nmode = \"open\"\n"
        )
    });
    tenants.concat()
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("no free port: {error}"))?;
    Ok(listener.local_addr().map_err(|error| format!("no free port: {error}"))?.port())
}
