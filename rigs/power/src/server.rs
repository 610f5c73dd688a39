//! A FUSE file system with one file for each disk. The loop devices sit on them.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, Request, WriteFlags,
};

use tempfile::TempDir;

use crate::disks::Disks;

/// Nothing changes but the content, which is not kept in any cache.
const LASTS: Duration = Duration::from_secs(3600);

/// Serves the disks below a directory, as `0`, `1`, ..., until what it gives back is dropped.
///
/// # Panics
/// If the kernel refuses: it must have FUSE.
#[must_use]
pub fn serve(disks: Disks, directory: &Path) -> Served {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("datastore-power".to_owned()), MountOption::DefaultPermissions];
    let session = fuser::spawn_mount(Server(disks), directory, &config)
        .unwrap_or_else(|e| panic!("mount a FUSE file system on {}: {e}", directory.display()));
    Served { session: Some(session), _watchdog: Watchdog::over(directory) }
}

/// What looks after a test process. One that is killed while it waits for a disk of its own waits for ever, as a zombie, and with it whoever
/// looks at that disk: then what it served is ended.
const WATCHDOG: &str = r#"
stuck=0
while [ "$stuck" -lt 5 ] && [ -d "/proc/$1" ]; do
    sleep 1
    if grep -q '^State:.*Z' "/proc/$1/status"; then stuck=$((stuck + 1)); else stuck=0; fi
done
[ "$stuck" -lt 5 ] && exit
mount -t fusectl fusectl "$3" && echo 1 > "$3/$2/abort"
"#;

/// The same, while it runs. It ends with the test.
#[derive(Debug)]
struct Watchdog {
    child: Child,
    place: TempDir,
}

impl Watchdog {
    /// Starts it, in a session of its own, so that it is not killed with the test.
    fn over(directory: &Path) -> Self {
        let device = std::fs::metadata(directory).unwrap_or_else(|e| panic!("stat {}: {e}", directory.display())).dev();
        let place = tempfile::tempdir().expect("make a directory");
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", WATCHDOG, "watchdog"]).arg(std::process::id().to_string());
        command.arg(rustix::fs::minor(device).to_string()).arg(place.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|e| panic!("start setsid: {e}"));
        Self { child, place }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir(self.place.path());
    }
}

/// What serves the disks.
#[derive(Debug)]
pub struct Served {
    session: Option<BackgroundSession>,
    _watchdog: Watchdog,
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = session.umount_and_join();
        }
    }
}

struct Server(Disks);

impl Server {
    /// The disk behind a number of a node: the first after the directory is disk 0.
    fn disk(&self, node: INodeNo) -> Option<(usize, u64)> {
        let disk = usize::try_from(u64::from(node)).ok()?.checked_sub(2)?;
        Some((disk, self.0.bytes(disk)?))
    }

    fn attributes(&self, node: INodeNo) -> Option<FileAttr> {
        let (kind, size, perm) = match self.disk(node) {
            Some((_, bytes)) => (FileType::RegularFile, bytes, 0o600),
            None if node == INodeNo::ROOT => (FileType::Directory, 0, 0o700),
            None => return None,
        };
        Some(FileAttr {
            ino: node,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let node = name.to_str().and_then(|name| name.parse::<u64>().ok()).map(|disk| INodeNo(disk + 2));
        match node.and_then(|node| self.attributes(node)) {
            Some(attributes) => reply.entry(&LASTS, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(node) {
            Some(attributes) => reply.attr(&LASTS, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk(node) {
            Some((disk, _)) => reply.data(&self.0.read(disk, offset, size as usize)),
            None => reply.error(Errno::EBADF),
        }
    }

    fn write(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.disk(node) {
            Some((disk, _)) if self.0.write(disk, offset, data) => {
                reply.written(u32::try_from(data.len()).expect("a request is not that long"));
            }
            Some(_) => reply.error(Errno::EIO),
            None => reply.error(Errno::EBADF),
        }
    }

    /// What a block device calls a flush.
    fn fsync(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        if let Some((disk, _)) = self.disk(node) {
            self.0.flush(disk);
        }
        reply.ok();
    }

    /// What close(2) does: it promises nothing.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    /// What a block device calls a discard, or a write of zeros.
    fn fallocate(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        _: i32,
        reply: ReplyEmpty,
    ) {
        match self.disk(node) {
            Some((disk, _)) if self.0.zero(disk, offset, length) => reply.ok(),
            _ => reply.error(Errno::EIO),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let names = (0..self.0.number()).map(|disk| (INodeNo(disk as u64 + 2), disk.to_string()));
        for (at, (node, name)) in (0..).zip(names).skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            if reply.add(node, at + 1, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }
}
