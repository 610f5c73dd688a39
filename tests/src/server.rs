//! A small server: its own disk as `/`, the machine's programs (read-only), a name, and empty disks of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::mount_bind;

use crate::{Sandbox, image};

/// Bytes of the disk that holds `/`, sparse.
const DISK: u64 = 1 << 30;
/// Loop devices of which the server has nodes, for images and for looking at disks.
const LOOPS: u32 = 256;
/// What is run in it before anything else.
const INSIDE: &str = "mount -t proc proc /proc && mount --bind /run/partitions /proc/partitions && hostname server1";

/// The server. Everything that runs on it ends with what started it ([`Server::inside`]).
#[derive(Debug)]
pub struct Server {
    // In the order in which they must go.
    _disks: Vec<File>,
    /// Its root.
    pub sandbox: Sandbox,
}

impl Server {
    /// A new one, with these empty disks: names in /dev, and bytes.
    ///
    /// # Panics
    /// If it cannot be made. A test that cannot have its server must not pass.
    #[must_use]
    #[track_caller]
    pub fn new(wanted: &[(&str, u64)]) -> Self {
        let sandbox = Sandbox::on_fresh_disk(DISK);
        sandbox.programs();
        sandbox.shipped_hooks();
        for (dir, mode) in [("tmp", 0o1777), ("sys", 0o755), ("usr/local", 0o755), ("usr/local/sbin", 0o755)] {
            sandbox.directory(dir, mode);
        }
        for dir in ["srv", "var/log", "var/tmp", "etc/systemd", "etc/systemd/system"] {
            sandbox.directory(dir, 0o755);
        }
        mount_bind("/sys", sandbox.path("/sys")).expect("bind /sys");
        sandbox.read_only("/sys");
        let disks: Vec<File> = wanted.iter().map(|(name, bytes)| disk(&sandbox, name, *bytes)).collect();
        let taken: Vec<u64> = disks.iter().map(|disk| disk.metadata().expect("stat a disk").rdev()).collect();
        node(&sandbox, "loop-control", FileType::CharacterDevice, makedev(10, 237));
        for number in 0..LOOPS {
            let device = makedev(7, number);
            if !taken.contains(&device) {
                node(&sandbox, &format!("loop{number}"), FileType::BlockDevice, device);
            }
        }
        only_these_disks(&sandbox, wanted, &taken);
        syslog(&sandbox);
        Self { _disks: disks, sandbox }
    }

    /// Puts a program of this build somewhere.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[track_caller]
    pub fn put(&self, program: &Path, path: &str) {
        let to = self.sandbox.write(path, "");
        mount_bind(program, &to).unwrap_or_else(|e| panic!("bind {} on {}: {e}", program.display(), to.display()));
        self.sandbox.read_only(path);
    }

    /// Directories of this machine, read-only.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[track_caller]
    pub fn also(&self, dirs: &[&str]) {
        for dir in dirs {
            let to = self.sandbox.path(dir);
            fs::create_dir_all(&to).unwrap_or_else(|e| panic!("make {}: {e}", to.display()));
            mount_bind(*dir, to).unwrap_or_else(|e| panic!("bind {dir}: {e}"));
            self.sandbox.read_only(dir);
        }
    }

    /// A command that runs a line of shell in the server, by bash, as root. What it starts ends with it.
    #[must_use]
    pub fn inside(&self, line: &str) -> Command {
        // It ends with the test also where that is killed.
        let mut command = self.sandbox.command("setpriv");
        command.args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--pid",
            "--uts",
            "--fork",
            "--kill-child=KILL",
            "--",
            "chroot",
        ]);
        command.arg(self.sandbox.root());
        command.args(["/bin/bash", "-c"]).arg(format!("{INSIDE} && {line}"));
        command.env("HOME", "/root").env("LC_ALL", "C").env_remove("RUST_BACKTRACE");
        command
    }

    /// The same beside what runs inside already: `first` was started by [`Server::inside`]. There is one `/proc` for all.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    #[track_caller]
    pub fn beside(&self, first: &Child, line: &str) -> Command {
        let id = first.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let inner = children.split_whitespace().next().expect("what runs inside the server has ended");
        let mut command = self.sandbox.command("nsenter");
        command.args(["--target", inner, "--pid", "--uts", "--", "chroot"]).arg(self.sandbox.root());
        command.args(["/bin/bash", "-c", line]);
        command.env("HOME", "/root").env("LC_ALL", "C").env_remove("RUST_BACKTRACE");
        command
    }
}

fn node(sandbox: &Sandbox, name: &str, kind: FileType, device: u64) {
    let path = sandbox.path(format!("/dev/{name}"));
    mknodat(CWD, &path, kind, Mode::from_raw_mode(0o660), device)
        .unwrap_or_else(|e| panic!("make {}: {e}", path.display()));
}

/// An empty disk. It is there as long as somebody has it open or mounted.
fn disk(sandbox: &Sandbox, name: &str, bytes: u64) -> File {
    let image = sandbox.root().with_extension(name);
    image::make(&image, bytes, None);
    let run = sandbox.run(sandbox.command("losetup").args(["--find", "--show"]).arg(&image)).ok();
    let device = run.stdout.trim();
    let disk = File::open(device).unwrap_or_else(|e| panic!("open {device}: {e}"));
    // With the device open, both only say that it goes with whoever uses it last.
    sandbox.run(sandbox.command("losetup").args(["--detach", device])).ok();
    fs::remove_file(&image).expect("remove the name of an image");
    let meta = disk.metadata().expect("stat a disk");
    assert!(meta.file_type().is_block_device(), "{device} is no disk");
    node(sandbox, name, FileType::BlockDevice, meta.rdev());
    disk
}

/// Lets the server know its own disks and no other: whatever looks for a label would find another test's disk as well.
fn only_these_disks(sandbox: &Sandbox, disks: &[(&str, u64)], devices: &[u64]) {
    let block = sandbox.directory("/run/block", 0o755);
    let mut table = String::from("major minor  #blocks  name\n\n");
    for (device, (name, bytes)) in devices.iter().zip(disks) {
        let (major, minor) = (rustix::fs::major(*device), rustix::fs::minor(*device));
        table += &format!("{major:4} {minor:8} {:10} {name}\n", bytes >> 10);
        symlink(format!("/sys/devices/virtual/block/loop{minor}"), block.join(name)).expect("a link to a disk");
    }
    mount_bind(&block, sandbox.path("/sys/block")).expect("bind a table of disks over /sys/block");
    // What runs inside has it over its /proc/partitions.
    sandbox.write("/run/partitions", table);
}

/// Somebody takes what is sent to /dev/log, as a syslog does.
fn syslog(sandbox: &Sandbox) {
    let socket = UnixDatagram::bind(sandbox.path("/dev/log")).expect("make /dev/log");
    // It ends with the test's process.
    std::thread::spawn(move || while socket.recv(&mut [0; 8192]).is_ok() {});
}

/// An address of this machine whose port nobody has, most likely still so in a moment.
///
/// # Panics
/// If there is none.
#[must_use]
#[track_caller]
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen on some port");
    listener.local_addr().expect("its address")
}
