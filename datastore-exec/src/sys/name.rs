//! New names in a directory: links, symbolic links and special files. None replaces what is there: EEXIST.

use std::os::fd::{AsFd, BorrowedFd};

use datastore_core::path::printable;
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::error::{Call, SysError};
use super::fd::Entry;

/// Makes a symbolic link with exactly this text.
pub fn symlink(entry: Entry<'_>, text: &[u8]) -> Result<(), SysError> {
    rustix::fs::symlinkat(text, entry.dir(), entry.name()).map_err(|errno| {
        let (dir, name) = entry.shown();
        SysError::new(Call::Symlinkat { dir, name, text: printable(text) }, errno)
    })
}

/// The text of a symbolic link; EINVAL if it is none.
pub fn read_symlink(entry: Entry<'_>) -> Result<Vec<u8>, SysError> {
    rustix::fs::readlinkat(entry.dir(), entry.name(), Vec::new()).map(std::ffi::CString::into_bytes).map_err(|errno| {
        let (dir, name) = entry.shown();
        SysError::new(Call::Readlinkat { dir, name }, errno)
    })
}

/// Makes a socket, FIFO or device. `mode` loses what the umask of the thread takes.
pub fn special(entry: Entry<'_>, mode: u32, device: u64) -> Result<(), SysError> {
    rustix::fs::mknodat(
        entry.dir(),
        entry.name(),
        FileType::from_raw_mode(mode),
        Mode::from_raw_mode(mode & 0o7777),
        device,
    )
    .map_err(|errno| {
        let (dir, name) = entry.shown();
        SysError::new(Call::Mknodat { dir, name, mode, device }, errno)
    })
}

/// One more name for the inode of an open descriptor, `O_PATH` will do (linkat(2) with `AT_EMPTY_PATH`). ENOENT without
/// CAP_DAC_READ_SEARCH.
pub fn link_fd(inode: BorrowedFd<'_>, entry: Entry<'_>) -> Result<(), SysError> {
    link(inode, b"", entry, AtFlags::EMPTY_PATH)
}

/// One more name for an entry. A symbolic link is not followed: it gets a second name itself.
pub fn link_entry(old: Entry<'_>, new: Entry<'_>) -> Result<(), SysError> {
    link(old.dir(), old.name(), new, AtFlags::empty())
}

fn link(dir: BorrowedFd<'_>, name: &[u8], new: Entry<'_>, flags: AtFlags) -> Result<(), SysError> {
    rustix::fs::linkat(dir, name, new.dir(), new.name(), flags).map_err(|errno: Errno| {
        let (old, name) = if name.is_empty() {
            (super::error::FdName::of(dir), String::new())
        } else {
            Entry::new(&dir.as_fd(), name).shown()
        };
        let (new_dir, new_name) = new.shown();
        SysError::new(Call::Linkat { dir: old, name, new_dir, new_name }, errno)
    })
}

/// Moves an entry to a name that is not taken, perhaps in another directory (renameat2(2) with `RENAME_NOREPLACE`). Before Linux
/// 3.15, and on file systems that cannot do it, a look has to do: in directories that nobody else changes.
pub fn rename(old: Entry<'_>, new: Entry<'_>) -> Result<(), SysError> {
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    let plain = || match rustix::fs::statat(new.dir(), new.name(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => rustix::fs::renameat(old.dir(), old.name(), new.dir(), new.name()),
        Err(errno) => Err(errno),
    };
    let renamed = match rustix::fs::renameat_with(old.dir(), old.name(), new.dir(), new.name(), flags) {
        Err(Errno::NOSYS | Errno::INVAL) => plain(),
        other => other,
    };
    renamed.map_err(|errno| {
        let ((dir, name), (new_dir, new_name)) = (old.shown(), new.shown());
        SysError::new(Call::Renameat2 { dir, name, new_dir, new_name }, errno)
    })
}

/// Sets the permission bits of an entry that is no symbolic link, by way of `/proc/self/fd` (fchmodat(2) cannot be kept
/// from following a link before Linux 6.6). What was looked at is what is changed.
pub fn set_mode(entry: Entry<'_>, mode: u32) -> Result<(), SysError> {
    let flags = rustix::fs::OFlags::PATH;
    let fd = super::fd::open(entry, flags, 0)?;
    let failed = |errno| {
        let (dir, name) = entry.shown();
        SysError::new(Call::Fchmodat { dir, name, mode }, errno)
    };
    let is_link = rustix::fs::fstat(&fd).is_ok_and(|s| FileType::from_raw_mode(s.st_mode).is_symlink());
    if is_link {
        return Err(failed(Errno::LOOP));
    }
    rustix::fs::chmod(super::fd::proc_path(fd.as_fd()), Mode::from_raw_mode(mode)).map_err(failed)
}

thread_local! {
    static OWN_UMASK: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Gives this thread a umask of its own that takes nothing away, so that what it makes has the mode that is asked for. Only for
/// threads that end with the work. Where it cannot be had the answer of [`exact`] is no.
#[allow(unsafe_code, reason = "a umask of one thread")]
pub(crate) fn own_umask() {
    // SAFETY: working directory, root and umask are no more shared with other threads (unshare(2)); this one changes the umask
    // alone, which nobody else relies on here.
    if unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FS) }.is_ok() {
        rustix::process::umask(Mode::empty());
        OWN_UMASK.set(true);
    }
}

/// Whether what this thread makes has exactly the mode that is asked for.
pub(crate) fn exact() -> bool {
    OWN_UMASK.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, without};

    #[test]
    fn a_rename_replaces_nothing() {
        Sandbox::run(|sandbox| {
            sandbox.dirs(&["one", "two"]);
            let open = |name: &str| std::fs::File::open(sandbox.dir().join(name)).unwrap();
            let (one, two) = (open("one"), open("two"));
            for missing in [&[][..], &[libc::SYS_renameat2]] {
                without(missing, || {
                    sandbox.file("one/a", "a");
                    sandbox.file("two/b", "b");
                    let (a, b) = (Entry::new(&one, b"a"), Entry::new(&two, b"b"));
                    let error = rename(a, b).unwrap_err();
                    assert_eq!(error.errno(), Errno::EXIST);
                    assert!(error.to_string().starts_with("renameat2({"), "{error}");
                    super::super::fd::remove_file(b).unwrap();
                    rename(a, b).unwrap();
                    assert_eq!(std::fs::read(sandbox.dir().join("two/b")).unwrap(), b"a");
                });
            }
        });
    }
}
