//! What `/proc` says (proc(5)).

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::error::{Call, SysError};
use super::fd;

/// The most that is read of one file below `/proc`: a mount table of 100,000 mounts (`fs.mount-max`) with long paths.
const LIMIT: usize = 1 << 30;

/// The mount table of the calling thread's namespace, as text (proc(5), `mountinfo`).
///
/// The kernel hands out about one page for each read(2), whatever the size of the buffer, and another process may mount
/// or unmount between two of them. Since Linux 5.8 a mount that is there all the while is always in the answer, exactly
/// once; one that comes or goes meanwhile may or may not be. Before 5.8 a neighbour may be missing or doubled in that
/// case.
pub fn mountinfo() -> Result<Vec<u8>, SysError> {
    match read("/proc/thread-self/mountinfo") {
        // Before Linux 3.17.
        Err(error) if error.errno() == Errno::NOENT => {
            read(&format!("/proc/self/task/{}/mountinfo", rustix::thread::gettid()))
        }
        other => other,
    }
}

/// Opens the mount table for poll(2): the kernel reports POLLPRI and POLLERR whenever it has changed since the last
/// look.
pub fn open_mountinfo() -> Result<OwnedFd, SysError> {
    match open("/proc/thread-self/mountinfo") {
        Err(error) if error.errno() == Errno::NOENT => open("/proc/self/mountinfo"),
        other => other,
    }
}

fn open(path: &str) -> Result<OwnedFd, SysError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| SysError::new(Call::Open { path: path.into(), flags }, errno))
}

/// All of a file below `/proc`.
pub(crate) fn read(path: &str) -> Result<Vec<u8>, SysError> {
    fd::read_all(open(path)?, LIMIT)
}

/// Whether there is a process of this number (kill(2) with signal 0).
pub(crate) fn is_alive(process: u32) -> bool {
    let pid = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(Errno::SRCH)))
}

/// The processes that exist, by number; some may be gone by the time that they are looked at.
pub(crate) fn pids() -> Result<Vec<u32>, SysError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty())
        .map_err(|errno| SysError::new(Call::Open { path: "/proc".into(), flags }, errno))?;
    let mut pids = Vec::new();
    fd::each_name(proc, |name| {
        pids.extend(std::str::from_utf8(name).ok().and_then(|n| n.parse::<u32>().ok()));
        true
    })?;
    pids.sort_unstable();
    Ok(pids)
}

/// The command line of a process with spaces between its words, or its short name if it has none; safe to print.
pub(crate) fn command(pid: u32) -> Option<String> {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<String> =
        words.split(|&b| b == 0).filter(|w| !w.is_empty()).map(datastore_core::path::printable).collect();
    if words.is_empty() { comm(pid) } else { Some(words.join(" ")) }
}

/// The short name of a process, safe to print.
pub(crate) fn comm(pid: u32) -> Option<String> {
    let text = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(datastore_core::path::printable(text.trim_ascii_end()))
}

/// The `mnt_id:` of a file in `/proc/PID/fdinfo` (since Linux 3.15).
pub(crate) fn mnt_id_of_fdinfo(text: &[u8]) -> Option<u64> {
    text.split(|&b| b == b'\n').find_map(|line| {
        let value = line.strip_prefix(b"mnt_id:")?.trim_ascii();
        std::str::from_utf8(value).ok()?.parse().ok()
    })
}

/// Whether the calling thread sees `trusted.*` extended attributes (xattr(7)).
pub(crate) fn sees_trusted() -> bool {
    has_of_machine(CapabilitySet::SYS_ADMIN)
}

/// Whether the calling thread may make a directory immutable (ioctl_iflags(2)).
pub(crate) fn may_make_immutable() -> bool {
    has_of_machine(CapabilitySet::LINUX_IMMUTABLE)
}

/// Whether the calling thread has a capability, and that of the machine rather than of a user namespace.
fn has_of_machine(capability: CapabilitySet) -> bool {
    // The inode of the first user namespace, PROC_USER_INIT_INO in linux/proc_ns.h.
    const FIRST: u64 = 0xEFFF_FFFD;
    if !rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(capability)) {
        return false;
    }
    // Without user namespaces (or without /proc) there is only one.
    rustix::fs::stat("/proc/self/ns/user").map_or(true, |s| s.st_ino == FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sandbox;

    #[test]
    fn the_mount_table_is_that_of_the_thread() {
        Sandbox::run(|sandbox| {
            let text = mountinfo().unwrap();
            let needle = sandbox.dir().to_str().unwrap().as_bytes();
            assert!(text.windows(needle.len()).any(|w| w == needle));
            assert!(text.ends_with(b"\n"));
        });
    }

    #[test]
    fn thousands_of_mounts_are_read_whole() {
        Sandbox::run(|sandbox| {
            let point = sandbox.dir().join("many");
            std::fs::create_dir(&point).unwrap();
            let before = mountinfo().unwrap().split(|&b| b == b'\n').count();
            for _ in 0..2000 {
                rustix::mount::mount_bind(sandbox.dir(), &point).unwrap();
            }
            assert_eq!(mountinfo().unwrap().split(|&b| b == b'\n').count(), before + 2000);
        });
    }

    #[test]
    fn fdinfo() {
        assert_eq!(mnt_id_of_fdinfo(b"pos:\t0\nflags:\t0100000\nmnt_id:\t29\n"), Some(29));
        assert_eq!(mnt_id_of_fdinfo(b"pos:\t0\n"), None);
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let error = read("/proc/self/no-such-file").unwrap_err();
        assert_eq!(error.errno(), Errno::NOENT);
    }
}
