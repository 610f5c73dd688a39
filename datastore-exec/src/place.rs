//! What stands at a path, in core's words: one statx(2), and what more was asked for.

use datastore_core::AbsPath;
use datastore_core::observed::{DirFacts, Identity, Place};
use datastore_core::value::Attrs;
use rustix::io::Errno;

use crate::root::{Miss, Root};
use crate::sys::flags::{self, Immutable};
use crate::sys::stat::{Facts, Kind};
use crate::sys::{SysError, xattr};

/// What is asked beyond kind, mode and owner; each costs a system call or more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Want {
    /// Whether nothing is in it: the directory is opened and read.
    pub(crate) empty: bool,
    /// The identity that it carries: one getxattr(2) if it has one.
    pub(crate) id: bool,
}

/// Looks at a path below the root. Its directory comes from those that the root keeps open, so what is said of
/// [`Root::open_parent`] holds here too.
pub(crate) fn look(root: &Root, path: &AbsPath, want: Want) -> Place {
    match root.stat(path) {
        Ok(facts) if facts.kind == Kind::Dir => {
            dir(root, path, &facts, want).map_or_else(|miss| missed(root, miss), Place::Dir)
        }
        Ok(facts) => Place::Other { at: path.clone(), what: kind(facts.kind).into() },
        Err(miss) => missed(root, miss),
    }
}

fn dir(root: &Root, path: &AbsPath, facts: &Facts, want: Want) -> Result<DirFacts, Miss> {
    let immutable = match facts.immutable {
        // A kernel before 4.11 tells by ioctl only. It matters for a directory that may be sealed, so only that is asked.
        None if facts.mode.bits() == 0 => match flags::immutable(root.place(path)?.entry()) {
            Ok(Immutable::Yes) => Some(true),
            Ok(Immutable::No) => Some(false),
            Ok(Immutable::Unsupported) => None,
            Err(error) if error.is_privilege() => None,
            Err(error) => return Err(gone(path, error)),
        },
        known => known,
    };
    let empty = match want.empty.then(|| root.is_empty_dir(path)) {
        None | Some(Err(Miss::Denied(..))) => None,
        Some(Ok(empty)) => Some(empty),
        Some(Err(miss)) => return Err(miss),
    };
    let id = if want.id {
        match xattr::identity(root.place(path)?.entry()) {
            Ok(id) => id,
            // `user.*` takes the right to read the directory.
            Err(error) if error.is_privilege() => Identity::Hidden,
            Err(error) => return Err(gone(path, error)),
        }
    } else {
        Identity::Unasked
    };
    let attrs = Attrs { mode: facts.mode, uid: facts.uid, gid: facts.gid };
    Ok(DirFacts { dev: facts.dev, ino: facts.ino, attrs, empty, immutable, id })
}

/// A directory that was there a moment ago and is not any more is absent, not broken.
fn gone(path: &AbsPath, error: SysError) -> Miss {
    if error.errno() == Errno::NOENT { Miss::Absent(path.clone()) } else { Miss::Failed(error) }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Dir => "a directory",
        Kind::File => "a file",
        Kind::Symlink => "a symbolic link",
        Kind::Other => "a device, a socket or a FIFO",
    }
}

/// Why there is no directory, in core's words.
fn missed(root: &Root, miss: Miss) -> Place {
    match miss {
        Miss::Absent(missing) => Place::Absent { missing },
        Miss::Symlink(at) => Place::Other { at, what: kind(Kind::Symlink).into() },
        Miss::NotADirectory(at) => {
            let what = root.stat(&at).map_or(kind(Kind::Other), |facts| kind(facts.kind)).into();
            Place::Other { at, what }
        }
        Miss::Denied(..) => Place::Hidden,
        Miss::Failed(error) => Place::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use datastore_core::value::Id;

    use super::*;
    use crate::sys::fd;
    use crate::testing::{Sandbox, without};

    const ALL: Want = Want { empty: true, id: true };

    fn path(text: &'static str) -> AbsPath {
        AbsPath::literal(text)
    }

    #[test]
    fn a_directory_is_told_in_full() {
        Sandbox::run(|sandbox| {
            sandbox.ext4("disk");
            sandbox.dirs(&["disk/store/inner"]);
            let root = sandbox.root();
            let Place::Dir(found) = look(&root, &path("/disk/store"), Want::default()) else { panic!() };
            assert_eq!((found.empty, found.id), (None, Identity::Unasked));
            let Place::Dir(found) = look(&root, &path("/disk/store"), ALL) else { panic!() };
            assert_eq!((found.empty, found.id, found.immutable), (Some(false), Identity::None, Some(false)));
            assert_eq!(found.attrs, Attrs::root(0o755));
            let id = Id::from_random([7; 16]);
            xattr::set_identity(root.place(&path("/disk/store/inner")).unwrap().entry(), id).unwrap();
            let Place::Dir(found) = look(&root, &path("/disk/store/inner"), ALL) else { panic!() };
            assert_eq!((found.empty, found.id), (Some(true), Identity::Is(id)));
        });
    }

    #[test]
    fn what_is_no_directory_says_what_and_where() {
        Sandbox::run(|sandbox| {
            sandbox.dirs(&["real"]);
            sandbox.file("file", "");
            symlink("real", sandbox.dir().join("link")).unwrap();
            let root = sandbox.root();
            let other = |at: &'static str, what: &str| Place::Other { at: path(at), what: what.into() };
            assert_eq!(look(&root, &path("/file"), ALL), other("/file", "a file"));
            assert_eq!(look(&root, &path("/file/a/b"), ALL), other("/file", "a file"));
            assert_eq!(look(&root, &path("/link"), ALL), other("/link", "a symbolic link"));
            assert_eq!(look(&root, &path("/link/x"), ALL), other("/link", "a symbolic link"));
            assert_eq!(look(&root, &path("/a"), ALL), Place::Absent { missing: path("/a") });
            assert_eq!(look(&root, &path("/real/b/c/d"), ALL), Place::Absent { missing: path("/real/b") });
        });
    }

    #[test]
    fn a_seal_is_seen_with_and_without_statx() {
        Sandbox::run(|sandbox| {
            sandbox.ext4("disk");
            sandbox.dirs(&["disk/point"]);
            let root = sandbox.root();
            let place = root.place(&path("/disk/point")).unwrap();
            fd::set_mode(fd::open(place.entry(), rustix::fs::OFlags::RDONLY, 0).unwrap(), 0).unwrap();
            let sealed = || look(&root, &path("/disk/point"), ALL).dir().unwrap().clone();
            assert_eq!(without(&[libc::SYS_statx], sealed).immutable, Some(false));
            assert_eq!(flags::set_immutable(place.entry(), true).unwrap(), flags::SetImmutable::Changed);
            assert!(sealed().is_sealed() && sealed().immutable == Some(true));
            assert_eq!(without(&[libc::SYS_statx], sealed).immutable, Some(true));
            assert_eq!(flags::set_immutable(place.entry(), false).unwrap(), flags::SetImmutable::Changed);
        });
    }

    #[test]
    fn without_privilege_the_rest_is_still_told() {
        Sandbox::run(|sandbox| {
            sandbox.ext4("disk");
            sandbox.dirs(&["disk/closed/in", "disk/sealed"]);
            let mode = |at: &str, bits| {
                std::fs::set_permissions(sandbox.dir().join(at), std::fs::Permissions::from_mode(bits)).unwrap();
            };
            mode("disk/closed", 0o700);
            mode("disk/sealed", 0);
            let root = sandbox.root();
            without(&[], || {
                rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
                assert_eq!(look(&root, &path("/disk/closed/in"), ALL), Place::Hidden);
                let Place::Dir(found) = look(&root, &path("/disk/sealed"), ALL) else { panic!() };
                assert_eq!((found.empty, found.id, found.attrs.mode.bits()), (None, Identity::Hidden, 0));
            });
        });
    }
}
