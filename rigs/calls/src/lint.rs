//! What no run may do, whatever comes of it: resolve a path where users may swap a part of it, or change something a second time.

use std::path::Path;

use datastore_rigs::tracer::{Shown, Sysno};

use crate::fault::Met;
use crate::kind::Kind;
use crate::trial::short;

/// RESOLVE_NO_SYMLINKS and RESOLVE_BENEATH of openat2(2): no part of the path may be swapped for something elsewhere.
const CONFINED: u64 = 0x04 | 0x08;

/// What a call does that users could turn against root: below the root, only single names in open directories are used, and never
/// through a link.
#[must_use]
pub fn path(call: &Shown, root: &Path) -> Option<String> {
    let found = |why: &str| Some(format!("{}: {why}", short(&call.to_string(), root)));
    for (dir, path) in call.resolved() {
        if path.as_os_str().is_empty() {
            continue;
        }
        if path.is_absolute() {
            if is_by_descriptor(path) {
                continue;
            }
            // The root itself is opened once; nobody but root can swap what is above it.
            let is_root = path == root && call.number == Sysno::open;
            if path.starts_with(root) && !is_root {
                return found("an absolute path is resolved below the root");
            }
            if matches!(call.number, Sysno::mount | Sysno::umount2) {
                return found("a mount is made or taken by a path");
            }
            continue;
        }
        let is_inside = dir.is_some_and(|dir| dir.starts_with(root));
        if !is_inside {
            continue;
        }
        let is_confined =
            call.number == Sysno::openat2 && call.opens.is_some_and(|(_, how)| how & CONFINED == CONFINED);
        if is_confined {
            continue;
        }
        if path.as_os_str().as_encoded_bytes().contains(&b'/') {
            return found("a path with a slash is resolved by the kernel alone");
        }
        // Neither of these two names can be a link.
        if ![".", ".."].contains(&&*path.to_string_lossy()) && follows(call) {
            return found("a link would be followed");
        }
    }
    None
}

/// `/proc/self/fd/N`, or one name below it.
fn is_by_descriptor(path: &Path) -> bool {
    path.strip_prefix("/proc/self/fd").is_ok_and(|rest| (1..=2).contains(&rest.components().count()))
}

/// Whether a call follows a link that is the last part of its path.
fn follows(call: &Shown) -> bool {
    let flags = |at: usize| i32::try_from(call.raw[at] & 0x7fff_ffff).unwrap_or_default();
    let no_follow = |at: usize| flags(at) & libc::AT_SYMLINK_NOFOLLOW == 0;
    match call.number {
        Sysno::open | Sysno::openat | Sysno::openat2 => {
            let (flags, _) = call.opens.unwrap_or_default();
            let safe = u64::from((libc::O_NOFOLLOW).unsigned_abs());
            let exclusive = u64::from((libc::O_CREAT | libc::O_EXCL).unsigned_abs());
            flags & safe == 0 && flags & exclusive != exclusive
        }
        Sysno::statx => no_follow(2),
        Sysno::newfstatat | Sysno::utimensat | Sysno::fchmodat2 | Sysno::faccessat2 => no_follow(3),
        Sysno::fchownat => no_follow(4),
        Sysno::linkat => flags(4) & libc::AT_SYMLINK_FOLLOW != 0,
        Sysno::name_to_handle_at => flags(4) & libc::AT_SYMLINK_FOLLOW != 0,
        Sysno::getxattrat | Sysno::setxattrat | Sysno::listxattrat | Sysno::removexattrat => no_follow(2),
        Sysno::mkdirat
        | Sysno::mknodat
        | Sysno::unlinkat
        | Sysno::readlinkat
        | Sysno::renameat
        | Sysno::renameat2
        | Sysno::symlinkat => false,
        Sysno::open_tree => no_follow(2),
        _ => true,
    }
}

/// What a second run changes although all that it asks for is so already. Locks, and what is for onlookers, lie in /run/datastore.
#[must_use]
pub fn change(met: &Met, root: &Path) -> Option<String> {
    let is_done = met.kind == Kind::Changes && met.answer.is_some_and(|answer| answer >= 0);
    // A tree that is cloned and mounted nowhere is seen by nobody.
    if !is_done || matches!(met.call.number, Sysno::flock | Sysno::open_tree) {
        return None;
    }
    let ours = root.join("run/datastore");
    let touched = met.call.paths().iter().any(|path| path.starts_with(root) && !path.starts_with(&ours));
    touched.then(|| format!("{} changes something", short(&met.call.to_string(), root)))
}
