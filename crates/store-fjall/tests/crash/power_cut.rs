//! Power cuts: everything is lost that was not synced.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::process::{Writer, look};
use crate::{Folder, mixed};

/// How large the image is.
const IMAGE: &str = "512M";

pub(crate) fn cut_many_times(cuts: u64) {
    let temporary = tempfile::tempdir().unwrap();
    let image = temporary.path().join("disk.image");
    run("truncate", &["-s", IMAGE, text(&image)]);
    run("mkfs.ext4", &["-q", "-F", text(&image)]);
    let mut batches = 0;
    for cut in 0..cuts {
        let after = temporary.path().join("after.image");
        let mounted = Mounted::new(&image, temporary.path().join("disk"));
        let folder = Folder { path: mounted.folder.join("store"), small: cut % 2 == 1 };
        let writer = Writer::start(&folder);
        thread::sleep(Duration::from_millis(200 + mixed(cut) % 2500));
        signal("STOP", writer.process.id());
        // What was acknowledged before the copy is in the pipe: the reader needs a moment for it.
        thread::sleep(Duration::from_millis(100));
        let acknowledged = writer.acknowledged();
        run("cp", &["--sparse=always", text(&image), text(&after)]);
        signal("CONT", writer.process.id());
        writer.kill();
        drop(mounted);
        std::fs::rename(&after, &image).unwrap();
        let mounted = Mounted::new(&image, temporary.path().join("disk"));
        let folder = Folder { path: mounted.folder.join("store"), small: cut % 2 == 1 };
        batches = look(&folder, acknowledged).1;
    }
    println!("power cut {cuts} times: nothing acknowledged was lost; {batches} batches in the end");
}

/// A mounted image; unmounted when dropped.
struct Mounted {
    folder: PathBuf,
}

impl Mounted {
    fn new(image: &Path, folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        // Nothing is written back by itself within the time of a test.
        run("mount", &["-o", "loop,commit=300", text(image), text(&folder)]);
        Mounted { folder }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &[text(&self.folder)]);
    }
}

fn signal(name: &str, process: u32) {
    run("kill", &["-s", name, &process.to_string()]);
}

pub(crate) fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "`{program} {}` ended with {status}", arguments.join(" "));
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
