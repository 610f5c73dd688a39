//! Where things lie in a package. They are installed as on Debian; systems with rpm have some of them elsewhere.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::{Job, Package};
use crate::failure::{Doing as _, Result};
use crate::install;
use crate::tool::Tool;

/// The kinds of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Debian,
    Rpm,
}

/// Where libraries are on systems with rpm, below /usr.
const LIBRARIES: &str = if cfg!(target_pointer_width = "64") { "lib64" } else { "lib" };

/// Lays a package out below a directory and says which paths it has, as they are installed.
pub(super) fn lay(job: &Job, package: Package, kind: Kind, root: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for placed in job.placed.iter().filter(|placed| placed.package == package) {
        let Some(mut to) = place(kind, &placed.path) else { continue };
        let from = below(&job.installed, &placed.path);
        if is_page(&to) {
            to.as_mut_os_string().push(".gz");
        }
        put(job, kind, &from, &to, &below(root, &to))?;
        paths.push(to);
    }
    paths.sort();
    Ok(paths)
}

/// A path of a package below a directory.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Where it is on systems of this kind; `None` if they have no use for it.
fn place(kind: Kind, path: &Path) -> Option<PathBuf> {
    if kind == Kind::Debian {
        return Some(path.to_path_buf());
    }
    let name = path.file_name()?;
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    Some(match parts.as_slice() {
        // Their init scripts read no such files.
        ["/", "usr", "lib", "lsb", ..] => return None,
        // /etc/init.d is a link there, if it is there at all.
        ["/", "etc", "init.d", _] => Path::new("/etc/rc.d/init.d").join(name),
        ["/", "etc", "php", ..] => PathBuf::from("/etc/php.d/20-datastore.ini"),
        ["/", "usr", "lib", "php", ..] => Path::new("/usr").join(LIBRARIES).join("php/modules").join(name),
        ["/", "usr", "lib", machine, rest @ ..] if machine.contains("-linux-gnu") => {
            Path::new("/usr").join(LIBRARIES).join(rest.iter().collect::<PathBuf>())
        }
        ["/", "usr", "share", "zsh", ..] => Path::new("/usr/share/zsh/site-functions").join(name),
        _ => path.to_path_buf(),
    })
}

fn is_page(path: &Path) -> bool {
    path.starts_with("/usr/share/man")
}

fn put(job: &Job, kind: Kind, from: &Path, path: &Path, to: &Path) -> Result {
    let meta = from.symlink_metadata().doing(format_args!("look at {}", from.display()))?;
    if meta.is_dir() {
        return directory(to);
    }
    directory(to.parent().unwrap_or(to))?;
    if meta.is_symlink() {
        let target = fs::read_link(from).doing(format_args!("read the link {}", from.display()))?;
        return symlink(target, to).doing(format_args!("link {}", to.display()));
    }
    if kind == Kind::Rpm && path.extension().is_some_and(|e| e == "pc") {
        let template = job.repo.read("packaging/datastore.pc.in")?;
        let text = install::pkg_config(&template, Path::new("/usr"), Path::new(LIBRARIES));
        return write(to, text, 0o644);
    }
    let content = fs::read(from).doing(format_args!("read {}", from.display()))?;
    let is_program = content.starts_with(b"\x7fELF");
    write(to, content, meta.permissions().mode() & 0o7777)?;
    if is_program {
        if let Some(older) = &job.older {
            older.demand(to)?;
        }
        return Tool::new("strip").args(["--strip-unneeded", "--remove-section=.comment"]).arg(to).run();
    }
    if is_page(path) {
        return gzip(to);
    }
    Ok(())
}

/// Makes the directories down to this one, for everybody to read, whatever the umask is.
pub(super) fn directory(path: &Path) -> Result {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        directory(parent)?;
    }
    fs::create_dir(path).doing(format_args!("make {}", path.display()))?;
    mode(path, 0o755)
}

/// Writes a file, with this mode.
pub(super) fn write(path: &Path, content: impl AsRef<[u8]>, bits: u32) -> Result {
    directory(path.parent().unwrap_or(path))?;
    fs::write(path, content).doing(format_args!("write {}", path.display()))?;
    mode(path, bits)
}

/// Writes a file in the form of gzip.
pub(super) fn write_gzip(path: &Path, content: impl AsRef<[u8]>) -> Result {
    let mut zipped = path.to_path_buf();
    zipped.as_mut_os_string().push(".gz");
    write(&zipped, content, 0o644)?;
    gzip(&zipped)
}

/// Puts the gzip form of a file, whose name says so already, in its place: without a name and a time in it, which would differ.
fn gzip(path: &Path) -> Result {
    let plain = path.with_extension("");
    fs::rename(path, &plain).doing(format_args!("rename {}", path.display()))?;
    Tool::new("gzip").args(["-9", "--no-name", "--force"]).arg(&plain).run()
}

fn mode(path: &Path, bits: u32) -> Result {
    fs::set_permissions(path, fs::Permissions::from_mode(bits))
        .doing(format_args!("set the mode of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_with_rpm_have_some_things_elsewhere() {
        let at = |path: &str| place(Kind::Rpm, Path::new(path)).map(|path| path.display().to_string());
        let moved = [
            ("/usr/lib/x86_64-linux-gnu/libdatastore.so.0", "/usr/lib64/libdatastore.so.0"),
            ("/usr/lib/x86_64-linux-gnu/pkgconfig/datastore.pc", "/usr/lib64/pkgconfig/datastore.pc"),
            ("/usr/lib/php/20220829/datastore.so", "/usr/lib64/php/modules/datastore.so"),
            ("/etc/php/8.2/mods-available/datastore.ini", "/etc/php.d/20-datastore.ini"),
            ("/etc/init.d/datastore", "/etc/rc.d/init.d/datastore"),
            ("/usr/share/zsh/vendor-completions/_datastore", "/usr/share/zsh/site-functions/_datastore"),
            ("/usr/lib/systemd/system/datastore.service", "/usr/lib/systemd/system/datastore.service"),
            ("/etc/datastore.d", "/etc/datastore.d"),
        ];
        for (from, to) in moved {
            assert_eq!(at(from).as_deref(), Some(to));
            assert_eq!(place(Kind::Debian, Path::new(from)).as_deref(), Some(Path::new(from)));
        }
        assert_eq!(at("/usr/lib/lsb/init-functions.d/50-datastore"), None);
    }
}
