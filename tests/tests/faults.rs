//! Each call that may fail, failed: what is said, what holds then, and that the same command converges afterwards.

#![allow(clippy::print_stderr, reason = "the counts belong to the test's output")]

use std::path::Path;

use datastore_tests::scenes::Scene;
use datastore_tests::{Run, Sandbox, picture, skeleton, strace};

/// Calls and the steps that make them.
const CALLS: &[&str] = &["mkdirat", "fsync", "renameat,renameat2", "move_mount", "syncfs"];
const ERRORS: &[&str] = &["ENOSPC", "EIO", "EPERM"];
/// What is for onlookers, and housekeeping after the end: an operation does not fail for want of it. (A journal's last line is
/// synced in the journal itself; its move to `done` may be lost: then the next run makes it.)
const HARMLESS: &[&str] =
    &["/var/lib/datastore/journal", "/run", "/run/datastore", "/var/lib/datastore/done", "operations.log"];
/// The same, in the directory of a manifest: what another machine would want to know.
const KEPT: [&str; 2] = ["/.datastore/etc", "/.datastore/.owners.toml"];

/// Whether a call was about one of these: `mkdirat(3<ROOT/run>, "datastore", 0755)`.
fn is_harmless(hit: &str, root: &Path) -> bool {
    let dir = hit.split('<').nth(1).and_then(|rest| rest.split('>').next()).unwrap_or_default();
    let path = match hit.split('"').nth(1) {
        Some(name) => Path::new(dir).join(name),
        None => Path::new(dir).to_path_buf(),
    };
    let below = path.strip_prefix(root).map(|below| format!("/{}", below.display())).unwrap_or_default();
    if KEPT.iter().any(|kept| below.contains(kept)) {
        return true;
    }
    HARMLESS
        .iter()
        .any(|harmless| below == *harmless || below.starts_with(&format!("{harmless}/")) || below.ends_with(harmless))
}

/// The names of files in a line of strace: `"html"` and `</store/data0>`.
fn names(hit: &str) -> Vec<String> {
    let quoted = hit.split('"').skip(1).step_by(2).map(str::to_owned);
    let decoded = hit.split('<').skip(1).filter_map(|rest| rest.split('>').next()).map(str::to_owned);
    let last = |path: String| Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned());
    quoted.chain(decoded).filter_map(last).collect()
}

/// The failure names one of the files at hand, and says what holds now.
#[track_caller]
fn explains_itself(run: &Run, hit: &str, when: &str) {
    let said = format!("{}{}", run.stdout, run.stderr);
    // A temporary file `.NAME.TAG.tmp` stands for NAME.
    let plain = |name: &String| {
        let name = name.strip_suffix(".tmp").and_then(|n| n.strip_prefix('.')).map_or(name.as_str(), |n| n);
        name.rsplit_once('.').filter(|(_, tag)| tag.contains("Z-")).map_or(name, |(name, _)| name).to_owned()
    };
    let is_root = hit.starts_with("syncfs") && said.contains("the file system of /");
    if !is_root && !names(hit).iter().map(plain).any(|name| said.contains(&name)) {
        run.fail(&format!("{when}: none of the names {:?} is in the message", names(hit)));
    }
    let holds =
        ["taken back", "nothing has been", "datastore recover", "left as it was", "unchanged", "not been changed"];
    if !holds.iter().any(|words| said.contains(words)) {
        run.fail(&format!("{when}: the message does not say what holds now"));
    }
}

/// Fails every call of the command, one run for each.
fn failed_everywhere(name: &str) {
    let scene = Scene::named(name);
    let (_, wanted) = scene.undisturbed();
    let mut injected = 0;
    for (call, error) in CALLS.iter().flat_map(|call| ERRORS.iter().map(move |error| (*call, *error))) {
        for nth in 1.. {
            let sandbox = scene.set();
            let before = picture::exact(sandbox.root());
            let traced = strace::fail(&sandbox, call, error, nth, scene.command);
            let Some(hit) = traced.hit else {
                traced.run.ok();
                break;
            };
            injected += 1;
            let when = format!("{name}, {error} at {hit}");
            assert_eq!(picture::fstab(&sandbox.read("/etc/fstab")).foreign, skeleton::FSTAB, "{when}");
            if traced.run.status.code() == Some(0) {
                assert!(is_harmless(&hit, sandbox.root()), "{when}: it was passed over without a word");
                picture::same(&picture::of(sandbox.root()), &wanted, &when);
            } else {
                let run = traced.run.fails();
                explains_itself(&run, &hit, &when);
                if run.stderr.contains("everything that was done before has been taken back") {
                    let now = picture::exact(sandbox.root());
                    picture::same_but_for_new_directories(&now, &before, &format!("{when}, taken back"));
                }
            }
            let again = sandbox.datastore(scene.command);
            if again.status.code() != Some(0) {
                again.fail(&format!("{when}: the same command again"));
            }
            picture::same(&picture::of(sandbox.root()), &wanted, &format!("{when}, then again"));
            assert_eq!(picture::leftovers(sandbox.root()), Vec::<String>::new(), "{when}");
        }
    }
    eprintln!("{name}: {injected} faults");
    assert!(injected >= 15, "only {injected} faults: the calls are not traced");
}

#[test]
fn init() {
    failed_everywhere("init");
}

#[test]
fn apply() {
    failed_everywhere("apply");
}

#[test]
fn start() {
    failed_everywhere("start");
}

#[test]
fn stop() {
    failed_everywhere("stop");
}

#[test]
fn disable() {
    failed_everywhere("disable");
}

#[test]
fn remap() {
    failed_everywhere("remap");
}

#[test]
fn a_directory_becomes_a_volume() {
    failed_everywhere("volume add (directory)");
}

#[test]
fn a_program_declares_an_app() {
    failed_everywhere("config add");
}

#[test]
fn a_step_of_one_mapping_that_fails_leaves_the_others_bound() {
    let scene = Scene::named("apply");
    let mut seen = 0;
    for call in ["move_mount", "mkdirat"] {
        for nth in 1.. {
            let sandbox = scene.set();
            let traced = strace::fail(&sandbox, call, "EPERM", nth, scene.command);
            let Some(hit) = traced.hit else { break };
            // The store directory or the bind of the mail app alone.
            let report = traced.run;
            if !(hit.contains("/var/spool/mail") || hit.contains("/live/server1/mail")) || hit.contains("/run/") {
                continue;
            }
            seen += 1;
            report.code(1).says("/var/spool/mail");
            for (mount_point, is_bound) in
                [("/var/spool/mail", false), ("/var/www/html", true), ("/var/www/html/deep/cgi", true)]
            {
                assert_eq!(sandbox.bound(mount_point).is_some(), is_bound, "{mount_point} after EPERM at {hit}");
            }
            let lines = picture::fstab(&sandbox.read("/etc/fstab")).ours;
            assert_eq!(lines.len(), 2, "{lines:?} after EPERM at {hit}");
            sandbox.datastore(&["guard", "web"]).ok();
            sandbox.datastore(&["guard", "mail"]).code(3);
        }
    }
    // Before Linux 5.2 a bind is made by mount(2) between descriptors, which shows no path to tell it by.
    let wanted = if Sandbox::lacks("move_mount") { 1 } else { 2 };
    assert!(seen >= wanted, "only {seen} faults met the mail app");
}
