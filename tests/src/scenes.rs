//! Small stories that faults are put into: what stands before, and one command that changes something.

use crate::{Sandbox, picture};

/// A story.
#[derive(Debug)]
pub struct Scene {
    /// For messages.
    pub name: &'static str,
    /// Makes what stands before, in a fresh sandbox.
    pub before: fn(&Sandbox),
    /// The command.
    pub command: &'static [&'static str],
}

/// Two apps, one with a mount point inside the other of its own, modes beyond 0777, owners by name.
pub const WEB: &str = r#"
title = "Web"
[mapping."/var/www/html"]
target = "%{base}/html"
permissions = "0751"
owner = "root"
group = "mail"
[mapping."/var/www/html/deep/cgi"]
target = "%{base}/cgi"
"#;
/// The other app.
pub const MAIL: &str = r#"
title = "Mail"
[mapping."/var/spool/mail"]
target = "%{base}/mail/in"
permissions = "2700"
owner = "cyrus"
"#;

fn nothing(_: &Sandbox) {}

/// A machine after `init`, with two configlets that nobody has applied.
pub fn declared(sandbox: &Sandbox) {
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    sandbox.configlet("web", WEB);
    sandbox.configlet("mail", MAIL);
}

/// The same, applied.
pub fn applied(sandbox: &Sandbox) {
    declared(sandbox);
    sandbox.datastore(&["apply", "--yes"]).ok();
}

/// A machine with an app whose hooks leave a mark each, in a directory that is theirs.
fn hooked(sandbox: &Sandbox) {
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    sandbox.programs();
    sandbox.directory("out", 0o755);
    sandbox.script("/lib-hooks/mark", "echo \"$DATASTORE_APP\" > \"/out/$DATASTORE_HOOK\"");
    let hooks = "premount = \"/lib-hooks/mark\"\npostmount = \"/lib-hooks/mark\"\n";
    sandbox.configlet("shop", &format!("{hooks}[mapping.\"/var/shop\"]\ntarget = \"%{{base}}/shop\"\n"));
}

fn stopped(sandbox: &Sandbox) {
    applied(sandbox);
    sandbox.datastore(&["stop", "web"]).ok();
}

fn disabled(sandbox: &Sandbox) {
    applied(sandbox);
    sandbox.datastore(&["disable", "web", "--yes"]).ok();
}

fn edited(sandbox: &Sandbox) {
    applied(sandbox);
    sandbox.configlet("web", &WEB.replace("%{base}/html", "%{base}/html2"));
}

fn imaged(sandbox: &Sandbox) {
    applied(sandbox);
    sandbox.directory("images", 0o755);
    sandbox.loop_image("images/disk.img", 16 << 20, None);
}

fn beside(sandbox: &Sandbox) {
    applied(sandbox);
    sandbox.directory("srv", 0o755);
    sandbox.directory("srv/big", 0o755);
}

fn two_volumes(sandbox: &Sandbox) {
    beside(sandbox);
    sandbox.datastore(&["volume", "add", "data1", "--directory", "/srv/big", "--yes"]).ok();
}

/// A machine after `init` on which root lets programs declare mappings below /srv.
pub fn allowing(sandbox: &Sandbox) {
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    sandbox.directory("srv", 0o755);
    let globals = sandbox.read("/etc/datastore.conf");
    sandbox.write("/etc/datastore.conf", format!("{globals}\n[config_add]\nmount_points = [\"/srv\"]\n"));
    sandbox.feed(PHOTOS);
}

/// What a program declares.
const PHOTOS: &str = r#"{"app": "photos", "mappings": [{"mount_point": "/srv/photos"}]}"#;

fn withdrawable(sandbox: &Sandbox) {
    allowing(sandbox);
    sandbox.datastore(&["config", "add"]).ok();
    sandbox.datastore(&["start", "photos"]).ok();
    sandbox.datastore(&["disable", "photos", "--yes"]).ok();
}

/// Two volumes on file systems of their own, and an app `shop` with data at these mount points, on the first of them.
#[must_use]
pub fn shop(configlet: &str, places: &[&str], fstype: &str, mib: u64) -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.loop_image("disk.img", mib << 20, Some(fstype));
    let image = sandbox.path("disk.img").display().to_string();
    sandbox.datastore(&["volume", "add", "data1", "--device", &image, "--yes"]).ok();
    sandbox.configlet("shop", configlet);
    sandbox.datastore(&["apply", "--yes"]).ok();
    places.iter().for_each(|at| data(&sandbox, at));
    sandbox
}

/// What an app has before it is imported, among it what a plain copy loses.
pub fn data(sandbox: &Sandbox, at: &str) {
    let path = |name: &str| sandbox.path(at).join(name);
    for dir in ["", "cur", "cur/deep", "empty"] {
        std::fs::create_dir_all(path(dir)).expect("make a directory");
    }
    for (name, size) in [("cur/1", 10), ("cur/2", 5000), ("cur/deep/3", 70_000)] {
        std::fs::write(path(name), vec![b'x'; size]).expect("write a file");
    }
    std::fs::hard_link(path("cur/1"), path("empty/same")).expect("make a hard link");
    std::os::unix::fs::symlink("/etc/passwd", path("link")).expect("make a link");
    std::os::unix::fs::chown(path("cur/2"), Some(1234), Some(2345)).expect("set an owner");
}

/// A mail spool that is full, and a volume on another file system.
fn full(sandbox: &Sandbox) {
    sandbox.tmpfs("/srv/disk", 32 << 20);
    sandbox.datastore(&["init", "--host", "server1", "--directory", "/srv/disk", "--yes"]).ok();
    sandbox.configlet("web", WEB);
    sandbox.configlet("mail", MAIL);
    data(sandbox, "/var/spool/mail");
}

/// The same with the volume on the file system of the mail spool.
fn full_beside(sandbox: &Sandbox) {
    declared(sandbox);
    data(sandbox, "/var/spool/mail");
}

fn filled(sandbox: &Sandbox) {
    applied(sandbox);
    data(sandbox, "/var/spool/mail");
    sandbox.tmpfs("/srv/disk", 32 << 20);
    sandbox.datastore(&["volume", "add", "data1", "--directory", "/srv/disk", "--yes"]).ok();
}

fn imported(sandbox: &Sandbox) {
    full(sandbox);
    sandbox.datastore(&["import", "mail", "--yes"]).ok();
}

fn imported_beside(sandbox: &Sandbox) {
    full_beside(sandbox);
    sandbox.datastore(&["import", "mail", "--yes"]).ok();
}

fn moved(sandbox: &Sandbox) {
    filled(sandbox);
    sandbox.datastore(&["move", "mail", "--to", "data1", "--yes"]).ok();
}

fn moved_and_changed(sandbox: &Sandbox) {
    moved(sandbox);
    std::fs::write(sandbox.path("/var/spool/mail/cur/2"), "written since").expect("write a file");
}

/// A machine on which `apply` was killed before its last bind.
fn interrupted(sandbox: &Sandbox) {
    declared(sandbox);
    let traced = crate::strace::kill(sandbox, "open_tree", 3, &["apply", "--yes"]);
    assert!(traced.hit.is_some(), "it came to its end before it could be killed");
}

/// A machine on which a copy lies about, of a `move` that was killed before anything was switched.
fn half_moved(sandbox: &Sandbox) {
    filled(sandbox);
    let traced = crate::strace::kill(sandbox, "renameat2", 2, &["move", "mail", "--to", "data1", "--yes"]);
    assert!(traced.hit.is_some(), "it came to its end before it could be killed");
    sandbox.datastore(&["recover"]).ok();
    let copies = std::fs::read_dir(sandbox.path("/store/data1/live/server1/.datastore/incoming"));
    assert!(copies.is_ok_and(|mut copies| copies.next().is_some()), "no copy is left that could be removed");
}

/// A fresh machine with a disk of another one, on which cyrus and alice have each other's numbers.
fn from_elsewhere(sandbox: &Sandbox) {
    let passwd = sandbox.read("/etc/passwd");
    let other = passwd.replace("cyrus:x:76:", "cyrus:x:1000:").replace("alice:x:1000:", "alice:x:76:");
    sandbox.write("/etc/passwd", other);
    sandbox.tmpfs("/srv/disk", 32 << 20);
    sandbox.datastore(&["init", "--host", "server9", "--directory", "/srv/disk", "--yes"]).ok();
    sandbox.configlet("mail", MAIL);
    sandbox.datastore(&["apply", "--yes"]).ok();
    for (name, owner) in [("his", 1000), ("hers", 76)] {
        let path = sandbox.write(format!("/var/spool/mail/{name}"), name);
        std::os::unix::fs::chown(path, Some(owner), None).expect("set an owner");
    }
    // The disk is all that is left of it.
    sandbox.unmount("/var/spool/mail");
    sandbox.unmount("/store/data0");
    sandbox.run(sandbox.command("chattr").arg("-i").arg(sandbox.path("/var/spool/mail"))).ok();
    for gone in ["/var/spool/mail", "/store/data0"] {
        std::fs::remove_dir(sandbox.path(gone)).expect("remove a mount point");
    }
    for gone in ["/etc/datastore.conf", "/etc/datastore.d/mail.conf"] {
        std::fs::remove_file(sandbox.path(gone)).expect("remove a file");
    }
    std::fs::remove_dir_all(sandbox.path("/var/lib/datastore")).expect("remove the journals");
    sandbox.write("/etc/fstab", crate::skeleton::FSTAB);
    sandbox.write("/etc/passwd", passwd);
}

/// Every verb that changes something.
pub const SCENES: &[Scene] = &[
    Scene { name: "init", before: nothing, command: &["init", "--host", "server1", "--yes"] },
    Scene { name: "apply", before: declared, command: &["apply", "--yes"] },
    Scene { name: "apply (hooks)", before: hooked, command: &["apply", "--yes"] },
    Scene { name: "stop", before: applied, command: &["stop", "web"] },
    Scene { name: "start", before: stopped, command: &["start", "web"] },
    Scene { name: "restart", before: applied, command: &["restart", "web"] },
    Scene { name: "disable", before: applied, command: &["disable", "mail", "--yes"] },
    Scene { name: "disable (nested)", before: applied, command: &["disable", "web", "--yes"] },
    Scene { name: "enable", before: disabled, command: &["enable", "web", "--yes"] },
    Scene { name: "remap", before: edited, command: &["remap", "web", "--yes"] },
    Scene {
        name: "volume add (directory)",
        before: beside,
        command: &["volume", "add", "data1", "--directory", "/srv/big", "--yes"],
    },
    Scene {
        name: "volume add (format)",
        before: imaged,
        command: &["volume", "add", "data1", "--device", "/images/disk.img", "--format", "ext4", "--yes"],
    },
    Scene { name: "import", before: full, command: &["import", "mail", "--yes"] },
    Scene { name: "import (rename)", before: full_beside, command: &["import", "mail", "--yes"] },
    Scene { name: "move", before: filled, command: &["move", "mail", "--to", "data1", "--yes"] },
    Scene {
        name: "move (rename)",
        before: filled,
        command: &["move", "mail", "--to", "/store/data0/live/server1/post", "--yes"],
    },
    Scene { name: "undo of an import", before: imported, command: &["move", "mail", "--undo", "--yes"] },
    Scene {
        name: "undo of an import (rename)",
        before: imported_beside,
        command: &["move", "mail", "--undo", "--yes"],
    },
    Scene { name: "undo of a move", before: moved, command: &["move", "mail", "--undo", "--yes"] },
    Scene {
        name: "undo of a move (keep new)",
        before: moved_and_changed,
        command: &["move", "mail", "--undo", "--keep", "new", "--yes"],
    },
    Scene {
        name: "adopt",
        before: from_elsewhere,
        command: &["adopt", "--directory", "/srv/disk", "--as", "server1", "--yes"],
    },
    Scene { name: "reclaim", before: moved, command: &["reclaim", "--yes"] },
    Scene { name: "move (abort)", before: half_moved, command: &["move", "mail", "--abort", "--yes"] },
    Scene { name: "move (resume)", before: half_moved, command: &["move", "mail", "--resume", "--yes"] },
    Scene { name: "recover", before: interrupted, command: &["recover"] },
    Scene { name: "config add", before: allowing, command: &["config", "add"] },
    Scene { name: "config remove", before: withdrawable, command: &["config", "remove", "photos"] },
    Scene { name: "volume remove", before: two_volumes, command: &["volume", "remove", "data1", "--yes"] },
];

impl Scene {
    /// The scene of this name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn named(name: &str) -> &'static Self {
        SCENES.iter().find(|scene| scene.name == name).unwrap_or_else(|| panic!("no scene is called {name:?}"))
    }

    /// A fresh machine, in memory, with what stands before.
    #[must_use]
    #[track_caller]
    pub fn set(&self) -> Sandbox {
        let sandbox = Sandbox::in_memory();
        (self.before)(&sandbox);
        sandbox
    }

    /// The pictures before the command and after a run of it that nothing disturbed.
    #[must_use]
    #[track_caller]
    pub fn undisturbed(&self) -> (String, String) {
        let sandbox = self.set();
        let before = picture::of(sandbox.root());
        sandbox.datastore(self.command).ok();
        let after = picture::of(sandbox.root());
        assert!(self.name == "restart" || before != after, "{}: the command changes nothing", self.name);
        (before, after)
    }
}
