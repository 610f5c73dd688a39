//! Every reason of a refusal and every state of a mapping, each met on a real machine. A refusal exits with its code, says
//! why and what to do, and changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use datastore_core::state::{Reason, State};
use datastore_tests::rows::text;
use datastore_tests::{Holder, Sandbox, Snapshot, scenes};
use serde_json::Value;

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";
const BASE: &str = "/store/data0/live/server1";
const STORE: &str = "/store/data0/live/server1/shop";

/// One way to a refusal of `/var/shop`.
struct Case {
    reason: Reason,
    what: &'static str,
    /// Brings the machine there, and keeps it so until dropped.
    make: fn(&Sandbox) -> Option<Holder>,
    args: &'static [&'static str],
    code: i32,
    /// A part of the detail or the hint.
    says: &'static str,
}

const APPLY: &[&str] = &["apply", "--yes"];
const START: &[&str] = &["start", "shop"];

const CASES: &[Case] = &[
    Case {
        reason: Reason::VolumeMissing,
        what: "a volume that nobody declared",
        make: |s| configlet(s, "volume = \"data9\"\n"),
        args: APPLY,
        code: 3,
        says: "datastore volume add data9",
    },
    Case {
        reason: Reason::VolumeMissing,
        what: "a disk that is not mounted",
        make: |s| {
            disk(s, "data1", "ext4");
            configlet(s, "volume = \"data1\"\n");
            s.unmount("/store/data1");
            None
        },
        args: APPLY,
        code: 3,
        says: "mount /store/data1",
    },
    Case {
        reason: Reason::VolumeMissing,
        what: "a volume whose directory is gone",
        make: |s| {
            configlet(s, "");
            fs::rename(s.path("/store/data0"), s.path("/store/away")).unwrap();
            None
        },
        args: APPLY,
        code: 3,
        says: "/store/data0",
    },
    Case {
        reason: Reason::WrongVolume,
        what: "a volume with another identity",
        make: |s| {
            configlet(s, "");
            let file = "/store/data0/.datastore/volume.toml";
            s.write(file, other_id(&s.read(file)));
            None
        },
        args: APPLY,
        code: 3,
        says: "00000000-0000-4000-8000-000000000001",
    },
    Case {
        reason: Reason::WrongVolume,
        what: "an empty disk in the place of the right one",
        make: |s| {
            disk(s, "data1", "ext4");
            configlet(s, "volume = \"data1\"\n");
            s.unmount("/store/data1");
            let image = s.loop_image("other.img", 16 << 20, Some("ext4"));
            s.mount_loop(&image, "/store/data1");
            None
        },
        args: APPLY,
        code: 3,
        says: "carries no identity",
    },
    Case {
        reason: Reason::WrongStore,
        what: "a store directory that is gone",
        make: |s| {
            stopped(s);
            fs::rename(s.path(STORE), s.path("/store/data0/backup/shop")).unwrap();
            None
        },
        args: START,
        code: 3,
        says: "is gone",
    },
    Case {
        reason: Reason::WrongStore,
        what: "a new directory in the place of the store",
        make: |s| {
            stopped(s);
            fs::rename(s.path(STORE), s.path("/store/data0/backup/shop")).unwrap();
            s.directory(STORE, 0o755);
            None
        },
        args: START,
        code: 3,
        says: "--accept-store",
    },
    Case {
        reason: Reason::WrongStore,
        what: "the store of another app in its place",
        make: |s| {
            s.configlet("other", "[mapping.\"/var/other\"]\ntarget = \"%{base}/other\"\n");
            stopped(s);
            s.datastore(&["stop", "other"]).ok();
            fs::rename(s.path(STORE), s.path("/store/data0/backup/shop")).unwrap();
            fs::rename(s.path(format!("{BASE}/other")), s.path(STORE)).unwrap();
            None
        },
        args: START,
        code: 3,
        says: "carries the identity",
    },
    Case {
        reason: Reason::WrongStore,
        what: "a bind whose store was deleted under it",
        make: |s| {
            active(s);
            fs::remove_dir(s.path(STORE)).unwrap();
            None
        },
        args: START,
        code: 3,
        says: "has been deleted",
    },
    Case {
        reason: Reason::WrongStore,
        what: "another target after an edit",
        make: |s| {
            active(s);
            s.configlet("shop", &SHOP.replace("/shop\"\n", "/shop2\"\n"));
            None
        },
        args: APPLY,
        code: 3,
        says: "datastore remap shop",
    },
    Case {
        reason: Reason::WrongStore,
        what: "a manifest that a newer program wrote",
        make: |s| manifest(s, "version = 1", "version = 99"),
        args: START,
        code: 3,
        says: "version 99",
    },
    Case {
        reason: Reason::WrongStore,
        what: "a damaged manifest",
        make: |s| manifest(s, "[store]", "[store"),
        args: START,
        code: 3,
        says: "manifest",
    },
    Case {
        reason: Reason::MountPointNotEmpty,
        what: "data at the mount point",
        make: |s| {
            s.write("/var/shop/order", "precious");
            configlet(s, "")
        },
        args: APPLY,
        code: 3,
        says: "datastore import shop",
    },
    Case {
        reason: Reason::MountPointNotEmpty,
        what: "a link above the mount point",
        make: |s| {
            std::os::unix::fs::symlink("www", s.path("/var/link")).unwrap();
            s.configlet("shop", &SHOP.replace("/var/shop", "/var/link/shop"));
            None
        },
        args: APPLY,
        code: 3,
        says: "/var/link is a symbolic link",
    },
    Case {
        reason: Reason::WrongStore,
        what: "a link above the store directory",
        make: |s| {
            std::os::unix::fs::symlink("/etc", s.path(format!("{BASE}/link"))).unwrap();
            s.configlet("shop", &SHOP.replace("/shop\"\n", "/link/shop\"\n"));
            None
        },
        args: APPLY,
        code: 3,
        says: "link is a symbolic link",
    },
    Case {
        reason: Reason::MountPointNotEmpty,
        what: "a link at the mount point",
        make: |s| {
            std::os::unix::fs::symlink("www", s.path("/var/shop")).unwrap();
            configlet(s, "")
        },
        args: APPLY,
        code: 3,
        says: "symbolic link",
    },
    Case {
        reason: Reason::ForeignMount,
        what: "something mounted at the mount point",
        make: |s| {
            s.tmpfs("/var/shop", 1 << 20);
            configlet(s, "")
        },
        args: APPLY,
        code: 3,
        says: "tmpfs",
    },
    Case {
        reason: Reason::ForeignMount,
        what: "a line of somebody else in fstab",
        make: |s| {
            s.write("/etc/fstab", "/dev/sdz1 /var/shop ext4 defaults 0 0\n");
            configlet(s, "")
        },
        args: APPLY,
        code: 3,
        says: "line 1 of /etc/fstab",
    },
    Case {
        reason: Reason::OwnerUnknown,
        what: "a user that does not exist, asked for by name",
        make: |s| configlet(s, "owner = \"ghost\"\n"),
        args: START,
        code: 3,
        says: "user `ghost`",
    },
    Case {
        reason: Reason::OwnerUnknown,
        what: "a group that does not exist, asked for by name",
        make: |s| configlet(s, "group = \"ghosts\"\n"),
        args: &["apply", "shop", "--yes"],
        code: 3,
        says: "group `ghosts`",
    },
    Case {
        reason: Reason::ConfigInvalid,
        what: "a mode that is none",
        make: |s| configlet(s, "permissions = \"u=rwx\"\n"),
        args: APPLY,
        code: 3,
        says: "datastore config check shop",
    },
    Case {
        reason: Reason::ClaimedElsewhere,
        what: "a store directory that another app has already",
        make: |s| {
            s.configlet("first", &SHOP.replace("/var/shop", "/var/first"));
            s.datastore(APPLY).ok();
            configlet(s, "")
        },
        args: APPLY,
        code: 3,
        says: "have one store directory (/etc/datastore.d/first.conf:",
    },
    Case {
        reason: Reason::ConfigUnsafe,
        what: "a configlet that others may write",
        make: |s| {
            use std::os::unix::fs::PermissionsExt as _;
            configlet(s, "");
            fs::set_permissions(s.path("/etc/datastore.d/shop.conf"), fs::Permissions::from_mode(0o646)).unwrap();
            None
        },
        args: APPLY,
        code: 3,
        says: "writable by others",
    },
    Case {
        reason: Reason::ConfigUnsafe,
        what: "a hook that its group may write",
        make: |s| {
            use std::os::unix::fs::PermissionsExt as _;
            let hook = s.script("/usr/share/hook", "");
            fs::set_permissions(hook, fs::Permissions::from_mode(0o775)).unwrap();
            configlet(s, "premount = \"/usr/share/hook\"\n")
        },
        args: APPLY,
        code: 3,
        says: "chmod go-w /usr/share/hook",
    },
    Case {
        reason: Reason::HookFailed,
        what: "a hook that is not there",
        make: |s| configlet(s, "postmount = \"/usr/share/hook\"\n"),
        args: APPLY,
        code: 3,
        says: "the postmount hook /usr/share/hook does not exist",
    },
    Case {
        reason: Reason::Busy,
        what: "a process in the mount point",
        make: |s| {
            active(s);
            Some(Holder::in_directory(&s.path("/var/shop")))
        },
        args: &["stop", "shop"],
        code: 3,
        says: "sleep",
    },
    Case {
        reason: Reason::NoSpace,
        what: "a volume without a free byte",
        make: |s| {
            s.tmpfs("/store/data1", 1 << 20);
            s.datastore(&["volume", "add", "data1", "--yes"]).ok();
            fill_bytes(s, "/store/data1/backup/fill");
            configlet(s, "volume = \"data1\"\n")
        },
        args: APPLY,
        code: 3,
        says: "no space left",
    },
    Case {
        reason: Reason::NoSpace,
        what: "a volume without a free inode",
        make: |s| {
            disk(s, "data1", "ext4");
            fill_inodes(s, "/store/data1/backup");
            configlet(s, "volume = \"data1\"\n")
        },
        args: APPLY,
        code: 3,
        says: "no inodes left",
    },
    Case {
        reason: Reason::MountFailed,
        what: "a volume that is mounted read-only",
        make: |s| {
            disk(s, "data1", "ext4");
            configlet(s, "volume = \"data1\"\n");
            s.run(s.command("mount").args(["-o", "remount,ro"]).arg(s.path("/store/data1"))).ok();
            None
        },
        args: APPLY,
        code: 3,
        says: "mount -o remount,rw /store/data1",
    },
];

fn configlet(sandbox: &Sandbox, more: &str) -> Option<Holder> {
    sandbox.configlet("shop", &format!("{SHOP}{more}"));
    None
}

#[track_caller]
fn active(sandbox: &Sandbox) {
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(APPLY).ok();
    sandbox.is("/var/shop", "active");
}

#[track_caller]
fn stopped(sandbox: &Sandbox) {
    active(sandbox);
    sandbox.datastore(&["stop", "shop"]).ok();
}

/// A volume on an image with few inodes.
#[track_caller]
fn disk(sandbox: &Sandbox, name: &str, fs_type: &str) {
    sandbox.loop_image(&format!("{name}.img"), 8 << 20, Some(fs_type));
    let image = sandbox.path(format!("{name}.img")).display().to_string();
    sandbox.datastore(&["volume", "add", name, "--device", &image, "--yes"]).ok();
}

#[track_caller]
fn manifest(sandbox: &Sandbox, from: &str, to: &str) -> Option<Holder> {
    stopped(sandbox);
    let file = format!("{BASE}/.datastore/manifest.toml");
    let text = sandbox.read(&file);
    assert!(text.contains(from), "{text}");
    sandbox.write(&file, text.replace(from, to));
    None
}

/// A volume's identity file with another identity.
fn other_id(text: &str) -> String {
    let id =
        text.lines().find_map(|l| l.strip_prefix("id = \"")).expect("an identity").trim_end_matches('"').to_owned();
    text.replace(&id, "00000000-0000-4000-8000-000000000001")
}

fn fill_bytes(sandbox: &Sandbox, name: &str) {
    use std::io::Write as _;
    let mut file = fs::File::create(sandbox.path(name)).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
}

fn fill_inodes(sandbox: &Sandbox, dir: &str) {
    let dir = sandbox.path(dir);
    let full = (0..1_000_000).find_map(|n| fs::File::create(dir.join(n.to_string())).err());
    assert_eq!(full.expect("a full volume").kind(), std::io::ErrorKind::StorageFull);
}

/// Every row in a document: of a report, a plan or a status.
fn rows(document: &Value) -> Vec<&Value> {
    ["notes", "failed", "mappings"].iter().filter_map(|list| document[list].as_array()).flatten().collect()
}

#[test]
fn every_refusal_says_why_and_what_to_do_and_changes_nothing() {
    for case in CASES {
        let sandbox = Sandbox::initialised();
        let holder = (case.make)(&sandbox);
        let before = Snapshot::of(&sandbox);
        let run = sandbox.datastore(&[case.args, &["--json"]].concat()).code(case.code);
        before.assert_unchanged(&sandbox, case.what);
        let document = run.json();
        let of_shop = rows(&document).into_iter().find(|r| r["app"] == "shop");
        let Some(row) = of_shop else { run.fail(&format!("{}: no row of `shop`", case.what)) };
        assert_eq!(row["state"], "refused", "{}: {row:#}", case.what);
        assert_eq!(row["reason"], case.reason.as_str(), "{}: {row:#}", case.what);
        let (detail, hint) = (text(&row["detail"]), text(&row["hint"]));
        assert!(!detail.is_empty() && !hint.is_empty(), "{}: {row:#}", case.what);
        assert!(detail.contains(case.says) || hint.contains(case.says), "{}: {row:#}", case.what);
        // A plan shows the same, unless only doing it can tell.
        if case.reason != Reason::Busy {
            let goal = &case.args[..case.args.len() - usize::from(case.args.contains(&"--yes"))];
            let plan = sandbox.datastore(&[&["plan"], goal, &["--json"]].concat()).code(3).json();
            let planned = rows(&plan).into_iter().find(|r| r["app"] == "shop").cloned();
            assert_eq!(planned.as_ref(), Some(row), "{}", case.what);
            before.assert_unchanged(&sandbox, case.what);
        }
        // For people it stands there too.
        sandbox.datastore(case.args).code(case.code).says(case.reason.as_str()).says(&hint);
        if let Some(holder) = holder {
            assert!(detail.contains(&holder.pid().to_string()), "{row:#}");
            drop(holder);
            sandbox.datastore(case.args).ok();
        }
    }
}

#[test]
fn every_reason_has_a_case() {
    let met: BTreeSet<Reason> = CASES.iter().map(|c| c.reason).collect();
    for reason in Reason::ALL {
        assert!(met.contains(reason), "`{reason}` must be met by a case");
    }
}

/// Each state, and how to come to it: the mount point whose row has it, and a part of its detail.
type Way = (State, &'static str, fn(&Sandbox) -> Option<Holder>, &'static str);
const WAYS: &[Way] = &[
    (State::Active, "/var/shop", |s| set(s, active), ""),
    (State::Disabled, "/home", |_| None, "not asked for"),
    (State::Inactive, "/var/shop", |s| set(s, stopped), "stopped on purpose"),
    (State::Waiting, "/var/shop", |s| configlet(s, "owner = \"ghost\"\n"), "user `ghost` does not exist yet"),
    (State::Pending, "/var/shop", |s| configlet(s, ""), "not bound"),
    (
        State::Drifted,
        "/var/shop",
        |s| {
            active(s);
            std::os::unix::fs::chown(s.path(STORE), Some(1000), None).unwrap();
            None
        },
        "1000:0, not 0755 0:0",
    ),
    (State::Moving, "/var/shop", moving, ": run the premount hook /hooks/wait of `shop` for /var/shop"),
    (State::Interrupted, "/var/shop", |s| set(s, interrupted), "stopped half-way"),
    (State::Refused, "/var/shop", |s| configlet(s, "volume = \"data9\"\n"), "data9"),
];

/// Nothing need be kept running.
fn set(sandbox: &Sandbox, make: fn(&Sandbox)) -> Option<Holder> {
    make(sandbox);
    None
}

/// An import that waits in a hook.
#[track_caller]
fn moving(sandbox: &Sandbox) -> Option<Holder> {
    sandbox.programs();
    sandbox.script("/hooks/wait", "exec sleep 600");
    scenes::data(sandbox, "/var/shop");
    configlet(sandbox, "premount = \"/hooks/wait\"\n");
    let mut command = sandbox.datastore_command(&["import", "shop", "--yes"]);
    let import = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let import = Holder::of(import.expect("start datastore"));
    let ops = sandbox.path("/run/datastore/ops");
    let waits = || {
        let files = fs::read_dir(&ops).into_iter().flatten().map(|entry| fs::read_to_string(entry.unwrap().path()));
        files.flatten().any(|text| text.contains("\"what\":\"run the premount hook"))
    };
    let begun = Instant::now();
    while !waits() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the hook was never run");
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(import)
}

/// An operation whose journal has no end, as after a power cut.
#[track_caller]
fn interrupted(sandbox: &Sandbox) {
    active(sandbox);
    let mut journals: Vec<_> =
        fs::read_dir(sandbox.path("/var/lib/datastore/done")).unwrap().map(|e| e.unwrap().file_name()).collect();
    journals.sort();
    let name = journals.pop().expect("the journal of apply").into_string().unwrap();
    let done = sandbox.read(format!("/var/lib/datastore/done/{name}"));
    let lines: Vec<&str> = done.split_inclusive('\n').collect();
    fs::remove_file(sandbox.path(format!("/var/lib/datastore/done/{name}"))).unwrap();
    sandbox.write(format!("/var/lib/datastore/journal/{name}"), lines[..lines.len() - 1].concat());
}

#[test]
fn every_state_has_a_way_to_it() {
    for (state, mount_point, make, detail) in WAYS {
        let sandbox = Sandbox::initialised();
        let held = make(&sandbox);
        let before = Snapshot::of(&sandbox);
        let row = sandbox.row(mount_point);
        before.assert_unchanged(&sandbox, "status");
        assert_eq!(row["state"], state.as_str(), "{row:#}");
        assert!(text(&row["detail"]).contains(detail), "{row:#}");
        // Nothing is to be done about what is right, and nothing can be done about what waits for somebody else.
        let quiet = matches!(state, State::Active | State::Waiting);
        assert_eq!(text(&row["hint"]).is_empty(), quiet, "{row:#}");
        assert_eq!(row["reason"].is_null(), *state != State::Refused);
        drop(held);
    }
    for state in State::ALL {
        assert!(WAYS.iter().any(|way| way.0 == *state), "`{state}` must be met");
    }
}

#[test]
fn an_interrupted_operation_is_finished_by_the_next_run() {
    let sandbox = Sandbox::initialised();
    interrupted(&sandbox);
    let status = sandbox.datastore(&["status", "--json"]).ok().json();
    assert_eq!(status["operations"][0]["state"], "interrupted", "{status:#}");
    assert_eq!(status["operations"][0]["hint"], "datastore recover");
    sandbox.datastore(&["status", "shop"]).code(1);
    let recovered = sandbox.datastore(&["recover", "--json"]).ok().json();
    assert!(recovered["recovered"].is_array(), "{recovered:#}");
    sandbox.is("/var/shop", "active");
    assert_eq!(sandbox.datastore(&["status", "--json"]).ok().json()["operations"], serde_json::json!([]));
}

#[test]
fn a_store_that_was_restored_is_taken_when_somebody_says_so() {
    let sandbox = Sandbox::initialised();
    stopped(&sandbox);
    fs::rename(sandbox.path(STORE), sandbox.path("/store/data0/backup/shop")).unwrap();
    for make in [|s: &Sandbox| drop(s.directory(STORE, 0o755)), |s: &Sandbox| fs::remove_dir(s.path(STORE)).unwrap()] {
        make(&sandbox);
        sandbox.datastore(START).code(3).says("wrong-store");
        sandbox.datastore(&["start", "shop", "--accept-store"]).ok();
        sandbox.is("/var/shop", "active");
        sandbox.datastore(&["guard", "shop"]).ok();
        sandbox.datastore(&["stop", "shop"]).ok();
    }
}
