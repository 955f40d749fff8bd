//! Commands of the operator.

use std::fs::write;
use std::path::Path;

use serde_json::Value;

use crate::server::{Server, printed, run};

/// A session of commands.
const SESSION: &[&[&str]] = &[
    &["tenant", "list"],
    &["tenant", "add", "example.org", "--hostname", "m.example.net", "--owner", "admin@example.org"],
    &["tenant", "add", "example.org", "--hostname", "m.example.net"],
    &["tenant", "add", "example.com"],
    &["tenant", "show", "example.org"],
    &["--json", "tenant", "show", "example.org"],
    &["tenant", "records", "example.org"],
    &["tenant", "vouch", "example.org"],
    &["forget"],
    &["tenant", "suspend", "example.org"],
    &["tenant", "suspend", "example.org"],
    &["tenant", "policy", "example.org", "--set", "{\"quotas\": {\"users\": 3}}"],
    &["tenant", "policy", "example.org", "--set", "{\"quotas\": {\"cats\": 3}}"],
    &["tenant", "show", "no.such"],
    &["doctor", "127.0.0.1:1"],
    &["--json", "doctor", "127.0.0.1:1"],
    &["doctor", "no server name"],
    &["doctor", "127.0.0.1:1", "--tenant", "no.such"],
    &["registration-token", "list", "example.org"],
    &["registration-token", "add", "example.org", "--token", "come-in", "--uses", "3"],
    &["registration-token", "add", "example.org", "--token", "come-in"],
    &["registration-token", "list", "example.org"],
    &["--json", "registration-token", "list", "example.org"],
    &["registration-token", "remove", "example.org", "come-in"],
    &["registration-token", "remove", "example.org", "come-in"],
    &["invitation", "add", "example.org", "--by", "@nobody:example.org"],
    &["invitation", "list", "example.org"],
    &["invitation", "remove", "example.org", "no-such-code"],
    &["user", "list", "example.org"],
    &["user", "add", "@alice:example.org", "--admin"],
    &["user", "add", "@alice:example.org"],
    &["user", "add", "@bob:example.org", "--display-name", "Bob"],
    &["user", "add", "@Bob:example.org"],
    &["user", "add", "bob"],
    &["user", "list", "example.org", "--limit", "1"],
    &["user", "list", "example.org", "--after", "@alice:example.org"],
    &["--json", "user", "list", "no.such"],
    &["user", "show", "@nobody:example.org"],
    &["user", "show", "@alice:no.such"],
    &["user", "suspend", "@bob:example.org"],
    &["user", "lock", "@bob:example.org"],
    &["--json", "user", "show", "@bob:example.org"],
    &["user", "resume", "@bob:example.org"],
    &["user", "unlock", "@bob:example.org"],
    &["user", "reset-password", "@bob:example.org"],
    &["user", "deactivate", "@bob:example.org"],
    &["user", "reset-password", "@bob:example.org"],
    &["user", "import", "example.org", "no-such-file"],
    &["audit", "example.org"],
    &["tenant", "list"],
];

/// What a session of commands prints, without the times, secrets and keys that differ.
fn session(folder: &Path) -> Vec<String> {
    let printed = SESSION.iter().map(|command| {
        let output = run(folder, command);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        format!("{command:?} {:?}\n{}", output.status.code(), without_what_differs(&text))
    });
    printed.collect()
}

fn without_what_differs(text: &str) -> String {
    let is_time = |word: &str| word.ends_with('Z') || word.starts_with("20") || word.parse::<u64>().is_ok();
    let is_random = |word: &str| [24, 32].contains(&word.trim_matches('"').len());
    let words = |line: &str| {
        let words = line.split(' ').map(|word| match word.trim_end_matches(',') {
            other if is_time(other) || is_random(other) => "*",
            _ => word,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(words).collect::<Vec<_>>().join("\n")
}

#[test]
fn commands_say_the_same_to_a_server_that_runs_and_to_one_that_does_not() {
    let (stopped, running) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(stopped.path().join("freehold-data")).unwrap();
    let on_stopped = session(stopped.path());
    let server = Server::start(running.path(), &[]);
    assert_eq!(session(running.path()), on_stopped);
    assert!(server.stop());
    let shown = printed(running.path(), &["--json", "tenant", "show", "example.org"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["state"], "suspended");
}

#[test]
fn a_server_elsewhere_takes_commands_with_a_token() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(there.path(), &[]);
    let token = printed(there.path(), &["token", "add", "elsewhere"]);
    let token = token.lines().next().unwrap();
    let url = format!("http://127.0.0.1:{}", server.port);
    printed(here.path(), &["--url", &url, "--token", token, "tenant", "add", "192.0.2.7", "--vouch"]);
    let list = printed(there.path(), &["tenant", "list"]);
    assert!(list.contains("192.0.2.7"), "{list}");
    let refused = run(here.path(), &["--url", &url, "--token", "fho_wrong", "tenant", "list"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&refused.stderr), "freehold: unknown token\n");
}

#[test]
fn a_wrong_configuration_is_named_by_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("freehold.toml");
    write(&file, "data = \"here\"\n[log]\nlevel = 3\n").unwrap();
    let output = run(folder.path(), &["config", "check", "freehold.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.starts_with("freehold: freehold.toml:3: `log.level`: "), "{error}");
    let tls = "tls = [{ certificate = \"no.pem\", key = \"no.key\" }]\n";
    let tenants = "[[tenant]]\nserver_name = \"example.org\"\npolicy.registration.mode = \"nobody\"\n";
    write(folder.path().join("tenants.toml"), tenants).unwrap();
    for (text, expected) in [
        (
            format!("[[listener]]\naddress = \"127.0.0.1:0\"\n{tls}"),
            "freehold.toml:3: `listener[0].tls[0]`: no.pem: ",
        ),
        ("\nextra_ca = [\"no.pem\"]\n".to_owned(), "freehold.toml:2: `extra_ca[0]`: "),
        ("\nbootstrap = \"none.toml\"\n".to_owned(), "freehold.toml:2: `bootstrap`: none.toml: "),
        (
            "[[listener]]\naddress = \"127.0.0.1:1\"\n[[listener]]\naddress = \"127.0.0.1:1\"\n".to_owned(),
            "freehold.toml:4: `listener[1].address`: `127.0.0.1:1` is that of listener[0]",
        ),
        (
            "bootstrap = \"tenants.toml\"\n".to_owned(),
            "tenants.toml:3: `tenant[0].policy.registration.mode`: unknown variant `nobody`",
        ),
    ] {
        write(&file, text).unwrap();
        let output = run(folder.path(), &["config", "check", "freehold.toml"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.starts_with(&format!("freehold: {expected}")), "{error}");
    }
    // A server that does not start has added nothing.
    let serve = ["--config", "freehold.toml", "serve", "--listen", "127.0.0.1:0"];
    assert_eq!(run(folder.path(), &serve).status.code(), Some(1));
    assert_eq!(printed(folder.path(), &["tenant", "list"]), "there are no tenants\n");
    write(&file, "data = \"here\"\n").unwrap();
    let output = run(folder.path(), &["--json", "config", "check", "freehold.toml"]);
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(checked["listeners"], serde_json::json!(["127.0.0.1:8008"]));
    write(&file, "data = 3\n").unwrap();
    let output = run(folder.path(), &["--json", "config", "check", "freehold.toml"]);
    let refused: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(refused["error"].as_str().unwrap().starts_with("freehold.toml:1: `data`: "), "{refused}");
}

#[test]
fn the_reference_in_docs_is_the_one_that_the_program_prints() {
    let folder = tempfile::tempdir().unwrap();
    let printed = printed(folder.path(), &["config", "reference"]);
    assert_eq!(printed, include_str!("../../../../../docs/freehold.toml"));
}

#[test]
fn tenants_of_the_bootstrap_file_are_added_once_and_not_changed_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let tenants = "[[tenant]]\nserver_name = \"example.org\"\nhostnames = [\"m.example.net\"]\nvouched = true\n\
                   policy.registration.mode = \"open\"\n";
    write(folder.path().join("tenants.toml"), tenants).unwrap();
    write(folder.path().join("freehold.toml"), "bootstrap = \"tenants.toml\"\n").unwrap();
    let server = Server::start(folder.path(), &["--config", "freehold.toml"]);
    assert_eq!(server.get("m.example.net", "/_matrix/client/versions").status, 200);
    let policy = || printed(folder.path(), &["tenant", "policy", "example.org"]);
    assert!(policy().contains("\"mode\": \"open\""), "{}", policy());
    printed(
        folder.path(),
        &["tenant", "policy", "example.org", "--set", "{\"registration\": {\"mode\": \"closed\"}}"],
    );
    assert!(server.stop());
    let server = Server::start(folder.path(), &["--config", "freehold.toml"]);
    assert!(policy().contains("\"mode\": \"closed\""), "{}", policy());
    assert!(server.stop());
}

#[test]
fn a_backup_of_a_server_that_runs_becomes_the_data_of_another() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(old.path(), &[]);
    let keys = server.get("alice.localhost", "/_matrix/key/v2/server").json()["verify_keys"].clone();
    let backup = old.path().join("backup");
    let backup = backup.to_str().unwrap();
    printed(old.path(), &["backup", backup]);
    assert!(!run(old.path(), &["backup", backup]).status.success(), "a backup is not overwritten");
    let audit = printed(old.path(), &["audit"]);
    assert_eq!(audit.lines().filter(|line| line.contains(" backup ")).count(), 1, "{audit}");
    assert!(server.stop());

    printed(new.path(), &["restore", backup]);
    assert!(!run(new.path(), &["restore", backup]).status.success(), "data is not overwritten");
    let master = "freehold-data/master.key";
    std::fs::copy(old.path().join(master), new.path().join(master)).unwrap();
    assert!(printed(new.path(), &["fsck"]).ends_with("everything is in order\n"));
    let server = Server::start(new.path(), &[]);
    assert_eq!(server.get("alice.localhost", "/_matrix/key/v2/server").json()["verify_keys"], keys);
}

#[test]
fn what_only_looks_makes_no_data_and_no_keys() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["tenant", "list"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!folder.path().join("freehold-data").exists());
    // Keys without their master key, as after a restore.
    printed(folder.path(), &["tenant", "add", "alice.localhost"]);
    let master = folder.path().join("freehold-data/master.key");
    let key = std::fs::read(&master).unwrap();
    std::fs::remove_file(&master).unwrap();
    for command in [&["tenant", "list"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let output = run(folder.path(), command);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("the master key is not there"), "{error}");
        assert!(!master.exists());
    }
    write(&master, key).unwrap();
    assert!(printed(folder.path(), &["tenant", "list"]).contains("alice.localhost"));
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    printed(old.path(), &["tenant", "add", "alice.localhost"]);
    printed(old.path(), &["backup", "backup"]);
    let file = old.path().join("backup/store.backup");
    let mut bytes = std::fs::read(&file).unwrap();
    let near_the_end = bytes.len() - 40;
    bytes[near_the_end] ^= 1;
    write(&file, bytes).unwrap();
    let backup = old.path().join("backup");
    let output = run(new.path(), &["restore", backup.to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("damaged"), "{output:?}");
}

#[test]
fn scripts_learn_from_the_exit_code_whether_a_domain_is_in_order() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing is below `.invalid`, whoever is asked.
    printed(folder.path(), &["tenant", "add", "freehold.invalid", "--hostname", "m.freehold.invalid"]);
    let check = |server_name: &str| {
        let output = run(folder.path(), &["--json", "tenant", "check", server_name]);
        let seen = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
        (output.status.code(), seen["proved_by"].clone(), seen["control"].clone())
    };
    assert_eq!(check("freehold.invalid"), (Some(3), Value::Null, "proved".into()));
    printed(folder.path(), &["tenant", "vouch", "freehold.invalid"]);
    assert_eq!(check("freehold.invalid"), (Some(0), Value::Null, "vouched".into()));
    assert_eq!(check("nobody.invalid"), (Some(1), Value::Null, Value::Null));
    let said = String::from_utf8(run(folder.path(), &["tenant", "--help"]).stdout).unwrap();
    assert!(said.contains("check"), "{said}");
}
