//! Synapse, as its packages install it: one process, on SQLite or on PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::http::Outcome;
use crate::postgres::Postgres;
use crate::process::{Process, Server, free_port, run};
use crate::state::Size;

/// The name of the server.
const SERVER_NAME: &str = "single.localhost";

/// The table in which Synapse keeps entries of states.
const STATE_ENTRIES: &str = "state_groups_state";
/// The tables that have a row for each state.
const STATES: [&str; 3] = ["state_groups", "state_group_edges", "event_to_state_groups"];

/// Where Synapse keeps things.
pub(crate) enum Database {
    Sqlite(PathBuf),
    Postgres(Postgres),
}

/// A running Synapse.
pub(crate) struct Synapse {
    pub(crate) server: Server,
    python: PathBuf,
    /// Dropped after the server.
    database: Database,
}

/// The states of rooms, as stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateStored {
    /// Bytes of the tables that have a row for each state.
    pub(crate) states: f64,
    /// Bytes of the table that has a row for each entry.
    pub(crate) entries: f64,
    /// Rows of that table.
    pub(crate) rows: f64,
}

impl Synapse {
    /// Configures and starts a server in a folder.
    pub(crate) async fn start(python: &Path, folder: &Path, database: Database) -> Outcome<Self> {
        let port = free_port()?;
        let file = folder.join("homeserver.json");
        let write = |file: &Path, value: Value| {
            std::fs::write(file, value.to_string()).map_err(|error| format!("{}: {error}", file.display()))
        };
        write(&folder.join("log.json"), logging())?;
        write(&file, configuration(port, folder, database.setting()))?;
        run(Command::new(python).args(["-m", "synapse.app.homeserver", "--generate-keys", "-c"]).arg(&file))?;
        let mut command = Command::new(python);
        command.args(["-m", "synapse.app.homeserver", "-c"]).arg(&file).current_dir(folder);
        let process = Process::start(command, folder, "TERM")?;
        let server = Server::wait((database.name(), SERVER_NAME), port, process).await?;
        Ok(Synapse { server, python: python.to_owned(), database })
    }

    /// The bytes that a number of changes in a room takes in PostgreSQL, whose tables are filled by Synapse's rule for
    /// that; `None` on SQLite.
    pub(crate) fn states_by_rule(&self, size: Size, deltas: usize) -> Outcome<Option<f64>> {
        let Database::Postgres(postgres) = &self.database else { return Ok(None) };
        postgres.query(&filled_by_rule(size, deltas))?;
        let sizes = STATES.iter().chain([&STATE_ENTRIES]);
        let sizes: Vec<String> =
            sizes.map(|table| format!("pg_total_relation_size('rule.{table}')")).collect();
        let printed = postgres.query(&format!("SELECT {}", sizes.join(" + ")))?;
        let bytes = printed.trim().parse();
        bytes.map(Some).map_err(|_| format!("the size of state tables reads `{printed}`"))
    }

    /// How much the states of rooms take.
    pub(crate) fn state_stored(&self) -> Outcome<StateStored> {
        let printed = match &self.database {
            Database::Sqlite(file) => {
                let mut python = Command::new(&self.python);
                run(python.args(["-c", SQLITE_SIZES]).arg(file).arg(STATE_ENTRIES).args(STATES))?
            }
            Database::Postgres(postgres) => {
                let size = |table: &str| format!("pg_total_relation_size('{table}')");
                let (states, entries) = (STATES.map(size).join(" + "), size(STATE_ENTRIES));
                let rows = format!("(SELECT count(*) FROM {STATE_ENTRIES})");
                postgres.query(&format!("SELECT {states}, {entries}, {rows}"))?
            }
        };
        let numbers: Vec<f64> = printed.trim().split('|').filter_map(|number| number.parse().ok()).collect();
        match numbers.as_slice() {
            [states, entries, rows] => Ok(StateStored { states: *states, entries: *entries, rows: *rows }),
            _ => Err(format!("sizes of state tables read `{printed}`")),
        }
    }
}

/// Fills tables of the same shape as those of the states with what Synapse writes by its own rule for a number of changes
/// among a number of members, one after the other, a state in full after so many deltas. Ids and user names are as long as
/// those of the run.
fn filled_by_rule(size: Size, deltas: usize) -> String {
    let Size { members, changes } = size;
    let tables =
        STATES.map(|table| format!("CREATE TABLE rule.{table} (LIKE {table} INCLUDING ALL);")).concat();
    let room = "'!' || repeat('r', 43)";
    let event = |number: &str| format!("'$' || rpad(md5(({number})::text), 43, md5(({number})::text))");
    let member = |number: &str| format!("'@member' || lpad(({number})::text, 4, '0') || ':single.localhost'");
    let entry = |group: &str, number: &str, event: String| {
        format!("SELECT {group}, {room}, 'm.room.member', {}, {event}", member(number))
    };
    let delta = entry("change", &format!("change * 7919 % {members}"), event("change"));
    let full = entry("change", "member", event("change * 100000 + member"));
    let of_change = event("change");
    format!(
        "CREATE SCHEMA rule; {tables} CREATE TABLE rule.{STATE_ENTRIES} (LIKE {STATE_ENTRIES} INCLUDING ALL);
        INSERT INTO rule.state_groups (id, room_id, event_id)
            SELECT change, {room}, {of_change} FROM generate_series(1, {changes}) change;
        INSERT INTO rule.event_to_state_groups (event_id, state_group)
            SELECT {of_change}, change FROM generate_series(1, {changes}) change;
        INSERT INTO rule.state_group_edges (state_group, prev_state_group)
            SELECT change, change - 1 FROM generate_series(1, {changes}) change WHERE change % {deltas} <> 0;
        INSERT INTO rule.{STATE_ENTRIES} (state_group, room_id, type, state_key, event_id)
            SELECT * FROM ({delta} FROM generate_series(1, {changes}) change WHERE change % {deltas} <> 0
            UNION ALL {full} FROM generate_series({deltas}, {changes}, {deltas}) change,
            generate_series(0, {members} - 1) member) entry ORDER BY 1;"
    )
}

/// Prints what the pages of the tables and of their indexes take, and the number of rows.
const SQLITE_SIZES: &str = "
import sqlite3, sys
database = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True, timeout=30)
sizes = dict(database.execute('SELECT name, sum(pgsize) FROM dbstat GROUP BY name'))
def size(tables):
    marks = ','.join('?' * len(tables))
    names = database.execute(f'SELECT name FROM sqlite_master WHERE tbl_name IN ({marks})', tables)
    return sum(sizes.get(name, 0) for name, in names)
rows, = database.execute(f'SELECT count(*) FROM {sys.argv[2]}').fetchone()
print(size(sys.argv[3:]), size(sys.argv[2:3]), rows, sep='|')
";

impl Database {
    fn name(&self) -> &'static str {
        match self {
            Database::Sqlite(_) => "Synapse/SQLite",
            Database::Postgres(_) => "Synapse/PostgreSQL",
        }
    }

    fn setting(&self) -> Value {
        match self {
            Database::Sqlite(file) => json!({"name": "sqlite3", "args": {"database": file}}),
            Database::Postgres(postgres) => json!({"name": "psycopg2", "args": {
                "user": "synapse", "dbname": "synapse", "host": "127.0.0.1", "port": postgres.port(),
                "cp_min": 5, "cp_max": 10,
            }}),
        }
    }
}

fn logging() -> Value {
    json!({
        "version": 1, "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"level": "WARNING", "handlers": ["console"]},
    })
}

fn configuration(port: u16, folder: &Path, database: Value) -> Value {
    let path = |name: &str| -> PathBuf { folder.join(name) };
    let rate = json!({"per_second": 100_000, "burst_count": 100_000});
    json!({
        "server_name": SERVER_NAME,
        "listeners": [{
            "port": port, "tls": false, "type": "http", "bind_addresses": ["127.0.0.1"],
            "resources": [{"names": ["client"]}],
        }],
        "database": database,
        "log_config": path("log.json"),
        "pid_file": path("pid"),
        "media_store_path": path("media"),
        "signing_key_path": path("signing.key"),
        "trusted_key_servers": [],
        "suppress_key_server_warning": true,
        "report_stats": false,
        "macaroon_secret_key": "for one run",
        "form_secret": "for one run",
        "enable_registration": true,
        "enable_registration_without_verification": true,
        "presence": {"enabled": false},
        "rc_message": rate, "rc_registration": rate, "rc_joins_per_room": rate, "rc_admin_redaction": rate,
        "rc_room_creation": rate,
        "rc_login": {"address": rate, "account": rate, "failed_attempts": rate},
        "rc_joins": {"local": rate, "remote": rate},
        "rc_invites": {"per_room": rate, "per_user": rate, "per_issuer": rate},
    })
}
