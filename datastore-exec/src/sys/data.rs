//! The contents of files: shared, copied inside the kernel, read and written; and holes.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::error::{Call, FdName, SysError};

/// Makes `to`, which is empty, share the contents of `from` (ioctl_ficlone(2), Linux 4.5). EXDEV, EOPNOTSUPP, ENOTTY or
/// EINVAL where that cannot be.
pub fn share(from: impl AsFd, to: impl AsFd) -> Result<(), SysError> {
    rustix::fs::ioctl_ficlone(&to, &from)
        .map_err(|errno| SysError::new(Call::Ficlone { to: FdName::of(&to), from: FdName::of(&from) }, errno))
}

/// Copies up to `length` bytes at one offset of both files inside the kernel (copy_file_range(2), Linux 4.5; between two
/// file systems 5.3); 0 at the end of the source. The error does not tell which of the two files failed.
pub fn copy_range(from: impl AsFd, to: impl AsFd, at: u64, length: u64) -> Result<u64, Errno> {
    let (mut from_at, mut to_at) = (at, at);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    rustix::fs::copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), length).map(|done| done as u64)
}

/// Where a file has data at or after an offset: its first and the offset after its last byte; `None` if there are only
/// holes. `size` is the end where the file system knows no holes, so that all is data (before Linux 3.1).
pub fn data_after(file: impl AsFd, at: u64, size: u64) -> Result<Option<(u64, u64)>, SysError> {
    let failed = |at| {
        let fd = FdName::of(&file);
        move |errno| SysError::new(Call::Lseek { fd, offset: at }, errno)
    };
    let data = match rustix::fs::seek(&file, SeekFrom::Data(at)) {
        Ok(data) => data,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => return Ok((at < size).then_some((at, size))),
        Err(errno) => return Err(failed(at)(errno)),
    };
    match rustix::fs::seek(&file, SeekFrom::Hole(data)) {
        Ok(hole) => Ok(Some((data, hole))),
        // It was cut meanwhile.
        Err(Errno::NXIO) => Ok(None),
        Err(errno) => Err(failed(data)(errno)),
    }
}

/// Reads at an offset until the buffer is full or the file ends; says how much came.
pub fn read_at(file: impl AsFd, buffer: &mut [u8], at: u64) -> Result<usize, SysError> {
    let mut done = 0;
    while done < buffer.len() {
        match rustix::io::pread(&file, &mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(got) => done += got,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(SysError::new(Call::Read { fd: FdName::of(&file) }, errno)),
        }
    }
    Ok(done)
}

/// Writes all of it at an offset.
pub fn write_at(file: impl AsFd, bytes: &[u8], at: u64) -> Result<(), SysError> {
    let mut done = 0;
    while done < bytes.len() {
        let left = &bytes[done..];
        let failed = |errno| SysError::new(Call::Write { fd: FdName::of(&file), bytes: left.len() }, errno);
        match rustix::io::pwrite(&file, left, at + done as u64) {
            Ok(0) => return Err(failed(Errno::IO)),
            Ok(put) => done += put,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(())
}

/// Makes a file exactly this long; what is added is a hole.
pub fn set_length(file: impl AsFd, length: u64) -> Result<(), SysError> {
    rustix::fs::ftruncate(&file, length)
        .map_err(|errno| SysError::new(Call::Ftruncate { fd: FdName::of(&file), length }, errno))
}

/// Takes room for a range of a file, which is as long as the range reaches then and reads as zeros there (fallocate(2), Linux 2.6.23);
/// false where the file system cannot.
pub fn reserve(file: impl AsFd, offset: u64, bytes: u64) -> Result<bool, SysError> {
    loop {
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), offset, bytes) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::NOSYS | Errno::OPNOTSUPP) => return Ok(false),
            Err(errno) => return Err(SysError::new(Call::Fallocate { fd: FdName::of(&file), offset, bytes }, errno)),
        }
    }
}

/// Lets the kernel begin to bring a range of a file to the disk, and does not wait for it (sync_file_range(2), Linux 2.6.17). Nothing
/// is promised by that, so it is left alone where it cannot be done. The range lies below 2^63.
#[allow(unsafe_code, reason = "neither rustix nor nix has sync_file_range")]
pub fn start_writing(file: impl AsFd, offset: u64, bytes: u64) -> Result<(), SysError> {
    let fd = file.as_fd().as_raw_fd();
    let (at, length) = (offset.cast_signed(), bytes.cast_signed());
    // SAFETY: the call takes numbers.
    let answer = unsafe { libc::sync_file_range(fd, at, length, libc::SYNC_FILE_RANGE_WRITE) };
    match super::raw(answer.into()) {
        Ok(_) | Err(Errno::NOSYS | Errno::INVAL | Errno::SPIPE | Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(SysError::new(Call::SyncFileRange { fd: FdName::of(&file), offset, bytes }, errno)),
    }
}

/// Brings everything on the file system of `fd` to the disk (syncfs(2)). An error is final: a second call may succeed
/// with the data lost.
pub fn sync_all(fd: impl AsFd) -> Result<(), SysError> {
    match rustix::fs::syncfs(&fd) {
        // Before Linux 2.6.39, or a sandbox.
        Err(Errno::NOSYS) => {
            rustix::fs::sync();
            Ok(())
        }
        other => other.map_err(|errno| SysError::new(Call::Syncfs { fd: FdName::of(&fd) }, errno)),
    }
}
