//! A call as one reads it: `renameat(</etc>, ".fstab.tmp", </etc>, "fstab")`.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use syscalls::Sysno;

use super::Call;

/// The longest path that the kernel takes.
const LONGEST: usize = 4096;

/// What an argument of a call is about, as far as files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An open file.
    Fd,
    /// A directory that the next path begins at, if it is relative.
    Dir,
    /// A path.
    Path,
    /// Something else.
    Other,
}

/// An argument as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// An open file, by the path that it has now; without one if there is no such descriptor.
    Fd(Option<PathBuf>),
    /// The directory that the next path begins at; `None` is the working directory.
    Dir(Option<PathBuf>),
    /// A path; `None` if the address is none.
    Path(Option<PathBuf>),
}

/// A call with its files, for messages and for whoever judges it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Which call.
    pub number: Sysno,
    /// Its arguments as numbers.
    pub raw: [u64; 6],
    /// Those that are about files.
    pub args: Vec<Arg>,
    /// With what flags a file is opened, and how its path is resolved (openat2), if it is opened.
    pub opens: Option<(u64, u64)>,
    /// The files that it is about.
    paths: Vec<PathBuf>,
}

impl Shown {
    /// Reads the arguments of a call that is stopped at its beginning.
    #[must_use]
    pub fn of(call: &Call) -> Self {
        let mut args = Vec::new();
        for (kind, value) in shape(call.number).iter().zip(call.args) {
            match kind {
                Kind::Fd => args.push(Arg::Fd(call.descriptor(value))),
                Kind::Dir => args.push(Arg::Dir(call.descriptor(value))),
                Kind::Path => args.push(Arg::Path(call.text(value))),
                Kind::Other => {}
            }
        }
        let paths = paths(&args).into_iter().map(|path| call.through(path)).collect();
        Self { number: call.number, raw: call.args, args, opens: call.opens(), paths }
    }

    /// The files that it is about: a path below the directory that it begins at; an open file by its own, also where the path is
    /// `/proc/self/fd/N`.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The paths that it resolves, each with the directory that it begins at, if that is given by a descriptor.
    #[must_use]
    pub fn resolved(&self) -> Vec<(Option<&Path>, &Path)> {
        let (mut found, mut dir) = (Vec::new(), None);
        for arg in &self.args {
            match arg {
                Arg::Fd(_) => {}
                Arg::Dir(path) => dir = path.as_deref(),
                Arg::Path(path) => found.push((dir.take(), path.as_deref().unwrap_or(Path::new("")))),
            }
        }
        found
    }
}

fn paths(args: &[Arg]) -> Vec<PathBuf> {
    let (mut found, mut dir) = (Vec::new(), None);
    for arg in args {
        match arg {
            Arg::Fd(path) => found.extend(path.clone()),
            Arg::Dir(path) => dir = Some(path.clone().unwrap_or_else(|| PathBuf::from("/"))),
            Arg::Path(path) => {
                let path = path.clone().unwrap_or_default();
                match dir.take() {
                    // `join` with nothing would put a slash behind it.
                    Some(dir) if path.as_os_str().is_empty() => found.push(dir),
                    Some(dir) => found.push(dir.join(path)),
                    None => found.push(path),
                }
            }
        }
    }
    found
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.number)?;
        for (i, arg) in self.args.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match arg {
                Arg::Fd(Some(path)) | Arg::Dir(Some(path)) => write!(f, "{comma}<{}>", path.display())?,
                Arg::Fd(None) => write!(f, "{comma}<closed>")?,
                Arg::Dir(None) => write!(f, "{comma}AT_FDCWD")?,
                Arg::Path(Some(path)) => write!(f, "{comma}{path:?}")?,
                Arg::Path(None) => write!(f, "{comma}NULL")?,
            }
        }
        if let Some((flags, resolve)) = self.opens {
            write!(f, ", {flags:#o}")?;
            if resolve != 0 {
                write!(f, ", resolve {resolve:#x}")?;
            }
        }
        f.write_str(")")
    }
}

impl Call {
    /// What a descriptor of the command names now; `None` for the working directory, and for one that is not open.
    #[must_use]
    pub fn descriptor(&self, fd: u64) -> Option<PathBuf> {
        // A descriptor is an int; the rest of the register may hold anything.
        #[allow(clippy::cast_possible_truncation, reason = "the kernel looks at the lower half alone")]
        let fd = fd as u32 as i32;
        (fd >= 0).then(|| fs::read_link(format!("/proc/{}/fd/{fd}", self.process)).ok()).flatten()
    }

    /// What a path names that begins with a descriptor of the command.
    fn through(&self, path: PathBuf) -> PathBuf {
        let Ok(mut parts) = path.strip_prefix("/proc/self/fd").map(Path::components) else { return path };
        let fd = parts.next().and_then(|fd| fd.as_os_str().to_str()?.parse().ok());
        let Some(named) = fd.and_then(|fd| self.descriptor(fd)) else { return path };
        let rest = parts.as_path();
        if rest.as_os_str().is_empty() || rest == Path::new(".") { named } else { named.join(rest) }
    }

    /// A path that the command has at an address.
    #[must_use]
    pub fn text(&self, address: u64) -> Option<PathBuf> {
        let mut bytes = Vec::new();
        while bytes.len() < LONGEST {
            // Not over the end of a page: the next one may not be there.
            let at = address + bytes.len() as u64;
            let room = usize::try_from(4096 - at % 4096).expect("less than a page");
            let piece = self.memory(at, room.min(256))?;
            let end = piece.iter().position(|b| *b == 0);
            bytes.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
            if end.is_some() {
                return Some(PathBuf::from(OsString::from_vec(bytes)));
            }
        }
        None
    }

    /// With what flags it opens a file, and how it resolves the path.
    #[must_use]
    pub fn opens(&self) -> Option<(u64, u64)> {
        match self.number {
            Sysno::open => Some((self.args[1], 0)),
            Sysno::openat => Some((self.args[2], 0)),
            Sysno::openat2 => {
                let how = self.memory(self.args[2], 24)?;
                let number = |at: usize| u64::from_ne_bytes(how[at..at + 8].try_into().expect("eight bytes"));
                Some((number(0), number(16)))
            }
            _ => None,
        }
    }

    fn memory(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        File::open(format!("/proc/{}/mem", self.process)).ok()?.read_exact_at(&mut bytes, address).ok()?;
        Some(bytes)
    }
}

/// Which arguments of a call are about files.
fn shape(number: Sysno) -> &'static [Kind] {
    use Kind::{Dir, Fd, Other, Path};
    match number {
        Sysno::openat
        | Sysno::openat2
        | Sysno::mkdirat
        | Sysno::mknodat
        | Sysno::unlinkat
        | Sysno::fchownat
        | Sysno::fchmodat
        | Sysno::fchmodat2
        | Sysno::futimesat
        | Sysno::utimensat
        | Sysno::readlinkat
        | Sysno::newfstatat
        | Sysno::statx
        | Sysno::faccessat
        | Sysno::faccessat2
        | Sysno::name_to_handle_at
        | Sysno::open_tree
        | Sysno::open_tree_attr
        | Sysno::mount_setattr
        | Sysno::setxattrat
        | Sysno::getxattrat
        | Sysno::listxattrat
        | Sysno::removexattrat
        | Sysno::file_getattr
        | Sysno::file_setattr
        | Sysno::execveat => &[Dir, Path],
        Sysno::renameat | Sysno::renameat2 | Sysno::linkat | Sysno::move_mount => &[Dir, Path, Dir, Path],
        Sysno::symlinkat => &[Other, Dir, Path],
        Sysno::fanotify_mark => &[Fd, Other, Other, Dir, Path],
        Sysno::inotify_add_watch => &[Fd, Path],
        Sysno::open
        | Sysno::creat
        | Sysno::stat
        | Sysno::lstat
        | Sysno::access
        | Sysno::readlink
        | Sysno::mkdir
        | Sysno::rmdir
        | Sysno::unlink
        | Sysno::chmod
        | Sysno::chown
        | Sysno::lchown
        | Sysno::truncate
        | Sysno::statfs
        | Sysno::chdir
        | Sysno::chroot
        | Sysno::execve
        | Sysno::setxattr
        | Sysno::lsetxattr
        | Sysno::getxattr
        | Sysno::lgetxattr
        | Sysno::listxattr
        | Sysno::llistxattr
        | Sysno::removexattr
        | Sysno::lremovexattr
        | Sysno::umount2
        | Sysno::utimes
        | Sysno::utime => &[Path],
        Sysno::rename | Sysno::link | Sysno::mount | Sysno::pivot_root => &[Path, Path],
        Sysno::symlink => &[Other, Path],
        Sysno::copy_file_range | Sysno::splice => &[Fd, Other, Fd],
        Sysno::sendfile | Sysno::tee => &[Fd, Fd],
        Sysno::read
        | Sysno::readv
        | Sysno::pread64
        | Sysno::preadv
        | Sysno::write
        | Sysno::writev
        | Sysno::pwrite64
        | Sysno::pwritev
        | Sysno::fstat
        | Sysno::fstatfs
        | Sysno::fsync
        | Sysno::fdatasync
        | Sysno::syncfs
        | Sysno::sync_file_range
        | Sysno::ftruncate
        | Sysno::fallocate
        | Sysno::fadvise64
        | Sysno::fchmod
        | Sysno::fchown
        | Sysno::fchdir
        | Sysno::getdents64
        | Sysno::lseek
        | Sysno::fcntl
        | Sysno::ioctl
        | Sysno::flock
        | Sysno::close
        | Sysno::dup
        | Sysno::fsetxattr
        | Sysno::fgetxattr
        | Sysno::flistxattr
        | Sysno::fremovexattr
        | Sysno::open_by_handle_at => &[Fd],
        _ => &[],
    }
}
