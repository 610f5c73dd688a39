//! A mount that nobody can write through for a while.
//!
//! The kernel counts who has a file open for writing through a mount, a shared mapping that could be made writable and a loop device
//! included, and refuses to make the mount read-only while there is anybody. So one call asks and shuts the door at once. Other mounts
//! of the same file system, copies in other mount namespaces among them, stay as they are.

use std::os::fd::{AsFd, BorrowedFd};

use datastore_core::mapping::BindOptions;
use rustix::io::Errno;

use super::super::error::{Call, FdName, SysError};
use super::{remount, set_bits};
use crate::sys::fd;

/// MOUNT_ATTR_RDONLY, linux/mount.h.
const READ_ONLY: u64 = 0x1;

/// What became of an attempt to keep writers out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Seal {
    /// Nobody writes through the mount, and nobody can until [`unseal_writes`].
    Sealed,
    /// It was read-only before; it is not ours to open again.
    WasReadOnly,
    /// Somebody has a file open for writing through it. Nothing has changed.
    Writer,
}

/// Makes a mount read-only, given any descriptor on its root, unless somebody writes through it.
pub fn seal_writes(mount: impl AsFd) -> Result<Seal, SysError> {
    let mount = mount.as_fd();
    if options(mount, true)?.ro {
        return Ok(Seal::WasReadOnly);
    }
    match change(mount, true) {
        Ok(()) => Ok(Seal::Sealed),
        Err(error) if error.errno() == Errno::BUSY => Ok(Seal::Writer),
        Err(error) => Err(error),
    }
}

/// Lets writers through a mount again; not done, or done twice, it does no harm.
pub fn unseal_writes(mount: impl AsFd) -> Result<(), SysError> {
    change(mount.as_fd(), false)
}

fn change(mount: BorrowedFd<'_>, seal: bool) -> Result<(), SysError> {
    let (set, clear) = if seal { (READ_ONLY, 0) } else { (0, READ_ONLY) };
    match set_bits(mount, set, clear) {
        Ok(()) => Ok(()),
        // Before Linux 5.12 all options are set at once.
        Err(Errno::NOSYS) => remount(mount, BindOptions { ro: seal, ..options(mount, seal)? }),
        Err(errno) => {
            let name = |on: bool| if on { "ro".to_owned() } else { "nothing".to_owned() };
            let call = Call::MountSetattr { fd: FdName::of(mount), set: name(seal), clear: name(!seal) };
            Err(SysError::new(call, errno))
        }
    }
}

/// The options that a mount has now, by the flags of statvfs(3). A file system that is itself read-only is told as `ro`.
fn options(mount: BorrowedFd<'_>, seal: bool) -> Result<BindOptions, SysError> {
    let flags = rustix::fs::statvfs(fd::proc_path(mount)).map(|s| s.f_flag.bits()).map_err(|errno| {
        let flags = if seal { "ro" } else { "rw" };
        SysError::new(Call::MountRemount { fd: FdName::of(mount), flags: flags.into() }, errno)
    })?;
    let has = |bit| flags & bit != 0;
    Ok(BindOptions { ro: has(1), nosuid: has(2), nodev: has(4), noexec: has(8) })
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::Write as _;

    use super::*;
    use crate::testing::{SYS_MOUNT_SETATTR, Sandbox, without};
    use rustix::mount::MountFlags;

    fn flags(sandbox: &Sandbox) -> BindOptions {
        options(File::open(sandbox.dir().join("bind")).unwrap().as_fd(), true).unwrap()
    }

    fn on_both_kernels(body: impl Fn(&Sandbox) + Sync) {
        for missing in [&[][..], &[SYS_MOUNT_SETATTR]] {
            Sandbox::run(|sandbox| {
                sandbox.dirs(&["bind"]);
                let file = sandbox.file("store/data", "old");
                let bind = sandbox.dir().join("bind");
                rustix::mount::mount_bind(file.parent().unwrap(), &bind).unwrap();
                let kept = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NOATIME;
                rustix::mount::mount_remount(&bind, kept, "").unwrap();
                without(missing, || body(sandbox));
            });
        }
    }

    #[test]
    fn nobody_writes_through_a_sealed_mount_and_its_other_options_stay() {
        on_both_kernels(|sandbox| {
            let (bind, store) = (sandbox.dir().join("bind"), sandbox.dir().join("store/data"));
            let mount = File::open(&bind).unwrap();
            let _reader = File::open(bind.join("data")).unwrap();
            let before = flags(sandbox);
            assert!(!before.ro && before.nosuid);
            assert_eq!(seal_writes(&mount).unwrap(), Seal::Sealed);
            let error = OpenOptions::new().append(true).open(bind.join("data")).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EROFS));
            assert_eq!(flags(sandbox), BindOptions { ro: true, ..before });
            // Through another mount it goes on.
            std::fs::write(&store, "new").unwrap();
            assert_eq!(seal_writes(&mount).unwrap(), Seal::WasReadOnly);
            for _ in 0..2 {
                unseal_writes(&mount).unwrap();
                assert_eq!(flags(sandbox), before);
            }
            std::fs::write(bind.join("data"), "newer").unwrap();
            let noatime = rustix::fs::statvfs(&bind).unwrap().f_flag.bits() & 0x400;
            assert_eq!(noatime, 0x400);
        });
    }

    #[test]
    fn a_writer_keeps_the_seal_off_also_by_a_mapping_that_only_reads() {
        on_both_kernels(|sandbox| {
            let bind = sandbox.dir().join("bind");
            let mount = File::open(&bind).unwrap();
            let before = flags(sandbox);
            let mut writer = OpenOptions::new().append(true).open(bind.join("data")).unwrap();
            assert_eq!(seal_writes(&mount).unwrap(), Seal::Writer);
            assert_eq!(flags(sandbox), before);
            writer.write_all(b"more").unwrap();
            drop(writer);
            // Mapped for reading from a file that is open for writing: it can be made writable at any time.
            let code = "import mmap, os, sys\nf = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)\n\
                f.close(); os.closerange(3, 64); print('ready', flush=True); sys.stdin.read()";
            let mut mapper = std::process::Command::new("python3")
                .args(["-c", code])
                .arg(bind.join("data"))
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut ready = [0; 6];
            std::io::Read::read_exact(mapper.stdout.as_mut().unwrap(), &mut ready).unwrap();
            assert_eq!(seal_writes(&mount).unwrap(), Seal::Writer);
            drop(mapper.stdin.take());
            mapper.wait().unwrap();
            assert_eq!(seal_writes(&mount).unwrap(), Seal::Sealed);
        });
    }
}
