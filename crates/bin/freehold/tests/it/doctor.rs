//! Two servers that look at each other, over real TLS.

use std::fs::{copy, write};
use std::path::Path;

use serde_json::Value;

use crate::server::{Server, printed, run};
use crate::tls::certificate;

const CONFIG: [&str; 2] = ["--config", "freehold.toml"];

/// A server in a folder of its own, with a tenant that is called like its address.
fn start(folder: &Path) -> (Server, String) {
    let config = "\
extra_ca = [\"own.pem\", \"other.pem\"]
allowed_networks = [\"127.0.0.0/8\"]
notaries = []
[[listener]]
address = \"127.0.0.1:0\"
tls = [{ certificate = \"own.pem\", key = \"own.key\" }]
";
    write(folder.join("freehold.toml"), config).unwrap();
    let server = Server::start_configured(folder, &CONFIG);
    let name = format!("127.0.0.1:{}", server.port);
    printed(folder, &[&CONFIG[..], &["tenant", "add", &name, "--vouch"]].concat());
    (server, name)
}

fn doctor(folder: &Path, server_name: &str) -> (bool, Value) {
    let output = run(folder, &[&CONFIG[..], &["--json", "doctor", server_name]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), serde_json::from_str(&text).unwrap())
}

#[test]
fn servers_see_each_other_and_themselves_as_others_do() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [one.path(), other.path()] {
        certificate(folder, ("own", &["127.0.0.1"]));
    }
    copy(one.path().join("own.pem"), other.path().join("other.pem")).unwrap();
    copy(other.path().join("own.pem"), one.path().join("other.pem")).unwrap();
    let (here, here_name) = start(one.path());
    let (there, there_name) = start(other.path());

    let (healthy, seen) = doctor(one.path(), &there_name);
    assert!(healthy, "{seen:#}");
    assert_eq!(seen.pointer("/reach/place/step"), Some(&"1".into()));
    let software = seen.pointer("/reach/contacts/0/software").and_then(Value::as_str);
    assert!(software.is_some_and(|software| software.starts_with("Freehold")), "{seen:#}");
    assert_eq!(seen.pointer("/tenants/0/server_name"), Some(&here_name.as_str().into()));
    // The other server fetched the tenant's keys itself, over its own TLS.
    assert_eq!(seen.pointer("/tenants/0/known_there"), Some(&true.into()), "{seen:#}");

    let (healthy, seen) = doctor(one.path(), &here_name);
    assert!(healthy && seen.pointer("/hosted") == Some(&true.into()), "{seen:#}");

    assert!(here.stop());
    let (healthy, seen) = doctor(one.path(), &there_name);
    let problem = seen.pointer("/tenants/0/reach/contacts/0/problem").and_then(Value::as_str);
    assert!(!healthy && problem.is_some_and(|problem| problem.contains("cannot be reached")), "{seen:#}");
    assert!(there.stop());
}

#[test]
fn the_first_tenants_are_looked_at_or_those_that_are_named_or_all() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there.
    let names: Vec<String> = (2..24).map(|host| format!("127.0.0.{host}:1")).collect();
    let tenants: String =
        names.iter().map(|name| format!("[[tenant]]\nserver_name = \"{name}\"\nvouched = true\n")).collect();
    write(folder.path().join("tenants.toml"), tenants).unwrap();
    let config = "bootstrap = \"tenants.toml\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n";
    write(folder.path().join("freehold.toml"), config).unwrap();
    let server = Server::start_configured(folder.path(), &CONFIG);
    let named: Vec<&str> = names.iter().flat_map(|name| ["--tenant", name]).collect();
    for (arguments, looked_at, left_out) in [(&[][..], 20, 2), (&["--all"], 22, 0), (&named, 22, 0)] {
        let command = [&CONFIG[..], &["--json", "doctor", "192.0.2.7:1"], arguments].concat();
        let seen: Value = serde_json::from_slice(&run(folder.path(), &command).stdout).unwrap();
        let tenants = seen["tenants"].as_array().unwrap().iter().map(|tenant| &tenant["server_name"]);
        assert!(tenants.eq(&names[..looked_at]), "{seen:#}");
        assert_eq!(seen["tenants_left_out"], left_out);
    }
    assert!(server.stop());
}
