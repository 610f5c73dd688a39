//! What a system call can do, and how it can fail.

use datastore_rigs::tracer::{Call, Sysno};

/// What a call is, as far as faults go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It cannot fail, or its failure says nothing of datastore: memory, signals, threads, its own numbers.
    Idle,
    /// It looks.
    Reads,
    /// It asks for what was written to be brought to the disk.
    Syncs,
    /// It changes something that others can see.
    Changes,
}

/// Opening flags with which something may be made or emptied.
const MAKING: u64 = (libc::O_CREAT | libc::O_TRUNC) as u64;
/// Opening flags with which something may be written.
const WRITING: u64 = (libc::O_CREAT | libc::O_TRUNC | libc::O_WRONLY | libc::O_RDWR) as u64;

/// What a call is that is stopped at its beginning.
#[must_use]
pub fn of(call: &Call) -> Kind {
    if let Some((flags, _)) = call.opens() {
        return if flags & MAKING == 0 { Kind::Reads } else { Kind::Changes };
    }
    if matches!(call.number, Sysno::read | Sysno::write | Sysno::ioctl) && is_between_threads(call) {
        return Kind::Idle;
    }
    match call.number {
        Sysno::fsync | Sysno::fdatasync | Sysno::syncfs | Sysno::sync_file_range => Kind::Syncs,
        Sysno::mkdirat
        | Sysno::mkdir
        | Sysno::mknodat
        | Sysno::unlinkat
        | Sysno::unlink
        | Sysno::rmdir
        | Sysno::rename
        | Sysno::renameat
        | Sysno::renameat2
        | Sysno::link
        | Sysno::linkat
        | Sysno::symlink
        | Sysno::symlinkat
        | Sysno::chown
        | Sysno::lchown
        | Sysno::fchown
        | Sysno::fchownat
        | Sysno::chmod
        | Sysno::fchmod
        | Sysno::fchmodat
        | Sysno::fchmodat2
        | Sysno::utimensat
        | Sysno::setxattr
        | Sysno::lsetxattr
        | Sysno::fsetxattr
        | Sysno::setxattrat
        | Sysno::removexattr
        | Sysno::lremovexattr
        | Sysno::fremovexattr
        | Sysno::removexattrat
        | Sysno::open_tree
        | Sysno::move_mount
        | Sysno::mount_setattr
        | Sysno::mount
        | Sysno::umount2
        | Sysno::write
        | Sysno::writev
        | Sysno::pwrite64
        | Sysno::pwritev
        | Sysno::copy_file_range
        | Sysno::sendfile
        | Sysno::splice
        | Sysno::ftruncate
        | Sysno::truncate
        | Sysno::fallocate
        | Sysno::flock
        | Sysno::sendmsg
        | Sysno::sendto
        | Sysno::kill
        | Sysno::clone
        | Sysno::clone3
        | Sysno::fork
        | Sysno::vfork => Kind::Changes,
        Sysno::ioctl if is_question(call.args[1]) => Kind::Reads,
        Sysno::ioctl => Kind::Changes,
        Sysno::fcntl if is_of_the_descriptor(call.args[1]) => Kind::Idle,
        Sysno::brk
        | Sysno::mmap
        | Sysno::munmap
        | Sysno::mremap
        | Sysno::mprotect
        | Sysno::madvise
        | Sysno::close
        | Sysno::getpid
        | Sysno::gettid
        | Sysno::getppid
        | Sysno::getuid
        | Sysno::geteuid
        | Sysno::getgid
        | Sysno::getegid
        | Sysno::umask
        | Sysno::rt_sigaction
        | Sysno::rt_sigprocmask
        | Sysno::rt_sigreturn
        | Sysno::sigaltstack
        | Sysno::sched_yield
        | Sysno::sched_getaffinity
        | Sysno::futex
        | Sysno::set_robust_list
        | Sysno::rseq
        | Sysno::clock_gettime
        | Sysno::clock_nanosleep
        | Sysno::nanosleep
        | Sysno::restart_syscall
        | Sysno::poll
        | Sysno::ppoll
        | Sysno::fadvise64
        | Sysno::prlimit64
        | Sysno::uname
        | Sysno::socketpair
        | Sysno::recvfrom
        | Sysno::recvmsg
        | Sysno::getrandom
        | Sysno::exit
        | Sysno::exit_group => Kind::Idle,
        _ => Kind::Reads,
    }
}

/// Whether it is about an eventfd(2) or a pipe(2), by which threads and programs that are started tell each other: these fail only where
/// the program is wrong.
fn is_between_threads(call: &Call) -> bool {
    let is_one = |path: &str| path.contains("[eventfd]") || path.starts_with("pipe:");
    call.descriptor(call.args[0]).is_some_and(|path| is_one(&path.to_string_lossy()))
}

/// Whether a call to ioctl(2) only asks: terminals, flags of inodes, sizes.
fn is_question(request: u64) -> bool {
    // Not in libc for all targets.
    const FS_IOC_FSGETXATTR: u64 = 0x801c_581f;
    const TCGETS2: u64 = 0x802c_542a;
    [libc::TCGETS, TCGETS2, libc::TIOCGWINSZ, libc::FS_IOC_GETFLAGS, FS_IOC_FSGETXATTR].contains(&request)
}

/// Whether a call to fcntl(2) is about the descriptor alone, which can fail only if there is none.
fn is_of_the_descriptor(command: u64) -> bool {
    [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL]
        .iter()
        .any(|known| command == u64::from(known.unsigned_abs()))
}

/// The errnos that are tried: a commit's, and what a release adds.
pub const ERRNOS: [(i32, &str); 10] = [
    (libc::EIO, "EIO"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::EPERM, "EPERM"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::EDQUOT, "EDQUOT"),
    (libc::EROFS, "EROFS"),
    (libc::EMFILE, "EMFILE"),
    (libc::EINTR, "EINTR"),
    (libc::EBUSY, "EBUSY"),
    (libc::ENOSYS, "ENOSYS"),
];
/// How many of them are a commit's.
pub const FEW: usize = 4;

/// The name of an errno that is tried.
#[must_use]
pub fn name(errno: i32) -> &'static str {
    ERRNOS.iter().find(|(known, _)| *known == errno).map_or("an errno", |(_, name)| name)
}

/// Whether a call can fail so. A no is beyond doubt; a yes may be seen on few file systems only, or come of a security module.
#[must_use]
pub fn can_fail(call: &Call, kind: Kind, errno: i32) -> bool {
    let number = call.number;
    let makes_fd = matches!(
        number,
        Sysno::open
            | Sysno::openat
            | Sysno::openat2
            | Sysno::open_tree
            | Sysno::open_by_handle_at
            | Sysno::dup
            | Sysno::fcntl
            | Sysno::pipe
            | Sysno::pipe2
            | Sysno::socket
            | Sysno::socketpair
            | Sysno::memfd_create
            | Sysno::pidfd_open
            | Sysno::fanotify_init
            | Sysno::inotify_init1
            | Sysno::epoll_create1
            | Sysno::eventfd2
            | Sysno::timerfd_create
    );
    let writes = call.opens().map_or(kind >= Kind::Syncs, |(flags, _)| flags & WRITING != 0);
    let is_about_processes = matches!(
        number,
        Sysno::clone | Sysno::clone3 | Sysno::fork | Sysno::vfork | Sysno::kill | Sysno::wait4 | Sysno::waitid
    );
    match errno {
        libc::EIO => !is_about_processes && number != Sysno::sysinfo,
        libc::ENOSPC | libc::EDQUOT => {
            writes && !is_about_processes && !matches!(number, Sysno::flock | Sysno::umount2)
        }
        libc::EROFS => {
            writes && kind != Kind::Syncs && !is_about_processes && !matches!(number, Sysno::flock | Sysno::umount2)
        }
        libc::EMFILE => makes_fd,
        libc::EINTR => matches!(
            number,
            Sysno::open
                | Sysno::openat
                | Sysno::openat2
                | Sysno::read
                | Sysno::write
                | Sysno::pread64
                | Sysno::pwrite64
                | Sysno::copy_file_range
                | Sysno::flock
                | Sysno::ftruncate
                | Sysno::fallocate
                | Sysno::fsync
                | Sysno::fdatasync
                | Sysno::wait4
                | Sysno::waitid
        ),
        libc::EBUSY => matches!(
            number,
            Sysno::renameat
                | Sysno::renameat2
                | Sysno::unlinkat
                | Sysno::mount
                | Sysno::umount2
                | Sysno::move_mount
                | Sysno::mount_setattr
                | Sysno::open_tree
        ),
        libc::ENOSYS => matches!(
            number,
            Sysno::openat2
                | Sysno::statx
                | Sysno::statmount
                | Sysno::listmount
                | Sysno::open_tree
                | Sysno::move_mount
                | Sysno::mount_setattr
                | Sysno::renameat2
                | Sysno::copy_file_range
                | Sysno::syncfs
                | Sysno::fchmodat2
                | Sysno::faccessat2
                | Sysno::setxattrat
                | Sysno::getxattrat
                | Sysno::pidfd_open
                | Sysno::fanotify_init
                | Sysno::fanotify_mark
                | Sysno::name_to_handle_at
                | Sysno::open_by_handle_at
                | Sysno::memfd_create
        ),
        // A place in a file is found without memory, and without asking anybody.
        // Who is root may look; and where an identity may not be given under one name, there is another one for that.
        libc::EPERM => kind > Kind::Reads && number != Sysno::lsetxattr,
        libc::ENOMEM => number != Sysno::lseek,
        _ => true,
    }
}
