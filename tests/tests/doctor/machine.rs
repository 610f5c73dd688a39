//! A machine with two apps, and the ways in which somebody may spoil it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;

use datastore_tests::{Sandbox, binary};
use rustix::fs::{IFlags, XattrFlags};
use serde_json::Value;

pub(crate) const SHOP: &str =
    "services = [\"shop.service\"]\n[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\nowner = \"alice\"\n";
pub(crate) const FINE: &str = "[mapping.\"/var/fine\"]\ntarget = \"%{base}/fine\"\n";
pub(crate) const STORE: &str = "/store/data0/live/server1/shop";
pub(crate) const BASE: &str = "/store/data0/live/server1";
pub(crate) const MANIFEST: &str = "/store/data0/live/server1/.datastore/manifest.toml";
pub(crate) const DONE: &str = "/var/lib/datastore/done";
pub(crate) const RECEIPTS: &str = "/var/lib/datastore/receipts";
pub(crate) const JOURNAL: &str = "/var/lib/datastore/journal";
pub(crate) const OPERATION: &str = "20201123T174301250Z-1a2b3c4d";
pub(crate) const IDENTITY: &str = "trusted.datastore.id";

/// A machine with a disk, on which two apps are active.
#[track_caller]
pub(crate) fn machine() -> Sandbox {
    let sandbox = Sandbox::new();
    let image = sandbox.loop_image("disk.img", 32 << 20, None);
    let image = image.to_str().expect("a plain path").to_owned();
    sandbox.datastore(&["init", "--host", "server1", "--device", &image, "--format", "ext4", "--yes"]).ok();
    sandbox.configlet("shop", SHOP);
    sandbox.configlet("fine", FINE);
    sandbox.datastore(&["apply", "--yes"]).ok();
    fs::write(sandbox.path("/var/shop/order"), "one").unwrap();
    sandbox
}

#[track_caller]
pub(crate) fn findings(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    let run = sandbox.datastore(&[&["doctor", "--json"], args].concat());
    let json = run.json();
    let all = json["findings"].as_array().unwrap_or_else(|| run.fail("findings")).clone();
    let bad = all.iter().any(|f| f["severity"] != "note");
    let _ = run.code(i32::from(bad));
    all
}

pub(crate) fn of<'f>(findings: &'f [Value], check: &str) -> Vec<&'f Value> {
    findings.iter().filter(|f| f["check"] == check).collect()
}

/// Runs a hint as a person types it. Paths in it are those below the root.
#[track_caller]
pub(crate) fn follow(sandbox: &Sandbox, hint: &str) {
    let root = sandbox.root().display();
    let words = hint.split(' ').map(|w| if w.starts_with('/') { format!("{root}{w}") } else { w.into() });
    let line = words.collect::<Vec<String>>().join(" ");
    let program = binary::datastore();
    let script = format!("datastore() {{ {} --root {root} --yes \"$@\"; }}; {line}", program.display());
    sandbox.run(sandbox.command("sh").args(["-c", &script])).ok();
}

pub(crate) fn unseal(sandbox: &Sandbox, path: &str) {
    let dir = File::open(sandbox.path(path)).unwrap();
    rustix::fs::ioctl_setflags(&dir, rustix::fs::ioctl_getflags(&dir).unwrap() - IFlags::IMMUTABLE).unwrap();
    fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(0o755)).unwrap();
}

pub(crate) fn seal(sandbox: &Sandbox, path: &str) {
    let dir = File::open(sandbox.path(path)).unwrap();
    fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(0o0)).unwrap();
    rustix::fs::ioctl_setflags(&dir, rustix::fs::ioctl_getflags(&dir).unwrap() | IFlags::IMMUTABLE).unwrap();
}

pub(crate) fn remount(sandbox: &Sandbox, options: &str, path: &str) {
    sandbox.run(sandbox.command("mount").args(["-o", &format!("remount,{options}")]).arg(sandbox.path(path))).ok();
}

/// Binds a store again as datastore does.
pub(crate) fn bind(sandbox: &Sandbox, store: &str, mount_point: &str) {
    sandbox.bind(store, mount_point);
    remount(sandbox, "bind,nosuid,nodev", mount_point);
}

pub(crate) fn edit(sandbox: &Sandbox, path: &str, change: impl Fn(&str) -> String) {
    let old = sandbox.read(path);
    let new = change(&old);
    assert_ne!(old, new, "{path}");
    fs::write(sandbox.path(path), new).unwrap();
}

/// A file of ours without some lines, as somebody writes it who knows that its checksum does not fit any more.
pub(crate) fn by_hand(text: &str, with: &str) -> String {
    without_lines(&without_lines(text, "sum = "), with)
}

pub(crate) fn without_lines(text: &str, with: &str) -> String {
    text.split_inclusive('\n').filter(|l| !l.contains(with)).collect()
}

pub(crate) fn newest_journal(sandbox: &Sandbox) -> String {
    let entries = fs::read_dir(sandbox.path(DONE)).unwrap();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).max().expect("a journal")
}

pub(crate) fn remove(sandbox: &Sandbox, path: &str) {
    fs::remove_file(sandbox.path(path)).unwrap();
}

pub(crate) fn set_identity(sandbox: &Sandbox, path: &str) {
    let id = b"0a906c56-3e6e-4259-b303-c44e018624ce";
    rustix::fs::setxattr(sandbox.path(path), IDENTITY, id, XattrFlags::empty()).unwrap();
}

pub(crate) fn restore(sandbox: &Sandbox, path: &str) {
    fs::rename(sandbox.path(format!("{path}.kept")), sandbox.path(path)).unwrap();
}

pub(crate) fn keep(sandbox: &Sandbox, path: &str) {
    fs::copy(sandbox.path(path), sandbox.path(format!("{path}.kept"))).unwrap();
}

pub(crate) fn apply(sandbox: &Sandbox) {
    sandbox.datastore(&["apply", "--yes"]).ok();
}
