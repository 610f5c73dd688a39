//! `cargo xtask install`: everything that is installed, below a directory, as a package of a distribution wants it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::failure::{Doing as _, Failure, Result};
use crate::php;
use crate::repo::Repo;
use crate::tool::Tool;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What is put before every path
    #[arg(long, value_name = "DIR")]
    pub(crate) destdir: PathBuf,
    /// Where the programs will find it
    #[arg(long, value_name = "DIR", default_value = "/usr")]
    prefix: PathBuf,
    /// Where libraries are below the prefix; Debian's own place for this machine unless given, with another prefix than /usr `lib`
    #[arg(long, value_name = "DIR")]
    libdir: Option<PathBuf>,
    /// The optimised build, without symbols, as it is shipped
    #[arg(long)]
    release: bool,
}

impl Args {
    /// What `tests/tests/installed.rs` looks at.
    pub(crate) fn for_tests(repo: &Repo) -> Self {
        Self { destdir: repo.target().join("installed"), prefix: "/usr".into(), libdir: None, release: false }
    }

    /// What is measured: as it is shipped.
    pub(crate) fn for_benches(repo: &Repo) -> Self {
        Self { destdir: repo.target().join("installed-release"), release: true, ..Self::for_tests(repo) }
    }
}

/// The version of the library; its first number is that of the ABI, as in the soname.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What lies in the repository as it is installed: from, to (below the prefix, but for what begins with a slash), mode.
const FILES: &[(&str, &str, u32)] = &[
    ("include/datastore.h", "include/datastore.h", 0o644),
    ("packaging/man/datastore.8", "share/man/man8/datastore.8", 0o644),
    ("packaging/man/datastore.conf.5", "share/man/man5/datastore.conf.5", 0o644),
    ("packaging/man/datastore.d.5", "share/man/man5/datastore.d.5", 0o644),
    ("packaging/man/datastore-configlet.7", "share/man/man7/datastore-configlet.7", 0o644),
    ("packaging/completions/datastore.bash", "share/bash-completion/completions/datastore", 0o644),
    ("packaging/completions/_datastore", "share/zsh/vendor-completions/_datastore", 0o644),
    ("packaging/completions/datastore.fish", "share/fish/vendor_completions.d/datastore.fish", 0o644),
    ("packaging/hooks/fill-web-root", "lib/datastore/hooks/fill-web-root", 0o755),
    ("packaging/hooks/migrate-files", "lib/datastore/hooks/migrate-files", 0o755),
    ("packaging/sysv/datastore", "/etc/init.d/datastore", 0o755),
    ("packaging/sysv/50-datastore", "lib/lsb/init-functions.d/50-datastore", 0o644),
    ("packaging/systemd/datastore-recover.service", "lib/systemd/system/datastore-recover.service", 0o644),
    ("packaging/systemd/datastore.service", "lib/systemd/system/datastore.service", 0o644),
    ("packaging/systemd/datastore-guard@.service", "lib/systemd/system/datastore-guard@.service", 0o644),
    ("packaging/systemd/datastore-apply.service", "lib/systemd/system/datastore-apply.service", 0o644),
    ("packaging/systemd/datastore-again.timer", "lib/systemd/system/datastore-again.timer", 0o644),
    ("packaging/systemd/datastore-again.service", "lib/systemd/system/datastore-again.service", 0o644),
    ("packaging/systemd/datastore-apply.path", "lib/systemd/system/datastore-apply.path", 0o644),
    ("packaging/systemd/datastore-watch.service", "lib/systemd/system/datastore-watch.service", 0o644),
];

/// Builds and installs.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result {
    if !args.prefix.is_absolute() {
        return Err(Failure::new(format!("{} is no absolute path", args.prefix.display()))
            .hint("the prefix is where programs find it later, such as /usr"));
    }
    fs::create_dir_all(&args.destdir).doing(format_args!("make {}", args.destdir.display()))?;
    // What is built is told where this is, from other directories.
    let destdir = args.destdir.canonicalize().doing(format_args!("find {}", args.destdir.display()))?;
    let below = |path: &Path| destdir.join(path.strip_prefix("/").unwrap_or(path));
    let prefix = below(&args.prefix);
    let libdir = args.libdir.clone().map_or_else(|| own_libdir(&args.prefix), Ok)?;

    let (command, library) = (repo.build_cli(args.release)?, repo.build_library(args.release)?);

    put(&command, &prefix.join("sbin/datastore"), 0o755)?;
    put(&repo.build_gate(args.release)?, &prefix.join("sbin/datastore-webconfig"), 0o755)?;
    put(
        &repo.build_generator(args.release)?,
        &prefix.join("lib/systemd/system-generators/datastore-generator"),
        0o755,
    )?;
    for (from, to, mode) in FILES {
        put(&repo.path(from), &below(&args.prefix.join(to)), *mode)?;
    }
    let lib = prefix.join(&libdir);
    let (real, soname) = (format!("libdatastore.so.{VERSION}"), "libdatastore.so.0");
    put(&library, &lib.join(&real), 0o644)?;
    link(&real, &lib.join(soname))?;
    link(soname, &lib.join("libdatastore.so"))?;
    let pc = lib.join("pkgconfig/datastore.pc");
    write(&pc, pkg_config(&repo.read("packaging/datastore.pc.in")?, &args.prefix, &libdir), 0o644)?;

    let extension = php::build_installed(repo, &destdir, &lib.join("pkgconfig"), args.release)?;
    let place = PathBuf::from(Tool::new("php-config").arg("--extension-dir").output()?.trim());
    put(&extension, &below(&place).join("datastore.so"), 0o644)?;
    // Debian has the files of all extensions in one directory, from which phpenmod(8) links those that are wanted.
    let scanned = PathBuf::from(Tool::new("php-config").arg("--ini-dir").output()?.trim());
    let available = scanned.ancestors().nth(2).unwrap_or(&scanned).join("mods-available");
    write(&below(&available).join("datastore.ini"), "; priority=20\nextension=datastore\n", 0o644)?;
    println!("installed below {}; on the machine itself, ldconfig and phpenmod datastore come next", destdir.display());
    Ok(())
}

/// Where libraries are on this machine: in Debian's `/usr` in a directory for its kind of processor.
fn own_libdir(prefix: &Path) -> Result<PathBuf> {
    let plain = PathBuf::from("lib");
    if prefix != Path::new("/usr") || !Path::new("/etc/debian_version").exists() {
        return Ok(plain);
    }
    Ok(plain.join(Tool::new("cc").arg("-print-multiarch").output()?.trim()))
}

/// The text of `datastore.pc`. All paths in it follow from the prefix, so that pkg-config can put another one in its place.
fn pkg_config(template: &str, prefix: &Path, libdir: &Path) -> String {
    let of_path = |path: &Path| path.display().to_string();
    let values = [
        ("@prefix@", of_path(prefix)),
        ("@libdir@", of_path(libdir)),
        ("@version@", VERSION.to_owned()),
        ("@description@", env!("CARGO_PKG_DESCRIPTION").to_owned()),
    ];
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
}

fn put(from: &Path, to: &Path, mode: u32) -> Result {
    write(to, fs::read(from).doing(format_args!("read {}", from.display()))?, mode)
}

/// Makes a file anew: a program that uses the old one keeps it.
fn write(to: &Path, content: impl Into<Vec<u8>>, mode: u32) -> Result {
    clear(to)?;
    fs::write(to, content.into()).doing(format_args!("write {}", to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).doing(format_args!("set the mode of {}", to.display()))
}

fn link(target: &str, at: &Path) -> Result {
    clear(at)?;
    symlink(target, at).doing(format_args!("link {}", at.display()))
}

fn clear(path: &Path) -> Result {
    let dir = path.parent().unwrap_or(path);
    fs::create_dir_all(dir).doing(format_args!("make {}", dir.display()))?;
    let _ = fs::remove_file(path);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_in_packaging_is_installed() {
        let repo = Repo::find().unwrap();
        for dir in [
            "packaging/man",
            "packaging/completions",
            "packaging/hooks",
            "packaging/systemd",
            "packaging/sysv",
            "include",
        ] {
            for file in repo.files().unwrap().iter().filter(|file| file.starts_with(dir)) {
                assert!(FILES.iter().any(|(from, _, _)| Path::new(from) == file), "{}", file.display());
            }
        }
    }

    #[test]
    fn every_path_follows_from_the_prefix() {
        let template = Repo::find().unwrap().read("packaging/datastore.pc.in").unwrap();
        let text = pkg_config(&template, Path::new("/opt/x"), Path::new("lib64"));
        assert!(!text.contains('@'), "{text}");
        assert_eq!(text.matches("/opt/x").count(), 1, "{text}");
        assert!(text.contains("libdir=${prefix}/lib64\n") && text.contains(&format!("Version: {VERSION}\n")), "{text}");
    }

    #[test]
    fn the_abi_is_the_first_number_of_the_version() {
        assert!(VERSION.starts_with("0."), "the soname in install.rs and in datastore-ffi/build.rs is that of the ABI");
    }
}
