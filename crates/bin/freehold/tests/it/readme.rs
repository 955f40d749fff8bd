//! The README's first minutes: its commands, as they stand there.

use std::process::Command;

use crate::server::Server;

/// The block of commands in which Alice and Bob talk.
fn conversation() -> &'static str {
    let readme = include_str!("../../../../../README.md");
    let blocks = readme.split("```sh\n").filter_map(|rest| rest.split_once("```")).map(|(block, _)| block);
    blocks.into_iter().find(|block| block.contains("alice.localhost")).unwrap()
}

#[test]
fn two_people_of_two_domains_talk_as_the_readme_shows() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let script = conversation().replace(":8008", &format!(":{}", server.port));
    let output = Command::new("sh").args(["-euc", &script]).current_dir(folder.path()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let last = out.rsplit_once("\"chunk\"").unwrap_or_else(|| panic!("{out}")).1;
    assert!(last.contains("Hello from another domain"), "{out}");
    assert!(last.contains("@alice:alice.localhost"), "{out}");
}
