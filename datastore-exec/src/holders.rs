//! Who keeps a mount busy.
//!
//! A mount is known by its id, which every bind has for itself; so only those who use *this* bind are named, not every
//! user of the file system (as `fuser -m` does). Ids are unique on the whole machine, across mount namespaces.
//!
//! A copy of the mount in another namespace (a service with `PrivateTmp=` has one) keeps the store in use and may make
//! an unmount fail: copies are recognised by device, root and mount point, and their users are named too.
//!
//! Not found, because the kernel tells nobody: loop devices, swap files and exported directories on the mount, and
//! namespaces without a process. If nobody is named and the mount is busy all the same, it is one of these.

pub mod tree;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use datastore_core::path::printable;
use datastore_core::{AbsPath, Error};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::sys::error::SysError;
use crate::sys::ids::Ids;
use crate::sys::{fd, proc};

/// How a process uses a mount. The text is a path as that process sees it, safe to print.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Its working directory.
    WorkingDirectory(String),
    /// Its root directory (chroot(2)).
    RootDirectory(String),
    /// An open file or directory.
    File(String),
    /// A file mapped into its memory, such as the program itself.
    Mapped(String),
    /// An open file that it may write to; only [`tree::users`] tells it from [`Use::File`].
    Writing(String),
    /// A file mapped into its memory so that what it writes there gets to the file; only [`tree::users`] tells it from
    /// [`Use::Mapped`].
    MappedWritable(String),
}

impl Use {
    /// Whether data can be changed by it.
    #[must_use]
    pub fn writes(&self) -> bool {
        matches!(self, Self::Writing(_) | Self::MappedWritable(_))
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkingDirectory(path) => write!(f, "working directory {path}"),
            Self::RootDirectory(path) => write!(f, "root directory {path}"),
            Self::File(path) => write!(f, "open {path}"),
            Self::Mapped(path) => write!(f, "mapped {path}"),
            Self::Writing(path) => write!(f, "open for writing {path}"),
            Self::MappedWritable(path) => write!(f, "mapped for writing {path}"),
        }
    }
}

/// A process that uses the mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Its short name, safe to print.
    pub comm: String,
    /// The effective user.
    pub uid: u32,
    /// That user's name, where there is one.
    pub user: Option<String>,
    /// What it uses, each once, sorted.
    pub uses: Vec<Use>,
    /// Whether it uses a copy of the mount in another mount namespace.
    pub other_namespace: bool,
}

impl Holder {
    /// Whether it can change data; only [`tree::users`] finds that out.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.uses.iter().any(Use::writes)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {}, user ", self.comm, self.pid)?;
        match &self.user {
            Some(user) => f.write_str(user)?,
            None => write!(f, "{}", self.uid)?,
        }
        f.write_str(")")?;
        // What changes data is the worse.
        if let Some(first) = self.uses.iter().find(|u| u.writes()).or(self.uses.first()) {
            write!(f, ": {first}")?;
        }
        match self.uses.len() {
            0 | 1 => Ok(()),
            n => write!(f, " and {} more", n - 1),
        }
    }
}

/// Everything that keeps a mount busy, as far as it can be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders {
    /// The processes, by number. This very process is among them if it has something open there.
    pub processes: Vec<Holder>,
    /// The mount points of what is mounted on the mount, seen from the root directory of the process.
    pub mounts: Vec<AbsPath>,
    /// How many processes could not be looked at for lack of privilege.
    pub unseen: usize,
}

impl Holders {
    /// Whether nothing was found and nothing was hidden.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.processes.is_empty() && self.mounts.is_empty() && self.unseen == 0
    }
}

/// Who uses the mount with this id ([`Facts::mnt_id`](crate::sys::Facts)). A process that ends meanwhile is passed
/// over.
///
/// Reads the descriptors of every process on the machine: some milliseconds for a few hundred.
pub fn holders(ids: &Ids, mnt_id: u64) -> Result<Holders, Error> {
    let table = proc::mountinfo()?;
    let ours: Vec<Row<'_>> = rows(&table).collect();
    let wanted = ours.iter().find(|row| row.id == mnt_id).copied();
    let mut found = Holders {
        mounts: ours.iter().filter(|r| r.parent == mnt_id && r.id != mnt_id).filter_map(Row::mount_point).collect(),
        ..Holders::default()
    };
    let mut mounts = Mounts { wanted: mnt_id, copies: HashSet::new(), prefix: None, seen: HashSet::new() };
    if let Some(row) = wanted {
        mounts.prefix = row.mount_point();
        mounts.seen.extend(namespace("thread-self").or_else(|| namespace("self")));
    }
    let pids = proc::pids()?;
    if let Some(row) = wanted {
        for &pid in &pids {
            mounts.look_in(pid, &row);
        }
    }
    for pid in pids {
        match uses(pid, &mounts) {
            Ok((uses, other_namespace)) if !uses.is_empty() => {
                let Some(comm) = proc::comm(pid) else { continue };
                let Some(uid) = effective_user(pid) else { continue };
                let user = ids.user_name(uid);
                let uses = uses.into_iter().collect();
                found.processes.push(Holder { pid, comm, uid, user, uses, other_namespace });
            }
            Ok(_) => {}
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(Errno::ACCESS | Errno::PERM) => found.unseen += 1,
            Err(errno) => {
                let flags = OFlags::RDONLY;
                let path = format!("/proc/{pid}");
                return Err(SysError::new(crate::sys::Call::Open { path, flags }, errno).into());
            }
        }
    }
    Ok(found)
}

/// The ids that stand for the mount.
struct Mounts {
    wanted: u64,
    copies: HashSet<u64>,
    /// Its mount point, where it is known.
    prefix: Option<AbsPath>,
    /// The mount namespaces whose tables have been read.
    seen: HashSet<Vec<u8>>,
}

impl Mounts {
    /// Finds the copies of a mount in the mount namespace of a process, if it was not looked at before.
    fn look_in(&mut self, pid: u32, wanted: &Row<'_>) {
        let Some(space) = namespace(&pid.to_string()) else { return };
        if !self.seen.insert(space) {
            return;
        }
        let Ok(table) = proc::read(&format!("/proc/{pid}/mountinfo")) else { return };
        let same = |row: &Row<'_>| (row.dev, row.root, row.point) == (wanted.dev, wanted.root, wanted.point);
        self.copies.extend(rows(&table).filter(same).map(|row| row.id));
    }

    /// Whether an id stands for the mount; `Some(true)` if it is a copy.
    fn is(&self, id: u64) -> Option<bool> {
        if id == self.wanted { Some(false) } else { self.copies.contains(&id).then_some(true) }
    }
}

/// One line of mountinfo (proc(5)), as far as it matters here. The texts are as the kernel escapes them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    id: u64,
    parent: u64,
    dev: &'a [u8],
    root: &'a [u8],
    point: &'a [u8],
}

impl Row<'_> {
    pub(crate) fn mount_point(&self) -> Option<AbsPath> {
        AbsPath::from_kernel(&unescape(self.point)).ok()
    }
}

pub(crate) fn rows(table: &[u8]) -> impl Iterator<Item = Row<'_>> {
    table.split(|&b| b == b'\n').filter_map(|line| {
        let mut words = line.split(|&b| b == b' ');
        let mut number = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
        let (id, parent) = (number()?, number()?);
        Some(Row { id, parent, dev: words.next()?, root: words.next()?, point: words.next()? })
    })
}

/// Turns the kernel's `\040` and the like into bytes.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..3).filter(|d| first == b'\\' && d.iter().all(|b| (b'0'..=b'7').contains(b)));
        if let Some(digits) = code {
            out.push(digits.iter().fold(0_u8, |n, d| n.wrapping_mul(8).wrapping_add(d - b'0')));
            rest = &after[3..];
        } else {
            out.push(first);
            rest = after;
        }
    }
    out
}

/// The mount namespace of a process, as `mnt:[4026531841]`.
fn namespace(process: &str) -> Option<Vec<u8>> {
    rustix::fs::readlink(format!("/proc/{process}/ns/mnt"), Vec::new()).ok().map(std::ffi::CString::into_bytes)
}

/// The numbers of a process's descriptors, from one of the two directories in which they are listed (proc(5)).
fn descriptors(pid: u32, listed: &str) -> Result<Vec<String>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(format!("/proc/{pid}/{listed}"), flags, Mode::empty())?;
    let mut numbers = Vec::new();
    fd::each_name(dir, |name| {
        numbers.push(String::from_utf8_lossy(name).into_owned());
        true
    })
    .map_err(|error| error.errno())?;
    Ok(numbers)
}

/// What a process uses of the mount, and whether all of that is in a copy.
fn uses(pid: u32, mounts: &Mounts) -> Result<(BTreeSet<Use>, bool), Errno> {
    let mut found = BTreeSet::new();
    let mut copy = true;
    let mut add = |is_copy: Option<bool>, what: &dyn Fn() -> Use| {
        if let Some(is_copy) = is_copy {
            copy &= is_copy;
            found.insert(what());
        }
    };
    for (name, what) in [("cwd", Use::WorkingDirectory as fn(String) -> Use), ("root", Use::RootDirectory)] {
        let path = format!("/proc/{pid}/{name}");
        match id_behind(&path) {
            Ok(id) => add(mounts.is(id), &|| what(shown(&path))),
            // A process that has ended but was not waited for has neither.
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(errno) => return Err(errno),
        }
    }
    for number in descriptors(pid, "fdinfo")? {
        // One that is closed meanwhile is passed over.
        let Ok(text) = std::fs::read(format!("/proc/{pid}/fdinfo/{number}")) else { continue };
        let path = format!("/proc/{pid}/fd/{number}");
        // Before Linux 3.15 there is no such line.
        if let Some(id) = proc::mnt_id_of_fdinfo(&text).or_else(|| id_behind(&path).ok()) {
            add(mounts.is(id), &|| Use::File(shown(&path)));
        }
    }
    for (range, path) in mapped(pid) {
        let link = format!("/proc/{pid}/map_files/{range}");
        match id_behind(&link) {
            Ok(id) => add(mounts.is(id), &|| Use::Mapped(shown(&link))),
            // Only root of the machine may look through these links. The path says nearly as much.
            Err(Errno::PERM | Errno::ACCESS) => {
                let path = AbsPath::from_kernel(&path).ok();
                if let (Some(path), Some(prefix)) = (path, &mounts.prefix)
                    && path.is_below(prefix)
                {
                    add(Some(false), &|| Use::Mapped(path.to_string()));
                }
            }
            Err(_) => {}
        }
    }
    Ok((found, copy))
}

/// The files in the memory of a process, each once: the range as `map_files` spells it, and the path.
fn mapped(pid: u32) -> Vec<(String, Vec<u8>)> {
    proc::read(&format!("/proc/{pid}/maps")).map_or_else(|_| Vec::new(), |text| parse_maps(&text))
}

/// Reads `/proc/PID/maps` (proc(5)): `START-END PERMS OFFSET DEV INODE      PATH`.
pub(crate) fn parse_maps(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = BTreeMap::new();
    for line in text.split(|&b| b == b'\n') {
        let mut words = line.splitn(6, |&b| b == b' ');
        let (Some(range), Some(dev), Some(inode)) = (words.next(), words.nth(2), words.next()) else { continue };
        let path = words.next().unwrap_or_default().trim_ascii_start();
        if inode == b"0" || !path.starts_with(b"/") {
            continue;
        }
        // `maps` fills short addresses with zeros, `map_files` does not.
        let range = String::from_utf8_lossy(range);
        let plain = |address: &str| address.trim_start_matches('0').to_owned();
        let Some((start, end)) = range.split_once('-') else { continue };
        files.entry((dev, inode, path)).or_insert_with(|| format!("{}-{}", plain(start), plain(end)));
    }
    files.into_iter().map(|((_, _, path), range)| (range, path.to_vec())).collect()
}

/// The id of the mount that the file behind a link of `/proc` is on. The file system itself is not asked, so one that
/// hangs (NFS) does not make this hang.
fn id_behind(link: &str) -> Result<u64, Errno> {
    let flags = AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    match rustix::fs::statx(CWD, link, flags, StatxFlags::MNT_ID) {
        Ok(s) if StatxFlags::from_bits_retain(s.stx_mask).contains(StatxFlags::MNT_ID) => return Ok(s.stx_mnt_id),
        Ok(_) | Err(Errno::NOSYS) => {}
        Err(errno) => return Err(errno),
    }
    // Before Linux 5.8.
    let file = rustix::fs::open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let info = format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let text = std::fs::read(info).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    proc::mnt_id_of_fdinfo(&text).ok_or(Errno::OPNOTSUPP)
}

fn shown(link: &str) -> String {
    rustix::fs::readlink(link, Vec::new()).map_or_else(|_| "(gone)".into(), |path| printable(path.as_bytes()))
}

/// The effective user in `/proc/PID/status`: `Uid: real effective saved fs`.
fn effective_user(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::Root;
    use crate::testing::{Sandbox, without};

    /// A program that is ended, and waited for, when the test is over.
    struct Running(Child);

    impl Running {
        fn start(command: &mut Command) -> Self {
            Self(command.stdout(Stdio::null()).spawn().unwrap())
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn path(text: &'static str) -> AbsPath {
        AbsPath::literal(text)
    }

    fn ask(root: &Root, at: &'static str) -> Holders {
        let id = root.stat(&path(at)).unwrap().mnt_id.unwrap();
        root.forget();
        holders(&Ids::new(root).unwrap(), id).unwrap()
    }

    /// What a program that has just been started uses, once it has come so far.
    fn uses_of(root: &Root, running: &Running, enough: impl Fn(&Holder) -> bool) -> Holder {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let all = ask(root, "/bind");
            match all.processes.into_iter().find(|h| h.pid == running.0.id() && enough(h)) {
                Some(holder) => return holder,
                None => assert!(Instant::now() < until, "process {} was not found", running.0.id()),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn bound(sandbox: &Sandbox, source: &Path) -> std::path::PathBuf {
        sandbox.dirs(&["bind"]);
        let bind = sandbox.dir().join("bind");
        rustix::mount::mount_bind(source, &bind).unwrap();
        bind
    }

    #[test]
    fn every_kind_of_use_is_found_and_only_through_this_bind() {
        Sandbox::run(|sandbox| {
            let file = sandbox.file("store/data", "x");
            let bind = bound(sandbox, &sandbox.dir().join("store"));
            let root = sandbox.root();
            // Not `is_nobody`: even root may be kept from looking at a process that has rights it lacks (in a
            // container).
            assert_eq!(ask(&root, "/bind").processes, []);
            // The same file by its store path is another mount: not a holder of the bind.
            let store = Running::start(Command::new("sh").args(["-c", "exec sleep 60 <\"$0\""]).arg(&file));
            let shown = |name: &str| format!("{}", bind.join(name).display());

            let cwd = Running::start(Command::new("sleep").arg("60").current_dir(&bind));
            let holder = uses_of(&root, &cwd, |h| h.comm == "sleep");
            assert_eq!(holder.uses, [Use::WorkingDirectory(bind.display().to_string())]);
            assert_eq!((holder.uid, holder.user.as_deref(), holder.other_namespace), (0, Some("root"), false));

            let open = Running::start(Command::new("sh").args(["-c", "exec sleep 60 <\"$0\""]).arg(bind.join("data")));
            let holder = uses_of(&root, &open, |h| h.comm == "sleep");
            assert_eq!(holder.uses, [Use::File(shown("data"))]);
            assert!(holder.to_string().contains(&shown("data")), "{holder}");

            std::fs::copy("/bin/sleep", bind.join("prog")).unwrap();
            let program = Running::start(Command::new(bind.join("prog")).arg("60"));
            let holder = uses_of(&root, &program, |h| h.comm == "prog");
            assert_eq!(holder.uses, [Use::Mapped(shown("prog"))]);

            assert!(ask(&root, "/bind").processes.iter().all(|h| h.pid != store.0.id()));
            let old = without(&[libc::SYS_statx], || ask(&root, "/bind"));
            assert_eq!(old.processes.len(), 3, "{old:?}");
            let own = std::fs::File::open(bind.join("data")).unwrap();
            assert!(ask(&root, "/bind").processes.iter().any(|h| h.pid == std::process::id()));
            drop((own, cwd, open, program));
            // Not `is_nobody`: even root may be kept from looking at a process that has rights it lacks (in a
            // container).
            assert_eq!(ask(&root, "/bind").processes, []);
        });
    }

    #[test]
    fn a_changed_root_directory_is_found() {
        Sandbox::run(|sandbox| {
            let bind = bound(sandbox, Path::new("/"));
            let running = Running::start(Command::new("chroot").arg(&bind).args(["sleep", "60"]));
            let holder = uses_of(&sandbox.root(), &running, |h| h.comm == "sleep");
            assert!(holder.uses.iter().any(|u| matches!(u, Use::RootDirectory(_))), "{holder:?}");
        });
    }

    #[test]
    fn a_copy_in_another_namespace_is_found() {
        Sandbox::run(|sandbox| {
            sandbox.dirs(&["store"]);
            let bind = bound(sandbox, &sandbox.dir().join("store"));
            let running = Running::start(
                Command::new("unshare").args(["-m", "sh", "-c", "cd \"$0\" && exec sleep 60"]).arg(&bind),
            );
            let holder = uses_of(&sandbox.root(), &running, |h| h.comm == "sleep");
            assert!(holder.other_namespace, "{holder:?}");
        });
    }

    #[test]
    fn what_is_mounted_on_it_is_found() {
        Sandbox::run(|sandbox| {
            sandbox.dirs(&["store/in side"]);
            let bind = bound(sandbox, &sandbox.dir().join("store"));
            rustix::mount::mount_bind(sandbox.dir(), bind.join("in side")).unwrap();
            let found = ask(&sandbox.root(), "/bind");
            assert_eq!(found.mounts, [sandbox.root().outside(&path("/bind/in side")).unwrap()]);
        });
    }

    #[test]
    fn without_privilege_it_says_how_much_was_not_seen() {
        Sandbox::run(|sandbox| {
            sandbox.dirs(&["store"]);
            let bind = bound(sandbox, &sandbox.dir().join("store"));
            let root = sandbox.root();
            let running = Running::start(Command::new("sleep").arg("60").current_dir(&bind));
            uses_of(&root, &running, |_| true);
            without(&[], || {
                rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
                let found = ask(&root, "/bind");
                assert!(found.unseen > 0 && !found.is_nobody(), "{found:?}");
            });
        });
    }

    #[test]
    fn texts_of_the_kernel() {
        assert_eq!(unescape(b"/a\\040b\\134c\\x"), b"/a b\\c\\x");
        let maps = b"00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/a b\n\
            00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/a b\n\
            7f-80 rw-p 00000000 00:00 0 \n7f-80 rw-p 00000000 00:00 0   [heap]\n";
        assert_eq!(parse_maps(maps), [("400000-452000".to_owned(), b"/usr/bin/a b".to_vec())]);
        let table = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw\nbad\n";
        let all: Vec<_> = rows(table).collect();
        assert_eq!((all.len(), all[0].id, all[0].parent, all[0].root), (1, 36, 35, b"/mnt1".as_slice()));
        assert_eq!(all[0].mount_point().unwrap(), path("/mnt 2"));
    }
}
