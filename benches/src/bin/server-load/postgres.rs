//! A PostgreSQL of our own: in a folder, on 127.0.0.1, as an unprivileged user, with its own defaults (fsync is on).

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::http::Outcome;
use crate::process::{Process, free_port, new_folder, run};

/// A running database server.
pub(crate) struct Postgres {
    programs: PathBuf,
    port: u16,
    _process: Process,
}

/// Somebody else than root, as whom PostgreSQL wants to run.
#[derive(Clone, Copy)]
struct Somebody {
    user: u32,
    group: u32,
}

/// How often a database server that starts is asked whether it is there.
const TRIES: usize = 150;

impl Postgres {
    /// Makes an empty database `synapse` in a new folder and serves it.
    pub(crate) fn start(programs: &Path, folder: &Path) -> Outcome<Self> {
        new_folder(folder)?;
        let somebody = Somebody::find()?;
        if let Some(Somebody { user, group }) = somebody {
            let owned = std::os::unix::fs::chown(folder, Some(user), Some(group));
            owned.map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let (port, data) = (free_port()?, folder.join("data"));
        let mut init = as_somebody(programs.join("initdb"), somebody, folder);
        init.args(["--username=synapse", "--auth=trust", "--encoding=UTF8", "--locale=C", "--pgdata"]);
        run(init.arg(&data))?;
        let mut serve = as_somebody(programs.join("postgres"), somebody, folder);
        serve.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        serve.args(["-c", "unix_socket_directories="]);
        let process = Process::start(serve, folder, "INT")?;
        let postgres = Postgres { programs: programs.to_owned(), port, _process: process };
        postgres.wait()?;
        postgres.client("createdb", "postgres", &["synapse"])?;
        Ok(postgres)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What a query in the database `synapse` gives, its columns divided by `|`.
    pub(crate) fn query(&self, query: &str) -> Outcome<String> {
        self.client("psql", "synapse", &["-X", "-A", "-t", "-c", query])
    }

    fn wait(&self) -> Outcome<()> {
        let mut last = Err("PostgreSQL was not asked".to_owned());
        for _ in 0..TRIES {
            last = self.client("psql", "postgres", &["-X", "-A", "-t", "-c", "SHOW fsync"]);
            match &last {
                Ok(fsync) if fsync.trim() == "on" => return Ok(()),
                Ok(fsync) => return Err(format!("PostgreSQL runs with fsync {}", fsync.trim())),
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
        last.map(drop)
    }

    fn client(&self, program: &str, database: &str, arguments: &[&str]) -> Outcome<String> {
        let mut command = Command::new(self.programs.join(program));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "synapse"]);
        run(command.env("PGDATABASE", database).args(arguments))
    }
}

impl Somebody {
    /// Nobody in particular unless we are root.
    fn find() -> Outcome<Option<Self>> {
        let id = |arguments: &[&str]| -> Outcome<u32> {
            let printed = run(Command::new("id").args(arguments))?;
            printed.trim().parse().map_err(|_| format!("`id` printed `{printed}`"))
        };
        if id(&["-u"])? != 0 {
            return Ok(None);
        }
        let user = ["postgres", "nobody"].into_iter().find(|user| id(&["-u", user]).is_ok());
        let user = user.ok_or("there is no unprivileged user `postgres` or `nobody`")?;
        Ok(Some(Somebody { user: id(&["-u", user])?, group: id(&["-g", user])? }))
    }
}

fn as_somebody(program: PathBuf, somebody: Option<Somebody>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some(Somebody { user, group }) = somebody {
        command.uid(user).gid(group);
    }
    command.current_dir(folder);
    command
}
