//! The model of the machine (`datastore_core::model`) held against the real kernel: the same random scenarios on both, with
//! the real command on one and core alone on the other. After everything that happens, mounts, fstab, directories, our files
//! and status must be the same; so must the exit codes.

#![allow(clippy::print_stdout, reason = "the counts are what a reader of the run wants to know")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use datastore_core::AbsPath;
use datastore_core::goal::Goal;
use datastore_core::mapping::BindOptions;
use datastore_core::model::disturb::{with_line, without_line};
use datastore_core::model::draw::numbers;
use datastore_core::model::picture::number_identities;
use datastore_core::model::scenario::base;
use datastore_core::model::tree::Kind;
use datastore_core::model::{Act, Choices, Event, Machine, Pulse, Scenario};
use datastore_core::value::Id;
use datastore_tests::mounts::{self, Mount};
use datastore_tests::rows::text;
use datastore_tests::{Sandbox, picture};
use rustix::fs::{IFlags, Mode, OFlags, XattrFlags};
use rustix::mount::{MountFlags, UnmountFlags};

/// How many scenarios, and how much happens in each at least.
const SCENARIOS: usize = 100;
const LENGTH: usize = 6;
/// What is compared, with everything in it.
const COMPARED: &[&str] = &["/srv", "/new", "/var/lib/x", "/store", "/disks", "/etc/datastore.d"];
/// The log of a volume tells of the way, not of what was reached.
const LEFT_OUT: [&str; 2] = ["log", "owners.toml"];
const ATTRIBUTE: &str = "trusted.datastore.id";

fn at(sandbox: &Sandbox, path: &AbsPath) -> PathBuf {
    sandbox.path(path.to_string())
}

fn flags(path: &Path) -> Option<(fs::File, IFlags)> {
    let options = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::File::from(rustix::fs::open(path, options, Mode::empty()).ok()?);
    let flags = rustix::fs::ioctl_getflags(&file).ok()?;
    Some((file, flags))
}

fn is_immutable(path: &Path) -> bool {
    flags(path).is_some_and(|(_, flags)| flags.contains(IFlags::IMMUTABLE))
}

fn thaw(path: &Path) {
    if let Some((file, flags)) = flags(path) {
        let _ = rustix::fs::ioctl_setflags(&file, flags - IFlags::IMMUTABLE);
    }
}

/// Where a path lies in the file system that holds it.
fn inside(path: &Path, all: &[Mount]) -> PathBuf {
    let holder = all.iter().rfind(|m| path.starts_with(&m.mount_point)).expect("a mount holds every path");
    within(path, holder)
}

fn within(path: &Path, mount: &Mount) -> PathBuf {
    mount.root.join(path.strip_prefix(&mount.mount_point).unwrap_or(Path::new("")))
}

/// Removes a tree with all flags in it, unless something is mounted in it.
fn remove(sandbox: &Sandbox, path: &Path) {
    let all = mounts::below(&mounts::all(), sandbox.root());
    let gone = inside(path, &all);
    let covers =
        |m: &Mount| all.iter().find(|p| p.id == m.parent).is_some_and(|p| within(&m.mount_point, p).starts_with(&gone));
    if all.iter().any(covers) || path.parent().is_some_and(is_immutable) {
        return;
    }
    fn clear(path: &Path) {
        thaw(path);
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            clear(&entry.path());
        }
    }
    clear(path);
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

fn make_all(path: &Path) {
    for dir in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
        if !dir.exists() && fs::create_dir(dir).is_ok() {
            let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o755));
        }
    }
}

/// What an event is on the real machine. What is not possible is passed over, as the model does.
fn disturb(sandbox: &Sandbox, event: &Event) {
    let fstab = sandbox.path("/etc/fstab");
    match event {
        Event::Write(path, text) => {
            let path = at(sandbox, path);
            path.parent().into_iter().for_each(make_all);
            if fs::write(&path, text).is_ok() {
                let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o644));
            }
        }
        Event::MakeDir(path, mode) => {
            let path = at(sandbox, path);
            path.parent().into_iter().for_each(make_all);
            if fs::create_dir(&path).is_ok() {
                let _ = fs::set_permissions(&path, fs::Permissions::from_mode(*mode));
            }
        }
        Event::Touch(path) => {
            let path = at(sandbox, path);
            if fs::File::create_new(&path).is_ok() {
                let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o644));
            }
        }
        Event::Remove(path) => remove(sandbox, &at(sandbox, path)),
        Event::Mode(path, mode) => {
            let _ = fs::set_permissions(at(sandbox, path), fs::Permissions::from_mode(*mode));
        }
        Event::Owner(path, uid) => {
            let _ = std::os::unix::fs::chown(at(sandbox, path), Some(*uid), None);
        }
        Event::Identity(path, Some(id)) => {
            let _ = rustix::fs::setxattr(at(sandbox, path), ATTRIBUTE, id.to_string().as_bytes(), XattrFlags::empty());
        }
        Event::Identity(path, None) => {
            let _ = rustix::fs::removexattr(at(sandbox, path), ATTRIBUTE);
        }
        Event::Thaw(path) => thaw(&at(sandbox, path)),
        Event::Disk(path) => sandbox.tmpfs(path.to_string(), 16 << 20),
        Event::Bind(from, to) => {
            let (from, to) = (at(sandbox, from), at(sandbox, to));
            if from.is_dir() && to.is_dir() {
                let _ = rustix::mount::mount_bind(&from, &to);
            }
        }
        Event::Unmount(path) => {
            let _ = rustix::mount::unmount(at(sandbox, path), UnmountFlags::NOFOLLOW);
        }
        Event::Remount(path, options) => {
            let mut flags = MountFlags::BIND;
            flags.set(MountFlags::RDONLY, options.ro);
            flags.set(MountFlags::NOSUID, options.nosuid);
            flags.set(MountFlags::NODEV, options.nodev);
            flags.set(MountFlags::NOEXEC, options.noexec);
            let _ = rustix::mount::mount_remount(at(sandbox, path), flags, "");
        }
        Event::AddLine(line) => fs::write(&fstab, with_line(&sandbox.read("/etc/fstab"), line)).expect("fstab"),
        Event::DropLine(point) => fs::write(&fstab, without_line(&sandbox.read("/etc/fstab"), point)).expect("fstab"),
        Event::Busy(..) | Event::Full(..) | Event::Reboot => panic!("only the model can do {event:?}"),
    }
}

/// The command for a goal.
fn arguments(goal: &Goal) -> Vec<String> {
    goal.to_string().split(' ').map(str::to_owned).chain(["--yes".to_owned()]).collect()
}

/// What the real machine looks like.
/// Logs, and what is written for another machine after an operation: the model knows neither.
fn is_left_out(dir: &Path, name: &OsStr) -> bool {
    LEFT_OUT.iter().any(|left| name == *left) || (name == "etc" && dir.ends_with(".datastore"))
}

fn real(sandbox: &Sandbox) -> String {
    fn walk(sandbox: &Sandbox, path: &Path, out: &mut BTreeSet<String>) {
        let Ok(meta) = path.symlink_metadata() else { return };
        let shown = path.strip_prefix(sandbox.root()).expect("in the sandbox").display();
        let mut line = format!("/{shown} {:04o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid());
        if meta.is_dir() {
            if is_immutable(path) {
                line.push_str(" immutable");
            }
            let mut value = [0; 64];
            if let Ok(length) = rustix::fs::getxattr(path, ATTRIBUTE, &mut value) {
                line.push_str(&format!(" {}", String::from_utf8_lossy(&value[..length])));
            }
            for entry in
                fs::read_dir(path).into_iter().flatten().flatten().filter(|e| !is_left_out(path, &e.file_name()))
            {
                walk(sandbox, &entry.path(), out);
            }
        } else {
            line.push_str(&format!("\n<{}>", fs::read_to_string(path).unwrap_or_default()));
        }
        out.insert(line);
    }
    let mut lines = BTreeSet::new();
    COMPARED.iter().for_each(|top| walk(sandbox, &sandbox.path(top), &mut lines));
    let all = mounts::below(&mounts::all(), sandbox.root());
    let mounts = all.iter().filter(|m| m.mount_point != sandbox.root()).map(|m| {
        let point = m.mount_point.strip_prefix(sandbox.root()).expect("in the sandbox").display();
        mount(&point.to_string(), &m.root.display().to_string(), BindOptions::from_list(m.options.as_bytes()))
    });
    finish(lines, mounts.collect(), &sandbox.read("/etc/fstab"))
}

fn mount(point: &str, root: &str, options: BindOptions) -> String {
    format!("mount /{point} {root} {options}")
}

fn finish(lines: BTreeSet<String>, mut mounts: Vec<String>, fstab: &str) -> String {
    mounts.sort();
    let lines: Vec<String> = lines.into_iter().collect();
    number_identities(&picture::without_sums(&format!("{}\n{}\n{fstab}", lines.join("\n"), mounts.join("\n"))))
}

/// What the model looks like.
fn modelled(m: &Machine) -> String {
    fn walk(m: &Machine, path: &AbsPath, out: &mut BTreeSet<String>) {
        let Ok(at) = m.reach(path) else { return };
        let node = m.tree.node(at.ino);
        let mut line = format!("{path} {}", node.attrs);
        if node.immutable {
            line.push_str(" immutable");
        }
        if let Some(id) = node.id {
            line.push_str(&format!(" {id}"));
        }
        match &node.kind {
            Kind::File(bytes) => line.push_str(&format!("\n<{}>", String::from_utf8_lossy(bytes))),
            Kind::Dir(names) => names.keys().for_each(|name| walk(m, &path.join(name).expect("a path"), out)),
        }
        out.insert(line);
    }
    let mut lines = BTreeSet::new();
    COMPARED.iter().for_each(|top| walk(m, &AbsPath::parse(top).expect("a path"), &mut lines));
    let shown = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let mounts = m.mounts.iter().filter(|mount| mount.id != mount.parent).map(|one| {
        let removed = if m.tree.node(one.root).removed { "//deleted" } else { "" };
        let (point, root) = (shown(m.mounts.point(&m.tree, one)), shown(m.tree.path(one.root)));
        mount(point.trim_start_matches('/'), &format!("{root}{removed}"), one.options)
    });
    let fstab = m.read(&AbsPath::literal("/etc/fstab")).ok().flatten().map(<[u8]>::to_vec);
    finish(lines, mounts.collect(), &shown(fstab.unwrap_or_default()))
}

/// The rows of status: app, mount point, store, state, reason.
fn rows(m: &Machine) -> Vec<[String; 5]> {
    let reason = |row: &datastore_core::status::Row| row.reason.map(|r| r.to_string()).unwrap_or_default();
    let rows = m.status().map(|status| status.mappings).unwrap_or_default();
    rows.iter()
        .map(|r| [r.app.clone(), r.mount_point.clone(), r.store.clone(), r.state.to_string(), reason(r)])
        .collect()
}

fn real_rows(sandbox: &Sandbox) -> Vec<[String; 5]> {
    let field =
        |row: &serde_json::Value, name: &str| if row[name].is_null() { String::new() } else { text(&row[name]) };
    let rows = sandbox.rows();
    rows.iter().map(|row| ["app", "mount_point", "store", "state", "reason"].map(|name| field(row, name))).collect()
}

/// Fails with the lines in which the two differ.
#[track_caller]
fn same(model: &str, real: &str, story: &str) {
    let only = |a: &str, b: &str, who: &str| -> String {
        let lines = a.lines().filter(|line| !b.lines().any(|other| other == *line));
        lines.map(|line| format!("  {who} {line}\n")).collect()
    };
    assert!(model == real, "{story}\n{}{}", only(model, real, "model"), only(real, model, "real "));
}

fn hold_against_each_other(seed: u64, scenario: &Scenario) {
    let sandbox = Sandbox::in_memory();
    let mut m = Machine::new();
    for event in [Event::MakeDir(AbsPath::literal("/var/lib"), 0o755)].iter().chain(&base()).chain(&scenario.before) {
        disturb(&sandbox, event);
        m.disturb(event);
    }
    let mut story = format!("scenario {seed}: {:#?}", scenario.before);
    same(&modelled(&m), &real(&sandbox), &story);
    for (number, act) in (0..).zip(&scenario.acts) {
        match act {
            Act::Do(event) => {
                story.push_str(&format!("\n{event:?}"));
                disturb(&sandbox, event);
                m.disturb(event);
            }
            Act::Ask(goal) => {
                story.push_str(&format!("\ndatastore {goal}"));
                let run = sandbox.datastore(&arguments(goal));
                let mut nobody = |_: &Machine| {};
                let report = m.run(goal, Id::from_random([number; 16]), &mut Pulse::quiet(&mut nobody));
                let report = report.expect("no crash was asked for");
                let said = format!("{}{}", run.stdout, run.stderr);
                assert_eq!(Some(report.exit()), run.status.code(), "{story}\n{said}\n{report:#?}");
            }
        }
        same(&modelled(&m), &real(&sandbox), &story);
        assert_eq!(rows(&m), real_rows(&sandbox), "{story}");
    }
}

#[test]
fn the_model_and_the_kernel_come_to_the_same() {
    let mut done = 0;
    let mut seed = 0;
    while done < SCENARIOS {
        seed += 1;
        let numbers = numbers(seed, 200);
        let scenario = Scenario::draw(&mut Choices::new(&numbers), 10);
        if scenario.acts.len() < LENGTH {
            continue;
        }
        // Each in a thread, and so in a mount namespace, of its own.
        std::thread::scope(|scope| {
            let one = scope.spawn(|| hold_against_each_other(seed, &scenario));
            one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        done += 1;
    }
    println!("{done} scenarios on the model and on the kernel");
}

/// What a test that compares must see: each changes one thing of the model alone.
#[test]
fn every_kind_of_difference_is_seen() {
    let path = |text: &str| AbsPath::parse(text).expect("a path");
    let configlet = "[mapping.\"/srv/a\"]\ntarget = \"%{base}/a\"\n";
    let before = [
        Event::MakeDir(path("/var/lib"), 0o755),
        Event::Write(path("/etc/datastore.d/alpha.conf"), configlet.into()),
        Event::MakeDir(path("/srv"), 0o755),
    ];
    let sandbox = Sandbox::in_memory();
    let mut m = Machine::new();
    for event in before[..1].iter().chain(&base()).chain(&before[1..]) {
        disturb(&sandbox, event);
        m.disturb(event);
    }
    let goal = Goal::Apply(Default::default());
    assert!(sandbox.datastore(&arguments(&goal)).status.success());
    let mut nobody = |_: &Machine| {};
    m.run(&goal, Id::from_random([1; 16]), &mut Pulse::quiet(&mut nobody)).expect("no crash was asked for");
    let kernel = real(&sandbox);
    same(&modelled(&m), &kernel, "before anything differs");
    let store = path("/store/data0/live/server1/a");
    let other = Id::from_random([9; 16]);
    let differences = [
        Event::Mode(store.clone(), 0o700),
        Event::Owner(store.clone(), 1000),
        Event::Identity(store.clone(), None),
        Event::Identity(path("/store/data0/live"), Some(other)),
        Event::Touch(store.child("file")),
        Event::MakeDir(path("/srv/more"), 0o755),
        Event::Remove(path("/etc/datastore.d/alpha.conf")),
        Event::Write(path("/etc/datastore.d/alpha.conf"), configlet.replace('a', "e")),
        Event::Unmount(path("/srv/a")),
        Event::Bind(store.clone(), path("/srv")),
        Event::Remount(path("/srv/a"), BindOptions { ro: true, ..BindOptions::default() }),
        Event::AddLine("tmpfs /srv/b tmpfs defaults 0 0".into()),
        Event::DropLine(path("/srv/a")),
    ];
    for difference in &differences {
        let mut m = m.clone();
        m.disturb(difference);
        assert_ne!(modelled(&m), kernel, "not seen: {difference:?}");
    }
    // The seal can only be seen once nothing is bound on it.
    let stop = Goal::Stop(datastore_core::goal::Apps::named(vec!["alpha".parse().expect("a name")]));
    assert!(sandbox.datastore(&arguments(&stop)).status.success());
    m.run(&stop, Id::from_random([2; 16]), &mut Pulse::quiet(&mut nobody)).expect("no crash was asked for");
    same(&modelled(&m), &real(&sandbox), "after the stop");
    m.disturb(&Event::Thaw(path("/srv/a")));
    assert_ne!(modelled(&m), real(&sandbox), "not seen: a broken seal");
    assert_eq!(rows(&m), real_rows(&sandbox), "the rows of a stopped app");
}
