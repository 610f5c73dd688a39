//! Which configuration and which hooks are believed: every owner, mode, parent and kind against the rule of sudo(8), and files and
//! directories that are exchanged between the check and the use.

use std::fs;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use datastore_core::AbsPath;
use datastore_core::config::Content;
use datastore_exec::{Root, rigs};
use datastore_rigs::{Budget, Evidence};
use datastore_rigs_races::arena::{Decoy, Slot};
use datastore_rigs_races::user::USER;
use datastore_rigs_races::{Arena, Race, Round, Vault, Violations};
use datastore_tests::Sandbox;
use rustix::fs::{CWD, FileType, Mode, RenameFlags};

const MILLION: u64 = 1_000_000;
const GOOD: &[u8] = b"#!/bin/sh\necho good\n";
const EVIL: &[u8] = b"#!/bin/sh\necho evil\n";

/// What is asked whether it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Globals,
    Configlet,
    Hook,
}

impl Asked {
    fn path(self) -> &'static str {
        match self {
            Self::Globals => "/etc/datastore.conf",
            Self::Configlet => "/etc/datastore.d/h.conf",
            Self::Hook => "/usr/share/hooks/h",
        }
    }

    /// What is believed to be in it; none if it is not believed.
    fn believed(self, root: &Root) -> Option<Vec<u8>> {
        if self == Self::Hook {
            let hook = rigs::hook(root, &AbsPath::literal(self.path())).ok()?;
            let mut bytes = Vec::new();
            let fd = hook.fd().as_fd().try_clone_to_owned().expect("another descriptor");
            fs::File::from(fd).read_to_end(&mut bytes).expect("read a hook");
            return Some(bytes);
        }
        // What cannot be read as a whole is refused as a whole.
        let inputs = rigs::configuration(root).ok()?;
        match &inputs.iter().find(|input| input.path == self.path())?.content {
            Content::Bytes(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }
}

/// What stands at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    File,
    Link,
    Dir,
    Fifo,
    Socket,
    Device,
}

fn set(path: &Path, owner: u32, mode: u32) {
    lchown(path, Some(owner), Some(owner)).unwrap_or_else(|e| panic!("chown {}: {e}", path.display()));
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .unwrap_or_else(|e| panic!("chmod {}: {e}", path.display()));
}

fn put(path: &Path, stands: Stands, owner: u32, mode: u32) {
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir(path).expect("remove a directory");
    } else if path.symlink_metadata().is_ok() {
        fs::remove_file(path).expect("remove a file");
    }
    match stands {
        Stands::File => fs::write(path, GOOD).expect("write a file"),
        Stands::Link => return symlink("/bin/sh", path).expect("make a link"),
        Stands::Dir => fs::create_dir(path).expect("make a directory"),
        Stands::Fifo => rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).expect("make a FIFO"),
        Stands::Socket => drop(UnixListener::bind(path).expect("make a socket")),
        Stands::Device => {
            let null = rustix::fs::makedev(1, 3);
            rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::RUSR, null).expect("make a device");
        }
    }
    set(path, owner, mode);
}

/// The rule of sudo(8), once more: a plain file of root's, which nobody else may write, and so is every directory above it.
fn may_be_believed(stands: Stands, all: &[(u32, u32)]) -> bool {
    stands == Stands::File && all.iter().all(|&(owner, mode)| owner == 0 && mode & 0o022 == 0)
}

#[test]
fn what_nobody_else_could_have_written_is_believed_and_nothing_else() {
    let sandbox = Sandbox::in_memory();
    let root = Root::open(sandbox.root()).expect("open the root");
    sandbox.directory("usr/share/hooks", 0o755);
    let (violations, mut evidence) = (Violations::default(), Evidence::new("races", "matrix of belief", &[21]));
    let kinds = [Stands::File, Stands::Link, Stands::Dir, Stands::Fifo, Stands::Socket, Stands::Device];
    let files = [0o644, 0o600, 0o755, 0o700, 0o664, 0o646, 0o666, 0o777, 0o2775, 0o4755];
    let parents =
        [(0, 0o755), (0, 0o700), (0, 0o775), (0, 0o757), (0, 0o777), (0, 0o1777), (USER, 0o755), (USER, 0o700)];
    for asked in [Asked::Globals, Asked::Configlet, Asked::Hook] {
        let path = sandbox.path(asked.path());
        let above: Vec<PathBuf> =
            path.ancestors().skip(1).take_while(|at| at.starts_with(sandbox.root())).map(Path::to_owned).collect();
        for stands in kinds {
            for owner in [0, USER] {
                for mode in files {
                    put(&path, stands, owner, mode);
                    // One directory after the other is what it should not be, the others are as they should.
                    for (odd, (whose, bits)) in above.iter().flat_map(|odd| parents.map(|parent| (odd, parent))) {
                        set(odd, whose, bits);
                        root.forget();
                        let found = asked.believed(&root);
                        let runs = asked != Asked::Hook || mode & 0o111 != 0;
                        let wanted = runs && may_be_believed(stands, &[(owner, mode), (whose, bits)]);
                        if found.is_some() != wanted || found.is_some_and(|bytes| bytes != GOOD) {
                            violations.add(format!(
                                "{asked:?}, {stands:?} of {owner} with {mode:o} below {} of {whose} with {bits:o}: not {wanted}",
                                odd.display()
                            ));
                        }
                        evidence.count("combinations", 1);
                        evidence.count("believed", wanted.into());
                        set(odd, 0, 0o755);
                    }
                }
            }
        }
        put(&path, Stands::File, 0, 0o644);
        fs::remove_file(&path).expect("remove a file");
    }
    violations.verdict();
    assert!(evidence.counted("combinations") >= 500 && evidence.counted("believed") > 50);
    evidence.conclude();
}

#[test]
fn nothing_below_a_users_directory_is_believed() {
    let sandbox = Sandbox::in_memory();
    let mut vault = Vault::new(sandbox.path("vault"));
    // What the links lead to is root's, and would be believed.
    for name in ["h.conf", "inner/h.conf"] {
        fs::write(vault.dir().join(name), EVIL).expect("write a file");
        set(&vault.dir().join(name), 0, 0o755);
    }
    let arena = Arena::new(sandbox.path("ground"), &vault, Decoy::ALL, 2);
    let hooks = sandbox.directory("usr/share/hooks", 0o755);
    let configlets = sandbox.path("/etc/datastore.d");
    for (dir, name) in [(&hooks, "h"), (&configlets, "h.conf")] {
        fs::write(dir.join(name), GOOD).expect("write a file");
        set(&dir.join(name), 0, 0o755);
        // The files are root's, but their directory is not.
        set(dir, USER, 0o755);
    }
    set(&sandbox.path("/usr/share"), USER, 0o755);
    set(&sandbox.path("/etc"), USER, 0o755);
    vault.seal();
    let slots = [
        (&configlets, "h.conf"),
        (&hooks, "h"),
        (&sandbox.path("/etc"), "datastore.d"),
        (&sandbox.path("/usr/share"), "hooks"),
    ];
    arena.attack_at(slots.into_iter().map(|(dir, name)| Slot::new(dir, name)).collect());
    let (root, violations) = (Root::open(sandbox.root()).expect("open the root"), Violations::default());
    let race = Race {
        what: "configuration and hooks of a user",
        invariants: &[21],
        arena: &arena,
        vault: &vault,
        tries: MILLION,
    };
    race.run(&violations, |_| {
        let mut all = Round::default();
        for _ in 0..16 {
            for asked in [Asked::Configlet, Asked::Hook] {
                root.forget();
                if let Some(bytes) = asked.believed(&root) {
                    violations.add(format!("{asked:?} is believed: {:?}", String::from_utf8_lossy(&bytes)));
                }
                let met = sandbox.path(asked.path()).symlink_metadata().map_or(true, |meta| !meta.is_file());
                (all.tries, all.swapped) = (all.tries + 1, all.swapped + u64::from(met));
            }
        }
        all
    });
}

/// Exchanges two paths until the end, as an administrator, a package or a backup may at any time.
fn exchange(one: &Path, other: &Path, over: &AtomicBool, swaps: &AtomicU64) {
    while !over.load(Ordering::Acquire) {
        rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).expect("exchange two paths");
        swaps.fetch_add(1, Ordering::Relaxed);
        (0..swaps.load(Ordering::Relaxed) % 700).for_each(|_| std::hint::spin_loop());
    }
}

/// Whoever stops looking lets the others stop, too.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn what_was_checked_is_what_is_read_and_run() {
    let sandbox = Sandbox::in_memory();
    let root = Root::open(sandbox.root()).expect("open the root");
    let hooks = sandbox.directory("usr/share/hooks", 0o755);
    let configlets = sandbox.path("/etc/datastore.d");
    for (dir, name) in [(&hooks, "h"), (&configlets, "h.conf")] {
        fs::write(dir.join(name), GOOD).expect("write a file");
        set(&dir.join(name), 0, 0o755);
    }
    // A directory of the same name that everybody may write to, with a file in it that was root's elsewhere.
    let evil_dir = |good: &Path, name: &str| {
        let evil = good.with_extension("evil");
        fs::create_dir(&evil).expect("make a directory");
        fs::write(evil.join(name), EVIL).expect("write a file");
        set(&evil.join(name), 0, 0o755);
        set(&evil, 0, 0o777);
        evil
    };
    let mut pairs = vec![(hooks.clone(), evil_dir(&hooks, "h")), (configlets.clone(), evil_dir(&configlets, "h.conf"))];
    // And a file that is somebody else's, in a directory that is root's.
    let (own, users) = (sandbox.path("/etc/datastore.conf"), sandbox.path("/etc/datastore.conf.evil"));
    for (path, text, owner) in [(&own, GOOD, 0), (&users, EVIL, USER)] {
        fs::write(path, text).expect("write a file");
        set(path, owner, 0o755);
    }
    pairs.push((own, users));
    let (over, swaps, violations) = (AtomicBool::new(false), AtomicU64::new(0), Violations::default());
    let mut evidence = Evidence::new("races", "check and use of configuration and hooks", &[21]);
    let budget = Budget::of(Duration::from_secs(5));
    std::thread::scope(|scope| {
        let _ending = Ending(&over);
        for (one, other) in &pairs {
            let (over, swaps) = (&over, &swaps);
            scope.spawn(move || exchange(one, other, over, swaps));
        }
        loop {
            for asked in [Asked::Globals, Asked::Configlet, Asked::Hook] {
                root.forget();
                let found = asked.believed(&root);
                evidence.count("tries", 1);
                evidence.count("swapped", found.is_none().into());
                if found.is_some_and(|bytes| bytes != GOOD) {
                    violations.add(format!("{asked:?}: what was believed is not what was checked"));
                }
            }
            if evidence.counted("tries").is_multiple_of(3000)
                && let Ok(hook) = rigs::hook(&root, &AbsPath::literal(Asked::Hook.path()))
            {
                evidence.count("hooks run", 1);
                let said = hook.run("h").expect("run a hook");
                if said != ["good"] {
                    violations.add(format!("a hook that was not checked has run: {said:?}"));
                }
            }
            if budget.is_spent(evidence.counted("tries") >= MILLION) || violations.are_enough() {
                break;
            }
        }
    });
    violations.verdict();
    evidence.count("swaps", swaps.into_inner());
    let (tries, swapped) = (evidence.counted("tries"), evidence.counted("swapped"));
    assert!(tries >= 2_000 && swapped * 100 >= tries && swapped < tries, "{swapped} of {tries} were swapped");
    assert!(evidence.counted("hooks run") > 0, "no hook has run");
    evidence.conclude();
}
