//! `cargo xtask install`: everything that is installed, below a directory, as a package of a distribution wants it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::failure::{Doing as _, Failure, Result};
use crate::php;
use crate::repo::{Build, Repo};
use crate::tool::Tool;
use Package::{Command, Development, Library, Php, Web};

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
    /// The same for systems with an older C library
    #[arg(skip)]
    older: Option<Build>,
}

impl Args {
    /// What `tests/tests/installed.rs` looks at.
    pub(crate) fn for_tests(repo: &Repo) -> Self {
        let destdir = repo.target().join("installed");
        Self { destdir, prefix: "/usr".into(), libdir: None, release: false, older: None }
    }

    /// What packages are made of, in a directory that is not there yet.
    pub(crate) fn for_packages(destdir: PathBuf, older: Option<Build>) -> Self {
        Self { destdir, prefix: "/usr".into(), libdir: None, release: true, older }
    }

    fn build(&self) -> Build {
        self.older.clone().unwrap_or(if self.release { Build::Release } else { Build::Debug })
    }

    /// What is measured: as it is shipped.
    pub(crate) fn for_benches(repo: &Repo) -> Self {
        Self { destdir: repo.target().join("installed-release"), release: true, ..Self::for_tests(repo) }
    }
}

/// A package that something belongs to. This is the only place that says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Package {
    /// `datastore`: the command, and all that makes a machine with it.
    Command,
    /// `libdatastore0`: the C library.
    Library,
    /// `libdatastore-dev`: what a C program is built with.
    Development,
    /// `php-datastore`: the PHP extension.
    Php,
    /// `datastore-webconfig`: the web page, and the one command that it may run as root.
    Web,
}

impl Package {
    /// All of them, those that others need first.
    pub(crate) const ALL: [Self; 5] = [Library, Development, Command, Php, Web];

    /// What it is called, by dpkg and by rpm.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Command => "datastore",
            Library => "libdatastore0",
            Development => "libdatastore-dev",
            Php => "php-datastore",
            Web => "datastore-webconfig",
        }
    }
}

/// Something that was installed.
#[derive(Debug)]
pub(crate) struct Placed {
    /// Where programs find it.
    pub(crate) path: PathBuf,
    /// What it belongs to.
    pub(crate) package: Package,
}

/// The version of the library; its first number is that of the ABI, as in the soname.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What lies in the repository as it is installed: the package that has it, from, to (below the prefix, but for what begins with a
/// slash), mode.
const FILES: &[(Package, &str, &str, u32)] = &[
    (Development, "include/datastore.h", "include/datastore.h", 0o644),
    (Command, "packaging/man/datastore.8", "share/man/man8/datastore.8", 0o644),
    (Command, "packaging/man/datastore.conf.5", "share/man/man5/datastore.conf.5", 0o644),
    (Command, "packaging/man/datastore.d.5", "share/man/man5/datastore.d.5", 0o644),
    (Command, "packaging/man/datastore-configlet.7", "share/man/man7/datastore-configlet.7", 0o644),
    (Command, "packaging/completions/datastore.bash", "share/bash-completion/completions/datastore", 0o644),
    (Command, "packaging/completions/_datastore", "share/zsh/vendor-completions/_datastore", 0o644),
    (Command, "packaging/completions/datastore.fish", "share/fish/vendor_completions.d/datastore.fish", 0o644),
    (Command, "packaging/hooks/fill-web-root", "lib/datastore/hooks/fill-web-root", 0o755),
    (Command, "packaging/hooks/migrate-files", "lib/datastore/hooks/migrate-files", 0o755),
    (Command, "packaging/sysv/datastore", "/etc/init.d/datastore", 0o755),
    (Command, "packaging/sysv/50-datastore", "lib/lsb/init-functions.d/50-datastore", 0o644),
    (Command, "packaging/systemd/datastore-recover.service", "lib/systemd/system/datastore-recover.service", 0o644),
    (Command, "packaging/systemd/datastore.service", "lib/systemd/system/datastore.service", 0o644),
    (Command, "packaging/systemd/datastore-guard@.service", "lib/systemd/system/datastore-guard@.service", 0o644),
    (Command, "packaging/systemd/datastore-apply.service", "lib/systemd/system/datastore-apply.service", 0o644),
    (Command, "packaging/systemd/datastore-again.timer", "lib/systemd/system/datastore-again.timer", 0o644),
    (Command, "packaging/systemd/datastore-again.service", "lib/systemd/system/datastore-again.service", 0o644),
    (Command, "packaging/systemd/datastore-apply.path", "lib/systemd/system/datastore-apply.path", 0o644),
    (Command, "packaging/systemd/datastore-clearos.path", "lib/systemd/system/datastore-clearos.path", 0o644),
    (Command, "packaging/systemd/datastore-watch.service", "lib/systemd/system/datastore-watch.service", 0o644),
    (Command, "packaging/selinux/datastore.cil", "share/selinux/packages/datastore.cil", 0o644),
    (Command, "packaging/arrived", "lib/datastore/arrived", 0o755),
    // Nobody reads it there. What `init` writes is this, and after an upgrade it can be held against what is there.
    (Command, "packaging/defaults/datastore.conf", "share/datastore/datastore.conf", 0o644),
    (Web, "packaging/sudoers/datastore-webconfig", "/etc/sudoers.d/datastore-webconfig", 0o440),
    (Web, "webconfig/apps/datastore/packaging/Storage.php", "clearos/apps/storage/libraries/Storage.php", 0o644),
    (Web, "webconfig/apps/datastore/packaging/storage", "sbin/storage", 0o755),
    (Web, "webconfig/apps/datastore/packaging/storage.init", "/etc/init.d/storage", 0o755),
];

/// Folders of the repository that are installed as they are, but for the files that [`FILES`] names.
const FOLDERS: &[(Package, &str, &str)] = &[
    (Web, "webconfig/apps/datastore", "clearos/apps/datastore"),
    // The same pages without ClearOS.
    (Web, "webconfig/standin", "share/datastore-web/standin"),
];

/// Builds and installs; says what.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<Vec<Placed>> {
    if !args.prefix.is_absolute() {
        return Err(Failure::new(format!("{} is no absolute path", args.prefix.display()))
            .hint("the prefix is where programs find it later, such as /usr"));
    }
    fs::create_dir_all(&args.destdir).doing(format_args!("make {}", args.destdir.display()))?;
    // What is built is told where this is, from other directories.
    let destdir = args.destdir.canonicalize().doing(format_args!("find {}", args.destdir.display()))?;
    let mut below = Below { destdir, placed: Vec::new() };
    let prefix = &args.prefix;
    let libdir = args.libdir.clone().map_or_else(|| own_libdir(prefix), Ok)?;

    let build = args.build();
    below.put(Command, &repo.build_cli(&build)?, &prefix.join("sbin/datastore"), 0o755)?;
    below.put(Web, &repo.build_gate(&build)?, &prefix.join("sbin/datastore-webconfig"), 0o755)?;
    let generator = prefix.join("lib/systemd/system-generators/datastore-generator");
    below.put(Command, &repo.build_generator(&build)?, &generator, 0o755)?;
    for (package, from, to, mode) in FILES {
        below.put(*package, &repo.path(from), &prefix.join(to), *mode)?;
    }
    for (package, from, to, mode) in in_folders(&repo.files()?, |file| is_executable(&repo.path(file))) {
        below.put(package, &repo.path(from), &prefix.join(to), mode)?;
    }
    // Another prefix is no reason for another link.
    let pages = prefix.join("share/datastore-web/apps/datastore");
    below.link(Web, "../../../clearos/apps/datastore", &pages)?;
    // For systemd the name that ClearOS has for it is another name of the same unit: nothing runs twice.
    below.link(Web, "datastore.service", &prefix.join("lib/systemd/system/storage.service"))?;

    let lib = prefix.join(&libdir);
    let (real, soname) = (format!("libdatastore.so.{VERSION}"), "libdatastore.so.0");
    below.put(Library, &repo.build_library(&build)?, &lib.join(&real), 0o644)?;
    below.link(Library, &real, &lib.join(soname))?;
    below.link(Development, soname, &lib.join("libdatastore.so"))?;
    let text = pkg_config(&repo.read("packaging/datastore.pc.in")?, prefix, &libdir);
    below.write(Development, &lib.join("pkgconfig/datastore.pc"), text, 0o644)?;

    // What PHP there is for such a system is not the one of this machine.
    if args.older.is_none() {
        php_extension(repo, args, &lib, &mut below)?;
    }
    below.directory(Command, Path::new("/etc/datastore.d"))?;
    println!(
        "installed below {}; on the machine itself, ldconfig and phpenmod datastore come next",
        below.destdir.display()
    );
    Ok(below.placed)
}

/// What lies in the [`FOLDERS`], as rows of [`FILES`].
fn in_folders(files: &[PathBuf], executable: impl Fn(&Path) -> bool) -> Vec<(Package, PathBuf, PathBuf, u32)> {
    let mut rows = Vec::new();
    for (package, folder, to) in FOLDERS {
        let apart = |file: &Path| FILES.iter().any(|(_, from, _, _)| Path::new(from) == file);
        for file in files.iter().filter(|file| file.starts_with(folder) && !apart(file)) {
            let name = file.strip_prefix(folder).unwrap_or(file);
            rows.push((*package, file.clone(), Path::new(to).join(name), if executable(file) { 0o755 } else { 0o644 }));
        }
    }
    rows
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0)
}

/// Builds the PHP extension against the library that has just been installed.
fn php_extension(repo: &Repo, args: &Args, lib: &Path, below: &mut Below) -> Result {
    let extension = php::build_installed(repo, &below.destdir, &below.path(&lib.join("pkgconfig")), args.release)?;
    let place = PathBuf::from(Tool::new("php-config").arg("--extension-dir").output()?.trim());
    below.put(Php, &extension, &place.join("datastore.so"), 0o644)?;
    // Debian has the files of all extensions in one directory, from which phpenmod(8) links those that are wanted.
    let scanned = PathBuf::from(Tool::new("php-config").arg("--ini-dir").output()?.trim());
    let available = scanned.ancestors().nth(2).unwrap_or(&scanned).join("mods-available");
    below.write(Php, &available.join("datastore.ini"), "; priority=20\nextension=datastore\n", 0o644)
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
pub(crate) fn pkg_config(template: &str, prefix: &Path, libdir: &Path) -> String {
    let of_path = |path: &Path| path.display().to_string();
    let values = [
        ("@prefix@", of_path(prefix)),
        ("@libdir@", of_path(libdir)),
        ("@version@", VERSION.to_owned()),
        ("@description@", env!("CARGO_PKG_DESCRIPTION").to_owned()),
    ];
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// The directory before every path, and what has been put there.
struct Below {
    destdir: PathBuf,
    placed: Vec<Placed>,
}

impl Below {
    fn path(&self, path: &Path) -> PathBuf {
        self.destdir.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn put(&mut self, package: Package, from: &Path, to: &Path, mode: u32) -> Result {
        self.write(package, to, fs::read(from).doing(format_args!("read {}", from.display()))?, mode)
    }

    /// Makes a file anew: a program that uses the old one keeps it.
    fn write(&mut self, package: Package, to: &Path, content: impl Into<Vec<u8>>, mode: u32) -> Result {
        let at = self.clear(package, to)?;
        fs::write(&at, content.into()).doing(format_args!("write {}", at.display()))?;
        fs::set_permissions(&at, fs::Permissions::from_mode(mode))
            .doing(format_args!("set the mode of {}", at.display()))
    }

    fn link(&mut self, package: Package, target: &str, to: &Path) -> Result {
        let at = self.clear(package, to)?;
        symlink(target, &at).doing(format_args!("link {}", at.display()))
    }

    fn directory(&mut self, package: Package, to: &Path) -> Result {
        let at = self.path(to);
        self.placed.push(Placed { path: to.to_path_buf(), package });
        fs::create_dir_all(&at).doing(format_args!("make {}", at.display()))
    }

    fn clear(&mut self, package: Package, to: &Path) -> Result<PathBuf> {
        let at = self.path(to);
        let dir = at.parent().unwrap_or(&at);
        fs::create_dir_all(dir).doing(format_args!("make {}", dir.display()))?;
        let _ = fs::remove_file(&at);
        self.placed.push(Placed { path: to.to_path_buf(), package });
        Ok(at)
    }
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
            "packaging/sudoers",
            "packaging/arrived",
            "packaging/defaults",
            "include",
        ] {
            for file in repo.files().unwrap().iter().filter(|file| file.starts_with(dir)) {
                assert!(FILES.iter().any(|(_, from, _, _)| Path::new(from) == file), "{}", file.display());
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
