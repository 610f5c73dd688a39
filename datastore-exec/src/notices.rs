//! What the kernel tells of files that come, go or are written: inotify(7) on directories, or, where one is missing, on the nearest one
//! above it.
//!
//! Directories that come and go are followed by asking anew: make new notices, and only then look.

use std::collections::{BTreeSet, HashMap};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::root::Root;
use crate::sys::error::{Call, FdName, SysError};
use crate::sys::fd;

/// A directory, and the names in it that count; `None` for all.
pub(crate) type Place = (AbsPath, Option<Vec<Vec<u8>>>);

/// What has been asked for.
#[derive(Debug)]
pub(crate) struct Notices {
    fd: OwnedFd,
    /// The names that count in each directory; `None` for all.
    names: HashMap<i32, Option<BTreeSet<Vec<u8>>>>,
}

impl Notices {
    /// Asks for what happens to entries of these directories: to all, or to those of these names.
    pub(crate) fn of(root: &Root, places: impl IntoIterator<Item = Place>) -> Result<Self> {
        let why = |errno: Errno| {
            Error::new(ErrorKind::System, "changes of files cannot be watched for")
                .with_errno(errno.raw_os_error())
                .hint("look at fs.inotify.max_user_instances and fs.inotify.max_user_watches (sysctl)")
                .caused_by(errno)
        };
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(why)?;
        let mut names: HashMap<i32, Option<BTreeSet<Vec<u8>>>> = HashMap::new();
        let what = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::DELETE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        for (path, wanted) in places {
            let mut missing: Option<AbsPath> = None;
            for place in std::iter::once(path.clone()).chain(path.ancestors()) {
                let Ok(dir) = root.open_file(&place, OFlags::PATH | OFlags::DIRECTORY, 0) else {
                    missing = Some(place);
                    continue;
                };
                let id = inotify::add_watch(&fd, fd::proc_path(dir.as_fd()), what).map_err(why)?;
                let these: Option<BTreeSet<Vec<u8>>> = match &missing {
                    Some(first) => Some(BTreeSet::from([first.file_name().to_vec()])),
                    None => wanted.clone().map(|names| names.into_iter().collect()),
                };
                match (names.entry(id).or_insert_with(|| Some(BTreeSet::new())), these) {
                    (Some(all), Some(these)) => all.extend(these),
                    (all, _) => *all = None,
                }
                break;
            }
        }
        Ok(Self { fd, names })
    }

    /// Waits until something happens in the directories, or for so long.
    pub(crate) fn wait(&self, longest: Option<Duration>) -> Result<()> {
        let timeout = longest.and_then(|d| Timespec::try_from(d).ok());
        match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(self.failed(errno)),
        }
    }

    /// Takes everything that has been told so far. Whether any of it counts.
    pub(crate) fn take(&self) -> Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.fd, &mut buffer);
        let mut counts = false;
        loop {
            match reader.next() {
                Ok(event) => counts |= self.counts(event.wd(), event.file_name().map(std::ffi::CStr::to_bytes)),
                Err(Errno::AGAIN) => return Ok(counts),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.failed(errno)),
            }
        }
    }

    /// An event without a name is of the directory itself; one without a directory says that others were lost.
    fn counts(&self, directory: i32, name: Option<&[u8]>) -> bool {
        match (self.names.get(&directory), name) {
            (Some(Some(names)), Some(name)) => names.contains(name),
            _ => true,
        }
    }

    fn failed(&self, errno: Errno) -> Error {
        SysError::new(Call::Read { fd: FdName::of(&self.fd) }, errno).into()
    }
}

impl AsFd for Notices {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sandbox;

    #[test]
    fn what_was_asked_for_counts_and_nothing_else() {
        Sandbox::run(|sandbox| {
            sandbox.dirs(&["etc/d"]);
            let write = |path: &str| std::fs::write(sandbox.dir().join(path), "x").unwrap();
            let places = || {
                [
                    (AbsPath::literal("/etc"), Some(vec![b"fstab".to_vec()])),
                    (AbsPath::literal("/etc/d"), None),
                    (AbsPath::literal("/etc/later/on"), None),
                ]
            };
            let notices = Notices::of(&sandbox.root(), places()).unwrap();
            let told = || notices.take().unwrap();
            assert!(!told());
            for (path, counts) in [("etc/other", false), ("etc/fstab", true), ("etc/d/any", true), ("etc/on", false)] {
                write(path);
                assert_eq!((told(), told()), (counts, false), "{path}");
            }
            std::fs::rename(sandbox.dir().join("etc/other"), sandbox.dir().join("etc/fstab")).unwrap();
            assert!(told());
            std::fs::remove_file(sandbox.dir().join("etc/d/any")).unwrap();
            assert!(told());
            // A directory that was missing: each step towards it counts.
            sandbox.dirs(&["etc/later"]);
            assert!(told());
            let notices = Notices::of(&sandbox.root(), places()).unwrap();
            sandbox.dirs(&["etc/later/on"]);
            assert!(notices.take().unwrap());
            let notices = Notices::of(&sandbox.root(), places()).unwrap();
            write("etc/later/on/file");
            assert!(notices.take().unwrap());
            std::fs::remove_dir_all(sandbox.dir().join("etc/later")).unwrap();
            assert!(notices.take().unwrap());
        });
    }
}
