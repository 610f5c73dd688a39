//! Named locks between the runs of datastore: one run at a time on an app, a volume, fstab.
//!
//! A lock is flock(2) on `/run/datastore/lock/NAME.lock`, so the kernel frees it when its holder dies. The file holds a
//! line of JSON about the holder, for messages only: whether the lock is held is what the kernel says. The files are
//! readable by root alone, for whoever may open one could hold it. They are never deleted: a second run could otherwise
//! lock a new file of the same name while the first still holds the old one.
//!
//! Whoever takes several locks takes them in the order of their names, so that two runs never wait for each other.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::root::{Miss, Root};
use crate::sys::error::{Call, FdName, SysError};
use crate::sys::{fd, proc};

const DIR: &str = "/run/datastore/lock";
/// The shortest wait: a holder that lets a shared lock go looks for an instant like one that holds it alone.
const GRACE: Duration = Duration::from_millis(20);
/// The longest pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// The most that is read of a lock file or of `/proc/locks`.
const LIMIT: usize = 16 << 20;

/// How much a lock shuts out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Others may hold it too, all shared.
    Shared,
    /// Nobody else holds it.
    Exclusive,
}

/// A lock that is held until this is dropped or the process ends. Programs that it starts do not inherit it.
#[derive(Debug)]
#[must_use = "the lock is free again as soon as this is dropped"]
pub struct Lock {
    file: OwnedFd,
    share: Share,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The last holder leaves an empty file. flock(2) gives the shared lock up when it cannot be made exclusive,
        // which is what closing does next. What fails here leaves an old line, which nobody believes.
        let alone = self.share == Share::Exclusive
            || rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if alone {
            let _ = rustix::fs::ftruncate(&self.file, 0);
        }
    }
}

/// Who holds a lock that could not be had. What is not known for certain is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The lock.
    pub name: String,
    /// The process; one of them if several hold it.
    pub pid: Option<u32>,
    /// Its command line.
    pub command: Option<String>,
    /// Since when, RFC 3339.
    pub since: Option<String>,
    /// What it does, in the words of the caller that took it.
    pub operation: Option<String>,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is locked by ", self.name)?;
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => f.write_str("a process that cannot be seen from here")?,
        }
        if let Some(command) = &self.command {
            write!(f, " (`{command}`)")?;
        }
        if let Some(operation) = &self.operation {
            write!(f, ", {operation}")?;
        }
        match &self.since {
            Some(since) => write!(f, ", since {since}"),
            None => Ok(()),
        }
    }
}

impl From<Held> for Error {
    fn from(held: Held) -> Self {
        Self::new(ErrorKind::Locked, held.to_string()).hint("wait until it has finished, then run the command again")
    }
}

/// The answer to [`take`].
#[derive(Debug)]
#[must_use]
pub enum Attempt {
    /// It is yours.
    Taken(Lock),
    /// Somebody else has it.
    Held(Held),
}

/// The line in a lock file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pid: u32,
    command: String,
    since: String,
    operation: String,
}

/// Takes a lock, trying for as long as `wait` (at least 20 ms). `operation` says what for, in a few words.
///
/// The name is of ASCII letters, digits, `-`, `_`, `.` and `@`, and does not begin with a dot. The directory of the
/// locks is made if it is not there, with mode 0755. Two locks of one name in one process shut each other out like
/// those of two.
///
/// # Errors
/// [`ErrorKind::Usage`] for another name; [`ErrorKind::Privilege`] if the caller may not lock; [`ErrorKind::Refused`]
/// if the directory belongs to somebody else or can be written by others.
pub fn take(root: &Root, name: &str, share: Share, operation: &str, wait: Duration) -> Result<Attempt, Error> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.@".contains(&b);
    if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.bytes().all(plain) {
        return Err(Error::new(ErrorKind::Usage, format!("{name:?} cannot be the name of a lock")));
    }
    let path = make_dir(root)?.child(&format!("{name}.lock"));
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = root.open_file(&path, flags, 0o600)?;
    let (how, shown) = match share {
        Share::Shared => (FlockOperation::NonBlockingLockShared, "LOCK_SH|LOCK_NB"),
        Share::Exclusive => (FlockOperation::NonBlockingLockExclusive, "LOCK_EX|LOCK_NB"),
    };
    let until = Instant::now() + wait.max(GRACE);
    let mut pause = Duration::from_millis(1);
    loop {
        match rustix::fs::flock(&file, how) {
            Ok(()) => break,
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(Attempt::Held(who(name, &file)?));
                }
                std::thread::sleep(pause.min(left));
                pause = (pause * 2).min(PAUSE);
            }
            Err(errno) => {
                return Err(SysError::new(Call::Flock { fd: FdName::of(&file), operation: shown }, errno).into());
            }
        }
    }
    let lock = Lock { file, share };
    // For messages only: with a full /run the lock must still work, so what fails here is passed over.
    let _ = sign(&lock, operation);
    Ok(Attempt::Taken(lock))
}

fn sign(lock: &Lock, operation: &str) -> Result<(), SysError> {
    if lock.share == Share::Exclusive {
        rustix::fs::ftruncate(&lock.file, 0)
            .map_err(|errno| SysError::new(Call::Ftruncate { fd: FdName::of(&lock.file), length: 0 }, errno))?;
    }
    let pid = std::process::id();
    let line = Line {
        pid,
        command: proc::command(pid).unwrap_or_default(),
        since: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        operation: operation.into(),
    };
    let mut text = serde_json::to_vec(&line).unwrap_or_default();
    text.push(b'\n');
    fd::write_all(&lock.file, &text)
}

fn make_dir(root: &Root) -> Result<AbsPath, Error> {
    let dir = AbsPath::literal(DIR);
    let facts = match root.stat(&dir) {
        Ok(facts) => facts,
        Err(Miss::Absent(_)) => {
            let mut above: Vec<_> = dir.ancestors().filter(|p| !p.is_root()).collect();
            above.reverse();
            for part in above.iter().chain([&dir]) {
                let place = root.place(part)?;
                match fd::make_dir(place.entry(), 0o755) {
                    Err(error) if error.errno() != Errno::EXIST => return Err(error.into()),
                    _ => {}
                }
            }
            root.stat(&dir)?
        }
        Err(other) => return Err(other.into()),
    };
    let ours = facts.uid == 0 || facts.uid == rustix::process::geteuid().as_raw();
    if !ours || facts.mode.bits() & 0o022 != 0 {
        let message =
            format!("`{dir}` belongs to user {} and has mode {}, so others could lock", facts.uid, facts.mode);
        return Err(Error::new(ErrorKind::Refused, message).hint(format!("chown root {dir} && chmod 0755 {dir}")));
    }
    Ok(dir)
}

/// Who holds a lock: what the kernel says, with what the file says of the same process.
fn who(name: &str, file: &OwnedFd) -> Result<Held, Error> {
    let text = read_again(file)?;
    let lines: Vec<Line> = text.split(|&b| b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let pids = holders(file)?;
    let mut held = Held { name: name.into(), pid: None, command: None, since: None, operation: None };
    let known = lines.into_iter().rev().find(|line| {
        // Where the kernel names nobody (the holder is in another PID namespace, or /proc/locks cannot be read) a line
        // counts if its process lives and is still the same program.
        pids.contains(&line.pid)
            || (pids.is_empty() && proc::command(line.pid).is_some_and(|command| command == line.command))
    });
    if let Some(line) = known {
        held.pid = Some(line.pid);
        held.command = Some(line.command);
        held.since = Some(line.since);
        held.operation = Some(line.operation);
    } else if let Some(&pid) = pids.first() {
        held.pid = Some(pid);
        held.command = proc::command(pid);
    }
    Ok(held)
}

fn read_again(file: &OwnedFd) -> Result<Vec<u8>, SysError> {
    let mut bytes = vec![0; 65536];
    let length = rustix::io::pread(file.as_fd(), &mut bytes[..], 0)
        .map_err(|errno| SysError::new(Call::Read { fd: FdName::of(file) }, errno))?;
    bytes.truncate(length);
    Ok(bytes)
}

/// The processes that `/proc/locks` names for a file; none if it cannot be read.
fn holders(file: &OwnedFd) -> Result<Vec<u32>, SysError> {
    let s = rustix::fs::fstat(file).map_err(|errno| SysError::new(Call::Fstat { fd: FdName::of(file) }, errno))?;
    let Ok(text) = std::fs::read("/proc/locks") else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(&text[..text.len().min(LIMIT)]);
    let (major, minor) = (rustix::fs::major(s.st_dev), rustix::fs::minor(s.st_dev));
    Ok(parse_locks(&text, &format!("{major:02x}:{minor:02x}"), s.st_ino))
}

/// Reads `/proc/locks` (proc(5)): `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF`; one that waits has `->` before
/// `FLOCK`.
///
/// btrfs and overlayfs give stat(2) another device than they give the kernel's table, so if no line has the device, the
/// inode alone decides.
pub(crate) fn parse_locks(text: &str, dev: &str, ino: u64) -> Vec<u32> {
    let ino = ino.to_string();
    let found: Vec<(bool, u32)> = text
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [_, "FLOCK", _, _, pid, place, ..] = words[..] else { return None };
            let (at, inode) = place.rsplit_once(':')?;
            (inode == ino).then_some((at == dev, pid.parse().ok()?))
        })
        .collect();
    let exact = found.iter().any(|(same, _)| *same);
    found.into_iter().filter(|(same, _)| *same || !exact).map(|(_, pid)| pid).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::testing::Sandbox;

    fn try_take(root: &Root, name: &str, share: Share) -> Attempt {
        take(root, name, share, "apply of httpd", Duration::ZERO).unwrap()
    }

    fn taken(attempt: Attempt) -> Lock {
        match attempt {
            Attempt::Taken(lock) => lock,
            Attempt::Held(held) => panic!("{held}"),
        }
    }

    fn held(attempt: Attempt) -> Held {
        match attempt {
            Attempt::Held(held) => held,
            Attempt::Taken(_) => panic!("the lock was free"),
        }
    }

    #[test]
    fn the_second_is_told_who_and_since_when() {
        Sandbox::run(|sandbox| {
            let root = sandbox.root();
            let lock = taken(try_take(&root, "app-httpd", Share::Exclusive));
            for share in [Share::Shared, Share::Exclusive] {
                let told = held(try_take(&root, "app-httpd", share));
                assert_eq!(told.pid, Some(std::process::id()));
                assert_eq!(told.operation.as_deref(), Some("apply of httpd"));
                let since = humantime::parse_rfc3339(told.since.as_deref().unwrap()).unwrap();
                assert!(since.elapsed().is_ok_and(|ago| ago < Duration::from_secs(60)));
                let error = Error::from(told);
                assert_eq!(error.kind(), ErrorKind::Locked);
            }
            drop(taken(try_take(&root, "app-mysql", Share::Exclusive)));
            drop(lock);
            drop(taken(try_take(&root, "app-httpd", Share::Exclusive)));
            let file = sandbox.dir().join("run/datastore/lock/app-httpd.lock");
            let m = std::fs::metadata(file).unwrap();
            assert_eq!((m.mode() & 0o7777, m.len()), (0o600, 0));
            assert_eq!(std::fs::metadata(sandbox.dir().join("run/datastore/lock")).unwrap().mode() & 0o7777, 0o755);
        });
    }

    #[test]
    fn shared_locks_go_together() {
        Sandbox::run(|sandbox| {
            let root = sandbox.root();
            let one = taken(try_take(&root, "volume-data0", Share::Shared));
            let two = taken(try_take(&root, "volume-data0", Share::Shared));
            drop(one);
            assert_eq!(held(try_take(&root, "volume-data0", Share::Exclusive)).pid, Some(std::process::id()));
            drop(two);
            drop(taken(try_take(&root, "volume-data0", Share::Exclusive)));
        });
    }

    #[test]
    fn it_waits_as_long_as_it_is_told() {
        Sandbox::run(|sandbox| {
            let root = sandbox.root();
            let lock = taken(try_take(&root, "fstab", Share::Exclusive));
            let start = Instant::now();
            let wait = Duration::from_millis(120);
            held(take(&root, "fstab", Share::Exclusive, "x", wait).unwrap());
            assert!(start.elapsed() >= wait);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(50));
                    drop(lock);
                });
                drop(taken(take(&root, "fstab", Share::Exclusive, "x", Duration::from_secs(20)).unwrap()));
            });
        });
    }

    #[test]
    fn death_frees_it_and_an_old_line_is_not_believed() {
        Sandbox::run(|sandbox| {
            let root = sandbox.root();
            drop(taken(try_take(&root, "app-x", Share::Exclusive)));
            let file = sandbox.dir().join("run/datastore/lock/app-x.lock");
            // Process 1 lives, but it is not the holder.
            std::fs::write(&file, "{\"pid\":1,\"command\":\"old\",\"since\":\"then\",\"operation\":\"o\"}\nnonsense\n")
                .unwrap();
            let mut other = Command::new("flock")
                .arg("--no-fork")
                .arg(&file)
                .args(["sh", "-c", "echo locked; exec sleep 60"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(other.stdout.as_mut().unwrap()), &mut line)
                .unwrap();
            let told = held(try_take(&root, "app-x", Share::Exclusive));
            assert_eq!((told.pid, told.since), (Some(other.id()), None));
            assert!(told.command.is_some_and(|c| c.contains("sleep")));
            other.kill().unwrap();
            other.wait().unwrap();
            drop(taken(try_take(&root, "app-x", Share::Exclusive)));
        });
    }

    #[test]
    fn unsafe_names_and_directories_are_refused() {
        Sandbox::run(|sandbox| {
            let root = sandbox.root();
            for name in ["", "a/b", "..", ".x", "a b", "a\n"] {
                let error = take(&root, name, Share::Shared, "x", Duration::ZERO).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Usage, "{name:?}");
            }
            sandbox.dirs(&["run/datastore/lock"]);
            rustix::fs::chmod(sandbox.dir().join("run/datastore/lock"), rustix::fs::Mode::from_raw_mode(0o777))
                .unwrap();
            let error = take(&root, "x", Share::Shared, "x", Duration::ZERO).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused);
        });
    }

    #[test]
    fn the_table_of_locks() {
        let text = "1: FLOCK  ADVISORY  WRITE 100 00:1f:55 0 EOF\n\
                    1: -> FLOCK  ADVISORY  WRITE 101 00:1f:55 0 EOF\n\
                    2: POSIX  ADVISORY  WRITE 102 00:1f:55 0 EOF\n\
                    3: FLOCK  ADVISORY  READ 103 00:20:55 0 EOF\n";
        assert_eq!(parse_locks(text, "00:1f", 55), [100]);
        assert_eq!(parse_locks(text, "00:20", 55), [103]);
        assert_eq!(parse_locks(text, "00:99", 55), [100, 103], "another device in stat than in the table");
        assert_eq!(parse_locks(text, "00:1f", 5), [0; 0]);
    }
}
