//! The error of a system call: which call, on what, and the number that the kernel gave.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd};

use datastore_core::path::printable;
use datastore_core::{Error, ErrorKind};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// A descriptor as a message shows it: its number, and what it was when the call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FdName {
    number: i32,
    path: Option<String>,
}

impl FdName {
    /// Asks `/proc/self/fd` what the descriptor is. Only done once something has failed.
    pub fn of(fd: impl AsFd) -> Self {
        let number = fd.as_fd().as_raw_fd();
        let path = rustix::fs::readlink(format!("/proc/self/fd/{number}"), Vec::new()).ok();
        Self { number, path: path.map(|p| printable(p.as_bytes())) }
    }

    /// A descriptor that is closed by now.
    pub(crate) fn gone() -> Self {
        Self { number: -1, path: None }
    }

    fn place(&self) -> &str {
        self.path.as_deref().unwrap_or("an open directory")
    }
}

impl fmt::Display for FdName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{{{}: {path}}}", self.number),
            None => write!(f, "{{{}}}", self.number),
        }
    }
}

/// A call that datastore makes, with the arguments that matter. Prints as the call would be written in C.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the variants are the calls of section 2 of the manual, the fields their arguments")]
pub enum Call {
    Open { path: String, flags: OFlags },
    Openat { dir: FdName, name: String, flags: OFlags, mode: u32 },
    Openat2 { dir: FdName, path: String, flags: OFlags },
    Statx { dir: FdName, name: String },
    Fstatat { dir: FdName, name: String },
    Fstat { fd: FdName },
    Getdents { fd: FdName },
    Clone,
    FanotifyInit,
    FanotifyMark { dir: FdName },
    Read { fd: FdName },
    Write { fd: FdName, bytes: usize },
    Fsync { fd: FdName },
    Ftruncate { fd: FdName, length: u64 },
    Fallocate { fd: FdName, offset: u64, bytes: u64 },
    Fchmod { fd: FdName, mode: u32 },
    Fchown { fd: FdName, uid: u32, gid: u32 },
    Flock { fd: FdName, operation: &'static str },
    Mkdirat { dir: FdName, name: String, mode: u32 },
    Unlinkat { dir: FdName, name: String },
    Renameat { dir: FdName, old: String, new: String },
    Renameat2 { dir: FdName, name: String, new_dir: FdName, new_name: String },
    Readlink { path: String },
    Lgetxattr { dir: FdName, name: String, attribute: String },
    Lsetxattr { dir: FdName, name: String, attribute: String },
    Lremovexattr { dir: FdName, name: String, attribute: String },
    Flistxattr { fd: FdName },
    Fgetxattr { fd: FdName, attribute: String },
    Fsetxattr { fd: FdName, attribute: String },
    GetFlags { fd: FdName },
    SetFlags { fd: FdName, flags: u32 },
    OpenTree { source: FdName },
    MountSetattr { fd: FdName, set: String, clear: String },
    MoveMount { source: FdName, target: FdName },
    MountBind { source: FdName, target: FdName },
    MountRemount { fd: FdName, flags: String },
    Umount2 { dir: FdName, name: String },
    Statmount { id: u64 },
    Utimensat { dir: FdName, name: String },
    Fchownat { dir: FdName, name: String, uid: u32, gid: u32 },
    Fchmodat { dir: FdName, name: String, mode: u32 },
    GetExtra { fd: FdName },
    SetExtra { fd: FdName, project: u32 },
    Llistxattr { dir: FdName, name: String },
    Ficlone { to: FdName, from: FdName },
    Lseek { fd: FdName, offset: u64 },
    SyncFileRange { fd: FdName, offset: u64, bytes: u64 },
    Syncfs { fd: FdName },
    Fstatvfs { fd: FdName },
    Symlinkat { dir: FdName, name: String, text: String },
    Readlinkat { dir: FdName, name: String },
    Mknodat { dir: FdName, name: String, mode: u32, device: u64 },
    Linkat { dir: FdName, name: String, new_dir: FdName, new_name: String },
    NameToHandleAt { dir: FdName, name: String },
    OpenByHandleAt { mount: FdName, handle: String, flags: OFlags },
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, flags } => write!(f, "open({path:?}, {})", open_flags(*flags)),
            Self::Openat { dir, name, flags, mode } if flags.contains(OFlags::CREATE) => {
                write!(f, "openat({dir}, {name:?}, {}, {mode:#o})", open_flags(*flags))
            }
            Self::Openat { dir, name, flags, .. } => write!(f, "openat({dir}, {name:?}, {})", open_flags(*flags)),
            Self::Openat2 { dir, path, flags } => write!(f, "openat2({dir}, {path:?}, {})", open_flags(*flags)),
            Self::Statx { dir, name } => write!(f, "statx({dir}, {name:?}, AT_SYMLINK_NOFOLLOW)"),
            Self::Fstatat { dir, name } => write!(f, "fstatat({dir}, {name:?}, AT_SYMLINK_NOFOLLOW)"),
            Self::Fstat { fd } => write!(f, "fstat({fd})"),
            Self::Getdents { fd } => write!(f, "getdents64({fd})"),
            Self::Clone => write!(f, "clone(CLONE_THREAD)"),
            Self::FanotifyInit => write!(f, "fanotify_init(FAN_CLASS_NOTIF|FAN_REPORT_FID|FAN_REPORT_DFID_NAME)"),
            Self::FanotifyMark { dir } => write!(f, "fanotify_mark(FAN_MARK_ADD|FAN_MARK_FILESYSTEM, {dir})"),
            Self::Read { fd } => write!(f, "read({fd})"),
            Self::Write { fd, bytes } => write!(f, "write({fd}, {bytes} bytes)"),
            Self::Fsync { fd } => write!(f, "fsync({fd})"),
            Self::Ftruncate { fd, length } => write!(f, "ftruncate({fd}, {length})"),
            Self::Fallocate { fd, offset, bytes } => write!(f, "fallocate({fd}, 0, {offset}, {bytes})"),
            Self::Fchmod { fd, mode } => write!(f, "fchmod({fd}, {mode:#o})"),
            Self::Fchown { fd, uid, gid } => write!(f, "fchown({fd}, {uid}, {gid})"),
            Self::Flock { fd, operation } => write!(f, "flock({fd}, {operation})"),
            Self::Mkdirat { dir, name, mode } => write!(f, "mkdirat({dir}, {name:?}, {mode:#o})"),
            Self::Unlinkat { dir, name } => write!(f, "unlinkat({dir}, {name:?})"),
            Self::Renameat { dir, old, new } => write!(f, "renameat({dir}, {old:?}, {dir}, {new:?})"),
            Self::Renameat2 { dir, name, new_dir, new_name } => {
                write!(f, "renameat2({dir}, {name:?}, {new_dir}, {new_name:?}, RENAME_NOREPLACE)")
            }
            Self::Readlink { path } => write!(f, "readlink({path:?})"),
            Self::Lgetxattr { dir, name, attribute } => write!(f, "lgetxattr({dir}/{name}, {attribute:?})"),
            Self::Lsetxattr { dir, name, attribute } => write!(f, "lsetxattr({dir}/{name}, {attribute:?})"),
            Self::Lremovexattr { dir, name, attribute } => write!(f, "lremovexattr({dir}/{name}, {attribute:?})"),
            Self::Flistxattr { fd } => write!(f, "flistxattr({fd})"),
            Self::Fgetxattr { fd, attribute } => write!(f, "fgetxattr({fd}, {attribute:?})"),
            Self::Fsetxattr { fd, attribute } => write!(f, "fsetxattr({fd}, {attribute:?})"),
            Self::GetFlags { fd } => write!(f, "ioctl({fd}, FS_IOC_GETFLAGS)"),
            Self::SetFlags { fd, flags } => write!(f, "ioctl({fd}, FS_IOC_SETFLAGS, {flags:#x})"),
            Self::OpenTree { source } => write!(f, "open_tree({source}, \"\", OPEN_TREE_CLONE)"),
            Self::MountSetattr { fd, set, clear } => write!(f, "mount_setattr({fd}, set {set}, clear {clear})"),
            Self::MoveMount { source, target } => write!(f, "move_mount({source}, {target})"),
            Self::MountBind { source, target } => write!(f, "mount({source}, {target}, MS_BIND)"),
            Self::MountRemount { fd, flags } => write!(f, "mount({fd}, MS_REMOUNT|MS_BIND, {flags})"),
            Self::Umount2 { dir, name } => write!(f, "umount2({dir}/{name}, UMOUNT_NOFOLLOW)"),
            Self::Statmount { id } => write!(f, "statmount({id})"),
            Self::Utimensat { dir, name } => write!(f, "utimensat({dir}, {name:?}, AT_SYMLINK_NOFOLLOW)"),
            Self::Fchownat { dir, name, uid, gid } => {
                write!(f, "fchownat({dir}, {name:?}, {uid}, {gid}, AT_SYMLINK_NOFOLLOW)")
            }
            Self::Fchmodat { dir, name, mode } => write!(f, "chmod({dir}/{name}, {mode:#o})"),
            Self::GetExtra { fd } => write!(f, "ioctl({fd}, FS_IOC_FSGETXATTR)"),
            Self::SetExtra { fd, project } => write!(f, "ioctl({fd}, FS_IOC_FSSETXATTR, project {project})"),
            Self::Llistxattr { dir, name } => write!(f, "llistxattr({dir}/{name})"),
            Self::Ficlone { to, from } => write!(f, "ioctl({to}, FICLONE, {from})"),
            Self::Lseek { fd, offset } => write!(f, "lseek({fd}, {offset}, SEEK_DATA or SEEK_HOLE)"),
            Self::SyncFileRange { fd, offset, bytes } => {
                write!(f, "sync_file_range({fd}, {offset}, {bytes}, SYNC_FILE_RANGE_WRITE)")
            }
            Self::Syncfs { fd } => write!(f, "syncfs({fd})"),
            Self::Fstatvfs { fd } => write!(f, "fstatvfs({fd})"),
            Self::Symlinkat { dir, name, text } => write!(f, "symlinkat({text:?}, {dir}, {name:?})"),
            Self::Readlinkat { dir, name } => write!(f, "readlinkat({dir}, {name:?})"),
            Self::Mknodat { dir, name, mode, device } => write!(f, "mknodat({dir}, {name:?}, {mode:#o}, {device:#x})"),
            Self::Linkat { dir, name, new_dir, new_name } => {
                write!(f, "linkat({dir}, {name:?}, {new_dir}, {new_name:?})")
            }
            Self::NameToHandleAt { dir, name } => write!(f, "name_to_handle_at({dir}, {name:?})"),
            Self::OpenByHandleAt { mount, handle, flags } => {
                write!(f, "open_by_handle_at({mount}, {handle}, {})", open_flags(*flags))
            }
        }
    }
}

impl Call {
    /// What the call was for, as the end of a sentence that begins with "cannot".
    fn purpose(&self) -> String {
        let at = |dir: &FdName, name: &str| match name {
            "" | "." => format!("`{}`", dir.place()),
            name => format!("`{}/{name}`", dir.place().trim_end_matches('/')),
        };
        match self {
            Self::Open { path, .. } => format!("open `{path}`"),
            Self::Openat { dir, name, .. } | Self::Openat2 { dir, path: name, .. } => format!("open {}", at(dir, name)),
            Self::Statx { dir, name } | Self::Fstatat { dir, name } => format!("look at {}", at(dir, name)),
            Self::Fstat { fd } => format!("look at {}", at(fd, "")),
            Self::Getdents { fd } => format!("list {}", at(fd, "")),
            Self::Clone => "begin a thread".into(),
            Self::FanotifyInit => "ask for the changes of a file system".into(),
            Self::FanotifyMark { dir } => format!("watch the file system of {}", at(dir, "")),
            Self::Read { fd } => format!("read {}", at(fd, "")),
            Self::Write { fd, .. } => format!("write to {}", at(fd, "")),
            Self::Fsync { fd } => format!("bring {} to the disk", at(fd, "")),
            Self::Ftruncate { fd, .. } => format!("cut {}", at(fd, "")),
            Self::Fallocate { fd, .. } => format!("take room for {}", at(fd, "")),
            Self::Fchmod { fd, mode } => format!("set mode {mode:04o} on {}", at(fd, "")),
            Self::Fchown { fd, uid, gid } => format!("set owner {uid}:{gid} on {}", at(fd, "")),
            Self::Flock { fd, .. } => format!("lock {}", at(fd, "")),
            Self::Mkdirat { dir, name, .. } => format!("make the directory {}", at(dir, name)),
            Self::Unlinkat { dir, name } => format!("remove {}", at(dir, name)),
            Self::Renameat { dir, old, new } => format!("rename {} to `{new}`", at(dir, old)),
            Self::Renameat2 { dir, name, new_dir, new_name } => {
                format!("move {} to {}", at(dir, name), at(new_dir, new_name))
            }
            Self::Readlink { path } => format!("read the link `{path}`"),
            Self::Lgetxattr { dir, name, attribute } => format!("read {attribute} of {}", at(dir, name)),
            Self::Lsetxattr { dir, name, attribute } => format!("set {attribute} on {}", at(dir, name)),
            Self::Lremovexattr { dir, name, attribute } => format!("remove {attribute} from {}", at(dir, name)),
            Self::Flistxattr { fd } => format!("list the attributes of {}", at(fd, "")),
            Self::Fgetxattr { fd, attribute } => format!("read {attribute} of {}", at(fd, "")),
            Self::Fsetxattr { fd, attribute } => format!("set {attribute} on {}", at(fd, "")),
            Self::GetFlags { fd } => format!("read the inode flags of {}", at(fd, "")),
            Self::SetFlags { fd, .. } => format!("set the inode flags of {}", at(fd, "")),
            Self::OpenTree { source } => format!("clone the mount of {}", at(source, "")),
            Self::MountSetattr { fd, .. } | Self::MountRemount { fd, .. } => {
                format!("set the mount options of {}", at(fd, ""))
            }
            Self::MoveMount { source, target } | Self::MountBind { source, target } => {
                format!("bind {} on {}", at(source, ""), at(target, ""))
            }
            Self::Umount2 { dir, name } => format!("unmount {}", at(dir, name)),
            Self::Statmount { id } => format!("ask the kernel about mount {id}"),
            Self::Utimensat { dir, name } => format!("set the times of {}", at(dir, name)),
            Self::Fchownat { dir, name, uid, gid } => format!("set owner {uid}:{gid} on {}", at(dir, name)),
            Self::Fchmodat { dir, name, mode } => format!("set mode {mode:04o} on {}", at(dir, name)),
            Self::GetExtra { fd } => format!("read the project of {}", at(fd, "")),
            Self::SetExtra { fd, project } => format!("set project {project} on {}", at(fd, "")),
            Self::Llistxattr { dir, name } => format!("list the attributes of {}", at(dir, name)),
            Self::Ficlone { to, from } => format!("make {} share the contents of {}", at(to, ""), at(from, "")),
            Self::Lseek { fd, .. } => format!("find the holes of {}", at(fd, "")),
            Self::SyncFileRange { fd, .. } => format!("begin to bring {} to the disk", at(fd, "")),
            Self::Syncfs { fd } => format!("bring the file system of {} to the disk", at(fd, "")),
            Self::Fstatvfs { fd } => format!("ask how much room there is at {}", at(fd, "")),
            Self::Symlinkat { dir, name, .. } => format!("make the link {}", at(dir, name)),
            Self::Readlinkat { dir, name } => format!("read the link {}", at(dir, name)),
            Self::Mknodat { dir, name, .. } => format!("make the special file {}", at(dir, name)),
            Self::Linkat { dir, name, new_dir, new_name } => {
                format!("make {} a second name of {}", at(new_dir, new_name), at(dir, name))
            }
            Self::NameToHandleAt { dir, name } => format!("get the file handle of {}", at(dir, name)),
            Self::OpenByHandleAt { mount, handle, .. } => {
                format!("open the file with handle {handle} of {}", at(mount, ""))
            }
        }
    }

    /// Whether the call names its object by way of `/proc/self/fd`.
    fn needs_proc(&self) -> bool {
        use Call::{Fchmodat, Lgetxattr, Llistxattr, Lremovexattr, Lsetxattr, MountBind, MountRemount, Umount2};
        matches!(
            self,
            Lgetxattr { .. }
                | Llistxattr { .. }
                | Fchmodat { .. }
                | Lsetxattr { .. }
                | Lremovexattr { .. }
                | MountBind { .. }
                | MountRemount { .. }
                | Umount2 { .. }
        )
    }
}

/// The names of open(2)'s flags, joined with `|`.
fn open_flags(flags: OFlags) -> String {
    let mut names: Vec<String> = flags
        .iter_names()
        .filter(|(_, flag)| !flag.is_empty() && *flag != OFlags::CLOEXEC)
        .map(|(name, _)| match name {
            "CREATE" => "O_CREAT".to_owned(),
            name => format!("O_{name}"),
        })
        .collect();
    if !flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::PATH) {
        names.insert(0, "O_RDONLY".into());
    }
    names.join("|")
}

/// A system call that failed. Prints the call, the error's name and its meaning:
/// `openat2({3: /}, "store/data0", O_PATH|O_DIRECTORY): ENOENT (No such file or directory)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysError {
    call: Box<Call>,
    errno: Errno,
}

impl SysError {
    /// Puts the two together. `errno` is what the call itself returned.
    #[must_use]
    pub fn new(call: Call, errno: Errno) -> Self {
        Self { call: Box::new(call), errno }
    }
    /// The call.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }
    /// The error's number.
    #[must_use]
    pub fn errno(&self) -> Errno {
        self.errno
    }
    /// Whether the caller lacks a right: EPERM or EACCES.
    #[must_use]
    pub fn is_privilege(&self) -> bool {
        matches!(self.errno, Errno::PERM | Errno::ACCESS)
    }
    /// The public error with a message of the caller's: what it was for, on what, and what holds now.
    #[must_use]
    pub fn because(self, message: impl Into<String>) -> Error {
        let kind = if self.is_privilege() { ErrorKind::Privilege } else { ErrorKind::System };
        let mut error = Error::new(kind, message).with_errno(self.errno.raw_os_error());
        if self.errno == Errno::NOENT && self.call.needs_proc() && !std::path::Path::new("/proc/self/fd").exists() {
            error = error.hint("mount /proc: datastore names files by their descriptors there");
        }
        error.caused_by(self)
    }
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errno = nix::errno::Errno::from_raw(self.errno.raw_os_error());
        write!(f, "{}: {errno:?} ({})", self.call, errno.desc())
    }
}

impl std::error::Error for SysError {}

impl From<SysError> for Error {
    fn from(error: SysError) -> Self {
        let message = format!("cannot {}", error.call.purpose());
        error.because(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> FdName {
        FdName { number: 3, path: Some("/".into()) }
    }

    #[test]
    fn prints_its_call() {
        let call = Call::Openat2 { dir: dir(), path: "store/data0".into(), flags: OFlags::PATH | OFlags::DIRECTORY };
        let error = SysError::new(call, Errno::NOENT);
        let text = error.to_string();
        assert!(text.starts_with("openat2({3: /}, \"store/data0\", O_"), "{text}");
        assert!(text.contains("O_PATH") && text.contains("O_DIRECTORY") && !text.contains("O_RDONLY"), "{text}");
        assert!(text.ends_with("): ENOENT (No such file or directory)"), "{text}");
    }

    #[test]
    fn becomes_the_public_error() {
        let call = Call::Mkdirat { dir: dir(), name: "x".into(), mode: 0o755 };
        let error = Error::from(SysError::new(call, Errno::PERM));
        assert_eq!(error.kind(), ErrorKind::Privilege);
        assert_eq!(error.errno(), Some(libc::EPERM));
        assert_eq!(
            error.chain(),
            "cannot make the directory `/x`: mkdirat({3: /}, \"x\", 0o755): EPERM (Operation not permitted)"
        );
    }

    #[test]
    fn a_created_file_shows_its_mode() {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        let call = Call::Openat { dir: dir(), name: "x".into(), flags, mode: 0o600 };
        let text = call.to_string();
        assert!(text.contains("O_CREAT") && text.contains("O_WRONLY") && text.ends_with("0o600)"), "{text}");
        assert!(!text.contains("CLOEXEC"), "{text}");
    }
}
