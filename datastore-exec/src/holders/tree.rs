//! Who uses a directory tree, whether something is mounted on it or not, and who could still change it.
//!
//! A file belongs to the tree by its file system and its path in that file system, both told by the mount through which it is
//! open and that mount's line in the mount table. So a use counts through whatever bind, from whatever mount namespace and root
//! directory, and a file that was renamed out of the tree after it was opened does not.
//!
//! This very process is left out: whoever copies a tree has it open.
//!
//! Not found, because no process shows it: loop devices and swap files in the tree, files on their way through a socket or held by
//! io_uring, threads with open files of their own, writers through a hard link that lies outside of the tree, and a shared mapping
//! that is read-only now and could be made writable. [`seal_writes`](crate::sys::mount::seal_writes) finds all of these but the
//! hard link, where the tree has a mount of its own and they came through it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datastore_core::path::printable;
use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use super::{Holder, Holders, Row, Use, effective_user, id_behind, namespace, rows, unescape};
use crate::root::Root;
use crate::sys::error::{Call, SysError};
use crate::sys::ids::Ids;
use crate::sys::maps::{self, Mapping};
use crate::sys::{fd, proc, thread};

/// What the kernel writes behind the path of a file that has no name any more.
const DELETED: &[u8] = b" (deleted)";

/// In place of a path that the kernel does not show.
const TOO_LONG: &str = "(a path that is too long)";

/// So often it is looked once more where somebody is in the tree as far as can be told only.
const SECOND_LOOKS: usize = 2;
/// Before each of them.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Who uses a directory tree; [`Holder::writes`] tells who could change it. A process that ends meanwhile is passed over.
/// Whether something is mounted within the tree is not asked.
///
/// Whoever uses the file system in a way that cannot be understood counts, because it could be the tree. Nearly always that is a process
/// which was just on its way from one mount namespace or root directory to another; so it is looked again a moment later.
///
/// # Errors
/// If the directory cannot be looked at, or the mount that it is on is not in the mount table.
pub fn users(ids: &Ids, root: &Root, tree: &AbsPath) -> Result<Holders, Error> {
    users_after(ids, root, tree, &mut || std::thread::sleep(BETWEEN_LOOKS))
}

/// The same with what is done before it is looked again.
fn users_after(ids: &Ids, root: &Root, tree: &AbsPath, wait: &mut dyn FnMut()) -> Result<Holders, Error> {
    for _ in 0..SECOND_LOOKS {
        let (found, doubted) = look(ids, root, tree)?;
        if !doubted {
            return Ok(found);
        }
        wait();
    }
    Ok(look(ids, root, tree)?.0)
}

/// One look, and whether somebody counts because of a doubt.
fn look(ids: &Ids, root: &Root, tree: &AbsPath) -> Result<(Holders, bool), Error> {
    let mnt_id = root.stat(tree).map_err(Error::from)?.mnt_id;
    let outside = root.outside(tree)?;
    let table = proc::mountinfo()?;
    let row = rows(&table).find(|row| Some(row.id) == mnt_id);
    let inside = row.and_then(|row| Some((row.dev.to_vec(), within(&row, b"", outside.as_bytes())?)));
    let Some((dev, path)) = inside else {
        return Err(Error::new(
            ErrorKind::System,
            format!("who uses `{outside}` cannot be found out: its mount is not in the mount table"),
        ));
    };
    let ours = namespace("thread-self").or_else(|| namespace("self"));
    let own = std::process::id();
    let pids: Vec<u32> = proc::pids()?.into_iter().filter(|&pid| pid != own).collect();
    let mounts = Mutex::new(Mounts::default());
    lock(&mounts).read("thread-self", ours.as_deref());
    // Every table is read before anybody is looked at: files go from one namespace to another.
    let processes = spread(&pids, |_: &mut (), &pid| {
        let process = pid.to_string();
        let space = namespace(&process);
        let root = target(&format!("/proc/{process}/root"));
        if let (Some(space), Ok(root)) = (&space, root) {
            lock(&mounts).read_below(&process, space, &root);
        }
        (pid, space)
    });
    let look = Look { numbers: numbers(&dev), dev, path, mounts, doubted: AtomicBool::new(false) };
    let all = spread(&processes, |beside, (pid, space)| look.uses(*pid, space.as_deref(), beside));
    let mut found = Holders::default();
    for ((pid, _), uses) in processes.into_iter().zip(all) {
        match uses {
            Ok(uses) if uses.is_empty() => {}
            Ok(uses) => {
                let Some(comm) = proc::comm(pid) else { continue };
                let Some(uid) = effective_user(pid) else { continue };
                // It may have got another one since.
                let other_namespace = ours.is_some() && namespace(&pid.to_string()) != ours;
                let user = ids.user_name(uid);
                let uses = uses.into_iter().collect();
                found.processes.push(Holder { pid, comm, uid, user, uses, other_namespace });
            }
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(Errno::ACCESS | Errno::PERM) => found.unseen += 1,
            Err(errno) => {
                let call = Call::Open { path: format!("/proc/{pid}"), flags: OFlags::RDONLY };
                return Err(SysError::new(call, errno).into());
            }
        }
    }
    Ok((found, look.doubted.into_inner()))
}

/// So many threads look at processes at most: the kernel does nearly all of the work.
const THREADS: usize = 4;
/// So many processes a thread takes at once.
const PIECE: usize = 16;

/// Asks of every process, in several threads; each has a state of its own. The answers are in the order of the processes.
fn spread<T: Sync, S: Default, R: Send>(all: &[T], ask: impl Fn(&mut S, &T) -> R + Sync) -> Vec<R> {
    let (next, answers) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        let mut state = S::default();
        loop {
            let start = next.fetch_add(PIECE, Ordering::Relaxed);
            let Some(piece) = all.get(start..all.len().min(start + PIECE)) else { return };
            let some: Vec<R> = piece.iter().map(|one| ask(&mut state, one)).collect();
            lock(&answers).push((start, some));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            if thread::another(scope, work).is_none() {
                break;
            }
        }
        work();
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_by_key(|(start, _)| *start);
    answers.into_iter().flat_map(|(_, some)| some).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mount, as far as a path is translated by it.
struct Mount {
    dev: Vec<u8>,
    /// The directory of the file system that is mounted.
    root: Vec<u8>,
    /// Where, as links of `/proc` name it.
    point: Vec<u8>,
}

/// The mounts of all namespaces, by their ids, which are unique on the machine.
#[derive(Default)]
struct Mounts {
    by_id: HashMap<u64, Mount>,
    /// The pairs of namespace and root directory whose tables have been read: a table leaves out what lies beyond the root
    /// directory of its process.
    seen: HashSet<(Vec<u8>, Vec<u8>)>,
    /// Processes whose threads have been asked.
    asked: HashSet<String>,
}

impl Mounts {
    /// Reads the tables of the threads of the process that a link of `/proc` tells of: they may be in namespaces of their own, and something
    /// may have been mounted since the tables were read. Each process is asked once, and only those that have something open in a mount
    /// which no table had.
    fn read_threads(&mut self, link: &str) {
        let Some(pid) = link.split('/').nth(2).map(str::to_owned) else { return };
        if !self.asked.insert(pid.clone()) {
            return;
        }
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return };
        for task in tasks.filter_map(Result::ok) {
            let thread = format!("{pid}/task/{}", task.file_name().to_string_lossy());
            let (Some(space), Ok(root)) = (namespace(&thread), target(&format!("/proc/{thread}/root"))) else {
                continue;
            };
            self.seen.remove(&(space.clone(), root.clone()));
            self.read_below(&thread, &space, &root);
        }
    }

    fn read(&mut self, process: &str, space: Option<&[u8]>) {
        let Some(space) = space else { return };
        let own = process == "thread-self";
        // Our own table and our own links begin at the same directory.
        let root = if own { Ok(b"/".to_vec()) } else { target(&format!("/proc/{process}/root")) };
        if let Ok(root) = root {
            self.read_below(process, space, &root);
        }
    }

    /// The same where the root directory of the process is known.
    fn read_below(&mut self, process: &str, space: &[u8], prefix: &[u8]) {
        if !self.seen.insert((space.to_vec(), prefix.to_vec())) {
            return;
        }
        let table = if process == "thread-self" {
            proc::mountinfo()
        } else {
            proc::read(&format!("/proc/{process}/mountinfo"))
        };
        let Ok(table) = table else { return };
        let prefix = without_slash(prefix);
        for row in rows(&table) {
            let point = [prefix, &unescape(row.point)].concat();
            let mount = Mount { dev: row.dev.to_vec(), root: unescape(row.root), point };
            self.by_id.entry(row.id).or_insert(mount);
        }
    }
}

/// The path in the file system of what a row's mount shows at a path.
fn within(row: &Row<'_>, prefix: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let point = [prefix, &unescape(row.point)].concat();
    translated(&unescape(row.root), &point, path)
}

/// `path` with `point` at its beginning replaced by `root`; `None` if it does not begin so.
fn translated(root: &[u8], point: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let rest = beyond(point, path)?;
    Some([without_slash(root), rest].concat())
}

/// What follows `dir` in `path`: nothing, or a slash and the rest. `None` if it is not within.
fn beyond<'a>(dir: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let rest = without_slash(path).strip_prefix(without_slash(dir))?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// `/` as nothing, so that what follows can begin with a slash.
fn without_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

/// The tree, and how to tell what is in it.
struct Look {
    /// The file system, as mount tables write it, and in numbers.
    dev: Vec<u8>,
    numbers: Option<(u32, u32)>,
    /// The directory's path in it.
    path: Vec<u8>,
    mounts: Mutex<Mounts>,
    /// Somebody counts because what it uses could not be understood.
    doubted: AtomicBool,
}

/// Whether something can be in the tree.
enum May {
    /// It lies on another file system.
    Not,
    /// Perhaps; this is the id of its mount, where the kernel tells.
    Through(Option<u64>),
}

/// Mapped files that are not in the tree, each with the mount namespace in which it was seen.
type Beside = HashSet<(Vec<u8>, Mapping)>;

impl Look {
    /// Whether what a link of `/proc` leads to can be in the tree at all: one call sorts out what lies on other file systems, which is
    /// nearly everything as a rule. When in doubt it can.
    fn may_have(&self, dir: impl AsFd, link: &str) -> Result<May, Errno> {
        let flags = AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
        match rustix::fs::statx(dir, link, flags, StatxFlags::MNT_ID) {
            // A mount that is in no table tells nothing; `has` looks further.
            Ok(s) if StatxFlags::from_bits_retain(s.stx_mask).contains(StatxFlags::MNT_ID) => {
                let known = lock(&self.mounts).by_id.get(&s.stx_mnt_id).map(|mount| mount.dev == self.dev);
                let may = known.unwrap_or_else(|| self.numbers == Some((s.stx_dev_major, s.stx_dev_minor)));
                Ok(if may { May::Through(Some(s.stx_mnt_id)) } else { May::Not })
            }
            // Before Linux 5.8.
            Ok(_) | Err(Errno::NOSYS) => Ok(May::Through(None)),
            Err(errno) => Err(errno),
        }
    }

    /// Whether what a link of `/proc` leads to, through this mount, is in the tree. When in doubt it is: a file of the same
    /// file system that has a path which cannot be understood.
    fn has(&self, mnt_id: u64, link: &str, target: &[u8]) -> bool {
        let mut mounts = lock(&self.mounts);
        if !mounts.by_id.contains_key(&mnt_id) {
            mounts.read_threads(link);
        }
        let Some(mount) = mounts.by_id.get(&mnt_id) else {
            // A mount that was detached (umount -l) or never attached is in no table, nor is one that came after the tables were read.
            // Its files still tell their device.
            return self.doubt(self.same_device(link));
        };
        if mount.dev != self.dev {
            return false;
        }
        // Whether the mark is one, or a name that ends so, makes a difference for the tree's own directory alone.
        let bare = target.strip_suffix(DELETED).unwrap_or(target);
        let paths = [target, bare].map(|path| translated(&mount.root, &mount.point, path));
        if paths.iter().flatten().any(|path| beyond(&self.path, path).is_some()) {
            return true;
        }
        self.doubt(paths.iter().any(Option::is_none))
    }

    /// Keeps in mind that it was a doubt, if it was one.
    fn doubt(&self, doubted: bool) -> bool {
        self.doubted.fetch_or(doubted, Ordering::Relaxed);
        doubted
    }

    fn same_device(&self, link: &str) -> bool {
        rustix::fs::statx(CWD, link, AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE)
            .is_ok_and(|s| self.numbers == Some((s.stx_dev_major, s.stx_dev_minor)))
    }

    fn uses(&self, pid: u32, space: Option<&[u8]>, beside: &mut Beside) -> Result<BTreeSet<Use>, Errno> {
        let process = pid.to_string();
        let mapped = self.numbers.map(|device| maps::of_device(&process, device));
        if let Some(Ok(None)) = mapped {
            return self.threads(&process, space, beside);
        }
        let mut found = BTreeSet::new();
        self.places(&process, &mut found)?;
        self.files(&process, &mut found)?;
        if let Some(Ok(Some(mapped))) = mapped {
            self.mapped(&process, space, mapped, beside, &mut found);
        }
        Ok(found)
    }

    /// What the threads use of a process whose first one has ended, or which has none: it belongs to the kernel.
    fn threads(&self, process: &str, space: Option<&[u8]>, beside: &mut Beside) -> Result<BTreeSet<Use>, Errno> {
        let mut found = BTreeSet::new();
        let (_, tasks) = listing(&format!("/proc/{process}/task"))?;
        for task in tasks.iter().filter(|task| *task != process) {
            let thread = format!("{process}/task/{task}");
            self.places(&thread, &mut found)?;
            self.files(&thread, &mut found)?;
            if let Some(Ok(Some(mapped))) = self.numbers.map(|device| maps::of_device(&thread, device)) {
                self.mapped(&thread, space, mapped, beside, &mut found);
            }
        }
        Ok(found)
    }

    /// The working directory and the root directory.
    fn places(&self, process: &str, found: &mut BTreeSet<Use>) -> Result<(), Errno> {
        for (name, what) in [("cwd", Use::WorkingDirectory as fn(String) -> Use), ("root", Use::RootDirectory)] {
            let link = format!("/proc/{process}/{name}");
            let looked = match self.may_have(CWD, &link) {
                Ok(May::Not) => continue,
                Ok(May::Through(id)) => target(&link).map(|path| (path, id)),
                Err(errno) => Err(errno),
            };
            let (path, id) = match looked {
                Ok(found) => found,
                // A process that has ended but was not waited for has neither.
                Err(Errno::NOENT | Errno::SRCH) => continue,
                Err(errno) => return Err(errno),
            };
            if id.or_else(|| id_behind(&link).ok()).is_some_and(|id| self.has(id, &link, &path)) {
                found.insert(what(printable(&path)));
            }
        }
        Ok(())
    }

    fn files(&self, process: &str, found: &mut BTreeSet<Use>) -> Result<(), Errno> {
        let (dir, numbers) = listing(&format!("/proc/{process}/fd"))?;
        for number in numbers {
            if matches!(self.may_have(&dir, &number), Ok(May::Not)) {
                continue;
            }
            let link = format!("/proc/{process}/fd/{number}");
            let path = match target(&link) {
                // Sockets, pipes and the like.
                Ok(path) if !path.starts_with(b"/") => continue,
                Ok(path) => path,
                // Longer than any path may be: decided by the mount alone.
                Err(Errno::NAMETOOLONG) => Vec::new(),
                // Closed meanwhile.
                Err(_) => continue,
            };
            let Ok(info) = std::fs::read(format!("/proc/{process}/fdinfo/{number}")) else { continue };
            // Before Linux 3.15 there is no such line.
            let id = proc::mnt_id_of_fdinfo(&info).or_else(|| id_behind(&link).ok());
            if id.is_some_and(|id| self.has(id, &link, &path)) {
                let shown = if path.is_empty() { TOO_LONG.to_owned() } else { printable(&path) };
                found.insert(if open_for_writing(&info) { Use::Writing(shown) } else { Use::File(shown) });
            }
        }
        Ok(())
    }

    fn mapped(
        &self,
        process: &str,
        space: Option<&[u8]>,
        mapped: Vec<Mapping>,
        beside: &mut Beside,
        found: &mut BTreeSet<Use>,
    ) {
        for map in mapped {
            // What only reads is often the same in a thousand processes; what writes is always looked at. Paths mean the same in one
            // namespace.
            let known = (space.unwrap_or_default().to_vec(), Mapping { range: String::new(), ..map.clone() });
            if !map.writable && beside.contains(&known) {
                continue;
            }
            let link = format!("/proc/{process}/map_files/{}", map.range);
            let inside = match id_behind(&link) {
                Ok(id) => self.has(id, &link, &map.path),
                // Only root of the machine may look through these links, and threads have none; any mount of the file system may
                // be the one.
                Err(Errno::PERM | Errno::ACCESS) => self.any_mount_has(&map.path),
                Err(_) if process.contains('/') => self.any_mount_has(&map.path),
                // Unmapped meanwhile.
                Err(_) => false,
            };
            if inside {
                let shown = if map.path.is_empty() { TOO_LONG.to_owned() } else { printable(&map.path) };
                found.insert(if map.writable { Use::MappedWritable(shown) } else { Use::Mapped(shown) });
            } else {
                beside.insert(known);
            }
        }
    }

    fn any_mount_has(&self, path: &[u8]) -> bool {
        let path = path.strip_suffix(DELETED).unwrap_or(path);
        let mounts = lock(&self.mounts);
        let of_it = mounts.by_id.values().filter(|mount| mount.dev == self.dev);
        of_it
            .filter_map(|mount| translated(&mount.root, &mount.point, path))
            .any(|path| beyond(&self.path, &path).is_some())
    }
}

/// The numbers of a file system, as mount tables write them.
fn numbers(dev: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = std::str::from_utf8(dev).ok()?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A directory below `/proc`, with the names in it.
fn listing(path: &str) -> Result<(OwnedFd, Vec<String>), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty())?;
    let mut names = Vec::new();
    let listed = fd::each_name(&dir, |name| {
        names.push(String::from_utf8_lossy(name).into_owned());
        true
    });
    listed.map_err(|error| error.errno())?;
    Ok((dir, names))
}

fn target(link: &str) -> Result<Vec<u8>, Errno> {
    rustix::fs::readlink(link, Vec::new()).map(std::ffi::CString::into_bytes)
}

/// Reads `flags:` of `/proc/PID/fdinfo` (proc(5)), an octal number. `O_PATH` comes without an access mode.
pub(crate) fn open_for_writing(info: &[u8]) -> bool {
    let flags = info.split(|&b| b == b'\n').find_map(|line| {
        let digits = std::str::from_utf8(line.strip_prefix(b"flags:")?).ok()?;
        u32::from_str_radix(digits.trim(), 8).ok()
    });
    // What cannot be understood counts as the worse.
    flags.is_none_or(|flags| flags & OFlags::RWMODE.bits() != 0)
}

#[cfg(test)]
mod tests;
