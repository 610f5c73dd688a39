//! Every system call that datastore makes, each with its fallback beside it and an error that prints the call.
//!
//! Nothing here remembers that a call is missing: on an old kernel each one is tried again and answers ENOSYS in well
//! under a microsecond, and there is no state that a test or a sandbox could leave behind.

pub mod attr;
pub mod clock;
pub mod data;
pub mod error;
pub mod fanotify;
pub mod fd;
pub mod flags;
pub mod handle;
pub mod ids;
pub mod maps;
pub mod mount;
pub mod name;
pub mod proc;
pub mod random;
pub mod stat;
pub mod statmount;
pub(crate) mod thread;
pub mod xattr;
pub mod xattrs;

pub use error::{Call, SysError};
pub use fd::Entry;
pub use stat::{Facts, Kind};

/// The error of a `libc::syscall` that has just returned `-1`; its value otherwise.
///
/// Only for raw calls made on the line before: the calls of rustix return their error and leave `errno` alone.
fn raw(returned: libc::c_long) -> Result<libc::c_long, rustix::io::Errno> {
    if returned != -1 {
        return Ok(returned);
    }
    let error = std::io::Error::last_os_error();
    Err(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
}
