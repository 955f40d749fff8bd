//! Two whole servers on this machine, which know of each other only what servers tell each other over TLS.

use std::fs::write;
use std::net::TcpListener;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::Server;
use crate::tls::certificate;

/// How long something may take to get from one server to the other.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server with one tenant, and somebody who has an account there.
pub(crate) struct Home {
    pub(crate) server: Server,
    pub(crate) name: String,
    pub(crate) user_id: String,
    token: String,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The configuration of a server in a folder of its own; both trust the certificates of both.
fn configure(folder: &Path, port: u16) {
    let declared = format!(
        "[[tenant]]\nserver_name = \"127.0.0.1:{port}\"\nvouched = true\npolicy.registration.mode = \"open\"\n"
    );
    write(folder.join("tenants.toml"), declared).unwrap();
    let configuration = format!(
        "bootstrap = \"tenants.toml\"\nextra_ca = [\"../one.pem\", \"../other.pem\"]\n\
         allowed_networks = [\"127.0.0.0/8\"]\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\ndefault_tenant = \"127.0.0.1:{port}\"\n\
         [[listener]]\naddress = \"127.0.0.1:{port}\"\ndefault_tenant = \"127.0.0.1:{port}\"\n\
         tls = [{{ certificate = \"../{0}.pem\", key = \"../{0}.key\" }}]\n",
        folder.file_name().unwrap().to_str().unwrap()
    );
    write(folder.join("freehold.toml"), configuration).unwrap();
}

impl Home {
    pub(crate) fn start(folder: &Path, name: &str, username: &str) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir(&folder).unwrap();
        let port = free_port();
        configure(&folder, port);
        let server = Server::start_configured(&folder, &["--config", "freehold.toml"]);
        let name = format!("127.0.0.1:{port}");
        let account = json!({
            "username": username,
            "password": "wonderland-1865",
            "auth": { "type": "m.login.dummy" },
        });
        let made = server.post(&name, "/_matrix/client/v3/register", (None, &account.to_string())).json();
        let text = |field: &str| made[field].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        Home { user_id: text("user_id"), token: text("access_token"), server, name }
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/_matrix/client/v3/{path}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.server.send((method, &self.name, &path), (&self.token, &body));
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        answer.json()
    }

    pub(crate) fn say(&self, room_id: &str, body: &str) {
        let path = format!("rooms/{}/send/m.room.message/{body}", encoded(room_id));
        self.call("PUT", &path, &json!({ "msgtype": "m.text", "body": body }));
    }

    /// Waits until something is in the newest messages of a room.
    pub(crate) fn hears(&self, room_id: &str, body: &str) {
        let path = format!("rooms/{}/messages?dir=b&limit=20", encoded(room_id));
        self.sees(&path, |page| {
            let events = page["chunk"].as_array().unwrap();
            events.iter().any(|event| event["content"]["body"] == body)
        });
    }

    pub(crate) fn sees(&self, path: &str, is_there: impl Fn(&Value) -> bool) {
        let start = Instant::now();
        loop {
            let seen = self.call("GET", path, &Value::Null);
            if is_there(&seen) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{} does not see it: {seen}", self.user_id);
            sleep(Duration::from_millis(100));
        }
    }
}

/// Files of the one server are had on the other, and stay there when the one is gone.
#[test]
fn files_are_fetched_from_other_servers_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "other"] {
        certificate(folder.path(), (name, &["127.0.0.1"]));
    }
    let alice = Home::start(folder.path(), "one", "alice");
    let bob = Home::start(folder.path(), "other", "bob");
    let upload = |text: &str| {
        let path = "/_matrix/media/v3/upload?filename=note.txt";
        let uploaded = alice.server.post(&alice.name, path, (Some(&alice.token), text)).json();
        uploaded["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned()
    };
    let (seen, unseen) = (upload("of one server"), upload("not asked for in time"));
    let get = |file: &str| {
        bob.server.get_as(&bob.name, &format!("/_matrix/client/v1/media/download/{file}"), &bob.token)
    };
    let open = |file: &str| bob.server.get(&bob.name, &format!("/_matrix/media/v3/download/{file}")).status;
    let answer = get(&seen);
    assert_eq!((answer.status, &*answer.body), (200, "of one server"));
    let thumbnail = format!("/_matrix/client/v1/media/thumbnail/{seen}?width=32&height=32");
    assert_eq!(bob.server.get_as(&bob.name, &thumbnail, &bob.token).status, 400, "it is no picture");
    let unknown = get(&format!("{}/nothing", alice.name));
    assert_eq!((unknown.status, &unknown.json()["errcode"]), (404, &json!("M_NOT_FOUND")));
    assert_eq!(open(&seen), 404, "who does not authenticate has nothing of others");
    assert!(alice.server.stop());
    assert_eq!(get(&seen).body, "of one server");
    assert_eq!(get(&unseen).status, 502);
}

pub(crate) fn encoded(id: &str) -> String {
    id.replace('!', "%21").replace(':', "%3A")
}

#[test]
fn somebody_on_one_server_invites_somebody_on_another_and_they_talk() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "other"] {
        certificate(folder.path(), (name, &["127.0.0.1"]));
    }
    let alice = Home::start(folder.path(), "one", "alice");
    let bob = Home::start(folder.path(), "other", "bob");
    let create = json!({ "preset": "private_chat", "name": "Across servers", "invite": [bob.user_id] });
    let room_id = alice.call("POST", "createRoom", &create)["room_id"].as_str().unwrap().to_owned();
    alice.say(&room_id, "before");
    bob.sees("sync", |sync| sync["rooms"]["invite"].get(&room_id).is_some());
    bob.call("POST", &format!("rooms/{}/join", encoded(&room_id)), &json!({}));
    alice.sees(&format!("rooms/{}/joined_members", encoded(&room_id)), |members| {
        members["joined"].get(&bob.user_id).is_some()
    });
    bob.say(&room_id, "hello-from-bob");
    alice.hears(&room_id, "hello-from-bob");
    alice.say(&room_id, "hello-from-alice");
    bob.hears(&room_id, "hello-from-alice");
}
