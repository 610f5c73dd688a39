//! Extended attributes (xattr(7)) of an entry: all of them, ACLs among them.
//!
//! Of an open file or directory they are asked by descriptor; of a name (a link, a socket) by `/proc/self/fd/N/name`, which
//! follows no link; of what is open with `O_PATH` by `/proc/self/fd/N`.

use std::ffi::CStr;

use datastore_core::path::printable;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::error::{Call, SysError};
use super::fd::{self, Entry};

/// The longest value and the longest list of names, XATTR_SIZE_MAX and XATTR_LIST_MAX in linux/limits.h.
pub const LONGEST: usize = 65_536;

/// The names of all attributes, each ended by NUL, put in place of what `names` holds. None where the file system has
/// none at all.
pub fn list(entry: Entry<'_>, names: &mut Vec<u8>) -> Result<(), SysError> {
    names.clear();
    names.reserve(256);
    loop {
        let room = rustix::buffer::spare_capacity;
        let found = if entry.name().is_empty() {
            match rustix::fs::flistxattr(entry.dir(), room(names)) {
                Err(Errno::BADF) => rustix::fs::listxattr(fd::proc_path(entry.dir()), room(names)),
                other => other,
            }
        } else {
            rustix::fs::llistxattr(entry.proc_path(), room(names))
        };
        match found {
            Ok(_) | Err(Errno::OPNOTSUPP) => return Ok(()),
            Err(Errno::RANGE) if names.capacity() < LONGEST => names.reserve(LONGEST),
            Err(errno) => {
                let (dir, name) = entry.shown();
                return Err(SysError::new(Call::Llistxattr { dir, name }, errno));
            }
        }
    }
}

/// The value of an attribute; `None` if there is no such attribute (any more).
pub fn get(entry: Entry<'_>, attribute: &CStr) -> Result<Option<Vec<u8>>, SysError> {
    let mut value = Vec::with_capacity(256);
    loop {
        let room = rustix::buffer::spare_capacity;
        let found = if entry.name().is_empty() {
            match rustix::fs::fgetxattr(entry.dir(), attribute, room(&mut value)) {
                Err(Errno::BADF) => rustix::fs::getxattr(fd::proc_path(entry.dir()), attribute, room(&mut value)),
                other => other,
            }
        } else {
            rustix::fs::lgetxattr(entry.proc_path(), attribute, room(&mut value))
        };
        match found {
            Ok(_) => return Ok(Some(value)),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(Errno::RANGE) if value.capacity() < LONGEST => value.reserve(LONGEST),
            Err(errno) => {
                let (dir, name) = entry.shown();
                return Err(SysError::new(Call::Lgetxattr { dir, name, attribute: shown(attribute) }, errno));
            }
        }
    }
}

/// Sets an attribute, whether it is there or not.
pub fn set(entry: Entry<'_>, attribute: &CStr, value: &[u8]) -> Result<(), SysError> {
    let done = if entry.name().is_empty() {
        rustix::fs::fsetxattr(entry.dir(), attribute, value, XattrFlags::empty())
    } else {
        rustix::fs::lsetxattr(entry.proc_path(), attribute, value, XattrFlags::empty())
    };
    done.map_err(|errno| {
        let (dir, name) = entry.shown();
        SysError::new(Call::Lsetxattr { dir, name, attribute: shown(attribute) }, errno)
    })
}

/// Takes an attribute away; none there is fine too.
pub fn remove(entry: Entry<'_>, attribute: &CStr) -> Result<(), SysError> {
    let done = if entry.name().is_empty() {
        rustix::fs::fremovexattr(entry.dir(), attribute)
    } else {
        rustix::fs::lremovexattr(entry.proc_path(), attribute)
    };
    match done {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => {
            let (dir, name) = entry.shown();
            Err(SysError::new(Call::Lremovexattr { dir, name, attribute: shown(attribute) }, errno))
        }
    }
}

fn shown(attribute: &CStr) -> String {
    printable(attribute.to_bytes())
}
