//! Servers as processes: each in a folder of its own, on 127.0.0.1, stopped when dropped.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Method;

use crate::http::{Call, Http, Outcome};
use crate::metrics::Metrics;

/// A process that ends when this is dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    signal: &'static str,
}

/// Resident memory of a process, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Resident {
    pub(crate) all: f64,
    /// The part that is pages of files, such as the program itself.
    pub(crate) files: f64,
}

/// How long a process may take to end after it was asked.
const STOP_SECONDS_MAX: u64 = 15;

impl Process {
    /// Starts a command; what it prints goes to files in `folder`. `signal` asks it to end.
    pub(crate) fn start(mut command: Command, folder: &Path, signal: &'static str) -> Outcome<Self> {
        let file =
            |name| File::create(folder.join(name)).map_err(|error| format!("{}: {error}", folder.display()));
        let (out, err) = (file("stdout.txt")?, file("stderr.txt")?);
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
        Ok(Process { child, signal })
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Outcome<Resident> {
        let file = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
            kib.map(|kib| kib * 1024.0).ok_or_else(|| format!("{file} does not say {name}"))
        };
        Ok(Resident { all: bytes("VmRSS")?, files: bytes("RssFile")? })
    }

    /// How many seconds the processors worked for the process, all of its threads together.
    pub(crate) fn processor_seconds(&self) -> Outcome<f64> {
        let folder = format!("/proc/{}/task", self.child.id());
        let failed = |error: std::io::Error| format!("{folder}: {error}");
        let mut nanoseconds = 0.0;
        for thread in std::fs::read_dir(&folder).map_err(failed)? {
            let file = thread.map_err(failed)?.path().join("schedstat");
            // A thread may have ended since.
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            let spent = text.split(' ').next().and_then(|word| word.parse::<f64>().ok());
            nanoseconds += spent.ok_or_else(|| format!("{} reads `{text}`", file.display()))?;
        }
        Ok(nanoseconds / 1e9)
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    fn stop(&mut self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-s", self.signal, &pid]).status();
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
        while asked.is_ok() && Instant::now() < deadline && !self.has_ended() {
            std::thread::sleep(Duration::from_millis(20));
        }
        // Nothing can be done about a process that has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.stop();
        }
    }
}

/// A server that runs and answers.
pub(crate) struct Server {
    /// What it is called in tables.
    pub(crate) name: &'static str,
    pub(crate) http: Http,
    /// The host of the tenant that the load is for.
    pub(crate) host: Arc<str>,
    pub(crate) process: Process,
    /// What it says about itself, if it is ours.
    pub(crate) metrics: Option<Metrics>,
    /// Seconds from its start to its first answer.
    pub(crate) started_in: f64,
}

/// How long a server may take to its first answer.
const START_SECONDS_MAX: u64 = 120;

impl Server {
    /// Waits until the server on this port answers.
    pub(crate) async fn wait(
        (name, host): (&'static str, &str),
        port: u16,
        process: Process,
    ) -> Outcome<Self> {
        let started = Instant::now();
        let http = Http::new(port);
        let mut server = Server { name, http, host: host.into(), process, metrics: None, started_in: 0.0 };
        while started.elapsed() < Duration::from_secs(START_SECONDS_MAX) {
            let path = "/_matrix/client/versions";
            let call = Call { method: Method::GET, host, path, token: None, body: None };
            if server.http.send(call).await.is_ok() {
                server.started_in = started.elapsed().as_secs_f64();
                return Ok(server);
            }
            if server.process.has_ended() {
                return Err(format!("{name} ended when it was started: see its folder"));
            }
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        Err(format!("{name} did not answer in {START_SECONDS_MAX} s"))
    }
}

/// A port that nobody has.
pub(crate) fn free_port() -> Outcome<u16> {
    let address = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// A new empty folder.
pub(crate) fn new_folder(folder: &Path) -> Outcome<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// Runs a command to its end; gives what it printed.
pub(crate) fn run(command: &mut Command) -> Outcome<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)))
}
