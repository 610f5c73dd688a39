//! The kernel's log (`/dev/kmsg`, Documentation/ABI/testing/dev-kmsg): a disk that is going says so there before anybody else knows.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;

const PATH: &str = "/dev/kmsg";
/// `KERN_WARNING`: what is less than that is no trouble.
const WARNING: u32 = 4;
/// A record is not longer (`PRINTKRB_RECORD_MAX` and its dictionary).
const RECORD: usize = 8192;

/// The log from now on.
#[derive(Debug)]
pub(super) struct KernelLog(OwnedFd);

impl KernelLog {
    /// Opens it; `None` where that is not allowed, as in a container.
    pub(super) fn open() -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(PATH, flags, Mode::empty()).ok()?;
        rustix::fs::seek(&file, SeekFrom::End(0)).ok()?;
        Some(Self(file))
    }

    /// Takes everything that has been written; whether any of it is a warning of the kernel, or worse.
    pub(super) fn take(&self) -> bool {
        let mut record = [0; RECORD];
        let mut is_warning = false;
        loop {
            match rustix::io::read(&self.0, &mut record) {
                Ok(0) | Err(Errno::AGAIN) => return is_warning,
                Ok(length) => is_warning |= warns(&record[..length]),
                // Some were overwritten before they could be read.
                Err(Errno::PIPE) => is_warning = true,
                Err(Errno::INTR) => {}
                Err(_) => return is_warning,
            }
        }
    }
}

impl AsFd for KernelLog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether a record is a warning of the kernel itself: it begins with the priority, as syslog(3) makes it of facility and level.
pub(crate) fn warns(record: &[u8]) -> bool {
    let digits: Vec<u8> = record.iter().copied().take_while(u8::is_ascii_digit).collect();
    let priority: Option<u32> = std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok());
    priority.is_some_and(|priority| priority <= WARNING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_the_kernel_are_told_from_the_rest() {
        for (record, expected) in [
            ("4,1234,5678,-;EXT4-fs error (device sdb1): ext4_find_entry", true),
            ("3,1,2,-;I/O error, dev sdb", true),
            ("0,1,2,-;panic", true),
            ("6,1,2,-;eth0: link is up", false),
            // Of a program: the facility is not the kernel's.
            ("11,1,2,-;systemd: failed", false),
            ("", false),
            ("garbage", false),
            ("99999999999999,1", false),
        ] {
            assert_eq!(warns(record.as_bytes()), expected, "{record}");
        }
    }
}
