//! A small system on which nothing of datastore is, and packages to install on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use datastore_tests::{Rig, binary};

/// Longer nothing takes, however busy the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// All that a machine needs.
pub(crate) const INSTALL: &str = "dpkg -i /packages/datastore.deb";

/// A configlet for `/srv/NAME`, which belongs to a user of that name.
pub(crate) fn configlet(name: &str) -> String {
    format!("[mapping.\"/srv/{name}\"]\ntarget = \"%{{base}}/{name}\"\nowner = \"{name}\"\n")
}

/// What makes that user, in a package's script: it comes after the files of the package.
pub(crate) fn script(name: &str) -> String {
    format!("#!/bin/sh\nset -e\nid {name} > /dev/null 2>&1 || useradd --system {name}\n")
}

/// A system with packages in `/packages`: ours, and `till` and `shop` as anybody would make them.
pub(crate) fn furnish(rig: &Rig) {
    // What tests of other suites call is not what is tried here.
    fs::remove_file(rig.path("/usr/local/bin/datastore")).expect("a command of this build");
    let packages = rig.path("/packages");
    fs::create_dir(&packages).expect("make a directory");
    for name in ["datastore", "libdatastore0", "libdatastore-dev", "php-datastore", "datastore-webconfig"] {
        let to = packages.join(format!("{name}.deb"));
        fs::copy(binary::package(name, "deb"), &to).unwrap_or_else(|e| panic!("copy to {}: {e}", to.display()));
    }
    for name in ["till", "shop"] {
        let tree = packages.join(name);
        let control = format!(
            "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: a {name}\n"
        );
        for (path, mode, text) in [
            ("DEBIAN/control", 0o644, control),
            ("DEBIAN/postinst", 0o755, script(name)),
            (&format!("etc/datastore.d/{name}.conf"), 0o644, configlet(name)),
        ] {
            rig.write(&format!("/packages/{name}/{path}"), mode, &text);
        }
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Zgzip", "-b"])
            .arg(&tree)
            .arg(packages.join(format!("{name}.deb"))));
    }
}

/// The same package in the next revision, as `/packages/newer.deb`.
pub(crate) fn newer(rig: &Rig) {
    let tree = rig.path("/packages/newer");
    run(Command::new("dpkg-deb").arg("-R").arg(binary::package("datastore", "deb")).arg(&tree));
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).expect("the control file");
    let version = text.lines().find(|line| line.starts_with("Version: ")).expect("a version");
    fs::write(&control, text.replace(version, &format!("{version}.1"))).expect("write the control file");
    run(Command::new("dpkg-deb").args(["-Zgzip", "-z1", "-b"]).arg(&tree).arg(rig.path("/packages/newer.deb")));
}

/// Runs a program of this machine that must end well; gives what it prints.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; `cargo xtask setup` installs it"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    said
}

/// What is in a package of this build, unpacked: where, and the directory that keeps it.
pub(crate) fn unpacked(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let tree = dir.path().join("tree");
    run(Command::new("dpkg-deb").arg("-R").arg(binary::package(name, "deb")).arg(&tree));
    (dir, tree)
}

/// Every file of a directory, as it is installed.
pub(crate) fn files(tree: &Path) -> Vec<PathBuf> {
    let said =
        run(Command::new("find").arg(tree).args(["(", "-type", "f", "-o", "-type", "l", ")", "-printf", "/%P\n"]));
    let mut files: Vec<PathBuf> = said.lines().map(PathBuf::from).filter(|path| !path.starts_with("/DEBIAN")).collect();
    files.sort();
    files
}

/// Waits until the mapping of an app is so.
#[track_caller]
pub(crate) fn becomes(rig: &Rig, app: &str, wanted: &str) {
    let begun = Instant::now();
    loop {
        let told = rig.run(&["datastore", "status", app, "--json"]).stdout;
        let status: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
        if status["mappings"][0]["state"] == wanted {
            return;
        }
        let log = || {
            rig.run(&["journalctl", "-b", "--no-pager", "-u", "datastore-apply.*", "-u", "datastore.service"]).stdout
        };
        assert!(begun.elapsed() < PATIENCE, "{app} does not become {wanted}: {told}\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}
