//! The root that everything lies under (`--root DIR`), and the only way from a path to a file.
//!
//! A path is resolved below an open descriptor of the root with openat2(2) (`RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS`),
//! so that no symbolic link is ever followed and nothing outside is reached, whoever renames what meanwhile. Before
//! Linux 5.6 the components are opened one by one with `O_NOFOLLOW`, which refuses the same.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use datastore_core::path::printable;
use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::sys::error::{Call, FdName, SysError};
use crate::sys::fd::{self, Entry};
use crate::sys::stat::{self, Facts, Kind};

/// How many open directories are kept. Mappings share few parents, `RLIMIT_NOFILE` is often 1024, and two threads that look at
/// thousands of mappings keep as many each, beside what they look under.
const KEPT: usize = 256;

/// Why a path leads to nothing that can be used. The path in it is the component at which it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Miss {
    /// This does not exist.
    Absent(AbsPath),
    /// This exists and is not a directory.
    NotADirectory(AbsPath),
    /// This is a symbolic link, which is never followed.
    Symlink(AbsPath),
    /// The caller may not pass or open this.
    Denied(AbsPath, SysError),
    /// The call failed in another way.
    Failed(SysError),
}

impl Miss {
    /// Whether something on the way simply is not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent(_))
    }
}

/// Turns "it is not there" into `None`.
pub fn if_there<T>(found: Result<T, Miss>) -> Result<Option<T>, Miss> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(Miss::Absent(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(path) => write!(f, "`{path}` does not exist"),
            Self::NotADirectory(path) => write!(f, "`{path}` is not a directory"),
            Self::Symlink(path) => write!(f, "`{path}` is a symbolic link, which datastore does not follow"),
            Self::Denied(path, _) => write!(f, "no permission for `{path}`"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Miss {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Denied(_, error) => Some(error),
            _ => None,
        }
    }
}

impl From<SysError> for Miss {
    fn from(error: SysError) -> Self {
        Self::Failed(error)
    }
}

impl From<Miss> for Error {
    fn from(miss: Miss) -> Self {
        let message = miss.to_string();
        let refused = |errno: Errno| Self::new(ErrorKind::Refused, &message).with_errno(errno.raw_os_error());
        match miss {
            Miss::Absent(_) => refused(Errno::NOENT),
            Miss::NotADirectory(_) => refused(Errno::NOTDIR),
            Miss::Symlink(_) => refused(Errno::LOOP).hint("name the directory that the link leads to"),
            Miss::Denied(_, error) => error.because(message).hint("run it as root"),
            Miss::Failed(error) => error.into(),
        }
    }
}

/// A path with its parent directory open: what the calls on one name need.
#[derive(Debug, Clone)]
pub struct Place {
    parent: Arc<OwnedFd>,
    path: AbsPath,
}

impl Place {
    /// The name in its open directory; for `/`, the root itself.
    #[must_use]
    pub fn entry(&self) -> Entry<'_> {
        if self.path.is_root() { Entry::itself(&self.parent) } else { Entry::new(&self.parent, self.path.file_name()) }
    }
    /// The path, below the root.
    #[must_use]
    pub fn path(&self) -> &AbsPath {
        &self.path
    }
}

/// An open root directory. Clones are cheap and share the open directories.
#[derive(Clone)]
pub struct Root(Arc<Inner>);

struct Inner {
    fd: Arc<OwnedFd>,
    path: AbsPath,
    kept: Mutex<Cache>,
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({})", self.0.path)
    }
}

/// Open directories, with the turn at which each was last asked for.
#[derive(Default)]
struct Cache {
    dirs: BTreeMap<AbsPath, (u64, Arc<OwnedFd>)>,
    turn: u64,
}

impl Cache {
    fn get(&mut self, path: &[u8]) -> Option<Arc<OwnedFd>> {
        self.turn += 1;
        let (used, fd) = self.dirs.get_mut(path)?;
        *used = self.turn;
        Some(fd.clone())
    }

    fn put(&mut self, path: AbsPath, fd: Arc<OwnedFd>) {
        if self.dirs.len() >= KEPT
            && let Some(oldest) = self.dirs.iter().min_by_key(|(_, (used, _))| *used).map(|(path, _)| path.clone())
        {
            self.dirs.remove(&oldest);
        }
        self.dirs.insert(path, (self.turn, fd));
    }
}

impl Root {
    /// Opens a directory as the root. Its own path is the caller's word: links in it are followed, this once.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let shown = printable(path.as_os_str().as_encoded_bytes());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
            SysError::new(Call::Open { path: shown.clone(), flags }, errno)
                .because(format!("cannot open the root `{shown}`"))
        })?;
        let link = fd::proc_path(fd.as_fd());
        let real = rustix::fs::readlink(&link, Vec::new()).map_err(|errno| {
            SysError::new(Call::Readlink { path: link }, errno)
                .because(format!("cannot find the absolute path of the root `{shown}`"))
                .hint("mount /proc")
        })?;
        let path = AbsPath::from_kernel(real.as_bytes())
            .map_err(|why| Error::new(ErrorKind::Usage, format!("the root `{shown}` cannot be used")).caused_by(why))?;
        Ok(Self(Arc::new(Inner { fd: Arc::new(fd), path, kept: Mutex::default() })))
    }

    /// The root directory of a file system that is attached nowhere, or any other that is open. `name` is for messages, and not `/`: it is not the machine.
    #[must_use]
    pub(crate) fn of(fd: OwnedFd, name: AbsPath) -> Self {
        Self(Arc::new(Inner { fd: Arc::new(fd), path: name, kept: Mutex::default() }))
    }

    /// The same root with kept directories of its own, for another thread: they are behind a lock.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Arc::new(Inner { fd: self.0.fd.clone(), path: self.0.path.clone(), kept: Mutex::default() }))
    }

    /// Where the root is, seen from the root directory of the process, with all links resolved when it was opened.
    #[must_use]
    pub fn path(&self) -> &AbsPath {
        &self.0.path
    }

    /// Whether the root is `/`: the machine itself.
    #[must_use]
    pub fn is_machine(&self) -> bool {
        self.0.path.is_root()
    }

    /// A path below the root as other programs and the kernel's mount table name it. Fails if it becomes too long.
    pub fn outside(&self, path: &AbsPath) -> Result<AbsPath, Error> {
        self.0.path.join(path.relative()).map_err(|why| {
            Error::new(ErrorKind::Usage, format!("`{path}` cannot be used below the root `{}`", self.0.path))
                .caused_by(why)
        })
    }

    /// The path below the root of something that the kernel's mount table names; `None` if it is outside.
    #[must_use]
    pub fn inside(&self, outside: &AbsPath) -> Option<AbsPath> {
        outside.below(&self.0.path)
    }

    /// Opens a directory (`O_PATH`): a fresh look, not from the kept ones.
    pub fn open_dir(&self, path: &AbsPath) -> Result<OwnedFd, Miss> {
        self.resolve(path, OFlags::PATH | OFlags::DIRECTORY, 0)
    }

    /// Opens a file or a directory with these flags, and with this mode if it is made (`O_CREAT`). A FIFO without a
    /// writer makes this wait, unless `O_NONBLOCK` is given.
    pub fn open_file(&self, path: &AbsPath, flags: OFlags, mode: u32) -> Result<OwnedFd, Miss> {
        self.resolve(path, flags, mode)
    }

    /// The directory that holds a path, open (`O_PATH`); for `/` the root itself.
    ///
    /// The last few hundred are kept open, and two things follow. A kept directory that a mount has since covered still
    /// leads below that mount: call [`Root::forget_within`] for the mount point after mounting. And a kept directory
    /// keeps its mount busy: call it before unmounting.
    pub fn open_parent(&self, path: &AbsPath) -> Result<Arc<OwnedFd>, Miss> {
        let Some(above) = path.above().next().filter(|above| above.len() > 1) else {
            return Ok(self.0.fd.clone());
        };
        if let Some(fd) = self.cache().get(above) {
            return Ok(fd);
        }
        let parent = path.parent().unwrap_or_else(AbsPath::root);
        let fd = Arc::new(self.open_dir(&parent)?);
        self.cache().put(parent, fd.clone());
        Ok(fd)
    }

    /// The path with its parent open. What is said of [`Root::open_parent`] holds here too.
    pub fn place(&self, path: &AbsPath) -> Result<Place, Miss> {
        Ok(Place { parent: self.open_parent(path)?, path: path.clone() })
    }

    /// Closes all kept directories.
    pub fn forget(&self) {
        self.cache().dirs.clear();
    }

    /// Closes the kept directories at and below a path: what a mount or an unmount there needs. It costs nothing where
    /// there are none.
    pub fn forget_within(&self, path: &AbsPath) {
        let mut cache = self.cache();
        // In the order of bytes, everything within `path` comes in one run that begins with it, among its namesakes.
        let within: Vec<AbsPath> = cache
            .dirs
            .range(path.clone()..)
            .map(|(kept, _)| kept)
            .take_while(|kept| kept.as_bytes().starts_with(path.as_bytes()))
            .filter(|kept| kept.is_within(path))
            .cloned()
            .collect();
        for kept in within {
            cache.dirs.remove(&kept);
        }
    }

    /// What a path is. One system call if its parent is kept; links are not followed but told.
    pub fn stat(&self, path: &AbsPath) -> Result<Facts, Miss> {
        let place = self.place(path)?;
        match stat::facts_if_there(place.entry()) {
            Ok(Some(facts)) => Ok(facts),
            // Its directory is open, so it is this name that is missing. Worth no second look: many mount points are.
            Ok(None) => Err(Miss::Absent(path.clone())),
            Err(error) => Err(self.explain(path, error)),
        }
    }

    /// Whether a directory has no entries at all; `lost+found` is one. It must be readable by the caller.
    pub fn is_empty_dir(&self, path: &AbsPath) -> Result<bool, Miss> {
        let place = self.place(path)?;
        let dir = fd::open(place.entry(), OFlags::RDONLY | OFlags::DIRECTORY, 0)
            .map_err(|error| self.explain(path, error))?;
        Ok(fd::is_empty(&dir)?)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        // A panic in between leaves the map whole: at worst one directory too few is kept.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resolve(&self, path: &AbsPath, flags: OFlags, mode: u32) -> Result<OwnedFd, Miss> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let relative = if path.is_root() { b".".as_slice() } else { path.relative() };
        let limits = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mode_given = Mode::from_raw_mode(mode);
        match rustix::fs::openat2(&*self.0.fd, relative, flags, mode_given, limits) {
            Ok(fd) => Ok(fd),
            Err(Errno::NOSYS) => self.resolve_by_steps(path, flags, mode),
            Err(errno) => {
                if errno == Errno::NOENT
                    && !path.is_root()
                    && let Some(missing) = self.missing(path)
                {
                    return Err(Miss::Absent(missing));
                }
                let call = Call::Openat2 { dir: FdName::of(&*self.0.fd), path: printable(relative), flags };
                Err(self.explain(path, SysError::new(call, errno)))
            }
        }
    }

    /// Before Linux 5.6.
    fn resolve_by_steps(&self, path: &AbsPath, flags: OFlags, mode: u32) -> Result<OwnedFd, Miss> {
        let failed = |error| self.explain(path, error);
        let mut above = self.0.fd.clone();
        let count = path.depth();
        for component in path.components().take(count.saturating_sub(1)) {
            let next = fd::open(Entry::new(&above, component), OFlags::PATH | OFlags::DIRECTORY, 0);
            above = Arc::new(next.map_err(failed)?);
        }
        let entry = if path.is_root() { Entry::itself(&above) } else { Entry::new(&above, path.file_name()) };
        fd::open(entry, flags, mode).map_err(failed)
    }

    /// Which component of a path is missing, if it is that alone: the common miss, looked for without a word about what failed.
    fn missing(&self, path: &AbsPath) -> Option<AbsPath> {
        match self.open_parent(path) {
            Ok(parent) => {
                let found = stat::facts_if_there(Entry::new(&parent, path.file_name()));
                matches!(found, Ok(None)).then(|| path.clone())
            }
            Err(Miss::Absent(above)) => Some(above),
            Err(_) => None,
        }
    }

    /// Which component of a path made a call fail. Looks again, component by component; if all is well by now, the
    /// error stands. What has come into being since the call was not there when it was asked for, and that is the answer.
    fn explain(&self, path: &AbsPath, error: SysError) -> Miss {
        let telling = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::ACCESS, Errno::PERM];
        if !telling.contains(&error.errno()) {
            return Miss::Failed(error);
        }
        let mut above = self.0.fd.clone();
        let mut reached = AbsPath::root();
        let count = path.depth();
        for (index, component) in path.components().enumerate() {
            let last = index + 1 == count;
            let Ok(here) = reached.join(component) else { return Miss::Failed(error) };
            match stat::facts(Entry::new(&above, component)).map(|facts| facts.kind) {
                Ok(Kind::Symlink) => return Miss::Symlink(here),
                Ok(Kind::Dir) => {}
                Ok(_) if !last || error.errno() == Errno::NOTDIR => return Miss::NotADirectory(here),
                Ok(_) => {}
                Err(why) if why.errno() == Errno::NOENT => return Miss::Absent(here),
                // To look at a name takes the right to search its directory.
                Err(why) if why.is_privilege() => return Miss::Denied(reached, error),
                Err(_) => return Miss::Failed(error),
            }
            if !last {
                match fd::open(Entry::new(&above, component), OFlags::PATH | OFlags::DIRECTORY, 0) {
                    Ok(next) => above = Arc::new(next),
                    Err(_) => return Miss::Failed(error),
                }
            }
            reached = here;
        }
        match error.errno() {
            Errno::NOENT => Miss::Absent(path.clone()),
            _ if error.is_privilege() => Miss::Denied(path.clone(), error),
            _ => Miss::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::testing::{Sandbox, succeeds, without};

    fn path(text: &'static str) -> AbsPath {
        AbsPath::literal(text)
    }

    /// Runs a test with openat2 and without it: both must give the same answers.
    fn both(body: impl Fn(&Sandbox, &Root) + Sync) {
        Sandbox::run(|sandbox| {
            without(&[], || body(sandbox, &sandbox.root()));
            without(&[libc::SYS_openat2, libc::SYS_statx], || body(sandbox, &sandbox.root()));
        });
    }

    #[test]
    fn what_is_there_is_opened() {
        both(|sandbox, root| {
            sandbox.dirs(&["store/data0/live"]);
            sandbox.file("store/file", "text");
            root.open_dir(&path("/store/data0/live")).unwrap();
            root.open_dir(&AbsPath::root()).unwrap();
            let file = root.open_file(&path("/store/file"), OFlags::RDONLY, 0).unwrap();
            assert_eq!(fd::read_all(file, 100).unwrap(), b"text");
            let facts = root.stat(&path("/store/file")).unwrap();
            assert_eq!((facts.kind, facts.size, facts.uid, facts.nlink), (Kind::File, 4, 0, 1));
            assert_eq!(root.stat(&AbsPath::root()).unwrap().kind, Kind::Dir);
        });
    }

    #[test]
    fn what_came_into_being_after_the_call_was_not_there() {
        Sandbox::run(|sandbox| {
            let root = sandbox.root();
            let wanted = path("/a/late");
            let entry = root.open_dir(&AbsPath::root()).unwrap();
            let before = stat::facts(Entry::new(&entry, b"a")).unwrap_err();
            sandbox.dirs(&["a/late"]);
            assert_eq!(root.explain(&wanted, before), Miss::Absent(wanted));
        });
    }

    #[test]
    fn the_failing_component_is_named() {
        both(|sandbox, root| {
            sandbox.dirs(&["a/b"]);
            sandbox.file("a/file", "");
            let _ = symlink("b", sandbox.dir().join("a/link"));
            for (given, miss) in [
                ("/none", Miss::Absent(path("/none"))),
                ("/a/none/deeper/still", Miss::Absent(path("/a/none"))),
                ("/a/file", Miss::NotADirectory(path("/a/file"))),
                ("/a/file/x", Miss::NotADirectory(path("/a/file"))),
                ("/a/link", Miss::Symlink(path("/a/link"))),
                ("/a/link/x", Miss::Symlink(path("/a/link"))),
            ] {
                assert_eq!(root.open_dir(&path(given)).unwrap_err(), miss, "{given}");
            }
            assert_eq!(root.stat(&path("/a/none")).unwrap_err(), Miss::Absent(path("/a/none")));
            assert_eq!(root.stat(&path("/a/link")).unwrap().kind, Kind::Symlink);
            assert_eq!(
                root.open_file(&path("/a/link"), OFlags::RDONLY, 0).unwrap_err(),
                Miss::Symlink(path("/a/link"))
            );
            assert_eq!(if_there(root.stat(&path("/nope"))).unwrap(), None);
        });
    }

    #[test]
    fn no_link_leads_out() {
        both(|sandbox, root| {
            let _ = symlink("/etc", sandbox.dir().join("etc"));
            let _ = symlink("../..", sandbox.dir().join("up"));
            for given in ["/etc/passwd", "/up/etc/passwd"] {
                let error = root.open_file(&path(given), OFlags::RDONLY, 0).unwrap_err();
                assert!(matches!(error, Miss::Symlink(_)), "{error:?}");
            }
        });
    }

    #[test]
    fn no_privilege_is_told_from_absence() {
        both(|sandbox, root| {
            sandbox.dirs(&["secret/inner"]);
            rustix::fs::chmod(sandbox.dir().join("secret"), Mode::RWXU).unwrap();
            // This thread alone becomes nobody (setresuid of one thread; it ends with this closure).
            rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
            let miss = root.open_dir(&path("/secret/inner")).unwrap_err();
            assert!(matches!(&miss, Miss::Denied(at, _) if *at == path("/secret")), "{miss:?}");
            let error = Error::from(miss);
            assert_eq!((error.kind(), error.errno()), (ErrorKind::Privilege, Some(libc::EACCES)));
            assert!(error.chain().contains("EACCES"), "{}", error.chain());
        });
    }

    #[test]
    fn mounts_are_seen() {
        both(|sandbox, root| {
            sandbox.dirs(&["plain/dir", "mounted"]);
            let mounted = sandbox.dir().join("mounted");
            rustix::mount::mount_bind(sandbox.dir().join("plain"), &mounted).unwrap();
            let (plain, on) = (root.stat(&path("/plain")).unwrap(), root.stat(&path("/mounted")).unwrap());
            assert!(!plain.mount_root && on.mount_root);
            assert_eq!((plain.dev, plain.ino), (on.dev, on.ino));
            assert!(plain.mnt_id.is_some() && on.mnt_id.is_some() && plain.mnt_id != on.mnt_id);
            assert_eq!(root.stat(&path("/mounted/dir")).unwrap().mnt_id, on.mnt_id);
            assert!(!root.stat(&path("/mounted/dir")).unwrap().mount_root);
            assert!(root.stat(&AbsPath::root()).unwrap().mount_root, "the tmpfs itself");
            root.forget_within(&path("/mounted"));
            rustix::mount::unmount(&mounted, rustix::mount::UnmountFlags::empty()).unwrap();
        });
    }

    #[test]
    fn kept_directories_are_stale_until_forgotten() {
        Sandbox::run(|sandbox| {
            sandbox.dirs(&["other/below", "point/below"]);
            sandbox.file("other/below/new", "");
            sandbox.dirs(&["point-not/x"]);
            let root = sandbox.root();
            assert!(root.stat(&path("/point/below/new")).unwrap_err().is_absent());
            root.stat(&path("/point-not/x")).unwrap();
            rustix::mount::mount_bind(sandbox.dir().join("other"), sandbox.dir().join("point")).unwrap();
            assert!(root.stat(&path("/point/below/new")).unwrap_err().is_absent(), "documented: still below the mount");
            root.forget_within(&path("/point"));
            root.stat(&path("/point/below/new")).unwrap();
            assert_eq!(root.cache().dirs.len(), 2, "/point-not was kept");
            // And it keeps the mount busy until forgotten.
            let unmount = || rustix::mount::unmount(sandbox.dir().join("point"), rustix::mount::UnmountFlags::empty());
            assert_eq!(unmount().unwrap_err(), Errno::BUSY);
            root.forget();
            unmount().unwrap();
        });
    }

    #[test]
    fn the_cache_is_bounded_and_drops_the_oldest() {
        Sandbox::run(|sandbox| {
            let root = sandbox.root();
            for n in 0..KEPT + 50 {
                let dir = format!("d{n}/x");
                sandbox.dirs(&[&dir]);
                root.stat(&AbsPath::root().child(&dir)).unwrap();
                root.stat(&path("/d0/x")).unwrap();
            }
            let cache = root.cache();
            assert_eq!(cache.dirs.len(), KEPT);
            assert!(cache.dirs.contains_key(&path("/d0")), "used all the time");
            assert!(!cache.dirs.contains_key(&path("/d1")), "not used since");
        });
    }

    #[test]
    fn empty_directories() {
        both(|sandbox, root| {
            sandbox.dirs(&["empty", "full/.hidden"]);
            assert!(root.is_empty_dir(&path("/empty")).unwrap());
            assert!(!root.is_empty_dir(&path("/full")).unwrap());
            assert!(!root.is_empty_dir(&AbsPath::root()).unwrap());
            assert!(root.is_empty_dir(&path("/none")).unwrap_err().is_absent());
            sandbox.file("file", "");
            assert_eq!(root.is_empty_dir(&path("/file")).unwrap_err(), Miss::NotADirectory(path("/file")));
        });
    }

    #[test]
    fn one_system_call_for_a_look() {
        Sandbox::run(|sandbox| {
            let dir = sandbox.dir().join("x");
            std::fs::create_dir(&dir).unwrap();
            let root = sandbox.root();
            // Without openat2, openat and the older calls there is nothing but statx to answer with.
            let missing = [libc::SYS_openat2, libc::SYS_openat, libc::SYS_newfstatat, libc::SYS_name_to_handle_at];
            without(&missing, || assert_eq!(root.stat(&path("/x")).unwrap().kind, Kind::Dir));
        });
    }

    #[test]
    fn the_root_knows_its_own_path() {
        let machine = Root::open("/".as_ref()).unwrap();
        assert!(machine.is_machine() && machine.stat(&AbsPath::root()).unwrap().kind == Kind::Dir);
        assert_eq!(machine.outside(&path("/a")).unwrap(), path("/a"));
        Sandbox::run(|sandbox| {
            sandbox.dirs(&["image"]);
            symlink("image", sandbox.dir().join("link")).unwrap();
            let root = Root::open(&sandbox.dir().join("link")).unwrap();
            let expected = format!("{}/image", std::fs::canonicalize(sandbox.dir()).unwrap().display());
            assert_eq!(root.path().to_str().unwrap(), expected);
            let outside = root.outside(&path("/home")).unwrap();
            assert_eq!(outside.to_str().unwrap(), format!("{expected}/home"));
            assert_eq!(root.inside(&outside), Some(path("/home")));
            assert_eq!(root.inside(&path("/elsewhere")), None);
            let error = Root::open(&sandbox.dir().join("none")).unwrap_err();
            assert_eq!(error.errno(), Some(libc::ENOENT));
            assert!(error.message().contains("cannot open the root"), "{error}");
        });
    }

    #[test]
    fn the_immutable_flag_is_seen() {
        Sandbox::run(|sandbox| {
            sandbox.ext4("disk");
            sandbox.dirs(&["disk/a", "disk/b"]);
            succeeds(std::process::Command::new("chattr").arg("+i").arg(sandbox.dir().join("disk/a")));
            let root = sandbox.root();
            assert_eq!(root.stat(&path("/disk/a")).unwrap().immutable, Some(true));
            assert_eq!(root.stat(&path("/disk/b")).unwrap().immutable, Some(false));
        });
    }
}
