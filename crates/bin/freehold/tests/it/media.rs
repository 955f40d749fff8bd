//! Where the bytes of media lie.

use std::fs::write;

use serde_json::json;

use crate::bucket;
use crate::server::{Server, printed, run};

const HOST: &str = "alice.localhost";

fn token(server: &Server) -> String {
    let body =
        json!({ "username": "alice", "password": "wonderland-1865", "auth": { "type": "m.login.dummy" } });
    let answer = server.post(HOST, "/_matrix/client/v3/register", (None, &body.to_string()));
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn media_lies_in_a_bucket_if_the_operator_wants_it_there() {
    let (address, bucket) = bucket::serve();
    let folder = tempfile::tempdir().unwrap();
    let place = format!("s3://pictures/of/freehold?endpoint=http://{address}&region=here-1");
    write(folder.path().join("freehold.toml"), format!("media = \"{place}\"\n")).unwrap();
    let credentials = [("AWS_ACCESS_KEY_ID", "the-key-id"), ("AWS_SECRET_ACCESS_KEY", "the-secret")];
    let config = ["--config", "freehold.toml", "--listen", "127.0.0.1:0"];
    let server = Server::start_with(folder.path(), &config, &credentials);
    let token = token(&server);
    // One that goes in one part, and one that goes in two.
    for (size, parts) in [(10, 1), (9 << 20, 2)] {
        let bytes = "x".repeat(size);
        let uploaded = server.post(HOST, "/_matrix/media/v3/upload", (Some(&token), &bytes));
        let uri = uploaded.json()["content_uri"].as_str().unwrap().to_owned();
        assert_eq!(bucket.parted.lock().unwrap().last(), Some(&parts));
        let id = uri.rsplit('/').next().unwrap();
        let path = format!("/_matrix/client/v1/media/download/{HOST}/{id}?access_token={token}");
        let answer = server.get(HOST, &path);
        assert_eq!((answer.status, answer.body.len()), (200, size));
    }
    let names: Vec<String> = bucket.objects.lock().unwrap().keys().cloned().collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("pictures/of/freehold/blobs/")), "{names:?}");
    assert!(!folder.path().join("freehold-data/media").exists());
    assert!(server.stop());
}

#[test]
fn the_store_and_media_lie_in_directories_that_the_operator_names() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let config = format!("storage = \"file://{at}/fast\"\nmedia = \"file://{at}/large\"\n");
    write(folder.path().join("freehold.toml"), config).unwrap();
    let server = Server::start(folder.path(), &["--config", "freehold.toml"]);
    let token = token(&server);
    let uploaded = server.post(HOST, "/_matrix/media/v3/upload", (Some(&token), "bytes"));
    assert_eq!(uploaded.status, 200);
    assert!(server.stop());
    for (directory, is_there) in [
        ("fast", true),
        ("large/blobs", true),
        ("freehold-data/store", false),
        ("freehold-data/media", false),
    ] {
        assert_eq!(folder.path().join(directory).exists(), is_there, "{directory}");
    }
}

#[test]
fn quotas_of_users_and_sizes_of_files_hold_and_old_files_are_open_if_the_tenant_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let token = token(&server);
    let settle = |policy: serde_json::Value| {
        printed(folder.path(), &["tenant", "policy", HOST, "--set", &policy.to_string()]);
    };
    let upload =
        |size: usize| server.post(HOST, "/_matrix/media/v3/upload", (Some(&token), &"x".repeat(size)));
    let uploaded = upload(100).json()["content_uri"].as_str().unwrap().to_owned();
    let id = uploaded.rsplit('/').next().unwrap();
    let legacy = || server.get(HOST, &format!("/_matrix/media/v3/download/{HOST}/{id}")).status;
    assert_eq!(legacy(), 404);
    settle(json!({ "media": { "open_before_ts": i64::MAX } }));
    assert_eq!(legacy(), 200);
    settle(json!({ "media": { "open_before_ts": 1000 } }));
    assert_eq!(legacy(), 404);
    settle(json!({ "media": { "file_bytes": 50 } }));
    assert_eq!((upload(51).status, upload(50).status), (413, 200));
    let config = server.get(HOST, &format!("/_matrix/client/v1/media/config?access_token={token}")).json();
    assert_eq!(config["m.upload.size"], 50);
    settle(json!({ "media": null, "quotas": { "media_bytes_per_user": 200 } }));
    assert_eq!((upload(51).status, upload(50).status), (403, 200));
    settle(json!({ "quotas": { "media_bytes_per_user": null, "media_bytes": 210 } }));
    assert_eq!((upload(11).status, upload(10).status), (403, 200));
    assert!(server.stop());
}

#[test]
fn a_file_is_shown_withheld_given_back_blocked_and_deleted_and_who_did_it_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let token = token(&server);
    let uploaded = server.post(HOST, "/_matrix/media/v3/upload?filename=a.txt", (Some(&token), "bytes"));
    let uri = uploaded.json()["content_uri"].as_str().unwrap().to_owned();
    let id = uri.rsplit('/').next().unwrap();
    let download = || {
        let path = format!("/_matrix/client/v1/media/download/{HOST}/{id}?access_token={token}");
        server.get(HOST, &path).status
    };
    let media = |arguments: &[&str]| -> serde_json::Value {
        let printed = printed(folder.path(), &[&["--json", "media"], arguments].concat());
        serde_json::from_str(&printed).unwrap()
    };
    let shown = media(&["show", HOST, &uri])["file"].clone();
    let sha256 = shown["sha256"].as_str().unwrap().to_owned();
    assert_eq!(
        (&shown["uploader"], &shown["filename"], &shown["bytes"], &shown["quarantined"]),
        (&json!(format!("@alice:{HOST}")), &json!("a.txt"), &json!(5), &json!(false))
    );
    assert_eq!(download(), 200);
    assert_eq!(media(&["quarantine", HOST, &uri])["file"]["quarantined"], true);
    assert_eq!(download(), 404);
    assert_eq!(media(&["quarantined", HOST])["withheld"][0]["sha256"], sha256.as_str());
    assert_eq!(media(&["release", HOST, &sha256])["removed"], 1);
    assert_eq!(download(), 200);
    media(&["block", &sha256]);
    assert_eq!((download(), &media(&["show", HOST, &uri])["file"]["blocked"]), (404, &json!(true)));
    media(&["unblock", &sha256]);
    assert_eq!(download(), 200);
    media(&["delete", HOST, &uri]);
    assert_eq!(download(), 404);
    for gone in [&["media", "show", HOST, &uri][..], &["media", "delete", HOST, &uri]] {
        assert_eq!(run(folder.path(), gone).status.code(), Some(1), "{gone:?}");
    }
    let acts = |tenant: &[&str]| -> Vec<String> {
        let audit = printed(folder.path(), &[&["--json", "audit"], tenant].concat());
        let audit: serde_json::Value = serde_json::from_str(&audit).unwrap();
        let acts = audit["acts"].as_array().unwrap().iter().rev().map(|act| act["act"].as_str().unwrap());
        acts.filter(|act| act.starts_with("media")).map(str::to_owned).collect()
    };
    assert_eq!(acts(&[HOST]), ["media quarantine", "media release", "media delete"]);
    assert_eq!(acts(&[]), ["media block", "media unblock"]);
    assert!(server.stop());
}
