//! `doctor`: every check is planted for real and found, and what it says mends it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, chown};

use datastore_core::doctor::{Check, Severity};
use datastore_tests::rows::text;
use datastore_tests::{Sandbox, Snapshot, binary};
use rustix::fs::{IFlags, XattrFlags};
use serde_json::Value;

const SHOP: &str =
    "services = [\"shop.service\"]\n[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\nowner = \"alice\"\n";
const FINE: &str = "[mapping.\"/var/fine\"]\ntarget = \"%{base}/fine\"\n";
const STORE: &str = "/store/data0/live/server1/shop";
const BASE: &str = "/store/data0/live/server1";
const MANIFEST: &str = "/store/data0/live/server1/.datastore/manifest.toml";
const DONE: &str = "/var/lib/datastore/done";
const JOURNAL: &str = "/var/lib/datastore/journal";
const OPERATION: &str = "20201123T174301250Z-1a2b3c4d";
const IDENTITY: &str = "trusted.datastore.id";

/// A machine with a disk, on which two apps are active.
#[track_caller]
fn machine() -> Sandbox {
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
fn findings(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    let run = sandbox.datastore(&[&["doctor", "--json"], args].concat());
    let json = run.json();
    let all = json["findings"].as_array().unwrap_or_else(|| run.fail("findings")).clone();
    let bad = all.iter().any(|f| f["severity"] != "note");
    let _ = run.code(i32::from(bad));
    all
}

fn of<'f>(findings: &'f [Value], check: &str) -> Vec<&'f Value> {
    findings.iter().filter(|f| f["check"] == check).collect()
}

/// Runs a hint as a person types it. Paths in it are those below the root.
#[track_caller]
fn follow(sandbox: &Sandbox, hint: &str) {
    let root = sandbox.root().display();
    let words = hint.split(' ').map(|w| if w.starts_with('/') { format!("{root}{w}") } else { w.into() });
    let line = words.collect::<Vec<String>>().join(" ");
    let program = binary::datastore();
    let script = format!("datastore() {{ {} --root {root} --yes \"$@\"; }}; {line}", program.display());
    sandbox.run(sandbox.command("sh").args(["-c", &script])).ok();
}

/// How a fault is mended.
enum Mend {
    /// By the command in its hint.
    Hint,
    /// By hand, because the hint says what to decide.
    Hand(fn(&Sandbox)),
}

struct Fault {
    check: Check,
    severity: Severity,
    /// What the finding is about: an app, a mount point, or a path that ends so.
    about: &'static str,
    plant: fn(&Sandbox),
    mend: Mend,
    /// Other checks that see the same fault.
    also: &'static [Check],
}

fn unseal(sandbox: &Sandbox, path: &str) {
    let dir = File::open(sandbox.path(path)).unwrap();
    rustix::fs::ioctl_setflags(&dir, rustix::fs::ioctl_getflags(&dir).unwrap() - IFlags::IMMUTABLE).unwrap();
    fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(0o755)).unwrap();
}

fn seal(sandbox: &Sandbox, path: &str) {
    let dir = File::open(sandbox.path(path)).unwrap();
    fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(0o0)).unwrap();
    rustix::fs::ioctl_setflags(&dir, rustix::fs::ioctl_getflags(&dir).unwrap() | IFlags::IMMUTABLE).unwrap();
}

fn remount(sandbox: &Sandbox, options: &str, path: &str) {
    sandbox.run(sandbox.command("mount").args(["-o", &format!("remount,{options}")]).arg(sandbox.path(path))).ok();
}

/// Binds a store again as datastore does.
fn bind(sandbox: &Sandbox, store: &str, mount_point: &str) {
    sandbox.bind(store, mount_point);
    remount(sandbox, "bind,nosuid,nodev", mount_point);
}

fn edit(sandbox: &Sandbox, path: &str, change: impl Fn(&str) -> String) {
    let old = sandbox.read(path);
    let new = change(&old);
    assert_ne!(old, new, "{path}");
    fs::write(sandbox.path(path), new).unwrap();
}

fn without_lines(text: &str, with: &str) -> String {
    text.split_inclusive('\n').filter(|l| !l.contains(with)).collect()
}

fn newest_journal(sandbox: &Sandbox) -> String {
    let entries = fs::read_dir(sandbox.path(DONE)).unwrap();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).max().expect("a journal")
}

fn remove(sandbox: &Sandbox, path: &str) {
    fs::remove_file(sandbox.path(path)).unwrap();
}

fn set_identity(sandbox: &Sandbox, path: &str) {
    let id = b"0a906c56-3e6e-4259-b303-c44e018624ce";
    rustix::fs::setxattr(sandbox.path(path), IDENTITY, id, XattrFlags::empty()).unwrap();
}

fn restore(sandbox: &Sandbox, path: &str) {
    fs::rename(sandbox.path(format!("{path}.kept")), sandbox.path(path)).unwrap();
}

fn keep(sandbox: &Sandbox, path: &str) {
    fs::copy(sandbox.path(path), sandbox.path(format!("{path}.kept"))).unwrap();
}

fn apply(sandbox: &Sandbox) {
    sandbox.datastore(&["apply", "--yes"]).ok();
}

fn faults() -> Vec<Fault> {
    use Mend::{Hand, Hint};
    use Severity::{Error, Note, Warning};
    let fault = |check, severity, about, plant, mend| Fault { check, severity, about, plant, mend, also: &[] };
    vec![
        fault(
            Check::Refused,
            Error,
            "/var/shop",
            |s| {
                s.unmount("/var/shop");
                unseal(s, "/var/shop");
                s.write("/var/shop/lost", "x");
            },
            Hand(|s| {
                remove(s, "/var/shop/lost");
                apply(s);
            }),
        ),
        fault(
            Check::Interrupted,
            Error,
            "/var/shop",
            |s| {
                s.datastore(&["restart", "shop"]).ok();
                let name = newest_journal(s);
                let journal = s.read(format!("{DONE}/{name}"));
                let lines: Vec<&str> = journal.split_inclusive('\n').collect();
                s.write(format!("{JOURNAL}/{name}"), lines[..lines.len() - 1].concat());
                remove(s, &format!("{DONE}/{name}"));
            },
            Hint,
        ),
        fault(Check::NotBound, Error, "/var/shop", |s| s.unmount("/var/shop"), Hint),
        fault(
            Check::StillBound,
            Warning,
            "/var/shop",
            |s| drop(s.write("/etc/datastore.d/shop.local.conf", "enabled = false\n")),
            Hint,
        ),
        fault(
            Check::HiddenData,
            Warning,
            "/var/shop",
            |s| {
                s.unmount("/var/shop");
                unseal(s, "/var/shop");
                s.write("/var/shop/lost", "x");
                bind(s, STORE, "/var/shop");
            },
            Hand(|s| {
                s.unmount("/var/shop");
                remove(s, "/var/shop/lost");
                apply(s);
            }),
        ),
        fault(Check::ModeOwner, Warning, "/var/shop", |s| chown(s.path(STORE), Some(7), None).unwrap(), Hint),
        fault(Check::BindOptions, Warning, "/var/shop", |s| remount(s, "bind,suid", "/var/shop"), Hint),
        fault(Check::FstabLine, Warning, "/var/shop", |s| edit(s, "/etc/fstab", |t| without_lines(t, "=shop")), Hint),
        fault(
            Check::NoIdentity,
            Warning,
            "/var/shop",
            |s| {
                edit(s, MANIFEST, |t| without_lines(t, "/var/shop"));
                rustix::fs::removexattr(s.path(STORE), IDENTITY).unwrap();
            },
            Hint,
        ),
        fault(
            Check::StaleManifest,
            Warning,
            "/var/fine",
            |s| edit(s, MANIFEST, |t| without_lines(t, "/var/fine")),
            Hint,
        ),
        fault(
            Check::Unsealed,
            Warning,
            "/var/shop",
            |s| {
                s.unmount("/var/shop");
                unseal(s, "/var/shop");
                bind(s, STORE, "/var/shop");
            },
            Hint,
        ),
        fault(
            Check::StraySeal,
            Warning,
            "/var/shop",
            |s| {
                s.datastore(&["disable", "shop", "--yes"]).ok();
                seal(s, "/var/shop");
            },
            Hint,
        ),
        fault(Check::Stacked, Warning, "/var/shop", |s| bind(s, STORE, "/var/shop"), Hint),
        fault(
            Check::Shared,
            Note,
            "/store/data0",
            |s| {
                s.run(s.command("mount").arg("--make-shared").arg(s.path("/store/data0"))).ok();
                s.datastore(&["restart", "shop"]).ok();
            },
            Hand(|s| {
                s.run(s.command("mount").arg("--make-private").arg(s.path("/store/data0"))).ok();
            }),
        ),
        fault(Check::StrayLine, Warning, "/var/shop", |s| remove(s, "/etc/datastore.d/shop.conf"), Hint),
        fault(
            Check::ForeignLine,
            Warning,
            "/etc/fstab",
            |s| edit(s, "/etc/fstab", |t| format!("{t}{STORE} /mnt/x none bind 0 0\n")),
            Hand(|s| edit(s, "/etc/fstab", |t| without_lines(t, "/mnt/x"))),
        ),
        fault(
            Check::FstabFixed,
            Warning,
            "/etc/fstab",
            |s| drop(s.run(s.command("chattr").arg("+i").arg(s.path("/etc/fstab"))).ok()),
            Hand(|s| drop(s.run(s.command("chattr").arg("-i").arg(s.path("/etc/fstab"))).ok())),
        ),
        Fault {
            also: &[Check::Refused],
            ..fault(
                Check::Volume,
                Error,
                "/store/data0",
                |s| ["/var/shop", "/var/fine", "/store/data0"].iter().for_each(|at| s.unmount(at)),
                Hand(|s| {
                    s.mount_loop(&s.path("disk.img"), "/store/data0");
                    apply(s);
                }),
            )
        },
        Fault {
            also: &[Check::Refused],
            ..fault(
                Check::VolumeIdentity,
                Error,
                "/store/data0",
                |s| {
                    keep(s, "/store/data0/.datastore/volume.toml");
                    remove(s, "/store/data0/.datastore/volume.toml");
                },
                Hand(|s| restore(s, "/store/data0/.datastore/volume.toml")),
            )
        },
        fault(
            Check::TwinVolume,
            Error,
            "/mnt/copy",
            |s| {
                s.run(s.command("sync").arg("-f").arg(s.path("/store/data0"))).ok();
                s.run(s.command("cp").arg(s.path("disk.img")).arg(s.path("copy.img"))).ok();
                s.mount_loop(&s.path("copy.img"), "/mnt/copy");
            },
            Hint,
        ),
        fault(Check::ReadOnly, Error, "/store/data0", |s| remount(s, "ro", "/store/data0"), Hint),
        fault(
            Check::Space,
            Warning,
            "/store/data0",
            |s| {
                let vfs = rustix::fs::statvfs(s.path("/store/data0")).unwrap();
                let file = File::create(s.path("/store/data0/big")).unwrap();
                let fill = vfs.f_blocks * vfs.f_frsize * 93 / 100 - (vfs.f_blocks - vfs.f_bfree) * vfs.f_frsize;
                rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, fill).unwrap();
            },
            Hand(|s| remove(s, "/store/data0/big")),
        ),
        fault(
            Check::Inodes,
            Error,
            "/store/data0",
            |s| {
                s.directory("/store/data0/many", 0o700);
                let all = rustix::fs::statvfs(s.path("/store/data0")).unwrap().f_ffree;
                (0..all).for_each(|i| drop(File::create(s.path(format!("/store/data0/many/{i}"))).unwrap()));
            },
            Hand(|s| fs::remove_dir_all(s.path("/store/data0/many")).unwrap()),
        ),
        fault(
            Check::OrphanStore,
            Warning,
            "/www/lost",
            |s| {
                s.directory(format!("{BASE}/www"), 0o700);
                s.directory(format!("{BASE}/www/lost"), 0o755);
                set_identity(s, &format!("{BASE}/www/lost"));
            },
            Hand(|s| fs::remove_dir_all(s.path(format!("{BASE}/www"))).unwrap()),
        ),
        fault(
            Check::UndeclaredStore,
            Note,
            STORE,
            |s| {
                remove(s, "/etc/datastore.d/shop.conf");
                s.datastore(&["disable", "shop", "--yes"]).ok();
            },
            Hand(|s| {
                s.configlet("shop", SHOP);
                apply(s);
            }),
        ),
        fault(
            Check::OtherHost,
            Note,
            "/live/server9",
            |s| drop(s.directory("/store/data0/live/server9", 0o700)),
            Hand(|s| fs::remove_dir(s.path("/store/data0/live/server9")).unwrap()),
        ),
        Fault {
            also: &[Check::ModeOwner, Check::StaleManifest],
            ..fault(
                Check::OwnerRenumbered,
                Error,
                STORE,
                |s| {
                    chown(s.path("/var/shop/order"), Some(1000), None).unwrap();
                    edit(s, "/etc/passwd", |t| t.replace("alice:x:1000:", "alice:x:1001:"));
                },
                Hint,
            )
        },
        fault(
            Check::Unreadable,
            Warning,
            ".journal",
            |s| {
                let name = newest_journal(s);
                edit(s, &format!("{DONE}/{name}"), |t| t.replacen("begin", "began", 1));
            },
            Hint,
        ),
        fault(
            Check::Config,
            Error,
            "/etc/datastore.d/fine.conf",
            |s| drop(s.configlet("fine", &format!("titel = \"x\"\n{FINE}"))),
            Hand(|s| drop(s.configlet("fine", FINE))),
        ),
        fault(
            Check::Leftover,
            Warning,
            "/etc/.fstab.20201123T174301250Z-1a2b3c4d.tmp",
            |s| drop(s.write(format!("/etc/.fstab.{OPERATION}.tmp"), "half")),
            Hint,
        ),
        fault(
            Check::NoGuard,
            Note,
            "shop",
            |_| {},
            Hand(|s| {
                s.write(
                    "/etc/systemd/system/shop.service.d/guard.conf",
                    "[Service]\nExecStartPre=+datastore guard shop\n",
                );
            }),
        ),
    ]
}

/// Checks that no fault on a machine of root's can come to.
const ELSEWHERE: &[(Check, &str)] = &[(Check::Unseen, "see `without_privilege_it_says_what_it_could_not_see`")];

#[test]
fn every_check_has_a_fault() {
    let planted: BTreeSet<Check> = faults().iter().map(|f| f.check).chain(ELSEWHERE.iter().map(|e| e.0)).collect();
    let missing: Vec<_> = Check::ALL.iter().filter(|c| !planted.contains(c)).collect();
    assert!(missing.is_empty(), "no fault is planted for {missing:?}");
}

/// Plants one fault, looks, mends, and looks again.
#[track_caller]
fn plant_and_mend(fault: &Fault) {
    let sandbox = machine();
    (fault.plant)(&sandbox);
    let name = fault.check.as_str();
    let before = Snapshot::of(&sandbox);
    let all = findings(&sandbox, &[]);
    before.assert_unchanged(&sandbox, name);
    let found = of(&all, name);
    let is_about = |f: &&&Value| ["app", "mount_point", "path"].iter().any(|k| text(&f[*k]).ends_with(fault.about));
    let Some(finding) = found.iter().find(is_about) else { panic!("{name}: nothing about {}: {all:#?}", fault.about) };
    assert_eq!(finding["severity"], fault.severity.as_str(), "{name}: {finding:#}");
    for field in ["detail", "cause", "hint"] {
        assert!(!text(&finding[field]).is_empty(), "{name}: no {field}: {finding:#}");
    }
    let may_be = |f: &&Value| {
        f["severity"] == "note" || f["check"] == name || fault.also.iter().any(|c| f["check"] == c.as_str())
    };
    let others: Vec<_> = all.iter().filter(|f| !may_be(f)).collect();
    assert!(others.is_empty(), "{name}: and nothing else: {others:#?}");
    for also in fault.also {
        assert!(!of(&all, also.as_str()).is_empty(), "{name}: also {also}: {all:#?}");
    }
    sandbox.datastore(&["doctor"]).says(name).says("hint: ");
    match &fault.mend {
        Mend::Hint => follow(&sandbox, &text(&finding["hint"])),
        Mend::Hand(mend) => mend(&sandbox),
    }
    let after = findings(&sandbox, &[]);
    assert!(after.iter().all(|f| f["severity"] == "note" && f["check"] != name), "{name} is mended: {after:#?}");
}

/// Every fault of these severities whose number leaves this rest: the suite runs in several processes.
fn some(rest: usize) {
    faults().iter().enumerate().filter(|(i, _)| i % 4 == rest).for_each(|(_, fault)| plant_and_mend(fault));
}

#[test]
fn each_fault_is_found_and_mended_first_quarter() {
    some(0);
}

#[test]
fn each_fault_is_found_and_mended_second_quarter() {
    some(1);
}

#[test]
fn each_fault_is_found_and_mended_third_quarter() {
    some(2);
}

#[test]
fn each_fault_is_found_and_mended_last_quarter() {
    some(3);
}

#[test]
fn a_sound_machine_has_nothing_worse_than_notes() {
    let sandbox = machine();
    let all = findings(&sandbox, &[]);
    assert_eq!(all.iter().map(|f| text(&f["check"])).collect::<Vec<_>>(), ["no-guard"], "{all:#?}");
    assert_eq!(sandbox.datastore(&["doctor", "--json"]).ok().json()["complete"], true);
    sandbox.datastore(&["doctor"]).ok().says("1 finding: 1 note");
    // Stopped on purpose, or not asked for: both are as they should be.
    sandbox.datastore(&["stop", "shop"]).ok();
    sandbox.datastore(&["disable", "fine", "--yes"]).ok();
    let all = findings(&sandbox, &[]);
    assert!(all.iter().all(|f| f["severity"] == "note"), "{all:#?}");
    // In both grammars.
    sandbox.datastore(&["shop", "doctor"]).ok().says("shop.service");
    sandbox.datastore(&["doctor", "nobody"]).code(2).says("no app is called");
    // A stopped one whose seal is gone: its hint does not start it.
    unseal(&sandbox, "/var/shop");
    let all = findings(&sandbox, &[]);
    let found = of(&all, "unsealed");
    assert_eq!(found.len(), 1, "{all:#?}");
    follow(&sandbox, &text(&found[0]["hint"]));
    sandbox.is("/var/shop", "inactive");
    assert!(findings(&sandbox, &[]).iter().all(|f| f["severity"] == "note"));
}

#[test]
fn ten_faults_at_once_are_all_shown_and_each_hint_mends_its_own() {
    let sandbox = machine();
    for app in 0..7 {
        sandbox.configlet(&format!("a{app}"), &format!("[mapping.\"/var/a{app}\"]\ntarget = \"%{{base}}/a{app}\"\n"));
    }
    apply(&sandbox);
    let store = |app: u32| format!("{BASE}/a{app}");
    sandbox.unmount("/var/a0");
    chown(sandbox.path(store(1)), Some(7), None).unwrap();
    remount(&sandbox, "bind,suid", "/var/a2");
    edit(&sandbox, "/etc/fstab", |t| without_lines(t, "=a3"));
    sandbox.unmount("/var/a4");
    unseal(&sandbox, "/var/a4");
    bind(&sandbox, &store(4), "/var/a4");
    bind(&sandbox, &store(5), "/var/a5");
    remove(&sandbox, "/etc/datastore.d/a6.conf");
    let name = newest_journal(&sandbox);
    edit(&sandbox, &format!("{DONE}/{name}"), |t| t.replacen("begin", "began", 1));
    sandbox.write(format!("/etc/.fstab.{OPERATION}.tmp"), "half");
    sandbox.run(sandbox.command("cp").arg(sandbox.path("disk.img")).arg(sandbox.path("copy.img"))).ok();
    sandbox.mount_loop(&sandbox.path("copy.img"), "/mnt/copy");

    let all = findings(&sandbox, &[]);
    let mut bad: Vec<(String, String)> =
        all.iter().filter(|f| f["severity"] != "note").map(|f| (text(&f["check"]), text(&f["hint"]))).collect();
    let mut checks: Vec<&str> = bad.iter().map(|(check, _)| check.as_str()).collect();
    checks.sort_unstable();
    let wanted = [
        "bind-options",
        "fstab-line",
        "leftover",
        "mode-owner",
        "not-bound",
        "stacked",
        "stray-line",
        "twin-volume",
        "unreadable",
        "unsealed",
    ];
    assert_eq!(checks, wanted, "{all:#?}");
    assert_eq!(all[0]["severity"], "error", "the worst first");
    // In whatever order they are followed, each mends its own and nothing else has to be done.
    bad.reverse();
    let mut left = bad.len();
    for (check, hint) in &bad {
        follow(&sandbox, hint);
        left -= 1;
        let all = findings(&sandbox, &[]);
        assert!(of(&all, check).is_empty(), "{check} is mended by `{hint}`: {all:#?}");
        assert_eq!(all.iter().filter(|f| f["severity"] != "note").count(), left, "after `{hint}`: {all:#?}");
    }
    sandbox.datastore(&["doctor"]).ok();
}

#[test]
fn what_concerns_an_app_is_its_own_and_what_it_depends_on() {
    let sandbox = machine();
    sandbox.unmount("/var/shop");
    chown(sandbox.path("/store/data0/live/server1/fine"), Some(7), None).unwrap();
    sandbox.directory("/store/data0/live/server9", 0o700);
    let checks = |args: &[&str]| findings(&sandbox, args).iter().map(|f| text(&f["check"])).collect::<Vec<_>>();
    assert_eq!(checks(&["shop"]), ["not-bound", "no-guard"]);
    assert_eq!(checks(&["fine"]), ["mode-owner"]);
    assert_eq!(checks(&[]), ["not-bound", "mode-owner", "other-host", "no-guard"]);
    remount(&sandbox, "ro", "/store/data0");
    assert!(checks(&["fine"]).contains(&"read-only".to_owned()), "the volume of its data");
}

#[test]
fn what_cannot_be_read_is_a_finding_and_the_rest_is_still_looked_at() {
    for (path, damage) in [
        (MANIFEST, "store = 1\n"),
        ("/store/data0/.datastore/volume.toml", "id = 7\n"),
        ("/etc/datastore.d/shop.conf", "[mapping\n"),
    ] {
        let sandbox = machine();
        sandbox.write(format!("/etc/.fstab.{OPERATION}.tmp"), "half");
        keep(&sandbox, path);
        fs::write(sandbox.path(path), damage).unwrap();
        let all = findings(&sandbox, &[]);
        let found = all.iter().find(|f| text(&f["path"]) == path);
        let found = found.unwrap_or_else(|| panic!("{path}: {all:#?}"));
        assert_eq!(found["severity"], "error", "{found:#}");
        assert_eq!(of(&all, "leftover").len(), 1, "{path}: {all:#?}");
        restore(&sandbox, path);
        remove(&sandbox, &format!("/etc/.fstab.{OPERATION}.tmp"));
        sandbox.datastore(&["doctor"]).ok();
    }
    // A journal that stops every verb does not stop this one, and its hint makes the others work again.
    let sandbox = machine();
    let name = newest_journal(&sandbox);
    let broken = sandbox.read(format!("{DONE}/{name}")).replacen("intent", "intend", 1);
    sandbox.write(format!("{JOURNAL}/{name}"), broken);
    sandbox.unmount("/var/shop");
    sandbox.datastore(&["apply", "--yes"]).code(3);
    let all = findings(&sandbox, &[]);
    assert!(text(&of(&all, "unreadable")[0]["path"]).contains(&name) && !of(&all, "not-bound").is_empty(), "{all:#?}");
    // Without fstab nothing can be told.
    let sandbox = machine();
    fs::rename(sandbox.path("/etc/fstab"), sandbox.path("/etc/fstab.real")).unwrap();
    std::os::unix::fs::symlink("fstab.real", sandbox.path("/etc/fstab")).unwrap();
    let run = sandbox.datastore(&["doctor", "--json"]).code(1);
    assert_eq!((&run.json()["complete"], &run.json()["findings"][0]["path"]), (&false.into(), &"/etc/fstab".into()));
    Sandbox::new().datastore(&["doctor"]).code(3).says("datastore init");
}

#[test]
fn without_privilege_it_says_what_it_could_not_see() {
    let sandbox = machine();
    // By cp(1): while this process had it open for writing, a child of another thread's could keep it so (ETXTBSY).
    let program = sandbox.path("datastore");
    sandbox.run(sandbox.command("cp").arg(binary::datastore()).arg(&program)).ok();
    sandbox.unmount("/var/fine");
    let mut command = sandbox.command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(program);
    let run = sandbox.run(command.arg("--root").arg(sandbox.root()).args(["doctor", "--json"])).code(1);
    let json = run.json();
    assert_eq!(json["complete"], false);
    let all = json["findings"].as_array().unwrap();
    let unseen = of(all, "unseen");
    assert_eq!((unseen.len(), &unseen[0]["severity"]), (1, &"note".into()), "{all:#?}");
    for what in ["journals", "live binds", "identities"] {
        assert!(text(&unseen[0]["detail"]).contains(what), "{what}: {unseen:#?}");
    }
    assert!(!of(all, "not-bound").is_empty(), "what anybody can see is told: {all:#?}");
    let worse: Vec<_> = all.iter().filter(|f| f["severity"] != "note" && f["check"] != "not-bound").collect();
    assert!(worse.is_empty(), "nothing is made up of what could not be seen: {worse:#?}");
}

#[test]
fn on_an_old_kernel_all_but_what_lies_under_binds_is_seen() {
    let sandbox = machine();
    chown(sandbox.path(STORE), Some(7), None).unwrap();
    let without = ["openat2", "open_tree", "statmount", "statx", "464"];
    let run = sandbox.datastore_without(&without, &["doctor", "--json"]).code(1);
    let json = run.json();
    let all = json["findings"].as_array().unwrap();
    assert_eq!(of(all, "mode-owner").len(), 1);
    assert!(
        json["complete"] == false && text(&of(all, "unseen")[0]["detail"]).contains("what lies under live binds"),
        "{all:#?}"
    );
}

#[test]
fn the_book_tells_of_every_check() {
    let book = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/doctor.md")).unwrap();
    let missing: Vec<_> = Check::ALL.iter().filter(|c| !book.contains(&format!("\n| `{c}` | "))).collect();
    assert!(missing.is_empty(), "docs/doctor.md does not tell of {missing:?}");
}

#[test]
fn it_looks_under_more_binds_than_descriptors_may_be_open() {
    let sandbox = Sandbox::in_memory();
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    let mapping = |i: u32| format!("[mapping.\"/srv/{i}/x\"]\ntarget = \"%{{base}}/{i}\"\n");
    sandbox.configlet("many", &(0..1600).map(mapping).collect::<String>());
    apply(&sandbox);
    let store = format!("{BASE}/1599");
    sandbox.unmount("/srv/1599/x");
    unseal(&sandbox, "/srv/1599/x");
    sandbox.write("/srv/1599/x/lost", "x");
    bind(&sandbox, &store, "/srv/1599/x");
    let script = format!(
        "ulimit -n 1024; exec {} --root {} doctor --json",
        binary::datastore().display(),
        sandbox.root().display()
    );
    let run = sandbox.run(sandbox.command("sh").args(["-c", &script])).code(1);
    let all = run.json()["findings"].as_array().unwrap().clone();
    assert_eq!((all.len(), text(&all[0]["check"])), (1, "hidden-data".into()), "{all:#?}");
}
