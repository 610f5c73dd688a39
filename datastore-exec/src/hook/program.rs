//! Finding a hook below the root, and who could have changed it.
//!
//! Every directory on the way is opened from the one before, without following links, and checked on its own descriptor; so is the
//! file. What is then run is what that descriptor holds.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use datastore_core::AbsPath;
use datastore_core::observed::HookFacts;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::load::changeable;
use crate::root::{Miss, Root};
use crate::sys::stat::{self, Facts, Kind};
use crate::sys::{Entry, SysError, fd};

/// A program that nobody but root could have changed, open for reading.
#[derive(Debug)]
pub(crate) struct Program {
    file: OwnedFd,
    /// Whether it begins with `#!`: then the interpreter reads the file through the same descriptor.
    pub(crate) is_script: bool,
}

impl Program {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Opens a hook; else says what stands there.
pub(crate) fn open(root: &Root, path: &AbsPath) -> Result<Program, HookFacts> {
    let mut above = root.open_dir(&AbsPath::root()).map_err(|miss| of_miss(&miss))?;
    let mut reached = AbsPath::root();
    let mut doubt = None;
    let count = path.depth();
    for (number, name) in path.components().enumerate() {
        let facts = stat::facts(Entry::itself(&above)).map_err(|e| of_error(&reached, &e))?;
        doubt = doubt.or_else(|| changeable(&facts, &reached.to_string()));
        let here = reached.join(name).map_err(|why| HookFacts::Unfit(why.to_string()))?;
        let entry = Entry::new(&above, name);
        let facts = stat::facts(entry).map_err(|e| of_error(&here, &e))?;
        if facts.kind == Kind::Symlink {
            return Err(HookFacts::Unsafe(format!("{here} is a symbolic link, which datastore does not follow")));
        }
        if number + 1 == count {
            return file(entry, &here, doubt);
        }
        if facts.kind != Kind::Dir {
            return Err(HookFacts::Absent(path.clone()));
        }
        above = fd::open(entry, OFlags::PATH | OFlags::DIRECTORY, 0).map_err(|e| of_error(&here, &e))?;
        reached = here;
    }
    Err(HookFacts::Unfit("it is a directory".into()))
}

/// What stands at the path of a hook.
pub(crate) fn look(root: &Root, path: &AbsPath) -> HookFacts {
    open(root, path).map_or_else(|facts| facts, |_| HookFacts::Fit)
}

fn file(entry: Entry<'_>, path: &AbsPath, doubt: Option<String>) -> Result<Program, HookFacts> {
    // A FIFO or a device is not even opened; its directory is checked below, so nobody but root could put one there meanwhile.
    let kind = |facts: &Facts| match facts.kind {
        Kind::File => Ok(()),
        Kind::Dir => Err(HookFacts::Unfit("it is a directory".into())),
        Kind::Symlink | Kind::Other => Err(HookFacts::Unfit("it is no regular file".into())),
    };
    kind(&stat::facts(entry).map_err(|e| of_error(path, &e))?)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = fd::open(entry, flags, 0).map_err(|e| of_error(path, &e))?;
    let facts = stat::facts(Entry::itself(&opened)).map_err(|e| of_error(path, &e))?;
    kind(&facts)?;
    if let Some(why) = changeable(&facts, "the file").or(doubt) {
        return Err(HookFacts::Unsafe(why));
    }
    if facts.mode.bits() & 0o111 == 0 {
        return Err(HookFacts::Unfit(format!("it is not executable (mode {})", facts.mode)));
    }
    let mut first = [0; 2];
    let is_script = matches!(rustix::io::pread(&opened, &mut first, 0), Ok(2)) && first == *b"#!";
    Ok(Program { file: opened, is_script })
}

fn of_error(path: &AbsPath, error: &SysError) -> HookFacts {
    match error.errno() {
        Errno::NOENT => HookFacts::Absent(path.clone()),
        _ if error.is_privilege() => HookFacts::Hidden,
        _ => HookFacts::Unfit(error.to_string()),
    }
}

fn of_miss(miss: &Miss) -> HookFacts {
    match miss {
        Miss::Denied(..) => HookFacts::Hidden,
        other => HookFacts::Unfit(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;
    use crate::testing::Sandbox;

    #[test]
    fn owner_mode_parent_and_type() {
        Sandbox::run(|sandbox| {
            let root = sandbox.root();
            let path = AbsPath::literal("/lib/hooks/h");
            let at = sandbox.dir().join("lib/hooks/h");
            let (parent, grand) = (sandbox.dir().join("lib/hooks"), sandbox.dir().join("lib"));
            let look = || look(&root, &path);
            assert_eq!(look(), HookFacts::Absent(AbsPath::literal("/lib")));
            sandbox.file("lib/hooks/h", "#!/bin/sh\n");
            let mode = |of: &std::path::Path, mode| std::fs::set_permissions(of, Permissions::from_mode(mode)).unwrap();
            // Every owner of the file and of each directory above it, with every mode: only root's own, closed to others, will do.
            for owners in [[0, 0, 0], [7, 0, 0], [0, 7, 0], [0, 0, 7]] {
                for modes in
                    [[0o755, 0o755, 0o755], [0o775, 0o755, 0o755], [0o755, 0o777, 0o755], [0o700, 0o1777, 0o755]]
                {
                    for (of, (owner, bits)) in [&at, &parent, &grand].into_iter().zip(owners.into_iter().zip(modes)) {
                        chown(of, Some(owner), None).unwrap();
                        mode(of, bits);
                    }
                    let good = owners == [0, 0, 0] && modes == [0o755; 3];
                    let found = look();
                    assert!(
                        if good { found == HookFacts::Fit } else { matches!(found, HookFacts::Unsafe(_)) },
                        "{owners:?} {modes:?}: {found:?}"
                    );
                }
            }
            for (of, bits) in [(&at, 0o644), (&parent, 0o755), (&grand, 0o755)] {
                chown(of, Some(0), None).unwrap();
                mode(of, bits);
            }
            assert_eq!(look(), HookFacts::Unfit("it is not executable (mode 0644)".into()));
            std::fs::remove_file(&at).unwrap();
            assert_eq!(look(), HookFacts::Absent(path.clone()));
            for target in ["/bin/sh", "nothing"] {
                symlink(target, &at).unwrap();
                assert!(matches!(look(), HookFacts::Unsafe(why) if why.contains("/lib/hooks/h is a symbolic link")));
                std::fs::remove_file(&at).unwrap();
            }
            std::fs::create_dir(&at).unwrap();
            assert_eq!(look(), HookFacts::Unfit("it is a directory".into()));
            std::fs::remove_dir(&at).unwrap();
            rustix::fs::mkfifoat(rustix::fs::CWD, &at, rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
            assert_eq!(look(), HookFacts::Unfit("it is no regular file".into()));
            std::fs::rename(&parent, grand.join("real")).unwrap();
            symlink("real", &parent).unwrap();
            assert!(matches!(look(), HookFacts::Unsafe(why) if why.contains("/lib/hooks is a symbolic link")));
        });
    }
}
