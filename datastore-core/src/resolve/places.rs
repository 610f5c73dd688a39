//! Where nothing may be mounted.

use std::sync::LazyLock;

use crate::path::AbsPath;

/// Where nothing may ever be mounted, in it or below it.
pub(super) static CLOSED: LazyLock<[AbsPath; 11]> = LazyLock::new(|| {
    ["/boot", "/dev", "/proc", "/run", "/sys", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"]
        .map(AbsPath::literal)
});
/// Where something may be mounted below it, if the admin says `unusual = true`.
pub(super) static UNUSUAL: LazyLock<[AbsPath; 2]> = LazyLock::new(|| ["/etc", "/usr"].map(AbsPath::literal));
/// Our own configuration below one of them.
pub(super) static OURS: LazyLock<[AbsPath; 3]> =
    LazyLock::new(|| ["/etc/datastore.d", "/etc/datastore.conf", "/etc/fstab"].map(AbsPath::literal));
/// Our own state, which must stay on the root file system.
pub(super) static STATE: LazyLock<AbsPath> = LazyLock::new(|| AbsPath::literal("/var/lib/datastore"));

/// The closed directory that a path is at, above or in.
pub(super) fn closed(path: &AbsPath) -> Option<&'static AbsPath> {
    CLOSED.iter().find(|dir| path.is_within(dir) || dir.is_below(path))
}
