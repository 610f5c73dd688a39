//! A machine with three disks: the root and two volumes. It can be switched off and booted.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use datastore_tests::Sandbox;
use datastore_tests::image::Loop;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::disks::{Disks, State};
use crate::server::{self, Served};

/// The host whose data it holds.
pub const HOST: &str = "server1";
/// Where the disks are mounted, the root first.
pub const PLACES: [&str; 3] = ["/", "/store/data0", "/store/data1"];

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// Without `auto_da_alloc`, which would write the content of a file before a rename over another, asked or not.
    Ext4,
    /// What is not synced is soon a file of zeros, or none.
    Xfs,
    /// Copies on write.
    Btrfs,
}

impl FileSystem {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    /// Its name for mount(2).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// The smallest size of a disk at which mkfs is at ease, in bytes.
    fn bytes(self) -> u64 {
        match self {
            Self::Ext4 => 32 << 20,
            Self::Xfs => datastore_tests::image::XFS_MINIMUM,
            Self::Btrfs => 128 << 20,
        }
    }

    /// How it is made, with a label. Nothing is left for the first mount to do, which would be noise in the record.
    fn mkfs(self) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &[
                "-q",
                "-F",
                "-b",
                "4096",
                "-J",
                "size=4",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
                "-L",
            ],
            Self::Xfs => &["-q", "-f", "-K", "-L"],
            Self::Btrfs => &["-q", "-f", "-K", "-m", "single", "-L"],
        }
    }

    fn options(self) -> &'static str {
        match self {
            Self::Ext4 => "noauto_da_alloc,noinit_itable",
            Self::Xfs | Self::Btrfs => "nodiscard",
        }
    }
}

nix::ioctl_none_bad!(
    /// Forgets what was read of a block device (BLKFLSBUF, linux/fs.h).
    flush_buffers,
    0x1261
);

/// The machine. Its disks are in memory; nothing of it outlives the test.
#[derive(Debug)]
pub struct Machine {
    /// Its root, and the command on it. (The first field, for it is unmounted first.)
    pub sandbox: Sandbox,
    loops: Vec<Loop>,
    /// What the disks hold.
    pub disks: Disks,
    /// What is on them.
    pub kind: FileSystem,
    served: Option<Served>,
    place: PathBuf,
}

impl Machine {
    /// A machine with empty file systems on its disks, the root of them furnished and mounted.
    ///
    /// # Panics
    /// If the kernel refuses: root, FUSE, loop devices and the file system are needed.
    #[must_use]
    pub fn new(kind: FileSystem) -> Self {
        let sandbox = Sandbox::bare();
        let place = sandbox.root().with_extension("disks");
        fs::create_dir(&place).unwrap_or_else(|e| panic!("make {}: {e}", place.display()));
        let disks = Disks::new(&[kind.bytes(); PLACES.len()]);
        let served = server::serve(disks.clone(), &place);
        let attach = |disk: usize| {
            let options = ["--direct-io=on", "--sector-size", "4096"];
            Loop::new(&sandbox, &place.join(disk.to_string()), &options)
        };
        let loops: Vec<Loop> = (0..PLACES.len()).map(attach).collect();
        for (device, label) in loops.iter().zip(["root", "data0", "data1"]) {
            let mut mkfs = sandbox.command(format!("mkfs.{}", kind.name()));
            mkfs.args(kind.mkfs()).args([label, device.path()]);
            sandbox.run(mkfs).ok();
        }
        let machine = Self { sandbox, loops, disks, kind, served: Some(served), place };
        machine.mount(0).unwrap_or_else(|e| panic!("mount the new root: {e}"));
        let _ = fs::remove_dir(machine.sandbox.path("lost+found"));
        machine.sandbox.furnish();
        machine
    }

    /// The device of a disk.
    #[must_use]
    pub fn device(&self, disk: usize) -> &str {
        self.loops[disk].path()
    }

    /// Runs `datastore` and demands that all goes well.
    #[track_caller]
    pub fn datastore(&self, args: &[&str]) {
        self.sandbox.datastore(args).ok();
    }

    fn mount(&self, disk: usize) -> Result<(), Errno> {
        let at = self.sandbox.path(PLACES[disk]);
        let options = CString::new(self.kind.options()).expect("no NUL in the options");
        rustix::mount::mount(self.device(disk), &at, self.kind.name(), MountFlags::empty(), options.as_c_str())
    }

    /// Switches it on, as systemd would: the root, the volumes of its fstab, and the binds of its fstab whose store is there. What was in /run
    /// is gone.
    ///
    /// # Errors
    /// What could not be mounted that must be.
    pub fn boot(&self) -> Result<(), String> {
        self.mount(0).map_err(|e| format!("the root cannot be mounted: {e}"))?;
        let _ = fs::remove_dir_all(self.sandbox.path("/run/datastore"));
        let table = fs::read_to_string(self.sandbox.path("/etc/fstab")).map_err(|e| format!("/etc/fstab: {e}"))?;
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [source, at, _, options, ..] = fields[..] else { continue };
            let options: Vec<&str> = options.split(',').collect();
            if options.contains(&"noauto") {
                continue;
            }
            if let Some(disk) = PLACES.iter().position(|place| *place == at && at != "/") {
                self.mount_volume(disk)?;
            } else if options.contains(&"bind") && self.sandbox.exists(source) {
                self.bind(source, at, &options)?;
            }
        }
        Ok(())
    }

    /// Mounts a volume where it belongs.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn mount_volume(&self, disk: usize) -> Result<(), String> {
        let at = PLACES[disk];
        fs::create_dir_all(self.sandbox.path(at)).map_err(|e| format!("make {at}: {e}"))?;
        self.mount(disk).map_err(|e| format!("the volume {at} cannot be mounted: {e}"))
    }

    fn bind(&self, source: &str, at: &str, options: &[&str]) -> Result<(), String> {
        let (from, to) = (self.sandbox.path(source), self.sandbox.path(at));
        fs::create_dir_all(&to).map_err(|e| format!("make {at}: {e}"))?;
        rustix::mount::mount_bind(&from, &to).map_err(|e| format!("bind {source} on {at}: {e}"))?;
        let mut flags = MountFlags::BIND;
        for (option, flag) in [
            ("ro", MountFlags::RDONLY),
            ("nosuid", MountFlags::NOSUID),
            ("nodev", MountFlags::NODEV),
            ("noexec", MountFlags::NOEXEC),
        ] {
            flags.set(flag, options.contains(&option));
        }
        rustix::mount::mount_remount(&to, flags, "").map_err(|e| format!("options of the bind on {at}: {e}"))
    }

    /// Switches it off, in good order.
    ///
    /// # Panics
    /// If something on it is still in use after a while.
    pub fn off(&self) {
        let begun = Instant::now();
        while let Some(mount) = self.sandbox.mountinfo().pop() {
            match rustix::mount::unmount(&mount.mount_point, UnmountFlags::NOFOLLOW) {
                Ok(()) => {}
                Err(Errno::BUSY) if begun.elapsed() < Duration::from_secs(20) => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(errno) => panic!("unmount {}: {errno}", mount.mount_point.display()),
            }
        }
    }

    /// A file on each disk that is mounted, which has nothing to do with anything. (Nobody may hold one for long: then its disk could not be
    /// taken off.)
    #[must_use]
    pub fn bystanders(&self) -> Vec<fs::File> {
        let mounts = self.sandbox.mountinfo();
        let open = |place: &&str| {
            let at = self.sandbox.path(place);
            let is_there = mounts.iter().any(|mount| mount.mount_point == at.components().as_path());
            let file = || fs::OpenOptions::new().write(true).create(true).truncate(false).open(at.join("bystander"));
            is_there.then(|| file().unwrap_or_else(|e| panic!("open the bystander in {}: {e}", at.display())))
        };
        PLACES.iter().filter_map(open).collect()
    }

    /// Removes them: whether a volume has one depends on when it was mounted.
    pub fn dismiss_bystanders(&self) {
        for place in PLACES {
            let _ = fs::remove_file(self.sandbox.path(place).join("bystander"));
        }
    }

    /// Puts a state on the disks. Nothing may be mounted.
    ///
    /// # Panics
    /// If the kernel does not forget what it knew of the disks.
    pub fn show(&self, state: &State) {
        self.disks.show(state);
        self.forget();
    }

    /// Takes the disks back to where every story begins.
    ///
    /// # Panics
    /// As [`Machine::show`].
    pub fn reset(&self) {
        self.disks.reset();
        self.forget();
    }

    /// What the kernel has read of a device is forgotten with the last who has it open. That may be somebody else, who looks at all devices.
    fn forget(&self) {
        for device in &self.loops {
            let file = fs::File::open(&device.device).unwrap_or_else(|e| panic!("open {}: {e}", device.path()));
            #[allow(unsafe_code, reason = "nix and rustix have no BLKFLSBUF")]
            // SAFETY: the call takes no argument, and the descriptor is open.
            let flushed = unsafe { flush_buffers(file.as_raw_fd()) };
            flushed.unwrap_or_else(|e| panic!("BLKFLSBUF of {}: {e}", device.path()));
        }
    }

    /// The directory that it is seen at.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.sandbox.root()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The file systems, then the devices, then what serves them. What fails here is told by what remains.
        for mount in self.sandbox.mountinfo().iter().rev() {
            let _ = rustix::mount::unmount(&mount.mount_point, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH);
        }
        self.loops.clear();
        self.served = None;
        let _ = fs::remove_dir(&self.place);
    }
}
