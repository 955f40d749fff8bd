//! Commands about the users of tenants, and what they do to people who are logged in.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::policies::{User, who_share_a_room};
use crate::server::{Server, freehold, printed, run};

const ALICES: &str = "alice.localhost";

fn with_input(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = freehold(folder, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn log_in(server: &Server, user: &str, password: &str) -> Value {
    let identifier = json!({ "type": "m.id.user", "user": user });
    let body = json!({ "type": "m.login.password", "identifier": identifier, "password": password });
    server.post(ALICES, "/_matrix/client/v3/login", (None, &body.to_string())).json()
}

fn audited(folder: &Path) -> Vec<(String, String)> {
    let audit: Value = serde_json::from_str(&printed(folder, &["--json", "audit", ALICES])).unwrap();
    let acts = audit["acts"].as_array().unwrap().iter().rev();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    acts.map(|act| (text(&act["by"]), text(&act["act"])))
        .filter(|(_, act)| act.starts_with("account"))
        .collect()
}

#[test]
fn whoever_forgot_a_password_gets_a_new_one_and_whoever_stole_it_is_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let thief = User::register(&server, ALICES, "alice");
    let reset = ["user", "reset-password", "@alice:alice.localhost"];
    let made = printed(folder.path(), &reset);
    let made = made.lines().next().unwrap();
    assert_eq!(thief.get(&server, "v3/account/whoami").status, 401);
    assert_eq!(log_in(&server, "alice", "wonderland-1865")["errcode"], "M_FORBIDDEN");
    let token = log_in(&server, "alice", made)["access_token"].as_str().unwrap().to_owned();

    let kept = [&reset[..], &["--keep-sessions", "--password-stdin"]].concat();
    let output = with_input(folder.path(), &kept, "looking-glass-1871\n");
    assert!(output.status.success(), "{output:?}");
    assert!(
        !String::from_utf8_lossy(&output.stdout).contains("1871"),
        "a password that was given is not shown"
    );
    assert_eq!(server.get_as(ALICES, "/_matrix/client/v3/account/whoami", &token).status, 200);
    assert!(log_in(&server, "alice", "looking-glass-1871")["access_token"].is_string());
    for (input, code) in [("", 2), ("\n", 2), ("short\n", 1)] {
        assert_eq!(with_input(folder.path(), &kept, input).status.code(), Some(code), "{input:?}");
    }
    let act = |name: &str| ("operator".to_owned(), format!("account {name}"));
    assert_eq!(audited(folder.path()), [act("reset-password"), act("reset-password")]);
    assert!(server.stop());
}

#[test]
fn an_administrator_does_with_the_own_access_token_what_concerns_the_own_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let user = User::register(&server, ALICES, "user");
    User::register(&server, "bob.localhost", "bob");
    printed(folder.path(), &["user", "add", "@admin:alice.localhost", "--admin"]);
    let password = printed(folder.path(), &["user", "reset-password", "@admin:alice.localhost"]);
    let token = log_in(&server, "admin", password.lines().next().unwrap())["access_token"].clone();
    let url = format!("http://{ALICES}:{}", server.port);
    let ask = |token: &str, arguments: &[&str]| {
        let output = run(folder.path(), &[&["--url", &url, "--token", token], arguments].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (admin, done) = (token.as_str().unwrap(), (Some(0), String::new()));
    assert_eq!(ask(admin, &["user", "list", ALICES]), done);
    assert_eq!(ask(admin, &["user", "suspend", "@user:alice.localhost"]), done);
    assert_eq!(user.post(&server, "createRoom", &json!({})).json()["errcode"], "M_USER_SUSPENDED");
    assert_eq!(ask(admin, &["user", "resume", "@user:alice.localhost"]), done);
    assert_eq!(user.post(&server, "createRoom", &json!({})).status, 200);
    let refused = (Some(1), "freehold: this is not yours to administer\n".to_owned());
    for whom in ["@bob:bob.localhost", "@nobody:bob.localhost", "@nobody:no.such"] {
        for verb in ["show", "lock", "reset-password", "deactivate", "add"] {
            assert_eq!(ask(admin, &["user", verb, whom]), refused, "{verb} {whom}");
        }
    }
    assert_eq!(ask(admin, &["user", "list", "bob.localhost"]), refused);
    assert_eq!(ask(&user.token, &["user", "list", ALICES]), refused);
    assert_eq!(ask(admin, &["user", "deactivate", "@admin:alice.localhost"]).0, Some(1));
    assert_eq!(ask(admin, &["user", "deactivate", "@user:alice.localhost", "--erase"]), done);
    assert_eq!(user.get(&server, "v3/account/whoami").status, 401);
    let by_admin: Vec<_> =
        audited(folder.path()).into_iter().filter(|(by, _)| by == "@admin:alice.localhost").collect();
    let acts: Vec<&str> = by_admin.iter().map(|(_, act)| act.as_str()).collect();
    assert_eq!(acts, ["account suspend", "account unsuspend", "account deactivate"]);
    assert!(server.stop());
}

#[test]
fn what_somebody_said_who_wants_it_erased_is_synced_to_those_who_saw_it_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (alice, bob, room) = who_share_a_room(&server);
    alice.say(&server, &room, "a-secret");
    let erased = json!({ "erase": true, "auth": {
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": "wonderland-1865",
    } });
    // The first answer names the session in which the password is given.
    let session =
        alice.post(&server, "account/deactivate", &json!({ "erase": true })).json()["session"].clone();
    let mut body = erased;
    body["auth"]["session"] = session;
    let done = alice.post(&server, "account/deactivate", &body);
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(bob.heard(&server, &room), ["a-secret"]);
    let carol = User::register(&server, "bob.localhost", "carol");
    let join = format!("join/{room}?server_name={ALICES}");
    assert_eq!(carol.post(&server, &join, &json!({})).status, 200);
    assert_eq!(carol.heard(&server, &room), [""; 0]);
    assert_eq!(bob.heard(&server, &room), ["a-secret"]);
    assert!(server.stop());
}

#[test]
fn people_of_another_server_log_in_with_the_passwords_that_they_had() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    assert_eq!(server.get(ALICES, "/_matrix/client/versions").status, 200);
    // bcrypt of "wonderland-1865" and "pepper", with cost 4, as Synapse keeps it.
    let hashes = format!("# name, hash\n@alice:alice.localhost {HASH}\ndinah\t{HASH}\n");
    std::fs::write(folder.path().join("hashes"), &hashes).unwrap();
    std::fs::write(folder.path().join("pepper"), "pepper\n").unwrap();
    let import = ["user", "import", ALICES, "hashes", "--pepper-file", "pepper"];
    assert_eq!(printed(folder.path(), &import), "2 accounts made, 0 passwords changed\n");
    assert!(log_in(&server, "alice", "wonderland-1865")["access_token"].is_string());
    assert_eq!(log_in(&server, "alice", "wonderland-1866")["errcode"], "M_FORBIDDEN");
    let from_stdin = ["--json", "user", "import", ALICES, "-", "--pepper-file", "pepper"];
    let output = with_input(folder.path(), &from_stdin, &hashes);
    let imported: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(imported, json!({ "accounts_made": 0, "passwords_changed": 2 }));
    for (line, expected) in [
        ("hatter plain", "freehold: line 1: not a bcrypt hash of cost 4 to 15\n"),
        ("hatter", "freehold: -: line 1: not a user and a bcrypt hash\n"),
    ] {
        let output = with_input(folder.path(), &["user", "import", ALICES, "-"], line);
        assert!(!output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    }
    assert!(server.stop());
}

const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuKtn51tVAv3vyv7wStkMydVDAn.J.RZi";
