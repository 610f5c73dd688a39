//! The files that have a say in the start of a service: its unit and its drop-ins (systemd.unit(5)), or its init script and what
//! that sources.

use datastore_core::AbsPath;
use datastore_core::doctor::ServiceFiles;
use rustix::fs::OFlags;

use super::names;
use crate::root::Root;
use crate::sys::fd;

/// Where systemd looks for units, its generators' directories among them.
const UNITS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator.early",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// What init scripts are, and what they source (Red Hat's and Debian's places).
const SCRIPTS: &[&str] = &["/etc/init.d", "/etc/rc.d/init.d", "/etc/sysconfig", "/etc/default"];
/// What every init script of Debian's sources.
const HOOKS: &str = "/lib/lsb/init-functions.d";
/// More is no start script.
const LIMIT: usize = 1 << 20;

/// All that can be read of them.
pub(super) fn files(root: &Root, service: &str) -> ServiceFiles {
    // A name with a slash would lead elsewhere.
    if service.is_empty() || service.contains('/') || service.starts_with('.') {
        return ServiceFiles::default();
    }
    let stem = service.strip_suffix(".service").unwrap_or(service);
    let unit = format!("{stem}.service");
    let mut paths: Vec<AbsPath> = Vec::new();
    for dir in UNITS.iter().map(|dir| AbsPath::literal(dir)) {
        paths.extend(dir.join(&unit));
        paths.extend(dir.join(format!("{unit}.d")).into_iter().flat_map(|drop_ins| in_directory(root, &drop_ins)));
    }
    paths.extend(SCRIPTS.iter().filter_map(|dir| AbsPath::literal(dir).join(stem).ok()));
    paths.extend(in_directory(root, &AbsPath::literal(HOOKS)));
    ServiceFiles { texts: paths.iter().filter_map(|path| read(root, path)).collect() }
}

fn in_directory(root: &Root, dir: &AbsPath) -> Vec<AbsPath> {
    names(root, dir).unwrap_or_default().iter().filter_map(|name| dir.join(name).ok()).collect()
}

fn read(root: &Root, path: &AbsPath) -> Option<Vec<u8>> {
    let file = root.open_file(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, 0).ok()?;
    fd::read_all(file, LIMIT).ok()
}
