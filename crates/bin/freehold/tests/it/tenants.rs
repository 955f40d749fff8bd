//! What changes about a tenant while its server runs.

use std::path::Path;

use serde_json::Value;

use crate::server::{Server, printed, run};

const NAME: &str = "example.org";

fn tenant(folder: &Path, arguments: &[&str]) -> Value {
    let printed = printed(folder, &[&["--json", "tenant"], arguments].concat());
    serde_json::from_str(&printed).unwrap()
}

fn audited(folder: &Path) -> Vec<String> {
    let audit: Value = serde_json::from_str(&printed(folder, &["--json", "audit", NAME])).unwrap();
    let acts = audit["acts"].as_array().unwrap().iter().rev();
    acts.map(|act| act["act"].as_str().unwrap().to_owned()).collect()
}

fn started(folder: &Path) -> Server {
    let server = Server::start(folder, &[]);
    tenant(folder, &["add", NAME, "--hostname", "old.example.net", "--vouch"]);
    server
}

#[test]
fn a_tenant_is_reached_where_it_is_set_to_be_and_where_it_was_until_that_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let server = started(folder.path());
    let reached = || {
        ["old.example.net", "new.example.net"].map(|host| server.get(host, "/_matrix/client/versions").status)
    };
    assert_eq!(reached(), [200, 421]);
    let set = ["set", NAME, "--hostname", "new.example.net"];
    let shown = tenant(folder.path(), &[&set[..], &["--owner", "admin@example.org"]].concat());
    assert_eq!(shown["hostnames"], serde_json::json!(["new.example.net", "old.example.net"]));
    assert_eq!(shown["owner"], "admin@example.org");
    assert_eq!(reached(), [200, 200]);
    let delegation = server.get(NAME, "/.well-known/matrix/server").json();
    assert_eq!(delegation["m.server"], "new.example.net:443");
    tenant(folder.path(), &[&set[..], &["--drop-old"]].concat());
    assert_eq!(reached(), [421, 200]);
    let taken = ["tenant", "set", "alice.localhost", "--hostname", "new.example.net"];
    assert_eq!(server.get("alice.localhost", "/_matrix/client/versions").status, 200);
    let refused = run(folder.path(), &taken);
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("`new.example.net` leads to another tenant"), "{error}");
    assert_eq!(audited(folder.path()).iter().filter(|act| *act == "tenant set").count(), 2);
    assert!(server.stop());
}

#[test]
fn a_new_key_is_published_before_it_signs_unless_it_signs_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = started(folder.path());
    let published = || {
        let document = server.get("old.example.net", "/_matrix/key/v2/server").json();
        let ids = |list: &str| document[list].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let signed_with =
            document["signatures"][NAME].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        (ids("verify_keys"), ids("old_verify_keys"), signed_with)
    };
    let (first, _, _) = published();
    let in_time = tenant(folder.path(), &["rotate-key", NAME]);
    let (valid, old, signed_with) = published();
    assert!(valid.contains(&first[0]) && old.is_empty());
    assert!(valid.iter().any(|id| id == in_time["key_id"].as_str().unwrap()), "{valid:?} {in_time}");
    assert!(signed_with.contains(&first[0]), "{signed_with:?}");
    let at_once = tenant(folder.path(), &["rotate-key", NAME, "--at-once"]);
    let (valid, old, signed_with) = published();
    let key_id = at_once["key_id"].as_str().unwrap();
    assert_eq!((valid, signed_with), (vec![key_id.to_owned()], vec![key_id.to_owned()]));
    assert!(old.contains(&first[0]), "{old:?}");
    assert!(server.stop());
    assert_eq!(audited(folder.path()).iter().filter(|act| *act == "tenant rotate-key").count(), 2);
    let server = Server::start(folder.path(), &[]);
    let document = server.get("old.example.net", "/_matrix/key/v2/server").json();
    assert!(document["verify_keys"].get(key_id).is_some(), "{document}");
    assert!(server.stop());
}

#[test]
fn a_key_of_before_is_published_as_an_old_one_and_no_key_in_use_becomes_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = started(folder.path());
    let document = || server.get("old.example.net", "/_matrix/key/v2/server").json();
    let in_use = document()["verify_keys"].as_object().unwrap().keys().next().unwrap().clone();
    let add = |key_id: &str, expired_ts: &str| {
        let key = "l8Hft5qXKn1vfHrg3p4+W8gELQVo8N13JkluMfmn2sQ";
        run(folder.path(), &["tenant", "add-old-key", NAME, key_id, key, expired_ts])
    };
    for _ in 0..2 {
        assert!(add("ed25519:before", "1735689600000").status.success());
    }
    for (key_id, expired_ts, expected) in [
        (in_use.as_str(), "1735689600000", "is the id of another key"),
        ("ed25519:other", "1735689600000", "is known as `ed25519:before`"),
        ("ed25519:before", "99999999999999", "in use no longer"),
        ("before", "1735689600000", ""),
    ] {
        let refused = add(key_id, expired_ts);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && error.contains(expected), "{key_id}: {error}");
    }
    let old = document()["old_verify_keys"].clone();
    let key = serde_json::json!({ "key": "l8Hft5qXKn1vfHrg3p4+W8gELQVo8N13JkluMfmn2sQ", "expired_ts": 1_735_689_600_000_i64 });
    assert_eq!(old, serde_json::json!({ "ed25519:before": key }));
    assert_eq!(audited(folder.path()).iter().filter(|act| *act == "tenant add-old-key").count(), 2);
    assert!(server.stop());
}
