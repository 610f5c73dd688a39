//! Loop devices: which ones show a file, and one that shows a file or a device read-only for a moment (loop(4)).

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// `struct loop_info64`, linux/loop.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

// linux/loop.h.
const SET_FD: libc::c_ulong = 0x4C00;
const CLR_FD: libc::c_ulong = 0x4C01;
const SET_STATUS64: libc::c_ulong = 0x4C04;
const GET_STATUS64: libc::c_ulong = 0x4C05;
const CTL_GET_FREE: libc::c_ulong = 0x4C82;
const AUTOCLEAR: u32 = 4;

const EMPTY: Info = Info {
    device: 0,
    inode: 0,
    rdevice: 0,
    offset: 0,
    size_limit: 0,
    number: 0,
    encrypt_type: 0,
    encrypt_key_size: 0,
    flags: 0,
    file_name: [0; 64],
    crypt_name: [0; 64],
    encrypt_key: [0; 32],
    init: [0; 2],
};

fn answer(returned: libc::c_int) -> Result<u32, Errno> {
    u32::try_from(returned).map_err(|_| {
        let error = std::io::Error::last_os_error();
        Errno::from_io_error(&error).unwrap_or(Errno::IO)
    })
}

#[allow(unsafe_code, reason = "rustix has no loop devices")]
fn number_call(fd: BorrowedFd<'_>, call: libc::c_ulong, value: libc::c_int) -> Result<u32, Errno> {
    // SAFETY: these calls take an int by value, or nothing (linux/loop.h).
    answer(unsafe { libc::ioctl(fd.as_raw_fd(), call as _, value) })
}

#[allow(unsafe_code, reason = "rustix has no loop devices")]
fn info_call(fd: BorrowedFd<'_>, call: libc::c_ulong, info: &mut Info) -> Result<u32, Errno> {
    // SAFETY: these calls read or fill one `struct loop_info64`, which `info` is; it outlives the call.
    answer(unsafe { libc::ioctl(fd.as_raw_fd(), call as _, std::ptr::from_mut(info)) })
}

fn open(path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())
}

/// A loop device that shows something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loop {
    /// Its name, `loop3`.
    pub(crate) name: String,
    /// Its number.
    pub(crate) device: (u32, u32),
    /// The file that it shows, as the kernel names it.
    pub(crate) backing: Vec<u8>,
    /// Device and inode of that file; `None` where the loop device cannot be opened.
    file: Option<(u64, u64)>,
    /// Whether it goes away with its last user.
    pub(crate) autoclear: bool,
}

impl Loop {
    /// Whether it shows the file with this device and inode.
    pub(crate) fn shows(&self, dev: u64, ino: u64) -> bool {
        match self.file {
            Some(file) => file == (dev, ino),
            // The name is a hint only, so it must lead to the very file.
            None => rustix::fs::stat(&self.backing[..]).is_ok_and(|s| (s.st_dev, s.st_ino) == (dev, ino)),
        }
    }
    /// Whether somebody has it open for himself alone, as a mount has.
    pub(crate) fn is_in_use(&self) -> bool {
        open(&format!("/dev/{}", self.name), OFlags::RDONLY | OFlags::EXCL).err() == Some(Errno::BUSY)
    }
}

/// Every loop device that shows something.
pub(crate) fn all() -> Vec<Loop> {
    let Ok(dir) = std::fs::read_dir("/sys/block") else { return Vec::new() };
    let names = dir.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with("loop")).filter_map(one).collect()
}

fn one(name: String) -> Option<Loop> {
    // This part of sysfs is there while the device shows something.
    let mut backing = std::fs::read(format!("/sys/block/{name}/loop/backing_file")).ok()?;
    if backing.last() == Some(&b'\n') {
        backing.pop();
    }
    let number = std::fs::read_to_string(format!("/sys/block/{name}/dev")).ok()?;
    let (major, minor) = number.trim_end().split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let autoclear = std::fs::read(format!("/sys/block/{name}/loop/autoclear")).is_ok_and(|text| text.starts_with(b"1"));
    let mut info = EMPTY;
    let asked = open(&format!("/dev/{name}"), OFlags::RDONLY | OFlags::NONBLOCK)
        .and_then(|fd| info_call(std::os::fd::AsFd::as_fd(&fd), GET_STATUS64, &mut info));
    let file = asked.ok().map(|_| (info.device, info.inode));
    Some(Loop { name, device, backing, file, autoclear })
}

/// A loop device that shows a file or a device read-only for as long as this lives.
#[derive(Debug)]
pub(crate) struct Window {
    fd: Option<OwnedFd>,
    name: String,
}

impl Window {
    /// Attaches one. Nothing can be written through it, by anybody.
    pub(crate) fn open(file: BorrowedFd<'_>) -> Result<Self, Errno> {
        let control = open("/dev/loop-control", OFlags::RDWR)?;
        // Others take free ones too.
        for _ in 0..50 {
            let number = number_call(std::os::fd::AsFd::as_fd(&control), CTL_GET_FREE, 0)?;
            let name = format!("loop{number}");
            // Opened for reading, which makes it read-only whatever the file was opened for.
            let fd = open(&format!("/dev/{name}"), OFlags::RDONLY)?;
            match number_call(std::os::fd::AsFd::as_fd(&fd), SET_FD, file.as_raw_fd()) {
                Ok(_) => {}
                Err(Errno::BUSY) => continue,
                Err(errno) => return Err(errno),
            }
            let window = Self { fd: Some(fd), name };
            let mut info = Info { flags: AUTOCLEAR, ..EMPTY };
            if let Some(fd) = &window.fd {
                // It goes with its last user, also if this process is killed.
                info_call(std::os::fd::AsFd::as_fd(fd), SET_STATUS64, &mut info)?;
            }
            return Ok(window);
        }
        Err(Errno::BUSY)
    }

    /// Its path.
    pub(crate) fn path(&self) -> String {
        format!("/dev/{}", self.name)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            let _ = number_call(std::os::fd::AsFd::as_fd(&fd), CLR_FD, 0);
        }
        // Some kernels detach it a little later; until then a mount of the same image would find it in its way.
        let until = Instant::now() + Duration::from_millis(500);
        let attached = format!("/sys/block/{}/loop/backing_file", self.name);
        while std::path::Path::new(&attached).exists() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
