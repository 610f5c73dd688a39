//! The web page in a real browser, on real mounts: Debian's Chromium, on a desktop and on a phone.
#![allow(clippy::print_stdout, reason = "what the browser says is seen if it fails")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use datastore_tests::web::Web;
use datastore_tests::{Sandbox, binary, repository};

/// The disks; the last one is no volume at first.
const DISKS: &[(&str, u64)] = &[("sdb", 480 << 20), ("sdc", 480 << 20), ("sdd", 256 << 20)];
/// So many small files take long enough to be watched while they move.
const FILES: u32 = 100_000;

/// What is there before: an app that is bound, and one whose data nobody has imported.
fn machine() -> Web {
    let web = Web::new(DISKS, 2);
    let sandbox = web.sandbox();
    sandbox.configlet("photos", "title = \"Photos\"\n[mapping.\"/srv/photos\"]\ntarget = \"%{base}/photos\"\n");
    sandbox.configlet("shop", "title = \"Shop\"\n[mapping.\"/srv/shop\"]\ntarget = \"%{base}/shop\"\n");
    sandbox.write("/srv/shop/orders", "three of these");
    web.datastore(&["apply", "--yes"]);
    let album = sandbox.path("/srv/photos/album");
    fs::create_dir(&album).expect("make a directory");
    for n in 0..FILES {
        fs::write(album.join(n.to_string()), [b'x'; 1000]).expect("write a file");
    }
    web
}

fn bound_on(sandbox: &Sandbox, mount_point: &str) -> Option<String> {
    sandbox.bound(mount_point).map(|mount| mount.mount_point.display().to_string())
}

/// Goes through the pages, and looks at the machine wherever the browser says what it has reached.
fn go_through(kind: &str) {
    let web = machine();
    let sandbox = web.sandbox();
    let shots = binary::target("web");
    fs::create_dir_all(&shots).expect("a directory for the pictures");
    let mut command = sandbox.command("node");
    command.arg(repository("tests/browser/pages.mjs")).args([&web.entry(), kind]).arg(&shots);
    command.env("BROWSER_MODULES", binary::target("tools/browser")).env("HOME", sandbox.path("/tmp"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start node");
    let mut input = child.stdin.take().expect("its input is a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
    let store = |volume: &str, name: &str| sandbox.path(format!("/store/{volume}/live/server1/{name}"));
    let mut parts = 0;
    let mut is_done = false;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).expect("read what the browser says") == 0 {
            break;
        }
        let line = line.trim();
        println!("{line}");
        is_done |= line == "done";
        let Some(name) = line.strip_prefix("reached ") else { continue };
        parts += 1;
        match name {
            "imported" => {
                assert!(bound_on(sandbox, "/srv/shop").is_some());
                assert_eq!(sandbox.read("/srv/shop/orders"), "three of these");
            }
            "stopped" => assert!(bound_on(sandbox, "/srv/photos").is_none()),
            "started" => assert!(sandbox.exists("/srv/photos/album/0")),
            "added" => {
                assert!(bound_on(sandbox, "/srv/music").is_some());
                assert!(sandbox.read("/etc/datastore.d/music.conf").contains("/srv/music"));
            }
            "moved" | "undone" => {
                let volume = if name == "moved" { "data1" } else { "data0" };
                let last = format!("album/{}", FILES - 1);
                assert!(store(volume, "photos").join(last).exists());
                assert_eq!(fs::read_dir(sandbox.path("/srv/photos/album")).expect("read").count(), FILES as usize);
            }
            "not-formatted" => assert_ne!(web.root("blkid /dev/sdd").status.code(), Some(0), "nobody has formatted it"),
            "formatted" => {
                assert!(sandbox.bound("/store/data2").is_some());
            }
            "reclaimed" => {
                let plan = web.datastore(&["plan", "reclaim", "--json"]).ok();
                assert!(plan.stdout.contains("\"empty\": true"), "{}", plan.stdout);
            }
            other => panic!("what is `{other}`?"),
        }
        writeln!(input, "go on").expect("answer the browser");
    }
    let status = child.wait().expect("wait for node");
    assert!(status.success() && is_done, "the browser stopped after {parts} parts\n{}", web.grumbles().join("\n"));
    assert_eq!(parts, 9);
    assert_eq!(web.grumbles(), Vec::<String>::new());
}

#[test]
fn on_a_desktop() {
    go_through("desktop");
}

#[test]
fn on_a_phone() {
    go_through("phone");
}
